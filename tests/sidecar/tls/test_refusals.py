"""Each way to refuse a handshake: predicted, and confirmed by OpenSSL at both ends."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshsim.identity.bundle import TrustBundle, by_trust_domain
from meshsim.sidecar.tls import outcome
from meshsim.sidecar.tls.damage import tamper, truncate
from meshsim.sidecar.tls.flights import Plaintext, SessionTickets
from meshsim.sidecar.tls.machine import TlsClient, TlsServer
from meshsim.sidecar.tls.openssl import Engines
from meshsim.sidecar.tls.oracle import Oracle
from meshsim.sidecar.tls.outcome import Refused
from meshsim.sidecar.tls.prediction import predict

HOUR = 3600 * 10**9
ENDS = ("client", "server")


def other(end: str) -> str:
    return "server" if end == "client" else "client"


def refused(mesh: Any, case: Any, by: str, reason: str, alert: str) -> Any:
    """Check a refusal as both ends see it."""
    prediction = mesh.proven(case)
    assert not prediction.established
    expected = Refused(alert=alert, by=by, reason=reason, sent=True)
    assert prediction.refused == expected
    view = Refused(alert=alert, by=by, reason=outcome.PEER_REFUSED, sent=True)
    assert getattr(prediction, f"{other(by)}_refused") == view
    # In TLS 1.3 a server learns who its client is only when the client is already done.
    assert (prediction.client_established is not None) == (by == "server" and len(prediction.flights) > 3)
    assert prediction.server_established is None
    return prediction


def presenting(mesh: Any, verifier: str, svid: Any, **changes: Any) -> Any:
    """Return a case in which the end opposite ``verifier`` presents ``svid``."""
    peer = other(verifier)
    if peer == "server":
        changes.setdefault("expected_peers", frozenset({svid.spiffe_id}))
    return mesh.case(**{f"{peer}__svid": svid}, **changes)


def own_id(mesh: Any, end: str) -> str:
    return str(getattr(mesh.case(), end).svid.spiffe_id)


@pytest.mark.parametrize("by", ENDS)
def test_expired(mesh: Any, by: str) -> None:
    """A certificate is refused once the verifier's clock has passed its last second, and not in it."""
    svid = mesh.svid(own_id(mesh, other(by)))
    late = presenting(mesh, by, svid, **{f"{by}_clock_ns": svid.not_after_ns + 1})
    refused(mesh, late, by, outcome.EXPIRED, "certificate_expired")
    assert mesh.proven(presenting(mesh, by, svid, **{f"{by}_clock_ns": svid.not_after_ns})).established


@pytest.mark.parametrize("by", ENDS)
def test_not_yet_valid(mesh: Any, by: str) -> None:
    """A certificate from the verifier's future is refused, as a slow clock makes it happen."""
    svid = mesh.svid(own_id(mesh, other(by)))
    early = presenting(mesh, by, svid, **{f"{by}_clock_ns": svid.not_before_ns - 1})
    refused(mesh, early, by, outcome.NOT_YET_VALID, "bad_certificate")
    assert mesh.proven(presenting(mesh, by, svid, **{f"{by}_clock_ns": svid.not_before_ns})).established


@pytest.mark.parametrize("by", ENDS)
def test_unknown_authority(mesh: Any, by: str) -> None:
    """A certificate from an authority outside the bundle is refused, whatever name it bears."""
    svid = mesh.svid(own_id(mesh, other(by)), mesh.rogue)
    refused(mesh, presenting(mesh, by, svid), by, outcome.UNKNOWN_AUTHORITY, "unknown_ca")


@pytest.mark.parametrize("by", ENDS)
def test_authority_dropped_from_the_bundle(mesh: Any, by: str) -> None:
    """An authority that was trusted a moment ago is refused once the bundle no longer names it."""
    svid = mesh.svid(own_id(mesh, other(by)), mesh.rogue)
    both = TrustBundle("plant.example", frozenset({mesh.root.id, mesh.rogue.id}))
    trusting = presenting(mesh, by, svid, **{f"{by}__bundles": by_trust_domain([both])})
    assert mesh.proven(trusting).established
    refused(mesh, presenting(mesh, by, svid), by, outcome.UNKNOWN_AUTHORITY, "unknown_ca")


@pytest.mark.parametrize("by", ENDS)
def test_wrong_trust_domain(mesh: Any, by: str) -> None:
    """A workload of another trust domain is refused unless the verifier federates with it."""
    svid = mesh.svid("spiffe://partner.example/ns/default/sa/vision", mesh.partner)
    refused(mesh, presenting(mesh, by, svid), by, outcome.WRONG_TRUST_DOMAIN, "unknown_ca")
    federated = presenting(mesh, by, svid, **{f"{by}__bundles": mesh.federated})
    assert mesh.proven(federated).established


@pytest.mark.parametrize("by", ENDS)
def test_federated_authority_cannot_vouch_for_ours(mesh: Any, by: str) -> None:
    """An authority of a federated domain is refused when it signs a name of this one."""
    svid = mesh.svid(own_id(mesh, other(by)), mesh.partner)
    case = presenting(mesh, by, svid, **{f"{by}__bundles": mesh.federated})
    refused(mesh, case, by, outcome.UNKNOWN_AUTHORITY, "unknown_ca")


@pytest.mark.parametrize("by", ENDS)
def test_revoked(mesh: Any, by: str) -> None:
    """A serial that the bundle revokes is refused."""
    svid = mesh.svid(own_id(mesh, other(by)))
    bundle = msgspec.structs.replace(mesh.bundle, revoked_serials=frozenset({svid.serial}))
    case = presenting(mesh, by, svid, **{f"{by}__bundles": by_trust_domain([bundle])})
    refused(mesh, case, by, outcome.REVOKED, "certificate_revoked")


def test_wrong_spiffe_id_for_the_called_service(mesh: Any) -> None:
    """A server with a good certificate of another service is refused by the client."""
    case = mesh.case(server__svid=mesh.svid("spiffe://plant.example/ns/default/sa/storage"))
    refused(mesh, case, "client", outcome.UNEXPECTED_SPIFFE_ID, "bad_certificate")


@pytest.mark.parametrize("change", [{"client__svid": None}, {"client__mutual": False}])
def test_no_client_certificate(mesh: Any, change: dict[str, Any]) -> None:
    """A client without a certificate, or unwilling to show it, is refused after it believed itself connected."""
    prediction = refused(mesh, mesh.case(**change), "server", outcome.NO_CLIENT_CERTIFICATE, "certificate_required")
    assert prediction.client_established is not None
    assert not prediction.client_established.mutual


@pytest.mark.parametrize(
    ("alert", "versions"),
    [("protocol_version", {}), ("handshake_failure", {"client__min_version": "1.2", "server__min_version": "1.2"})],
)
def test_no_server_certificate(mesh: Any, alert: str, versions: dict[str, str]) -> None:
    """A server without a certificate has nothing to offer, and says so in the words of the versions it has left."""
    refused(mesh, mesh.case(server__svid=None, **versions), "server", outcome.NO_SERVER_CERTIFICATE, alert)


@pytest.mark.parametrize("old", ENDS)
def test_no_common_version(mesh: Any, old: str) -> None:
    """An end that stops at TLS 1.2 is refused by one that starts at 1.3."""
    case = mesh.case(**{f"{old}__min_version": "1.2", f"{old}__max_version": "1.2"})
    refused(mesh, case, "server", outcome.NO_COMMON_VERSION, "protocol_version")


def test_no_common_group(mesh: Any) -> None:
    """Ends without a key exchange group in common do not come together."""
    case = mesh.case(client__groups=("X25519MLKEM768", "X25519"), server__groups=("P-256", "P-384"))
    refused(mesh, case, "server", outcome.NO_COMMON_GROUP, "handshake_failure")


def test_no_common_cipher(mesh: Any) -> None:
    """Ends without a cipher suite in common do not come together."""
    case = mesh.case(client__ciphers=("TLS_AES_128_GCM_SHA256",), server__ciphers=("TLS_CHACHA20_POLY1305_SHA256",))
    refused(mesh, case, "server", outcome.NO_COMMON_CIPHER, "handshake_failure")


@pytest.mark.parametrize(
    "wire", [b"GET /health HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\1\2\3\4\5\6\7"]
)
@pytest.mark.parametrize("by", ENDS)
def test_plaintext(mesh: Any, by: str, wire: bytes) -> None:
    """Bytes that are no TLS are refused without a word, on either side."""
    case = mesh.case()
    flight = Plaintext(size_bytes=len(wire), wire=wire)
    for real in (False, True):
        end: TlsClient | TlsServer
        if by == "server":
            end = TlsServer(case.server, mesh.engines.server(case.server) if real else None)
        else:
            engine = mesh.engines.client(case.client, case.expected_peers) if real else None
            end = TlsClient(case.client, case.expected_peers, None, engine)
            end.start(case.client_clock_ns)
        step = end.receive(flight, case.server_clock_ns)
        assert step.refused == Refused(alert="", by=by, reason=outcome.PLAINTEXT, sent=False)
        assert not step.flights


RETRY = {"client__groups": ("X25519", "P-256"), "server__groups": ("P-256",)}
PLAIN: dict[str, Any] = {}
LATE = {"client__svid": None}
EARLY = {"server__groups": ("P-256",)}


@pytest.mark.parametrize(
    ("changes", "at", "by", "alert"),
    [
        (PLAIN, 0, "server", "unexpected_message"),
        (PLAIN, 1, "client", "bad_record_mac"),
        (PLAIN, 2, "server", "bad_record_mac"),
        (PLAIN, 3, "client", "bad_record_mac"),
        (RETRY, 0, "server", "unexpected_message"),
        (RETRY, 1, "client", "unexpected_message"),
        (RETRY, 2, "server", "unexpected_message"),
        (RETRY, 3, "client", "bad_record_mac"),
        (RETRY, 4, "server", "bad_record_mac"),
        (RETRY, 5, "client", "bad_record_mac"),
        (LATE, 3, "client", "bad_record_mac"),
        (EARLY, 1, "client", "illegal_parameter"),
    ],
)
def test_tampered_record(mesh: Any, changes: dict[str, Any], at: int, by: str, alert: str) -> None:
    """A bit changed in any flight, an alert included, is found out by whoever receives it."""
    case = mesh.case(**changes)
    real = mesh.play(case, real=True, damage=tamper, at=at)
    model = mesh.play(case, real=False, damage=tamper, at=at)
    for prediction in (model, real):
        assert prediction.refused is not None
        view = getattr(prediction, f"{by}_refused")
        assert view == Refused(alert=alert, by=by, reason=outcome.TAMPERED_RECORD, sent=True)
        assert not prediction.established
    assert real.client_refused == model.client_refused
    assert real.server_refused == model.server_refused


def test_level_of_a_plain_alert_is_ignored(mesh: Any) -> None:
    """To a server that has settled on TLS 1.3, the bit that tampering changes in a plain alert has no meaning."""
    for real in (False, True):
        prediction = mesh.play(mesh.case(expected_peers=frozenset()), real=real, damage=tamper, at=2)
        assert prediction.server_refused.alert == prediction.client_refused.alert == "bad_certificate"
        assert prediction.server_refused.by == "client"


@pytest.mark.parametrize(("at", "client_alert"), [(1, "unexpected_message"), (2, "illegal_parameter")])
def test_tampered_retry_and_alert(mesh: Any, at: int, client_alert: str) -> None:
    """A flight of a retry and the alert in answer, both tampered with: a client minds the level, a server doesn't."""
    for real in (False, True):
        prediction = mesh.play(mesh.case(**RETRY), real=real, damage=tamper, at=at, again_at=at + 1)
        assert prediction.client_refused.alert == client_alert
        assert prediction.server_refused.alert == "unexpected_message"


def test_certificate_is_judged_before_a_tampered_record(mesh: Any) -> None:
    """A bad certificate in a flight whose last record was tampered with is what the alert names."""
    case = mesh.case(expected_peers=frozenset())
    for real in (False, True):
        prediction = mesh.play(case, real=real, damage=tamper, at=1)
        assert prediction.refused.reason == outcome.UNEXPECTED_SPIFFE_ID
    case = mesh.case(client__svid=mesh.svid(own_id(mesh, "client"), mesh.rogue))
    for real in (False, True):
        prediction = mesh.play(case, real=real, damage=tamper, at=2)
        assert prediction.refused.reason == outcome.UNKNOWN_AUTHORITY


@pytest.mark.parametrize("changes", [PLAIN, RETRY])
@pytest.mark.parametrize("at", range(5))
def test_truncated_flight(mesh: Any, changes: dict[str, Any], at: int) -> None:
    """A flight that breaks off leaves its receiver waiting, until the end of the transport makes it give up."""
    case = mesh.case(**changes)
    outcomes = [mesh.play(case, real=real, damage=truncate, at=at, cut=True) for real in (False, True)]
    for prediction in outcomes:
        receiver = "server" if at % 2 == 0 else "client"
        view = getattr(prediction, f"{receiver}_refused")
        if at == 3 and not changes:
            # Session tickets: the connection was established all the same, only no ticket came.
            assert isinstance(prediction.flights[-1][1].flight, SessionTickets)
            assert view is None
            assert prediction.established
            assert prediction.ticket is None
        elif at == 4 and not changes:
            assert prediction.established
        else:
            assert view == Refused(alert="decode_error", by=receiver, reason=outcome.TRUNCATED, sent=False)
            assert not prediction.established
    assert outcomes[0].client_refused == outcomes[1].client_refused
    assert outcomes[0].server_refused == outcomes[1].server_refused


def test_a_wrong_prediction_is_found_out(mesh: Any) -> None:
    """The oracle raises when OpenSSL comes to something else: here the prediction is of another case."""
    from meshsim.scenario.errors import InvariantViolation

    case = mesh.case(client_clock_ns=mesh.case().client_clock_ns + 2 * HOUR)
    with pytest.raises(InvariantViolation, match="certificate_expired"):
        Oracle(mesh.authorities).check(case, predict(mesh.case()))


@pytest.mark.parametrize(("watched", "told"), [(True, "alert='bad_certificate', by='client'"), (False, "by='client'")])
def test_a_disagreeing_engine_is_found_out(mesh: Any, watched: bool, told: str) -> None:
    """A machine whose engine refuses what it does not raises, with both views and the bytes, watched or not."""
    from meshsim.scenario.errors import InvariantViolation

    case = mesh.case()
    engines = Engines(mesh.authorities)
    engine = engines.client(case.client, frozenset({"spiffe://plant.example/other"}), watched=watched)
    client = TlsClient(case.client, case.expected_peers, None, engine)
    server = TlsServer(case.server, engines.server(case.server))
    answer = server.receive(client.start(case.client_clock_ns).flights[0], case.server_clock_ns)
    with pytest.raises(InvariantViolation, match=f"refused None against Refused.*{told}"):
        client.receive(answer.flights[0], case.client_clock_ns)
