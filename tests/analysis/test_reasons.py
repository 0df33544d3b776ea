"""Denials and failures: counted by what they have in common, the most frequent first, causes before consequences."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from rich.console import Console

from meshsim.analysis.data import RunData
from meshsim.analysis.reasons import CALL_REASONS, MOST, denials, explained, failures
from meshsim.commands.drawing import draw_explained
from meshsim.telemetry.outcomes import REQUEST_OUTCOMES
from meshsim.telemetry.rows import CallRow, DecisionRow, HandshakeRow
from tests.analysis.made_rows import row


def _denied(call_id: int, path: str = "/") -> Any:
    names = {"source": "cars", "destination": "hazard", "method": "GET", "path": path, "rule": "default-deny"}
    return row(DecisionRow, call_id=call_id, **names)


def _explained(run: RunData, denied: int) -> list[Any]:
    summary = {"denials": denials(run), "failures": failures(run), "totals": {"decisions_denied": denied}}
    return explained(summary)


def test_denials_are_counted_by_question_and_rule(run_of: Callable[..., RunData]) -> None:
    """What was allowed is not counted, and calls in plaintext are told apart from those with an identity."""
    run = run_of(
        decisions=[_denied(1), _denied(2), _denied(3, "/other"), msgspec.structs.replace(_denied(4), allowed=True)],
        calls=[row(CallRow, call_id=n, encrypted=n != 2) for n in range(1, 5)],
    )
    first, second = denials(run)
    assert (first["path"], first["count"], first["unproven"]) == ("/", 2, 1)
    assert (second["path"], second["count"], second["unproven"]) == ("/other", 1, 0)
    (part,) = _explained(run, 3)
    assert part.rows[0] == ("cars \N{RIGHTWARDS ARROW} hazard", "GET /", "no rule allows it (default-deny)", "2")
    assert part.remark.startswith("1 of these calls came in plaintext (mesh.tls.mode DISABLE or PERMISSIVE)")


def test_a_call_that_had_no_end_is_not_called_unproven(run_of: Callable[..., RunData]) -> None:
    """A decision about a call that has no row counts as one, and nothing is said of its caller's identity."""
    run = run_of(decisions=[_denied(1), _denied(7)], calls=[row(CallRow, call_id=1, encrypted=False)])
    (only,) = denials(run)
    assert (only["count"], only["unproven"]) == (2, 1)


def test_denials_with_identity_need_no_remark(run_of: Callable[..., RunData]) -> None:
    """A caller that proved who it is was denied for that, and nothing more is said."""
    (part,) = _explained(run_of(decisions=[_denied(1)], calls=[row(CallRow, call_id=1, encrypted=True)]), 1)
    assert part.remark == ""


def test_a_refused_token_tells_why_and_who_refuses_it(run_of: Callable[..., RunData]) -> None:
    """Two RequestAuthentications that refuse tokens for one reason are two kinds of denials."""
    rows = [
        msgspec.structs.replace(_denied(number), rule="token-expired", refused_by=name)
        for number, name in enumerate(("ns[a]-requestauthentication[b]", "ns[a]-requestauthentication[b]", ""), 1)
    ]
    listed = denials(run_of(decisions=rows, calls=[row(CallRow, call_id=1, encrypted=True)]))
    assert [(one["rule"], one["refused_by"], one["count"]) for one in listed] == [
        ("token-expired", "ns[a]-requestauthentication[b]", 2),
        ("token-expired", "", 1),
    ]
    (part,) = _explained(run_of(decisions=rows, calls=[row(CallRow, call_id=1, encrypted=True)]), 3)
    assert [row[2] for row in part.rows] == ["token-expired (ns[a]-requestauthentication[b])", "token-expired"]


def test_a_rare_refusal_of_a_token_is_listed_and_shown(run_of: Callable[..., RunData]) -> None:
    """A stolen token is told however often other calls are denied: each reason to refuse one, once."""
    stolen = [msgspec.structs.replace(_denied(1, path), rule="token-of-another-certificate") for path in ("/x", "/y")]
    often = [_denied(number, f"/{number % (MOST + 2)}") for number in range(3 * (MOST + 2))]
    run = run_of(decisions=[*often, *stolen])
    listed = denials(run)
    assert [one["rule"] for one in listed] == ["default-deny"] * MOST + ["token-of-another-certificate"]
    (part,) = _explained(run, len(often) + 2)
    assert part.telling == {MOST}
    assert part.remark == "Besides these, 7 calls of rarer kinds were denied: the table decisions has them."
    drawn = io.StringIO()
    draw_explained(Console(file=drawn, width=100), part)
    text = drawn.getvalue()
    assert "token-of-another-certificate" in text
    shown = (
        "Shown are the 5 most frequent kinds, and of each reason to refuse a token the most frequent; "
        "the report shows 5 more."
    )
    assert shown in " ".join(text.split())


def test_only_the_most_frequent_are_listed(run_of: Callable[..., RunData]) -> None:
    """Of more kinds than the list holds the rarest are left out, and it is said how many calls they were."""
    rows = [_denied(1, f"/{number:02}") for number in range(MOST + 2) for _ in range(1 + (number == 7))]
    run = run_of(decisions=rows, calls=[row(CallRow, call_id=1, encrypted=True)])
    listed = denials(run)
    assert [one["path"] for one in listed[:2]] == ["/07", "/00"]
    assert len(listed) == MOST
    remark = "Besides these, 2 calls of rarer kinds were denied: the table decisions has them."
    assert _explained(run, len(rows))[0].remark == remark
    assert "1 call of a rarer kind was denied" in _explained(run, len(rows) - 1)[0].remark


def test_failures_name_the_cause_first(run_of: Callable[..., RunData]) -> None:
    """Devices of a fleet count as one client, and what failed for want of another call comes last."""

    def call(outcome: str, source: str, destination: str) -> Any:
        return row(CallRow, outcome=outcome, source=source, destination=destination)

    refused = {"server": "hazard", "outcome": "refused", "refused_by": "server", "reason": "expired"}
    run = run_of(
        calls=[call("failed", "cars", "hazard")] * 5 + [call("unreachable", "hazard", "alerts"), call("ok", "a", "b")],
        handshakes=[row(HandshakeRow, client=f"cars/{n}", **refused) for n in range(3)],
    )
    assert [(one["what"], one["outcome"], one["count"]) for one in failures(run)] == [
        ("handshake", "refused", 3),
        ("call", "unreachable", 1),
        ("call", "failed", 5),
    ]
    (part,) = _explained(run, 0)
    assert part.rows[0] == (
        "cars \N{RIGHTWARDS ARROW} hazard",
        "handshake refused by the server",
        "expired",
        "3",
    )


def test_a_rare_refusal_of_a_handshake_is_listed_and_shown(run_of: Callable[..., RunData]) -> None:
    """A certificate of a wrong trust domain is told, with its count, however often other handshakes are refused."""

    def refused(client: str, by: str, reason: str) -> Any:
        return row(HandshakeRow, client=client, server="s", outcome="refused", refused_by=by, reason=reason)

    often = [refused(f"often-{number:02}", "client", "expired") for number in range(MOST + 2)] * 3
    rare = [refused("rare", "server", "expired")] * 2 + [refused("rare", "client", "wrong trust domain")]
    rarer = [refused("rarer", "server", "expired")]
    run = run_of(calls=[], handshakes=[*often, *rare, *rarer])
    listed = failures(run)
    assert [(one["source"], one["refused_by"], one["reason"], one["count"]) for one in listed[MOST:]] == [
        ("rare", "server", "expired", 2),
        ("rare", "client", "wrong trust domain", 1),
    ]
    (part,) = _explained(run, 0)
    assert part.remark == "Of any rarer kinds the tables calls and handshakes tell."
    drawn = io.StringIO()
    draw_explained(Console(file=drawn, width=100), part)
    text = " ".join(drawn.getvalue().split())
    assert "2 rare \N{RIGHTWARDS ARROW} s, handshake refused by the server, expired" in text
    assert "1 rare \N{RIGHTWARDS ARROW} s, handshake refused by the client, wrong trust domain" in text
    shown = "Shown are the 5 most frequent kinds, and of each cause the most frequent; the report shows 5 more."
    assert shown in text


@pytest.mark.parametrize(
    ("calls", "handshakes", "remark"),
    [
        (2, 2, ""),
        (3, 2, "Calls that wait for one handshake are refused together: so more calls than handshakes were."),
        (2, 3, "Not every handshake that was refused ended a call: some calls were tried again, or had ended before."),
    ],
)
def test_refused_calls_and_handshakes_are_reconciled(
    run_of: Callable[..., RunData], calls: int, handshakes: int, remark: str
) -> None:
    """Where calls and handshakes that were refused are not as many, the list says why."""
    run = run_of(
        calls=[row(CallRow, outcome="tls-refused", source="a", destination="b")] * calls,
        handshakes=[row(HandshakeRow, client="a", server="b", outcome="refused")] * handshakes,
    )
    assert _explained(run, 0)[0].remark == remark


def test_nothing_is_said_where_nothing_failed(run_of: Callable[..., RunData]) -> None:
    """A run without denials and failures has empty lists and no tables."""
    run = run_of(calls=[row(CallRow, outcome="ok")])
    assert (denials(run), failures(run), _explained(run, 0)) == ([], [], [])


def test_every_outcome_has_its_reason() -> None:
    """Only calls that were answered or denied are no failures."""
    assert {"ok", "denied", *CALL_REASONS} == set(REQUEST_OUTCOMES)
