"""Pushes in summaries, on the terminal and in the table that they are computed from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import meshsim
from meshsim.analysis.data import RunData
from meshsim.analysis.push_figures import explained_pushes, pushes
from meshsim.analysis.reasons import explained
from meshsim.analysis.summary import summarise

SCENARIO = """\
scenario: pushes
duration: 20 s
network:
  nodes: {core: {kind: core}, edge: {kind: edge}}
  links: [{name: trunk, between: [core, edge], latency: 5 ms}]
  slices: {web: {sst: 1, five_qi: 9}}
services:
  front: {replicas: {edge: 2}, work: {constant: 1 ms}}
fleets:
  client: {node: edge, size: 4}
mesh:
  identity: {revocation: {deny_list: true}}
traffic:
  - {from: client, to: front, slice: web, arrivals: {constant: 10 /s}}
changes: [{name: groups, at: 2 s, tls: {groups: [P-256]}}]
faults:
  - {at: 4 s, kind: revoke, target: client/0}
  - {at: 1900 ms, for: 1 s, kind: link-down, target: trunk}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> meshsim.Run:
    """A run with a change that is held up by a cut, and a deny list."""
    folder = tmp_path_factory.mktemp("pushes")
    path = folder / "pushes.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return meshsim.run(path, out=folder / "run", overrides=["fidelity=modelled"])


def data_of(run: meshsim.Run) -> RunData:
    """Return the tables of a run."""
    return RunData(run.path, run.scenario, run.manifest)


def test_they_are_counted_by_node_and_kind(run: meshsim.Run) -> None:
    """Figures are those of the table's rows, and bytes those that left the node over its links."""
    found = pushes(data_of(run))
    table = run.configs
    rows = table[table.kind == "configuration"]
    (change,) = [one for one in found if one["kind"] == "configuration"]
    assert change == {
        "source": "core",
        "kind": "configuration",
        "pushed": 6,
        "arrived": 6,
        "lost": int((rows.event == "stale").sum()),
        "sent_bytes": int(rows.sent_bytes.sum()),
    }
    assert change["lost"] == 6
    assert {one["kind"] for one in found} >= {"configuration", "trust"}
    links = run.links
    assert sum(one["sent_bytes"] for one in found) == links[links.link == "core->edge"].sent_bytes.sum()


def test_people_are_told(run: meshsim.Run) -> None:
    """The summary has them, and the terminal and the report a list with the bytes and what was lost."""
    summary = summarise(data_of(run), [])
    assert summary["pushes"] == pushes(data_of(run))
    (part,) = [part for part in explained(summary) if part.title == "Pushes"]
    assert part.columns == ("pushed", "from", "arrived", "lost", "bytes")
    by_kind = {row[0]: row for row in part.rows}
    assert by_kind["configuration"][1:4] == ("from core", "6 of 6 arrived", "6 lost")
    assert by_kind["trust"][1:4] == ("from core", "6 of 6 arrived", "none lost")
    assert by_kind["trust"][4].endswith("kB")
    assert part.remark


def test_runs_without_pushes_say_nothing(tmp_path: Path) -> None:
    """What comes with a start is no push."""
    path = tmp_path / "quiet.yaml"
    quiet: Any = SCENARIO.partition("changes:")[0]
    path.write_text(quiet, encoding="utf-8")
    run = meshsim.run(path, out=tmp_path / "run", overrides=["fidelity=modelled"])
    summary = summarise(data_of(run), [])
    assert "pushes" not in summary
    assert explained_pushes(summary) == []
