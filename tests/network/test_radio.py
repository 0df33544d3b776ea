"""Radio models give back what was measured; cells are shared as configured."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.network.radio import (
    DOWNLINK,
    UPLINK,
    FixedRadioModel,
    QuantileRadioModel,
    RadioModel,
    TraceRadioModel,
    quantile_ns,
)
from meshsim.network.radio_trace import one_way_delays_ns
from meshsim.network.train import Train

MS = 1_000_000
S = 1_000_000_000
DATA = Path(__file__).parents[2] / "scenarios" / "data"
SHARES = {"p5_ms": 50_000, "p50_ms": 500_000, "p95_ms": 950_000, "p99_ms": 990_000, "p999_ms": 999_000}


def train(size_bytes: int, segments: int = 1, now_ns: int = 0) -> Train:
    """A train that starts now."""
    made = Train()
    made.load(size_bytes, segments, now_ns)
    return made


def measured() -> dict[str, tuple[tuple[int, int], ...]]:
    """The quantiles of every measured one-way direction."""
    with (DATA / "radio_delay_quantiles.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if "one-way" in row["direction"]]
    return {
        f"{row['network']} {row['direction']}": tuple(
            (ppm, round(float(row[column]) * MS)) for column, ppm in SHARES.items()
        )
        for row in rows
    }


def test_fixed_model() -> None:
    """Constant delays are constant, and the cell never changes."""
    model = FixedRadioModel("cell-1", 3 * MS, 4 * MS)
    assert (model.delay_ns(UPLINK, 7), model.delay_ns(DOWNLINK, 9)) == (3 * MS, 4 * MS)
    assert (model.cell(5), model.next_change_ns(5)) == ("cell-1", None)


@pytest.mark.parametrize("name", sorted(measured()))
def test_quantile_model_gives_its_points_back(name: str) -> None:
    """Delays drawn from measured quantiles have these quantiles again."""
    points = measured()[name]
    for ppm, delay_ns in points:
        assert quantile_ns(points, ppm / 1_000_000) == delay_ns
    model = QuantileRadioModel("cell-1", (points, points), Random(3))
    draws = sorted(model.delay_ns(UPLINK, 0) for _ in range(40_000))
    assert (draws[0], draws[-1]) == (points[0][1], points[-1][1])
    for ppm, delay_ns in points[1:4]:
        below = sum(draw <= delay_ns for draw in draws) / len(draws)
        assert abs(below - ppm / 1_000_000) < 0.008, (ppm, below)


@given(shares=st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_quantiles_grow(shares: list[float]) -> None:
    """A higher quantile is never a shorter delay."""
    points = ((50_000, 2 * MS), (500_000, 3 * MS), (990_000, 30 * MS))
    delays = [quantile_ns(points, share) for share in sorted(shares)]
    assert delays == sorted(delays)
    assert delays[0] >= 2 * MS
    assert delays[-1] <= 30 * MS


def drive(name: str = "arterial_n78_50kmh") -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
    """A measured drive: instants, round trips, serving cells."""
    with (DATA / f"radio_trace_{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    return (
        tuple(round(float(row["time_s"]) * S) for row in rows),
        tuple(round(float(row["round_trip_ms"]) * MS) for row in rows),
        tuple(row["cell"] for row in rows),
    )


def ping_ns(model: RadioModel, now_ns: int) -> int:
    """How long a ping sent now takes: the answer meets the radio as it is when the ping has come up."""
    uplink_ns = model.delay_ns(UPLINK, now_ns)
    return uplink_ns + model.delay_ns(DOWNLINK, now_ns + uplink_ns)


def test_trace_in_is_trace_out() -> None:
    """Pings at the trace's own instants take as long as they took, and the cells are the same, lap after lap."""
    times_ns, round_trips_ns, cells = drive()
    model = TraceRadioModel(times_ns, round_trips_ns, cells, 0)
    for lap in range(2):
        at = [time_ns - times_ns[0] + lap * model.period_ns for time_ns in times_ns]
        assert tuple(ping_ns(model, t) for t in at) == round_trips_ns
        assert tuple(model.cell(t) for t in at) == cells


def test_outages_in_are_outages_out() -> None:
    """Pings in the rural drive's outages take the seconds that they took, to one percent, and the others exactly."""
    times_ns, round_trips_ns, cells = drive("rural_n8_10kmh")
    model = TraceRadioModel(times_ns, round_trips_ns, cells, 0)
    assert max(round_trips_ns) > 9 * S
    for time_ns, round_trip_ns in zip(times_ns, round_trips_ns, strict=True):
        tolerance_ns = round_trip_ns // 100 if round_trip_ns > 100 * MS else 0
        assert abs(ping_ns(model, time_ns) - round_trip_ns) <= tolerance_ns


def test_an_outage_ends_for_both_ways_at_once() -> None:
    """In an outage packets wait for its end whichever way they go; after it they do not wait."""
    times_ns = tuple(range(0, 10 * S, 50 * MS))
    end_ns = 8 * S
    round_trips_ns = tuple(end_ns + 20 * MS - t if 2 * S <= t < end_ns else 20 * MS for t in times_ns)
    model = TraceRadioModel(times_ns, round_trips_ns, ("a",) * len(times_ns), 0)
    for direction in (UPLINK, DOWNLINK):
        assert model.delay_ns(direction, 2 * S - 1) == model.delay_ns(direction, end_ns) == 10 * MS
        for now_ns in range(2 * S, end_ns - 50 * MS, 50 * MS):
            assert end_ns - 50 * MS <= now_ns + model.delay_ns(direction, now_ns) <= end_ns + 20 * MS
    assert all(ping_ns(model, t) == r for t, r in zip(times_ns, round_trips_ns, strict=True))


@given(
    round_trips_ms=st.lists(st.integers(0, 40_000), min_size=2, max_size=60),
    step_ms=st.integers(1, 100),
)
def test_any_trace_is_split(round_trips_ms: list[int], step_ms: int) -> None:
    """Whatever the trace, no delay is negative and neither way is longer than its round trip by over one percent."""
    times_ns = tuple(index * step_ms * MS for index in range(len(round_trips_ms)))
    round_trips_ns = tuple(round_trip_ms * MS for round_trip_ms in round_trips_ms)
    up_ns, down_ns = one_way_delays_ns(times_ns, round_trips_ns, len(times_ns) * step_ms * MS)
    for up, down, round_trip in zip(up_ns, down_ns, round_trips_ns, strict=True):
        assert min(up, down) >= 0
        assert max(up, down) <= round_trip * 101 // 100


@pytest.mark.parametrize("name", ["arterial_n78_50kmh", "rural_n8_10kmh"])
def test_trace_quantiles_in_are_quantiles_out(name: str) -> None:
    """Pings at any instant have the quantiles of the trace weighted by how long each sample lasted, to two percent."""
    times_ns, round_trips_ns, cells = drive(name)
    model = TraceRadioModel(times_ns, round_trips_ns, cells, 0)
    lasted = [*(b - a for a, b in itertools.pairwise(times_ns)), times_ns[-1] - times_ns[-2]]
    weighted = sorted(zip(round_trips_ns, lasted, strict=True))
    step_ns = model.period_ns // 50_000
    drawn = sorted(ping_ns(model, t) for t in range(0, model.period_ns, step_ns))
    for share in (0.05, 0.5, 0.95, 0.99):
        upto = itertools.accumulate(weight for _, weight in weighted)
        expected = next(
            delay for (delay, _), total in zip(weighted, upto, strict=True) if total >= share * model.period_ns
        )
        assert abs(drawn[round(share * (len(drawn) - 1))] - expected) <= max(1 * MS, expected // 50)


def test_handovers_are_those_of_the_trace() -> None:
    """Stepping from change to change visits every cell change of the trace at its instant, and the one between laps."""
    times_ns, _, cells = drive()
    changes = [
        (time_ns - times_ns[0], cell)
        for (before, cell), time_ns in zip(itertools.pairwise(cells), times_ns[1:], strict=True)
        if before != cell
    ]
    assert len(changes) >= 4
    model = TraceRadioModel(times_ns, (10 * MS,) * len(times_ns), cells, 0)
    found, now_ns = [], 0
    for _ in changes:
        change_ns = model.next_change_ns(now_ns)
        assert change_ns is not None
        assert model.cell(change_ns - 1) != model.cell(change_ns)
        found.append((change_ns, model.cell(change_ns)))
        now_ns = change_ns
    assert found == changes
    again_ns = model.next_change_ns(now_ns)
    lap = [(model.period_ns, cells[0])] if cells[0] != cells[-1] else []
    lap += [(model.period_ns + time_ns, cell) for time_ns, cell in changes]
    assert again_ns == lap[0][0]


def test_offset_moves_a_device_along_the_trace() -> None:
    """A device that begins later in the trace sees at once what the first sees then, and changes cells earlier."""
    times_ns, round_trips_ns, cells = drive()
    first = TraceRadioModel(times_ns, round_trips_ns, cells, 0)
    other = TraceRadioModel(times_ns, round_trips_ns, cells, 5 * S)
    for now_ns in range(0, first.period_ns, first.period_ns // 97):
        assert other.delay_ns(UPLINK, now_ns) == first.delay_ns(UPLINK, now_ns + 5 * S)
        assert other.cell(now_ns) == first.cell(now_ns + 5 * S)
        change_ns = first.next_change_ns(now_ns + 5 * S)
        assert change_ns is not None
        assert other.next_change_ns(now_ns) == change_ns - 5 * S


def test_trace_without_changes() -> None:
    """A trace in one cell has no handovers."""
    model = TraceRadioModel((0, S), (8 * MS, 9 * MS), ("a", "a"), 0)
    assert model.next_change_ns(0) is None
    assert (model.delay_ns(UPLINK, 0), model.delay_ns(UPLINK, S), model.delay_ns(DOWNLINK, S)) == (
        4 * MS,
        4_500_000,
        4_500_000,
    )
    assert model.period_ns == 2 * S


def test_odd_round_trip_is_whole() -> None:
    """Halves of a round trip of an odd number of nanoseconds sum to it."""
    model = TraceRadioModel((0, S), (9, 9), ("a", "a"), 0)
    assert (model.delay_ns(UPLINK, 0), model.delay_ns(DOWNLINK, 0)) == (4, 5)
