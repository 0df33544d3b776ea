"""``meshsim compare``: what counts as worse, and what the exit code makes of it."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.analysis.metrics import METRICS
from meshsim.cli import run_command
from meshsim.commands.comparing import _change, _shown
from meshsim.commands.comparison import DIRECTIONS, Difference, compare_summaries
from meshsim.commands.docs import COMMON, KEYS
from meshsim.results.content import run_digest
from meshsim.results.stored import open_run_folder
from meshsim.results.tables import hash_table, table_file
from meshsim.telemetry.rows import TABLES

ROOT = Path(__file__).parent.parent
SHARES = {name for name, metric in METRICS.items() if metric.kind == "share"}
"""Metrics from 0 to 1."""


def summary(**figures: float | None) -> dict[str, Any]:
    """A summary with one slice of these figures, one service and one expectation."""
    return {
        "totals": {"calls": 10, "outcomes": {"ok": 10}},
        "slices": {"web": {"latency_p99_ns": 10_000_000, "success_rate": 0.99, "budget_ns": 1, **figures}},
        "services": {"greeter": {"call_p50_ns": 1_000_000, "calls": 10}},
        "expectations": [{"expectation": "never plaintext-on-wire", "verdict": "pass"}],
    }


def judged(a: dict[str, Any], b: dict[str, Any], tolerance_ppm: int = 0) -> dict[tuple[str, str], str]:
    """The verdict on each figure that differs, by what it is of."""
    differences = compare_summaries(a, b, tolerance_ppm).differences
    return {(one.name, one.metric): one.verdict for one in differences}


def test_a_run_is_no_different_from_itself() -> None:
    """A summary compared with itself has no difference at no tolerance."""
    comparison = compare_summaries(summary(), summary(), 0)
    assert comparison.verdict == "no difference"
    assert comparison.compared == 6


@pytest.mark.parametrize(
    ("metric", "a", "b", "tolerance_ppm", "verdict"),
    [
        ("latency_p99_ns", 100, 101, 0, "worse"),
        ("latency_p99_ns", 100, 110, 100_000, "within"),
        ("latency_p99_ns", 100, 111, 100_000, "worse"),
        ("latency_p99_ns", 100, 99, 0, "better"),
        ("success_rate", 0.99, 0.98, 0, "worse"),
        ("success_rate", 0.99, 0.98, 20_000, "within"),
        ("success_rate", 0.98, 0.99, 0, "better"),
        ("timeouts", 0, 1, 1_000_000, "worse"),
        ("denied", 5, 50, 0, "changed"),
        ("requests", 100, 90, 0, "changed"),
    ],
)
def test_judgement(metric: str, a: float, b: float, tolerance_ppm: int, verdict: str) -> None:
    """A figure is judged by its own direction, and the tolerance is relative to A and exact at its edge."""
    assert judged(summary(**{metric: a}), summary(**{metric: b}), tolerance_ppm) == {("web", metric): verdict}


def test_what_is_missing_is_not_passed() -> None:
    """A figure, slice or expectation of A that B lacks makes the comparison inconclusive; a new one does not."""
    short = summary(latency_p99_ns=None)
    assert judged(summary(), short) == {("web", "latency_p99_ns"): "gone"}
    assert judged(short, summary()) == {("web", "latency_p99_ns"): "new"}
    assert compare_summaries(summary(), short, 0).verdict == "inconclusive"
    assert compare_summaries(short, summary(), 0).verdict == "no regression"
    renamed = summary()
    renamed["slices"]["other"] = renamed["slices"].pop("web")
    assert compare_summaries(summary(), renamed, 0).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("before", "after", "verdict", "whole"),
    [
        ("pass", "fail", "worse", "regression"),
        ("inconclusive", "fail", "worse", "regression"),
        ("pass", "inconclusive", "gone", "inconclusive"),
        ("fail", "inconclusive", "changed", "no regression"),
        ("fail", "pass", "better", "no regression"),
    ],
)
def test_expectations_are_compared(before: str, after: str, verdict: str, whole: str) -> None:
    """An expectation that fails anew is a regression whatever the tolerance."""
    a, b = summary(), summary()
    a["expectations"][0]["verdict"], b["expectations"][0]["verdict"] = before, after
    assert judged(a, b, 1_000_000) == {("never plaintext-on-wire", "verdict"): verdict}
    assert compare_summaries(a, b, 1_000_000).verdict == whole


@given(
    metric=st.sampled_from(sorted(DIRECTIONS)),
    a=st.integers(0, 10**12),
    b=st.integers(0, 10**12),
    tolerance_ppm=st.integers(0, 1_000_000),
)
def test_a_comparison_turned_round(metric: str, a: int, b: int, tolerance_ppm: int) -> None:
    """What is worse one way is better the other way, and no tolerance makes a better figure worse."""
    one = judged(summary(**{metric: a}), summary(**{metric: b}), tolerance_ppm)
    other = judged(summary(**{metric: b}), summary(**{metric: a}), tolerance_ppm)
    verdicts = {*one.values(), *other.values()}
    if a == b:
        assert not verdicts
    else:
        assert "better" in verdicts
        assert len(verdicts) == 2
        assert verdicts <= {"better", "worse", "within"}


def compare(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one comparison."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        exit_code = run_command(["compare", *map(str, arguments)])
    return exit_code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with run a, the same at another fidelity b, and one with another seed c."""
    folder = tmp_path_factory.mktemp("runs")
    scenario = str(ROOT / "scenarios" / "hello-mesh.yaml")
    for name, options in (("a", ()), ("b", ("--fidelity", "modelled")), ("c", ("--seed", "77"))):
        with redirect_stdout(io.StringIO()):
            assert run_command(["run", scenario, *options, "--out", str(folder / name)]) in (0, 1)
    return folder


def test_fidelity_makes_no_difference(runs: Path) -> None:
    """Two fidelities of one scenario are told to be identical, digest and all."""
    exit_code, out, err = compare(runs / "a", runs / "b", "--json")
    document = json.loads(out)
    assert (exit_code, err) == (0, "")
    assert document.keys() == {*COMMON, *KEYS["compare"]}
    assert (document["verdict"], document["identical"], document["same_scenario"]) == ("no difference", True, True)
    assert (document["differences"], document["a"]["fidelity"], document["b"]["fidelity"]) == (
        [],
        "sampled",
        "modelled",
    )
    assert "identical results: both have the digest " in compare(runs / "a", runs / "b")[1]


def test_a_baseline_is_a_kept_summary(runs: Path, tmp_path: Path) -> None:
    """A summary.json kept under another name serves as baseline, with worse figures told first and exit code 1."""
    baseline = tmp_path / "hello-mesh.json"
    shutil.copy(runs / "a" / "summary.json", baseline)
    assert compare(baseline, runs / "b")[0] == 0
    document = json.loads(compare(baseline, runs / "b", "--json")[1])
    assert (document["identical"], document["same_scenario"], document["a"]["digest"]) == (None, None, None)
    better = json.loads(baseline.read_text())
    better["slices"]["web"]["latency_p50_ns"] -= 1
    baseline.write_text(json.dumps(better), encoding="utf-8")
    exit_code, out, _ = compare(baseline, runs / "b")
    assert exit_code == 1
    assert "worse" in out.splitlines()[1]
    assert "web latency_p50" in out.splitlines()[1]
    assert "regression: " in out
    assert compare(baseline, runs / "b", "--tolerance", "1 %")[0] == 0


def test_another_seed_is_told(runs: Path) -> None:
    """Runs with different seeds are not called the same scenario, and the summary inside a run folder is that run."""
    document = json.loads(compare(runs / "a" / "summary.json", runs / "c", "--tolerance", "100 %", "--json")[1])
    assert (document["identical"], document["same_scenario"]) == (False, False)
    assert document["changes"] == [{"path": "seed", "a": "1", "b": "77"}]
    assert "what was asked differs (A / B): seed (1 / 77)\n" in compare(runs / "a", runs / "c")[1]
    assert document["a"]["path"] == str(runs / "a")
    assert document["differences"]


def changed_manifest(run_dir: Path, **facts: Any) -> None:
    """Write facts into a run's manifest, with the hashes of the tables as they are now."""
    tables = {table: hash_table(run_dir, table) for table in TABLES}
    manifest = json.loads((run_dir / "manifest.json").read_text())
    manifest["tables"] = {table: {"rows": rows, "sha256": sha256} for table, (rows, sha256) in tables.items()}
    (run_dir / "manifest.json").write_text(json.dumps(manifest | {"digest": run_digest(tables)} | facts))


def without_last_row(run_dir: Path, table: str) -> None:
    """Remove the last row of a table, as a run that ended otherwise might have it."""
    whole = pq.read_table(table_file(run_dir, table))
    pq.write_table(whole.slice(0, whole.num_rows - 1), table_file(run_dir, table))


def changed_scenario(run_dir: Path, *changes: tuple[str, str], **facts: Any) -> None:
    """Replace words in a run's scenario, and write the manifest that such a run would have."""
    text = (run_dir / "scenario.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (run_dir / "scenario.yaml").write_text(text)
    changed_manifest(run_dir, scenario_sha256=hashlib.sha256(text.encode()).hexdigest(), **facts)


def test_what_was_asked_otherwise_is_named(runs: Path, tmp_path: Path) -> None:
    """Fields by their path, files and the cost profile are told apart, the first five of them to people."""
    other = shutil.copytree(runs / "a", tmp_path / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    inputs = dict.fromkeys(manifest["inputs"], "1" * 64)
    changed_scenario(
        other,
        ("uplink: 3 ms", "uplink: 4 ms"),
        ("size: 10", "size: 11"),
        ("never: plaintext-on-wire", "never: plaintext-on-wire\n  - extra: 1"),
        inputs=inputs,
        cost_profile_sha256="2" * 64,
    )
    assert open_run_folder(other).verify() == []
    document = json.loads(compare(runs / "a", other, "--json")[1])
    changes = {change["path"]: (change["a"], change["b"]) for change in document["changes"]}
    assert changes["network.radios.air.fixed.uplink"] == ("3 ms", "4 ms")
    assert changes["fleets.phones.size"] == ("10", "11")
    assert changes["the file policies/hello-mesh.cedar"][1] == "sha256 111111111111"
    assert changes["the cost profile"][1] == "sha256 222222222222"
    assert (document["identical"], document["same_scenario"]) == (True, False)
    out = compare(runs / "a", other)[1]
    assert "identical results" in out
    assert "fleets.phones.size (10 / 11); " in out


def test_different_scenarios_are_told_first(runs: Path, tmp_path: Path) -> None:
    """Two scenarios, also where one is a baseline, are called that before any figure."""
    baseline = tmp_path / "other.json"
    baseline.write_text(json.dumps(json.loads((runs / "a" / "summary.json").read_text()) | {"scenario": "plant"}))
    first = "! these are different scenarios: A is 'plant', B is 'hello-mesh'"
    assert compare(baseline, runs / "b")[1].splitlines()[0] == first
    assert "different scenarios" not in compare(runs / "a", runs / "c")[1]


def test_figures_are_counted_apart(runs: Path, tmp_path: Path) -> None:
    """What both have and what only one has are counted apart, so that no more differ than were compared."""
    plain = json.loads((runs / "a" / "summary.json").read_text())
    count = json.loads(compare(runs / "a", runs / "b", "--json")[1])["compared"]
    assert f"no difference: none of {count} figures differ\n" in compare(runs / "a", runs / "b")[1]
    plain["slices"]["web"]["latency_p50_ns"] -= 1
    plain["slices"]["new"] = plain["slices"]["web"]
    del plain["services"]["greeter"]["calls"]
    (tmp_path / "b.json").write_text(json.dumps(plain))
    out = compare(runs / "a", tmp_path / "b.json")[1]
    assert f"1 of {count - 1} figures differs, 1 in A only, " in out
    assert " in B only\n" in out


@given(
    metric=st.sampled_from(sorted([*DIRECTIONS, "requests_per_s", "memory_bytes"])),
    a=st.integers(0, 10**12),
    apart=st.integers(1, 1000),
)
def test_a_difference_is_always_visible(metric: str, a: int, apart: int) -> None:
    """However close two figures are, they are not printed alike, nor is their change printed as nothing."""
    whole = metric not in SHARES and metric != "requests_per_s"
    one, other = (a, a + apart) if whole else (a / 10**12 * 0.9, a / 10**12 * 0.9 + apart / 10**6)
    difference = Difference("slice", "web", metric, one, other, None if not one else 0.0, "worse")
    before, after = _shown(difference)
    assert before != after
    assert not one or _change(difference) not in ("+0.0 %", "-0.0 %")


def test_shares_are_told_in_percent() -> None:
    """Every share that is compared is printed as one: of packets in time as of requests answered."""
    assert {"success_rate", "within_budget", "radio_within_budget", "packet_error_rate"} <= SHARES & set(DIRECTIONS)
    for metric in SHARES:
        difference = Difference("slice", "web", metric, 0.990091, 0.25, None, "worse")
        assert _shown(difference) == ("99.01 %", "25 %")


def test_same_scenario_other_results(runs: Path, tmp_path: Path) -> None:
    """When scenario, seed and cost profile are the same and results are not, the versions that differ are named."""
    other = shutil.copytree(runs / "a", tmp_path / "other")
    without_last_row(other, "nodes")
    changed_manifest(other)
    assert "the code has changed" in compare(runs / "a", other)[1]
    versions = json.loads((other / "manifest.json").read_text())["versions"]
    changed_manifest(other, versions=versions | {"openssl": "OpenSSL 0.9.8"})
    assert "versions: openssl " in compare(runs / "a", other)[1]


@pytest.mark.parametrize("damage", ["truncated", "another value", "digest", "scenario"])
def test_a_damaged_run_is_never_called_identical(runs: Path, tmp_path: Path, damage: str) -> None:
    """A run whose tables are not what its manifest states is refused on either side, with one line and exit code 2."""
    other = shutil.copytree(runs / "a", tmp_path / "other")
    if damage == "truncated":
        content = (other / "calls.parquet").read_bytes()
        (other / "calls.parquet").write_bytes(content[: len(content) // 2])
    elif damage == "another value":
        without_last_row(other, "calls")
    else:
        changed_manifest(other, **{"digest": "0" * 64} if damage == "digest" else {"scenario_sha256": "0" * 64})
    told = {"digest": "the digest ", "scenario": "scenario.yaml "}.get(damage, "calls ")
    for sides in ((runs / "a", other), (other, runs / "a"), (other, other)):
        exit_code, out, err = compare(*sides)
        assert (exit_code, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert f"{other} is damaged: {told}" in err


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"totals": 1, "slices": 2, "services": 3, "expectations": 4}', "\xff"]
)
def test_what_is_no_summary(runs: Path, tmp_path: Path, text: str) -> None:
    """A file that is no summary is refused with one line and exit code 2."""
    (tmp_path / "summary.json").write_text(text, encoding="latin-1")
    exit_code, out, err = compare(tmp_path / "summary.json", runs / "a")
    assert (exit_code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "no summary" in err
