"""A shared medium that schedules slices: the air of a cell, or a link between sites.

Each slice has a *guarantee* (a part of the medium's bandwidth, kept as a token bucket) and a *priority*. Whenever the
medium is free it takes the next chunk from, first, the slices that have tokens left, in the order of priority; then,
if there is none, from any that has something to send, in the order of priority, equals in turn: that is borrowing. So a
slice gets its guarantee whatever the others offer, the medium is never idle while anything waits, and what is over goes
to the most important. A *chunk* is what fits one scheduling interval (a slot of the air interface).

Sans-IO: time is an argument, ``next_ns`` says when ``advance`` is wanted. A train that has the medium to itself is sent
in one *run* of many chunks, which is cut at the end of a chunk as soon as another slice wants to send: the same
schedule as chunk by chunk, without an event for each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from meshsim.network.promise import AirTally
from meshsim.network.train import LOST, Train

WAITING: Final = LOST + 1
"""What a hop returns when a train has to wait for the medium: ``advance`` will name it."""
NEVER: Final = 2**62 - 1
"""An instant that does not come."""

_BITS_NS = 8 * 1_000_000_000
_PPM = 1_000_000


class SliceQueue:
    """One slice's place at a medium: its guarantee, its priority, what waits, and its counters."""

    __slots__ = (
        "_filled_at_ns",
        "_tokens",
        "_waiting_bytes",
        "air",
        "borrowed",
        "busy_ns",
        "delivered_bytes",
        "drops",
        "guarantee_ppm",
        "key",
        "lost_bytes",
        "priority",
        "running_since_ns",
        "sent_bytes",
        "sent_until_ns",
        "waiting",
    )

    up = True  # what takes a cell down is its gnb, and that loses trains at the node

    def __init__(self, key: str, guarantee_ppm: int, priority: int) -> None:
        self.key = key
        self.guarantee_ppm = guarantee_ppm
        self.priority = priority
        """The lowest number is served first, as with 5QI priority levels."""
        self._tokens = 0  # bytes x _PPM x _BITS_NS: exact, so that nothing depends on how often it is filled
        self._filled_at_ns = 0
        self.borrowed = 0
        """Which of the medium's chunks without a guarantee it had last, counted from 1: equals take turns."""
        self.waiting: deque[Waiting] = deque()
        self._waiting_bytes = 0
        self.busy_ns = 0
        self.running_since_ns = NEVER
        """When the run began that sends from it now, of which ``busy_ns`` knows nothing before its end."""
        self.sent_until_ns = 0
        """When the last train is over that found the medium idle, which ``busy_ns`` counts from its beginning."""
        self.sent_bytes = 0
        self.delivered_bytes = 0
        self.lost_bytes = 0
        self.drops = 0
        self.air = AirTally()
        """What radio access counts of the packets that it took across; untouched at a link."""

    def enqueue(self, train: Train) -> None:
        """Have a train wait."""
        self.waiting.append(Waiting(train))
        self._waiting_bytes += train.size_bytes

    def line_up(self, waiting: Waiting) -> None:
        """Have waited what may be sent by other ways, too."""
        self.waiting.append(waiting)
        self._waiting_bytes += waiting.left_bytes

    def pay(self, size_bytes: int, chunk_bytes: int) -> None:
        """Take the tokens of bytes that were sent under the guarantee; what a run sends beyond is borrowed.

        A last chunk may cost more tokens than there are: that is a debt, of less than a chunk.
        """
        self._tokens = max(self._tokens - size_bytes * _PPM * _BITS_NS, -chunk_bytes * _PPM * _BITS_NS)

    def has_tokens(self, bandwidth_bps: int, window_ns: int, now_ns: int) -> bool:
        """Say whether the guarantee still covers something; tokens of at most one window are kept."""
        rate = bandwidth_bps * self.guarantee_ppm
        self._tokens = min(self._tokens + rate * (now_ns - self._filled_at_ns), rate * window_ns)
        self._filled_at_ns = now_ns
        return self._tokens > 0

    def refuse(self, train: Train, positions: Sequence[int]) -> None:
        """Drop what finds no room before it waits."""
        if positions:
            lost_bytes = train.lose(positions)
            self.sent_bytes += lost_bytes
            self.lost_bytes += lost_bytes
            self.drops += len(positions)

    def lose(self, train: Train) -> None:
        """Take back that a train was delivered: its sender dropped it."""
        packets = train.segments
        lost_bytes = train.lose(range(packets))
        self.delivered_bytes -= lost_bytes
        self.lost_bytes += lost_bytes
        self.drops += packets

    def withdraw(self, waiting: Waiting) -> None:
        """Have a train wait no longer, which goes on elsewhere; what was sent of it was sent in vain."""
        self.waiting.remove(waiting)
        self._waiting_bytes -= waiting.left_bytes
        self.delivered_bytes += waiting.train.size_bytes  # it came away from here, though by another way

    def sent(self, size_bytes: int) -> None:
        """Take bytes that were sent off what waits."""
        self._waiting_bytes -= size_bytes

    def waiting_bytes(self, now_ns: int) -> int:
        """Bytes that wait or are being sent."""
        return self._waiting_bytes

    def backlog_ns(self, now_ns: int) -> int:
        """What ``busy_ns`` counts and is still to be sent; negative for what is being sent and not counted yet."""
        if self.running_since_ns < now_ns:
            return self.running_since_ns - now_ns
        return max(0, self.sent_until_ns - now_ns)


class Waiting:
    """A train that waits, and how much of it is still to be sent."""

    __slots__ = ("left_bytes", "train")

    def __init__(self, train: Train) -> None:
        self.train = train
        self.left_bytes = train.size_bytes

    def goes(self, leaves: Callable[[Train], bool]) -> bool:
        """Say whether it is of those that leave."""
        return leaves(self.train)


class SharedMedium:
    """One direction of a medium. With ``isolated`` false it is one first-come first-served queue for all slices."""

    __slots__ = (
        "_bandwidth_bps",
        "_borrowed",
        "_busy_until_ns",
        "_chunk_bytes",
        "_fifo",
        "_order",
        "_run_borrows",
        "_run_bytes",
        "_run_queue",
        "_run_start_ns",
        "_window_ns",
        "isolated",
        "queues",
        "wake_ns",
    )

    def __init__(
        self,
        bandwidth_bps: int,
        queues: dict[str, SliceQueue],
        *,
        interval_ns: int,
        window_ns: int = 10_000_000,
        isolated: bool = True,
    ) -> None:
        assert sum(queue.guarantee_ppm for queue in queues.values()) <= _PPM, "guarantees over 100 %"
        self._bandwidth_bps = bandwidth_bps
        self._chunk_bytes = max(1, bandwidth_bps * interval_ns // _BITS_NS)
        self._window_ns = window_ns
        self.queues = queues
        self.isolated = isolated
        self._order = sorted(queues.values(), key=lambda queue: queue.priority)
        self._fifo: deque[SliceQueue] = deque()
        self._busy_until_ns = 0
        self._run_queue: SliceQueue | None = None
        self._run_start_ns = 0
        self._run_bytes = 0
        self._run_borrows = False
        self._borrowed = 0
        self.wake_ns = NEVER
        """When its owner has promised to call ``advance``; the owner's to keep."""

    def offer(self, slice_name: str, train: Train, now_ns: int) -> int:
        """Take a train. Return when it has been sent, if it need not wait and is one chunk; else ``WAITING``."""
        queue = self.queues[slice_name]
        size_bytes = train.size_bytes
        queue.sent_bytes += size_bytes
        idle = self._run_queue is None and self._busy_until_ns <= now_ns
        if idle and size_bytes <= self._chunk_bytes and not self._is_awaited(now_ns):
            if queue.has_tokens(self._bandwidth_bps, self._window_ns, now_ns):
                queue.pay(size_bytes, self._chunk_bytes)
            serialisation_ns = size_bytes * _BITS_NS // self._bandwidth_bps
            queue.busy_ns += serialisation_ns
            queue.delivered_bytes += size_bytes
            self._busy_until_ns = queue.sent_until_ns = now_ns + serialisation_ns
            return self._busy_until_ns
        queue.enqueue(train)
        if not self.isolated:
            self._fifo.append(queue)
        if idle:
            self._begin(now_ns)
        elif self._run_queue is not None and self.isolated and queue is not self._run_queue:
            self._cut(now_ns)
        return WAITING

    def _is_awaited(self, now_ns: int) -> bool:
        """Say whether something waits for the medium, which is free: if at all, it is free since this very instant."""
        return self._busy_until_ns == now_ns and any(queue.waiting for queue in self._order)

    def withdraw(self, leaves: Callable[[Train], bool], now_ns: int) -> list[Train]:
        """Take out the trains that leave before they were sent whole; return them, the longest there first."""
        running, sending = self._run_queue, self._sending()
        sent = sending if sending is not None and self._is_sent(sending, now_ns) else None
        gone = {id(one): one for queue in self._order for one in queue.waiting if one is not sent and one.goes(leaves)}
        if not gone:
            return []
        if running is not None and id(sending) in gone:
            self._stop(running, now_ns)
        places = {queue.key: iter([*queue.waiting]) for queue in self._order}
        self._fifo = deque(queue for queue in self._fifo if id(next(places[queue.key])) not in gone)
        for queue in self._order:
            for one in [*queue.waiting]:
                if id(one) in gone:
                    queue.withdraw(one)
        if self._run_queue is None and self._busy_until_ns <= now_ns:
            self._begin(now_ns)
        return sorted((one.train for one in gone.values()), key=lambda train: train.tail_ns)

    def _sending(self) -> Waiting | None:
        """Return the train that is being sent, if one had to wait for that."""
        return None if self._run_queue is None else self._run_queue.waiting[0]

    def _is_sent(self, sending: Waiting, now_ns: int) -> bool:
        """Say whether the train that is being sent has been sent whole, though ``advance`` has not said so yet."""
        return self._busy_until_ns <= now_ns and sending.left_bytes == self._run_bytes

    def _stop(self, running: SliceQueue, now_ns: int) -> None:
        """End the present run with what it has sent by now, which is not a whole train."""
        self._run_queue = None
        if self._busy_until_ns > now_ns:
            self._run_bytes = (now_ns - self._run_start_ns) * self._bandwidth_bps // _BITS_NS
            self._busy_until_ns = now_ns
        self._end(running)

    @property
    def bandwidth_bps(self) -> int:
        """What all slices share."""
        return self._bandwidth_bps

    @property
    def next_ns(self) -> int:
        """When ``advance`` is wanted next; ``NEVER`` while nothing waits."""
        if self._run_queue is None and not any(queue.waiting for queue in self._order):
            return NEVER
        return self._busy_until_ns

    def advance(self, now_ns: int) -> Train | None:
        """End the run that is due and begin the next; return the train that has now been sent whole, if any."""
        if self._busy_until_ns > now_ns:
            return None
        done = None
        queue = self._run_queue
        if queue is not None:
            self._run_queue = None
            done = self._end(queue)
        self._begin(now_ns)
        return done

    def _end(self, queue: SliceQueue) -> Train | None:
        size_bytes = self._run_bytes
        waiting = queue.waiting[0]
        waiting.left_bytes -= size_bytes
        queue.sent(size_bytes)
        if not self._run_borrows:
            queue.pay(size_bytes, self._chunk_bytes)
        queue.busy_ns += size_bytes * _BITS_NS // self._bandwidth_bps
        queue.running_since_ns = NEVER
        if waiting.left_bytes:
            return None
        queue.waiting.popleft()
        if not self.isolated:
            self._fifo.popleft()
        queue.delivered_bytes += waiting.train.size_bytes
        return waiting.train

    def _begin(self, now_ns: int) -> None:
        queue = self._choose(now_ns)
        if queue is None:
            return
        left_bytes = queue.waiting[0].left_bytes
        alone = not self.isolated or not any(other.waiting for other in self._order if other is not queue)
        self._run_queue = queue
        self._run_start_ns = queue.running_since_ns = now_ns
        self._run_bytes = left_bytes if alone else min(left_bytes, self._chunk_bytes)
        self._busy_until_ns = now_ns + self._run_bytes * _BITS_NS // self._bandwidth_bps

    def _cut(self, now_ns: int) -> None:
        """End the present run with the chunk that is being sent."""
        elapsed_bits_ns = (now_ns - self._run_start_ns) * self._bandwidth_bps
        chunks = max(1, -(-elapsed_bits_ns // (self._chunk_bytes * _BITS_NS)))
        size_bytes = chunks * self._chunk_bytes
        if size_bytes < self._run_bytes:
            self._run_bytes = size_bytes
            self._busy_until_ns = self._run_start_ns + size_bytes * _BITS_NS // self._bandwidth_bps

    def _choose(self, now_ns: int) -> SliceQueue | None:
        if not self.isolated:
            return self._fifo[0] if self._fifo else None
        borrower = None
        for queue in self._order:
            if queue.waiting:
                if queue.has_tokens(self._bandwidth_bps, self._window_ns, now_ns):
                    self._run_borrows = False
                    return queue
                if borrower is None or (queue.priority == borrower.priority and queue.borrowed < borrower.borrowed):
                    borrower = queue
        self._run_borrows = True
        if borrower is not None:
            self._borrowed = borrower.borrowed = self._borrowed + 1
        return borrower
