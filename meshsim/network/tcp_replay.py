"""Bringing an exchange up to date with what a connection carried while nobody looked at segments.

A connection of which nothing is lost, late or out of order is carried by arithmetic: whole trains, and of each only
when it was sent and when it arrived. As soon as something goes wrong, what was sent lately is played to the exchange,
so that both ends know what they would know: round trips, what is acknowledged, what is still on its way.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from meshsim.network.tcp_exchange import Exchange
from meshsim.network.tcp_loss import NEVER
from meshsim.network.tcp_packets import Acknowledgement, Packet
from meshsim.network.train import spread_ns

Passage = tuple[int, int, int, int, int, int]
"""A train that arrived whole: direction, when it was sent, when its head and its tail arrived (nanoseconds), its bytes
of the stream (0 are a FIN), and the congestion window when it was sent if that was in its way, else 0."""
Launch = tuple[int, int, int, int, int]
"""A train that is under way: direction, when it was sent, its bytes of the stream, its segments, and the window."""
Heard = tuple[int, int, Packet]
"""A packet on its own: when it arrives, its direction, itself."""


class Replay:
    """The surroundings of an exchange while it catches up: acknowledgements take a fixed time, and nothing is lost."""

    def __init__(self, exchange: Exchange, acknowledgement_ns: tuple[int, int], now_ns: int) -> None:
        self._exchange = exchange
        self._acknowledgement_ns = acknowledgement_ns
        self._until_ns = now_ns
        self.now_ns = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._tails_ns = [0, 0]
        """When the last train arrived, by direction."""
        self._grown: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        """By direction, trains whose arrival opened the window: when, and where in the stream they end."""
        self.packets: dict[int, list[Packet]] = {}
        """Packets of the launches that are under way, by their number."""

    def run(self, passages: Sequence[Passage], launches: Sequence[Launch], heard: Sequence[Heard]) -> None:
        """Play everything up to the present."""
        for passage in passages:
            self.at(passage[1], self._pass, passage)
        for number, launch in enumerate(launches):
            self.at(launch[1], self._launch, number, launch)
        for time_ns, direction, packet in heard:
            self.at(time_ns, self._exchange.arrived, direction, packet)
        while self._step():
            pass

    def _step(self) -> bool:
        """Let the next thing happen; return whether there was one."""
        due_ns = self._heap[0][0] if self._heap else self._until_ns + 1
        for end, state in enumerate(self._exchange.ends):
            timer_ns = state.receiver.timer_ns
            if timer_ns != NEVER and timer_ns < min(due_ns, self._until_ns + 1) and not state.gone:
                self.now_ns = timer_ns
                self._exchange.send_acknowledgement(end)
                return True
        if due_ns > self._until_ns:
            return False
        self.now_ns, _, action, arguments = heapq.heappop(self._heap)
        action(*arguments)
        return True

    def _pass(self, passage: Passage) -> None:
        direction, _, head_ns, tail_ns, size_bytes, window = passage
        self._set_window(direction, window)
        packets = self._exchange.launch(direction, size_bytes)
        if window:
            self._grown[direction].append((tail_ns, self._exchange.ends[direction].sender.sent_bytes))
        sizes_bytes = [packet.size_bytes for packet in packets]
        times_ns = spread_ns(head_ns, tail_ns, sizes_bytes, self._tails_ns[direction])
        self._tails_ns[direction] = tail_ns
        for time_ns, packet in zip(times_ns, packets, strict=True):
            self.at(time_ns, self._exchange.arrived, direction, packet)

    def _launch(self, number: int, launch: Launch) -> None:
        direction, _, size_bytes, segments, window = launch
        self._set_window(direction, window)
        self.packets[number] = self._exchange.launch(direction, size_bytes, segments)

    def _set_window(self, direction: int, window: int) -> None:
        """Set what arithmetic says less what acknowledgements are still to add: it counts what has arrived at once."""
        if not window:
            return
        sender = self._exchange.ends[direction].sender
        counted_bytes = max((end for tail_ns, end in self._grown[direction] if tail_ns <= self.now_ns), default=0)
        if window < sender.window.threshold:
            window -= sum(segment.end <= counted_bytes for segment in sender.outstanding)
        sender.window.segments = max(1, window)

    @property
    def acknowledgements(self) -> list[Heard]:
        """Acknowledgements that are on their way, in the order in which they were sent."""
        return [(time_ns, *arguments) for time_ns, _, _, arguments in sorted(self._heap, key=lambda event: event[1])]

    # What surrounds the exchange

    def at(self, time_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        """Put an event on the heap."""
        self._count += 1
        heapq.heappush(self._heap, (time_ns, self._count, action, arguments))

    def send(self, direction: int, runs: list[list[Packet]]) -> None:
        """Have acknowledgements arrive after their fixed time; nothing else is to be sent."""
        for run in runs:
            for packet in run:
                assert isinstance(packet, Acknowledgement), "nothing was missing, and all was sent"
                arrival_ns = self.now_ns + self._acknowledgement_ns[direction]
                self.at(arrival_ns, self._exchange.arrived, direction, packet)

    def accepts(self) -> bool:
        """Return True: the connection was accepted before."""
        return True

    def connected(self) -> None:
        """Nobody need be told."""

    def advanced(self, direction: int) -> None:
        """What was delivered was delivered."""

    def failed(self, end: int, reason: str) -> None:
        """Nothing fails where nothing is lost."""


def catch_up(
    exchange: Exchange,
    passages: Sequence[Passage],
    launches: Sequence[Launch],
    heard: Sequence[Heard],
    acknowledgement_ns: tuple[int, int],
) -> tuple[list[list[Packet]], list[Heard]]:
    """Play to an exchange what it has missed; ``acknowledgement_ns`` is how long an acknowledgement takes each way.

    Return the packets of each launch, and the acknowledgements that are on their way now, in the order in which they
    were sent. Timers of senders do not go off meanwhile: one that was due is due at once.
    """
    around = exchange.around
    replay = Replay(exchange, acknowledgement_ns, around.now_ns)
    exchange.around = replay
    exchange.quiet = True
    replay.run(passages, launches, heard)
    exchange.around = around
    exchange.quiet = False
    return [replay.packets[number] for number in range(len(launches))], replay.acknowledgements
