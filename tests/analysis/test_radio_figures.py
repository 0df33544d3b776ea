"""Delay budgets on the air: metrics, figures, verdicts, and how they read."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from meshsim.analysis.conclude import conclude
from meshsim.analysis.data import RunData
from meshsim.analysis.metrics import measure
from meshsim.analysis.radio_figures import air_line
from meshsim.analysis.selection import Selection
from meshsim.analysis.summary import summarise
from meshsim.analysis.verdict import evaluate
from meshsim.scenario.expectations import Expectation
from meshsim.scenario.model import Scenario
from meshsim.telemetry.radio_rows import RadioRow

S, MS = 1_000_000_000, 1_000_000
CELL = "n78/1"

ROWS = [
    # t, cell, slice, direction, packets, late, beyond, late_beyond, lost, longest
    RadioRow(5 * S, CELL, "v2x", "up", 100, 1, 0, 0, 1, 40 * MS),
    RadioRow(15 * S, CELL, "v2x", "down", 100, 3, 20, 2, 1, 31 * MS),
    RadioRow(16 * S, CELL, "v2x", "up", 100, 50, 0, 0, 50, 70 * MS),
    RadioRow(16 * S, CELL, "video", "up", 10, 5, 0, 0, 0, 200 * MS),
    RadioRow(17 * S, CELL, "telemetry", "up", 7, 7, 7, 7, 0, 400 * MS),
]


def filled(scenario: Scenario, record: dict[str, Callable[[Any], None]]) -> None:
    """Record the rows above."""
    for row in ROWS:
        record["radio"](row)


@pytest.fixture
def partial(make_run: Callable[..., Any], corridor_scenario: Scenario) -> Any:
    return make_run(corridor_scenario, filled)


@pytest.fixture
def run(partial: Any, corridor_scenario: Scenario) -> RunData:
    return RunData(partial.folder.path, corridor_scenario, partial.manifest)


@pytest.mark.parametrize(
    ("name", "selection", "value"),
    [
        ("radio_within_budget", Selection(), Fraction(317 - 66, 317)),
        ("radio_within_budget", Selection(slice="v2x"), Fraction(300 - 54, 300)),
        # An interval that ends with the phase is in it, one that goes on is not.
        ("radio_within_budget", Selection(slice="v2x", during="calm"), Fraction(196, 200)),
        ("packet_error_rate", Selection(slice="v2x", during="calm"), Fraction(2, 180)),
        ("packet_error_rate", Selection(slice="telemetry"), None),
        ("radio_within_budget", Selection(during="late"), None),
    ],
)
def test_metrics_of_the_air(run: RunData, name: str, selection: Selection, value: Fraction | None) -> None:
    """All packets count for the budget, and for the error rate only those that were promised something."""
    assert measure(run, name, selection) == value


def test_budget_is_read_at_98_percent_of_what_was_promised(run: RunData) -> None:
    """Whether the budget was kept is judged without packets beyond the promise; with none left nobody can say."""
    slices = summarise(run, [])["slices"]
    air = {name: figures["radio"] for name, figures in slices.items()}
    assert [air[name]["kept"] for name in ("v2x", "video", "telemetry")] == [False, False, None]
    assert (air["v2x"]["delay_budget_ns"], air["v2x"]["core_budget_ns"], air["v2x"]["radio_budget_ns"]) == (
        50 * MS,
        20 * MS,
        30 * MS,
    )
    assert (air["v2x"]["packets"], air["v2x"]["longest_ns"]) == (300, 70 * MS)
    assert slices["video"]["radio_within_budget"] == 0.5


def test_slices_without_radio_have_no_figures(make_run: Callable[..., Any], corridor_scenario: Scenario) -> None:
    """Where nothing was sent by radio the summary has null, and the report no section about it."""
    partial = make_run(corridor_scenario, lambda scenario, record: None)
    conclusion = conclude(partial.folder.path, corridor_scenario, partial.manifest)
    assert [figures["radio"] for figures in conclusion.summary["slices"].values()] == [None, None, None]
    assert "Radio part" not in conclusion.report


def test_report_shows_each_slice_on_the_air(partial: Any, corridor_scenario: Scenario) -> None:
    """The report has the split of the budget and the share that kept it, and marks what is under 98 %."""
    html = conclude(partial.folder.path, corridor_scenario, partial.manifest).report
    report = html.replace("\N{NO-BREAK SPACE}", " ")
    assert "Radio part of the delay budget" in report
    assert "50 ms = 20 ms core + 30 ms radio" in report
    assert "82 % \N{HEAVY MULTIPLICATION X} under" in report


def test_late_packets_of_delay_critical_slices_are_told_as_lost() -> None:
    """The share that counts as lost stands beside the packet error rate of the 5QI, and is marked if it is more."""
    figures: dict[str, Any] = {
        "resource_type": "Delay-critical GBR",
        "packet_error_rate": 0.0002,
        "packet_error_rate_allowed": 1e-4,
        "packets": 10_000,
        "late": 2,
        "beyond": 100,
        "late_beyond": 0,
        "lost": 2,
        "kept": True,
        "delay_budget_ns": 10 * MS,
        "core_budget_ns": MS,
        "radio_budget_ns": 9 * MS,
    }
    line = air_line(figures)
    assert (line.lost, line.allowed, line.over, line.missed) == ("0.02 %", "0.01 %", True, False)
    assert (line.within, line.beyond, line.radio) == ("99.98 %", "1 %", "9 ms")
    assert air_line(figures | {"resource_type": "GBR", "lost": 0}).lost == ""


def test_expectations_on_the_air(run: RunData) -> None:
    """An expectation bounds what was measured, and one that nothing was promised for is inconclusive."""
    wanted = [
        {"slice": "v2x", "during": "calm", "radio_within_budget": {"at_least": "98 %"}},
        {"slice": "v2x", "packet_error_rate": {"at_most": "1 %"}},
        {"slice": "telemetry", "packet_error_rate": {"at_most": "1 %"}},
    ]
    adapter: TypeAdapter[Any] = TypeAdapter(Expectation)
    verdicts = evaluate(run, [adapter.validate_python(one) for one in wanted])
    assert [verdict.word for verdict in verdicts] == ["pass", "fail", "inconclusive"]
    assert verdicts[2].reason == "no packets that anything is promised to measure it by"


def test_packets_belong_to_no_service() -> None:
    """An expectation of packets for a service or flow is refused."""
    adapter: TypeAdapter[Any] = TypeAdapter(Expectation)
    with pytest.raises(ValidationError, match="packet_error_rate counts the packets of slices; expected no source"):
        adapter.validate_python({"source": "cars", "packet_error_rate": {"at_most": "1 %"}})
