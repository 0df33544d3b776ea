"""Handshakes that succeed: full, retried, resumed and not resumed; and random ones, against OpenSSL."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from meshsim.identity.bundle import by_trust_domain
from meshsim.identity.revocation import Crl, staple_for
from meshsim.identity.svid import KEY_TYPES, STANDARD, Profile
from meshsim.sidecar.tls.flights import HelloRetryRequest
from meshsim.sidecar.tls.negotiation import negotiated_version
from meshsim.sidecar.tls.operations import OPERATIONS
from meshsim.sidecar.tls.oracle import case_key
from meshsim.sidecar.tls.prediction import predict
from meshsim.sidecar.tls.settings import CIPHERS, GROUPS, SIGNATURE_SCHEMES

SECOND = 10**9
HOUR = 3600 * SECOND


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("mutual", [True, False])
@pytest.mark.parametrize("group", GROUPS)
def test_full_and_resumed(mesh: Any, group: str, mutual: bool, cipher: str) -> None:
    """Every group, cipher suite and way of authentication works in full and resumed, and its facts are told."""
    case = mesh.case(client__groups=(group,), server__groups=(group,), client__ciphers=(cipher,), server__mutual=mutual)
    full = mesh.proven(case)
    assert full.established
    client, server = full.client_established, full.server_established
    for end, peer in ((client, case.server.svid), (server, case.client.svid)):
        assert (end.resumed, end.version, end.cipher, end.group) == (False, "1.3", cipher, group)
        assert (end.key_type, end.mutual, end.resumed_after_expiry) == ("ecdsa-p256", mutual, False)
        known = end is client or mutual
        assert end.peer_spiffe_id == (peer.spiffe_id if known else "")
        assert end.peer_not_after_ns == (peer.not_after_ns if known else 0)
        assert end.peer_not_before_ns == (peer.not_before_ns if known else 0)
    assert full.round_trips == 1
    resumed = mesh.proven(msgspec.structs.replace(case, ticket=full.ticket))
    assert resumed.established
    assert resumed.client_established.resumed
    assert resumed.server_established.resumed
    assert resumed.client_established.mutual == mutual
    assert resumed.server_established.peer_spiffe_id == server.peer_spiffe_id
    assert resumed.ticket is not None


def test_hello_retry_request(mesh: Any) -> None:
    """A client whose first group the server lacks is asked again, at the price of a round trip."""
    case = mesh.case(client__groups=("X25519MLKEM768", "P-384", "P-256"), server__groups=("P-256", "P-384"))
    prediction = mesh.proven(case)
    assert isinstance(prediction.flights[1][1], HelloRetryRequest)
    assert prediction.client_established.group == "P-384"
    assert prediction.round_trips == 2
    again = mesh.proven(msgspec.structs.replace(case, ticket=mesh.play(case, real=True).ticket))
    assert again.client_established.resumed
    assert again.round_trips == 2


def real_ticket(mesh: Any, case: Any) -> Any:
    return mesh.play(case, real=True).ticket


def resuming(mesh: Any, case: Any, **changes: Any) -> Any:
    """Resume a real ticket of ``case`` under changed circumstances."""
    ticket = real_ticket(mesh, case)
    assert ticket.session is not None
    return mesh.proven(mesh.case(ticket=ticket, **changes))


def test_restarted_listener_declines_tickets(mesh: Any) -> None:
    """A listener with a new ticket key cannot open old tickets: a full handshake follows, and it succeeds."""
    prediction = resuming(mesh, mesh.case(), server__ticket_key="boot 2")
    assert prediction.flights[0][1].ticket is not None
    assert prediction.established
    assert not prediction.client_established.resumed


def test_ticket_too_old_is_not_offered(mesh: Any) -> None:
    """A ticket is offered up to the last nanosecond of its lifetime by the client's clock, and then no more."""
    now = mesh.case().client_clock_ns
    lifetime_ns = 7_200 * SECOND
    assert resuming(mesh, mesh.case(), client_clock_ns=now + lifetime_ns - 1).client_established.resumed
    svid = mesh.svid(mesh.case().server.svid.spiffe_id, ttl=9 * HOUR)
    late = resuming(mesh, mesh.case(), client_clock_ns=now + lifetime_ns, server__svid=svid)
    assert late.flights[0][1].ticket is None
    assert late.established
    assert not late.client_established.resumed


def test_resumption_outlives_certificates(mesh: Any) -> None:
    """OpenSSL resumes a session after both certificates have expired; the ground truth says so."""
    case = mesh.case()
    after = case.client.svid.not_after_ns + 1
    late = resuming(mesh, case, client_clock_ns=after, server_clock_ns=after)
    assert late.established
    assert late.client_established.resumed_after_expiry
    assert late.server_established.resumed_after_expiry
    in_time = resuming(mesh, case, client_clock_ns=after - 1, server_clock_ns=after - 1)
    assert in_time.client_established.resumed
    assert not in_time.client_established.resumed_after_expiry
    assert not in_time.server_established.resumed_after_expiry
    crossing = resuming(mesh, case, client_clock_ns=after - 1, server_clock_ns=after)
    assert crossing.server_established.resumed_after_expiry


@pytest.mark.parametrize("end", ["client", "server"])
def test_resumption_switched_off(mesh: Any, end: str) -> None:
    """Without resumption on either end no ticket is kept, although OpenSSL sends some."""
    prediction = mesh.proven(mesh.case(**{f"{end}__resumption": False}))
    assert prediction.established
    assert prediction.flights[-1][1].count == 2
    assert prediction.ticket is None


def test_ticket_is_offered_to_its_server_only(mesh: Any) -> None:
    """A ticket of one service is not offered where another is expected."""
    other = "spiffe://plant.example/ns/default/sa/storage"
    prediction = resuming(mesh, mesh.case(), expected_peers=frozenset({other}), server__svid=mesh.svid(other))
    assert prediction.flights[0][1].ticket is None


def test_failed_resumption_does_not_spoil_the_ticket(mesh: Any) -> None:
    """After a handshake that offered a ticket and failed, the same ticket still resumes."""
    ticket = real_ticket(mesh, mesh.case())
    hopeless = mesh.case(ticket=ticket, server__groups=("P-256",))
    assert mesh.proven(hopeless).refused.alert == "handshake_failure"
    assert mesh.proven(mesh.case(ticket=ticket)).client_established.resumed


def test_rotated_certificate_keeps_tickets(mesh: Any) -> None:
    """A listener that rotates its certificate but keeps its ticket key still resumes, on the old identity."""
    new = mesh.root.issue(mesh.case().server.svid.spiffe_id, "ecdsa-p256", mesh.case().server_clock_ns, 10**19, 1)
    prediction = resuming(mesh, mesh.case(), server__svid=new)
    assert prediction.client_established.resumed
    assert prediction.client_established.peer_not_after_ns == mesh.case().server.svid.not_after_ns


def test_oracle_primes_sessions(mesh: Any) -> None:
    """A modelled ticket, which has no session, is replayed by making up the handshake that it goes back to."""
    full = predict(mesh.case())
    assert full.ticket.session is None
    case = mesh.case(ticket=full.ticket)
    prediction = predict(case)
    mesh.oracle.check(case, prediction)
    assert prediction.client_established.resumed
    assert mesh.oracle.replay(case).server_established.resumed


def test_case_key_tells_cases_apart(mesh: Any) -> None:
    """Cases that differ only in clocks share a key; other settings, peers' fate or tickets make another."""
    plain, later = mesh.case(), mesh.case(client_clock_ns=mesh.case().client_clock_ns + 1)
    cases = [
        plain,
        mesh.case(client__groups=("P-256", "X25519")),
        mesh.case(expected_peers=frozenset()),
        mesh.case(ticket=predict(plain).ticket),
    ]
    assert len({case_key(case, predict(case)) for case in cases}) == len(cases)
    assert case_key(plain, predict(plain)) == case_key(later, predict(later))


def subsets(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, unique=True).map(tuple)


VERSIONS = st.sampled_from([("1.3", "1.3"), ("1.3", "1.3"), ("1.2", "1.3"), ("1.2", "1.2")])
PROFILES = st.sampled_from(
    [STANDARD, STANDARD, STANDARD, Profile(ca=True), Profile(uris=()), Profile(dns_names=("a.example",))]
)
SCHEMES = subsets(tuple(sorted(SIGNATURE_SCHEMES)))
FLAWS = st.sampled_from(["none"] * 6 + ["missing", "rogue", "partner", "posing", "revoked", "stale", "early"])


def apply_flaw(mesh: Any, end: str, flaw: str, case: Any) -> dict[str, Any]:
    """Return changes that give one end a flawed certificate."""
    side = getattr(case, end)
    verifier = "server" if end == "client" else "client"
    spiffe_id = side.svid.spiffe_id
    match flaw:
        case "missing":
            return {f"{end}__svid": None}
        case "rogue":
            return {f"{end}__svid": mesh.svid(spiffe_id, mesh.rogue)}
        case "partner":
            return {f"{end}__svid": mesh.svid("spiffe://partner.example/x", mesh.partner)}
        case "posing":
            return {f"{end}__svid": mesh.svid(spiffe_id, mesh.partner), f"{verifier}__bundles": mesh.federated}
        case "revoked":
            bundle = msgspec.structs.replace(mesh.bundle, revoked_serials=frozenset({side.svid.serial}))
            return {f"{verifier}__bundles": by_trust_domain([bundle])}
        case "stale":
            return {f"{end}__svid": mesh.svid(spiffe_id, ttl=60 * SECOND)}
        case "early":
            return {f"{end}__svid": mesh.svid(spiffe_id, start=case.client_clock_ns + HOUR)}
    return {}


def revoking(mesh: Any, data: st.DataObject, case: Any) -> Any:
    """Draw revocation lists for both ends, and an OCSP staple and what the client makes of it."""
    start, now = mesh.root.not_before_ns, case.client_clock_ns
    shown = {"client": case.server.svid, "server": case.client.svid}
    for end, svid in shown.items():
        if svid is None or data.draw(st.sampled_from([True, True, False])):
            continue
        known = [*svid.issuers, mesh.rogue.issuers[0]]
        listed = data.draw(st.sampled_from([(), (svid.serial,), tuple(issuer.serial for issuer in svid.issuers)]))
        until_ns = data.draw(st.sampled_from([start + 9 * HOUR, now - now % SECOND, start + 60 * SECOND]))
        crls = frozenset(
            Crl(issuer.authority, 1, start - HOUR, until_ns, frozenset(listed))
            for issuer in data.draw(st.lists(st.sampled_from(known), unique_by=lambda each: each.authority))
        )
        case = msgspec.structs.replace(case, **{end: msgspec.structs.replace(getattr(case, end), crls=crls)})
    policy = data.draw(st.sampled_from(["off", "off", "lenient", "required"]))
    settings = msgspec.structs.replace(case.client.settings, ocsp=policy)
    case = msgspec.structs.replace(case, client=msgspec.structs.replace(case.client, settings=settings))
    svid = case.server.svid
    if svid is None or data.draw(st.booleans()):
        return case
    times = data.draw(st.sampled_from([(start - HOUR, start + 9 * HOUR), (start, start + 700 * SECOND)]))
    staple = staple_for(svid, data.draw(st.sampled_from(["good", "good", "revoked", "unknown"])), *times)
    if data.draw(st.sampled_from([False, False, True])):
        staple = msgspec.structs.replace(staple, serial=staple.serial - 1)
    return msgspec.structs.replace(case, server=msgspec.structs.replace(case.server, ocsp_staple=staple))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_prediction_equals_openssl(mesh: Any, data: st.DataObject) -> None:
    """Whatever two ends are configured to, hold and think the time is, OpenSSL does what was predicted."""
    changes: dict[str, Any] = {}
    base = mesh.case()
    for end in ("client", "server"):
        changes[f"{end}__groups"] = data.draw(subsets(GROUPS))
        changes[f"{end}__ciphers"] = data.draw(st.one_of(st.just(CIPHERS), subsets(CIPHERS)))
        changes[f"{end}__min_version"], changes[f"{end}__max_version"] = data.draw(VERSIONS)
        if changes[f"{end}__min_version"] == "1.3":
            changes[f"{end}__signature_schemes"] = data.draw(st.one_of(st.just(()), SCHEMES))
        changes[f"{end}__mutual"] = data.draw(st.booleans())
        changes[f"{end}__resumption"] = data.draw(st.sampled_from([True, True, False]))
        changes[f"{end}_clock_ns"] = base.client_clock_ns + data.draw(st.integers(-900, 4000)) * SECOND
        flaw = data.draw(FLAWS)
        changes |= apply_flaw(mesh, end, flaw, base)
        if flaw == "none" and data.draw(st.booleans()):
            authority = data.draw(st.sampled_from([mesh.roots, mesh.sites]))[
                data.draw(st.sampled_from(list(KEY_TYPES)))
            ]
            spiffe_id, key_type = getattr(base, end).svid.spiffe_id, data.draw(st.sampled_from(list(KEY_TYPES)))
            svid = mesh.svid(spiffe_id, authority, key_type=key_type, profile=data.draw(PROFILES))
            changes[f"{end}__svid"] = msgspec.structs.replace(
                svid, bare=data.draw(st.sampled_from([False, False, True]))
            )
            changes.setdefault(f"{'server' if end == 'client' else 'client'}__bundles", mesh.every_root)
    case = revoking(mesh, data, mesh.case(**changes))
    assume(negotiated_version(case.client.settings, case.server.settings) != "1.2")
    first = mesh.proven(case)
    done = first.client_operations + first.server_operations
    assert {name for name, _ in done} <= set(OPERATIONS)
    if first.ticket is not None:
        after = data.draw(st.integers(0, 8000)) * SECOND
        restarted = data.draw(st.sampled_from(["boot 1", "boot 1", "boot 2"]))
        later: dict[str, Any] = {
            "client_clock_ns": case.client_clock_ns + after,
            "server_clock_ns": case.server_clock_ns + after,
            "server__ticket_key": restarted,
        }
        if data.draw(st.booleans()):
            later["client__ciphers"] = data.draw(subsets(CIPHERS))
            later["client__groups"] = data.draw(subsets(GROUPS))
        for ticket in (first.ticket, real_ticket(mesh, case)):
            mesh.proven(revoking(mesh, data, mesh.case(ticket=ticket, **(changes | later))))
