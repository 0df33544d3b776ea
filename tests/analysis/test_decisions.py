"""Decisions on trial, without an answer, wrong ones, and header fields: counted from rows of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshsim.analysis.change_figures import trials
from meshsim.analysis.data import RunData
from meshsim.analysis.decision_figures import explained_undecided, undecided
from meshsim.analysis.header_figures import header_figures
from meshsim.analysis.metrics import measure
from meshsim.analysis.reasons import grouped
from meshsim.analysis.selection import Selection
from meshsim.telemetry.rows import DecisionRow, RequestRow
from tests.analysis.made_rows import row

S = 1_000_000_000


def _decision(**values: Any) -> Any:
    if values.get("failure"):
        values = {"rule": "failed-open" if values.get("allowed") else "failed-closed"} | values
    return row(DecisionRow, **{"source": "cars", "destination": "hazard", "method": "GET", "path": "/"} | values)


def test_trials_tell_what_would_be(run_of: Callable[..., RunData]) -> None:
    """A shadow says what it would decide, a policy on trial denies by its name; what would be allowed stands first."""
    rows = [
        _decision(),
        *[_decision(shadow="denied") for _ in range(3)],
        _decision(shadow="allowed", path="/new"),
        *[_decision(dry_run="ns[a]-policy[b]") for _ in range(2)],
    ]
    found = [
        tuple(one[name] for name in ("trial", "would_be", "rule", "path", "count"))
        for one in trials(run_of(decisions=rows), grouped)
    ]
    assert found == [
        ("shadow", "allowed", "", "/new", 1),
        ("shadow", "denied", "", "/", 3),
        ("dry-run", "denied", "ns[a]-policy[b]", "/", 2),
    ]


def test_decisions_without_an_answer(run_of: Callable[..., RunData]) -> None:
    """What failed open and what failed closed are counted apart, with those that policies would decide otherwise."""
    rows = [
        _decision(allowed=True),
        _decision(failure="timeout", allowed=True, wrongly="allowed"),
        _decision(failure="timeout", allowed=True),
        _decision(failure="down", wrongly="denied", destination="vision"),
        *[_decision(failure="down", destination="vision") for _ in range(3)],
        # It was let in without an answer, and a policy of its own denied it: that one decided.
        _decision(failure="down", rule="ns[a]-policy[b]-deny-all"),
    ]
    figures = undecided(run_of(decisions=rows), grouped)
    names = ("destination", "failure", "allowed", "denied", "wrongly_allowed", "wrongly_denied")
    assert [tuple(one[name] for name in names) for one in figures] == [
        ("hazard", "timeout", 2, 0, 1, 0),
        ("vision", "down", 0, 4, 0, 1),
    ]
    ((_, _, told, _),) = explained_undecided({"undecided": figures})
    assert [cells[2:] for cells in told] == [("1 wrongly let in", "2"), ("1 wrongly kept out", "4")]


def test_metrics_of_decisions_belong_to_services_and_phases(run_of: Callable[..., RunData]) -> None:
    """A service has the decisions about calls to it, a phase those that took effect in it."""
    rows = [
        _decision(t_ns=time_ns, destination=destination, failure="down", wrongly="allowed")
        for time_ns, destination in ((0, "hazard"), (14 * S, "vision"), (15 * S, "hazard"))
    ]
    run = run_of(decisions=[*rows, _decision(wrongly="denied")])
    for selection, failed in (
        (Selection(), 3),
        (Selection(service="hazard"), 2),
        (Selection(during="calm"), 2),
        (Selection(service="hazard", during="calm"), 1),
    ):
        assert measure(run, "decisions_failed", selection) == failed
        assert measure(run, "decisions_wrongly_allowed", selection) == failed
    assert measure(run, "decisions_wrongly_denied") == 1


def test_header_fields_are_counted_by_who_got_them(run_of: Callable[..., RunData]) -> None:
    """Answers that told of the mesh belong to flows, fields that were taken off to callers and called services."""
    requests = [
        row(RequestRow, request_id=number, source=source, service="hazard", exposed=exposed)
        for number, (source, exposed) in enumerate((("cars", "server"), ("cars", ""), ("cameras", "server")), 1)
    ]
    run = run_of(requests=requests, decisions=[_decision(), _decision(removed="te trailer")])
    assert header_figures(run, grouped) == {
        "exposed": [
            {"source": source, "service": "hazard", "fields": ["server"], "count": 1} for source in ("cameras", "cars")
        ],
        "removed": [{"source": "cars", "destination": "hazard", "fields": ["te", "trailer"], "count": 1}],
    }
    assert measure(run, "requests_exposed") == 2
    assert measure(run, "requests_exposed", Selection(source="cars")) == 1


def test_a_run_ends_with_its_last_outcome(run_of: Callable[..., RunData]) -> None:
    """Requests that are answered after the last one was sent make a run longer, and earlier ones do not."""
    for done_s, end_s in ((1, 60), (63, 63)):
        run = run_of(requests=[row(RequestRow, request_id=1, t_done_ns=done_s * S)])
        assert (run.duration_ns, run.end_ns) == (60 * S, end_s * S)
