"""Clocks that are wrong: whose certificates are refused by whom, for how long, and what back-dating does about it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from meshsim.scenario.loader import load_text

S = 1_000_000_000
Data = dict[str, Any]


@pytest.fixture
def mesh() -> Data:
    """A client on a calls a service on c, on a new connection each time; the issuer is on b. Rotation after 100 s."""
    return {
        "scenario": "skew",
        "duration": "180 s",
        "network": {
            "nodes": {name: {"kind": "edge", "cores": 2} for name in "abc"},
            "links": [
                {"between": ["a", "b"], "latency": "1 ms"},
                {"between": ["b", "c"], "latency": "1 ms"},
            ],
            "slices": {"web": {"sst": 1, "five_qi": 80}},
        },
        "services": {"front": {"replicas": {"c": 1}, "work": {"constant": "1 ms"}}},
        "fleets": {"client": {"node": "a"}},
        "mesh": {
            "control": {"node": "b"},
            "identity": {"svid_ttl": "200 s", "backdate": "0 s", "issuer": {}, "at_start": "onboarding"},
            "pool": {"idle_timeout": "50 ms"},
            "resilience": {"retries": 0},
            "tls": {"resumption": False},
        },
        "traffic": [
            {"from": "client", "to": "front", "slice": "web", "arrivals": {"constant": "2 /s"}, "start": "1 s"}
        ],
    }


def refusals(result: Any) -> Counter[tuple[str, str, str]]:
    """Handshakes that were refused: by whom, with which alert, and why."""
    return Counter((row.refused_by, row.alert, row.reason) for row in result.handshakes if row.outcome == "refused")


def well_from(result: Any) -> list[int]:
    """The seconds at which requests begin to succeed after some that did not, or that nothing came before."""
    found, last = [], ""
    for row in sorted(result.requests, key=lambda row: row.t_intended_ns):
        if row.outcome == "ok" and last != "ok":
            found.append(row.t_intended_ns // S)
        last = row.outcome
    return found


@pytest.mark.parametrize("skew_s", [5, 30])
def test_slow_verifier_refuses_what_is_fresh(simulate: Any, mesh: Data, skew_s: int) -> None:
    """A server whose clock is behind refuses a fresh certificate as not yet valid, for as long as it is behind."""
    mesh["network"]["nodes"]["c"]["clock_skew"] = f"-{skew_s} s"
    result = simulate(mesh)
    assert set(refusals(result)) == {("server", "bad_certificate", "not yet valid")}
    assert well_from(result) == [skew_s, 100 + skew_s]
    mesh["mesh"]["identity"]["backdate"] = "2 min"
    mended = simulate(mesh)
    assert refusals(mended) == {}
    assert {row.outcome for row in mended.requests} == {"ok"}


def test_fast_issuer_is_refused_by_all(simulate: Any, mesh: Data) -> None:
    """What an issuer signs whose clock is ahead is not yet valid for anybody, until time has caught up."""
    mesh["network"]["nodes"]["b"]["clock_skew"] = "20 s"
    result = simulate(mesh)
    assert set(refusals(result)) == {("client", "bad_certificate", "not yet valid")}
    first = [row for row in result.identities if row.event == "issued"]
    assert {row.not_before_ns // S for row in first} == {20}
    assert well_from(result)[0] == 20
    mesh["mesh"]["identity"]["backdate"] = "2 min"
    assert refusals(simulate(mesh)) == {}


def test_slow_issuer_shortens_lives(simulate: Any, mesh: Data) -> None:
    """What an issuer signs whose clock is behind ends early, and its workloads replace it early: nobody notices."""
    mesh["network"]["nodes"]["b"]["clock_skew"] = "-60 s"
    result = simulate(mesh)
    assert {row.outcome for row in result.requests} == {"ok"}
    rotations = [row.t_start_ns for row in result.issuances if row.purpose == "rotation"]
    assert {instant_ns // S for instant_ns in rotations} == {40, 80, 120, 160}


def test_workload_with_a_fast_clock_rotates_early(simulate: Any, mesh: Data) -> None:
    """A workload replaces its certificate when its own clock says so; who is hours ahead asks each second."""
    mesh["network"]["nodes"]["a"]["clock_skew"] = "40 s"
    result = simulate(mesh, fidelity="modelled")
    starts = [row.t_start_ns // S for row in result.issuances if row.purpose == "rotation" and row.node == "a"]
    assert starts == [60, 120]
    mesh["network"]["nodes"]["a"]["clock_skew"] = "5 h"
    lost = simulate(mesh)
    assert set(refusals(lost)) == {("client", "certificate_expired", "expired")}
    asked = [row for row in lost.issuances if row.purpose == "rotation" and row.node == "a"]
    assert 100 < len(asked) <= 180


@pytest.mark.parametrize(
    ("behind", "ahead", "backdate", "early"),
    [("-25 s", "5 s", "10 s", "20 s"), ("-5 s", "5 s", "10 s", ""), ("5 s", "5 s", "0 s", "")],
)
def test_a_clock_too_far_behind_is_noted(
    mesh: Data, tmp_path: Path, behind: str, ahead: str, backdate: str, early: str
) -> None:
    """Where certificates are not dated back by as much as a clock is behind the issuer's, `meshsim check` says so."""
    mesh["network"]["nodes"]["c"]["clock_skew"] = behind
    mesh["network"]["nodes"]["b"]["clock_skew"] = ahead
    mesh["mesh"]["identity"]["backdate"] = backdate
    notes = [str(note) for note in load_text(json.dumps(mesh), tmp_path / "scenario.yaml", []).notes]
    found = [note for note in notes if "each new one is refused here" in note]
    assert [f"refused here for {early};" in note for note in found] == ([True] if early else [])
