"""The configuration that workloads fetch when they start takes its bytes on links, and is what holds when it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshsim.control.resources import endpoints_size_bytes, texts_size_bytes
from meshsim.network.tcp import HEADER_BYTES, SEGMENT_BYTES
from meshsim.scenario.loader import load_text
from meshsim.world.build import endpoint_of
from tests.world.conftest import Result
from tests.world.test_pushes import LARGE, SMALL, sent_bytes

MS, S = 1_000_000, 1_000_000_000
SCENARIO = """\
scenario: configuring
duration: 20 s
network:
  nodes: {core: {kind: core}, edge: {kind: edge}}
  links: [{name: trunk, between: [core, edge], latency: 5 ms, bandwidth: 10 Gbit/s}]
  slices: {web: {sst: 1, five_qi: 9}}
services:
  front: {replicas: {edge: 1}, work: {constant: 1 ms}}
fleets:
  client: {node: edge}
mesh:
  policy: {files: [held.cedar]}
  control: {node: core}
  identity: {at_start: onboarding, issuer: {timeout: 3 s, retry: {base: 1 s, jitter: 0 %}}}
traffic:
  - {from: client, to: front, slice: web, arrivals: {constant: 20 /s}}
"""
THIN = "network.links.0.bandwidth=1 Mbit/s"


def run(folder: Path, held: str, *overrides: str, more: str = "") -> Result:
    """Run the scenario with such a policy at the start; traffic never leaves the edge."""
    (folder / "held.cedar").write_text(held)
    (folder / "strict.cedar").write_text('@id("none") forbid (principal, action, resource);\n')
    return Result(load_text(SCENARIO + more, folder / "configuring.yaml", overrides))


def issued(result: Result) -> dict[str, Any]:
    """The attempts that led into the mesh, by host."""
    return {row.host: row for row in result.issuances if row.purpose == "onboarding" and row.outcome == "done"}


def test_it_takes_the_round_trips_of_its_bytes(tmp_path: Path) -> None:
    """Policies of 62 segments come in windows of 10, 20 and 32: two round trips after those of one segment."""
    small, large = issued(run(tmp_path, SMALL)), issued(run(tmp_path, LARGE))
    assert -(-len(LARGE) // SEGMENT_BYTES) == 61
    for host in ("client/0", "front/0"):
        assert 20 * MS < large[host].configuration_ns - small[host].configuration_ns < 21 * MS


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
def test_its_bytes_are_on_the_link(tmp_path: Path, fidelity: str) -> None:
    """What crosses the link are the policies of two workloads, and little else; and what was pushed after that."""
    result = run(tmp_path, LARGE, f"fidelity={fidelity}", THIN)
    fetched = sent_bytes(result, "core->edge") - sum(row.sent_bytes for row in result.configs)
    places = {"front": (endpoint_of(result.world._state.replicas[0]),)}
    told = endpoints_size_bytes(places, frozenset(), ["front"], 1)
    least = texts_size_bytes((("held.cedar", LARGE),), 1) + told
    least += -(-least // SEGMENT_BYTES) * HEADER_BYTES
    assert 2 * least < fetched < 2 * (least + 1_500)
    # Both are on the link at a time: each has it for half of the time, until the first is through.
    last = max(row.configuration_ns for row in issued(result).values())
    assert fetched * 8_000 < last < fetched * 8_000 + 100 * MS


def test_a_cut_costs_what_was_on_its_way(tmp_path: Path) -> None:
    """A short cut delays it by a time-out; one that outlasts the patience of who fetches fails the attempt."""
    cut = "faults: [{at: 500 ms, for: SECONDS, kind: link-down, target: trunk}]\n"
    short = run(tmp_path, LARGE, THIN, more=cut.replace("SECONDS", "600 ms"))
    assert not [row for row in short.issuances if row.outcome == "failed"]
    clean = run(tmp_path, LARGE, THIN)
    for host, row in issued(short).items():
        assert row.configuration_ns > issued(clean)[host].configuration_ns + 900 * MS
    long = run(tmp_path, LARGE, THIN, more=cut.replace("SECONDS", "5 s"))
    failed = {(row.host, row.step, row.reason) for row in long.issuances if row.outcome == "failed"}
    answer = "no answer from the control plane"
    assert failed == {(host, "configuration", answer) for host in ("client/0", "front/0")}
    assert issued(long).keys() == {"client/0", "front/0"}
    assert long.faults[0].certificates > 0
    assert {row.outcome for row in long.requests if row.t_intended_ns > 15 * S} == {"ok"}


def test_what_changes_on_its_way_follows_it(tmp_path: Path) -> None:
    """A change that comes while the former configuration is on a thin link comes after it, and holds from the start."""
    change = "changes: [{name: strict, at: 300 ms, policy: {files: [strict.cedar]}}]\n"
    result, before = run(tmp_path, LARGE, THIN, more=change), run(tmp_path, LARGE, THIN)
    assert {(row.allowed, row.wrongly) for row in result.decisions} == {(False, "")}
    assert not [row for row in result.configs if row.kind == "configuration"]
    more = sent_bytes(result, "core->edge") - sent_bytes(before, "core->edge")
    size_bytes = texts_size_bytes((("strict.cedar", (tmp_path / "strict.cedar").read_text()),), 2) + HEADER_BYTES
    assert more == 2 * size_bytes


def test_a_control_plane_that_crashes_knows_nothing_of_who_fetched(tmp_path: Path) -> None:
    """What was half way there is not gone on with after its restart: the attempt ends by its time-out."""
    crash = "faults: [{at: 500 ms, for: 600 ms, kind: node-crash, target: core}]\n"
    result = run(tmp_path, LARGE, THIN, more=crash)
    failed = {(row.host, row.step, row.t_end_ns // MS) for row in result.issuances if row.outcome == "failed"}
    asked = {(row.host, row.t_start_ns // MS) for row in issued(run(tmp_path, LARGE, THIN)).values()}
    assert {host for host, _, _ in failed} == {host for host, _ in asked}
    assert all(step == "configuration" and 3_000 < end < 3_200 for _, step, end in failed)
    assert {row.outcome for row in result.requests if row.t_intended_ns > 15 * S} == {"ok"}


def test_who_is_ready_reports_it_again_to_a_control_plane_that_was_down(tmp_path: Path) -> None:
    """A report that arrives while the control plane is down is lost: what it announces later, it has heard later."""
    far = ("network.links.0.latency=200 ms", "fidelity=modelled")
    clean = issued(run(tmp_path, SMALL, *far))["front/0"]
    ready_ns = clean.t_end_ns - clean.announcement_ns
    assert 300 * MS <= clean.announcement_ns < 400 * MS  # its way, and the debounce
    at_ms = ready_ns // MS + 100
    crash = f"faults: [{{at: {at_ms} ms, for: 2350 ms, kind: node-crash, target: core}}]\n"
    row = issued(run(tmp_path, SMALL, *far, more=crash))["front/0"]
    assert row.t_end_ns - row.announcement_ns == ready_ns
    assert row.t_end_ns > (at_ms + 2350 + 200) * MS
