"""Radio of a device that moves: cell after cell along a path, with the delays of another model."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

from meshsim.network.radio import RadioModel

AtEnd = Literal["turn", "again", "stay"]


class PathRadioModel:
    """A device that passes cells in turn and stays in each for its time; delays are those of ``model``.

    At the end of the path it turns and goes back, begins again, or stays. ``offset_ns`` is how far it has come already.
    """

    def __init__(
        self, model: RadioModel, cells: Sequence[str], stays_ns: Sequence[int], at_end: AtEnd, offset_ns: int = 0
    ) -> None:
        assert len(cells) == len(stays_ns) > 0
        if at_end == "turn":
            cells, stays_ns = [*cells, *reversed(cells)], [*stays_ns, *reversed(stays_ns)]
        ends_ns = list(accumulate(stays_ns))
        self._model = model
        self._ends = at_end == "stay"
        self.lap_ns = ends_ns[-1]
        """How long it takes until everything is as at the beginning, or stays as it is."""
        self._offset_ns = offset_ns
        self._cells = tuple(cells)
        self._begins_ns = (0, *ends_ns[:-1])
        before = (cells[0] if self._ends else cells[-1], *cells[:-1])
        pairs = zip(cells, before, self._begins_ns, strict=True)
        self._changes_ns = tuple(begin_ns for cell, last, begin_ns in pairs if cell != last)

    def delay_ns(self, direction: int, now_ns: int) -> int:
        """Return what the other model says."""
        return self._model.delay_ns(direction, now_ns)

    def _position(self, now_ns: int) -> int:
        come_ns = now_ns + self._offset_ns
        return min(come_ns, self.lap_ns - 1) if self._ends else come_ns % self.lap_ns

    def cell(self, now_ns: int) -> str:
        """Return the cell that it is in."""
        return self._cells[bisect_right(self._begins_ns, self._position(now_ns)) - 1]

    def next_change_ns(self, now_ns: int) -> int | None:
        """Return when it comes into another cell next."""
        position_ns = self._position(now_ns)
        for change_ns in self._changes_ns:
            if change_ns > position_ns:
                return now_ns + change_ns - position_ns
        if self._ends or not self._changes_ns:
            return None
        return now_ns + self.lap_ns - position_ns + self._changes_ns[0]
