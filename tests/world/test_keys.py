"""Key types and intermediate authorities in a mesh: what they cost, and that OpenSSL comes to the same."""

from __future__ import annotations

from typing import Any

import pytest

MS = 1_000_000
S = 1_000_000_000
Data = dict[str, Any]


@pytest.fixture
def mesh() -> Data:
    """Clients at one site call a service at another, which calls a third; few enough to be real."""
    return {
        "scenario": "keys",
        "duration": "20 s",
        "network": {
            "nodes": {name: {"kind": "edge", "site": f"site-{name}"} for name in "abc"},
            "links": [
                {"between": ["a", "b"], "latency": "5 ms"},
                {"between": ["b", "c"], "latency": "5 ms"},
            ],
            "slices": {"web": {"sst": 1, "five_qi": 80}},
        },
        "services": {
            "front": {"replicas": {"b": 1}, "work": {"constant": "1 ms"}, "calls": [{"to": "back"}]},
            "back": {"replicas": {"c": 1}, "work": {"constant": "1 ms"}},
        },
        "fleets": {"client": {"node": "a", "size": 2}},
        "mesh": {
            "identity": {"svid_ttl": "10 s", "backdate": "1 s"},
            "pool": {"idle_timeout": "1 s"},
            "tls": {"resumption": False},
        },
        "traffic": [{"from": "client", "to": "front", "slice": "web", "arrivals": {"constant": "0.5 /s"}}],
    }


def first(result: Any) -> Any:
    """The first handshake of a client with the front."""
    return next(row for row in result.handshakes if row.server == "front")


def test_every_fidelity_comes_to_the_same(simulate: Any, mesh: Data) -> None:
    """Key types per service and fleet, below intermediates that are replaced, are the same with OpenSSL and without."""
    mesh["mesh"]["tls"]["key"] = "rsa-2048"
    mesh["mesh"]["identity"] |= {"hierarchy": "per-site", "ca_key": "ml-dsa-44", "intermediate_ttl": "12 s"}
    mesh["services"]["front"]["tls"] = {"key": "ed25519"}
    mesh["fleets"]["client"]["tls"] = {"key": "ecdsa-p384"}
    results = [simulate(mesh, fidelity=fidelity) for fidelity in ("real", "sampled", "modelled")]
    assert results[0].content() == results[1].content() == results[2].content()
    assert {(row.server, row.key_type) for row in results[0].handshakes} == {("front", "ed25519"), ("back", "rsa-2048")}
    assert {row.outcome for row in results[0].requests} == {"ok"}
    issuers = {row.issuer.removeprefix("mesh.example/") for row in results[0].identities if row.event == "rotated"}
    assert issuers >= {f"root/site-{site}/2" for site in "abc"}
    intermediates = [row for row in results[0].identities if row.event == "activated"]
    assert {row.issuer for row in intermediates} == {"mesh.example/root"}
    assert {row.not_after_ns - row.not_before_ns for row in intermediates} == {13 * S}


def test_a_certificate_never_outlives_its_intermediate(simulate: Any, mesh: Data) -> None:
    """Certificates are issued by the intermediate of the holder's site and end with it at the latest."""
    mesh["mesh"]["identity"] |= {"hierarchy": "per-site", "intermediate_ttl": "11 s"}
    result = simulate(mesh, fidelity="modelled")
    leaves = [row for row in result.identities if row.event in ("issued", "rotated")]
    ends_ns = {}
    for row in result.identities:
        if row.event == "activated":
            ends_ns.setdefault(row.not_before_ns, row.not_after_ns)
    assert all(row.not_after_ns <= max(ends_ns.values()) for row in leaves)
    assert all("/site-a" in row.issuer for row in leaves if "/client/" in row.spiffe_id)


def test_a_flight_past_the_initial_window_costs_a_round_trip(simulate: Any, mesh: Data) -> None:
    """An ML-DSA-65 chain of two is more than TCP sends at first; the same keys without intermediate are not."""
    mesh["mesh"]["tls"] |= {"key": "ml-dsa-65"}
    mesh["mesh"]["identity"]["ca_key"] = "ml-dsa-65"
    round_trip_ns = 10 * MS
    short = first(simulate(mesh, fidelity="modelled"))
    mesh["mesh"]["identity"]["hierarchy"] = "per-site"
    long = first(simulate(mesh, fidelity="modelled"))
    assert short.key_type == long.key_type == "ml-dsa-65"
    assert long.bytes_received - short.bytes_received == 5_577
    assert round_trip_ns < long.duration_ns - short.duration_ns < 2 * round_trip_ns


@pytest.mark.parametrize("key_type", ["ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072", "ml-dsa-44", "ml-dsa-65"])
def test_keys_are_paid_for(simulate: Any, mesh: Data, key_type: str) -> None:
    """Every key type has its bytes and its CPU time in the rows of handshakes."""
    usual = first(simulate(mesh, fidelity="modelled"))
    mesh["mesh"]["tls"]["key"] = key_type
    other = first(simulate(mesh, fidelity="modelled"))
    assert other.key_type == key_type
    assert other.bytes_received != usual.bytes_received
    assert other.cpu_server_ns != usual.cpu_server_ns
