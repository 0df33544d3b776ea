"""Order statistics in bounded memory against sorting everything."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.analysis import order
from meshsim.analysis.order import at_ranks, of_groups
from meshsim.analysis.reading import Ints

_VALUES = st.one_of(
    st.integers(-(2**62), 2**62), st.integers(0, 3), st.just(7), st.just(2**62), st.integers(2**31 - 3, 2**31 + 3)
)


def _parts(values: list[int], size: int) -> Iterator[Ints]:
    """Parts as columns come: each in the narrowest type, some without values."""
    for begin in range(0, len(values), size):
        part = np.array(values[begin : begin + size], dtype=np.int64)
        narrow = part.astype(np.int32)
        yield narrow if (narrow == part).all() else part
        yield part[:0]


@settings(max_examples=300)
@given(data=st.data(), values=st.lists(_VALUES, min_size=1, max_size=120))
def test_values_at_ranks(data: st.DataObject, values: list[int]) -> None:
    """Whatever the values, the parts that they come in and the room there is, they are those of the sorted list."""
    size, kept, sampled = (data.draw(st.integers(1, most)) for most in (40, 30, 4))
    ranks = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=12))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "KEPT", kept)
        patch.setattr(order, "_OF_PART", sampled)
        found = at_ranks(lambda: _parts(values, size), ranks)
    assert found == [sorted(values)[rank] for rank in ranks]
    assert all(type(value) is int for value in found)


@settings(max_examples=300)
@given(data=st.data(), groups=st.lists(st.lists(_VALUES, max_size=30), min_size=1, max_size=5))
def test_values_of_groups(data: st.DataObject, groups: list[list[int]]) -> None:
    """Groups that come one after the other, mixed, or too large for the room there is have their own order."""
    pairs = [(group, value) for group, values in enumerate(groups) for value in values]
    if data.draw(st.booleans()):
        random.Random(data.draw(st.integers(0, 99))).shuffle(pairs)
    size, kept = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 60))

    def parts() -> Iterator[tuple[Ints, Ints]]:
        for begin in range(0, len(pairs), size):
            part = np.array(pairs[begin : begin + size], dtype=np.int64)
            yield part[:, 0], part[:, 1]
            yield part[:0, 0], part[:0, 1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "KEPT", kept)
        found = of_groups(parts, [len(values) for values in groups], lambda number: [0, number // 2, number - 1])
    expected = [sorted(values) for values in groups]
    assert found == [
        [values[rank] for rank in (0, len(values) // 2, len(values) - 1)] if values else [] for values in expected
    ]


def test_few_passes_and_little_in_memory() -> None:
    """A million values whose ends lie far out take a few passes, in which no more than the limit is ever collected."""
    draw = random.Random(1)
    values = np.array([int(draw.lognormvariate(15, 0.5)) for _ in range(1_000_000)] + [2**62])
    values[::3] = 3_000_000  # a third of them equal
    passes, ranks = 0, np.linspace(0, values.size - 1, 300).astype(np.int64).tolist()

    def parts() -> Iterator[Ints]:
        nonlocal passes
        passes += 1
        return (values[begin : begin + 65_536] for begin in range(0, values.size, 65_536))

    assert at_ranks(parts, ranks) == np.sort(values)[ranks].tolist()
    assert passes <= 6
