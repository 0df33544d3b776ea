"""The packet train: what hops act on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

if TYPE_CHECKING:
    from meshsim.network.medium import SliceQueue

COPY: Final = -1
"""Marks a train that repeats segments of another: it takes its place on every hop, and nothing is drawn for it."""
NO_LIMIT: Final = 2**61 - 1
"""More than any size or time."""
LOST: Final = NO_LIMIT + 1
"""What a hop returns when nothing of a train came through: beyond any limit, as all that is no time, so that carriers
look once whether a train goes on as expected. Compiled code makes objects of integers from 2**62 on."""


def spread_ns(head_ns: int, tail_ns: int, sizes_bytes: Sequence[int], before_ns: int) -> list[int]:
    """Return when each segment of a train arrives whose head and tail arrive at these instants.

    ``head_ns`` is told for a train of equal segments; if they are not, the first arrives a little earlier or later.
    None arrives before ``before_ns``, when the tail of the train before was there, unless this one's tail does too.
    """
    total_bytes = sum(sizes_bytes)
    count = len(sizes_bytes)
    left_bytes = total_bytes
    times_ns = []
    for size_bytes in sizes_bytes:
        left_bytes -= size_bytes
        time_ns = tail_ns - (tail_ns - head_ns) * left_bytes * count // (total_bytes * max(1, count - 1))
        times_ns.append(time_ns if tail_ns < before_ns else max(time_ns, before_ns))
    return times_ns


@mypyc_attr(allow_interpreted_subclasses=True)
class Train:
    """A run of TCP segments sent together, on its way.

    Hops are crossed cut-through: the head may be on the next link while the tail is still on this one. ``tail_ns`` is
    when the last segment reaches the next hop; ``radio_ns`` is how much of the tail's travel was radio access.
    """

    __slots__ = (
        "alive",
        "beyond",
        "copies",
        "corrupted",
        "epoch",
        "limit_ns",
        "queue",
        "radio_ns",
        "segments",
        "size_bytes",
        "slice",
        "tail_ns",
    )

    size_bytes: int
    segments: int
    tail_ns: int
    radio_ns: int
    alive: list[int] | None
    """Which of its segments are left, counted from 0; None while all are."""
    limit_ns: int
    """Latest instant at which its head may reach the next hop without a closer look at its connection; -1 once
    something of it was lost."""
    epoch: int
    slice: str
    """Slice that it travels in: its place at a shared medium."""
    copies: int
    """Segments that the last hop wants sent once more; ``COPY`` if the train is itself such a copy."""
    corrupted: Sequence[int]
    """Segments that were damaged on the way, of those that are left."""
    queue: SliceQueue
    """Where it waits for the air, or has waited last."""
    beyond: bool
    """Whether it is more than the air owes its flow, by burst volume or guaranteed bit rate."""

    def load(self, size_bytes: int, segments: int, now_ns: int) -> None:
        """Start anew with this many bytes (headers included) in this many segments."""
        self.size_bytes = size_bytes
        self.segments = segments
        self.tail_ns = now_ns
        self.radio_ns = 0
        self.alive = None
        self.limit_ns = NO_LIMIT
        self.epoch = 0
        self.copies = 0
        self.corrupted = ()

    def lose(self, positions: Sequence[int]) -> int:
        """Take segments out of the train, by their places among those left; return how many bytes went with them."""
        lost = len(positions)
        lost_bytes = self.size_bytes if lost >= self.segments else self.size_bytes * lost // self.segments
        alive = list(range(self.segments)) if self.alive is None else self.alive
        for position in reversed(positions):
            del alive[position]
        self.alive = alive
        self.limit_ns = -1
        self.size_bytes -= lost_bytes
        self.segments -= lost
        if self.corrupted:
            self.corrupted = [segment for segment in self.corrupted if segment in alive]
        return lost_bytes

    def corrupt(self, positions: Sequence[int]) -> None:
        """Damage segments, by their places among those left."""
        alive = self.alive
        struck = positions if alive is None else [alive[position] for position in positions]
        self.corrupted = sorted({*self.corrupted, *struck})
