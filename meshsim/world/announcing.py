"""The control plane in time: failures noticed after a while, announcements pushed over the network.

Announcements go over streams. Where a stream breaks, what was on its way is lost, and while the control plane holds the
proxy's node unreachable there is no other. The next one begins with what is current then, and not with what was missed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from meshsim.control.debounce import Debounce
from meshsim.control.resources import endpoints_size_bytes
from meshsim.sidecar import events
from meshsim.telemetry.config_row import ConfigRow
from meshsim.world.build import endpoint_of
from meshsim.world.dispatching import Dispatch
from meshsim.world.reach import again_after_ns, one_way_ns

if TYPE_CHECKING:
    from meshsim.control.discovery import Announcement, Discovery
    from meshsim.sidecar.endpoint import Endpoint
    from meshsim.world.driver import Driver
    from meshsim.world.hosts import Host, Replica
    from meshsim.world.state import State

KIND = "endpoints"
RETRY_NS = 1_000_000_000
"""How often the control plane tries to do what it could not do while it was down or cut off."""


class _Push:
    """What a sidecar is to be told: the announcement, and how many tries came before."""

    __slots__ = ("announcement", "host", "tries", "waits")

    def __init__(self, host: Host, announcement: Announcement) -> None:
        self.host = host
        self.announcement = announcement
        self.tries = 0
        self.waits = False
        """Whether its last try was in vain, and the next is not due."""


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
        self._unreachable: frozenset[str] = frozenset()
        """Nodes that it holds unreachable: it has no streams to the proxies there."""
        self._open: dict[str, _Push] = {}
        """The latest push to each sidecar that has not had it yet, by its name."""
        self._dispatch = Dispatch(state)
        self._sizes: dict[tuple[int, bool], int] = {}
        """Sizes of pushes of each version: of what is new in it, and of all of it."""
        self._reported: list[Callable[[], None]] = []
        """To be called when the control plane has announced what is ready."""
        self._record = state.recorder.appender("configs")

    def begin(self) -> None:
        """Have every sidecar start with the first announcement, which came with it."""
        for host in self._state.hosts():
            if host.configured:
                first = self._discovery.current
                self._record(ConfigRow(self._clock.now_ns, first.version, host.name, "sent", first.reason))
                self.give(host)

    @property
    def current(self) -> Announcement:
        """What sidecars are to know now."""
        return self._discovery.current

    def whole_size_bytes(self) -> int:
        """Return the size of all that they are to know."""
        return self._told_size_bytes(self._discovery.current, follows=False)

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
        if replica.epoch != epoch:
            return
        if not self._state.machines[self.node].up:
            self._clock.at(self._clock.now_ns + RETRY_NS, self._report, report)  # it went down meanwhile
        else:
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
        self._unreachable = unhealthy
        announcement = self._discovery.update(unhealthy)
        if announcement is not None:
            for host in self._state.hosts():
                if host.configured:
                    self._begin(host)
        else:
            for push in list(self._open.values()):
                if push.waits and push.host.node not in unhealthy:
                    self._begin(push.host)  # its node is back: a new stream
        reported, self._reported = self._reported, []
        for announced in reported:
            announced()

    def _begin(self, host: Host) -> None:
        """Push what is current to a sidecar, in place of what it has not had yet."""
        before = self._open.get(host.name)
        push = self._open[host.name] = _Push(host, self._discovery.current)
        if before is not None and before.announcement is push.announcement:
            push.tries = before.tries
        else:
            self._write(host, push.announcement, "sent")
        self._try(push)

    def _try(self, push: _Push) -> None:
        host = push.host
        if self._open.get(host.name) is not push or self._state.over:
            return  # a newer one is on its way
        push.waits = False
        if not host.configured or host.sidecar.config_version >= push.announcement.version:
            return  # it gets what is current with its configuration, or has got it with a start
        if not (host.up and self._state.machines[self.node].up) or host.node in self._unreachable:
            self._lost(push, 0)
            return
        self._dispatch.send(
            (self.node, host.node),
            self._size_bytes(push),
            lambda sent_bytes: self._arrived(push, sent_bytes),
            lambda sent_bytes: self._lost(push, sent_bytes),
        )

    def _size_bytes(self, push: _Push) -> int:
        """Return the size of a push: what has changed for who has the version before, and all of it for others."""
        told = push.announcement
        follows = push.host.sidecar.config_version == told.version - 1 and not push.tries
        return self._told_size_bytes(told, follows=follows)

    def _told_size_bytes(self, told: Announcement, *, follows: bool) -> int:
        key = told.version, follows
        if key not in self._sizes:
            services = sorted(told.changed) if follows else list(told.endpoints)
            self._sizes[key] = endpoints_size_bytes(told.endpoints, told.draining, services, told.version)
        return self._sizes[key]

    def _lost(self, push: _Push, sent_bytes: int) -> None:
        """Take note that there is no stream, or that it broke: what was under way is lost."""
        self._write(push.host, push.announcement, "stale", sent_bytes)
        again_ns = self._clock.now_ns + again_after_ns(push.tries)
        push.tries += 1
        push.waits = True
        if not self._state.over:
            self._clock.at(again_ns, self._try, push)

    def _arrived(self, push: _Push, sent_bytes: int) -> None:
        host, announcement = push.host, push.announcement
        if self._open.get(host.name) is push:
            del self._open[host.name]
        if host.up and host.configured and host.sidecar.config_version < announcement.version:
            self._apply(host, announcement, sent_bytes)
        else:
            self._write(host, announcement, "stale", sent_bytes)  # what it starts with, or has, is newer

    def _apply(self, host: Host, announcement: Announcement, sent_bytes: int | None = None) -> None:
        """Have a sidecar go by an announcement that was pushed, or that came with its start."""
        event = events.EndpointsChanged(announcement.version, dict(announcement.endpoints), announcement.draining)
        self._driver.tell(host, event)
        if sent_bytes is None:
            self._record(ConfigRow(self._clock.now_ns, announcement.version, host.name, "acked", announcement.reason))
        else:
            self._write(host, announcement, "acked", sent_bytes)

    def _write(self, host: Host, told: Announcement, event: str, sent_bytes: int = 0) -> None:
        now_ns = self._clock.now_ns
        self._record(ConfigRow(now_ns, told.version, host.name, event, told.reason, self.node, KIND, sent_bytes))
