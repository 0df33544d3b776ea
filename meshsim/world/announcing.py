"""The control plane in time: failures noticed after a while, announcements pushed over the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from meshsim.control.debounce import Debounce
from meshsim.sidecar import events
from meshsim.telemetry.rows import ConfigRow
from meshsim.world.build import endpoint_of
from meshsim.world.reach import again_after_ns, one_way_ns

if TYPE_CHECKING:
    from meshsim.control.discovery import Announcement, Discovery
    from meshsim.sidecar.endpoint import Endpoint
    from meshsim.world.driver import Driver
    from meshsim.world.hosts import Host, Replica
    from meshsim.world.state import State

RETRY_NS = 1_000_000_000
"""How often the control plane tries to do what it could not do while it was down or cut off."""


class Announcing:
    """Watches nodes and pushes announcements to sidecars. A sidecar that cannot be reached keeps what it has."""

    on_ready: Callable[[Replica], None]
    """Told of each replica that the control plane has heard is ready; set when the world is assembled."""

    def __init__(self, state: State, driver: Driver, discovery: Discovery, node: str) -> None:
        self._state = state
        self._clock = state.clock
        self._driver = driver
        self._discovery = discovery
        self.node = node
        """Where the control plane runs."""
        self._settings = state.scenario.mesh.control
        self._debounce = Debounce(self._settings.debounce_ns, self._settings.debounce_max_ns)
        """When it will push, and until when at the latest."""
        self._reported: list[Callable[[], None]] = []
        """To be called when the control plane has announced what is ready."""
        self._record = state.recorder.appender("configs")

    def begin(self) -> None:
        """Have every sidecar start with the first announcement, which came with it."""
        for host in self._state.hosts():
            if host.configured:
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

    # Readiness, of replicas that have to get a certificate before they can serve

    def starts(self, replica: Replica) -> None:
        """Take note that a replica starts and is not ready: the control plane will notice."""
        self._discovery.withhold(endpoint_of(replica))
        self.changed()

    def ready(self, replica: Replica, announced: Callable[[], None]) -> None:
        """Have a replica report that it is ready, until the control plane has heard; ``announced`` follows."""
        self._report((replica, replica.epoch, announced))

    def _report(self, report: tuple[Replica, int, Callable[[], None]]) -> None:
        replica, epoch, _ = report
        if replica.epoch != epoch or self._state.over:
            return
        way_ns = one_way_ns(self._state, replica.node, self.node) if self._state.machines[self.node].up else None
        if way_ns is None:
            self._clock.at(self._clock.now_ns + RETRY_NS, self._report, report)
        else:
            self._clock.at(self._clock.now_ns + way_ns, self._heard, report)

    def _heard(self, report: tuple[Replica, int, Callable[[], None]]) -> None:
        replica, epoch, announced = report
        if replica.epoch == epoch:
            self._discovery.admit(endpoint_of(replica))
            self.on_ready(replica)
            self._reported.append(announced)
            self._noticed(None)

    def _noticed(self, _: None) -> None:
        if self._debounce.notice(self._clock.now_ns):
            self._clock.at(self._debounce.due_ns, self._push)

    def _push(self, _: None) -> None:
        if self._clock.now_ns < self._debounce.due_ns:
            self._clock.at(self._debounce.due_ns, self._push)  # there were further changes
            return
        self._debounce.waiting = False
        if not self._state.machines[self.node].up:
            self._clock.at(self._clock.now_ns + RETRY_NS, self._noticed)
            return
        topology = self._state.topology
        unhealthy = frozenset(
            name
            for name, machine in self._state.machines.items()
            if not machine.up or topology.route(self.node, name) is None
        )
        announcement = self._discovery.update(unhealthy)
        if announcement is not None:
            for host in self._state.hosts():
                if host.configured:
                    self._sent(host, announcement)
                    self._try((host, announcement, 0))
        reported, self._reported = self._reported, []
        for announced in reported:
            announced()

    def _try(self, push: tuple[Host, Announcement, int]) -> None:
        host, announcement, tries = push
        if announcement.version != self._discovery.current.version or self._state.over:
            return  # a newer one is on its way
        if not host.configured:
            return  # it gets what is current with its configuration
        latency_ns = self._state.topology.latency_ns(self.node, host.node) if host.up else None
        if latency_ns is None or not self._state.machines[self.node].up:
            self._write(host, announcement, "stale")
            again_ns = self._clock.now_ns + again_after_ns(tries)
            self._clock.at(again_ns, self._try, (host, announcement, tries + 1))
            return
        self._clock.at(self._clock.now_ns + latency_ns, self._arrived, push)

    def _arrived(self, push: tuple[Host, Announcement, int]) -> None:
        host, announcement, _ = push
        if host.up and host.configured and host.sidecar.config_version < announcement.version:
            self._apply(host, announcement)

    def _apply(self, host: Host, announcement: Announcement) -> None:
        event = events.EndpointsChanged(announcement.version, dict(announcement.endpoints), announcement.draining)
        self._driver.tell(host, event)
        self._write(host, announcement, "acked")

    def _sent(self, host: Host, announcement: Announcement) -> None:
        self._write(host, announcement, "sent")

    def _write(self, host: Host, announcement: Announcement, event: str) -> None:
        self._record(ConfigRow(self._clock.now_ns, announcement.version, host.name, event, announcement.reason))
