"""The shipped scenarios: sound, passing, the same at every fidelity, and as their baselines say (``make renew``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import meshsim
from meshsim.analysis.report import overall
from meshsim.commands.checking import check_files

ROOT = Path(__file__).parent.parent
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))
BASELINES = ROOT / "results" / "baselines"
SCHEMA_LINE = "# yaml-language-server: $schema=../docs/scenario.schema.json\n"

for_each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, meshsim.Run]:
    """Runs so far, by scenario: each is run once."""
    folder = tmp_path_factory.mktemp("shipped")

    class Runs(dict[Path, meshsim.Run]):
        def __missing__(self, scenario: Path) -> meshsim.Run:
            self[scenario] = meshsim.run(scenario, out=folder / scenario.stem)
            return self[scenario]

    return Runs()


def differences(before: Any, after: Any, place: str = "") -> list[str]:
    """Return the first few places where two summaries differ, with both values."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = dict.fromkeys([*before, *after])
        found = [differences(before.get(key), after.get(key), f"{place}.{key}") for key in keys]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        found = [differences(*pair, f"{place}[{index}]") for index, pair in enumerate(zip(before, after, strict=True))]
    else:
        found = [] if before == after else [[f"{place[1:]}: {before} in the baseline, now {after}"]]
    return [line for lines in found for line in lines][:10]


@for_each_scenario
def test_scenario_is_sound(scenario: Path) -> None:
    """`meshsim check` finds nothing, and the file names the schema that editors complete by."""
    assert check_files([scenario], None, None, [], quiet=True).errors == ()
    assert scenario.read_text(encoding="utf-8").startswith(SCHEMA_LINE)


@for_each_scenario
def test_scenario_passes(scenario: Path, runs: dict[Path, meshsim.Run]) -> None:
    """Every expectation holds, and none is left open."""
    run = runs[scenario]
    assert overall(run.summary) == "pass", run.expectations.query("verdict != 'pass'").to_string()
    assert run.scenario.scenario == scenario.stem


@for_each_scenario
def test_scenario_is_as_its_baseline_says(scenario: Path, runs: dict[Path, meshsim.Run]) -> None:
    """A result that changed was changed on purpose: `make renew` writes the baseline anew."""
    baseline = json.loads((BASELINES / f"{scenario.stem}.json").read_text(encoding="utf-8"))
    changed = differences(baseline, runs[scenario].summary)
    assert not changed, "\n".join(changed)


def test_differences_are_found() -> None:
    """The comparison of this file sees a changed figure, a missing one and a longer list."""
    assert differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}) == []
    assert differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == ["a[1].b: 2 in the baseline, now 3"]
    assert differences({"a": 1}, {}) == ["a: 1 in the baseline, now None"]
    assert len(differences({"a": [1]}, {"a": [1, 2]})) == 1


def test_baselines_are_of_shipped_scenarios() -> None:
    """There is a baseline for every scenario, and for nothing else."""
    assert [path.stem for path in sorted(BASELINES.glob("*.json"))] == [path.stem for path in SCENARIOS]


def test_cars_of_the_corridor_move(runs: dict[Path, meshsim.Run]) -> None:
    """The measured drive hands cars over: each is served by several base stations, and both edge sites serve it."""
    run = runs[ROOT / "scenarios" / "v2x-corridor.yaml"]
    client = run.requests.set_index("request_id").client
    calls = run.calls[run.calls.parent_id == 0]
    places = calls.assign(client=calls.request_id.map(client)).groupby("client", observed=True)
    assert places.source_node.nunique().min() >= 3
    assert places.destination_node.nunique().min() >= 2
