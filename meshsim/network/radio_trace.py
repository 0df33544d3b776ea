"""A measured trace of round trips, split into the two ways.

A ping tells the sum of both ways, and its answer comes back later than it was sent: what the answer met is what the
radio was like then. So half of the round trip each way is right only while round trips are short against the time
between samples. In an outage of ten seconds halves would give back seven: the answer, sent after five, would find the
outage half over. Here the ways are chosen so that each ping, replayed, takes the time that it took.
"""

from __future__ import annotations

import functools
from bisect import bisect_right

_PASSES = 4
_TOLERANCE = 100
"""A replayed ping may be off by this part of its time, one percent, if that lets it wait for the end of an outage."""
_MOST_TRIES = 1024
"""Samples after a ping among which its answer is looked for: a minute at 55 ms."""


@functools.lru_cache(maxsize=8)
def one_way_delays_ns(
    times_ns: tuple[int, ...], round_trips_ns: tuple[int, ...], period_ns: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the uplink and the downlink delay of each sample of a trace that repeats after ``period_ns``.

    ``times_ns`` begin at 0 and grow; a sample holds until the next. For every sample i: uplink i plus the downlink that
    is in force when the ping has come up is round trip i.

    - Short round trips are halved; an odd nanosecond goes to the downlink. This is exact.
    - Else both ways are equally long, and as long as can be: in an outage packets wait for its end, whichever way they
      go, and then the other way is short again. This is exact to one percent.
    - Where that leads nowhere (an answer got through that a ping sent a little later could not have), the ping went up
      in the usual time and its answer waited. This is exact unless samples lie closer than the usual way is long.
    """
    size = len(times_ns)
    usual_ns = sorted(round_trips_ns)[size // 2] // 2
    up_ns = [round_trip_ns // 2 for round_trip_ns in round_trips_ns]
    down_ns = [round_trip_ns - round_trip_ns // 2 for round_trip_ns in round_trips_ns]
    starts_ns = (*times_ns, period_ns)
    for _ in range(_PASSES):  # the last samples look into the next lap, which the first pass has not seen
        before = (tuple(up_ns), tuple(down_ns))
        for index in reversed(range(size)):
            length_ns = starts_ns[index + 1] - starts_ns[index]
            round_trip_ns = round_trips_ns[index]
            if round_trip_ns // 2 < length_ns:
                continue
            way_ns = _equal_way_ns(index, round_trip_ns, down_ns, starts_ns)
            if way_ns is not None:
                up_ns[index] = down_ns[index] = way_ns
            else:
                up_ns[index] = min(usual_ns, length_ns - 1)
                down_ns[index] = round_trip_ns - up_ns[index]
        if before == (tuple(up_ns), tuple(down_ns)):
            break
    return tuple(up_ns), tuple(down_ns)


def _equal_way_ns(index: int, round_trip_ns: int, down_ns: list[int], starts_ns: tuple[int, ...]) -> int | None:
    """The longest uplink delay at a sample after which the downlink in force completes the round trip; None if none."""
    size, period_ns = len(down_ns), starts_ns[-1]
    start_ns = starts_ns[index]
    lap, position_ns = divmod(start_ns + round_trip_ns, period_ns)
    last = lap * size + bisect_right(starts_ns, position_ns) - 1
    for other in range(last, max(index, last - _MOST_TRIES), -1):
        lap, inner = divmod(other, size)
        way_ns = round_trip_ns - down_ns[inner]
        arrival_ns = start_ns + way_ns - lap * period_ns
        nearest_ns = min(max(arrival_ns, starts_ns[inner]), starts_ns[inner + 1] - 1)
        if abs(nearest_ns - arrival_ns) * _TOLERANCE <= round_trip_ns:
            return way_ns + nearest_ns - arrival_ns
    return None
