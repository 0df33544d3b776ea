"""Who finds room in a queue of so many bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meshsim.network.train import Train

BITS_NS: Final = 8 * 1_000_000_000
"""Bits of a byte times nanoseconds of a second."""


def without_room(train: Train, now_ns: int, free_at_ns: int, bandwidth_bps: int, queue_bytes: int) -> Sequence[int]:
    """Return which packets of a train, by their places, find no room in a queue, as they arrive one by one.

    ``free_at_ns`` is when what waits will have been sent. A packet that finds nothing waiting needs no queue; any other
    has to fit in beside what waits or is being sent.
    """
    segments = train.segments
    segment_bytes = train.size_bytes // segments
    spread_ns = max(0, train.tail_ns - now_ns) if segments > 1 else 0  # all of it may be here, and wait
    waiting_bytes = max(0, free_at_ns - now_ns) * bandwidth_bps // BITS_NS
    drained_bytes = min(train.size_bytes - segment_bytes, spread_ns * bandwidth_bps // BITS_NS)
    if waiting_bytes + train.size_bytes - drained_bytes <= queue_bytes:
        return ()  # the last finds room: its queue is the longest, or was at the first, which is shorter than this
    segment_ns = train.size_bytes * BITS_NS // bandwidth_bps // segments
    over = []
    for position in range(segments):
        here_ns = now_ns + spread_ns * position // max(1, segments - 1)
        ahead_bytes = max(0, free_at_ns - here_ns) * bandwidth_bps // BITS_NS
        if ahead_bytes and ahead_bytes + segment_bytes > queue_bytes:
            over.append(position)
        else:
            free_at_ns = max(free_at_ns, here_ns) + segment_ns
    return over
