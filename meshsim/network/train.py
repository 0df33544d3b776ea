"""The packet train: what hops act on."""

from __future__ import annotations

LOST = -1
"""What a hop returns when nothing of a train came through."""
COPY = -1
"""Marks a train that repeats segments of another: it takes its place on every hop, and nothing is drawn for it."""


class Train:
    """A run of TCP segments sent together, on its way.

    Hops are crossed cut-through: the head may be on the next link while the tail is still on this one. ``tail_ns`` is
    when the last segment reaches the next hop; ``radio_ns`` is how much of the tail's travel was radio access.
    """

    __slots__ = (
        "copies",
        "corrupted",
        "epoch",
        "lost_segments",
        "radio_ns",
        "segments",
        "size_bytes",
        "slice",
        "tail_lost",
        "tail_ns",
    )

    size_bytes: int
    segments: int
    tail_ns: int
    radio_ns: int
    lost_segments: int
    tail_lost: bool
    epoch: int
    slice: str
    """Slice that it travels in: its place at a shared medium."""
    copies: int
    """Segments that the last hop wants sent once more; ``COPY`` if the train is itself such a copy."""
    corrupted: int
    """Segments that were damaged on the way."""

    def load(self, size_bytes: int, segments: int, now_ns: int) -> None:
        """Start anew with this many bytes (headers included) in this many segments."""
        self.size_bytes = size_bytes
        self.segments = segments
        self.tail_ns = now_ns
        self.radio_ns = 0
        self.lost_segments = 0
        self.tail_lost = False
        self.epoch = 0
        self.copies = 0
        self.corrupted = 0

    def lose(self, segments: int, *, tail: bool) -> int:
        """Take ``segments`` out of the train; return how many bytes went with them."""
        lost_bytes = self.size_bytes if segments >= self.segments else self.size_bytes * segments // self.segments
        self.size_bytes -= lost_bytes
        self.segments -= segments
        self.lost_segments += segments
        self.tail_lost = self.tail_lost or tail
        if self.corrupted > self.segments:
            self.corrupted = self.segments
        return lost_bytes
