"""Sessions that are bound to certificates: resumed only while both would be accepted anew, by the model and OpenSSL."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.identity.bundle import by_trust_domain
from meshsim.identity.revocation import Crl, staple_for
from meshsim.sidecar.tls import outcome
from meshsim.sidecar.tls.outcome import Refused

SECOND = 10**9
HOUR = 3600 * SECOND
replace = msgspec.structs.replace


def bound(mesh: Any, **changes: Any) -> Any:
    """Return a case in which both ends bind sessions to certificates."""
    return mesh.case(client__bound=True, server__bound=True, **changes)


def with_ticket(mesh: Any, case: Any) -> Any:
    """Return the case once more, with the ticket that it brings."""
    ticket = mesh.play(case, real=True).ticket
    assert ticket is not None
    return replace(case, ticket=ticket)


def at(case: Any, clock_ns: int) -> Any:
    """Return the case at another time, by both clocks."""
    return replace(case, client_clock_ns=clock_ns, server_clock_ns=clock_ns)


def told(case: Any, by: str, **facts: Any) -> Any:
    """Return the case with more that an end knows."""
    return replace(case, **{by: replace(getattr(case, by), **facts)})


def test_resumed_while_all_is_well(mesh: Any) -> None:
    """A bound session is resumed, and so is one from a resumed session's ticket."""
    again = with_ticket(mesh, bound(mesh))
    assert mesh.proven(again).client_established.resumed
    assert mesh.proven(with_ticket(mesh, again)).client_established.resumed


@pytest.mark.parametrize("by", ["client", "server"])
@pytest.mark.parametrize("told_by", ["crl", "deny list"])
def test_revoked_peer_is_not_resumed(mesh: Any, by: str, told_by: str) -> None:
    """An end that has heard that its peer's certificate was revoked does not resume, and refuses what follows."""
    case = with_ticket(mesh, bound(mesh))
    peer = getattr(case, "server" if by == "client" else "client").svid
    if told_by == "crl":
        start = mesh.root.not_before_ns
        facts: Any = {"crls": frozenset({Crl(mesh.root.id, 2, start, start + HOUR, frozenset({peer.serial}))})}
    else:
        facts = {"bundles": by_trust_domain([replace(mesh.bundle, revoked_serials=frozenset({peer.serial}))])}
    found = mesh.proven(told(case, by, **facts)).refused
    assert found == Refused(alert="certificate_revoked", by=by, reason=outcome.REVOKED, sent=True)
    careless = {f"{by}__bound": False}
    unbound = with_ticket(mesh, mesh.case(**careless))
    assert mesh.proven(told(unbound, by, **facts)).client_established.resumed


@pytest.mark.parametrize("end", ["client", "server"])
def test_ticket_ends_with_the_certificates(mesh: Any, end: str) -> None:
    """The last second of either certificate is the last in which the session is resumed, whatever the ticket's life."""
    ends_ns = mesh.case().client_clock_ns + 600 * SECOND
    short = mesh.svid(getattr(mesh.case(), end).svid.spiffe_id, ttl=ends_ns - mesh.root.not_before_ns)
    case = with_ticket(mesh, bound(mesh, **{f"{end}__svid": short}))
    assert mesh.proven(at(case, ends_ns)).client_established.resumed
    late = mesh.proven(at(case, ends_ns + 1))
    by = "server" if end == "client" else "client"
    assert late.refused == Refused(alert="certificate_expired", by=by, reason=outcome.EXPIRED, sent=True)


def test_server_minds_for_itself(mesh: Any) -> None:
    """A client that does not mind offers an expired certificate's session: the server declines, and sees a new one."""
    old = mesh.svid(mesh.case().client.svid.spiffe_id, ttl=900 * SECOND)
    case = with_ticket(mesh, mesh.case(client__svid=old, server__bound=True))
    # The ticket's lifetime, which the server has bounded, is an advice that this client is made to forget.
    case = replace(case, ticket=replace(case.ticket, lifetime_ns=HOUR))
    renewed = told(case, "client", svid=mesh.svid(old.spiffe_id))
    assert mesh.proven(renewed).client_established.resumed
    late_ns = old.not_after_ns + 1
    declined = mesh.proven(at(renewed, late_ns))
    assert declined.client_established is not None
    assert not declined.client_established.resumed
    assert declined.established
    # What comes after a declined ticket is as good as any other.
    assert mesh.proven(with_ticket(mesh, at(renewed, late_ns))).client_established.resumed


def test_tickets_go_with_the_servers_certificate(mesh: Any) -> None:
    """A server that has replaced its certificate knows its former tickets no more."""
    case = with_ticket(mesh, bound(mesh))
    newer = mesh.root.issue(case.server.svid.spiffe_id, "ecdsa-p256", case.server.svid.not_before_ns, HOUR * 10**6, 1)
    assert newer.serial != case.server.svid.serial
    replaced = mesh.proven(told(case, "server", svid=newer))
    assert replaced.established
    assert not replaced.client_established.resumed


def test_session_ends_with_the_staple(mesh: Any) -> None:
    """Resumed sessions show no staple, so that a bound one lives no longer than the staple that it began with."""
    case = bound(mesh, client__ocsp="lenient")
    ends_ns = case.client_clock_ns + 60 * SECOND
    staple = staple_for(case.server.svid, "good", mesh.root.not_before_ns, ends_ns)
    case = with_ticket(mesh, told(case, "server", ocsp_staple=staple))
    again = with_ticket(mesh, case)
    for each in (case, again):
        assert mesh.proven(at(each, ends_ns)).client_established.resumed
        refused = mesh.proven(at(each, ends_ns + 1)).refused
        assert refused == Refused(
            alert="bad_certificate_status_response", by="client", reason=outcome.STAPLE_EXPIRED, sent=True
        )


def test_chains_behind_sessions(mesh: Any) -> None:
    """With a list of any authority above the certificate behind a session there has to be one of each."""
    site = mesh.sites["ecdsa-p256"]
    own = mesh.svid(mesh.case().client.svid.spiffe_id, site)
    case = with_ticket(mesh, bound(mesh, client__svid=own))
    start = mesh.root.not_before_ns
    lists = [Crl(each.id, 1, start, start + HOUR, frozenset()) for each in (mesh.root, site)]
    assert mesh.proven(told(case, "server", crls=frozenset(lists))).client_established.resumed
    missing = mesh.proven(told(case, "server", crls=frozenset(lists[:1])))
    assert missing.refused == Refused(alert="unknown_ca", by="server", reason=outcome.NO_CRL, sent=True)


def test_hello_retry(mesh: Any) -> None:
    """A ticket that is declined stays declined when the hello has to be sent again."""
    old = mesh.svid(mesh.case().client.svid.spiffe_id, ttl=900 * SECOND)
    groups = {"client__groups": ("P-256", "X25519"), "server__groups": ("X25519",)}
    case = with_ticket(mesh, mesh.case(client__svid=old, server__bound=True, **groups))
    case = told(replace(case, ticket=replace(case.ticket, lifetime_ns=HOUR)), "client", svid=mesh.svid(old.spiffe_id))
    assert mesh.proven(case).client_established.resumed
    assert not mesh.proven(at(case, old.not_after_ns + 1)).client_established.resumed


def test_stale_lists_accepted(mesh: Any) -> None:
    """Asked to, a verifier goes on by what a list said that has ended, and refuses those that it named."""
    svid, start = mesh.case().server.svid, mesh.root.not_before_ns
    for serials, refused in ((frozenset({svid.serial}), True), (frozenset[int](), False)):
        stale = Crl(mesh.root.id, 1, start, start + SECOND, serials)
        case = told(mesh.case(client__stale_crls="accept"), "client", crls=frozenset({stale}))
        found = mesh.proven(case).refused
        assert (found is not None and found.reason == outcome.REVOKED) == refused


def test_server_that_may_not_show_its_certificate(mesh: Any) -> None:
    """It refuses handshakes as one without a certificate does; as a client it shows it all the same."""
    silent = told(mesh.case(), "server", serves=False)
    assert mesh.proven(silent).refused == Refused(
        alert="protocol_version", by="server", reason=outcome.NO_SERVER_CERTIFICATE, sent=True
    )
    assert mesh.proven(told(mesh.case(), "client", serves=False)).established


@settings(max_examples=60, deadline=None)
@given(
    bound=st.tuples(st.booleans(), st.booleans()),
    knows=st.tuples(st.sampled_from(["nothing", "crl", "deny list"]), st.sampled_from(["nothing", "crl", "deny list"])),
    stale=st.sampled_from(["refuse", "accept"]),
    lives_s=st.tuples(st.integers(700, 1000), st.integers(700, 1000)),
    later_s=st.integers(0, 500),
    list_s=st.integers(0, 400),
)
def test_no_bound_end_resumes_what_it_would_refuse(
    mesh: Any,
    bound: tuple[bool, bool],
    knows: tuple[str, str],
    stale: str,
    lives_s: tuple[int, int],
    later_s: int,
    list_s: int,
) -> None:
    """OpenSSL comes to each prediction; where both ends mind, a session ends with what either end holds against it."""
    base, start = mesh.case(), mesh.root.not_before_ns
    changes: dict[str, Any] = {"client__bound": bound[0], "server__bound": bound[1]}
    changes |= {"client__stale_crls": stale, "server__stale_crls": stale}
    for end, life_s in zip(("client", "server"), lives_s, strict=True):
        changes[f"{end}__svid"] = mesh.svid(getattr(base, end).svid.spiffe_id, ttl=life_s * SECOND)
    case = with_ticket(mesh, mesh.case(**changes))
    now_ns = base.client_clock_ns + later_s * SECOND
    case = at(case, now_ns)
    wrong = any(start + life_s * SECOND < now_ns for life_s in lives_s)
    for by, how in zip(("client", "server"), knows, strict=True):
        serial = getattr(case, "server" if by == "client" else "client").svid.serial
        if how == "crl":
            end_ns = base.client_clock_ns + list_s * SECOND
            case = told(case, by, crls=frozenset({Crl(mesh.root.id, 2, start, end_ns, frozenset({serial}))}))
        elif how == "deny list":
            bundle = replace(mesh.bundle, revoked_serials=frozenset({serial}))
            case = told(case, by, bundles=by_trust_domain([bundle]))
        wrong = wrong or how != "nothing"
    found = mesh.proven(case)
    resumed = found.client_established is not None and found.client_established.resumed
    if all(bound):
        assert resumed != wrong
    if not any(bound):
        assert resumed
