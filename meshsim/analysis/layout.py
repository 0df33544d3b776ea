"""Where the boxes of a picture stand, row by row, and how lines get from one to another without crossing a third."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot
from typing import NamedTuple

import numpy as np

from meshsim.analysis.pictures import WIDTH_IN

LINE_IN = 0.17
"""Height of a line of text."""

_GAP_IN = 0.36
_PADDING_IN = 0.14
_CHARACTER_IN, _BOLD_CHARACTER_IN = 0.08, 0.092
_WIDEST_IN = 2.0
_MOST_LINES = 6
_ACROSS, _ACROSS_PLAIN = 3, 6
_CLEARANCE_IN = 0.06
_NARROWEST_GAP_IN = 0.15
_BUNDLE_IN = 0.22
_SAMPLES = 80

Point = tuple[float, float]


class Box(NamedTuple):
    """One box in inches, from the top left of the picture; its first line is its name."""

    left: float
    top: float
    width: float
    height: float
    lines: list[str]

    @property
    def middle(self) -> Point:
        """The point that lines aim at."""
        return self.left + self.width / 2, self.top + self.height / 2

    def holds(self, x: float, y: float, clearance: float = 0.0) -> bool:
        """Whether a point is in the box, or nearer to it than ``clearance``."""
        across = self.left - clearance < x < self.left + self.width + clearance
        return across and self.top - clearance < y < self.top + self.height + clearance


def place_row(boxes: dict[str, Box], top: float, contents: Mapping[str, Sequence[str]]) -> float:
    """Place boxes with these lines under their names, in as many rows as they need; return where the next may begin."""
    names = list(contents)
    rows = -(-len(names) // (_ACROSS if any(contents.values()) else _most_across(names))) or 1
    across = -(-len(names) // rows) or 1  # as even as they come
    for start in range(0, len(names), across):
        row = names[start : start + across]
        width = _width_in(len(row))
        room = (WIDTH_IN - width * len(row)) / len(row)
        for index, name in enumerate(row):
            lines = list(contents[name])
            if len(lines) > _MOST_LINES:
                lines = [*lines[: _MOST_LINES - 1], f"and {len(lines) - _MOST_LINES + 1} more"]
            fitting = [_shortened(name, width, _BOLD_CHARACTER_IN), *(_shortened(text, width) for text in lines)]
            left = room / 2 + index * (width + room)
            boxes[name] = Box(left, top, width, _PADDING_IN + LINE_IN * len(fitting), fitting)
        top = max(boxes[name].top + boxes[name].height for name in row) + _GAP_IN
    return top


def _width_in(across: int) -> float:
    return min(_WIDEST_IN, (WIDTH_IN - 0.1) / across - 0.2)


def _most_across(names: Sequence[str]) -> int:
    """How many boxes with nothing but a name fit into one row."""
    for across in range(_ACROSS_PLAIN, _ACROSS, -1):
        if all(_shortened(name, _width_in(across), _BOLD_CHARACTER_IN) == name for name in names):
            return across
    return _ACROSS


def _shortened(text: str, width_in: float, character_in: float = _CHARACTER_IN) -> str:
    most = int((width_in - 0.06) / character_in)
    return text if len(text) <= most else f"{text[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


class Ways:
    """Finds the ways of lines, one after the other; lines through the same gap go beside each other."""

    def __init__(self, boxes: Mapping[str, Box]) -> None:
        self._boxes = boxes
        self._rows: dict[float, list[Box]] = {}
        for box in boxes.values():
            self._rows.setdefault(box.top, []).append(box)
        self._taken: dict[Point, int] = {}

    def between(self, first: str, second: str) -> list[Point]:
        """The corners of the line from the middle of one box to that of another, the upper end first."""
        upper, lower = sorted((self._boxes[first], self._boxes[second]), key=lambda box: (box.top, box.left))
        if upper.top == lower.top:
            return self._within_row(upper, lower)
        corners = [upper.middle]
        for top in sorted(self._rows):
            if not upper.top < top < lower.top:
                continue
            row = self._rows[top]
            bottom = max(box.top + box.height for box in row)
            (x0, y0), (x1, y1) = corners[-1], lower.middle
            slope = (x1 - x0) / (y1 - y0)
            at_top, at_bottom = x0 + slope * (top - y0), x0 + slope * (bottom - y0)
            if not _blocked(row, min(at_top, at_bottom), max(at_top, at_bottom)):
                corners += [(at_top, top), (at_bottom, bottom)]  # nothing behind may bend what passes here
                continue
            x = self._gap(row, (at_top + at_bottom) / 2)
            corners += [(x, top - _CLEARANCE_IN), (x, bottom + _CLEARANCE_IN)]
        return [*corners, lower.middle]

    def visible_middle(self, corners: Sequence[Point]) -> Point:
        """The middle of the longest stretch of a line that no box hides."""
        points = _sampled(corners)
        best: list[Point] = []
        stretch: list[Point] = []
        for x, y in points:
            hidden = any(box.holds(x, y) for box in self._boxes.values())
            stretch = [] if hidden else [*stretch, (x, y)]
            best = max(best, stretch, key=len)
        return best[len(best) // 2] if best else points[len(points) // 2]

    def _within_row(self, left: Box, right: Box) -> list[Point]:
        """Straight, or over the heads of what stands between."""
        between = [box for box in self._rows[left.top] if left.left < box.left < right.left]
        if not between:
            return [left.middle, right.middle]
        over = left.top - _GAP_IN / 3
        return [left.middle, (left.middle[0], over), (right.middle[0], over), right.middle]

    def _gap(self, row: Sequence[Box], x: float) -> float:
        """The place in the nearest gap of a row that the next line through it takes."""
        edges = [0.0, *(edge for box in sorted(row) for edge in (box.left, box.left + box.width)), WIDTH_IN]
        gaps = [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True)]
        wide = [gap for gap in gaps if gap[1] - gap[0] >= _NARROWEST_GAP_IN] or gaps
        start, end = min(wide, key=lambda gap: abs((gap[0] + gap[1]) / 2 - x))
        number = self._taken.get((row[0].top, start), 0)
        self._taken[row[0].top, start] = number + 1
        aside = _BUNDLE_IN * (number // 2 + 0.5) * (-1 if number % 2 == 0 else 1)
        most = max(0.0, (end - start) / 2 - _CLEARANCE_IN)
        return (start + end) / 2 + min(max(aside, -most), most)


def _blocked(row: Sequence[Box], left: float, right: float) -> bool:
    return any(left < box.left + box.width + _CLEARANCE_IN and right > box.left - _CLEARANCE_IN for box in row)


def beside(corners: Sequence[Point], distance: float) -> list[Point]:
    """The corners of a line beside another, at a distance to its right (seen along it)."""
    points = np.array(corners)
    steps = np.diff(points, axis=0)
    lengths = np.array([hypot(x, y) or 1.0 for x, y in steps])[:, None]
    normals = np.column_stack((-steps[:, 1], steps[:, 0])) / lengths
    at_corners = np.vstack((normals[:1], (normals[:-1] + normals[1:]) / 2, normals[-1:]))
    moved = points + distance * at_corners
    return [(float(x), float(y)) for x, y in moved]


def _sampled(corners: Sequence[Point]) -> list[Point]:
    """Points along a line, evenly spaced."""
    points = np.array(corners)
    lengths = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
    at = np.linspace(0, lengths[-1], _SAMPLES)
    return list(zip(np.interp(at, lengths, points[:, 0]), np.interp(at, lengths, points[:, 1]), strict=True))
