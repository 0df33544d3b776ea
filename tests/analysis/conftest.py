"""A made-up run of a made-up corridor, written through the real sink: rows as the simulator would write them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshsim.analysis.data import RunData
from meshsim.results import buffers
from meshsim.results.folder import RunFolder
from meshsim.results.manifest import Manifest, RunFacts
from meshsim.scenario.model import Scenario
from meshsim.scenario.resolve import resolved_text
from meshsim.telemetry.bundle_row import BundleRow
from meshsim.telemetry.issuance_row import IssuanceRow
from meshsim.telemetry.radio_rows import RadioRow
from meshsim.telemetry.recorder import Recorder
from meshsim.telemetry.revocation_row import RevocationRow
from meshsim.telemetry.rows import CallRow, ConfigRow, DecisionRow, FaultRow, HandshakeRow, LinkRow, NodeRow, RequestRow

MS, S = 1_000_000, 1_000_000_000

CORRIDOR: dict[str, Any] = {
    "scenario": "corridor",
    "description": "Cars on an arterial road, made up for the tests.",
    "seed": 7,
    "duration": "60 s",
    "network": {
        "nodes": {
            "gnb-north": {"kind": "gnb"},
            "gnb-south": {"kind": "gnb"},
            "edge-a": {"kind": "edge", "cores": 8},
            "edge-b": {"kind": "edge", "cores": 8},
            "regional": {"kind": "regional", "cores": 16},
            "core": {"kind": "core", "cores": 32},
        },
        "links": [
            {"between": ["gnb-north", "edge-a"], "latency": "0.5 ms"},
            {"between": ["gnb-south", "edge-b"], "latency": "0.5 ms"},
            {"between": ["edge-a", "edge-b"], "latency": "2 ms"},
            {"between": ["edge-a", "regional"], "latency": "4 ms"},
            {"between": ["edge-b", "regional"], "latency": "5 ms"},
            {"between": ["regional", "core"], "latency": "8 ms"},
        ],
        "slices": {
            "v2x": {"sst": 4, "five_qi": 79, "latency_budget": "50 ms"},
            "video": {"sst": 1, "five_qi": 7, "latency_budget": "100 ms"},
            "telemetry": {"sst": 3, "five_qi": 9, "latency_budget": "300 ms"},
        },
        "radios": {
            "n78": {"fixed": {"uplink": "8 ms", "downlink": "6 ms"}, "cells": {"1": "gnb-north", "2": "gnb-south"}}
        },
    },
    "services": {
        "hazard": {
            "replicas": {"edge-a": 1, "edge-b": 1},
            "work": {"exponential": "2 ms"},
            "calls": [{"to": "map-matching"}, {"to": "alerts", "probability": "20 %"}],
        },
        "map-matching": {"replicas": {"edge-a": 1}, "work": {"constant": "1 ms"}},
        "alerts": {"replicas": {"edge-b": 1}, "work": {"constant": "1 ms"}},
        "vision": {
            "replicas": {"edge-b": 2},
            "work": {"exponential": "12 ms"},
            "calls": [{"to": "model-store", "probability": "5 %"}],
        },
        "model-store": {"replicas": {"regional": 1}, "work": {"constant": "3 ms"}},
        "ingest": {"replicas": {"regional": 1}, "work": {"constant": "1 ms"}, "calls": [{"to": "archive"}]},
        "archive": {"replicas": {"core": 1}, "work": {"constant": "4 ms"}},
    },
    "fleets": {"cars": {"size": 40, "radio": "n78"}, "cameras": {"size": 6, "radio": "n78"}},
    "traffic": [
        {"from": "cars", "to": "hazard", "slice": "v2x", "arrivals": {"poisson": "200 /s"}},
        {"from": "cameras", "to": "vision", "slice": "video", "arrivals": {"constant": "60 /s"}},
        {
            "name": "car-telemetry",
            "from": "cars",
            "to": "ingest",
            "slice": "telemetry",
            "arrivals": {"poisson": "40 /s"},
        },
    ],
    "phases": {"calm": {"from": "0 s", "to": "15 s"}, "late": {"from": "55 s", "to": "60 s"}},
    "faults": [
        {"at": "15 s", "for": "5 s", "kind": "latency-surge", "target": "edge-a--regional", "add": "40 ms"},
        {"at": "28 s", "for": "4 s", "kind": "link-down", "target": "gnb-north--edge-a"},
        {"at": "42 s", "for": "3 s", "kind": "node-crash", "target": "edge-b"},
    ],
    "expect": [
        {"slice": "v2x", "latency_p99": {"at_most": "50 ms"}},
        {"slice": "v2x", "within_budget": {"at_least": "98 %"}},
        {"slice": "video", "during": "calm", "success_rate": {"at_least": "99.9 %"}, "denied": {"at_most": 0}},
        {"service": "ingest", "handshakes": {"at_least": 1}, "handshakes_refused": {"at_most": 0}},
        {"never": "plaintext-on-wire"},
        {"never": "request-lost"},
        {"recovers": {"after": "link-down", "within": "2 s", "success_rate": {"at_least": "99 %"}}},
    ],
}

_SHARES = {
    # radio, network, tcp, handshake, crypto, proxy, policy, queue, service, backoff, other: mean milliseconds
    "v2x": (14, 2.2, 0.4, 1.2, 0.3, 0.9, 0.4, 1.5, 5, 0, 0),
    "video": (22, 4, 2.5, 1, 1.2, 1, 0.3, 9, 14, 0, 0),
    "telemetry": (16, 26, 1, 2, 0.2, 1.2, 0.4, 1, 6, 0, 0),
}


def _requests(scenario: Scenario, draw: random.Random) -> list[RequestRow]:
    rows = []
    times = []
    for flow in scenario.traffic:
        rate = (flow.arrivals.poisson_uhz or flow.arrivals.constant_uhz or 0) / 1e6
        now = 0.0
        while (now := now + draw.expovariate(rate)) * S < scenario.duration_ns:
            times.append((int(now * S), flow))
    for number, (at, flow) in enumerate(sorted(times, key=lambda item: item[0]), start=1):
        parts = [int(draw.gammavariate(4, mean / 4) * MS) if mean else 0 for mean in _SHARES[flow.slice]]
        outcome, status, attempts = "ok", 200, 1
        if 15 * S <= at < 20 * S and flow.slice != "v2x":
            parts[1] += 80 * MS
        if 28 * S <= at < 28.2 * S or (28 * S <= at < 32 * S and draw.random() < 0.03):
            attempts, parts[9], parts[2] = 2, 25 * MS, parts[2] + 30 * MS
            if draw.random() < 0.5:
                outcome, status, parts[10] = "timeout", 504, 200 * MS
        if 42 * S <= at < 45 * S and flow.slice == "video":
            outcome, status = ("ok", 200) if draw.random() < 0.35 else ("unreachable", 503)
        if 45 * S <= at < 45.8 * S:
            parts[3] += int(draw.uniform(5, 30) * MS)
        if draw.random() < 0.002:
            outcome, status = "denied", 403
        latency = sum(parts)
        size = scenario.fleets[flow.source].size
        budget = scenario.network.slices[flow.slice].latency_budget_ns or 0
        client = f"{flow.source}/{draw.randrange(size)}"
        source = flow.name or flow.source
        rows.append(
            RequestRow(
                number, flow.slice, source, client, flow.to, at, at + 1000, at + latency, latency,
                outcome, status, attempts, budget, *parts[:10], 0, parts[10],
            )
        )  # fmt: skip
    return rows


def _calls(request: RequestRow, first_id: int) -> list[CallRow]:
    nodes = {"hazard": "edge-a", "vision": "edge-b", "ingest": "regional", "map-matching": "edge-a", "archive": "core"}
    paths = {"hazard": ["hazard", "map-matching"], "vision": ["vision"], "ingest": ["ingest", "archive"]}
    path = paths[request.service]
    rows, source, node, parent = [], request.client, request.client, 0
    for depth, service in enumerate(path):
        if depth and request.outcome != "ok":
            break
        rows.append(
            CallRow(
                first_id + depth, request.request_id, parent, source, service, node, nodes[service], 1 + depth,
                "GET", "/", request.outcome, request.status, request.t_intended_ns + depth * MS,
                request.t_done_ns - depth * MS, 700, 1400, request.attempts - 1, True, True, False,
            )
        )  # fmt: skip
        source, node, parent = service, nodes[service], first_id + depth
    return rows


def _handshakes(requests: list[RequestRow], draw: random.Random) -> list[HandshakeRow]:
    rows: list[HandshakeRow] = []
    seen: set[tuple[str, str]] = set()
    for request in requests:
        full = (request.client, request.service) not in seen
        again = 45 * S <= request.t_intended_ns < 46 * S or draw.random() < 0.01
        if not (full or again):
            continue
        seen.add((request.client, request.service))
        refused = draw.random() < 0.01
        duration = int(draw.uniform(15, 40) * MS) if full else int(draw.uniform(12, 25) * MS)
        rows.append(
            HandshakeRow(
                len(rows) + 1, len(rows) + 1, request.client, request.service, request.client, "edge-a", request.slice,
                request.t_intended_ns, duration, 8 * MS, not full, True, "" if refused else "1.3",
                "TLS_AES_128_GCM_SHA256", "X25519MLKEM768", "ecdsa-p256", 2276, 3383, 1, 900_000, 1_100_000,
                "refused" if refused else "established", "certificate_expired" if refused else "",
                "server" if refused else "", "client certificate expired" if refused else "", False,
            )
        )  # fmt: skip
    return rows


def fill(scenario: Scenario, record: dict[str, Callable[[Any], None]]) -> None:
    """Record a whole made-up run of ``scenario``."""
    draw = random.Random(scenario.seed)
    requests = _requests(scenario, draw)
    call_id = 1
    for request in sorted(requests, key=lambda row: row.t_done_ns):
        record["requests"](request)
        for call in _calls(request, call_id):
            record["calls"](call)
            call_id += 1
        record["decisions"](
            DecisionRow(
                request.t_done_ns, call_id - 1, "cedar", "v1", request.source, request.service, "GET", "/",
                request.outcome != "denied", "default-deny" if request.outcome == "denied" else "allow-cars", False,
            )
        )  # fmt: skip
    for handshake in _handshakes(requests, draw):
        record["handshakes"](handshake)
    for name, fault in zip(scenario.fault_names(), scenario.faults, strict=True):
        end_ns = fault.at_ns + fault.for_ns
        record["faults"](FaultRow(name, fault.kind, fault.target, fault.at_ns, end_ns, 61, 50, 8, 3))
    for number, purpose in enumerate(("onboarding", "rotation", "token"), 1):
        for attempt, outcome in ((1, "failed"), (2, "done")):
            reason = "the issuer is down" if outcome == "failed" else ""
            parts = (attempt * 20 * MS, 0, 0, MS, 0, 2 * MS, MS, 0, 0, 0)
            took_ns, spiffe_id = sum(parts), "spiffe://mesh.example/ns/default/sa/vision"
            what = ("vision/0", spiffe_id, "edge-a", purpose)
            row = IssuanceRow(number, attempt, *what, 0, took_ns, outcome, "signing", reason, 2, *parts)
            record["issuances"](row)
    record["bundles"](BundleRow(6 * S, 5 * S, "mesh.example", "partner.example", "taken", 2, 1, 4 * S, ""))
    for event, at_ns in (("sent", 2 * S), ("acked", 2 * S + 9 * MS)):
        record["configs"](ConfigRow(at_ns, 2, "vision/0", event, "trust bundle: root-2 prepared"))
    record["revocations"](RevocationRow("theft", "vision/0", 30 * S, 1, 4, 4, 32 * S, 3, 7, 0, 31 * S, 2))
    for second in range(1, scenario.duration_ns // S + 1):
        for node in scenario.network.nodes:
            up = not (node == "edge-b" and 42 < second <= 45)
            record["nodes"](NodeRow(second * S, node, up, draw.randrange(100_000, 600_000) * up, 0, 2**30, 0))
        for link in scenario.network.links:
            for way in (link.between, link.between[::-1]):
                used_ppm = draw.randrange(300_000)
                record["links"](LinkRow(second * S, "->".join(way), True, used_ppm, 0, 9000, 8900, 100, 1))
        for slice_name in scenario.network.slices:
            record["radio"](RadioRow(second * S, "n78/1", slice_name, "up", 500, 3, 0, 0, 0, 45 * MS))


FACTS = RunFacts(
    scenario="corridor",
    seed=7,
    fidelity="sampled",
    cost_profile="default",
    cost_profile_sha256="c" * 64,
    inputs={},
    versions={"meshsim": "0.1.0", "openssl": "4.0.0", "python": "3.11.7"},
    host={"wall_s": 12.5},
)


class Partial:
    """A run that is written but not finished: what the experiment has in hand when it asks for summary and report."""

    def __init__(self, folder: RunFolder, scenario: Scenario, manifest: Manifest) -> None:
        self.folder = folder
        self.scenario = scenario
        self.manifest = manifest


def write_partial(place: Path, scenario: Scenario, fill_with: Callable[..., None]) -> Partial:
    """Write a run of ``scenario`` up to the point where only summary and report are missing."""
    folder = RunFolder.create(place, scenario.scenario)
    recorder = Recorder(folder.sink)
    fill_with(scenario, {name: recorder.appender(name) for name in recorder._rows})
    recorder.flush()
    return Partial(folder, scenario, folder.seal(FACTS, resolved_text(scenario)))


@pytest.fixture(scope="session")
def corridor_scenario() -> Scenario:
    """The made-up scenario."""
    return Scenario.model_validate(CORRIDOR)


@pytest.fixture(scope="session")
def corridor(corridor_scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Partial:
    """The made-up run, written once."""
    return write_partial(tmp_path_factory.mktemp("runs") / "corridor", corridor_scenario, fill)


@pytest.fixture(scope="session")
def in_groups(corridor_scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Partial:
    """The same run in files of many small row groups, such as a long run has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buffers, "GROUP_ROWS", 700)
        return write_partial(tmp_path_factory.mktemp("runs") / "in-groups", corridor_scenario, fill)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Partial]:
    """``make_run(scenario, fill)``: a run with rows of the test's own."""
    return lambda scenario, fill_with: write_partial(tmp_path / "run", scenario, fill_with)


@pytest.fixture(scope="session", name="make_partial")
def make_partial_fixture() -> Callable[..., Partial]:
    """``make_partial(place, scenario, fill)``, for fixtures of a wider scope."""
    return write_partial


@pytest.fixture(scope="session")
def corridor_fill() -> Callable[..., None]:
    """The rows of the made-up run."""
    return fill


@pytest.fixture
def run_of(make_run: Callable[..., Any], corridor_scenario: Scenario) -> Callable[..., RunData]:
    """``run_of(table=rows, ...)``: a run of exactly these rows."""

    def made(**rows: list[msgspec.Struct]) -> RunData:
        def fill(scenario: Scenario, record: dict[str, Callable[[Any], None]]) -> None:
            for table, batch in rows.items():
                for row in batch:
                    record[table](row)

        partial = make_run(corridor_scenario, fill)
        return RunData(partial.folder.path, corridor_scenario, partial.manifest)

    return made
