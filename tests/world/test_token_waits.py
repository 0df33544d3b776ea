"""Calls that wait for a token that is being fetched, as client libraries have it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.world.conftest import Result, Simulate
from tests.world.test_token_endpoints import SCENARIO, fetched, outcomes

S, MS = 10**9, 10**6
WAIT = {"mesh__tokens__issuers__desk__endpoint__without_token": "wait"}
LINE = "  - {name: honest, from: robots, to: planner, slice: web, arrivals: {constant: 20 /s}"


def outage(until_s: int) -> str:
    """An outage of the endpoint from 10 s on, in which the token at hand ends."""
    return f"[{{kind: token-outage, target: desk, at: 10 s, for: {until_s - 10} s}}]"


def without_token_from_ns(result: Result) -> int:
    """When the token that the holder had last before the outage was sent no more."""
    return max(int(row.t_end_ns) for row in fetched(result) if row.t_end_ns < 10 * S) + 9 * S


@pytest.mark.parametrize("routed", [False, True])
@pytest.mark.parametrize("bound", ["true", "false"])
def test_calls_wait_for_the_token(simulate: Simulate, bound: str, routed: bool) -> None:
    """Each request without a token is answered as soon as there is one, and what it has waited is not injected."""
    scenario = SCENARIO.replace("bound: true", f"bound: {bound}").replace(LINE, f"{LINE}, timeout: 30 s")
    more: dict[str, Any] = {"mesh__routes": "[{to: planner, timeout: 30 s}]"} if routed else {}
    result = simulate(scenario, faults=outage(22), **WAIT, **more)
    assert outcomes(result) == {("ok", 200): 600}
    from_ns = without_token_from_ns(result)
    came_ns = next(int(row.t_end_ns) for row in fetched(result) if row.t_end_ns > 22 * S)
    waited = [row for row in result.requests if from_ns < row.t_intended_ns < came_ns]
    assert len(waited) > 60
    for row in waited:
        assert 0 <= row.t_done_ns - came_ns < 200 * MS
        assert came_ns - row.t_intended_ns - MS <= row.other_ns <= came_ns - row.t_intended_ns + 100 * MS
        assert (row.injected_ns, row.backoff_ns, row.attempts) == (0, 0, 1)
    apart = simulate(scenario, faults=outage(22), **more)
    assert outcomes(apart)["no-token", 401] == len(waited)


def test_who_waits_for_too_long_gives_up(simulate: Simulate) -> None:
    """At the end of its time limit a call ends as no-token with 504, never sent; later ones go on with the token."""
    result = simulate(SCENARIO.replace(LINE, f"{LINE}, timeout: 700 ms"), faults=outage(22), **WAIT)
    assert set(outcomes(result)) == {("ok", 200), ("no-token", 504)}
    failed = [row for row in result.requests if row.outcome == "no-token"]
    assert {row.latency_ns for row in failed} == {700 * MS}
    assert {row.other_ns for row in failed} <= set(range(600 * MS, 700 * MS + 1))
    assert {row.attempts for row in failed} == {1}
    came_ns = next(int(row.t_end_ns) for row in fetched(result) if row.t_end_ns > 22 * S)
    saved = [row for row in result.requests if came_ns - 700 * MS < row.t_intended_ns < came_ns]
    assert {row.outcome for row in saved} == {"ok"}
    assert len(saved) > 10


def test_every_fidelity_is_the_same(simulate: Simulate) -> None:
    """What waits and how long does not hang on how often real components run."""
    text = SCENARIO.replace(LINE, f"{LINE}, timeout: 700 ms")
    runs = [simulate(text, fidelity=level, faults=outage(22), **WAIT) for level in ("real", "sampled", "modelled")]
    assert len({run.content() for run in runs}) == 1
    assert ("no-token", 504) in outcomes(runs[0])


def test_a_thief_does_not_wait(simulate: Simulate) -> None:
    """Who presents what it has stolen has what its victim has: while that is nothing, it is answered at once."""
    stolen = SCENARIO.replace("fleets:\n", "fleets:\n  thief: {node: edge-1}\n") + (
        "  - {name: other, from: thief, to: planner, slice: web, arrivals: {constant: 20 /s}, "
        "token: {stolen_from: robots}}\n"
    )
    result = simulate(stolen, faults=outage(22), **WAIT)
    ended = {(row.outcome, row.status) for row in result.requests if row.source == "other"}
    assert ended == {("no-token", 401), ("denied", 401)} or ended == {("no-token", 401), ("ok", 200)}


def test_a_crash_ends_what_waits(simulate: Simulate) -> None:
    """Calls that wait when their caller's node loses power end with it, and the run comes to its end."""
    text = SCENARIO.replace(
        "fleets:\n",
        "  client:\n    replicas: {edge-1: 1}\n    work: {constant: 1 ms}\n    calls: [{to: planner}]\n"
        "    token: {issuer: desk, audiences: [plans]}\nfleets:\n",
    )
    text = text.replace("from: robots, to: planner", "from: robots, to: client")
    faults = f"{outage(28)[:-1]}, {{kind: node-crash, target: edge-1, at: 21 s, for: 2 s}}]"
    result = simulate(text, faults=faults, **WAIT)
    ended = [row for row in result.requests if row.t_intended_ns < 21 * S <= row.t_done_ns]
    assert len(ended) > 50
    assert {row.outcome for row in ended} == {"reset"}
    assert any(row.source == "client" and row.outcome == "ok" and row.t_start_ns > 28 * S for row in result.calls)
