"""Measurements in CSV files: every mistake at the CSV file's own line and column."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from meshsim.scenario.data_files import (
    DelayQuantiles,
    DelaySamples,
    read_arrival_trace,
    read_delays,
    read_radio_quantiles,
    read_radio_trace,
)
from meshsim.scenario.errors import Diagnostic, ScenarioError

NAMES = "time_s, round_trip_ms, cell"
HEAD = "time_s,round_trip_ms,cell\n"


def said(read: Callable[[], object]) -> list[str]:
    """What reading says."""
    with pytest.raises(ScenarioError) as caught:
        read()
    return [str(one) for one in caught.value.diagnostics]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["t.csv: the file is empty; expected a first line with time_s, round_trip_ms, cell"]),
        (HEAD, ["t.csv:1:1: the table has no rows; expected at least one below the columns' names"]),
        (HEAD + "0,1,a\n", ["t.csv:2:1: the trace has one row; expected two or more, so that it lasts"]),
        (
            "time_s,rtt_ms,cell\n0,1,a\n",
            [f"t.csv:1:1: the column 'round_trip_ms' is missing; expected a first line with {NAMES}"],
        ),
        (
            "times_s,round_trip_ms,cell\n0,1,a\n",
            ["t.csv:1:1: the column 'time_s' is missing; expected it, in place of 'times_s'"],
        ),
        (
            "time_s,cell,cell\n",
            [
                f"t.csv:1:1: the column 'round_trip_ms' is missing; expected a first line with {NAMES}",
                "t.csv:1:13: the column 'cell' stands twice; expected it once",
            ],
        ),
        (HEAD + "0,1,a\n1,2\n", ["t.csv:3:1: the row has 2 cells; expected 3, as the first line names them"]),
        (
            HEAD + "0,1,a\n1,-2,a\nnan,1e3,\n",
            [
                "t.csv:3:3: round_trip_ms is '-2'; expected a number of zero or more, such as 17.5",
                "t.csv:4:1: time_s is 'nan'; expected a number of zero or more, such as 0.055",
                "t.csv:4:5: round_trip_ms is '1e3'; expected a number of zero or more, such as 17.5",
                "t.csv:4:9: the cell is empty; expected its name",
            ],
        ),
        (
            HEAD + "# later\n\n0,1,a\n2,1,a\n2,1,a\n1,1,a\n",
            [
                "t.csv:6:1: time_s is 2, not after the row before; expected rows in order of time",
                "t.csv:7:1: time_s is 1, not after the row before; expected rows in order of time",
            ],
        ),
        (
            HEAD + '0,"1",a\n1,"x",a\n',
            ["t.csv:3:3: round_trip_ms is 'x'; expected a number of zero or more, such as 17.5"],
        ),
    ],
)
def test_radio_trace_mistakes(text: str, expected: list[str]) -> None:
    """Every mistake in a radio trace is told at its cell."""
    assert said(lambda: read_radio_trace(text.encode(), "t.csv")) == expected


def test_radio_trace_is_exact_and_begins_at_zero() -> None:
    """Times are converted in decimal arithmetic and counted from the first row."""
    trace = read_radio_trace((HEAD + "1.055,0.1,a\r\n1.165,29.000001,b\r\n").encode(), "t.csv")
    assert trace.times_ns == (0, 110_000_000)
    assert trace.round_trips_ns == (100_000, 29_000_001)
    assert trace.cells == ("a", "b")


def test_not_utf_8() -> None:
    """A byte that is no UTF-8 is told at its place."""
    expected = ["t.csv:2:3: the file holds a byte that is not UTF-8; expected text in UTF-8"]
    assert said(lambda: read_arrival_trace(b"time_s\n1\xc2\xb5\xff", "t.csv")) == expected


def test_many_mistakes_are_bounded() -> None:
    """A table of nothing but mistakes tells the first hundred."""
    assert len(said(lambda: read_arrival_trace(b"time_s\n" + b"x\n" * 5000, "t.csv"))) == 100


def test_arrivals_may_coincide_but_not_go_back() -> None:
    """Two requests may arrive at the same instant; none arrives before the one above it."""
    assert read_arrival_trace(b"time_s\n1\n1\n", "t.csv").times_ns == (10**9, 10**9)
    expected = ["t.csv:3:1: time_s is 0.5, not after the row before; expected rows in order of time"]
    assert said(lambda: read_arrival_trace(b"time_s\n1\n0.5\n", "t.csv")) == expected


def test_quantiles_grow() -> None:
    """Quantiles that do not grow are told at their cell."""
    head = "network,direction,p5_ms,p50_ms,p95_ms,p99_ms,p999_ms\n"
    text = head + "a,uplink,1,2,3,2.5,4\na,downlink,1,1,1,1,1\n"
    expected = ["q.csv:2:16: p99_ms is less than the quantile before; expected growing delays"]
    place = lambda message: Diagnostic("s.yaml", 1, 1, message)  # noqa: E731 - used once
    assert said(lambda: read_radio_quantiles(text.encode(), "q.csv", "a", place)) == expected


def test_delays_are_samples_or_quantiles() -> None:
    """A file of delays holds samples in any order; with a column of quantiles it holds points of a distribution."""
    assert read_delays(b"delay_ms\n3\n0.5\n3\n", "d.csv") == DelaySamples((3_000_000, 500_000, 3_000_000))
    quantiles = read_delays(b"quantile_percent,delay_ms\n0,1\n99.99,20\n100,20\n", "d.csv")
    assert quantiles == DelayQuantiles(((0, 1_000_000), (999_900, 20_000_000), (1_000_000, 20_000_000)))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("50,1\n101,2\n", ["d.csv:3:1: quantile_percent is over 100; expected 0 to 100"]),
        ("50,1\n50,2\n", ["d.csv:3:1: quantile_percent is not above the row before; expected growing ones"]),
        ("50,2\n60,1\n", ["d.csv:3:4: delay_ms is less than at the quantile before; expected growing delays"]),
        ("50,x\n", ["d.csv:2:4: delay_ms is 'x'; expected a number of zero or more, such as 4.3"]),
    ],
)
def test_delay_mistakes(rows: str, expected: list[str]) -> None:
    """Quantiles grow, their delays never shrink, and both are numbers."""
    assert said(lambda: read_delays(f"quantile_percent,delay_ms\n{rows}".encode(), "d.csv")) == expected
