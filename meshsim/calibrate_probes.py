"""What calibration times: cryptographic primitives, handshake steps, records, TCP messages, HTTP/2, policy decisions.

A *probe* does one thing once and gives its CPU times (ns) by name; a *round* is one pass over all probes.
"""

from __future__ import annotations

import datetime
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import h2.config
import h2.connection
import h2.events
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from meshsim.policy.cedar import CedarEngine
from meshsim.policy.engine import Directory, PolicyFile
from meshsim.policy.question import Question
from meshsim.scenario.cost_profile import BLOCK_BYTES

Round = dict[str, int]
"""Raw CPU times (ns) of one pass, by name."""
Probe = Callable[[], Round]

POLICY_COUNTS = (1, 10, 100, 500)
"""Sizes of policy set that are measured."""

_TRUST_DOMAIN = "calibration.example"
_MESSAGE = b"m" * 64


class Stopwatch:
    """CPU time of this thread between calls, less what the calls themselves take."""

    def __init__(self) -> None:
        self._overhead_ns = 0
        self._overhead_ns = min(self._nothing() for _ in range(1_000))
        self._started_ns = 0

    def start(self) -> None:
        """Begin an interval."""
        self._started_ns = time.thread_time_ns()

    def lap(self) -> int:
        """Nanoseconds since the last ``start``."""
        return time.thread_time_ns() - self._started_ns - self._overhead_ns

    def _nothing(self) -> int:
        self.start()
        return self.lap()


def probes() -> list[Probe]:
    """Every probe, made ready to run."""
    watch = Stopwatch()
    single = [*_primitives(), *_aeads(), *((f"cedar/{count}", _decision(count)) for count in POLICY_COUNTS)]
    return [
        *(_call(watch, name, function) for name, function in single),
        _handshakes(watch),
        _hello_retry_request(watch),
        _alert(watch),
        _records(watch),
        _tcp_message(watch),
        _http2(watch),
    ]


def _call(watch: Stopwatch, name: str, function: Callable[[], object]) -> Probe:
    def probe() -> Round:
        watch.start()
        function()
        return {name: watch.lap()}

    return probe


def _primitives() -> Iterator[tuple[str, Callable[[], object]]]:
    ours, theirs = x25519.X25519PrivateKey.generate(), x25519.X25519PrivateKey.generate().public_key()
    yield "x25519.keygen", x25519.X25519PrivateKey.generate
    yield "x25519.derive", lambda: ours.exchange(theirs)
    edwards = ed25519.Ed25519PrivateKey.generate()
    edwards_signature, edwards_public = edwards.sign(_MESSAGE), edwards.public_key()
    yield "ed25519.sign", lambda: edwards.sign(_MESSAGE)
    yield "ed25519.verify", lambda: edwards_public.verify(edwards_signature, _MESSAGE)
    yield from _curve("p256", ec.SECP256R1(), ec.ECDSA(hashes.SHA256()))
    yield from _curve("p384", ec.SECP384R1(), ec.ECDSA(hashes.SHA384()))
    yield from _curve("p521", ec.SECP521R1(), ec.ECDSA(hashes.SHA512()))
    yield from _kem("ml-kem-768", mlkem.MLKEM768PrivateKey)
    yield from _kem("ml-kem-1024", mlkem.MLKEM1024PrivateKey)
    yield from _lattice_signature("ml-dsa-44", mldsa.MLDSA44PrivateKey)
    yield from _lattice_signature("ml-dsa-65", mldsa.MLDSA65PrivateKey)
    yield from _lattice_signature("ml-dsa-87", mldsa.MLDSA87PrivateKey)


def _curve(name: str, curve: ec.EllipticCurve, algorithm: ec.ECDSA) -> Iterator[tuple[str, Callable[[], object]]]:
    ours, theirs = ec.generate_private_key(curve), ec.generate_private_key(curve).public_key()
    public, signature = ours.public_key(), ours.sign(_MESSAGE, algorithm)
    yield f"{name}.keygen", lambda: ec.generate_private_key(curve)
    yield f"{name}.derive", lambda: ours.exchange(ec.ECDH(), theirs)
    yield f"ecdsa-{name}.sign", lambda: ours.sign(_MESSAGE, algorithm)
    yield f"ecdsa-{name}.verify", lambda: public.verify(signature, _MESSAGE, algorithm)


def _kem(
    name: str, kind: type[mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey]
) -> Iterator[tuple[str, Callable[[], object]]]:
    private = kind.generate()
    public = private.public_key()
    _secret, ciphertext = public.encapsulate()
    yield f"{name}.keygen", kind.generate
    yield f"{name}.encap", public.encapsulate
    yield f"{name}.decap", lambda: private.decapsulate(ciphertext)


def _lattice_signature(
    name: str, kind: type[mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey]
) -> Iterator[tuple[str, Callable[[], object]]]:
    private = kind.generate()
    public, signature = private.public_key(), private.sign(_MESSAGE)
    yield f"{name}.sign", lambda: private.sign(_MESSAGE)
    yield f"{name}.verify", lambda: public.verify(signature, _MESSAGE)


def _aeads() -> Iterator[tuple[str, Callable[[], object]]]:
    block, one, nonce = os.urandom(BLOCK_BYTES), b"x", os.urandom(12)
    for name, aead in (
        ("aes-128-gcm", AESGCM(os.urandom(16))),
        ("aes-256-gcm", AESGCM(os.urandom(32))),
        ("chacha20-poly1305", ChaCha20Poly1305(os.urandom(32))),
    ):
        for size, message in (("block", block), ("byte", one)):
            sealed = aead.encrypt(nonce, message, None)
            yield f"{name}.seal/{size}", partial(aead.encrypt, nonce, message, None)
            yield f"{name}.open/{size}", partial(aead.decrypt, nonce, sealed, None)


class _Ends:
    """Contexts of a client and a server that trust one authority; mutual TLS 1.3 with P-256 certificates."""

    def __init__(self) -> None:
        self._authority_key = ec.generate_private_key(ec.SECP256R1())
        self._authority = self._certificate("authority", self._authority_key, ca=True)

    def context(self, name: str, groups: bytes = b"X25519", *, stateful: bool = False) -> SSL.Context:
        """A context with its own certificate; ``stateful`` tickets hold an index into the server's memory only."""
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256")
        key = ec.generate_private_key(ec.SECP256R1())
        context.use_certificate(self._certificate(name, key, ca=False))
        context.use_privatekey(key)
        store = context.get_cert_store()
        assert store is not None
        store.add_cert(crypto.X509.from_cryptography(self._authority))
        mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        context.set_verify(mode, lambda _connection, _certificate, _error, _depth, accepted: bool(accepted))
        context.set_session_id(b"calibration")
        # pyOpenSSL has no public call for the group list.
        assert SSL._lib.SSL_CTX_set1_curves_list(context._context, groups) == 1, groups
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF if stateful else SSL.SESS_CACHE_BOTH)
        if stateful:
            context.set_options(SSL.OP_NO_TICKET)
        return context

    def _certificate(self, name: str, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        def named(common_name: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named("authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            # The machine's clock decides nothing here: valid for as long as anybody will calibrate.
            .not_valid_before(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
            .not_valid_after(datetime.datetime(2200, 1, 1, tzinfo=datetime.UTC))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            spiffe_id = x509.UniformResourceIdentifier(f"spiffe://{_TRUST_DOMAIN}/ns/default/sa/{name}")
            builder = builder.add_extension(x509.SubjectAlternativeName([spiffe_id]), critical=False)
        return builder.sign(self._authority_key, hashes.SHA256())


def _advance(connection: SSL.Connection, received: bytes) -> bytes:
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
    hello = _advance(client, b"")
    times[f"{name}/client_hello"] = watch.lap()
    watch.start()
    server = _server(contexts[1])
    flight = _advance(server, hello)
    times[f"{name}/server_flight"] = watch.lap()
    watch.start()
    finish = _advance(client, flight)
    times[f"{name}/client_finish"] = watch.lap()
    watch.start()
    tickets = _advance(server, finish)
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
    hybrid_context = ends.context("client", b"X25519MLKEM768")

    def probe() -> Round:
        # One after the other, because differences between these are what is wanted.
        full, client, _server_end = _handshake(watch, "full", contexts)
        session = client.get_session()
        # OpenSSL uses a TLS 1.3 ticket once: each resumed handshake needs a full one before it.
        resumed, client, _server_end = _handshake(watch, "resumed", contexts, session)
        assert SSL._lib.SSL_session_reused(client._ssl) == 1, "the session was not resumed"
        stateful = _handshake(watch, "stateful", stateful_contexts)[0]
        watch.start()
        _advance(_client(hybrid_context), b"")
        return full | resumed | stateful | {"hybrid/client_hello": watch.lap()}

    return probe


def _hello_retry_request(watch: Stopwatch) -> Probe:
    ends = _Ends()
    hello = _advance(_client(ends.context("client", b"X25519:P-256")), b"")
    context = ends.context("server", b"P-256")

    def probe() -> Round:
        watch.start()
        answer = _advance(_server(context), hello)
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
        _advance(client, b"")
        watch.start()
        with suppress(SSL.Error):
            _advance(client, alert)
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


def _tcp_message(watch: Stopwatch) -> Probe:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver, _address = listener.accept()
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    message = b"x" * 1_024

    def probe() -> Round:
        watch.start()
        sender.sendall(message)
        received = len(receiver.recv(len(message), socket.MSG_WAITALL))
        time_ns = watch.lap()
        assert received == len(message), "loopback delivers"
        return {"tcp.both_ends": time_ns}

    return probe


def _http2(watch: Stopwatch) -> Probe:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    request = [(":method", "GET"), (":scheme", "https"), (":authority", "service"), (":path", "/item/1")]
    body = b"x" * 1_024
    client.initiate_connection()
    server.initiate_connection()

    def exchange() -> None:
        stream = client.get_next_available_stream_id()
        client.send_headers(stream, request, end_stream=True)
        server.receive_data(client.data_to_send())
        server.send_headers(stream, [(":status", "200")])
        server.send_data(stream, body, end_stream=True)
        for event in client.receive_data(server.data_to_send()):
            if isinstance(event, h2.events.DataReceived):
                client.acknowledge_received_data(event.flow_controlled_length, stream)
        server.receive_data(client.data_to_send())

    exchange()
    return _call(watch, "http2", exchange)


def _decision(count: int) -> Callable[[], object]:
    """A decision by Cedar among ``count`` policies, the last of which permits the question."""
    services = [f"service-{number}" for number in range(count)]
    workloads = {f"spiffe://{_TRUST_DOMAIN}/ns/default/sa/{service}": service for service in [*services, "caller"]}
    policies = "\n".join(
        f'@id("allow-{service}") permit (principal, action, resource == Service::"{service}") '
        'when { context.path like "/item/*" };'
        for service in services
    )
    directory = Directory(
        services=frozenset([*services, "caller"]), trust_domains=frozenset([_TRUST_DOMAIN]), workloads=workloads
    )
    engine = CedarEngine.from_sources([PolicyFile("calibration.cedar", policies)], directory)
    question = Question(
        principal=f"spiffe://{_TRUST_DOMAIN}/ns/default/sa/caller",
        source="caller",
        destination=services[-1],
        method="GET",
        path="/item/1",
        slice="",
        site="",
        mutual=True,
    )
    decision = engine.decide(question)
    assert decision.allowed, f"the policy permits the question, but {decision}"
    return partial(engine.decide, question)
