"""Several authorizers: the mesh's, and those of extension providers that have one of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from meshsim.world.authorizer_process import AUTHORIZER, AuthorizerProcess, Check
from meshsim.world.authorizing import Authorizing

if TYPE_CHECKING:
    from meshsim.scenario.policy import Policy
    from meshsim.sidecar.commands import AskPolicy
    from meshsim.world.accounts import Account
    from meshsim.world.hosts import Host
    from meshsim.world.policies import Policies, Ruling
    from meshsim.world.state import State


def authorizers_of(state: State, settings: Policy, policies: Policies) -> Authorizers | None:
    """Those that a mesh's policy settings name; None where everything is decided in proxies."""
    found = {name: Authorizing(state, one, policies, name) for name, one in settings.authorizers}
    return Authorizers(found, policies) if found else None


class Authorizers:
    """Knows who is asked about a question, and passes on what concerns all of them."""

    def __init__(self, each: dict[str, Authorizing], policies: Policies) -> None:
        self._each = each
        self._policies = policies
        self._mesh = each.get(AUTHORIZER)
        policies.outside = self._is_outside

    def _is_outside(self, provider: str) -> bool:
        """Whether an extension provider (of an engine without any: the engine) runs outside of the proxies."""
        return provider in self._each or self._mesh is not None

    def ask(self, host: Host, command: AskPolicy, account: Account | None) -> None:
        """Send the question of a command to whom it is for."""
        assert command.question is not None
        provider = self._policies.provider_name(host, command.question)
        found = self._each.get(provider, self._mesh)
        assert found is not None, "nobody else is asked outside"
        found.ask(host, command, account)

    def tell(self, ruled: Callable[[Host, AskPolicy, Ruling], None]) -> None:
        """Have every decision told, in the instant from which it holds."""
        for one in self._each.values():
            one.ruled = ruled

    def blame(self, blame: Callable[[Check, str], None]) -> None:
        """Have every question told that got no answer, and why."""
        for one in self._each.values():
            one.blame = blame

    @property
    def pushed_to(self) -> tuple[AuthorizerProcess, ...]:
        """Those that get policies for themselves, and not with a proxy."""
        return tuple(process for one in self._each.values() for process in one.pushed_to)

    # Faults

    def crashed(self, node: str) -> None:
        """Take note that a node lost power."""
        for one in self._each.values():
            one.crashed(node)

    def restarted(self, node: str) -> None:
        """Take note that a node is back."""
        for one in self._each.values():
            one.restarted(node)

    def stop(self, target: str) -> None:
        """End every process of one of them."""
        self._each[target].stop()

    def start(self, target: str) -> None:
        """Start them again."""
        self._each[target].start()
