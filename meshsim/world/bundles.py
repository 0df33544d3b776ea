"""Trust bundles on their way: from the issuer to the control plane, and from there to every host."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshsim.control.debounce import Debounce
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
        control = state.scenario.mesh.control
        self._debounce = Debounce(control.debounce_ns, control.debounce_max_ns)
        self._waiting: list[str] = []
        """News that wait for more of their kind."""
        self._rejected: dict[str, str] = {}
        """News that hosts have rejected, by the host's name."""
        state.rejecting.resumed.append(self._resumed)
        self._record = state.recorder.appender("configs")

    def publish(self, news: str, *, waits: bool = False) -> None:
        """Send what is trusted now to the control plane; ``news`` says what changed.

        The control plane pushes it at once or, as changes of configuration, after its debounce.
        """
        self._report((self._authorities.trust, news, waits, 0))

    def _report(self, report: tuple[Trust, str, bool, int]) -> None:
        trust, news, waits, tries = report
        if self._outdated(trust):
            return
        up = self._state.machines[self._issuer_node].up and self._state.machines[self._control_node].up
        way_ns = one_way_ns(self._state, self._issuer_node, self._control_node) if up else None
        if way_ns is None:
            self._later(tries, self._report, (trust, news, waits, tries + 1))
        else:
            heard = self._notice if waits else self._push
            self._clock.at(self._clock.now_ns + way_ns, heard, (trust, news))

    def _notice(self, report: tuple[Trust, str]) -> None:
        self._waiting.append(report[1])
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
            news, self._waiting = self._waiting[-1], []
            self._push((self._authorities.trust, news))

    def _resumed(self) -> None:
        """Push to those that take pushes again what they have rejected."""
        for host in self._state.hosts():
            if host.name in self._rejected and self._state.rejecting.of(host.workload) is None:
                news = self._rejected.pop(host.name)
                self._write(host, self._authorities.trust, "sent", news)
                self._try((host, self._authorities.trust, news, 0))

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
        if not host.up or not host.configured:
            return
        rejecting = self._state.rejecting.of(host.workload)
        if rejecting is not None:
            rejecting.configurations += 1
            self._rejected[host.name] = news
            self._write(host, trust, "rejected", news)
            return
        self._write(host, trust, "acked", news)
        self._arrived(host, trust)

    def _outdated(self, trust: Trust) -> bool:
        return trust.sequence < self._authorities.trust.sequence or self._state.over

    def _later(self, tries: int, action: Callable[[Any], None], argument: Any) -> None:
        self._clock.at(self._clock.now_ns + again_after_ns(tries), action, argument)

    def _write(self, host: Host, trust: Trust, event: str, news: str) -> None:
        self._record(ConfigRow(self._clock.now_ns, trust.sequence, host.name, event, news))
