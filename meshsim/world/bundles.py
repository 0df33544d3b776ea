"""Trust bundles on their way: from the issuer to the control plane, and from there to every host."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshsim.identity.spiffe import trust_domain_of
from meshsim.telemetry.rows import ConfigRow
from meshsim.world.reach import again_after_ns, one_way_ns

if TYPE_CHECKING:
    from meshsim.world.authorities import Authorities, Trust
    from meshsim.world.hosts import Host
    from meshsim.world.state import State


class Bundles:
    """Pushes what is trusted to the hosts of a trust domain.

    One that cannot be reached keeps what it has, and is tried again.
    """

    def __init__(
        self,
        state: State,
        authorities: Authorities,
        issuer_node: str,
        control_node: str,
        arrived: Callable[[Host, Trust], None],
    ) -> None:
        self._state = state
        self._clock = state.clock
        self._authorities = authorities
        self._issuer_node = issuer_node
        self._control_node = control_node
        self._arrived = arrived
        self._record = state.recorder.appender("configs")

    def publish(self, news: str) -> None:
        """Send what is trusted now to the control plane; ``news`` says what changed."""
        self._report((self._authorities.trust, news, 0))

    def _report(self, report: tuple[Trust, str, int]) -> None:
        trust, news, tries = report
        if self._outdated(trust):
            return
        up = self._state.machines[self._issuer_node].up and self._state.machines[self._control_node].up
        way_ns = one_way_ns(self._state, self._issuer_node, self._control_node) if up else None
        if way_ns is None:
            self._later(tries, self._report, (trust, news, tries + 1))
        else:
            self._clock.at(self._clock.now_ns + way_ns, self._push, (trust, news))

    def _push(self, report: tuple[Trust, str]) -> None:
        trust, news = report
        for host in self._state.hosts():
            if host.configured and trust_domain_of(host.spiffe_id) == self._authorities.trust_domain:
                self._write(host, trust, "sent", news)
                self._try((host, trust, news, 0))

    def _try(self, push: tuple[Host, Trust, str, int]) -> None:
        host, trust, news, tries = push
        if self._outdated(trust) or not host.configured:
            return  # a newer one is on its way, or comes with its configuration
        up = host.up and self._state.machines[self._control_node].up
        way_ns = one_way_ns(self._state, self._control_node, host.node) if up else None
        if way_ns is None:
            self._write(host, trust, "stale", news)
            self._later(tries, self._try, (host, trust, news, tries + 1))
        else:
            self._clock.at(self._clock.now_ns + way_ns, self._received, push)

    def _received(self, push: tuple[Host, Trust, str, int]) -> None:
        host, trust, news, _ = push
        if host.up and host.configured:
            self._write(host, trust, "acked", news)
            self._arrived(host, trust)

    def _outdated(self, trust: Trust) -> bool:
        return trust.sequence < self._authorities.trust.sequence or self._state.over

    def _later(self, tries: int, action: Callable[[Any], None], argument: Any) -> None:
        self._clock.at(self._clock.now_ns + again_after_ns(tries), action, argument)

    def _write(self, host: Host, trust: Trust, event: str, news: str) -> None:
        self._record(ConfigRow(self._clock.now_ns, trust.sequence, host.name, event, news))
