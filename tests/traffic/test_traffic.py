"""Arrivals, work and plans are what the scenario says, drawn from the generator that they are given."""

from __future__ import annotations

import itertools
import math
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.scenario.services import Service, Work
from meshsim.traffic.arrivals import constant, poisson, recorded
from meshsim.traffic.plan import draw_groups
from meshsim.traffic.work import sampler

S = 1_000_000_000
MS = 1_000_000
HERTZ = 1_000_000


def test_constant_arrivals_do_not_drift() -> None:
    """Evenly spaced arrivals begin at the start, end before the stop, and no rounding error builds up."""
    times = list(constant(3 * HERTZ, 2 * S, 1002 * S))
    assert times[:4] == [2 * S, 2 * S + 333_333_333, 2 * S + 666_666_666, 3 * S]
    assert len(times) == 3000
    assert times[-1] < 1002 * S
    assert times[::3] == list(range(2 * S, 1002 * S, S))


def test_poisson_arrivals() -> None:
    """Gaps of a Poisson process are exponential: their mean and standard deviation are one over the rate."""
    times = list(poisson(200 * HERTZ, 5 * S, 505 * S, Random(8)))
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    mean_ns = sum(gaps) / len(gaps)
    assert 5 * S <= times[0] <= times[-1] < 505 * S
    assert times == sorted(times)
    assert abs(len(times) - 100_000) < 5 * math.sqrt(100_000)
    deviation_ns = math.sqrt(sum((gap - mean_ns) ** 2 for gap in gaps) / len(gaps))
    assert abs(mean_ns / (5 * MS) - 1) < 0.02
    assert abs(deviation_ns / (5 * MS) - 1) < 0.02
    assert abs(sum(gap < 5 * MS * math.log(2) for gap in gaps) / len(gaps) - 0.5) < 0.01


def test_poisson_arrivals_follow_their_generator() -> None:
    """The same generator gives the same arrivals, and a later stop only adds to them."""
    short = list(poisson(50 * HERTZ, 0, 3 * S, Random(8)))
    assert list(poisson(50 * HERTZ, 0, 9 * S, Random(8)))[: len(short)] == short
    assert list(poisson(50 * HERTZ, 0, 3 * S, Random(9))) != short


@given(
    times=st.lists(st.integers(0, 100)).map(sorted),
    start_ns=st.integers(0, 50),
    length_ns=st.integers(1, 120),
)
def test_recorded_arrivals(times: list[int], start_ns: int, length_ns: int) -> None:
    """Recorded arrivals are those of the run's clock between start and stop."""
    found = list(recorded(tuple(times), start_ns, start_ns + length_ns))
    assert found == [time_ns for time_ns in times if start_ns <= time_ns < start_ns + length_ns]


def draws(count: int = 40_000, **work: Any) -> list[int]:
    """Sorted draws of one distribution of work."""
    draw = sampler(Work(**work), Random(6))
    return sorted(draw() for _ in range(count))


def test_constant_work() -> None:
    """Constant work takes no draw and is always the same."""
    assert set(draws(10, constant="3 ms")) == {3 * MS}


def test_exponential_work() -> None:
    """Exponential work has its mean, and its median at the mean times the logarithm of two."""
    found = draws(exponential="2 ms")
    assert abs(sum(found) / len(found) / (2 * MS) - 1) < 0.02
    assert abs(found[len(found) // 2] / (2 * MS * math.log(2)) - 1) < 0.03
    assert found[0] >= 0


def test_uniform_work() -> None:
    """Uniform work lies between its bounds, evenly."""
    found = draws(uniform=["1 ms", "5 ms"])
    assert 1 * MS <= found[0] < 1_010_000
    assert 4_990_000 < found[-1] <= 5 * MS
    assert abs(found[len(found) // 4] / (2 * MS) - 1) < 0.03


def test_lognormal_work() -> None:
    """Lognormal work has the median and the 99 % quantile that were given."""
    found = draws(lognormal={"median": "2 ms", "p99": "10 ms"})
    assert abs(found[len(found) // 2] / (2 * MS) - 1) < 0.02
    assert abs(found[len(found) * 99 // 100] / (10 * MS) - 1) < 0.05


def service(*calls: Any) -> Service:
    """A service that makes these calls."""
    return Service(replicas={"a": 1}, work={"constant": "1 ms"}, calls=list(calls))


def groups(made: Service, random: Random) -> list[list[str]]:
    """Whom it calls, group by group."""
    return [[call.to for call in group] for group in draw_groups(made.calls, random)]


def test_groups_keep_their_order() -> None:
    """Sequential calls are groups of one, parallel calls one group, in the order of the file."""
    made = service({"to": "b"}, {"parallel": [{"to": "c"}, {"to": "d"}]}, {"to": "e"})
    assert groups(made, Random(1)) == [["b"], ["c", "d"], ["e"]]


def test_probability_is_met_and_empty_groups_are_left_out() -> None:
    """A call is made as often as its probability says; a group of which nothing is made is none."""
    made = service({"to": "b", "probability": "30 %"}, {"parallel": [{"to": "c", "probability": "50 %"}, {"to": "d"}]})
    random = Random(3)
    found = [groups(made, random) for _ in range(20_000)]
    assert abs(sum(["b"] in one for one in found) / len(found) - 0.3) < 0.015
    assert abs(sum(["c", "d"] in one for one in found) / len(found) - 0.5) < 0.015
    assert all(group for one in found for group in one)


def test_of_a_choice_exactly_one_call_is_made() -> None:
    """Each time one of the calls is made and no other, as often as its probability is among all of them."""
    either = {"one_of": [{"to": "b", "probability": "10 %"}, {"to": "c", "probability": "30 %"}]}
    made = service({"to": "a"}, either, {"one_of": [{"to": "d"}, {"to": "e"}, {"to": "f"}]})
    random = Random(3)
    found = [groups(made, random) for _ in range(20_000)]
    assert {(first[0], len(one), len(other)) for first, one, other in found} == {("a", 1, 1)}
    assert abs(sum(one == ["b"] for _, one, _ in found) / len(found) - 0.25) < 0.015
    for name in "def":
        assert abs(sum(other == [name] for *_, other in found) / len(found) - 1 / 3) < 0.015


def test_certain_calls_take_no_draw() -> None:
    """Only a call that may be left out takes a draw, so that others do not shift it."""
    random = Random(5)
    before = random.getstate()
    groups(service({"to": "b"}), random)
    assert random.getstate() == before


@pytest.mark.parametrize("probabilities", [("30 %", "60 %"), ("90 %", "60 %")])
def test_draws_of_a_call_do_not_depend_on_the_others_outcome(probabilities: tuple[str, str]) -> None:
    """Whether the second call is made is the same whatever the probability of the first."""
    made = service(*({"to": name, "probability": share} for name, share in zip("bc", probabilities, strict=True)))
    random, alone = Random(7), Random(7)
    for _ in range(200):
        alone.random()
        expected = alone.random() < 0.6
        assert (["c"] in groups(made, random)) == expected
