"""The summary: complete, plain, the same for the same rows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshsim.analysis import data, order
from meshsim.analysis.conclude import conclude
from meshsim.analysis.data import RunData
from meshsim.analysis.metrics import METRICS, measure
from meshsim.analysis.numbers import to_json
from meshsim.analysis.selection import Selection
from meshsim.analysis.summary import summarise
from meshsim.analysis.verdict import evaluate
from meshsim.results.manifest import stable_json
from meshsim.results.tables import read_table
from meshsim.scenario.model import Scenario


@pytest.fixture(scope="module")
def run(corridor: Any) -> RunData:
    return RunData(corridor.folder.path, corridor.scenario, corridor.manifest)


@pytest.fixture(scope="module")
def summary(run: RunData) -> dict[str, Any]:
    return summarise(run, evaluate(run))


def test_it_is_plain_json(summary: dict[str, Any]) -> None:
    """The summary survives JSON unchanged, without a NaN."""
    assert json.loads(stable_json(summary)) == summary


@pytest.mark.parametrize("name", ["v2x", "video", "telemetry"])
def test_slices_say_what_the_metrics_say(name: str, run: RunData, summary: dict[str, Any]) -> None:
    """Each figure of a slice is the metric of that name."""
    figures = summary["slices"][name]
    for metric in METRICS.values():
        key = f"{metric.name}_ns" if metric.kind == "duration" else metric.name
        if key in figures:
            assert figures[key] == to_json(measure(run, metric.name, Selection(slice=name)), metric.kind), key
    assert {"requests", "success_rate", "latency_p99_ns", "within_budget", "handshakes_full", "denied"} <= set(figures)


def test_attribution_sums_to_the_mean(summary: dict[str, Any]) -> None:
    """The mean parts of a slice sum to its mean latency, but for the rounding of each."""
    for figures in summary["slices"].values():
        assert abs(sum(figures["attribution_mean_ns"].values()) - figures["latency_mean_ns"]) <= 6


def test_the_slowest_are_slower(summary: dict[str, Any]) -> None:
    """The parts of the slowest answers sum to at least the p99 that chose them."""
    for figures in summary["slices"].values():
        assert sum(figures["attribution_slowest_ns"].values()) >= figures["latency_p99_ns"] - 6


def test_totals_add_up(summary: dict[str, Any]) -> None:
    """Slices, outcomes and handshakes by kind each sum to their totals."""
    totals, slices = summary["totals"], summary["slices"].values()
    assert totals["requests"] == sum(figures["requests"] for figures in slices) == sum(totals["outcomes"].values())
    assert totals["handshakes"] == totals["handshakes_full"] + totals["handshakes_resumed"]
    assert totals["handshakes_refused"] == sum(summary["handshakes"]["refused_by_reason"].values())


def test_services_are_seen_by_their_callers(corridor: Any, summary: dict[str, Any]) -> None:
    """Calls, denials and retries per service are those of a loop over calls; an idle service is there with none."""
    calls = read_table(corridor.folder.path, "calls").to_pylist()
    for name, figures in summary["services"].items():
        mine = [call for call in calls if call["destination"] == name]
        assert figures["calls"] == len(mine)
        assert figures["denied"] == sum(call["outcome"] == "denied" for call in mine)
        assert figures["retries"] == sum(call["retries"] for call in mine)
    assert summary["services"]["alerts"]["success_rate"] is None


def test_faults_and_verdicts_are_listed(summary: dict[str, Any]) -> None:
    """Each fault has its effects, each expectation its verdict."""
    assert [fault["fault_id"] for fault in summary["faults"]] == ["latency-surge", "link-down", "node-crash"]
    assert all(fault["effects"] == 61 for fault in summary["faults"])
    assert {verdict["verdict"] for verdict in summary["expectations"]} == {"pass", "fail"}


def test_a_run_without_rows_has_a_summary(make_run: Callable[..., Any], corridor_scenario: Scenario) -> None:
    """Where nothing happened the counts are zero and everything else is null."""
    partial = make_run(corridor_scenario, lambda scenario, record: None)
    run = RunData(partial.folder.path, corridor_scenario, partial.manifest)
    summary = summarise(run, evaluate(run))
    assert summary["totals"]["requests"] == 0
    assert summary["slices"]["v2x"]["latency_p99_ns"] is None
    assert summary["slices"]["v2x"]["budget_ns"] == 50_000_000
    assert {verdict["verdict"] for verdict in summary["expectations"]} == {"inconclusive"}


_AGAIN = """
import sys
from pathlib import Path
from meshsim.analysis.conclude import conclude
from meshsim.analysis.run import open_run
from meshsim.results.manifest import stable_json
run = open_run(sys.argv[1])
conclusion = conclude(Path(sys.argv[1]), run.scenario, run.manifest)
sys.stdout.write(stable_json(conclusion.summary) + conclusion.report)
"""


def test_summary_and_report_are_the_same_in_every_process(
    make_run: Callable[..., Any], corridor_fill: Callable[..., None], corridor_scenario: Scenario
) -> None:
    """Two processes with other hash seeds say the same, byte for byte."""
    partial = make_run(corridor_scenario, corridor_fill)
    place: Path = partial.folder.finish({}, "")
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _AGAIN, str(place)],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert len(outputs.pop()) > 50_000


def test_piece_by_piece_is_the_same(corridor: Any, in_groups: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is looked at some rows at a time, with room for few values, is told in the very same bytes."""
    expected = conclude(corridor.folder.path, corridor.scenario, corridor.manifest)
    for rows, kept in ((1, 40), (2_000, 700)):
        monkeypatch.setattr(data, "PIECE_ROWS", rows)
        monkeypatch.setattr(order, "KEPT", kept)
        found = conclude(in_groups.folder.path, in_groups.scenario, in_groups.manifest)
        assert stable_json(found.summary) == stable_json(expected.summary)
        assert found.report == expected.report
        assert found.verdicts == expected.verdicts
