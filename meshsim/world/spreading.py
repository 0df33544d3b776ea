"""Versions of the configuration on their way: from a trust domain's control plane to its proxies, a few at a time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from meshsim.control.debounce import Debounce
from meshsim.telemetry.config_row import ConfigRow
from meshsim.world.contents import push_size_bytes
from meshsim.world.dispatching import Dispatch
from meshsim.world.reach import again_after_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.world.contents import Content, Receiver
    from meshsim.world.state import State

PUSHES, PUSHES_PER_CORE, MOST_PUSHES = 15, 5, 100
"""Proxies that are pushed to at a time: Istio's PILOT_PUSH_THROTTLE by default."""


class Holding(Protocol):
    """Knows what proxies hold, and has them take what has arrived."""

    def blame(self, node: str, goal: str) -> None:
        """Take note of a push between two nodes that did not get there."""

    def held(self, receiver: Receiver) -> Content | None:
        """Return what a receiver holds; None where it has not started."""

    def hold(self, receiver: Receiver, content: Content) -> None:
        """Have a running receiver take a version."""

    def receivers(self, trust_domain: str) -> list[Receiver]:
        """Return who is pushed to by the control plane of a trust domain."""

    def roll_back(self, content: Content) -> None:
        """Go back to what was there before a change that a proxy has rejected."""

    def pushed(self, trust_domain: str, content: Content, hosts: Sequence[str], behind: Sequence[str]) -> None:
        """Take note that a control plane pushes a version to its ``hosts``, of whom some are ``behind``."""


class Spreading:
    """Pushes what is newest to each proxy; one that cannot be reached keeps what it has, and is tried again."""

    def __init__(self, state: State, holding: Holding, trust_domain: str, node: str, first: Content) -> None:
        self._state = state
        self._clock = state.clock
        self._holding = holding
        self._domain = trust_domain
        self._node = node
        control = state.scenario.mesh.control
        self._debounce = Debounce(control.debounce_ns, control.debounce_max_ns)
        throttle = control.concurrent_pushes
        cores = state.scenario.network.nodes[node].cores
        self._at_a_time = throttle or min(PUSHES + PUSHES_PER_CORE * cores, MOST_PUSHES)
        self._services = tuple(state.scenario.services)
        self._dispatch = Dispatch(state)
        self._newest = first
        """The last version that brought anything to this trust domain."""
        self.announced = first
        """What it pushes, after its debounce; what ought to hold may be newer."""
        self._queue: deque[Receiver] = deque()
        self._open: dict[str, Content] = {}
        """What is on its way to each receiver, or will be tried again, by its name."""
        self._on_the_way = 0
        """Pushes that have their turn. Who asks anew over a new stream is given what is current beside them."""
        self._record = state.recorder.appender("configs")

    def comes(self, content: Content) -> None:
        """Take a version."""
        self._newest = content
        self.notice()

    def notice(self) -> None:
        """Push to whoever is behind, after the debounce."""
        if self._debounce.notice(self._clock.now_ns):
            self._clock.at(self._debounce.due_ns, self._push, 0)

    def _push(self, tries: int) -> None:
        if not self._state.machines[self._node].up:
            if not self._state.over:
                self._clock.at(self._clock.now_ns + again_after_ns(tries), self._push, tries + 1)
            return
        if self._clock.now_ns < self._debounce.due_ns:
            self._clock.at(self._debounce.due_ns, self._push, tries)  # there were further changes
            return
        self._debounce.waiting = False
        content = self.announced = self._newest
        everybody = self._holding.receivers(self._domain)
        hosts = [host for host in everybody if host.configured and host.up]
        behind = [host for host in hosts if self._holding.held(host) is not content]
        self._holding.pushed(self._domain, content, [host.name for host in hosts], [host.name for host in behind])
        self._queue = deque(host for host in behind if self._open.get(host.name) is not content)
        self._next()

    def _next(self) -> None:
        while self._queue and self._on_the_way < self._at_a_time:
            host = self._queue.popleft()
            self._open[host.name] = self.announced
            self._write(host, self.announced, "sent")
            self._try((host, self.announced, 0))

    def _try(self, push: tuple[Receiver, Content, int]) -> None:
        host, content, tries = push
        if content is not self.announced or not host.configured or self._state.over:
            return  # a newer one is on its way, or comes with the host's start
        if self._holding.held(host) is content:
            del self._open[host.name]
            return  # it has started with it
        if not (host.up and self._state.machines[self._node].up):
            self._again(push, 0)
            return
        if not tries:
            self._on_the_way += 1
        held = None if tries else self._holding.held(host)
        self._dispatch.send(
            (self._node, host.node),
            push_size_bytes(content, held, host, self._services),
            lambda sent_bytes: self._received(push, sent_bytes),
            lambda sent_bytes: self._lost(push, sent_bytes),
        )

    def _lost(self, push: tuple[Receiver, Content, int], sent_bytes: int) -> None:
        """Take note that the stream is broken: what was under way is lost, and the next gets all that is current."""
        self._again(push, sent_bytes)
        if not push[2]:
            self._answered(None)

    def _again(self, push: tuple[Receiver, Content, int], sent_bytes: int) -> None:
        host, content, tries = push
        self._write(host, content, "stale", sent_bytes)
        if not self._state.over:
            self._holding.blame(self._node, host.node)
            self._clock.at(self._clock.now_ns + again_after_ns(tries), self._try, (host, content, tries + 1))

    def _received(self, push: tuple[Receiver, Content, int], sent_bytes: int) -> None:
        host, content, tries = push
        # The answer frees the control plane's hands, whatever it says; of a proxy that is gone, its connection does.
        answer_ns = self._clock.now_ns + self._dispatch.back_ns((self._node, host.node))
        if not tries:
            self._clock.at(answer_ns, self._answered)
        if self._open.get(host.name) is content:
            del self._open[host.name]
        held = self._holding.held(host)
        if not host.up or not host.configured or (held is not None and held.version >= content.version):
            self._write(host, content, "stale", sent_bytes)  # what it starts with, or has, is newer
            return
        rejecting = self._state.rejecting.of(host.workload)
        if rejecting is None:
            self._holding.hold(host, content)
            self._write(host, content, "acked" if content.change else "rolled_back", sent_bytes)
            return
        rejecting.configurations += 1
        content.rejected += 1
        self._write(host, content, "rejected", sent_bytes)
        if self._state.scenario.mesh.control.on_reject == "roll_back" and content.change and not content.rolled_back:
            self._clock.at(answer_ns, self._holding.roll_back, content)

    def _answered(self, _: None) -> None:
        self._on_the_way -= 1
        self._next()

    def _write(self, host: Receiver, content: Content, event: str, sent_bytes: int = 0) -> None:
        now_ns, kind = self._clock.now_ns, "configuration"
        self._record(ConfigRow(now_ns, content.version, host.name, event, content.news, self._node, kind, sent_bytes))
