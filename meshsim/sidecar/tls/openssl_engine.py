"""One end of a real TLS connection: OpenSSL over memory buffers.

Beside ``openssl``, which makes these, the only module that knows pyOpenSSL. Both reach below its public interface where
that has no call: a verification callback that can name its error (so that the right alert goes out), the alert that
was sent, and the encoding of sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from OpenSSL import SSL

from meshsim.identity.svid import Svid
from meshsim.sidecar.tls.agreement import EngineReport
from meshsim.sidecar.tls.certificates import certificate_facts, has_ended, key_type_name
from meshsim.sidecar.tls.damage import CHANGE_CIPHER_SPEC_TYPE, record_starts
from meshsim.sidecar.tls.openssl_bytes import (
    cipher_name,
    give_input,
    path_of,
    peer_certificate,
    read_message,
    read_opened,
    read_output,
    shake_hands,
    write_sealed,
)
from meshsim.sidecar.tls.openssl_sessions import (
    Maker,
    choose,
    encoded_session,
    is_client_hello,
    peer_in,
    use_session,
)
from meshsim.sidecar.tls.outcome import (
    ALERT_CODES,
    NO_CLIENT_CERTIFICATE,
    NO_COMMON_CIPHER,
    NO_COMMON_GROUP,
    NO_COMMON_SIGNATURE,
    NO_COMMON_VERSION,
    NO_SERVER_CERTIFICATE,
    PEER_REFUSED,
    PLAINTEXT,
    TAMPERED_RECORD,
    TRUNCATED,
    End,
    Established,
    Refused,
)
from meshsim.sidecar.tls.peer_check import PeerCheck
from meshsim.sidecar.tls.staples import response_flaw

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from meshsim.sidecar.tls.settings import OcspPolicy

# pyOpenSSL has no public calls for what is needed here, and no types.
_lib: Any = SSL._lib  # type: ignore[attr-defined] # there is no public name for it
_ffi: Any = SSL._ffi  # type: ignore[attr-defined] # there is no public name for it

ALERT_EVENT: Final = 0x4000
"""SSL_CB_ALERT."""
WRITE_EVENT: Final = 0x08
"""SSL_CB_WRITE."""

_VERSION_NAMES: Final = {SSL.TLS1_2_VERSION: "1.2", SSL.TLS1_3_VERSION: "1.3"}
_GROUP_NAMES: Final = {
    b"x25519": "X25519",
    b"secp256r1": "P-256",
    b"secp384r1": "P-384",
    b"X25519MLKEM768": "X25519MLKEM768",
}
_ALERT_NAMES: Final = {code: name for name, code in ALERT_CODES.items()}
_REASONS: Final[Mapping[str, str]] = {
    "unsupported protocol": NO_COMMON_VERSION,
    "no shared cipher": NO_COMMON_CIPHER,
    "no suitable key share": NO_COMMON_GROUP,
    "no suitable signature algorithm": NO_COMMON_SIGNATURE,
    "no shared signature algorithms": NO_COMMON_SIGNATURE,
    "peer did not return a certificate": NO_CLIENT_CERTIFICATE,
    "http request": PLAINTEXT,
    "wrong version number": PLAINTEXT,
    "decryption failed or bad record mac": TAMPERED_RECORD,
    "unexpected message": TAMPERED_RECORD,
    "unknown alert type": TAMPERED_RECORD,
}
"""OpenSSL's reason for giving up, in our words."""


_ALERT_TEXTS: Final = {"tlsv1 bad certificate status response": "tlsv1 alert bad certificate status response"}
"""The one alert that OpenSSL does not call an alert."""
_WITHOUT_CERTIFICATE: Final = ("unsupported protocol", "no shared cipher", "no shared signature algorithms")
"""What a server without a certificate that it can use says of whatever it is offered."""


class Calls:
    """What OpenSSL calls back with, for the engine in whose call it is right now."""

    def __init__(self) -> None:
        self.engine: OpenSslEngine | None = None
        self.problem: BaseException | None = None
        self.roots: dict[Any, Certificate] = {}
        """Roots in the stores of contexts, by the pointers under which OpenSSL has them for as long as it has those."""
        self.verify = _ffi.callback("int (*)(int, X509_STORE_CTX *)", self._verify)
        self.info = _ffi.callback("void (*)(const SSL *, int, int)", self._info)

    def _verify(self, ok: int, store_context: Any) -> int:
        try:
            assert self.engine is not None
            check = self.engine.check
            if ok and check.accepted:
                return 1  # it asks once for each certificate of a path, and the first time has decided
            found = 0 if ok else _lib.X509_STORE_CTX_get_error(store_context)
            error = check.judge(lambda: path_of(store_context, self.roots), found)
            if error == 0:
                _lib.X509_STORE_CTX_set_error(store_context, 0)
                return 1
            _lib.X509_STORE_CTX_set_error(store_context, error)
        except BaseException as problem:  # an exception can't cross OpenSSL: it is raised again on this side of it
            self.problem = problem
        return 0

    def staple(self, _connection: SSL.Connection, _data: None) -> bytes:
        """Give the server's OCSP response; none if it has none."""
        assert self.engine is not None
        return self.engine.staple

    def stapled(self, _connection: SSL.Connection, response: bytes, _data: None) -> bool:
        """Take the OCSP response that a client asked for; say whether it goes on."""
        assert self.engine is not None
        return self.engine.judge_staple(response)

    def _info(self, _ssl: Any, where: int, value: int) -> None:
        if where & ALERT_EVENT and where & WRITE_EVENT and self.engine is not None:
            code = value & 0xFF
            self.engine.alert_sent = _ALERT_NAMES.get(code, f"alert_{code}")


class Bound(NamedTuple):
    """What an end needs to judge sessions by the certificates behind them."""

    make: Maker
    """Makes another connection like the engine's."""
    path: Callable[[Certificate], list[Certificate]]
    """Gives the path of a certificate, up to the root."""
    own: Certificate | None
    """A server's certificate."""


class OpenSslEngine:
    """One end of a real TLS connection; see ``agreement.Engine`` for how the machines drive it."""

    def __init__(
        self,
        role: End,
        connection: SSL.Connection,
        check: PeerCheck,
        own: Svid | None,
        calls: Calls,
        *,
        watched: bool = False,
    ) -> None:
        self.role = role
        self.check = check
        self.alert_sent = ""
        """RFC 8446 name of the last alert that OpenSSL wrote."""
        self.session: bytes | None = None
        """The newest session that came with tickets (client), in OpenSSL's DER encoding."""
        self._connection = connection
        self._own = own
        self._calls = calls
        self._established = False
        self.staple = b""
        """What a server sends along with its certificate to who asks (OCSP)."""
        self._ocsp: OcspPolicy = "off"
        self.bound: Bound | None = None
        """What it takes to mind the certificates behind sessions; None of an end that does not."""
        self._hellos: list[bytes] = []
        """What the client has begun with, where the server minds the certificates behind sessions."""
        self._watched = watched
        """Whether alerts are looked at: OpenSSL then calls back at each of its steps."""
        self._watch()
        if role == "client":
            _lib.SSL_set_connect_state(connection._ssl)
        else:
            _lib.SSL_set_accept_state(connection._ssl)

    def ask_for_staple(self, policy: OcspPolicy) -> None:
        """Have a client ask for an OCSP staple, and judge by ``policy`` what comes."""
        self._ocsp = policy
        self._connection.request_ocsp()

    def judge_staple(self, response: bytes) -> bool:
        """Judge the OCSP response of a server whose certificate was accepted; a resumed session brings none."""
        if self.check.issued is None:
            return True
        flaw = response_flaw(self._ocsp, response, *self.check.issued, self.check.clock_ns)
        self.check.reason = flaw or ""
        return flaw is None

    def start(self, clock_ns: int, session: bytes | None) -> EngineReport:
        """Open the handshake, resuming ``session`` if there is one (client)."""
        if session is not None and not (self.bound and self._refuses(peer_in(session), clock_ns)):
            use_session(self._connection, session)
        return self._advance(clock_ns)

    def receive(self, wire: bytes, clock_ns: int) -> EngineReport:
        """React to bytes from the other end at this node's epoch time."""
        if self.role == "server" and self.bound is not None and is_client_hello(wire):
            self._hellos.append(wire)
            self._calls.engine = self
            self._connection = choose(self.bound.make, self._hellos, lambda peer: self._refuses(peer, clock_ns))
            self._calls.engine = None
            self._watch()
        give_input(self._connection, wire)
        return self._advance(clock_ns)

    def closed(self, clock_ns: int) -> EngineReport:
        """React to the end of the transport; what OpenSSL would still say has nowhere to go."""
        self._connection.bio_shutdown()
        return self._advance(clock_ns, transport_open=False)

    def _refuses(self, peer: Certificate | None, clock_ns: int) -> bool:
        """Say whether the certificate behind a session, or one's own, would not do any more."""
        assert self.bound is not None
        self.check.clock_ns = clock_ns
        own = self.bound.own
        if own is not None and has_ended(own, clock_ns):
            return True
        return peer is not None and self.check.judge_again(self.bound.path(peer)) is not None

    def seal(self, data: bytes) -> bytes:
        """Encrypt application bytes into records; none for nothing."""
        assert self._established, "application bytes before the handshake is over"
        if data:
            write_sealed(self._connection, data)
        return read_output(self._connection)

    def open(self, wire: bytes) -> bytes:
        """Decrypt records; raises ``SSL.Error`` when one was tampered with."""
        if not wire:
            return b""
        give_input(self._connection, wire)
        return read_message(self._connection)

    def watch(self) -> None:
        """Look at alerts from now on."""
        self._watched = True
        self._watch()

    def _watch(self) -> None:
        if self._watched:
            _lib.SSL_set_info_callback(self._connection._ssl, self._calls.info)

    def _advance(self, clock_ns: int, *, transport_open: bool = True) -> EngineReport:
        self.check.clock_ns = clock_ns
        self._calls.engine = self
        established, session, refused = None, None, None
        finished = False
        try:
            if self._established:
                assert not read_opened(self._connection, 1), "application bytes where a flight was expected"
                session = self.session = encoded_session(self._connection)
            else:
                finished = shake_hands(self._connection)
        except SSL.Error as error:
            refused = self._refusal(error, transport_open)
        finally:
            self._calls.engine = None
        if self._calls.problem is not None:
            problem, self._calls.problem = self._calls.problem, None
            raise problem
        output = read_output(self._connection)
        if finished:
            self._established = True
            established = self._describe(output)
        return EngineReport(
            output=output if transport_open else b"", established=established, refused=refused, session=session
        )

    def _describe(self, output: bytes) -> Established:
        connection = self._connection
        resumed = bool(_lib.SSL_session_reused(connection._ssl))
        issued = self.check.issued
        # A resumed session brings no certificate: OpenSSL has it from the session.
        certificate = peer_certificate(connection) if resumed or issued is None else issued[0]
        peer = None if certificate is None else certificate_facts(certificate)
        if self.role == "client":
            assert certificate is not None
            key_type = key_type_name(certificate)
            # Asked for a certificate, a client sends two records more than Finished; a mere one if it has none.
            protected = [start for start in record_starts(output) if output[start] != CHANGE_CIPHER_SPEC_TYPE]
            mutual = len(protected) > 2
        else:
            assert self._own is not None
            key_type = self._own.key_type
            mutual = peer is not None
        return Established(
            resumed=resumed,
            version=_VERSION_NAMES[_lib.SSL_version(connection._ssl)],
            cipher=cipher_name(connection),
            group=_GROUP_NAMES[_ffi.string(_lib.SSL_get0_group_name(connection._ssl))],
            key_type=key_type,
            mutual=mutual,
            peer_spiffe_id="" if peer is None else peer.spiffe_id,
            peer_not_after_ns=0 if peer is None else peer.not_after_ns,
            peer_not_before_ns=0 if peer is None else peer.not_before_ns,
            resumed_after_expiry=False,
        )

    def _refusal(self, error: SSL.Error, transport_open: bool) -> Refused:
        if isinstance(error, SSL.SysCallError):
            assert not transport_open, error
            return Refused(alert=self.alert_sent, by=self.role, reason=TRUNCATED, sent=False)
        text = str(error.args[0][0][2])
        protocol, is_alert, alert = _ALERT_TEXTS.get(text, text).partition(" alert ")
        if is_alert and protocol.startswith("tls"):
            other: End = "server" if self.role == "client" else "client"
            return Refused(alert=alert.replace(" ", "_"), by=other, reason=PEER_REFUSED, sent=True)
        if text in ("certificate verify failed", "invalid status response"):
            reason = self.check.reason
        elif self.role == "server" and self._own is None and text in _WITHOUT_CERTIFICATE:
            reason = NO_SERVER_CERTIFICATE
        else:
            reason = _REASONS.get(text, text)
        return Refused(alert=self.alert_sent, by=self.role, reason=reason, sent=self.alert_sent != "")
