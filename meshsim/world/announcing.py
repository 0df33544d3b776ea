"""The control plane in time: failures noticed after a while, announcements pushed over the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.sidecar import events
from meshsim.telemetry.rows import ConfigRow

if TYPE_CHECKING:
    from meshsim.control.discovery import Announcement, Discovery
    from meshsim.sidecar.balancer import Endpoint
    from meshsim.world.driver import Driver
    from meshsim.world.hosts import Host
    from meshsim.world.state import State

RETRY_NS = 1_000_000_000
"""How often the control plane tries a sidecar that it could not reach."""


class Announcing:
    """Watches nodes and pushes announcements to sidecars. A sidecar that cannot be reached keeps what it has."""

    def __init__(self, state: State, driver: Driver, discovery: Discovery, node: str) -> None:
        self._state = state
        self._clock = state.clock
        self._driver = driver
        self._discovery = discovery
        self._node = node
        self._settings = state.scenario.mesh.control
        self._push_due = False
        self._record = state.recorder.appender("configs")

    def begin(self) -> None:
        """Have every sidecar start with the first announcement, which came with it."""
        for host in self._state.hosts():
            self._sent(host, self._discovery.current)
            self.give(host)

    def give(self, host: Host) -> None:
        """Give a starting sidecar the current announcement at once: it does not become ready without."""
        self._apply(host, self._discovery.current)

    def changed(self) -> None:
        """Take note that a node or link failed or came back: the control plane will notice."""
        self._clock.at(self._clock.now_ns + self._settings.failure_detection_ns, self._noticed)

    def moved(self, service: str, old: Endpoint, new: Endpoint) -> None:
        """Take note that a replica serves at another node from now on: sidecars are told after the debounce."""
        self._discovery.move(service, old, new)
        self._noticed(None)

    def _noticed(self, _: None) -> None:
        if not self._push_due:
            self._push_due = True
            self._clock.at(self._clock.now_ns + self._settings.debounce_ns, self._push)

    def _push(self, _: None) -> None:
        self._push_due = False
        if not self._state.machines[self._node].up:
            self._clock.at(self._clock.now_ns + RETRY_NS, self._noticed)
            return
        topology = self._state.topology
        unhealthy = frozenset(
            name
            for name, machine in self._state.machines.items()
            if not machine.up or topology.route(self._node, name) is None
        )
        announcement = self._discovery.update(unhealthy)
        if announcement is not None:
            for host in self._state.hosts():
                self._sent(host, announcement)
                self._try((host, announcement))

    def _try(self, push: tuple[Host, Announcement]) -> None:
        host, announcement = push
        if announcement.version != self._discovery.current.version or self._state.over:
            return  # a newer one is on its way
        latency_ns = self._state.topology.latency_ns(self._node, host.node) if host.up else None
        if latency_ns is None or not self._state.machines[self._node].up:
            self._write(host, announcement, "stale")
            self._clock.at(self._clock.now_ns + RETRY_NS, self._try, push)
            return
        self._clock.at(self._clock.now_ns + latency_ns, self._arrived, push)

    def _arrived(self, push: tuple[Host, Announcement]) -> None:
        host, announcement = push
        if host.up and host.sidecar.config_version < announcement.version:
            self._apply(host, announcement)

    def _apply(self, host: Host, announcement: Announcement) -> None:
        event = events.EndpointsChanged(announcement.version, dict(announcement.endpoints), announcement.draining)
        self._driver.tell(host, event)
        self._write(host, announcement, "acked")

    def _sent(self, host: Host, announcement: Announcement) -> None:
        self._write(host, announcement, "sent")

    def _write(self, host: Host, announcement: Announcement, event: str) -> None:
        self._record(ConfigRow(self._clock.now_ns, announcement.version, host.name, event, announcement.reason))
