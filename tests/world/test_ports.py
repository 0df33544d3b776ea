"""Ports, labels and service accounts in the world."""

from __future__ import annotations

from typing import Any

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
