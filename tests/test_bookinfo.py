"""Bookinfo as Istio ships it, unmodified: its split, its delay and its abort."""

from __future__ import annotations

import math
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import meshsim

S = 1_000_000_000
SCENARIO = """\
scenario: bookinfo
duration: 60 s
network:
  nodes:
    edge-1: {kind: edge, cores: 8}
    edge-2: {kind: edge, cores: 8}
    core-1: {kind: core, cores: 8}
  links:
    - {between: [edge-1, edge-2], latency: 1 ms}
    - {between: [edge-1, core-1], latency: 5 ms}
  slices:
    web: {sst: 1, five_qi: 9, latency_budget: 200 ms}
services:
  productpage:
    placement: [edge-1]
    work: {exponential: 3 ms}
    forward_headers: [end-user]
    calls: [{to: details, path: /details/0}, {to: reviews, path: /reviews/0}]
  details: {placement: [edge-2], work: {exponential: 1 ms}}
  reviews:
    placement: [edge-1, edge-2]
    work: {exponential: 3 ms}
    forward_headers: [end-user]
    calls: [{to: ratings, path: /ratings/0}]
    versions:
      v1: {calls: []}
  ratings: {placement: [core-1], work: {exponential: 1 ms}}
fleets:
  users: {node: edge-1}
  jason: {node: edge-1}
mesh:
  manifests: [bookinfo]
traffic:
  - {from: users, to: productpage, slice: web, path: /productpage, arrivals: {poisson: 60 /s}}
  - from: jason
    to: productpage
    slice: web
    path: /productpage
    headers: {end-user: jason}
    arrivals: {constant: 5 /s}
"""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenario, with Bookinfo's folder beside it."""
    reference = os.environ.get("MESHSIM_REFERENCE")
    if not reference:
        pytest.skip("MESHSIM_REFERENCE is not set: Bookinfo's manifests are not there")
    folder = tmp_path_factory.mktemp("bookinfo")
    shutil.copytree(Path(reference) / "manifests", folder / "bookinfo")
    (folder / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    return folder / "scenario.yaml"


def rows(run: meshsim.Run, table: str) -> list[Any]:
    """The rows of a table."""
    return list(run.frame(table).itertuples())


@pytest.fixture(scope="module")
def run(scenario: Path, tmp_path_factory: pytest.TempPathFactory) -> meshsim.Run:
    """The folder as it is: of the two VirtualServices for ratings, the one with the delay is applied last."""
    return meshsim.run(scenario, out=tmp_path_factory.mktemp("run") / "delay")


def test_reviews_are_split_90_to_10(run: meshsim.Run) -> None:
    """The share of v2 lies within the 99.99 % confidence interval around 10 %; v3 gets nothing."""
    versions = Counter(row.destination_version for row in rows(run, "calls") if row.destination == "reviews")
    total = versions.total()
    assert total > 3000
    assert set(versions) == {"v1", "v2"}
    assert abs(versions["v2"] / total - 0.1) < 3.89 * math.sqrt(0.1 * 0.9 / total)


def test_jason_waits_seven_seconds_for_ratings(run: meshsim.Run) -> None:
    """Whoever is jason, and gets reviews with ratings, waits seven seconds that stand in an account of their own."""
    requests = {row.request_id: row for row in rows(run, "requests")}
    ratings = [row for row in rows(run, "calls") if row.destination == "ratings"]
    delayed = {row.request_id for row in ratings if requests[row.request_id].source == "jason"}
    assert delayed
    assert all(requests[one].injected_ns == 7 * S and requests[one].latency_ns > 7 * S for one in delayed)
    others = [row for row in requests.values() if row.request_id not in delayed]
    assert all(row.injected_ns == 0 and row.latency_ns < S for row in others)
    assert all(row.t_end_ns - row.t_start_ns > 7 * S for row in ratings if row.request_id in delayed)
    assert {row.outcome for row in requests.values()} == {"ok"}


def test_jason_gets_an_abort(scenario: Path, tmp_path: Path) -> None:
    """With the other VirtualService applied last, jason's calls to ratings are aborted, and tables say so."""
    files = "[bookinfo, bookinfo/virtual-service-ratings-test-abort.yaml]"
    run = meshsim.run(scenario, out=tmp_path / "abort", overrides=[f"mesh.manifests={files}", "duration=20 s"])
    requests = {row.request_id: row for row in rows(run, "requests")}
    ratings = [row for row in rows(run, "calls") if row.destination == "ratings"]
    by_jason = [row for row in ratings if requests[row.request_id].source == "jason"]
    assert by_jason
    assert {(row.outcome, row.status, row.connection_id) for row in by_jason} == {("aborted", 500, 0)}
    assert {requests[row.request_id].outcome for row in by_jason} == {"failed"}
    assert {row.outcome for row in ratings if row not in by_jason} == {"ok"}


def test_everything_is_mutual_tls(run: meshsim.Run) -> None:
    """Bookinfo's service accounts are in the certificates, and every call is encrypted."""
    assert all(row.encrypted for row in rows(run, "calls"))
    issued = {row.spiffe_id for row in rows(run, "identities")}
    assert "spiffe://cluster.local/ns/default/sa/bookinfo-productpage" in issued


def test_digests_are_equal_at_every_fidelity(scenario: Path, tmp_path: Path) -> None:
    """Manifests change nothing about the law: the same bytes whether OpenSSL runs always or never."""
    digests = {
        meshsim.run(scenario, out=tmp_path / level, fidelity=level, overrides=["duration=3 s"]).digest
        for level in ("real", "modelled")
    }
    assert len(digests) == 1
