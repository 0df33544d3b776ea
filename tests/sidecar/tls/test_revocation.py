"""Revocation lists and OCSP staples: checked by OpenSSL in the node's time, and predicted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshsim.identity.bundle import by_trust_domain
from meshsim.identity.revocation import Crl, staple_for
from meshsim.identity.svid import KEY_TYPES
from meshsim.sidecar.tls import outcome
from meshsim.sidecar.tls.outcome import Refused

SECOND = 10**9
HOUR = 3600 * SECOND
ENDS = ("client", "server")


def peer(mesh: Any, by: str, authority: Any = None, key_type: str = "ecdsa-p256") -> Any:
    """Issue the certificate of the end opposite ``by``."""
    base = mesh.case()
    spiffe_id = (base.server if by == "client" else base.client).svid.spiffe_id
    return mesh.svid(spiffe_id, authority, key_type=key_type)


def crl(mesh: Any, authority: Any, *serials: int, begin_ns: int = 0, end_ns: int = 0) -> Crl:
    """Return a list that is current in the mesh's cases."""
    start = mesh.root.not_before_ns
    return Crl(authority.id, 7, begin_ns or start, end_ns or start + HOUR, frozenset(serials))


def checking(mesh: Any, by: str, svid: Any, *crls: Crl, **changes: Any) -> Any:
    """Return a case in which ``by``, who trusts every root, has these lists and sees this certificate."""
    shown = {"server": "client__svid", "client": "server__svid"}[by]
    case = mesh.case(**{shown: svid, f"{by}__bundles": mesh.every_root}, **changes)
    return msgspec.structs.replace(case, **{by: msgspec.structs.replace(getattr(case, by), crls=frozenset(crls))})


def refused(mesh: Any, case: Any, by: str, reason: str, alert: str) -> None:
    assert mesh.proven(case).refused == Refused(alert=alert, by=by, reason=reason, sent=True)


@pytest.mark.parametrize("by", ENDS)
@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_listed_and_not(mesh: Any, by: str, key_type: str) -> None:
    """A certificate on its authority's list is refused, another one not; authorities of every key type have lists."""
    root = mesh.roots[key_type]
    svid = peer(mesh, by, root)
    accepted = mesh.proven(checking(mesh, by, svid, crl(mesh, root, svid.serial + 1)))
    assert accepted.established
    refused(mesh, checking(mesh, by, svid, crl(mesh, root, svid.serial)), by, outcome.REVOKED, "certificate_revoked")
    plain = mesh.proven(checking(mesh, by, svid))
    with_list = dict(accepted.client_operations if by == "client" else accepted.server_operations)
    without = dict(plain.client_operations if by == "client" else plain.server_operations)
    assert with_list[f"{key_type}.verify"] == without[f"{key_type}.verify"] + 1


@pytest.mark.parametrize("by", ENDS)
def test_one_list_asks_for_all(mesh: Any, by: str) -> None:
    """With a list of any authority in the path there has to be one of each, whatever they say."""
    site = mesh.sites["ecdsa-p256"]
    svid = peer(mesh, by, site)
    of_root, of_site = crl(mesh, mesh.root), crl(mesh, site)
    for lists in ((of_root,), (of_site,), (crl(mesh, site, svid.serial),)):
        refused(mesh, checking(mesh, by, svid, *lists), by, outcome.NO_CRL, "unknown_ca")
    assert mesh.proven(checking(mesh, by, svid, of_root, of_site)).established


@pytest.mark.parametrize("by", ENDS)
def test_lists_of_others_do_not_matter(mesh: Any, by: str) -> None:
    """A list of an authority that is not in the path changes nothing."""
    svid = peer(mesh, by)
    elsewhere = crl(mesh, mesh.partner, svid.serial)
    assert mesh.proven(checking(mesh, by, svid, elsewhere)).established
    expired = {f"{by}_clock_ns": svid.not_after_ns + 1}
    late = checking(mesh, by, svid, elsewhere, **expired)
    refused(mesh, late, by, outcome.EXPIRED, "certificate_expired")


@pytest.mark.parametrize("by", ENDS)
def test_listed_intermediate(mesh: Any, by: str) -> None:
    """An intermediate on the root's list takes all that it issued with it; a root on its own list is still trusted."""
    site = mesh.sites["ecdsa-p384"]
    svid, root = peer(mesh, by, site), mesh.roots["ecdsa-p384"]
    listed = checking(mesh, by, svid, crl(mesh, root, site.serial), crl(mesh, site))
    refused(mesh, listed, by, outcome.REVOKED, "certificate_revoked")
    assert mesh.proven(checking(mesh, by, svid, crl(mesh, root, root.serial), crl(mesh, site))).established


@pytest.mark.parametrize("by", ENDS)
def test_lists_are_dated_by_the_verifiers_clock(mesh: Any, by: str) -> None:
    """A list counts from its first second to its last by the verifier's own clock, and not outside of that."""
    svid, now = peer(mesh, by), mesh.case().client_clock_ns
    begin, end = now, now + 600 * SECOND
    current = crl(mesh, mesh.root, begin_ns=begin, end_ns=end)
    for clock_ns in (begin, end):
        assert mesh.proven(checking(mesh, by, svid, current, **{f"{by}_clock_ns": clock_ns})).established
    late = checking(mesh, by, svid, current, **{f"{by}_clock_ns": end + 1})
    refused(mesh, late, by, outcome.CRL_EXPIRED, "certificate_expired")
    early = checking(mesh, by, svid, current, **{f"{by}_clock_ns": begin - 1})
    refused(mesh, early, by, outcome.CRL_NOT_YET_VALID, "bad_certificate")
    listed = crl(mesh, mesh.root, svid.serial, begin_ns=begin, end_ns=end)
    stale = checking(mesh, by, svid, listed, **{f"{by}_clock_ns": end + 1})
    refused(mesh, stale, by, outcome.CRL_EXPIRED, "certificate_expired")


def test_verifiers_with_different_lists_side_by_side(mesh: Any) -> None:
    """Two verifiers with the same settings, one with an older list, each go by their own."""
    svid = peer(mesh, "server")
    old, new = crl(mesh, mesh.root), crl(mesh, mesh.root, svid.serial)
    for _ in range(2):
        assert mesh.proven(checking(mesh, "server", svid, old)).established
        refused(mesh, checking(mesh, "server", svid, new), "server", outcome.REVOKED, "certificate_revoked")


def test_resumption_ignores_lists(mesh: Any) -> None:
    """OpenSSL resumes the session of a client that has been put on a list meanwhile; new handshakes are refused."""
    svid = peer(mesh, "server")
    ticket = mesh.play(mesh.case(), real=True).ticket
    case = checking(mesh, "server", svid, crl(mesh, mesh.root, svid.serial))
    assert mesh.proven(msgspec.structs.replace(case, ticket=ticket)).client_established.resumed
    refused(mesh, case, "server", outcome.REVOKED, "certificate_revoked")


# OCSP


def stapling(mesh: Any, status: Any = "good", policy: str = "lenient", of: Any = None, **changes: Any) -> Any:
    """Return a case in which the client asks for a staple, and the server has one that is good for an hour."""
    svid = changes.pop("svid", None) or peer(mesh, "client")
    start = mesh.root.not_before_ns
    staple = None if status is None else staple_for(of or svid, status, start, start + HOUR)
    case = mesh.case(server__svid=svid, client__bundles=mesh.every_root, client__ocsp=policy, **changes)
    return msgspec.structs.replace(case, server=msgspec.structs.replace(case.server, ocsp_staple=staple))


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize("chained", [False, True])
def test_staples_of_every_key_type(mesh: Any, key_type: str, chained: bool) -> None:
    """A good staple, signed by an authority of any key type, is checked and costs its bytes and a verification."""
    svid = peer(mesh, "client", (mesh.sites if chained else mesh.roots)[key_type])
    stapled = mesh.proven(stapling(mesh, "good", "required", svid=svid))
    without = mesh.proven(stapling(mesh, None, "lenient", svid=svid))
    assert stapled.established
    assert without.established
    assert stapled.flights[1][1].size_bytes - without.flights[1][1].size_bytes > 200
    one, other = (
        sum(count for name, count in done.client_operations if name == f"{key_type}.verify")
        for done in (stapled, without)
    )
    assert one == other + 1


@pytest.mark.parametrize(
    ("status", "policy", "reason"),
    [
        ("revoked", "lenient", outcome.STAPLE_REVOKED),
        ("unknown", "lenient", outcome.STAPLE_UNKNOWN),
        (None, "required", outcome.NO_STAPLE),
    ],
)
def test_bad_staples(mesh: Any, status: str | None, policy: str, reason: str) -> None:
    """A staple that says anything but good is refused, and a missing one where it is required."""
    refused(mesh, stapling(mesh, status, policy), "client", reason, "bad_certificate_status_response")


def test_staple_of_another(mesh: Any) -> None:
    """A staple about another certificate, or by another authority, is as good as none: OpenSSL does not send it."""
    mine, alert = peer(mesh, "client"), "bad_certificate_status_response"
    other = mesh.svid("spiffe://plant.example/ns/default/sa/storage")
    rogue = mesh.svid(mine.spiffe_id, mesh.roots["ed25519"])
    for of in (other, msgspec.structs.replace(rogue, serial=mine.serial)):
        assert mesh.proven(stapling(mesh, "revoked", of=of)).established
        refused(mesh, stapling(mesh, "good", "required", of=of), "client", outcome.NO_STAPLE, alert)


def test_staples_are_dated_by_the_clients_clock(mesh: Any) -> None:
    """A staple counts from its first second to its last by the client's own clock."""
    start, end, alert = mesh.root.not_before_ns, mesh.root.not_before_ns + HOUR, "bad_certificate_status_response"
    svid = mesh.svid(mesh.case().server.svid.spiffe_id, start=start - HOUR, ttl=5 * HOUR)
    young = mesh.sites["ecdsa-p256"]
    assert young.not_before_ns == start
    for clock_ns in (start, end):
        assert mesh.proven(stapling(mesh, svid=svid, client_clock_ns=clock_ns)).established
    late = stapling(mesh, svid=svid, client_clock_ns=end + 1)
    refused(mesh, late, "client", outcome.STAPLE_EXPIRED, alert)
    later = staple_for(svid, "good", start + 900 * SECOND, end)
    case = stapling(mesh, svid=svid)
    case = msgspec.structs.replace(case, server=msgspec.structs.replace(case.server, ocsp_staple=later))
    refused(mesh, case, "client", outcome.STAPLE_NOT_YET_VALID, alert)


def test_nobody_asks_for_a_staple(mesh: Any) -> None:
    """A server keeps its staple, even a bad one, from clients that do not ask."""
    prediction = mesh.proven(stapling(mesh, "revoked", "off"))
    assert prediction.established
    assert prediction.flights[1][1].staple is None


def test_certificate_comes_before_the_staple(mesh: Any) -> None:
    """A certificate that is refused is what the alert names, whatever its staple says."""
    case = stapling(mesh, "revoked", "required", expected_peers=frozenset())
    refused(mesh, case, "client", outcome.UNEXPECTED_SPIFFE_ID, "bad_certificate")


def test_resumption_brings_no_staple(mesh: Any) -> None:
    """A session is resumed without a staple though one is required: no certificate is sent that it could be of."""
    case = stapling(mesh, "good", "required")
    ticket = mesh.play(case, real=True).ticket
    changed = msgspec.structs.replace(case.server, ocsp_staple=None)
    prediction = mesh.proven(msgspec.structs.replace(case, ticket=ticket, server=changed))
    assert prediction.client_established.resumed


def test_staples_and_lists_together(mesh: Any) -> None:
    """A client with lists, a chain and a staple checks them all."""
    site = mesh.sites["ed25519"]
    svid = peer(mesh, "client", site, "rsa-2048")
    case = stapling(mesh, "good", "required", svid=svid)
    lists = frozenset({crl(mesh, site), crl(mesh, mesh.roots["ed25519"])})
    bundles = by_trust_domain([mesh.every_root["plant.example"]])
    client = msgspec.structs.replace(case.client, crls=lists, bundles=bundles)
    assert mesh.proven(msgspec.structs.replace(case, client=client)).established
