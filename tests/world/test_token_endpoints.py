"""Tokens that are fetched: what that takes, what becomes of calls while there is none, and who is to blame."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from meshsim.identity.tokens import Grant, Issuer
from meshsim.network.tcp import HEADER_BYTES
from meshsim.scenario import token_reasons
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_text
from meshsim.sidecar.http_sizes import request_size_bytes, response_size_bytes
from meshsim.sidecar.tls.records import sealed_size_bytes
from meshsim.telemetry.issuance_row import ISSUANCE_PARTS
from tests.world.conftest import Result, Simulate

MS = 1_000_000
S = 1_000_000_000
SCENARIO = """\
scenario: token-endpoints
duration: 30 s
network:
  nodes: {edge-1: {kind: edge}, edge-2: {kind: edge}, idp: {kind: core}}
  links:
    - {between: [edge-1, edge-2], latency: 1 ms}
    - {between: [edge-1, idp], latency: 5 ms, bandwidth: 1 Mbit/s}
  slices: {web: {sst: 1, five_qi: 9}}
services:
  planner:
    replicas: {edge-2: 1}
    work: {constant: 1 ms}
    request_authentication: {issuers: [desk], audiences: [plans], required: true}
fleets:
  robots: {node: edge-1, token: {issuer: desk, audiences: [plans], bound: true}}
mesh:
  tokens:
    issuers: {desk: {ttl: 10 s, endpoint: {node: idp, margin: 1 s, retry: {base: 1 s, cap: 1 s, jitter: 0 %}}}}
    leeway: 1 s
traffic:
  - {name: honest, from: robots, to: planner, slice: web, arrivals: {constant: 20 /s}}
"""
OUTAGE = "[{kind: token-outage, target: desk, at: 10 s, for: 12 s}]"


def fetched(result: Result, outcome: str = "done") -> list[Any]:
    """The attempts to get a token that came to this outcome."""
    return [row for row in result.issuances if row.purpose == "token" and row.outcome == outcome]


def outcomes(result: Result, from_s: float = 0, to_s: float = 60) -> Counter[tuple[str, int]]:
    """How the requests of a window ended."""
    window = (row for row in result.requests if from_s * S <= row.t_intended_ns < to_s * S)
    return Counter((row.outcome, row.status) for row in window)


def first_end_ns(result: Result) -> int:
    """When the token that its only holder had last before the first failure was sent no more."""
    before = [row for row in fetched(result) if row.t_end_ns < 10 * S]
    return int(before[-1].t_end_ns) + 9 * S


def test_a_fetch_takes_round_trips_bytes_and_work(simulate: Simulate) -> None:
    """Three round trips, the bytes of request and token on a slow link, a handshake and a signature at the issuer."""
    result = simulate(SCENARIO)
    assert outcomes(result) == {("ok", 200): 600}
    rows = fetched(result)
    issuer = Issuer(name="desk", iss="https://desk.mesh.example", algorithm="ES256", seed=0)
    grant = Grant(issuer, "spiffe://mesh.example/fleet/robots/0", ("plans",), "{}", 10, 5, bound=True, begin_s=0)
    token = grant.made(10**9, "t" * 43).text
    answer = len(json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 10}))
    form, kind = len("grant_type=client_credentials&audience=plans"), "application/x-www-form-urlencoded"
    sizes_bytes = (
        request_size_bytes("POST", "/token", "desk.mesh.example", form, (("content-type", kind),), first=True),
        response_size_bytes(
            200, answer, (("content-type", "application/json"), ("cache-control", "no-store")), first=True
        ),
    )
    bytes_on_link = sum(sealed_size_bytes(size_bytes) + HEADER_BYTES for size_bytes in sizes_bytes)
    assert 5 <= len(rows) <= 6  # one each 5 s, the first at an age that is drawn
    costs = result.world._state.machines["idp"].costs
    for row in rows:
        assert sum(getattr(row, name) for name in ISSUANCE_PARTS) == row.t_end_ns - row.t_start_ns
        assert row.network_ns == 30 * MS + bytes_on_link * 8_000  # at 1 Mbit/s a byte takes 8 us
        assert row.signing_ns > costs.operation_ns("ecdsa-p256.sign")
        assert row.key_ns > 0
    assert {row.host for row in rows} == {"robots/0"}


@pytest.mark.parametrize(("timeout_ms", "noted"), [(30, True), (60, False)])
def test_a_timeout_that_is_noted_brings_nothing(simulate: Simulate, timeout_ms: int, noted: bool) -> None:
    """Nobody is given a token in less than three round trips, as the note on such a scenario says."""
    result = simulate(SCENARIO.replace("margin: 1 s,", f"margin: 1 s, timeout: {timeout_ms} ms,"))
    assert any("nobody there is ever given a token" in note for note in result.loaded.notes) == noted
    assert bool(fetched(result)) != noted


def test_an_audience_more_is_some_bytes_more(simulate: Simulate) -> None:
    """What is asked for and what the token says is what the link carries: the same bytes on both ways."""

    def network_ns(audience: str) -> int:
        result = simulate(SCENARIO.replace("audiences: [plans]", f"audiences: [plans, {audience}]"), duration="8 s")
        return int(fetched(result)[0].network_ns)

    short, long = network_ns("m" * 3), network_ns("m" * 63)
    assert (long - short) / 8_000 == pytest.approx(60 + 60 * 4 / 3, abs=2)  # in the form, and in base64 in the token
    assert network_ns("m/m") - short == 2 * 8_000  # a form says %2F


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
def test_calls_fail_once_the_token_ends(simulate: Simulate, fidelity: str) -> None:
    """The token at hand is sent until its margin; then the caller's sidecar answers 401 until there is a new one."""
    result = simulate(SCENARIO, fidelity=fidelity, faults=OUTAGE)
    end_ns = first_end_ns(result)
    failed = [row for row in result.requests if row.outcome != "ok"]
    assert {(row.outcome, row.status) for row in failed} == {("no-token", 401)}
    assert 0 <= failed[0].t_intended_ns - end_ns < 50 * MS + 5 * MS
    first = next(row for row in fetched(result) if row.t_end_ns > 22 * S)
    assert first.t_end_ns < 23.2 * S  # asked each second
    assert 0 <= first.t_end_ns - failed[-1].t_intended_ns < 55 * MS
    assert result.decisions == []  # nobody was asked
    assert {(row.step, row.reason) for row in fetched(result, "failed")} == {("signing", "the issuer is down")}
    (fault,) = result.faults
    assert fault.tokens == len(fetched(result, "failed")) > 5
    assert fault.certificates == 0


def test_every_fidelity_is_the_same(simulate: Simulate) -> None:
    """What is fetched and when does not hang on how often real components run."""
    runs = [simulate(SCENARIO, fidelity=level, faults=OUTAGE) for level in ("real", "sampled", "modelled")]
    assert len({run.content() for run in runs}) == 1


def test_calls_go_without(simulate: Simulate) -> None:
    """With without_token: send the called service says what it thinks of a request without a token."""
    settings = {"mesh__tokens__issuers__desk__endpoint__without_token": "send"}
    result = simulate(SCENARIO, faults=OUTAGE, **settings)
    assert set(outcomes(result)) == {("ok", 200), ("denied", 401)}
    assert {row.rule for row in result.decisions} == {token_reasons.MISSING}
    lenient = SCENARIO.replace("required: true", "required: false")
    assert set(outcomes(simulate(lenient, faults=OUTAGE, **settings))) == {("ok", 200)}


def test_a_way_that_is_cut_and_a_node_that_is_gone(simulate: Simulate) -> None:
    """Whoever gets no answer waits for the timeout, tries again, and the fault on the way is to blame."""
    settings = {"mesh__tokens__issuers__desk__endpoint__timeout": "2 s"}
    for fault, reason in (
        ("{kind: link-down, target: edge-1--idp, at: 10 s, for: 12 s}", "no way to the issuer"),
        ("{kind: node-crash, target: idp, at: 10 s, for: 12 s}", "no way to the issuer"),
    ):
        result = simulate(SCENARIO, faults=f"[{fault}]", **settings)
        assert reason in {row.reason for row in fetched(result, "failed")}
        took_ns = {row.t_end_ns - row.t_start_ns - row.key_ns for row in fetched(result, "failed")}
        assert {row.backoff_ns + row.failed_ns for row in fetched(result, "failed")} == took_ns == {2 * S, 3 * S}
        assert ("no-token", 401) in outcomes(result, 20, 22)
        assert outcomes(result, 26, 30) == {("ok", 200): 80}
        assert result.faults[0].tokens == len(fetched(result, "failed")) == 3


def test_what_the_end_of_the_run_cuts(simulate: Simulate) -> None:
    """A fetch that nobody answers any more ends with the run, however long timers go on behind it."""
    result = simulate(SCENARIO, faults="[{kind: link-down, target: edge-1--idp, at: 10 s, for: 19 s}]")
    (cut,) = fetched(result, "cut")
    assert (cut.step, cut.t_end_ns) == ("signing", 30 * S)
    assert sum(getattr(cut, name) for name in ISSUANCE_PARTS) == 30 * S - cut.t_start_ns


def test_the_iat_is_the_endpoints_clock(simulate: Simulate) -> None:
    """An endpoint whose clock is ahead of the verifier's signs tokens that are not valid yet."""
    ahead = SCENARIO.replace("idp: {kind: core}", "idp: {kind: core, clock_skew: 8 s}")
    result = simulate(ahead, fidelity="real", duration="15 s")
    assert {row.rule for row in result.decisions} == {token_reasons.NOT_YET_VALID}
    assert any(row.t_ns > fetched(result)[0].t_end_ns for row in result.decisions)  # not the first one alone


def test_an_endpoint_has_a_capacity(simulate: Simulate) -> None:
    """Twenty holders at an endpoint that signs a token a second have no more than that: who is refused goes without."""
    crowd = SCENARIO.replace("robots: {node", "robots: {size: 20, node")
    limits = {"signatures": "1 /s", "longest_wait": "1 s"}
    settings = {f"mesh__tokens__issuers__desk__endpoint__{key}": value for key, value in limits.items()}
    result = simulate(crowd, **settings)
    assert {row.reason for row in fetched(result, "failed")} == {"the issuer is overloaded"}
    assert 28 <= len(fetched(result)) <= 31
    assert set(outcomes(result)) == {("ok", 200), ("no-token", 401)}
    cut = "[{kind: link-down, target: edge-1--idp, at: 12 s, for: 3 s}]"
    result = simulate(crowd, faults=cut, **settings, mesh__tokens__issuers__desk__endpoint__timeout="2 s")
    unanswered = [row for row in fetched(result, "failed") if row.reason != "the issuer is overloaded"]
    assert result.faults[0].tokens == len(unanswered) > 10  # who is refused after it was reached
    assert max(row.queue_ns for row in fetched(result)) <= S


def test_a_node_that_loses_power_forgets_who_waits(simulate: Simulate) -> None:
    """Requests in the queue of an endpoint are gone with its node, however soon it is back: they time out."""
    crowd = SCENARIO.replace("robots: {node", "robots: {size: 20, node")
    limits = {"signatures": "1 /s", "longest_wait": "9 s", "timeout": "9 s"}
    settings = {f"mesh__tokens__issuers__desk__endpoint__{key}": value for key, value in limits.items()}
    crash = "[{kind: node-crash, target: idp, at: 12 s, for: 100 ms}]"
    waiting = [
        row for row in fetched(simulate(crowd, **settings)) if row.t_start_ns < 11.9 * S < 12.2 * S < row.t_end_ns
    ]
    lost = [row for row in fetched(simulate(crowd, faults=crash, **settings), "failed") if row.t_start_ns < 11.9 * S]
    assert len(waiting) > 3
    ended = {(row.issuance_id, row.attempt) for row in lost if row.reason == "no answer from the issuer"}
    assert ended >= {(row.issuance_id, row.attempt) for row in waiting}


def test_waits_can_follow_what_is_left_of_a_token(simulate: Simulate) -> None:
    """Who waits a share of what is left of its token asks ever more often, down to the first wait."""
    retry = "{of_remaining: 50 %, base: 100 ms, cap: 9 s, factor: 1, jitter: 0 %}"
    result = simulate(SCENARIO.replace("{base: 1 s, cap: 1 s, jitter: 0 %}", retry), faults=OUTAGE)
    waits_ms = [round(row.backoff_ns / MS, -2) for row in fetched(result, "failed")]
    assert waits_ms[:7] == [0, 2000, 1000, 500, 200, 100, 100]


def test_a_wide_margin_has_the_next_token_fetched_early(simulate: Simulate) -> None:
    """A token that is sent for two seconds alone is replaced after two, whatever renew_at says."""
    rows = fetched(simulate(SCENARIO.replace("margin: 1 s", "margin: 8 s")))
    assert len(rows) >= 13
    assert all(2 * S < after.t_start_ns - before.t_start_ns < 2.1 * S for before, after in pairwise(rows))


def test_a_connection_that_rests_for_long_has_no_token(tmp_path: Path) -> None:
    """The token of a former certificate is fetched no more once no connection shows it, and again when one does."""
    (tmp_path / "rare.csv").write_text("time_s\n0.5\n28\n28.5\n", encoding="utf-8")
    settings = ["mesh.identity={svid_ttl: 60 s, rotate_at: 10 %}", "mesh.pool={idle_timeout: 1 min}"]
    text = SCENARIO.replace("{constant: 20 /s}", "{trace: {file: rare.csv}}")
    result = Result(load_text(text, tmp_path / "rare.yaml", settings))
    assert [row.outcome for row in result.requests] == ["ok", "no-token", "ok"]
    assert len(result.handshakes) == 1


def test_bound_tokens_are_fetched_for_each_certificate(simulate: Simulate) -> None:
    """A certificate that is replaced has a token of its own at once; connections with the former keep theirs."""
    result = simulate(
        SCENARIO,
        fidelity="real",
        mesh__identity="{svid_ttl: 12 s, rotate_at: 50 %}",
        mesh__pool="{idle_timeout: 20 ms}",
        mesh__tls="{resumption: false}",
    )
    rotated = [row.t_ns for row in result.identities if row.event == "rotated" and "robots" in row.spiffe_id]
    assert len(rotated) >= 3
    missing = [row.t_intended_ns for row in result.requests if row.outcome != "ok"]
    assert all(any(0 <= sent - at < 50 * MS for at in rotated) for sent in missing)
    kept = simulate(SCENARIO, fidelity="real", mesh__identity="{svid_ttl: 12 s, rotate_at: 50 %}")
    assert set(outcomes(kept)) == {("ok", 200)}


def test_who_starts_again_has_to_fetch(simulate: Simulate) -> None:
    """A service that calls with a token loses it with its node's power, and fetches another one when it is back."""
    chain = SCENARIO.replace(
        "fleets:\n",
        "  front:\n    replicas: {edge-1: 1}\n    work: {constant: 1 ms}\n    calls: [{to: planner}]\n"
        "    token: {issuer: desk, audiences: [plans]}\nfleets:\n",
    ).replace(
        "robots: {node: edge-1, token: {issuer: desk, audiences: [plans], bound: true}}", "robots: {node: edge-2}"
    )
    chain = chain.replace("to: planner, slice", "to: front, slice")
    result = simulate(chain, faults="[{kind: node-crash, target: edge-1, at: 10 s, for: 2 s}]")
    after = [row for row in fetched(result) if row.t_start_ns >= 12 * S]
    assert after[0].t_start_ns == 12 * S
    assert after[0].t_end_ns < 13.1 * S  # the first SYN was lost, for routes were not there yet
    assert outcomes(result, 14, 30) == {("ok", 200): 320}


def test_a_thief_has_what_its_victim_has(simulate: Simulate) -> None:
    """A stolen token ends when it does at its victim, and nobody steals one that is not there."""
    thief = SCENARIO.replace("fleets:\n", "fleets:\n  thief: {node: edge-2}\n").replace(
        "required: true", "required: true, binding: ignored"
    )
    thief += "  - {name: stolen, from: thief, to: planner, slice: web, token: {stolen_from: robots}, "
    thief += "arrivals: {constant: 20 /s}}\n"
    result = simulate(thief, faults=OUTAGE)
    end_ns = first_end_ns(result)
    for row in result.requests:
        if 10 * S < row.t_intended_ns < 21.5 * S and abs(row.t_intended_ns - end_ns) > 60 * MS:
            assert row.outcome == ("ok" if row.t_intended_ns < end_ns else "no-token"), row


def test_an_onboarding_mesh_fetches_everything(simulate: Simulate) -> None:
    """Where the run begins without certificates, tokens are fetched once they are there."""
    result = simulate(SCENARIO, mesh__identity="{at_start: onboarding, issuer: {}}", duration="8 s")
    had = next(row for row in result.issuances if row.host == "robots/0" and row.purpose == "onboarding")
    assert fetched(result)[0].t_start_ns == had.t_start_ns + sum(
        getattr(had, name) for name in ISSUANCE_PARTS if name not in ("configuration_ns", "announcement_ns")
    )


def test_a_run_without_an_endpoint_fetches_nothing(simulate: Simulate) -> None:
    """Tokens are there at once and always, as ever."""
    plain = SCENARIO.replace(", endpoint: {node: idp, margin: 1 s, retry: {base: 1 s, cap: 1 s, jitter: 0 %}}", "")
    result = simulate(plain)
    assert result.issuances == []
    assert outcomes(result) == {("ok", 200): 600}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "margin: 1 s",
            "margin: 10 s",
            "a token lives for 10 s and is not sent in the last 10 s of it; expected margin to",
        ),
        ("base: 1 s", "base: 2 s", "the first wait is 2 s and the longest 1 s; expected base to be at most cap"),
        ("idp: {kind: core}", "idp: {kind: router}", "a router carries no workloads; expected a node of kind edge"),
    ],
)
def test_endpoints_that_make_no_sense(simulate: Simulate, old: str, new: str, says: str) -> None:
    """What cannot be is told before the run, at its place."""
    with pytest.raises(ScenarioError) as error:
        simulate(SCENARIO.replace(old, new))
    assert any(says in one.message for one in error.value.diagnostics), error.value.diagnostics
    assert all(one.line for one in error.value.diagnostics)
