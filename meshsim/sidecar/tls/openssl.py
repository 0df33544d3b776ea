"""Making real TLS ends: OpenSSL contexts, told by the node's virtual clock what time it is.

The wall clock decides nothing: OpenSSL is told not to check times, and the verification callback checks validity at
the node's clock; sessions are given OpenSSL's longest timeout, and how long a ticket may be offered is decided by the
machines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL, crypto

from meshsim.identity.authority import Authority
from meshsim.sidecar.tls.certificates import fingerprint
from meshsim.sidecar.tls.negotiation import has_tls13
from meshsim.sidecar.tls.openssl_engine import Bound, Calls, OpenSslEngine
from meshsim.sidecar.tls.outcome import End
from meshsim.sidecar.tls.peer_check import PeerCheck
from meshsim.sidecar.tls.settings import TlsSettings, TlsSide

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, Name

    from meshsim.identity.keys import PrivateKey
    from meshsim.identity.revocation import Crl
    from meshsim.identity.svid import IssuerFacts, Svid

# pyOpenSSL has no public calls for what is needed here, and no types.
_lib: Any = SSL._lib  # type: ignore[attr-defined] # there is no public name for it

NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME."""
CHECK_CRLS: Final = 0x4 | 0x8
"""X509_V_FLAG_CRL_CHECK and X509_V_FLAG_CRL_CHECK_ALL: the list of every authority in the path is looked at."""
NO_AUTO_CHAIN: Final = 0x8
"""SSL_MODE_NO_AUTO_CHAIN: send the SVID alone, as the verifier has the root."""
LONGEST_SESSION_S: Final = 604_800
"""Longest lifetime of a TLS 1.3 ticket (RFC 8446, section 4.6.1)."""

MOST_LOADED: Final = 1_024
"""Certificates that are kept as OpenSSL has them."""

_VERSIONS: Final = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


def set_groups(context: SSL.Context, groups: tuple[str, ...]) -> None:
    """Choose the key exchange groups of a context, the preferred one first."""
    done = _lib.SSL_CTX_set1_curves_list(context._context, ":".join(groups).encode())
    assert done == 1, f"OpenSSL does not know one of {groups}"


def use_key(context: SSL.Context, key: PrivateKey) -> None:
    """Give a context its private key, of any type; pyOpenSSL has no public call for ML-DSA."""
    done = _lib.SSL_CTX_use_PrivateKey(context._context, _loaded_key(key)._pkey)
    assert done == 1, "the key of the certificate that was given before"


def _loaded_key(key: PrivateKey) -> Any:
    """Return a key as OpenSSL has it."""
    encoded = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return crypto.load_privatekey(crypto.FILETYPE_ASN1, encoded)


class _Loaded(NamedTuple):
    """A certificate and its key as OpenSSL has them, which takes as long to make as a tenth of a handshake."""

    certificate: Any
    key: Any

    def use(self, connection: SSL.Connection) -> None:
        """Have an end of a connection show the certificate; pyOpenSSL's own calls would load it anew."""
        done = _lib.SSL_use_certificate(connection._ssl, self.certificate._x509)
        assert done == 1, "a certificate that was minted here"
        done = _lib.SSL_use_PrivateKey(connection._ssl, self.key._pkey)
        assert done == 1, "the key of the certificate that was given before"


class _Context(NamedTuple):
    """What makes two contexts different."""

    role: End
    settings: TlsSettings
    ticket_key: str = ""
    chain: tuple[IssuerFacts, ...] = ()
    """Intermediates to send along."""
    crls: frozenset[Crl] = frozenset()
    """Revocation lists to check peers by."""
    second: bool = False
    """Whether it has the second session id context, with which tickets of the first are declined."""


class Engines:
    """Makes engines: one for a run, or for a test.

    ``authorities`` are all that may occur, by ``Authority.id``; more may be added to the mapping later. ``keylog`` is
    called with lines in NSS key log format. What it keeps does not grow with the number of handshakes.
    """

    def __init__(self, authorities: Mapping[str, Authority], keylog: Callable[[bytes], None] | None = None) -> None:
        self._authorities = authorities
        self._keylog = keylog
        self._calls = Calls()
        self._contexts: dict[_Context, SSL.Context] = {}
        self._loaded: dict[Svid, _Loaded] = {}
        self._roots: dict[_Context, set[str]] = {}
        self._names: dict[bytes, str] = {}
        """Names of the authorities whose roots have been used, by the root's fingerprint."""
        self._issuers: dict[Name, Authority] = {}
        """Authorities by their names in certificates."""

    def client(self, side: TlsSide, expected_peers: frozenset[str], *, watched: bool = False) -> OpenSslEngine:
        """Make the client's end of one connection; it knows no alerts that it sends unless it is watched."""
        return self._engine("client", side, expected_peers, watched)

    def server(self, side: TlsSide, *, watched: bool = False) -> OpenSslEngine:
        """Make the server's end of one connection, likewise."""
        return self._engine("server", side, None, watched)

    def _engine(self, role: End, side: TlsSide, expected_peers: frozenset[str] | None, watched: bool) -> OpenSslEngine:
        own = side.svid if (side.serves if role == "server" else side.settings.mutual) else None
        loaded = None if own is None else self._load(own)
        # A context also holds the key that seals session tickets, so a listener with a new ticket key has a new one.
        ticket_key = side.ticket_key if role == "server" else ""
        if role == "server" and side.settings.bound and side.svid is not None:
            ticket_key += f"/{side.svid.serial:x}"  # and so has one whose tickets go with its certificate

        def make(second: bool = False) -> SSL.Connection:
            context = self._context(_Context(role, side.settings, ticket_key), side)
            connection = SSL.Connection(context, None)
            chain = () if own is None else own.chain
            if chain or side.crls or second:
                # Intermediates and revocation lists belong to a context too, but tickets stay with the one that the
                # connection began with.
                key = _Context(role, side.settings, chain=chain, crls=side.crls, second=second)
                connection.set_context(self._context(key, side))
            if loaded is not None:
                loaded.use(connection)
            return connection

        real = [self._authorities[crl.issuer].real_crl(crl) for crl in side.crls] if side.crls else ()
        lists = {each.issuer: each for each in real}
        check = PeerCheck(side.bundles, self._names, expected_peers, lists, side.settings.stale_crls)
        usable = own if role == "client" or has_tls13(own, side.settings) else None
        engine = OpenSslEngine(role, make(), check, usable, self._calls, watched=watched)
        if side.settings.bound or (role == "client" and side.settings.as_envoy):
            shown = None if role == "client" or own is None else self._authorities[own.issuer].material(own).certificate
            engine.bound = Bound(make, self._path, shown)
        if role == "client" and side.settings.ocsp != "off":
            engine.ask_for_staple(side.settings.ocsp)
        if side.ocsp_staple is not None:
            engine.staple = self._authorities[side.ocsp_staple.issuer].real_staple(side.ocsp_staple)
        return engine

    def _load(self, svid: Svid) -> _Loaded:
        """Return an SVID's certificate and key as OpenSSL has them; those of the last ones are kept."""
        loaded = self._loaded.get(svid)
        if loaded is None:
            material = self._authorities[svid.issuer].material(svid)
            certificate = crypto.X509.from_cryptography(material.certificate)
            if len(self._loaded) >= MOST_LOADED:
                self._loaded.clear()
            loaded = self._loaded[svid] = _Loaded(certificate, _loaded_key(material.private_key))
        return loaded

    def _path(self, certificate: Certificate) -> list[Certificate]:
        """Return a certificate that an authority here has issued, and those above it."""
        issuer = self._issuers.get(certificate.issuer)
        if issuer is None:
            self._issuers = {each.own().certificate.subject: each for each in self._authorities.values()}
            issuer = self._issuers[certificate.issuer]
        return [certificate, *issuer.sent_along(), issuer.root().certificate]

    def _context(self, key: _Context, side: TlsSide) -> SSL.Context:
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = self._make_context(key.role, key.settings, second=key.second)
            if key.chain:
                for certificate in self._authorities[key.chain[0].authority].sent_along():
                    context.add_extra_chain_cert(certificate)
            self._roots[key] = set()
            self._add_crls(context, key.crls)
        known = self._roots[key]
        for bundle in side.bundles.values():
            if not bundle.authorities <= known:
                self._add_roots(context, bundle.authorities - known)
                known |= bundle.authorities
        return context

    def _add_roots(self, context: SSL.Context, names: frozenset[str]) -> None:
        """Have a context trust the roots of these authorities.

        Those that leave the bundle stay in the store, and PeerCheck refuses what they signed.
        """
        store = context.get_cert_store()
        assert store is not None
        for name in sorted(names):  # nothing may depend on how a set happens to be ordered
            certificate = self._authorities[name].root().certificate
            root = crypto.X509.from_cryptography(certificate)
            store.add_cert(root)
            self._calls.roots[root._x509] = certificate  # the store has it under this pointer, and is kept
            self._names[fingerprint(certificate)] = name

    def _add_crls(self, context: SSL.Context, crls: frozenset[Crl]) -> None:
        if not crls:
            return
        store = context.get_cert_store()
        assert store is not None
        for crl in sorted(crls, key=lambda each: each.issuer):
            store.add_crl(self._authorities[crl.issuer].real_crl(crl))
        store.set_flags(CHECK_CRLS)

    def _make_context(self, role: End, settings: TlsSettings, *, second: bool) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD if role == "server" else SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(_VERSIONS[settings.min_version])
        context.set_max_proto_version(_VERSIONS[settings.max_version])
        context.set_tls13_ciphersuites(":".join(settings.ciphers).encode())
        set_groups(context, settings.groups)
        if settings.signature_schemes:
            done = _lib.SSL_CTX_set1_sigalgs_list(context._context, ":".join(settings.signature_schemes).encode())
            assert done == 1, f"OpenSSL does not know one of {settings.signature_schemes}"
        context.set_mode(NO_AUTO_CHAIN)
        _lib.SSL_CTX_clear_mode(context._context, _lib.SSL_MODE_ENABLE_PARTIAL_WRITE)  # a buffer in memory takes all
        context.set_session_id(b"n" if second else b"m")
        verify = SSL.VERIFY_PEER
        if role == "server":
            context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
            context.set_ocsp_server_callback(self._calls.staple)
            verify = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT if settings.mutual else SSL.VERIFY_NONE
            if not settings.resumption:
                # Tickets go out all the same, but they are mere numbers of sessions that nobody keeps.
                context.set_options(SSL.OP_NO_TICKET)
        else:
            context.set_session_cache_mode(SSL.SESS_CACHE_BOTH)
            if settings.ocsp != "off":
                context.set_ocsp_client_callback(self._calls.stapled)
        context.set_timeout(LONGEST_SESSION_S if settings.resumption else 0)
        _lib.SSL_CTX_set_verify(context._context, verify, self._calls.verify)
        store = context.get_cert_store()
        assert store is not None
        store.set_flags(NO_CHECK_TIME)
        if self._keylog is not None:
            keylog = self._keylog
            context.set_keylog_callback(lambda _connection, line: keylog(line))
        return context
