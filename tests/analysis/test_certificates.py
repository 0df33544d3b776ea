"""Figures of certificates: what they took over all attempts, of whom, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meshsim.analysis.certificate_figures import certificates, explained_certificates, explained_tokens, tokens
from meshsim.analysis.data import RunData
from meshsim.analysis.metrics import measure
from meshsim.analysis.selection import Selection
from meshsim.telemetry.issuance_row import ISSUANCE_PARTS, IssuanceRow
from meshsim.telemetry.rows import ConfigRow, IdentityRow

MS = 1_000_000
S = 1_000_000_000


def attempt(number: int, attempt: int, host: str, purpose: str, outcome: str, **parts_ms: int) -> IssuanceRow:
    """One attempt that began at 0, with its parts in milliseconds."""
    parts = [parts_ms.get(name.removesuffix("_ns"), 0) * MS for name in ISSUANCE_PARTS]
    reason = "the issuer is down" if outcome == "failed" else ""
    took_ns = sum(parts)
    return IssuanceRow(number, attempt, host, "", "edge-a", purpose, 0, took_ns, outcome, "signing", reason, 3, *parts)


@pytest.fixture
def run(make_run: Callable[..., Any], corridor_scenario: Any) -> RunData:
    """Two hosts that got in, one of them at the second attempt, and one that was cut; a rotation in 5 ms."""
    rows = [
        attempt(1, 1, "vision/0", "onboarding", "failed", failed=100),
        attempt(2, 1, "vision/1", "onboarding", "done", network=20, announcement=30),
        attempt(1, 2, "vision/0", "onboarding", "done", backoff=200, queue=40, network=20, announcement=30),
        attempt(3, 1, "hazard/0", "onboarding", "cut", failed=7),
        attempt(4, 1, "cars/3", "rotation", "done", network=5),
        attempt(5, 1, "vision/0", "token", "failed", failed=900),
        attempt(5, 2, "vision/0", "token", "done", backoff=700, queue=300, network=7),
        attempt(6, 1, "cars/1", "token", "done", network=9),
    ]

    def fill(_: Any, record: dict[str, Callable[[Any], None]]) -> None:
        for row in rows:
            record["issuances"](row)
        for event in ("issued", "issued", "rotated", "expired"):
            record["identities"](IdentityRow(1 * S, "spiffe://mesh.example/x", event, "0", 0, 0, 0, 0, "root"))

        for version, event, at_ms in (
            (2, "sent", 1000), (2, "acked", 1004), (3, "sent", 2000), (3, "sent", 2001), (3, "acked", 3500),
        ):  # fmt: skip
            record["configs"](ConfigRow(at_ms * MS, version, "x", event, f"trust bundle: root-{version} prepared"))
        record["configs"](ConfigRow(9 * S, 1, "x", "acked", "start"))

    partial = make_run(corridor_scenario, fill)
    return RunData(partial.folder.path, corridor_scenario, partial.manifest)


def test_attempts_add_up(run: RunData) -> None:
    """The time to a certificate counts from the first attempt; being announced is part of onboarding alone."""
    assert measure(run, "onboarding_max") == 390 * MS
    assert measure(run, "onboarding_p50") == 50 * MS
    assert measure(run, "issue_time_max") == 360 * MS
    assert measure(run, "issue_time_p50") == 20 * MS
    assert measure(run, "issuer_wait_max") == 40 * MS
    assert measure(run, "issuer_queue_max") == 3
    assert measure(run, "issuing_failures") == 1


def test_bundles_take_time(run: RunData) -> None:
    """The delay of a bundle is that of the last proxy that got it; of several bundles the slowest counts."""
    assert measure(run, "bundle_delay_max") == 1500 * MS


def test_a_service_stands_for_its_replicas(run: RunData) -> None:
    """Of one service only the attempts of its replicas count."""
    assert measure(run, "issue_time_max", Selection(service="hazard")) is None
    assert measure(run, "issuing_failures", Selection(service="vision")) == 1
    assert measure(run, "issuing_failures", Selection(service="hazard")) == 0


def test_figures_and_how_they_read(run: RunData) -> None:
    """The summary has the figures by purpose, and people are told what took longest and what went wrong."""
    figures = certificates(run)
    assert {name: figures[name] for name in ("issued", "rotated", "expired")} == {
        "issued": 2,
        "rotated": 1,
        "expired": 1,
    }
    onboarding = figures["issuances"]["onboarding"]
    assert (onboarding["done"], onboarding["failed"], onboarding["cut"]) == (2, 1, 1)
    assert onboarding["steps_mean_ns"]["backoff"] == 100 * MS
    (had, lacked) = explained_certificates({"certificates": figures})
    assert had[2] == [
        (
            "onboarding",
            "median 50 ms, 99 % within 390 ms, longest 390 ms",
            "on average: waits 100 ms, failed steps 50 ms, announcement 30 ms",
            "2",
        ),
        ("rotation", "median 5 ms, 99 % within 5 ms, longest 5 ms", "on average: network 5 ms", "1"),
    ]
    assert had[3] == (
        "1 certificate ended while in use. At most 3 requests waited for the issuer, the longest for 40 ms."
    )
    assert lacked[2] == [("onboarding", "request to the issuer", "the issuer is down", "1")]


def test_tokens_are_told_apart_from_certificates(run: RunData) -> None:
    """Attempts to get a token have figures of their own, and count in none of those of certificates."""
    assert (measure(run, "tokens_fetched"), measure(run, "token_failures")) == (2, 1)
    assert measure(run, "token_time_max") == 1907 * MS
    assert measure(run, "token_time_p50") == 9 * MS
    assert measure(run, "tokens_fetched", Selection(service="vision")) == 1
    figures = tokens(run)
    (had, lacked) = explained_tokens(figures)
    assert had[2] == [("median 9 ms, 99 % within 1.91 s, longest 1.91 s", "2")]
    assert lacked[2] == [("request to the issuer", "the issuer is down", "1")]


def test_nothing_is_said_where_nobody_asks(make_run: Callable[..., Any], corridor_scenario: Any) -> None:
    """Where certificates are there at once the summary says so, and people are told nothing."""
    partial = make_run(corridor_scenario, lambda *_: None)
    run = RunData(partial.folder.path, corridor_scenario, partial.manifest)
    figures = certificates(run)
    assert figures["issuances"] is None
    assert explained_certificates({"certificates": figures}) == []


def test_a_request_that_is_not_answered_is_not_called_signing() -> None:
    """The step that ends with the issuer's answer has the way there and back in it, and is told as that."""
    failures = [{"purpose": "token", "step": step, "reason": "no answer", "count": 2} for step in ("signing", "key")]
    figures = {"done": 0, "failed": 4, "cut": 0, "failures": failures}
    (_, (title, _, rows, _)) = explained_tokens({"tokens": figures})
    assert (title, [row[0] for row in rows]) == ("Tokens not had", ["request to the issuer", "key"])
