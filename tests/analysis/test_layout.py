"""Boxes in rows, and lines that keep clear of those they do not join."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.analysis.layout import Box, Ways, beside, place_row
from meshsim.analysis.pictures import WIDTH_IN

_ROW = st.integers(1, 4)


def _tiers(sizes: list[int]) -> dict[str, Box]:
    boxes: dict[str, Box] = {}
    top = 0.1
    for tier, size in enumerate(sizes):
        top = place_row(boxes, top, {f"n{tier}-{index}": ["a"] * index for index in range(size)})
    return boxes


@given(sizes=st.lists(_ROW, min_size=1, max_size=5))
def test_boxes_stay_apart_and_on_paper(sizes: list[int]) -> None:
    """No box touches another or leaves the picture."""
    boxes = list(_tiers(sizes).values())
    for number, box in enumerate(boxes):
        assert box.left > 0
        assert box.left + box.width < WIDTH_IN
        for other in boxes[:number]:
            corners = [(other.left + x * other.width, other.top + y * other.height) for x in (0, 1) for y in (0, 1)]
            assert not any(box.holds(x, y, 0.05) for x, y in corners)


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(_ROW, min_size=3, max_size=5), data=st.data())
def test_lines_keep_clear_of_other_boxes(sizes: list[int], data: st.DataObject) -> None:
    """Between two tiers a line goes round whatever stands in between, and shows somewhere on its way."""
    boxes = _tiers(sizes)
    first = data.draw(st.sampled_from([name for name in boxes if name.startswith("n0-")]))
    last = data.draw(st.sampled_from([name for name in boxes if name.startswith(f"n{len(sizes) - 1}-")]))
    ways = Ways(boxes)
    corners = ways.between(first, last)
    others = [
        box for name, box in boxes.items() if name not in (first, last) and not name.startswith(("n0-", last[:3]))
    ]
    for (x0, y0), (x1, y1) in pairwise(corners):
        for step in range(41):
            x, y = x0 + (x1 - x0) * step / 40, y0 + (y1 - y0) * step / 40
            assert not any(box.holds(x, y, -0.001) for box in others)
    x, y = ways.visible_middle(corners)
    assert not any(box.holds(x, y) for box in boxes.values())


def test_lines_through_one_gap_go_beside_each_other() -> None:
    """Two lines that need the same gap get a place of their own in it."""
    boxes = _tiers([1, 2, 2])
    ways = Ways(boxes)
    first, second = ways.between("n0-0", "n2-0"), ways.between("n0-0", "n2-1")
    assert len(first) == len(second) == 4
    assert abs(first[1][0] - second[1][0]) > 0.1


def test_neighbours_are_joined_straight_and_others_over_the_heads() -> None:
    """Within a row a line is straight, unless something stands in between."""
    ways = Ways(_tiers([3]))
    assert len(ways.between("n0-0", "n0-1")) == 2
    assert len(ways.between("n0-0", "n0-2")) == 4


def test_a_line_beside_another_keeps_its_distance() -> None:
    """The lines of slices run parallel."""
    assert beside([(0.0, 0.0), (0.0, 1.0)], 0.5) == [(-0.5, 0.0), (-0.5, 1.0)]


def test_long_names_and_long_lists_are_cut() -> None:
    """What does not fit is shortened, visibly."""
    boxes: dict[str, Box] = {}
    place_row(boxes, 0, {"a-very-long-name-for-a-node-of-an-edge-site": [f"service-{n}" for n in range(20)], "b": []})
    lines = next(iter(boxes.values())).lines
    assert lines[0].endswith("\N{HORIZONTAL ELLIPSIS}")
    assert lines[-1] == "and 15 more"
    assert len(lines) == 7


def test_base_stations_share_a_row() -> None:
    """Boxes with nothing but a short name stand up to six in a row."""
    boxes: dict[str, Box] = {}
    place_row(boxes, 0, {f"gnb-{n}": [] for n in range(6)})
    assert len({box.top for box in boxes.values()}) == 1
