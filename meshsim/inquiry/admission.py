"""What TLS refuses before any policy is asked: the same prediction of handshakes that runs go by."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from meshsim.identity.authority import Authority
from meshsim.identity.bundle import TrustBundle, by_trust_domain
from meshsim.identity.spiffe import trust_domain_of
from meshsim.identity.svid import SECOND_NS
from meshsim.inquiry.ends import Door, End
from meshsim.inquiry.subject import Callee, Caller
from meshsim.sidecar.tls.outcome import WRONG_TRUST_DOMAIN, Established, Refused
from meshsim.sidecar.tls.prediction import HandshakeCase, predict
from meshsim.sidecar.tls.settings import TlsSide

STRICT, DISABLE = "STRICT", "DISABLE"
NOW_NS = 1_767_225_600 * SECOND_NS
"""When handshakes are tried, by every clock: an instant at which all certificates are valid."""
HOUR_NS = 3600 * SECOND_NS


class Admission(msgspec.Struct, frozen=True):
    """How far a caller gets at a port before a policy is asked."""

    plaintext: bool
    """Whether the caller speaks no TLS, and so proves nothing."""
    refused: str = ""
    """Why it is refused, for people; empty: policy is asked."""
    established: Established | None = None
    """What the handshake comes to; None without one."""


def admission(caller: Caller, callee: Callee, port: int, *, plaintext: bool = False) -> Admission:
    """Say how a caller gets on at a port; ``plaintext``: it is told to speak no TLS.

    A workload of the mesh speaks as its own sidecar is configured to. A stranger speaks as the port would like it, so
    that nothing but its identity can be refused; the one that proves none speaks plaintext.
    """
    door = callee.door
    if door is not None and not plaintext and caller.spiffe_id and _goes_through(caller, door):
        return _through(caller, callee, port, door)
    mode = callee.modes[port]
    if plaintext or not caller.spiffe_id or _speaks_plaintext(caller, callee, port):
        if mode != STRICT:
            return Admission(plaintext=True)
        fault = "the caller speaks plaintext" if caller.spiffe_id else "the caller proves no identity"
        return Admission(True, f"the port is STRICT: it takes mutual TLS only, and {fault}")
    if mode == DISABLE:
        return Admission(False, "the port is DISABLE: it takes plaintext only, and the caller's sidecar speaks TLS")
    server = callee.ends[port]
    client = caller.end or End(server.settings, server.key_type, frozenset({trust_domain_of(callee.spiffe_id)}))
    outcome = _handshake(client, caller.spiffe_id, server, callee.spiffe_id)
    if isinstance(outcome, Refused):
        return Admission(False, _words(outcome, caller.spiffe_id, callee.spiffe_id))
    return Admission(False, "", outcome)


def _goes_through(caller: Caller, door: Door) -> bool:
    return caller.spiffe_id not in door.past and (caller.end is None or caller.end.settings.mode != DISABLE)


def _through(caller: Caller, callee: Callee, port: int, door: Door) -> Admission:
    """How a caller gets on at a waypoint, and that at the port behind it."""
    client = caller.end or End(door.end.settings, door.end.key_type, frozenset({trust_domain_of(door.spiffe_id)}))
    outcome = _handshake(client, caller.spiffe_id, door.end, door.spiffe_id)
    if isinstance(outcome, Refused):
        return Admission(False, _words(outcome, caller.spiffe_id, door.spiffe_id, "waypoint"))
    onward = _onward(door, callee, port)
    return Admission(False, f"behind the waypoint, {onward.refused}" if onward.refused else "", outcome)


def _onward(door: Door, callee: Callee, port: int) -> Admission:
    """How the waypoint gets on at a port of a service that it serves."""
    waypoint = Caller(door.workload, door.workload, door.spiffe_id, door.namespace, in_mesh=True, end=door.end)
    return admission(waypoint, callee, port)


def nobody_behind(callee: Callee, port: int) -> str:
    """What ztunnel takes a waypoint for that is told to speak plaintext to a port, for people; else empty."""
    if callee.door is None or not _onward(callee.door, callee, port).plaintext:
        return ""
    return (
        f"the waypoint of {callee.name} speaks plaintext to port {port}, where ztunnel sees nobody's identity, not its"
    )


def _speaks_plaintext(caller: Caller, callee: Callee, port: int) -> bool:
    if caller.end is None:
        return callee.modes[port] == DISABLE
    told = callee.plaintext.get(caller.namespace, callee.plaintext[""]).get(port)
    if callee.service in caller.carried_to:
        told = None
    return caller.end.settings.mode == DISABLE if told is None else told


@lru_cache(maxsize=4096)
def _handshake(client: End, client_id: str, server: End, server_id: str) -> Established | Refused:
    """What a full handshake comes to, certificates valid and nothing revoked."""
    case = HandshakeCase(
        client=_side(client, client_id),
        server=_side(server, server_id),
        expected_peers=frozenset({server_id}),
        client_clock_ns=NOW_NS,
        server_clock_ns=NOW_NS,
    )
    prediction = predict(case)
    outcome = prediction.server_established if prediction.established else prediction.refused
    assert outcome is not None, "a handshake ends in one way or the other"
    return outcome


def _side(end: End, spiffe_id: str) -> TlsSide:
    authority = _authority(trust_domain_of(spiffe_id))
    bundles = [TrustBundle(domain, frozenset({_authority(domain).id})) for domain in sorted(end.trusts)]
    return TlsSide(
        settings=end.settings,
        svid=authority.issue(spiffe_id, end.key_type, NOW_NS - HOUR_NS, NOW_NS + HOUR_NS, 0),
        bundles=by_trust_domain(bundles),
    )


@lru_cache(maxsize=256)
def _authority(trust_domain: str) -> Authority:
    return Authority(trust_domain, "root", 0, "ecdsa-p256", NOW_NS - HOUR_NS, NOW_NS + HOUR_NS)


def _words(refused: Refused, client_id: str, server_id: str, server: str = "port") -> str:
    verifier, peer = (server, client_id) if refused.by == "server" else ("caller", server_id)
    if refused.reason == WRONG_TRUST_DOMAIN:
        return (
            f"the {verifier} has no bundle for the trust domain {trust_domain_of(peer)}: TLS refuses its certificates"
        )
    return f"the TLS handshake fails: {refused.reason}, says the {verifier}"
