"""Links that schedule slices: the queue of each is as long as the link's, and no longer."""

from __future__ import annotations

from random import Random

from meshsim.network.medium import WAITING, SharedMedium, SliceQueue
from meshsim.network.sliced_link import SlicedLinkDirection
from meshsim.network.train import LOST, Train

MS = 1_000_000


def train(segments: int, slice_name: str) -> Train:
    """A train of packets of 1000 bytes."""
    made = Train()
    made.load(1_000 * segments, segments, 0)
    made.slice = slice_name
    return made


def link(queue_bytes: int) -> SlicedLinkDirection:
    """A link of 8 Mbit/s, a byte a microsecond, with two slices."""
    queues = {name: SliceQueue(name, 500_000, 50) for name in ("web", "video")}
    medium = SharedMedium(8_000_000, queues, interval_ns=MS)
    return SlicedLinkDirection("a--b", "a", "b", MS, 8_000_000, 0, queue_bytes, Random(0), medium)


def test_what_does_not_fit_is_dropped_from_the_end() -> None:
    """Behind eight packets there is room for two of three in a queue of ten; the third is lost."""
    hop = link(10_000)
    assert hop.enter(train(8, "web"), 0) == WAITING
    late = train(3, "web")
    assert hop.enter(late, 0) == WAITING
    assert (late.segments, late.alive) == (2, [0, 1])
    assert (hop.lost_bytes, hop.drops) == (1_000, 1)
    full = train(1, "web")
    assert hop.enter(full, 0) == LOST


def test_each_slice_has_a_queue_of_its_own() -> None:
    """A slice whose queue is full leaves another's alone, and of a train that comes at once only what fits is left."""
    hop = link(2_000)
    assert hop.enter(train(20, "web"), 0) == WAITING
    assert hop.enter(train(1, "web"), 0) == LOST
    other = train(20, "video")
    assert hop.enter(other, 0) == WAITING
    assert other.segments == 2
