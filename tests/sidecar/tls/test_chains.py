"""Chains with intermediates, and certificates of every key type: how they are shown, checked and refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshsim.identity.authority import Authority
from meshsim.identity.bundle import TrustBundle, by_trust_domain
from meshsim.identity.svid import KEY_TYPES
from meshsim.sidecar.tls import outcome
from meshsim.sidecar.tls.operations import OPERATIONS
from meshsim.sidecar.tls.outcome import Refused

SECOND = 10**9
HOUR = 3600 * SECOND
INITIAL_WINDOW_BYTES = 14_480
ENDS = ("client", "server")


def case_of(mesh: Any, authorities: Any, key_type: str, **changes: Any) -> Any:
    """Return a case in which both ends have certificates of one authority, whose root both trust."""
    base = mesh.case()
    made = {
        f"{end}__svid": mesh.svid(getattr(base, end).svid.spiffe_id, authorities, key_type=key_type) for end in ENDS
    }
    return mesh.case(client__bundles=mesh.every_root, server__bundles=mesh.every_root, **(made | changes))


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize("mutual", [False, True])
def test_every_key_type(mesh: Any, key_type: str, chained: bool, mutual: bool) -> None:
    """Certificates of each key type, with an intermediate or not, are shown, checked and resumed for real."""
    authority = (mesh.sites if chained else mesh.roots)[key_type]
    case = case_of(mesh, authority, key_type, server__mutual=mutual)
    full = mesh.proven(case)
    assert full.established
    assert full.client_established.key_type == full.server_established.key_type == key_type
    done = dict(full.client_operations)
    assert done[f"{key_type}.verify"] == (3 if chained else 2)
    assert (f"{key_type}.sign" in done) == mutual
    assert set(done) <= set(OPERATIONS)
    resumed = mesh.proven(msgspec.structs.replace(case, ticket=full.ticket))
    assert resumed.client_established.resumed
    assert f"{key_type}.verify" not in dict(resumed.client_operations)


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_key_types_meet(mesh: Any, key_type: str) -> None:
    """Ends with keys of different types, from authorities of yet others, get along."""
    other = list(KEY_TYPES)[(list(KEY_TYPES).index(key_type) + 3) % len(KEY_TYPES)]
    base = mesh.case()
    client = mesh.svid(base.client.svid.spiffe_id, mesh.sites[other], key_type=key_type)
    prediction = mesh.proven(case_of(mesh, mesh.roots[key_type], other, client__svid=client))
    assert prediction.client_established.key_type == other


def test_ml_dsa_chains_pass_the_initial_window(mesh: Any) -> None:
    """With an intermediate the server's ML-DSA-65 flight is longer than TCP sends at first."""
    sizes = [
        mesh.proven(case_of(mesh, authorities["ml-dsa-65"], "ml-dsa-65")).flights[1][1].size_bytes
        for authorities in (mesh.roots, mesh.sites)
    ]
    assert sizes[0] < INITIAL_WINDOW_BYTES < sizes[1]


def refused(mesh: Any, case: Any, by: str, reason: str, alert: str) -> None:
    prediction = mesh.proven(case)
    assert prediction.refused == Refused(alert=alert, by=by, reason=reason, sent=True)


def showing(mesh: Any, by: str, svid: Any, **changes: Any) -> Any:
    """Return a case in which the end opposite ``by`` shows ``svid`` to one who trusts every root."""
    shown = {"server": "client__svid", "client": "server__svid"}[by]
    return mesh.case(**{shown: svid, f"{by}__bundles": mesh.every_root}, **changes)


def peer_id(mesh: Any, by: str) -> Any:
    base = mesh.case()
    return (base.server if by == "client" else base.client).svid.spiffe_id


@pytest.mark.parametrize("by", ENDS)
def test_intermediate_left_out(mesh: Any, by: str) -> None:
    """A holder that does not send its intermediate is refused: the verifier knows roots only."""
    svid = mesh.svid(peer_id(mesh, by), mesh.sites["ecdsa-p256"])
    assert mesh.proven(showing(mesh, by, svid)).established
    bare = msgspec.structs.replace(svid, bare=True)
    refused(mesh, showing(mesh, by, bare), by, outcome.UNKNOWN_AUTHORITY, "unknown_ca")


@pytest.mark.parametrize("by", ENDS)
def test_intermediate_expires_at_the_verifiers_clock(mesh: Any, by: str) -> None:
    """An intermediate is valid up to its last second by the verifier's own clock, and refused after it."""
    site = mesh.sites["ed25519"]
    svid = mesh.svid(peer_id(mesh, by), site, ttl=9 * HOUR)
    assert svid.not_after_ns == site.not_after_ns
    end_ns = site.not_after_ns
    assert mesh.proven(showing(mesh, by, svid, **{f"{by}_clock_ns": end_ns})).established
    late = showing(mesh, by, svid, **{f"{by}_clock_ns": end_ns + 1})
    refused(mesh, late, by, outcome.INTERMEDIATE_EXPIRED, "certificate_expired")


@pytest.mark.parametrize("by", ENDS)
def test_intermediate_not_yet_valid(mesh: Any, by: str) -> None:
    """A verifier whose clock is behind refuses an intermediate that was only just made."""
    start = mesh.root.not_before_ns
    young = mesh.add(
        Authority("plant.example", "young", 7, "ecdsa-p256", start + 900 * SECOND, start + HOUR, mesh.root)
    )
    svid = mesh.svid(peer_id(mesh, by), young)
    refused(mesh, showing(mesh, by, svid), by, outcome.INTERMEDIATE_NOT_YET_VALID, "bad_certificate")
    in_time = {f"{by}_clock_ns": start + 900 * SECOND}
    assert mesh.proven(showing(mesh, by, svid, **in_time)).established


@pytest.mark.parametrize("by", ENDS)
def test_root_not_yet_valid(mesh: Any, by: str) -> None:
    """A root that is trusted but not valid yet by the verifier's clock vouches for nobody."""
    start = mesh.root.not_before_ns + 900 * SECOND
    young = mesh.add(Authority("plant.example", "young-root", 7, "ecdsa-p256", start, start + HOUR))
    svid = mesh.svid(peer_id(mesh, by), young)
    trust = by_trust_domain([TrustBundle("plant.example", frozenset({young.id}))])
    case = showing(mesh, by, svid, **{f"{by}_clock_ns": start - 1})
    side = msgspec.structs.replace(getattr(case, by), bundles=trust)
    refused(mesh, msgspec.structs.replace(case, **{by: side}), by, outcome.NOT_YET_VALID, "bad_certificate")


@pytest.mark.parametrize("by", ENDS)
def test_revoked_intermediate(mesh: Any, by: str) -> None:
    """Who refuses an intermediate's serial number refuses all that it issued."""
    site = mesh.sites["ecdsa-p384"]
    svid = mesh.svid(peer_id(mesh, by), site)
    bundle = msgspec.structs.replace(mesh.every_root["plant.example"], revoked_serials=frozenset({site.serial}))
    case = showing(mesh, by, svid)
    side = msgspec.structs.replace(getattr(case, by), bundles=by_trust_domain([bundle]))
    refused(mesh, msgspec.structs.replace(case, **{by: side}), by, outcome.REVOKED, "certificate_revoked")


@pytest.mark.parametrize("by", ENDS)
@pytest.mark.parametrize("path_length", [0, 1, None])
def test_path_length(mesh: Any, by: str, path_length: int | None) -> None:
    """Two intermediates stand below a root that allows as many, and not below one that allows fewer."""
    start, end = mesh.root.not_before_ns, mesh.root.not_after_ns
    names = [f"{level}-{path_length}" for level in ("top", "middle", "low")]
    top = Authority("plant.example", names[0], 7, "ecdsa-p256", start, end)
    middle = Authority("plant.example", names[1], 7, "ecdsa-p256", start, end, top, path_length=path_length)
    low = Authority("plant.example", names[2], 7, "ecdsa-p256", start, end, middle)
    top, middle, low = (mesh.add(each) for each in (top, middle, low))
    svid = mesh.svid(peer_id(mesh, by), low)
    trust = by_trust_domain([TrustBundle("plant.example", frozenset({top.id}))])
    case = showing(mesh, by, svid)
    case = msgspec.structs.replace(case, **{by: msgspec.structs.replace(getattr(case, by), bundles=trust)})
    if path_length == 0:
        refused(mesh, case, by, outcome.INVALID_CHAIN, "unknown_ca")
    else:
        assert mesh.proven(case).established


@pytest.mark.parametrize("by", ENDS)
@pytest.mark.parametrize(
    "permitted", [("plant.example",), ("elsewhere.example", "plant.example"), ("elsewhere.example",)]
)
def test_name_constraints(mesh: Any, by: str, permitted: tuple[str, ...]) -> None:
    """An intermediate that may sign for other trust domains only is found out by OpenSSL."""
    start, end = mesh.root.not_before_ns, mesh.root.not_after_ns
    name = f"constrained-{len(permitted)}-{permitted[0]}"
    site = mesh.add(Authority("plant.example", name, 7, "ecdsa-p256", start, end, mesh.root, permitted=permitted))
    case = showing(mesh, by, mesh.svid(peer_id(mesh, by), site))
    if "plant.example" in permitted:
        assert mesh.proven(case).established
    else:
        refused(mesh, case, by, outcome.NAME_NOT_PERMITTED, "certificate_unknown")


@pytest.mark.parametrize("by", ENDS)
def test_federated_intermediate_cannot_vouch_for_ours(mesh: Any, by: str) -> None:
    """Bundles are never pooled: an intermediate of a federated domain is refused when it signs a name of this one."""
    start, end = mesh.root.not_before_ns, mesh.root.not_after_ns
    site = mesh.add(Authority("partner.example", "site", 7, "ecdsa-p256", start, end, mesh.partner))
    case = showing(mesh, by, mesh.svid(peer_id(mesh, by), site))
    case = msgspec.structs.replace(case, **{by: msgspec.structs.replace(getattr(case, by), bundles=mesh.federated)})
    refused(mesh, case, by, outcome.UNKNOWN_AUTHORITY, "unknown_ca")


def test_listener_with_another_intermediate_keeps_its_tickets(mesh: Any) -> None:
    """A listener whose intermediate was replaced still opens the tickets that it sealed before."""
    case = case_of(mesh, mesh.sites["ecdsa-p256"], "ecdsa-p256")
    ticket = mesh.play(case, real=True).ticket
    svid = mesh.svid(case.server.svid.spiffe_id, mesh.sites["ed25519"])
    prediction = mesh.proven(case_of(mesh, mesh.sites["ecdsa-p256"], "ecdsa-p256", server__svid=svid, ticket=ticket))
    assert prediction.client_established.resumed
