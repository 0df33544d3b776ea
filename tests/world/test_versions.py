"""Services whose replicas run several versions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

SCENARIO = """
scenario: versions
duration: 2 s
network:
  nodes:
    edge: {kind: edge, cores: 8}
    core: {kind: core, cores: 8}
  links:
    - {between: [edge, core], latency: 1 ms}
  slices:
    control: {sst: 1, five_qi: 80}
services:
  reviews:
    placement: [edge, core]
    work: {constant: 1 ms}
    labels: {app: reviews}
    versions:
      v1: {count: 1, labels: {version: v1}, service_account: old}
      v2: {count: 3, labels: {version: v2}, work: {constant: 3 ms}, calls: [{to: ratings}]}
      v3: {replicas: {core: 1}, calls: [{to: ratings}, {to: ratings}]}
  ratings: {count: 2, placement: [edge], work: {constant: 1 ms}}
fleets:
  users: {node: edge}
mesh: {load_balancing: {policy: round_robin, locality: false}}
traffic:
  - {from: users, to: reviews, slice: control, arrivals: {constant: 50 /s}}
"""


def test_replicas_are_dealt_out(simulate: Any) -> None:
    """Replicas are dealt out to the nodes of their placement in turn, over all versions; identities are their own."""
    replicas = simulate(SCENARIO).world._state.replicas
    placed = [(r.name, r.version, r.machine.name, r.spiffe_id.rpartition("/")[2]) for r in replicas]
    assert placed == [
        ("reviews/0", "v1", "edge", "old"),
        ("reviews/1", "v2", "edge", "reviews"),
        ("reviews/2", "v2", "core", "reviews"),
        ("reviews/3", "v2", "core", "reviews"),
        ("reviews/4", "v3", "core", "reviews"),
        ("ratings/0", "", "edge", "ratings"),
        ("ratings/1", "", "edge", "ratings"),
    ]


def test_versions_that_differ_in_nothing_only_tell_replicas_apart(simulate: Any) -> None:
    """A replica with a version of its own can be told from another on its node, and nothing else changes by that."""
    alike = "{count: 2, placement: [edge], work: {constant: 1 ms}}"
    apart = alike.replace("count: 2", "versions: {r0: {count: 1}, r1: {count: 1}}")
    assert alike in SCENARIO
    one, other = simulate(SCENARIO), simulate(SCENARIO.replace(alike, apart))
    told: dict[int, set[str]] = {}
    for row in other.calls:
        if row.destination == "ratings":
            told.setdefault(row.connection_id, set()).add(row.destination_version)
    assert sorted(map(sorted, told.values())) == [["r0"]] * 4 + [["r1"]] * 4  # from four replicas
    without = [msgspec.structs.replace(row, destination_version="") for row in other.calls]
    assert [msgspec.structs.replace(row, destination_version="") for row in one.calls] == without
    assert one.requests == other.requests
    assert one.handshakes == other.handshakes


def test_each_version_works_and_calls_in_its_own_way(simulate: Any) -> None:
    """A version's work and calls are its own, and the table of calls says which version answered."""
    result = simulate(SCENARIO)
    assert {row.outcome for row in result.requests} == {"ok"}
    to_reviews = {row.call_id: row.destination_version for row in result.calls if row.destination == "reviews"}
    assert Counter(to_reviews.values()) == {"v1": 20, "v2": 60, "v3": 20}
    further = Counter(to_reviews[row.parent_id] for row in result.calls if row.destination == "ratings")
    assert further == {"v2": 60, "v3": 40}
    took = {"v1": set[int](), "v2": set[int](), "v3": set[int]()}
    root = {row.request_id: row.destination_version for row in result.calls if not row.parent_id}
    for row in result.requests:
        took[root[row.request_id]].add(row.service_ns)
    assert took == {"v1": {1_000_000}, "v2": {4_000_000}, "v3": {3_000_000}}
