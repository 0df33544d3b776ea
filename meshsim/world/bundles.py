"""Trust bundles on their way: from the issuer to the control plane, and from there to every host."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshsim.control.debounce import Debounce
from meshsim.control.resources import trust_size_bytes
from meshsim.identity.spiffe import trust_domain_of
from meshsim.world.dispatching import Dispatch
from meshsim.world.pushing import Pushing
from meshsim.world.reach import again_after_ns

if TYPE_CHECKING:
    from meshsim.world.authorities import Authorities, Trust
    from meshsim.world.hosts import Host
    from meshsim.world.state import State


class Bundles:
    """Brings what is trusted to the hosts of a trust domain."""

    def __init__(
        self,
        state: State,
        authorities: Authorities,
        issuer_node: str,
        control_node: str,
        arrived: Callable[[Host, Trust], bool],
    ) -> None:
        self._state = state
        self._clock = state.clock
        self._authorities = authorities
        self._issuer_node = issuer_node
        self._control_node = control_node
        self._dispatch = Dispatch(state)
        self.pushing = Pushing(state, "trust", lambda host: control_node, self._current, self._size_bytes, arrived)
        """From the control plane on."""
        control = state.scenario.mesh.control
        self._debounce = Debounce(control.debounce_ns, control.debounce_max_ns)
        self._waiting = ""
        """The latest news that wait for more of their kind."""
        self._heard = authorities.trust
        """What the control plane knows: the issuer may know more."""

    def _current(self, host: Host) -> Trust | None:
        own = trust_domain_of(host.spiffe_id) == self._authorities.trust_domain
        return self._heard if own else None

    def publish(self, news: str, *, waits: bool = False) -> None:
        """Send what is trusted now to the control plane; ``news`` says what changed.

        The control plane pushes it at once or, as changes of configuration, after its debounce.
        """
        self._report((self._authorities.trust, news, waits, 0))

    def _report(self, report: tuple[Trust, str, bool, int]) -> None:
        trust = report[0]
        if trust.sequence < self._authorities.trust.sequence or self._state.over:
            return
        if self._state.machines[self._issuer_node].up and self._state.machines[self._control_node].up:
            self._dispatch.send(
                (self._issuer_node, self._control_node),
                self._size_bytes(trust),
                lambda _: self._hear(report),
                lambda _: self._report_again(report),
            )
        else:
            self._report_again(report)

    def _report_again(self, report: tuple[Trust, str, bool, int]) -> None:
        trust, news, waits, tries = report
        if not self._state.over:
            self._later(tries, self._report, (trust, news, waits, tries + 1))

    def _size_bytes(self, trust: Trust) -> int:
        own = self._authorities.trust_domain
        return trust_size_bytes(trust.bundles.values(), self._authorities.by_id, own, trust.sequence)

    def _hear(self, report: tuple[Trust, str, bool, int]) -> None:
        trust, news, waits, _ = report
        if trust.sequence <= self._heard.sequence:
            return  # something newer has overtaken it
        self._heard = trust
        if not waits:
            self._push(news)
            return
        self._waiting = news
        if self._debounce.notice(self._clock.now_ns):
            self._clock.at(self._debounce.due_ns, self._due, 0)

    def _due(self, tries: int) -> None:
        if not self._state.machines[self._control_node].up:
            if not self._state.over:
                self._later(tries, self._due, tries + 1)
        elif self._clock.now_ns < self._debounce.due_ns:
            self._clock.at(self._debounce.due_ns, self._due, tries)  # there was more
        else:
            self._debounce.waiting = False
            self._push(self._waiting)

    def _push(self, news: str) -> None:
        for host in self._state.hosts():
            told = self._current(host)
            if host.configured and told is not None:
                self.pushing.send(host, told, news)

    def _later(self, tries: int, action: Callable[[Any], None], argument: Any) -> None:
        self._clock.at(self._clock.now_ns + again_after_ns(tries), action, argument)
