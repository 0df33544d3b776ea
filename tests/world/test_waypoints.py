"""Waypoints with a place: requests go through them, at a cost, and fail with them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from meshsim.identity import token_check
from meshsim.inquiry.ask import ask
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import subject_of_scenario
from meshsim.scenario.check_network import SIDECAR_MEMORY_BYTES
from meshsim.scenario.cost_profile import load_cost_profile
from meshsim.scenario.loader import load_text
from meshsim.sidecar.resilience import response_flags
from tests.world.conftest import Result

SCENARIO = """\
scenario: bank
duration: 4 s
network:
  nodes:
    desk: {kind: edge}
    vault: {kind: edge}
    hall: {kind: core}
    annex: {kind: edge}
  links:
    - {between: [desk, vault], latency: 1 ms}
    - {between: [desk, hall], latency: 2 ms}
    - {between: [vault, hall], latency: 3 ms}
    - {between: [annex, hall], latency: 1 ms}
  slices: {web: {sst: 1, five_qi: 9}}
services:
  ledger:
    namespace: bank
    replicas: {vault: 2}
    work: {constant: 1 ms}
    labels: {app: ledger}
    waypoint: gate
    ports: {"80": {target: 8000}}
fleets:
  clerk: {node: desk}
mesh:
  ambient: true
  resilience: {retries: 0}
  waypoints:
    bank/gate: {replicas: {hall: 1}}
traffic:
  - {name: reads, from: clerk, to: ledger, slice: web, arrivals: {constant: 10 /s}}
  - {name: writes, from: clerk, to: ledger, method: PUT, slice: web, arrivals: {constant: 10 /s}}
"""
POLICIES: list[dict[str, Any]] = [
    {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "readers", "namespace": "bank"},
        "spec": {
            "targetRefs": [{"kind": "Service", "name": "ledger"}],
            "rules": [
                {
                    "from": [{"source": {"principals": ["mesh.example/fleet/clerk/0"]}}],
                    "to": [{"operation": {"methods": ["GET"], "ports": ["80"]}}],
                }
            ],
        },
    },
    {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "gate-alone", "namespace": "bank"},
        "spec": {
            "selector": {"matchLabels": {"app": "ledger"}},
            "rules": [{"from": [{"source": {"principals": ["mesh.example/ns/bank/sa/gate"]}}]}],
        },
    },
]
UNDER_POLICIES = ("mesh.policy={engine: istio, files: [bank.yaml], default: allow}",)
UNPLACED = ("mesh.waypoints={}",)
Run = Callable[..., Result]


def documents(objects: Sequence[dict[str, Any]]) -> str:
    """Objects of Kubernetes in one file."""
    return "\n---\n".join(json.dumps(one) for one in objects)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A function that runs the bank with these overrides, and these policies beside it."""

    def of(*overrides: str, policies: Sequence[dict[str, Any]] = POLICIES, text: str = SCENARIO) -> Result:
        (tmp_path / "bank.yaml").write_text(documents(policies), encoding="utf-8")
        (tmp_path / "bank.cedar").write_text('permit (principal, action == Action::"GET", resource);\n')
        return Result(load_text(text, tmp_path / "scenario.yaml", overrides))

    return of


def ended(result: Result) -> Counter[tuple[str, str, int, str]]:
    """How often the requests of each flow ended in which way."""
    return Counter((row.source, row.outcome, row.status, row.flags) for row in result.requests)


def test_a_request_goes_through_its_waypoint(run: Run) -> None:
    """One request is two calls, each on mutual TLS of its own, and the account has what both cost."""
    placed, unplaced = run(), run(*UNPLACED)
    assert {(row.source, row.destination) for row in placed.calls} == {("clerk", "gate"), ("gate", "ledger")}
    assert {(row.source, row.destination) for row in unplaced.calls} == {("clerk", "ledger")}
    shakes = {(row.client, row.server, row.mutual, row.outcome) for row in placed.handshakes}
    assert shakes == {("clerk/0", "gate", True, "established"), ("gate", "ledger", True, "established")}
    one, other = placed.requests[-1], unplaced.requests[-1]
    assert (one.service, one.outcome) == ("ledger", "ok")
    assert one.latency_ns - other.latency_ns == sum(
        getattr(one, part) - getattr(other, part) for part in ("network_ns", "crypto_ns", "proxy_ns")
    )
    # Over 2 ms and 3 ms of links instead of 1 ms, there and back; what is sent takes its time on the wires too.
    assert 0 <= one.network_ns - other.network_ns - 8_000_000 < 50_000
    costs = load_cost_profile().cpu("xeon-6242r")
    assert one.proxy_ns - other.proxy_ns == 4 * (costs.waypoint_message_ns + costs.tcp_message_ns)
    assert other.proxy_ns == 4 * (costs.ztunnel_message_ns + costs.tcp_message_ns)
    # Sealed and opened twice, over the same sizes: each message is on its second connection what it was on the first.
    assert one.crypto_ns == pytest.approx(2 * other.crypto_ns, rel=0.001)


def test_decisions_are_those_of_a_waypoint_without_a_place(run: Run) -> None:
    """The waypoint sees the caller, ztunnel behind it the waypoint, and both together let the same requests in."""
    placed, unplaced = run(*UNDER_POLICIES), run(*UNDER_POLICIES, *UNPLACED)
    assert ended(placed) == ended(unplaced) == {("reads", "ok", 200, ""): 40, ("writes", "denied", 403, ""): 40}
    asked = Counter((row.source, row.destination, row.allowed, row.rule) for row in placed.decisions)
    assert asked == {
        ("clerk", "ledger", True, "ns[bank]-policy[readers]-rule[0]"): 40,
        ("clerk", "ledger", False, "default-deny"): 40,
        ("gate", "ledger", True, "ns[bank]-policy[gate-alone]-rule[0]"): 40,
    }


def test_each_proxy_decides_for_itself(run: Run) -> None:
    """What ztunnel says of the waypoint is no decision of the waypoint's, which lets the request in and sends it on."""
    barred = {
        **POLICIES[1],
        "metadata": {"name": "bar-gate", "namespace": "bank"},
        "spec": {**POLICIES[1]["spec"], "action": "DENY"},
    }
    result = run(*UNDER_POLICIES, policies=[POLICIES[0], barred])
    # ztunnel closes the connection: what the waypoint's Envoy tells of that, tests/sidecar/test_flags_envoy.py holds.
    assert ended(result) == {("reads", "denied", 503, "UC"): 40, ("writes", "denied", 403, ""): 40}
    assert {(row.status, row.flags, row.retries) for row in result.calls if row.source == "gate"} == {(503, "UC", 0)}
    assert Counter((row.source, row.allowed, row.rule) for row in result.decisions) == {
        ("clerk", True, "ns[bank]-policy[readers]-rule[0]"): 40,
        ("clerk", False, "default-deny"): 40,
        ("gate", False, "ns[bank]-policy[bar-gate]-rule[0]"): 40,
    }


def test_ztunnels_refusal_is_one_answer_everywhere(run: Run, tmp_path: Path) -> None:
    """With a place or without, in runs and when asked: denied by ztunnel's rule, as a connection that is lost."""
    nobody = {**POLICIES[1], "spec": {"selector": {"matchLabels": {"app": "ledger"}}}}
    for more in ((), UNPLACED):
        result = run(*UNDER_POLICIES, *more, policies=[nobody])
        assert {(row.outcome, row.status) for row in result.requests} == {("denied", 503)}
        assert {row.rule for row in result.decisions if not row.allowed} == {"default-deny"}
        (tmp_path / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
        subject = subject_of_scenario(tmp_path / "scenario.yaml", [*UNDER_POLICIES, *more])
        verdict = ask(subject, Request(source="clerk/0", destination="ledger"))
        assert (verdict.decision.rule, verdict.status) == ("default-deny", 503)
        assert any("ztunnel refuses it behind the waypoint" in note for note in verdict.notes)


@pytest.mark.parametrize(("retry_on", "retries", "flags"), [("[failed]", 2, "URX,UC"), ("[reset]", 0, "UC")])
def test_a_refusal_is_tried_again_where_any_failure_is(run: Run, retry_on: str, retries: int, flags: str) -> None:
    """As in Envoy with retry_on 5xx; by Istio's own conditions a request that was sent is not sent again."""
    nobody = {**POLICIES[1], "spec": {"selector": {"matchLabels": {"app": "ledger"}}}}
    result = run(*UNDER_POLICIES, f"mesh.waypoints.bank/gate.resilience={{retry_on: {retry_on}}}", policies=[nobody])
    assert {row.flags for row in result.requests} == {flags}
    assert {row.retries for row in result.calls if row.source == "gate"} == {retries}


def test_retries_that_ended_in_another_failure_were_not_in_vain(run: Run) -> None:
    """URX tells that the last attempt would have been tried again; one that ended otherwise has its own flag alone."""
    result = run(
        "faults=[{kind: node-crash, target: vault, at: 1 s, for: 2 s}]",
        "mesh.waypoints.bank/gate.resilience={retry_on: [timeout], attempt_timeout: 400 ms, connect_timeout: 100 ms}",
        # What is at work when the node goes times out; what is sent then to one that is back is reset.
        "services.ledger={namespace: bank, replicas: {vault: 2}, work: {constant: 300 ms}, waypoint: gate}",
        "mesh.pool.idle_timeout=50 ms",
        "network.nodes.vault.cores=8",
        "mesh.control.failure_detection=3 s",
    )
    told = Counter((row.outcome, row.retries, row.flags) for row in result.calls if row.source == "gate")
    assert ("reset", 1, "UC") in told
    assert not any("URX" in flags for _, _, flags in told)


@pytest.mark.parametrize(("port", "behind"), [("80", "8000"), ("8000", "80")])
def test_a_waypoint_sees_the_services_port(run: Run, tmp_path: Path, port: str, behind: str) -> None:
    """At a waypoint `ports` are those of the service, at ztunnel those of containers, in runs and when asked."""

    def on(policy: dict[str, Any], number: str) -> dict[str, Any]:
        return {**policy, "spec": {**policy["spec"], "rules": [{"to": [{"operation": {"ports": [number]}}]}]}}

    policies = [on(POLICIES[0], port), on(POLICIES[1], behind)]
    odd = ["a waypoint sees the port of the service", "policies see the port of the container"]
    for more in ((), UNPLACED):
        result = run(*UNDER_POLICIES, *more, policies=policies)
        assert {row.outcome for row in result.requests} == {"ok" if port == "80" else "denied"}
        (tmp_path / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
        subject = subject_of_scenario(tmp_path / "scenario.yaml", [*UNDER_POLICIES, *more])
        verdict = ask(subject, Request(source="clerk/0", destination="ledger"))
        assert verdict.decision.allowed == (port == "80")
        assert [text for text in odd if any(text in one for one in subject.warnings)] == (odd if port != "80" else [])


@pytest.mark.parametrize("field", ["ipBlocks", "notIpBlocks"])
def test_addresses_behind_a_waypoint_are_its_own(run: Run, tmp_path: Path, field: str) -> None:
    """Ztunnel sees the waypoint's address as the caller's, in runs and when asked; without a place there is none."""
    source = {field: ["10.0.0.0/8"]}
    blocks = {**POLICIES[1], "spec": {**POLICIES[1]["spec"], "rules": [{"from": [{"source": source}]}]}}
    for more, allowed in ((), field == "ipBlocks"), (UNPLACED, field == "notIpBlocks"):
        result = run(*UNDER_POLICIES, *more, policies=[blocks])
        assert {row.outcome for row in result.requests} == {"ok" if allowed else "denied"}
        (tmp_path / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
        subject = subject_of_scenario(tmp_path / "scenario.yaml", [*UNDER_POLICIES, *more])
        assert ask(subject, Request(source="clerk/0", destination="ledger")).decision.allowed == allowed


def test_a_caller_that_can_do_without_hears_of_a_failure(run: Run) -> None:
    """An optional call through a waypoint fails as it would without one, and its caller answers all the same."""
    text = SCENARIO.replace(
        "fleets:\n",
        "  front: {replicas: {desk: 1}, work: {constant: 1 ms}, calls: [{to: ledger, optional: true}]}\nfleets:\n",
    ).replace("to: ledger, slice", "to: front, slice")
    fault = "faults=[{kind: node-crash, target: vault, at: 1 s, for: 2 s}]"
    result = run(fault, "traffic.1.to=front", "mesh.control.node=desk", text=text)
    assert {row.outcome for row in result.requests} <= {"ok", "timeout"}
    failed = [row for row in result.calls if row.source == "front" and row.outcome == "unreachable"]
    assert failed
    assert {(row.status, row.flags) for row in failed} == {(503, "UH")}


@pytest.mark.parametrize("more", [(), UNDER_POLICIES])
def test_all_fidelities_agree(run: Run, more: tuple[str, ...]) -> None:
    """Real TLS and HTTP/2 on both legs come to the rows that the model gives."""
    contents = {run(f"fidelity={one}", *more).content() for one in ("real", "sampled", "modelled")}
    assert len(contents) == 1


ARCHIVE = """\
  archive-of-all-that-was: {namespace: bank, replicas: {vault: 1}, work: {constant: 1 ms}, waypoint: gate}
fleets:
"""


def test_a_waypoint_takes_requests_for_all_its_services_on_one_connection(run: Run) -> None:
    """HPACK's table has the name of the first service that is asked for; that of another is written each time."""
    text = SCENARIO.replace("fleets:\n", ARCHIVE)
    other = "traffic.1.to=archive-of-all-that-was"
    found = {one: run(f"fidelity={one}", other, "traffic.1.method=GET", text=text) for one in ("real", "modelled")}
    result = found["real"]
    assert result.content() == found["modelled"].content()
    calls = [row for row in result.calls if row.source == "clerk"]
    assert {row.destination for row in calls} == {"gate"}
    assert len({row.connection_id for row in calls}) == 1
    # 129 bits of Huffman code, their length and the index of the field's name, where the other takes an index.
    assert abs(calls[-1].bytes_sent - calls[-2].bytes_sent) == 17 + 1 + 1 - 1


def test_who_proves_no_identity_goes_past(run: Run) -> None:
    """It goes straight to the service, where only the policy that lets the waypoint alone in keeps it out."""
    outside = ("fleets.clerk.tls={mode: DISABLE}", "mesh.tls.mode=PERMISSIVE", *UNDER_POLICIES)
    assert set(ended(run(*outside, policies=POLICIES[:1]))) == {("reads", "ok", 200, ""), ("writes", "ok", 200, "")}
    result = run(*outside)
    assert {key[1] for key in ended(result)} == {"denied"}
    assert {(row.source, row.destination) for row in result.calls} == {("clerk", "ledger")}


@pytest.mark.parametrize(("through", "destination"), [("false", "ledger"), ("true", "gate")])
def test_gateways_go_past_unless_the_service_has_them_not(run: Run, through: str, destination: str) -> None:
    """The label istio.io/ingress-use-waypoint decides where a gateway's requests go."""
    text = SCENARIO.replace(
        "services:\n",
        "services:\n"
        "  entrance: {replicas: {desk: 1}, work: {constant: 1 ms}, gateways: [front], calls: [{to: ledger}]}\n",
    ).replace("to: ledger, slice", "to: entrance, slice")
    result = run(f"services.ledger.waypoint_for_gateways={through}", "traffic.1.to=entrance", text=text)
    assert {row.destination for row in result.calls if row.source == "entrance"} == {destination}


def test_a_waypoint_that_crashes_takes_its_services_with_it(run: Run) -> None:
    """Requests have an outcome of their own until the control plane announces it again; then they go through."""
    result = run(
        "faults=[{kind: node-crash, target: annex, at: 1 s, for: 2 s}]",
        "duration=6 s",
        "mesh.waypoints={bank/gate: {replicas: {annex: 1}}}",
    )
    lost = [row for row in result.requests if row.outcome != "ok"]
    assert {(row.outcome, row.status, row.flags) for row in lost} == {("no-waypoint", 0, "")}
    # Until 4.1 s: back at 3 s, seen by the control plane after another second, and told after the debounce.
    assert (min(row.t_intended_ns for row in lost), max(row.t_intended_ns for row in lost)) == pytest.approx(
        (1_000_000_000, 4_100_000_000), abs=150_000_000
    )


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
def test_an_outage_of_a_waypoint_is_told_at_once(run: Run, fidelity: str) -> None:
    """Its processes are gone and their nodes are not: callers are refused until they hear that it is back."""
    result = run("faults=[{kind: waypoint-outage, target: bank/gate, at: 1 s, for: 1500 ms}]", f"fidelity={fidelity}")
    lost = [row for row in result.requests if row.outcome != "ok"]
    assert {(row.outcome, row.status, row.flags) for row in lost} == {("no-waypoint", 0, "")}
    assert max(row.latency_ns for row in lost) < 10_000_000
    # It is back at 2.5 s; the control plane hears that within milliseconds, and tells it 100 ms later.
    assert (lost[0].t_intended_ns, lost[-1].t_intended_ns) == pytest.approx((1.05e9, 2.55e9), abs=51e6)
    assert result.faults[0].effects >= 2
    assert [row.reason for row in result.configs if row.proxy == "clerk/0" and row.event == "acked"][1:] == [
        "gate on hall starts",
        "gate on hall is ready",
    ]


def test_an_outage_outlasts_the_restart_of_a_node(run: Run) -> None:
    """A node that comes back during the outage comes back without the waypoint."""
    result = run(
        "mesh.waypoints={bank/gate: {replicas: {annex: 1}}}",
        "faults=[{kind: waypoint-outage, target: bank/gate, at: 500 ms, for: 2 s},"
        " {kind: node-crash, target: annex, at: 600 ms, for: 500 ms}]",
    )
    during = {row.outcome for row in result.requests if 1_300_000_000 < row.t_intended_ns < 2_400_000_000}
    after = {row.outcome for row in result.requests if row.t_intended_ns > 3_000_000_000}
    assert (during, after) == ({"no-waypoint"}, {"ok"})
    memory = [row.memory_bytes for row in result.nodes if row.node == "annex"]
    assert memory[-1] == pytest.approx(SIDECAR_MEMORY_BYTES, rel=0.1)  # it was started once


def test_replicas_stand_in_for_each_other(run: Run) -> None:
    """Callers go to the nearest replica of a waypoint, and to another one once that is known to be gone."""
    result = run(
        "mesh.waypoints={bank/gate: {replicas: {annex: 1, hall: 1}}}",
        "faults=[{kind: node-crash, target: hall, at: 1 s, for: 3 s}]",
        "mesh.control.node=desk",
        "network.links=[{between: [desk, vault], latency: 1 ms}, {between: [desk, hall], latency: 2 ms}, "
        "{between: [annex, desk], latency: 5 ms}]",
        "mesh.control.failure_detection=500 ms",
    )
    nodes = {row.destination_node for row in result.calls if row.source == "clerk" and row.t_start_ns < 900_000_000}
    assert nodes == {"hall"}
    later = {
        (row.destination_node, row.outcome)
        for row in result.calls
        if row.source == "clerk" and row.t_start_ns > 1_700_000_000
    }
    assert later == {("annex", "ok")}


def test_a_waypoint_tells_what_it_could_not_reach(run: Run) -> None:
    """A service that is gone is told as 503 with the flags of Envoy, on the waypoint's call and on the request."""
    result = run(
        "faults=[{kind: node-crash, target: vault, at: 1 s, for: 2 s}]",
        "mesh.waypoints.bank/gate.resilience={retries: 0}",
    )
    failed = {(row.outcome, row.status, row.flags) for row in result.requests if row.outcome != "ok"}
    assert ("unreachable", 503, "UH") in failed
    assert failed <= {
        ("unreachable", 503, "UH"),
        ("unreachable", 503, "UF"),
        ("reset", 503, "UC"),
        ("timeout", 504, "UT"),
    }
    told = {row.parent_id: (row.outcome, row.flags) for row in result.calls if row.source == "gate"}
    assert {told[row.call_id] for row in result.calls if row.source == "clerk" and row.outcome != "ok"} == {
        (outcome, flags) for outcome, _, flags in failed
    }


def test_a_waypoint_retries_as_istio_does(run: Run) -> None:
    """The mesh's proxies retry nothing here; the waypoint has Istio's two retries, and tells that they were in vain."""
    result = run("faults=[{kind: node-crash, target: vault, at: 1 s, for: 2 s}]")
    retries = {(row.source, row.retries) for row in result.calls if row.flags == "UH"}
    assert retries == {("clerk", 0), ("gate", 2)}


def test_overload_is_told_by_the_limits_of_the_waypoint(run: Run) -> None:
    """Limits of a destination hold at the waypoint, whose answer says overflow."""
    result = run(
        "mesh.destinations={ledger: {pool: {max_requests: 1, max_pending: 1}}}",
        "services.ledger.work={constant: 300 ms}",
        "network.nodes.vault.cores=8",
    )
    assert ("reads", "overflow", 503, "UO") in ended(result)
    assert {row.source for row in result.calls if row.outcome == "overflow"} == {"clerk", "gate"}


def test_routes_hold_at_the_waypoint(run: Run) -> None:
    """An abort of a route is the waypoint's answer: callers' ztunnels know no route."""
    result = run(
        "mesh.routes=[{to: ledger, match: [{method: {exact: PUT}}], abort: {status: 418, share: 100 %}}, {to: ledger}]"
    )
    assert ended(result) == {("reads", "ok", 200, ""): 40, ("writes", "aborted", 418, "FI"): 40}
    aborted = {row.source for row in result.calls if row.outcome == "aborted"}
    assert aborted == {"clerk", "gate"}


def test_a_waypoint_that_is_too_slow_makes_callers_give_up(run: Run) -> None:
    """What no longer has a caller is not sent on, and no account is left open."""
    result = run(
        "network.nodes.hall={kind: core, cores: 1}",
        "traffic.0.arrivals={constant: 3000 /s}",
        "traffic.0.timeout=50 ms",
        "duration=500 ms",
    )
    assert {row.outcome for row in result.requests if row.source == "reads"} == {"ok", "timeout"}


def test_cores_of_its_own_are_all_that_a_waypoint_has(run: Run) -> None:
    """With one of four cores to itself it works as on a node with one; all else there has three, and is left alone."""
    load = ("traffic.0.arrivals={poisson: 8000 /s}", "mesh.control.node=desk", "duration=100 ms")
    three = {"desk": 16, "vault": 16}
    cores = [f"network.nodes.{node}.cores={count}" for node, count in three.items()]
    alone = run(*load, *cores, "network.nodes.hall={kind: core, cores: 1}")
    own = run(*load, *cores, "mesh.waypoints={bank/gate: {replicas: {hall: 1}, cores: 1}}")
    assert [row.latency_ns for row in own.requests] == [row.latency_ns for row in alone.requests]
    assert max(row.queue_ns for row in own.requests) > 10_000_000
    busy = [[row.utilisation_ppm for row in one.nodes if row.node == "hall"] for one in (own, alone)]
    assert busy[0] == pytest.approx([ppm / 4 for ppm in busy[1]], abs=1)
    assert [row.queue for row in own.nodes if row.node == "hall"] == [
        row.queue for row in alone.nodes if row.node == "hall"
    ]


def test_who_shares_a_node_with_a_busy_waypoint(run: Run) -> None:
    """A service beside it waits for its cores, unless the waypoint has its own and they are others."""
    beside = SCENARIO.replace(
        "fleets:\n", "  beside: {replicas: {hall: 1}, work: {constant: 1 ms}, namespace: bank}\nfleets:\n"
    ).replace("to: ledger, method: PUT", "to: beside, method: PUT")
    load = ("traffic.0.arrivals={poisson: 12000 /s}", "duration=100 ms", "network.nodes.hall={kind: core, cores: 2}")
    load = (
        *load,
        "traffic.1.arrivals={constant: 100 /s}",
        "network.nodes.vault.cores=16",
        "network.nodes.desk.cores=16",
    )
    waits = [
        max(row.queue_ns for row in run(*load, *more, text=beside).requests if row.source == "writes")
        for more in ((), ("mesh.waypoints={bank/gate: {replicas: {hall: 1}, cores: 1}}",))
    ]
    assert waits[0] > 1_000_000
    assert waits[1] == 0


def test_a_killed_waypoint_leaves_no_work_on_its_cores(run: Run) -> None:
    """What it had to do when its processes ended, no processor does; of a core that is shared it would be done."""
    fault = "faults=[{kind: waypoint-outage, target: bank/gate, at: 90 ms, for: 5 ms}]"
    load = ("traffic.0.arrivals={constant: 8000 /s}", "duration=100 ms", fault, "network.nodes.vault.cores=16")
    worked = []
    for more in (("network.nodes.hall={kind: core, cores: 1}",), ("mesh.waypoints.bank/gate.cores=1",)):
        result = run(*load, *more)
        worked.append(result.world._state.machines["hall"].worked_ns)
    assert worked[1] < worked[0] - 10_000_000


@pytest.mark.parametrize("header", ["te", "content-length", "host", "x-request-id"])
def test_claims_go_into_no_field_that_senders_write_themselves(run: Run, header: str) -> None:
    """What a rule tells in such a field is there for the waypoint's policies, and HTTP/2 behind it stays HTTP/2."""
    rule = {"issuer": "https://desk.mesh.example", "jwksUri": "https://desk.example/keys"}
    rule_telling = rule | {"outputClaimToHeaders": [{"header": header, "claim": "role"}]}
    policy = {
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": "desk", "namespace": "bank"},
        "spec": {"targetRefs": [{"kind": "Service", "name": "ledger"}]},
    }
    text = SCENARIO.replace("clerk: {node: desk}", "clerk: {node: desk, token: {issuer: desk, claims: {role: clerk}}}")
    sizes = []
    for told in (rule, rule_telling):
        policies = [policy | {"spec": {**policy["spec"], "jwtRules": [told]}}]
        overrides = ("mesh.tokens={issuers: {desk: {}}}", *UNDER_POLICIES, "fidelity=real")
        result = run(*overrides, policies=policies, text=text)
        assert {row.outcome for row in result.requests} == {"ok"}
        sizes.append({row.bytes_sent for row in result.calls if row.source == "gate"})
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
@pytest.mark.parametrize(("more", "status"), [((), 200), (("services.store.waypoint=gate",), 431)])
def test_who_reads_no_http_limits_no_fields(run: Run, fidelity: str, more: tuple[str, ...], status: int) -> None:
    """What a waypoint itself writes goes on, as from Envoy; a ztunnel hands it on to all but another waypoint."""
    names = [f"x-{number}" for number in range(9)]
    told = ", ".join(f"{{header: {name}, claim: role}}" for name in names)
    text = SCENARIO.replace("    waypoint: gate\n", f"    waypoint: gate\n    forward_headers: [{', '.join(names)}]\n")
    text = text.replace("    work: {constant: 1 ms}\n", "    work: {constant: 1 ms}\n    calls: [{to: store}]\n", 1)
    text = text.replace(
        "fleets:\n", "  store: {namespace: bank, replicas: {annex: 1}, work: {constant: 1 ms}}\nfleets:\n"
    )
    tokens = (
        "mesh.tokens={issuers: {mint: {ttl: 1 h}}}",
        f"fleets.clerk.token={{issuer: mint, audiences: [bank], claims: {{role: {'r' * 7500}}}}}",
        f"services.ledger.request_authentication={{issuers: [mint], output_claims_to_headers: [{told}]}}",
        f"fidelity={fidelity}",
        "duration=500 ms",
    )
    result = run(*tokens, *more, text=text)
    assert {row.status for row in result.calls if (row.source, row.destination) == ("gate", "ledger")} == {
        200 if status == 200 else 502
    }
    assert {row.status for row in result.calls if row.source == "ledger"} == {status}


def test_tokens_are_looked_at_by_the_waypoint(run: Run) -> None:
    """A token that is bound to the caller's certificate holds at the waypoint, which does not hand it on."""
    tokens = (
        "mesh.tokens={issuers: {mint: {ttl: 1 h}}}",
        "fleets.clerk.token={issuer: mint, audiences: [bank], bound: true}",
        "services.ledger.request_authentication={issuers: [mint], audiences: [bank], required: true}",
    )
    result = run(*tokens, "traffic.1.token=none", *UNDER_POLICIES)
    assert ended(result) == {("reads", "ok", 200, ""): 40, ("writes", "denied", 401, ""): 40}
    assert {row.rule for row in result.decisions if not row.allowed} == {token_check.MISSING}
    real = run(*tokens, "traffic.1.token=none", *UNDER_POLICIES, "fidelity=real")
    assert real.content() == result.content()


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
def test_forged_fields_go_no_farther_than_the_waypoint(run: Run, fidelity: str) -> None:
    """The waypoint takes them off, and tells it; what it sends on is smaller for that."""
    forged = ("traffic.0.headers={x-user-id: root}", "mesh.http.identity_headers=[x-user-id]", f"fidelity={fidelity}")
    result, plain = run(*forged, *UNDER_POLICIES), run(*UNDER_POLICIES)
    removed = {(row.source, row.removed) for row in result.decisions if row.allowed}
    assert removed == {("clerk", "x-user-id"), ("gate", "")}

    def sizes(run: Result, source: str) -> set[int]:
        return {row.bytes_sent for row in run.calls if row.source == source and row.method == "GET"}

    assert sizes(result, "gate") == sizes(plain, "gate")
    assert min(sizes(result, "clerk")) > min(sizes(plain, "clerk"))


def test_versions_that_policies_tell_apart_are_behind_one_waypoint(run: Run) -> None:
    """What is attached is for all versions; what selects one is ztunnel's at its replicas."""
    text = SCENARIO.replace(
        "    replicas: {vault: 2}\n",
        "    versions: {v1: {replicas: {vault: 1}, labels: {v: one}}, v2: {replicas: {vault: 1}, labels: {v: two}}}\n",
    )
    denied = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "not-v2", "namespace": "bank"},
        "spec": {"action": "DENY", "selector": {"matchLabels": {"v": "two"}}, "rules": [{}]},
    }
    result = run(*UNDER_POLICIES, policies=[*POLICIES, denied], text=text)
    assert {(row.source, row.rule) for row in result.decisions} == {
        ("clerk", "ns[bank]-policy[readers]-rule[0]"),
        ("clerk", "default-deny"),
        ("gate", "ns[bank]-policy[gate-alone]-rule[0]"),
        ("gate", "ns[bank]-policy[not-v2]-rule[0]"),
    }


def test_other_engines_decide_at_the_waypoint_alone(run: Run) -> None:
    """Cedar says nothing of two proxies: what the waypoint has let in, the service's own proxy lets in."""
    result = run("mesh.policy={engine: cedar, files: [bank.cedar]}")
    assert ended(result) == {("reads", "ok", 200, ""): 40, ("writes", "denied", 403, ""): 40}
    assert {row.source for row in result.decisions} == {"clerk"}


def test_default_deny_holds_at_the_waypoint(run: Run) -> None:
    """What the waypoint lets in by a policy, ztunnel takes without one."""
    deny = "mesh.policy={engine: istio, files: [bank.yaml], default: deny}"
    for more in ((), UNPLACED):
        assert ended(run(deny, *more, policies=POLICIES[:1])) == {
            ("reads", "ok", 200, ""): 40,
            ("writes", "denied", 403, ""): 40,
        }


def test_changes_of_policy_reach_the_waypoint(run: Run, tmp_path: Path) -> None:
    """From when the waypoint has heard of it, writing is what is allowed."""
    writers = [
        {**POLICIES[0], "spec": {**POLICIES[0]["spec"], "rules": [{"to": [{"operation": {"methods": ["PUT"]}}]}]}}
    ]
    (tmp_path / "other.yaml").write_text(documents(writers), encoding="utf-8")
    result = run(*UNDER_POLICIES, "changes=[{at: 2 s, policy: {files: [other.yaml]}}]")
    late = {(row.source, row.outcome) for row in result.requests if row.t_intended_ns > 2_300_000_000}
    assert late == {("reads", "denied"), ("writes", "ok")}
    assert {row.proxy for row in result.configs if row.event == "acked" and row.version > 1} >= {"gate/0"}


def test_what_a_waypoint_starts_with_is_not_pushed_to_it_again(run: Run, tmp_path: Path) -> None:
    """A push that is under way when the waypoint's processes start anew comes to who has that version: it is stale."""
    (tmp_path / "other.yaml").write_text(documents(POLICIES[:1]), encoding="utf-8")
    result = run(
        *UNDER_POLICIES,
        "network.links.0.latency=300 ms",
        "network.links.1.latency=200 ms",
        "mesh.control.node=desk",
        "changes=[{at: 1 s, policy: {files: [other.yaml]}}]",
        "faults=[{kind: waypoint-outage, target: bank/gate, at: 1200 ms, for: 20 ms}]",
    )
    rows = [row for row in result.configs if row.kind == "configuration" and row.proxy == "gate/0"]
    assert [row.event for row in rows] == ["sent", "stale"]


def test_changes_of_tokens_reach_the_waypoint(run: Run, tmp_path: Path) -> None:
    """From when it has heard of rules for tokens it looks at them, on the connections that are open too."""
    attached = {"targetRefs": POLICIES[0]["spec"]["targetRefs"]}
    accepted = {
        **POLICIES[0],
        "kind": "RequestAuthentication",
        "spec": {**attached, "jwtRules": [{"issuer": "https://mint.mesh.example"}]},
    }
    wanted = {**POLICIES[0], "spec": {**attached, "rules": [{"from": [{"source": {"requestPrincipals": ["*"]}}]}]}}
    (tmp_path / "other.yaml").write_text(documents([accepted, wanted]), encoding="utf-8")
    result = run(
        *UNDER_POLICIES,
        "mesh.tokens={issuers: {mint: {ttl: 1 h}}}",
        "fleets.clerk.token={issuer: mint, audiences: [bank]}",
        "traffic.1.token=none",
        "changes=[{at: 2 s, policy: {files: [other.yaml]}}]",
        policies=[{**POLICIES[0], "spec": {**attached, "rules": [{}]}}],
    )
    late = {(row.source, row.outcome) for row in result.requests if row.t_intended_ns > 2_300_000_000}
    assert late == {("reads", "ok"), ("writes", "denied")}
    assert {row.outcome for row in result.requests if row.t_intended_ns < 1_900_000_000} == {"ok"}


def test_a_revoked_waypoint_is_not_spoken_to(run: Run) -> None:
    """The identity of a waypoint is one like others: without a certificate that holds nobody gets through it."""
    result = run(
        "duration=40 s",
        "mesh.identity={svid_ttl: 20 s, issuer: {node: desk}}",
        "traffic.1.arrivals={constant: 1 /s}",
        "traffic.0.arrivals={constant: 1 /s}",
        "faults=[{kind: ca-outage, at: 1 s, for: 39 s}]",
        "mesh.pool.idle_timeout=100 ms",
        "mesh.tls.resumption=false",
    )
    late = [row for row in result.requests if row.t_intended_ns > 25_000_000_000]
    assert {row.outcome for row in late} == {"tls-refused"}


@pytest.mark.parametrize(
    ("outcome", "waited", "retried", "flags"),
    [
        ("unreachable", False, True, "UH"),
        ("unreachable", True, False, "UF"),
        ("reset", False, True, "URX,UC"),
        ("tls-refused", True, True, "URX,UF"),
        ("tls-refused", False, False, "UC"),
        ("timeout", False, False, "UT"),
        ("denied", False, False, ""),
    ],
)
def test_response_flags_are_envoys(outcome: str, waited: bool, retried: bool, flags: str) -> None:
    """Each kind of failure has the flag of Envoy's access log."""
    assert response_flags(outcome, waited=waited, retried=retried) == flags
