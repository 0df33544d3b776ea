"""Mixed crypto policies: who can talk to whom, at fidelity real, and why the others cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshsim.scenario.loader import load_text
from meshsim.scenario.tls import SCHEMES

Data = dict[str, Any]
GROUPS = ("X25519MLKEM768", "X25519", "P-256", "P-384")


@pytest.fixture
def mesh() -> Data:
    """A client calls a service a few times, each on a connection of its own."""
    return {
        "scenario": "crypto",
        "duration": "3 s",
        "fidelity": "real",
        "network": {
            "nodes": {"a": {"kind": "edge"}, "b": {"kind": "core"}},
            "links": [{"between": ["a", "b"], "latency": "5 ms"}],
            "slices": {"web": {"sst": 1, "five_qi": 9}},
        },
        "services": {"api": {"replicas": {"b": 1}, "work": {"constant": "1 ms"}, "tls": {}}},
        "fleets": {"client": {"node": "a", "tls": {}}},
        "mesh": {"pool": {"idle_timeout": "50 ms"}, "resilience": {"retries": 0}, "tls": {"resumption": False}},
        "traffic": [{"from": "client", "to": "api", "slice": "web", "arrivals": {"constant": "1 /s"}}],
    }


def ended(result: Any) -> tuple[set[str], set[tuple[str, str, str]]]:
    """Outcomes of requests; and of handshakes who refused, with which alert and why."""
    refused = {(row.refused_by, row.alert, row.reason) for row in result.handshakes if row.outcome != "established"}
    return {row.outcome for row in result.requests}, refused


def notes(mesh: Data, tmp_path: Path) -> list[str]:
    """What `meshsim check` notes about it."""
    return [str(note) for note in load_text(json.dumps(mesh), tmp_path / "scenario.yaml", []).notes]


@pytest.mark.parametrize("server", GROUPS)
@pytest.mark.parametrize("client", GROUPS)
def test_one_group_against_another(simulate: Any, mesh: Data, tmp_path: Path, client: str, server: str) -> None:
    """Ends that have one group each talk if it is the same; else the server refuses, and check has noted it."""
    mesh["fleets"]["client"]["tls"]["groups"] = [client]
    mesh["services"]["api"]["tls"]["groups"] = [server]
    result = simulate(mesh, fidelity="real")
    told = [note for note in notes(mesh, tmp_path) if "no key exchange group in common" in note]
    if client == server:
        assert ended(result) == ({"ok"}, set())
        assert {row.group for row in result.handshakes} == {client}
        assert not told
    else:
        assert ended(result) == ({"tls-refused"}, {("server", "handshake_failure", "no common group")})
        assert len(told) == 1


@pytest.mark.parametrize("server", GROUPS)
@pytest.mark.parametrize("client", GROUPS)
def test_a_group_that_was_not_guessed(simulate: Any, mesh: Data, client: str, server: str) -> None:
    """A client that offers all groups and guesses wrong is asked again, and one round trip more is needed."""
    mesh["fleets"]["client"]["tls"]["groups"] = [client, *(group for group in GROUPS if group != client)]
    mesh["services"]["api"]["tls"]["groups"] = [server]
    result = simulate(mesh, fidelity="real")
    assert ended(result) == ({"ok"}, set())
    assert {(row.group, row.round_trips) for row in result.handshakes} == {(server, 1 if client == server else 2)}


@pytest.mark.parametrize("server", SCHEMES)
@pytest.mark.parametrize("client", SCHEMES)
def test_keys_of_every_type_meet(simulate: Any, mesh: Data, client: str, server: str) -> None:
    """Each type of key is accepted by an end that has a key of any other."""
    mesh["duration"] = "1 s"
    mesh["fleets"]["client"]["tls"]["key"] = client
    mesh["services"]["api"]["tls"]["key"] = server
    assert ended(simulate(mesh, fidelity="real")) == ({"ok"}, set())


@pytest.mark.parametrize(
    ("client", "server", "says", "noted"),
    [
        (
            {"signature_schemes": ["ecdsa_secp256r1_sha256"]},
            {"key": "ml-dsa-44"},
            ("server", "handshake_failure", "no common signature scheme"),
            "no signature scheme for a key of the type ml-dsa-44 in common",
        ),
        (
            {"key": "ed25519"},
            {"signature_schemes": ["ecdsa_secp256r1_sha256"]},
            ("server", "certificate_required", "no client certificate"),
            "no signature scheme for a key of the type ed25519 in common",
        ),
        (
            {"ciphers": ["TLS_AES_128_GCM_SHA256"]},
            {"ciphers": ["TLS_CHACHA20_POLY1305_SHA256"]},
            ("server", "handshake_failure", "no common cipher"),
            "no cipher suite in common",
        ),
    ],
)
def test_other_things_that_nobody_has_in_common(
    simulate: Any, mesh: Data, tmp_path: Path, client: Data, server: Data, says: tuple[str, ...], noted: str
) -> None:
    """Without a common signature scheme or cipher suite every handshake fails, and check has noted it."""
    mesh["fleets"]["client"]["tls"] = client
    mesh["services"]["api"]["tls"] = server
    assert ended(simulate(mesh, fidelity="real")) == ({"tls-refused"}, {says})
    assert [noted in note for note in notes(mesh, tmp_path)] == [True]


def test_a_port_has_groups_of_its_own(simulate: Any, mesh: Data) -> None:
    """One port takes X25519MLKEM768 alone and the other X25519: a client with X25519 gets through to that one only."""
    mesh["fleets"]["client"]["tls"]["groups"] = ["X25519"]
    mesh["services"]["api"]["ports"] = {
        "8080": {"protocol": "http", "tls": {"groups": ["X25519MLKEM768"]}},
        "8081": {"protocol": "http", "tls": {"groups": ["X25519"]}},
    }
    mesh["traffic"] = [
        {**mesh["traffic"][0], "name": f"to-{port}", "port": port, "arrivals": {"constant": "2 /s"}}
        for port in (8080, 8081)
    ]
    result = simulate(mesh, fidelity="real")
    assert {(row.source, row.outcome) for row in result.requests} == {("to-8080", "tls-refused"), ("to-8081", "ok")}


@pytest.fixture
def domains(mesh: Data) -> Data:
    """The service is in a trust domain of its own, which believes that of the client, and the other way round."""
    mesh["mesh"] |= {
        "trust_domain": "plant.example",
        "federation": {
            "trusts": ["partner.example"],
            "domains": {"partner.example": {"node": "b", "services": ["api"], "trusts": ["plant.example"], "tls": {}}},
        },
    }
    return mesh


@pytest.mark.parametrize("key", SCHEMES)
def test_a_trust_domain_has_keys_of_its_own(simulate: Any, domains: Data, key: str) -> None:
    """Workloads and authority of one trust domain have keys of one type, those of the other of another."""
    partner = domains["mesh"]["federation"]["domains"]["partner.example"]
    partner |= {"tls": {"key": key}, "identity": {"ca_key": key}}
    result = simulate(domains, fidelity="real")
    assert ended(result) == ({"ok"}, set())
    assert {row.key_type for row in result.handshakes} == {key}


def test_a_trust_domain_has_groups_of_its_own(simulate: Any, domains: Data, tmp_path: Path) -> None:
    """Settings of a trust domain lie between the mesh's and the service's, for its workloads alone."""
    domains["mesh"]["tls"]["groups"] = ["X25519"]
    partner = domains["mesh"]["federation"]["domains"]["partner.example"]
    partner["tls"] = {"groups": ["X25519MLKEM768"]}
    assert ended(simulate(domains, fidelity="real"))[0] == {"tls-refused"}
    (note,) = notes(domains, tmp_path)
    assert "(X25519 against X25519MLKEM768)" in note
    domains["services"]["api"]["tls"] = {"groups": ["X25519"]}
    assert ended(simulate(domains, fidelity="real"))[0] == {"ok"}
