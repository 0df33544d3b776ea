"""Radio models: what a device's delay is at an instant, and which cell serves it."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from random import Random
from typing import Protocol

from meshsim.network.radio_trace import one_way_delays_ns

UPLINK, DOWNLINK = 0, 1


class RadioModel(Protocol):
    """One device's radio conditions over time."""

    def delay_ns(self, direction: int, now_ns: int) -> int:
        """One-way delay of a packet that enters the radio link now; ``LOST`` if it does not get through."""

    def cell(self, now_ns: int) -> str:
        """Cell that serves the device now."""

    def next_change_ns(self, now_ns: int) -> int | None:
        """When the serving cell changes next, later than now; None if never."""


class FixedRadioModel:
    """Constant delays in one cell."""

    def __init__(self, cell: str, uplink_ns: int, downlink_ns: int) -> None:
        self._cell = cell
        self._delays_ns = (uplink_ns, downlink_ns)

    def delay_ns(self, direction: int, now_ns: int) -> int:
        """Return the constant delay."""
        return self._delays_ns[direction]

    def cell(self, now_ns: int) -> str:
        """Return the one cell."""
        return self._cell

    def next_change_ns(self, now_ns: int) -> int | None:
        """Return None: the cell never changes."""
        return None


class QuantileRadioModel(FixedRadioModel):
    """Delays drawn from measured quantiles, linear between the points, in one cell.

    ``points`` are (share in parts per million, delay) in ascending order, one tuple per direction. Below the first
    point delays are drawn between half of its share's slope and itself: see ``quantile_ns``.
    """

    def __init__(self, cell: str, points: tuple[tuple[tuple[int, int], ...], ...], random: Random) -> None:
        super().__init__(cell, 0, 0)
        self._points = points
        self._random = random

    def delay_ns(self, direction: int, now_ns: int) -> int:
        """Draw a delay."""
        return quantile_ns(self._points[direction], self._random.random())


def quantile_ns(points: tuple[tuple[int, int], ...], share: float) -> int:
    """Return the delay at quantile ``share`` (0 to 1) of a piecewise linear distribution through ``points``.

    Outside the published points the distribution is flat: what lies below the lowest (above the highest) point is taken
    to be that point, so that no delay is invented that nobody measured.
    """
    position = share * 1_000_000
    if position <= points[0][0]:
        return points[0][1]
    for (low_ppm, low_ns), (high_ppm, high_ns) in itertools.pairwise(points):
        if position <= high_ppm:
            return low_ns + round((high_ns - low_ns) * (position - low_ppm) / (high_ppm - low_ppm))
    return points[-1][1]


class TraceRadioModel:
    """A measured drive, replayed: each ping takes as long as it took, the serving cell is as it was.

    The trace is repeated for as long as the run lasts; ``offset_ns`` is where in it the device begins.
    """

    def __init__(
        self, times_ns: tuple[int, ...], round_trips_ns: tuple[int, ...], cells: tuple[str, ...], offset_ns: int
    ) -> None:
        assert len(times_ns) == len(round_trips_ns) == len(cells) >= 2
        self._times_ns = tuple(time_ns - times_ns[0] for time_ns in times_ns)
        self._cells = cells
        # The last sample lasts as long as the one before it did.
        self.period_ns = times_ns[-1] + (times_ns[-1] - times_ns[-2]) - times_ns[0]
        self._delays_ns = one_way_delays_ns(self._times_ns, round_trips_ns, self.period_ns)
        self._offset_ns = offset_ns % self.period_ns
        self._changes_ns = tuple(
            times_ns[i] - times_ns[0] for i in range(len(cells)) if cells[i] != cells[i - 1]
        )  # index 0 compares with the last sample: the change where the trace begins again

    def _index(self, now_ns: int) -> int:
        return bisect_right(self._times_ns, (now_ns + self._offset_ns) % self.period_ns) - 1

    def delay_ns(self, direction: int, now_ns: int) -> int:
        """Return this way's part of the round trip that was measured at this point: see ``one_way_delays_ns``."""
        return self._delays_ns[direction][self._index(now_ns)]

    def cell(self, now_ns: int) -> str:
        """Return the serving cell of the trace at this point."""
        return self._cells[self._index(now_ns)]

    def next_change_ns(self, now_ns: int) -> int | None:
        """Return when the serving cell changes next."""
        if not self._changes_ns:
            return None
        position_ns = (now_ns + self._offset_ns) % self.period_ns
        lap_start_ns = now_ns - position_ns
        for change_ns in self._changes_ns:
            if change_ns > position_ns:
                return lap_start_ns + change_ns
        return lap_start_ns + self.period_ns + self._changes_ns[0]
