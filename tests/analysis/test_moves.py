"""Services that follow a fleet, in summaries, on the terminal and in the picture of the network."""

from __future__ import annotations

from pathlib import Path

import pytest

import meshsim
from meshsim.analysis.data import RunData
from meshsim.analysis.move_figures import explained_moves, moves
from meshsim.analysis.reasons import explained

SCENARIO = """\
scenario: commuters
duration: 30 s
network:
  nodes: {g1: {kind: gnb}, g2: {kind: gnb}, e1: {kind: edge}, e2: {kind: edge}}
  links:
    - {between: [g1, e1], latency: 1 ms}
    - {between: [g2, e2], latency: 1 ms}
    - {between: [e1, e2], latency: 5 ms}
  slices: {web: {sst: 1, five_qi: 9}}
  radios: {air: {fixed: {uplink: 1 ms, downlink: 1 ms}, cells: {c1: g1, c2: g2}}}
services:
  guide: {replicas: {e1: 2}, work: {constant: 1 ms}, follow: {fleet: cars, among: [e1, e2], every: 1 s}}
fleets:
  cars:
    size: 2
    radio: air
    path: {through: [{cell: c1, length: 100 m}, {cell: c2, length: 50 m}], speed: 36 km/h, spread: false, at_end: turn}
traffic:
  - {from: cars, to: guide, slice: web, arrivals: {constant: 10 /s}}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> meshsim.Run:
    """Cars leave the first cell after 10 s and are back in it after 20 s."""
    folder = tmp_path_factory.mktemp("moves")
    (folder / "commuters.yaml").write_text(SCENARIO, encoding="utf-8")
    return meshsim.run(folder / "commuters.yaml", out=folder / "run", overrides=["fidelity=modelled"])


def test_moves_are_those_that_were_announced(run: meshsim.Run) -> None:
    """One replica of two moves to where all cars are; as the other one stayed where it was, none moves back."""
    pushed = run.configs[run.configs.reason.str.contains("moved")]
    assert moves(RunData(run.path, run.scenario, run.manifest)) == [
        {"service": "guide", "from": "e1", "to": "e2", "count": 1, "first_ns": int(pushed.t_ns.min())}
    ]
    assert run.summary["moves"][0]["first_ns"] == pytest.approx(10_600_000_000, abs=1_100_000_000)


def test_moves_are_told(run: meshsim.Run) -> None:
    """The terminal and the report have them, and the picture's caption who follows whom; of no move nothing is said."""
    (part,) = [part for part in explained(run.summary) if part.title == "Moved"]
    ((service, way, when, times),) = part.rows
    assert (service, way, times) == ("guide", "from e1 to e2", "1")
    assert when.startswith("first announced at 1")
    assert "from e1 to e2" in run.report_path.read_text(encoding="utf-8")
    assert "guide follows cars" in run.picture("topology").caption
    assert explained_moves({}) == []


def test_a_way_is_told_once(run: meshsim.Run, tmp_path: Path) -> None:
    """A service that goes to and fro has one row for each way, the most frequent first."""
    scenario = tmp_path / "commuters.yaml"
    scenario.write_text(SCENARIO.replace("{e1: 2}", "{e1: 1}").replace("duration: 30 s", "duration: 50 s"), "utf-8")
    found = meshsim.run(scenario, out=tmp_path / "run", overrides=["fidelity=modelled"]).summary["moves"]
    assert [(one["from"], one["to"], one["count"]) for one in found] == [("e1", "e2", 2), ("e2", "e1", 1)]
    assert found[0]["first_ns"] == run.summary["moves"][0]["first_ns"]


def test_services_that_move_together_are_told_apart(tmp_path: Path) -> None:
    """Two that are announced as one are two moves, each to a node."""
    scenario = tmp_path / "commuters.yaml"
    maps = "  maps: {replicas: {e1: 1}, work: {constant: 1 ms}, follow: {fleet: cars, among: [e1, e2], every: 1 s}}\n"
    more = "  - {name: more, from: cars, to: maps, slice: web, arrivals: {constant: 10 /s}}\n"
    text = SCENARIO.replace("fleets:\n", f"{maps}fleets:\n").replace("duration: 30 s", "duration: 15 s")
    scenario.write_text(text + more, encoding="utf-8")
    run = meshsim.run(scenario, out=tmp_path / "run", overrides=["fidelity=modelled"])
    assert sum("moved" in reason for reason in run.configs.reason.unique()) == 1
    assert [(one["service"], one["to"]) for one in run.summary["moves"]] == [("guide", "e2"), ("maps", "e2")]
