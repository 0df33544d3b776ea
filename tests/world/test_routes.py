"""Routes in the world: splits, injected delays and aborts, rewrites, headers handed on, limits and outliers."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

S = 1_000_000_000
SCENARIO = """
scenario: routes
duration: 8 s
network:
  nodes:
    edge: {kind: edge, cores: 16}
    core: {kind: core, cores: 16}
  links:
    - {between: [edge, core], latency: 1 ms}
  slices:
    control: {sst: 1, five_qi: 80}
services:
  front:
    replicas: {edge: 2}
    work: {constant: 1 ms}
    forward_headers: [End-User]
    calls: [{to: reviews, path: /reviews/0}]
  reviews:
    placement: [core]
    work: {constant: 1 ms}
    forward_headers: [end-user]
    labels: {app: reviews}
    versions:
      v1: {count: 1, labels: {version: v1}, calls: []}
      v2: {count: 2, labels: {version: v2}}
    calls: [{to: ratings, path: /ratings/0?fast=1, optional: true}]
  ratings:
    placement: [core]
    work: {constant: 1 ms}
    versions:
      v1: {labels: {version: v1}}
fleets:
  users: {node: edge}
  jason: {node: edge}
mesh:
  destinations:
    reviews:
      load_balancing: {policy: random}
      subsets:
        v1: {labels: {version: v1}}
        v2: {labels: {version: v2}}
  routes:
    - to: reviews
      split: [{subset: v1, weight: 90}, {subset: v2, weight: 10}]
    - to: ratings
      match: [{headers: {end-user: {exact: jason}}}]
      delay: {share: 100 %, fixed: 2 s}
      rewrite: {path: /v2}
    - to: ratings
traffic:
  - {from: users, to: front, slice: control, arrivals: {poisson: 200 /s}}
  - {from: jason, to: front, slice: control, arrivals: {constant: 5 /s}, headers: {end-user: jason}}
"""


@pytest.fixture(scope="module")
def result(simulate: Any) -> Any:
    """One run of the scenario."""
    return simulate(SCENARIO)


def test_calls_are_split_by_weight(result: Any) -> None:
    """Shares of versions lie within four standard errors of their weights, for each caller by its own stream."""
    shares = Counter(row.destination_version for row in result.calls if row.destination == "reviews")
    total = shares.total()
    assert total > 1500
    assert abs(shares["v2"] / total - 0.1) < 4 * math.sqrt(0.1 * 0.9 / total)
    assert set(shares) == {"v1", "v2"}


def test_an_injected_delay_is_accounted_for(result: Any) -> None:
    """Calls that a route holds back take its delay longer, in a part of their own; other calls take none of it."""
    parents = {row.call_id: row for row in result.calls}
    requests = {row.request_id: row for row in result.requests}
    delayed = [row for row in result.calls if row.destination == "ratings" and row.path == "/ratings/0?fast=1"]
    by_jason = [row for row in delayed if requests[row.request_id].source == "jason"]
    assert by_jason
    assert all(row.t_end_ns - row.t_start_ns > 2 * S for row in by_jason)
    assert all(row.t_end_ns - row.t_start_ns < S for row in delayed if row not in by_jason)
    for row in by_jason:
        assert parents[row.parent_id].destination_version == "v2"
        request = requests[row.request_id]
        assert request.injected_ns == 2 * S
        assert request.outcome == "ok"
    assert sum(row.injected_ns for row in result.requests) == 2 * S * len(by_jason)


def test_results_are_the_same_at_every_fidelity(simulate: Any) -> None:
    """Routed, held back and rewritten calls give the same rows whether OpenSSL runs or not."""
    contents = {simulate(SCENARIO, fidelity=level, duration="1 s").content() for level in ("real", "modelled")}
    assert len(contents) == 1


def test_an_abort_is_an_outcome_of_its_own(simulate: Any) -> None:
    """An aborted call gets the route's status and is sent nowhere; a caller that needs it fails, another does not."""
    routes = "[{to: ratings, abort: {share: 40 %, status: 500}}]"
    result = simulate(SCENARIO, mesh__routes=routes, mesh__destinations="{}")
    calls = [row for row in result.calls if row.destination == "ratings"]
    aborted = [row for row in calls if row.outcome == "aborted"]
    assert abs(len(aborted) / len(calls) - 0.4) < 4 * math.sqrt(0.24 / len(calls))
    assert all((row.status, row.connection_id, row.bytes_sent, row.retries) == (500, 0, 0, 0) for row in aborted)
    assert {row.outcome for row in result.requests} == {"ok"}
    result = simulate(
        SCENARIO, mesh__routes="[{to: reviews, abort: {share: 100 %, status: 404}}]", mesh__destinations="{}"
    )
    assert {(row.outcome, row.status) for row in result.requests} == {("failed", 502)}


def test_aborts_do_not_move_the_split(simulate: Any) -> None:
    """Splits and injections draw from streams of their own: with an abort, the other calls go where they went."""
    split = "{to: reviews, split: [{subset: v1, weight: 1}, {subset: v2, weight: 1}]%s}"

    def versions(more: str) -> dict[int, str]:
        rows = simulate(SCENARIO, mesh__routes=f"[{split % more}]", duration="1 s").calls
        return {row.request_id: row.destination_version for row in rows if row.destination == "reviews"}

    plain, delayed = versions(""), versions(", delay: {share: 50 %, fixed: 1 ms}")
    assert sorted(plain) == sorted(delayed)
    assert Counter(plain.values()) == Counter(delayed.values())


def test_a_call_that_no_route_matches_is_unrouted(simulate: Any) -> None:
    """A service with routes answers 404 to what none of them is for."""
    result = simulate(SCENARIO, mesh__routes="[{to: front, match: [{path: {prefix: /api}}]}]", mesh__destinations="{}")
    assert {(row.outcome, row.status) for row in result.requests} == {("unrouted", 404)}


def test_a_route_can_lead_to_another_service(simulate: Any) -> None:
    """Calls that a route sends elsewhere are answered there, and the table says where they went."""
    routes = "[{to: reviews, split: [{to: ratings}]}]"
    result = simulate(SCENARIO, mesh__routes=routes, mesh__destinations="{}", duration="1 s", fidelity="real")
    assert {row.destination for row in result.calls} == {"front", "ratings"}
    assert {row.outcome for row in result.requests} == {"ok"}


def test_a_route_limits_the_time_of_its_calls(simulate: Any) -> None:
    """A route's timeout counts from when the call is sent, and its retries are its own."""
    routes = (
        "[{to: ratings, timeout: 1 us, retries: {attempts: 0}, delay: {share: 100 %, fixed: 100 ms}},"
        " {to: reviews, timeout: 2 s, retries: {attempts: 3, attempt_timeout: 1 us, retry_on: [timeout]}}]"
    )
    result = simulate(SCENARIO, mesh__routes=routes, mesh__destinations="{}", duration="1 s")
    calls = [row for row in result.calls if row.destination == "reviews"]
    assert {row.outcome for row in calls} == {"timeout"}
    assert {row.retries for row in calls} == {3}
    result = simulate(SCENARIO, mesh__routes=routes.partition(", {")[0] + "]", mesh__destinations="{}", duration="1 s")
    took = [row.t_end_ns - row.t_start_ns for row in result.calls if row.destination == "ratings"]
    assert took
    assert set(took) == {100_001_000}


def test_limits_of_a_destination(simulate: Any) -> None:
    """With one connection, one request on it and one that waits, the others end as overflows at once."""
    limits = "{reviews: {pool: {streams_per_connection: 1, max_connections: 1, max_pending: 1}}}"
    overrides = {"mesh__destinations": limits, "mesh__routes": "[]", "services__reviews__work": "{constant: 60 ms}"}
    result = simulate(SCENARIO, **overrides)
    calls = Counter((row.outcome, row.status) for row in result.calls if row.destination == "reviews")
    assert set(calls) == {("ok", 200), ("overflow", 503)}
    assert calls["overflow", 503] > calls["ok", 200] / 4
    busy = [
        (row.t_start_ns, row.t_end_ns) for row in result.calls if row.destination == "reviews" and row.outcome == "ok"
    ]
    for at, _ in busy[::20]:
        assert sum(start <= at < end for start, end in busy) <= 2 * 2 * 3  # two callers, three replicas


def test_connections_end_after_so_many_requests(simulate: Any) -> None:
    """Every request has a connection of its own where a connection may carry only one."""
    limits = "{ratings: {pool: {requests_per_connection: 1}}}"
    result = simulate(SCENARIO, mesh__destinations=limits, mesh__routes="[]", duration="1 s", fidelity="real")
    calls = [row for row in result.calls if row.destination == "ratings"]
    assert {row.outcome for row in calls} == {"ok"}
    assert len({row.connection_id for row in calls}) == len(calls)


def test_replicas_that_fail_are_left_out(simulate: Any) -> None:
    """With outlier detection, calls to a version that keeps failing stop until it may come back."""
    overrides = {
        "services__reviews__versions__v2__calls": "[{to: ratings}]",
        "mesh__routes": "[{to: ratings, abort: {share: 100 %, status: 503}}]",
        "mesh__resilience__retry_on": "[]",
    }
    plain = simulate(SCENARIO, mesh__destinations="{}", **overrides)
    outlier = "{consecutive_5xx: 5, interval: 1 s, base_ejection: 2 s, max_ejected: 100 %}"
    watched = simulate(SCENARIO, mesh__destinations=f"{{reviews: {{outlier_detection: {outlier}}}}}", **overrides)

    def failed(result: Any) -> int:
        return sum(row.outcome == "failed" for row in result.calls if row.destination == "reviews")

    # Two callers, two replicas that fail, each back after about two, then six seconds: some five failures each time.
    assert failed(plain) > 500
    assert failed(watched) < 80
