"""Samplers of extra delay against their distributions; reordering, duplication and damage on links."""

from __future__ import annotations

import statistics
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.network.delay import delay_sampler
from meshsim.network.impairments import Impairments
from meshsim.network.link import LinkDirection
from meshsim.network.loss import GilbertElliottLoss, IndependentStrikes
from meshsim.network.medium import SharedMedium, SliceQueue
from meshsim.network.sliced_link import SlicedLinkDirection
from meshsim.network.train import COPY, LOST, Train
from meshsim.scenario.data_files import DelayQuantiles, DelaySamples
from meshsim.scenario.network import ExtraDelay

MS = 1_000_000


def draws(delay: dict[str, Any], measured: DelaySamples | DelayQuantiles | None = None, count: int = 40_000) -> Any:
    """Sorted draws from a delay as a scenario file has it."""
    draw = delay_sampler(ExtraDelay.model_validate(delay), measured, Random(9))
    return sorted(draw() for _ in range(count))


def quantile(values: list[int], share: float) -> int:
    """The value that a share of all does not exceed."""
    return values[int(share * (len(values) - 1))]


def test_uniform() -> None:
    """A uniform delay lies between its bounds, evenly."""
    found = draws({"uniform": ["1 ms", "5 ms"]})
    assert found[0] >= MS
    assert found[-1] <= 5 * MS
    for share in (0.1, 0.5, 0.9):
        assert abs(quantile(found, share) - (1 + 4 * share) * MS) < 0.05 * MS


def test_normal() -> None:
    """A normal delay has its mean and deviation where nothing is cut off."""
    found = draws({"normal": {"mean": "10 ms", "standard_deviation": "1 ms"}})
    assert abs(statistics.fmean(found) - 10 * MS) < 0.03 * MS
    assert abs(statistics.pstdev(found) - MS) < 0.02 * MS


def test_normal_is_never_negative() -> None:
    """Half of a normal delay around zero is zero."""
    found = draws({"normal": {"mean": "0 ms", "standard_deviation": "1 ms"}})
    assert found[0] == 0
    assert abs(found.count(0) / len(found) - 0.5) < 0.02


def test_lognormal() -> None:
    """A lognormal delay has the median and the 99 % quantile that it is given by."""
    found = draws({"lognormal": {"median": "2 ms", "p99": "20 ms"}})
    assert abs(quantile(found, 0.5) / (2 * MS) - 1) < 0.03
    assert abs(quantile(found, 0.99) / (20 * MS) - 1) < 0.08


def test_samples_come_as_often_as_they_were_measured() -> None:
    """Each sample is drawn as often as it stands in the file, and nothing else is."""
    found = draws({"empirical": {"file": "x.csv"}}, DelaySamples((5, 1, 5, 9)))
    shares = {value: found.count(value) / len(found) for value in set(found)}
    assert shares == pytest.approx({1: 0.25, 5: 0.5, 9: 0.25}, abs=0.015)


def test_quantiles_come_out_as_they_went_in() -> None:
    """Draws have the quantiles of the file, are linear between them, and flat outside."""
    points = ((100_000, 1 * MS), (500_000, 3 * MS), (900_000, 10 * MS))
    found = draws({"empirical": {"file": "x.csv"}}, DelayQuantiles(points))
    assert (found[0], found[-1]) == (1 * MS, 10 * MS)
    for share, delay_ms in ((0.1, 1), (0.3, 2), (0.5, 3), (0.7, 6.5), (0.9, 10)):
        assert abs(quantile(found, share) - delay_ms * MS) < 0.1 * MS, share


def link(*, sliced: bool = False, jitter_ns: int = 0, bandwidth_bps: int = 10**9, **effects: Any) -> LinkDirection:
    """A link of 2 ms with these effects."""
    facts = ("a--b", "a", "b", 2 * MS, bandwidth_bps, jitter_ns, 1 << 40, Random(1))
    if not sliced:
        return LinkDirection(*facts, Impairments(**effects))
    medium = SharedMedium(bandwidth_bps, {"web": SliceQueue("web", 1_000_000, 1)}, interval_ns=10 * MS)
    return SlicedLinkDirection(*facts, medium, Impairments(**effects))


def train(segments: int, now_ns: int, segment_bytes: int = 1000) -> Train:
    """A train that starts now."""
    made = Train()
    made.slice = "web"
    made.load(segments * segment_bytes, segments, now_ns)
    return made


@pytest.mark.parametrize("sliced", [False, True])
def test_reordering_lets_its_share_overtake(sliced: bool) -> None:
    """Where jitter is far longer than the gaps, trains overtake only if they may, and as many as may."""

    def overtaken(**effects: Any) -> float:
        direction = link(sliced=sliced, jitter_ns=50 * MS, **effects)
        arrivals = [direction.enter(train(1, at), at) for at in range(0, 4_000 * MS, MS // 2)]
        latest_ns, count = 0, 0
        for there_ns in arrivals:
            count += there_ns < latest_ns
            latest_ns = max(latest_ns, there_ns)
        return count / len(arrivals)

    assert overtaken() == 0
    may = overtaken(reorder=IndependentStrikes(0.1, Random(2)))
    assert 0.07 < may < 0.1
    assert overtaken(reorder=IndependentStrikes(1, Random(2))) > 0.8


@pytest.mark.parametrize("sliced", [False, True])
def test_shares_of_copies_and_damage(sliced: bool) -> None:
    """Of all packets the configured shares are to be copied and are damaged; copies themselves are spared."""
    effects: dict[str, Any] = {
        "duplicate": IndependentStrikes(0.05, Random(3)),
        "corrupt": IndependentStrikes(0.02, Random(4)),
    }
    direction = link(sliced=sliced, **effects)
    copies = corrupted = 0
    for at in range(0, 20_000 * MS, MS):
        moved = train(5, at)
        direction.enter(moved, at)
        copies += moved.copies
        corrupted += len(moved.corrupted)
    assert abs(copies / 100_000 - 0.05) < 0.004
    assert abs(corrupted / 100_000 - 0.02) < 0.003
    copy = train(5, 30_000 * MS)
    copy.copies = COPY
    for at in range(30_000 * MS, 30_500 * MS, MS):
        direction.enter(copy, at)
    assert (copy.copies, copy.corrupted, copy.segments) == (COPY, (), 5)


def test_damage_goes_with_what_is_lost() -> None:
    """Damage stays with its segments: it is gone with those that are lost, whatever was lost before."""
    moved = train(6, 0)
    moved.lose([1])
    moved.corrupt([0, 1, 4])
    assert (moved.alive, moved.corrupted) == ([0, 2, 3, 4, 5], [0, 2, 5])
    moved.lose([1, 2])
    assert (moved.alive, moved.corrupted) == ([0, 4, 5], [0, 5])


EFFECTS = ("loss", "bursts", "delay", "reorder", "duplicate", "corrupt", "jitter")


def _impaired(effects: frozenset[str], sliced: bool) -> LinkDirection:
    """A link with these effects, each with the stream that it always has."""
    delay = ExtraDelay.model_validate({"uniform": ["0 ms", "3 ms"]})
    loss = IndependentStrikes(0.2, Random(10)) if "loss" in effects else None
    made: dict[str, Any] = {
        "loss": GilbertElliottLoss(0.2, 3, Random(11)) if "bursts" in effects else loss,
        "delay": delay_sampler(delay, None, Random(12)) if "delay" in effects else None,
    }
    for number, effect in enumerate(("reorder", "duplicate", "corrupt")):
        made[effect] = IndependentStrikes(0.3, Random(20 + number)) if effect in effects else None
    return link(sliced=sliced, jitter_ns=4 * MS if "jitter" in effects else 0, **made)


@settings(max_examples=150, deadline=None)
@given(
    effects=st.frozensets(st.sampled_from(EFFECTS)),
    sliced=st.booleans(),
    steps=st.lists(st.tuples(st.integers(0, 3 * MS), st.integers(1, 30)), min_size=1, max_size=60),
)
def test_bytes_are_kept_and_order_unless_reordered(
    effects: frozenset[str], sliced: bool, steps: list[tuple[int, int]]
) -> None:
    """With any effects each byte is delivered or lost, and without reordering nothing overtakes."""
    direction = _impaired(effects, sliced)
    now_ns = last_ns = sent = 0
    under_way = []
    for wait_ns, segments in steps:
        now_ns += wait_ns + (10 * MS if sliced else 0)  # nothing has to wait for the medium
        moved = train(segments, now_ns)
        sent += moved.size_bytes
        there_ns = direction.enter(moved, now_ns)
        alive = range(segments) if moved.alive is None else moved.alive
        assert moved.segments == len(alive)
        assert moved.copies <= moved.segments
        assert set(moved.corrupted) <= set(alive)
        if there_ns == LOST:
            continue
        assert there_ns >= now_ns + direction.latency_ns
        assert moved.tail_ns >= there_ns
        if "reorder" not in effects:
            assert moved.tail_ns >= last_ns
        last_ns = moved.tail_ns
        under_way.append(moved)
    for moved in under_way:
        assert direction.leave(moved)
    assert direction.sent_bytes == sent == direction.delivered_bytes + direction.lost_bytes


@settings(max_examples=60, deadline=None)
@given(base=st.frozensets(st.sampled_from(EFFECTS), max_size=3), added=st.sampled_from(("duplicate", "corrupt")))
def test_an_effect_shifts_no_other(base: frozenset[str], added: str) -> None:
    """Switching copies or damage on changes neither what is lost nor when anything arrives."""

    def course(effects: frozenset[str]) -> list[tuple[int, list[int] | None]]:
        direction = _impaired(effects, sliced=False)
        moved = [train(4, at) for at in range(0, 200 * MS, MS)]
        return [(direction.enter(one, number * MS), one.alive) for number, one in enumerate(moved)]

    assert course(base - {added}) == course(base | {added})
