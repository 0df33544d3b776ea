"""A dialogue over a path: an exchange with an event loop of its own and without a clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from meshsim.network import tcp
from meshsim.network.tcp_dialogue import Dialogue, Turn
from meshsim.network.tcp_exchange import Exchange, Memories
from meshsim.network.tcp_loss import NEVER
from meshsim.network.tcp_packets import Packet
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import Path

MAXIMUM_DURATION_NS = 86_400 * tcp.S
"""A dialogue that takes longer is our mistake: every timer gives up before."""


class Play:
    """The event loop of one connection."""

    def __init__(
        self,
        dialogue: Dialogue,
        path: Path,
        parameters: TcpParameters,
        memories: Memories,
        start_ns: int,
    ) -> None:
        self.dialogue = dialogue
        self.path = path
        self.start_ns = start_ns
        self.now_ns = start_ns
        self.exchange = Exchange(parameters, self, memories)
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self.packets = [0, 0]
        self.failure = ""
        self.connected_ns = NEVER
        # The dialogue: stream positions at which turns begin and end.
        self.spans: list[tuple[int, int]] = []
        position = [0, 0]
        for turn in dialogue:
            self.spans.append((position[turn.direction], position[turn.direction] + turn.size_bytes))
            position[turn.direction] += turn.size_bytes
        self.first_byte_ns: list[int] = []
        self.delivered_ns: list[int] = []
        self._started = 0

    def run(self) -> None:
        """Play until the last turn is delivered or the connection breaks."""
        self.exchange.open()
        while self._heap and not self.failure and len(self.delivered_ns) < len(self.dialogue):
            self.now_ns, _, action, arguments = heapq.heappop(self._heap)
            assert self.now_ns - self.start_ns < MAXIMUM_DURATION_NS, "the dialogue does not end"
            action(*arguments)
        assert self.failure or len(self.delivered_ns) == len(self.dialogue), "the dialogue has stopped"

    # What surrounds the exchange

    def at(self, time_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        """Put an event on the heap."""
        self._count += 1
        heapq.heappush(self._heap, (time_ns, self._count, action, arguments))

    def send(self, direction: int, runs: list[list[Packet]]) -> None:
        """Send packets over the path."""
        for run in runs:
            self.packets[direction] += 1
            lost = self.path.lost(direction, self.now_ns)
            for packet in run:
                time_ns = self.path.arrival_ns(direction, self.now_ns, packet.size_bytes)
                if not lost:
                    self.at(time_ns, self.exchange.arrived, direction, packet)

    def accepts(self) -> bool:
        """Somebody always listens."""
        return True

    def connected(self) -> None:
        """Let the first turn begin."""
        self.connected_ns = self.now_ns - self.start_ns
        self._next_turn(self.dialogue[0])

    def failed(self, end: int, reason: str) -> None:
        """Take note that the client or the established server gave up; a request that is forgotten is not the end."""
        if not end or self.exchange.set_up.server_ready:
            self.failure = reason

    def advanced(self, direction: int) -> None:
        """Note which turns have begun and ended to arrive, and let the next begin."""
        in_order_bytes = self.exchange.ends[1 - direction].receiver.in_order_bytes
        done = len(self.delivered_ns)
        while len(self.first_byte_ns) < self._started:
            turn = len(self.first_byte_ns)
            if self.dialogue[turn].direction != direction or self.spans[turn][0] >= in_order_bytes:
                break
            self.first_byte_ns.append(self.now_ns - self.start_ns)
        while len(self.delivered_ns) < len(self.first_byte_ns):
            turn = len(self.delivered_ns)
            if self.dialogue[turn].direction != direction or self.spans[turn][1] > in_order_bytes:
                break
            self.delivered_ns.append(self.now_ns - self.start_ns)
        if len(self.delivered_ns) > done and len(self.delivered_ns) == self._started:
            following = self._following
            if following is not None and following.direction != direction:
                self._next_turn(following)

    # The dialogue

    @property
    def _following(self) -> Turn | None:
        """The turn that begins next."""
        return self.dialogue[self._started] if self._started < len(self.dialogue) else None

    def _next_turn(self, turn: Turn) -> None:
        self.at(self.now_ns + turn.compute_ns, self._speak, self._started)

    def _speak(self, index: int) -> None:
        turn = self.dialogue[index]
        self._started = index + 1
        for size_bytes in turn.writes_bytes:
            self.exchange.write(turn.direction, size_bytes)
        following = self._following
        if following is not None and following.direction == turn.direction:
            self._next_turn(following)
