"""Ports, labels and service accounts in the world."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshsim.inquiry.ask import ask
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import subject_of
from meshsim.scenario.loader import load_text
from tests.world.conftest import Result

SCENARIO = """
scenario: ports
duration: 2 s
network:
  nodes:
    edge: {kind: edge}
    core: {kind: core}
  links:
    - {between: [edge, core], latency: 1 ms}
  slices:
    control: {sst: 1, five_qi: 80}
services:
  front:
    replicas: {edge: 1}
    work: {constant: 1 ms}
    service_account: bookinfo-front
    calls: [{to: store, port: 9000}, {to: store}]
  store:
    namespace: data
    replicas: {core: 1}
    work: {constant: 1 ms}
    ports: {9001: {protocol: grpc}, 9000: {protocol: http}}
    labels: {app: store, version: v1}
fleets:
  users: {node: edge}
mesh: {tls: {mode: STRICT}}
traffic:
  - {from: users, to: front, slice: control, arrivals: {constant: 20 /s}}
"""


def test_each_port_has_its_connection(simulate: Any) -> None:
    """Calls to two ports of one replica go over two connections, each with a handshake of its own."""
    result = simulate(SCENARIO)
    assert {row.outcome for row in result.requests} == {"ok"}
    used = [{row.connection_id for row in calls} for calls in _by_turn(result)]
    assert [len(ids) for ids in used] == [1, 1]
    assert used[0] != used[1]
    assert len([row for row in result.handshakes if row.server == "store"]) == 2


def _by_turn(result: Any) -> tuple[list[Any], list[Any]]:
    """The calls to the store: the first of each request, and the second."""
    calls = sorted((row for row in result.calls if row.destination == "store"), key=lambda row: row.call_id)
    return calls[::2], calls[1::2]


def test_identities_name_the_service_account(simulate: Any) -> None:
    """A SPIFFE ID has the namespace and the service account, which is the service's name if none is given."""
    issued = {row.spiffe_id for row in simulate(SCENARIO).identities}
    assert "spiffe://mesh.example/ns/default/sa/bookinfo-front" in issued
    assert "spiffe://mesh.example/ns/data/sa/store" in issued


def test_the_first_port_is_the_default(simulate: Any) -> None:
    """A call that names no port goes to the first one in the file."""
    loaded = simulate(SCENARIO).loaded
    store = loaded.scenario.services["store"]
    assert store.first_port == 9001
    assert store.protocols == {9001: "grpc", 9000: "http"}
    assert loaded.scenario.services["front"].first_port == 8080


def test_a_listener_can_have_a_mode_of_its_own(simulate: Any) -> None:
    """One port takes plaintext while the other asks for mutual TLS; with `auto`, callers speak what each one takes."""
    ports = "{9001: {tls: {mode: DISABLE}}, 9000: {target: 9100}}"
    overrides = {"services__store__ports": ports, "mesh__destinations": "{store: {tls: auto}}"}
    result = simulate(SCENARIO, **overrides)
    assert {row.outcome for row in result.requests} == {"ok"}
    first, second = _by_turn(result)
    assert {row.encrypted for row in first} == {True}
    assert {row.encrypted for row in second} == {False}
    without = simulate(SCENARIO, services__store__ports=ports)
    assert {row.outcome for row in without.requests} == {"failed"}


def test_ports_have_their_own_tls(simulate: Any) -> None:
    """A port's settings are those of its listener, on the port that the replicas listen on; OpenSSL agrees."""
    scenario = SCENARIO.replace(
        "9000: {protocol: http}",
        "9000: {protocol: http, target: 19000, tls: {groups: [P-384, X25519], ciphers: [TLS_AES_256_GCM_SHA384]}}",
    ).replace("{tls: {mode: STRICT}}", "{tls: {mode: STRICT, groups: [X25519, P-256, P-384]}}")
    results = [simulate(scenario, fidelity=fidelity) for fidelity in ("real", "sampled", "modelled")]
    assert results[0].content() == results[1].content() == results[2].content()
    of_store = [row for row in results[0].handshakes if row.server == "store"]
    assert {(row.group, row.cipher) for row in of_store} == {
        ("X25519", "TLS_AES_256_GCM_SHA384"),
        ("X25519", "TLS_AES_128_GCM_SHA256"),
    }
    assert len({row.bytes_received for row in of_store}) == 2


def test_ports_have_their_own_mode(simulate: Any) -> None:
    """One port of a service takes plaintext, another insists on mutual TLS, and callers do what a port wants."""
    scenario = SCENARIO.replace("9000: {protocol: http}", "9000: {protocol: http, tls: {mode: DISABLE}}").replace(
        "{tls: {mode: STRICT}}", "{tls: {mode: STRICT}, destinations: {store: {tls: auto}}}"
    )
    result = simulate(scenario, fidelity="real")
    assert {row.outcome for row in result.requests} == {"ok"}
    assert len([row for row in result.handshakes if row.server == "store"]) == 1


PLAIN = """
scenario: plain
duration: 2 s
network:
  nodes: {edge: {kind: edge}, core: {kind: core}}
  links: [{between: [edge, core], latency: 1 ms}]
  slices: {control: {sst: 1, five_qi: 80}}
services:
  front: {replicas: {edge: 1}, work: {constant: 1 ms}, calls: CALLS}
  store: {replicas: {core: 1}, work: {constant: 1 ms}, ports: {9001: {protocol: grpc}, 9000: {protocol: tcp}}}
fleets:
  users: {node: edge}
mesh:
  tls: {mode: STRICT}
  resilience: {retries: 2, retry_on: [failed, reset, unreachable, timeout]}
traffic:
  - {from: users, to: front, slice: control, arrivals: {constant: 20 /s}}
""".replace("CALLS", "[{to: store, port: 9000, path: /tcp, optional: true}, {to: store, path: /http, optional: true}]")
"""The store speaks HTTP on one port, and something else on the other."""
DIRECT = (
    PLAIN.partition("traffic:")[0]
    + """traffic:
  - {name: tcp, from: users, to: store, port: 9000, path: /tcp, slice: control, arrivals: {constant: 40 /s}}
  - {name: http, from: users, to: store, port: 9001, path: /http, slice: control, arrivals: {constant: 40 /s}}
  - {from: users, to: front, slice: control, arrivals: {constant: 1 /s}}
"""
)
Ends = set[tuple[str, int, int]]


def _ends(result: Any, source: str) -> tuple[Ends, Ends]:
    """How calls to the store end, their status and their retries: on the port without HTTP, and on the other."""
    mine = [row for row in result.calls if row.source == source]
    tcp, http = ({(row.outcome, row.status, row.retries) for row in mine if row.path == path} for path in PATHS)
    return tcp, http


PATHS = ("/tcp", "/http")


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
def test_who_is_denied_on_a_port_without_http_is_told_nothing(tmp_path: Path, fidelity: str) -> None:
    """A sidecar's connection is closed and not tried again, a gateway's request is as Envoy's 5xx; questions agree."""
    policy = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "nobody"},
        "spec": {"action": "DENY", "rules": [{}], "selector": {"matchLabels": {"app": "store"}}},
    }
    (tmp_path / "store.yaml").write_text(json.dumps(policy), encoding="utf-8")
    said = ["mesh.policy={engine: istio, files: [store.yaml], default: allow}", "services.store.labels={app: store}"]
    for gateway, status, retries in (([], 0, 0), (["services.front.gateways=[entrance]"], 503, 2)):
        settings = [*said, *gateway, f"fidelity={fidelity}"]
        loaded = load_text(PLAIN, tmp_path / "scenario.yaml", settings)
        assert _ends(Result(loaded), "front") == ({("denied", status, retries)}, {("denied", 403, 0)})
        subject = subject_of(loaded, "store")
        asked = [ask(subject, Request(source="front", destination="store", port=port)) for port in (9000, 9001)]
        assert [one.status for one in asked] == [status or None, 403]
        assert [one.decision.closes for one in asked] == [True, False]
        assert any("the caller sees a connection that is reset" in note for note in asked[0].notes) == (not gateway)


def test_a_proxy_of_connections_knows_no_attempts_and_no_routes(simulate: Any) -> None:
    """On a port without HTTP neither the time of an attempt holds, nor a route, nor are retries made; limits hold."""
    slow = {"services__store__work": "{constant: 8 ms}", "mesh__resilience__attempt_timeout": "5 ms"}
    carried, late = {("ok", 200, 0)}, {("timeout", 504, 2)}
    assert _ends(simulate(DIRECT, **slow), "users") == (carried, late)
    routed = {**slow, "mesh__routes": "[{to: store, abort: {share: 100 %, status: 418}}]"}
    assert _ends(simulate(DIRECT, **routed), "users") == (carried, {("aborted", 418, 0)})
    told = {**slow, "mesh__destinations": "{store: {pool: {max_connections: 50}}}"}
    assert _ends(simulate(DIRECT, **told), "users") == (carried, late)
    full = {"services__store__work": "{constant: 40 ms}", "mesh__destinations": "{store: {pool: {max_requests: 1}}}"}
    tcp, http = _ends(simulate(DIRECT, **full), "users")
    assert tcp == {("ok", 200, 0), ("overflow", 0, 0)}
    assert http == {("ok", 200, 0), ("overflow", 503, 0)}


def test_what_breaks_without_http_has_no_status(simulate: Any) -> None:
    """A node that crashes resets connections and refuses others: neither is tried again, and nobody tells of it."""
    soon = {"mesh__control__node": "edge"}
    crash = "[{kind: node-crash, target: core, at: 100 ms, for: 1500 ms}]"
    tcp, http = _ends(simulate(DIRECT, faults=crash, services__store__work="{constant: 8 ms}", **soon), "users")
    assert {outcome for outcome, *_ in tcp} >= {"ok", "reset", "unreachable"}
    assert {(status, retries) for outcome, status, retries in tcp if outcome != "ok"} == {(0, 0)}
    assert {status for outcome, status, _ in http if outcome != "ok"} == {503}
    assert max(retries for *_, retries in http) == 2
