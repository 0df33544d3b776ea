"""What a trust domain has fetched of others, pushed to its proxies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from meshsim.telemetry.rows import ConfigRow
from meshsim.world.reach import again_after_ns, one_way_ns

if TYPE_CHECKING:
    from meshsim.world.domains import Domains, Foreign
    from meshsim.world.hosts import Host
    from meshsim.world.state import State

Push = tuple["Host", "Foreign", str, int]
"""To whom, what, what is new in it, and how many tries came before."""


class ForeignPushes:
    """Pushes bundles of other trust domains; a proxy that cannot be reached is tried again."""

    def __init__(self, state: State, domains: Domains, heard: Callable[[Host, Foreign], None]) -> None:
        self._state = state
        self._clock = state.clock
        self._domains = domains
        self._heard = heard
        self._rejected: dict[str, str] = {}
        """News that hosts have rejected, by the host's name."""
        state.rejecting.resumed.append(self._resumed)
        self._record = state.recorder.appender("configs")

    def publish(self, told: Foreign, news: str) -> None:
        """Send every proxy of a trust domain what it is told from now on."""
        for host in self._state.hosts():
            if host.configured and self._domains.foreign(host) is told:
                self._write(host, told, "sent", news)
                self._try((host, told, news, 0))

    def _try(self, push: Push) -> None:
        host, told, news, tries = push
        if self._domains.foreign(host) is not told or not host.configured or self._state.over:
            return  # a newer one is on its way, or comes with its configuration
        node = self._domains.nodes[self._domains.of(host).trust_domain]
        up = host.up and self._state.machines[node].up
        way_ns = one_way_ns(self._state, node, host.node) if up else None
        if way_ns is None:
            self._write(host, told, "stale", news)
            again_ns = self._clock.now_ns + again_after_ns(tries)
            self._clock.at(again_ns, self._try, (host, told, news, tries + 1))
        else:
            self._clock.at(self._clock.now_ns + way_ns, self._received, push)

    def _received(self, push: Push) -> None:
        host, told, news, _ = push
        if not host.up or not host.configured:
            return
        rejecting = self._state.rejecting.of(host.workload)
        if rejecting is not None:
            rejecting.configurations += 1
            self._rejected[host.name] = news
            self._write(host, told, "rejected", news)
            return
        self._write(host, told, "acked", news)
        self._heard(host, told)

    def _resumed(self) -> None:
        """Push to those that take pushes again what they have rejected."""
        for host in self._state.hosts():
            told = self._domains.foreign(host)
            if host.name in self._rejected and told is not None and self._state.rejecting.of(host.workload) is None:
                news = self._rejected.pop(host.name)
                self._write(host, told, "sent", news)
                self._try((host, told, news, 0))

    def _write(self, host: Host, told: Foreign, event: str, news: str) -> None:
        self._record(ConfigRow(self._clock.now_ns, told.sequence, host.name, event, news))
