"""Certificates of other trust domains that are revoked: who hears of it there, and in which ways."""

from __future__ import annotations

from typing import Any

import pytest

from meshsim.control.resources import denied_size_bytes, sent_size_bytes
from meshsim.network.tcp import HEADER_BYTES
from tests.world.test_federation import Data, mesh, outcomes, partner

__all__ = ["mesh"]
MS, S = 1_000_000, 1_000_000_000
WAYS = {
    "deny list": {"deny_list": True},
    "crl": {"crl": {"every": "2 s", "fetch": "2 s", "valid": "30 s"}},
    "ocsp": {"ocsp": {"fetch": "2 s", "valid": "4 s"}},
}


@pytest.fixture
def revoked(mesh: Data) -> Data:
    """One of the broker's replicas, in partner.example, is revoked at 20 s of 40 s; sessions are not resumed."""
    mesh["duration"] = "40 s"
    mesh["faults"] = [{"kind": "revoke", "target": "broker/0", "at": "20 s"}]
    return mesh


@pytest.mark.parametrize("fidelity", ["modelled", "real"])
@pytest.mark.parametrize("way", WAYS)
def test_peers_of_another_trust_domain_obey(simulate: Any, revoked: Data, way: str, fidelity: str) -> None:
    """Clients of plant.example refuse a revoked server of partner.example once word of it is there."""
    revoked["mesh"]["identity"]["revocation"] = WAYS[way]
    result = simulate(revoked, fidelity=fidelity)
    (row,) = result.revocations
    assert (row.certificates, row.peers, row.obeyed) == (1, 2, 2)
    delay_ns = row.t_obeyed_ns - 20 * S
    if way == "deny list":
        # From the partner's node to that of the plant, a debounce of 100 ms, and to the clients, which are there. Word
        # to the plant takes its bytes at 1 Gbit/s.
        word_bytes = sent_size_bytes(denied_size_bytes(frozenset({1}), "ecdsa-p256")) + HEADER_BYTES
        assert delay_ns == 110 * MS + word_bytes * 8
    else:
        assert 0 < delay_ns < 6 * S
    reasons = {each.reason for each in result.handshakes if each.outcome == "refused"}
    assert reasons == {"revoked by OCSP staple" if way == "ocsp" else "revoked"}
    assert {"ok", "tls-refused"} == set(outcomes(result, 27, 40))


def test_who_does_not_trust_is_not_told(simulate: Any, revoked: Data) -> None:
    """A deny list goes to the trust domains that believe the issuer, and to no others."""
    revoked["mesh"]["federation"]["domains"]["third.example"] = {"node": "partner", "fleets": ["other"]}
    revoked["fleets"]["other"] = {"node": "core"}
    revoked["traffic"].append({"from": "other", "to": "broker", "slice": "web", "arrivals": {"constant": "1 /s"}})
    revoked["mesh"]["identity"]["revocation"] = WAYS["deny list"]
    result = simulate(revoked, fidelity="modelled")
    told = {row.proxy.split("/")[0] for row in result.configs if row.reason.startswith("deny list")}
    assert told == {"client", "broker"}


def test_a_client_of_another_trust_domain(simulate: Any, revoked: Data) -> None:
    """A client that is revoked in its own trust domain is refused by servers of another."""
    revoked["faults"] = [{"kind": "revoke", "target": "client/0", "at": "20 s"}]
    revoked["mesh"]["identity"]["revocation"] = WAYS["deny list"]
    result = simulate(revoked)
    (row,) = result.revocations
    assert (row.peers, row.obeyed) == (2, 2)
    late = [each for each in result.requests if each.t_intended_ns > 20.2 * S]
    assert {(each.client, each.outcome) for each in late} == {("client/0", "tls-refused"), ("client/1", "ok")}


def test_lists_grow_old_where_their_issuer_is_down(simulate: Any, revoked: Data) -> None:
    """While the partner's issuer is down its lists are not renewed, and who goes by them refuses its peers."""
    revoked["faults"] = [{"kind": "ca-outage", "target": "partner.example", "at": "10 s", "for": "20 s"}]
    partner(revoked)["identity"] = {"issuer": {}, "svid_ttl": "30 s"}
    lists = {"every": "2 s", "fetch": "2 s", "valid": "5 s"}
    revoked["mesh"]["identity"]["revocation"] = {"crl": lists}
    result = simulate(revoked)
    assert set(outcomes(result, 0, 13)) == {"ok"}
    assert set(outcomes(result, 18, 30)) == {"tls-refused"}
    assert {row.reason for row in result.handshakes if 18 * S < row.t_start_ns < 29 * S} == {"revocation list expired"}
    assert set(outcomes(result, 35, 40)) == {"ok"}


def test_a_deny_list_gets_through_later(simulate: Any, revoked: Data) -> None:
    """Word that cannot reach the other control plane is tried again, until the link is there again."""
    revoked["mesh"]["identity"]["revocation"] = WAYS["deny list"]
    revoked["faults"].append({"kind": "link-down", "target": "core--partner", "at": "19 s", "for": "6 s"})
    revoked["network"]["reroute_after"] = "100 ms"
    result = simulate(revoked, fidelity="modelled")
    (row,) = result.revocations
    assert 25 * S < row.t_obeyed_ns < 27 * S
