"""TLS 1.3 over memory buffers: the steps of full and resumed handshakes, a refusal, records."""

from __future__ import annotations

from contextlib import suppress

from OpenSSL import SSL, crypto
from OpenSSL._util import lib

from meshsim.calibrate_probes.timing import Probe, Round, Stopwatch
from meshsim.identity.authority import YEAR_2050_NS, Authority
from meshsim.scenario.cost_profile import BLOCK_BYTES
from meshsim.sidecar.tls.openssl import NO_AUTO_CHAIN, NO_CHECK_TIME, use_key

_TRUST_DOMAIN = "calibration.example"
EXCHANGES = {"p256": b"P-256", "p384": b"P-384", "ml-kem-768": b"X25519MLKEM768"}
"""Key exchanges that are measured in a resumed handshake, which has no signatures, beside one with X25519."""
_FAR_NS = YEAR_2050_NS - 1_000_000_000
"""Certificates are valid from 1970 until here: the machine's clock is to decide nothing."""


def tls_probes(watch: Stopwatch) -> list[Probe]:
    """Handshakes (``full/``, ``resumed/`` and ``stateful/`` steps), a retry, an alert, records of two sizes."""
    return [_handshakes(watch), _hello_retry_request(watch), _alert(watch), _records(watch)]


class _Ends:
    """Contexts of a client and a server that trust one authority; mutual TLS 1.3 with P-256 certificates."""

    def __init__(self) -> None:
        self._authority = Authority(_TRUST_DOMAIN, "root", 0, "ecdsa-p256", 0, _FAR_NS)

    def context(self, name: str, groups: bytes = b"X25519", *, stateful: bool = False) -> SSL.Context:
        """A context with its own certificate; ``stateful`` tickets hold an index into the server's memory only."""
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256")
        spiffe_id = f"spiffe://{_TRUST_DOMAIN}/ns/default/sa/{name}"
        material = self._authority.material(self._authority.issue(spiffe_id, "ecdsa-p256", 0, _FAR_NS, 0))
        context.use_certificate(material.certificate)
        use_key(context, material.private_key)
        store = context.get_cert_store()
        assert store is not None, "a fresh context has a store"
        store.add_cert(crypto.X509.from_cryptography(self._authority.root().certificate))
        mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        # As sidecars have it: nothing is sent but the certificate, and dates are checked elsewhere.
        context.set_mode(NO_AUTO_CHAIN)
        store.set_flags(NO_CHECK_TIME)
        context.set_verify(mode, lambda _connection, _certificate, _error, _depth, accepted: bool(accepted))
        context.set_session_id(b"calibration")
        # pyOpenSSL has no public call for the group list.
        assert lib.SSL_CTX_set1_curves_list(context._context, groups) == 1, groups
        client = name == "client"
        context.set_session_cache_mode(SSL.SESS_CACHE_BOTH if client else SSL.SESS_CACHE_OFF)
        if stateful:
            context.set_options(SSL.OP_NO_TICKET)
        return context


def advance(connection: SSL.Connection, received: bytes) -> bytes:
    """Feed ``received``, go on with the handshake, and return what is to be sent."""
    if received:
        connection.bio_write(received)
    with suppress(SSL.WantReadError):
        connection.do_handshake()
    try:
        return connection.bio_read(65_536)
    except SSL.WantReadError:
        return b""


def _client(context: SSL.Context, session: SSL.Session | None = None) -> SSL.Connection:
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    if session is not None:
        connection.set_session(session)
    return connection


def _server(context: SSL.Context) -> SSL.Connection:
    connection = SSL.Connection(context, None)
    connection.set_accept_state()
    return connection


def _handshake(
    watch: Stopwatch, name: str, contexts: tuple[SSL.Context, SSL.Context], session: SSL.Session | None = None
) -> tuple[Round, SSL.Connection, SSL.Connection]:
    """One handshake to its end, tickets read; times under ``name/step``."""
    times: Round = {}
    watch.start()
    client = _client(contexts[0], session)
    hello = advance(client, b"")
    times[f"{name}/client_hello"] = watch.lap()
    watch.start()
    server = _server(contexts[1])
    flight = advance(server, hello)
    times[f"{name}/server_flight"] = watch.lap()
    watch.start()
    finish = advance(client, flight)
    times[f"{name}/client_finish"] = watch.lap()
    watch.start()
    tickets = advance(server, finish)
    times[f"{name}/server_finish"] = watch.lap()
    watch.start()
    client.bio_write(tickets)
    with suppress(SSL.WantReadError):
        client.recv(1)
    times[f"{name}/tickets"] = watch.lap()
    return times, client, server


def _handshakes(watch: Stopwatch) -> Probe:
    ends = _Ends()
    contexts = ends.context("client"), ends.context("server")
    stateful_contexts = contexts[0], ends.context("server", stateful=True)
    exchanges = {
        name: (ends.context("client", group), ends.context("server", group)) for name, group in EXCHANGES.items()
    }

    def probe() -> Round:
        # One after the other, because differences between these are what is wanted. The first finds the caches full of
        # other exchanges' code.
        _handshake(watch, "", contexts)
        full, resumed = _both(watch, "full", "resumed", contexts)
        stateful = _handshake(watch, "stateful", stateful_contexts)[0]
        times = full | resumed | stateful
        for name, pair in exchanges.items():
            times |= _both(watch, "", name, pair)[1]
        return times

    return probe


def _both(
    watch: Stopwatch, full_name: str, resumed_name: str, contexts: tuple[SSL.Context, SSL.Context]
) -> tuple[Round, Round]:
    """A full handshake, and one that resumes its session: OpenSSL uses a TLS 1.3 ticket once."""
    full, client, _server_end = _handshake(watch, full_name, contexts)
    session = client.get_session()
    resumed, client, _server_end = _handshake(watch, resumed_name, contexts, session)
    assert lib.SSL_session_reused(client._ssl) == 1, "the session was not resumed"
    return full, resumed


def _hello_retry_request(watch: Stopwatch) -> Probe:
    ends = _Ends()
    hello = advance(_client(ends.context("client", b"X25519:P-256")), b"")
    context = ends.context("server", b"P-256")

    def probe() -> Round:
        watch.start()
        answer = advance(_server(context), hello)
        time_ns = watch.lap()
        assert len(answer) < 200, "a HelloRetryRequest was expected, not a whole flight"
        return {"hello_retry_request": time_ns}

    return probe


def _alert(watch: Stopwatch) -> Probe:
    context = _Ends().context("client")
    # A fatal handshake_failure (RFC 8446, section 6) in its plaintext record.
    alert = bytes([21, 3, 3, 0, 2, 2, 40])

    def probe() -> Round:
        client = _client(context)
        advance(client, b"")
        watch.start()
        with suppress(SSL.Error):
            advance(client, alert)
        return {"alert": watch.lap()}

    return probe


def _records(watch: Stopwatch) -> Probe:
    ends = _Ends()
    contexts = ends.context("client"), ends.context("server")
    _times, client, server = _handshake(watch, "records", contexts)

    def probe() -> Round:
        times: Round = {}
        for size, message in (("byte", b"x"), ("block", b"x" * BLOCK_BYTES)):
            watch.start()
            client.send(message)
            wire = client.bio_read(32_768)
            times[f"record.seal/{size}"] = watch.lap()
            watch.start()
            server.bio_write(wire)
            read = server.recv(BLOCK_BYTES)
            times[f"record.open/{size}"] = watch.lap()
            assert len(read) == len(message), "one record carries the message"
        return times

    return probe
