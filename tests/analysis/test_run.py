"""A run as a notebook sees it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from meshsim.analysis.conclude import conclude
from meshsim.analysis.metrics import METRICS
from meshsim.analysis.report import render_report
from meshsim.analysis.run import Run, open_run
from meshsim.scenario.errors import UsageError
from meshsim.scenario.model import Scenario
from meshsim.telemetry.columns import columns
from meshsim.telemetry.rows import ATTRIBUTION, TABLES


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory,
    corridor_scenario: Scenario,
    corridor_fill: Callable[..., None],
    make_partial: Callable[..., Any],
) -> Run:
    partial = make_partial(tmp_path_factory.mktemp("run") / "corridor", corridor_scenario, corridor_fill)
    conclusion = conclude(partial.folder.path, corridor_scenario, partial.manifest)
    return open_run(partial.folder.finish(conclusion.summary, conclusion.report))


@pytest.mark.parametrize("table", TABLES)
def test_frames_are_typed(table: str, run: Run) -> None:
    """Every table is a frame with the contract's columns: int64, bool, and categories for strings."""
    frame = run.frame(table)
    assert frame is getattr(run, table)
    assert list(frame.columns) == [column.name for column in columns(table)]
    for column in columns(table):
        expected = {"int64": np.dtype("int64"), "bool": np.dtype("bool")}.get(column.type)
        if expected is None:
            assert isinstance(frame[column.name].dtype, pd.CategoricalDtype)
        else:
            assert frame[column.name].dtype == expected


def test_frames_agree_with_the_metrics(run: Run) -> None:
    """What pandas computes from the frame is what the metric says."""
    of_slice = run.requests[run.requests["slice"] == "v2x"]
    assert run.metric("requests", slice="v2x") == len(of_slice)
    assert run.metric("latency_max", slice="v2x") == of_slice.query("outcome == 'ok'")["latency_ns"].max()
    assert (run.requests[list(ATTRIBUTION)].sum(axis=1) == run.requests["latency_ns"]).all()


def test_the_folder_is_described(run: Run) -> None:
    """Digest, summary, scenario, expectations, slices and report are at hand, and the folder verifies."""
    assert run.digest == run.manifest.digest
    assert run.scenario.scenario == "corridor"
    assert list(run.slices.index) == ["v2x", "video", "telemetry"]
    assert run.slices.loc["v2x", "requests"] == run.summary["slices"]["v2x"]["requests"]
    assert list(run.expectations["verdict"].unique()) == ["fail", "pass"]
    assert run.report_path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run.verify() == []
    assert "corridor" in repr(run)


def test_it_shows_itself_in_a_notebook(run: Run) -> None:
    """A run at the end of a cell is a small table; a picture is an SVG."""
    html = run._repr_html_()
    assert "<th scope=row>v2x</th>" in html
    assert len(html) < 5_000
    assert run.picture("timeline")._repr_svg_().rstrip().endswith("</svg>")


def test_a_report_can_be_written_again(run: Run) -> None:
    """From what the folder holds comes the same report, byte for byte."""
    assert render_report(run, run.summary) == run.report_path.read_text(encoding="utf-8")


def test_the_reference_names_every_metric() -> None:
    """docs/results.md names each metric that no expectation has, and docs/scenario.md those that one has."""
    docs = Path(__file__).parent.parent.parent / "docs"
    (section,) = re.findall(r"^## MetricExpectation$.*?^## ", (docs / "scenario.md").read_text("utf-8"), re.S | re.M)
    (others,) = re.findall(r"^Metrics are .*?\n\n", (docs / "results.md").read_text("utf-8"), re.S | re.M)
    expectable = set(re.findall(r"^\| `(\w+)`", section, re.M))
    assert set(re.findall(r"`(\w+)`", others)) == METRICS.keys() - expectable


def test_mistakes_are_answered_with_what_there_is(run: Run) -> None:
    """An unknown metric, phase, picture or table is named, with what would be right."""
    with pytest.raises(UsageError, match=r"no metric 'latency_p90'; did you mean .*'latency_p99'\?"):
        run.metric("latency_p90")
    with pytest.raises(UsageError, match=r"no metric 'p99'; there are .*latency_p99"):
        run.metric("p99")
    with pytest.raises(UsageError, match=r"no phase or fault 'noon'; there are calm, late, latency-surge"):
        run.metric("requests", during="noon")
    with pytest.raises(UsageError, match="no picture 'map'; there are attribution"):
        run.picture("map")
    with pytest.raises(KeyError, match="requests, calls"):
        run.frame("queries")


@pytest.mark.parametrize(
    ("kind", "filter_", "mistyped", "meant"),
    [
        ("slice", "slice", "v2xx", "v2x"),
        ("service", "service", "hazrd", "hazard"),
        ("flow", "source", "car", "cars"),
    ],
)
def test_a_filter_that_nothing_can_match_is_refused(
    run: Run, kind: str, filter_: str, mistyped: str, meant: str
) -> None:
    """An unknown slice, service or flow is a mistake with a suggestion, never a metric without a value."""
    with pytest.raises(UsageError, match=rf"no {kind} '{mistyped}'; did you mean '{meant}'\?"):
        run.metric("latency_p95", **{filter_: mistyped})
    assert run.metric("requests", **{filter_: meant})


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """Opening something else says what it lacks."""
    with pytest.raises(UsageError, match="no manifest"):
        open_run(tmp_path)


def test_a_damaged_scenario_is_refused(run: Run, tmp_path: Path) -> None:
    """A run whose scenario was edited into nonsense does not open."""
    place = tmp_path / "copy"
    place.mkdir()
    for file in run.path.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    for text in ("scenario: [", "scenario: 7\n", "{}"):
        (place / "scenario.yaml").write_text(text)
        with pytest.raises(UsageError, match="damaged"):
            open_run(place)


def test_a_run_of_another_version_is_refused(run: Run, tmp_path: Path) -> None:
    """Without columns that came later it opens as if nothing were in them; without others, both versions are told."""
    place = tmp_path / "copy"
    place.mkdir()
    for file in run.path.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    later = [column.name for column in columns("calls") if column.later]
    calls = pq.read_table(place / "calls.parquet").drop_columns(later)
    pq.write_table(calls, place / "calls.parquet")
    older = open_run(place)
    assert later
    assert not older.calls[later].astype(bool).to_numpy().any()
    assert list(older.calls) == list(run.calls)
    assert older.metric("success_rate") == run.metric("success_rate")
    assert conclude(place, older.scenario, older.manifest).report
    pq.write_table(calls.drop_columns(["outcome"]), place / "calls.parquet")
    with pytest.raises(UsageError, match=r"other columns in calls \(written by meshsim .*, read by \d"):
        open_run(place)


def test_a_damaged_table_is_refused(run: Run, tmp_path: Path) -> None:
    """A table that is no Parquet any more is named."""
    place = tmp_path / "copy"
    place.mkdir()
    for file in run.path.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    (place / "links.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match="table links"):
        _ = open_run(place).links


def test_a_run_is_judged_without_pandas() -> None:
    """Neither metrics nor verdicts nor the report import pandas, which takes a third of a second."""
    code = "import sys, meshsim.analysis.conclude, meshsim.analysis.plots; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
