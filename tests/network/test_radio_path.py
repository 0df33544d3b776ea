"""Devices that pass cell after cell."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.network.radio import DOWNLINK, UPLINK, FixedRadioModel
from meshsim.network.radio_path import AtEnd, PathRadioModel

S = 1_000_000_000
FIXED = FixedRadioModel("nowhere", 3, 4)


def way(cells: Sequence[str], stays_s: Sequence[int], at_end: AtEnd, offset_ns: int = 0) -> PathRadioModel:
    """A path with these stays."""
    return PathRadioModel(FIXED, cells, [stay * S for stay in stays_s], at_end, offset_ns)


def handovers(model: PathRadioModel, until_s: int) -> list[tuple[float, str]]:
    """When the cell changes, and to which."""
    found, now_ns = [], 0
    while (change_ns := model.next_change_ns(now_ns)) is not None and change_ns <= until_s * S:
        found.append((change_ns / S, model.cell(change_ns)))
        now_ns = change_ns
    return found


@pytest.mark.parametrize(
    ("at_end", "expected"),
    [
        ("turn", [(2, "b"), (5, "c"), (13, "b"), (16, "a"), (20, "b"), (23, "c")]),
        ("again", [(2, "b"), (5, "c"), (9, "a"), (11, "b"), (14, "c"), (18, "a"), (20, "b"), (23, "c")]),
        ("stay", [(2, "b"), (5, "c")]),
    ],
)
def test_what_comes_behind_the_end(at_end: AtEnd, expected: list[tuple[float, str]]) -> None:
    """A path is driven back, driven anew, or over."""
    assert handovers(way("abc", (2, 3, 4), at_end), 25) == expected


def test_delays_are_those_of_the_other_model() -> None:
    """Where a device is does not change its delays."""
    model = way("ab", (1, 1), "turn")
    assert [(model.delay_ns(UPLINK, t * S), model.delay_ns(DOWNLINK, t * S)) for t in (0, 1, 5)] == [(3, 4)] * 3


def test_one_cell_all_the_way_is_no_handover() -> None:
    """Where the next stretch has the same cell nothing changes at its border."""
    assert handovers(way("aab", (1, 1, 1), "again"), 6) == [(2, "b"), (3, "a"), (5, "b"), (6, "a")]
    assert way("aa", (1, 1), "turn").next_change_ns(0) is None


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=5),
    st.sampled_from(("turn", "again", "stay")),
    st.integers(0, 20 * S),
    st.integers(0, 40 * S),
)
def test_the_cell_changes_when_it_is_said_to(cells: list[str], at_end: AtEnd, offset_ns: int, now_ns: int) -> None:
    """Until the next change the cell is the same, from then on it is another; an offset is a start further on."""
    stays_s = list(range(1, len(cells) + 1))
    model = way(cells, stays_s, at_end, offset_ns)
    assert model.cell(now_ns) == way(cells, stays_s, at_end).cell(now_ns + offset_ns)
    change_ns = model.next_change_ns(now_ns)
    if change_ns is None:
        assert len({model.cell(now_ns + later * S) for later in range(40)}) == 1
    else:
        assert model.cell(now_ns) == model.cell(change_ns - 1) != model.cell(change_ns)
