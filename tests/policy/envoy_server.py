"""A real Envoy on loopback, and a plain client to put questions to it."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Json = dict[str, Any]
FIRST_PORT, PORTS = 10_000, 20_000
_asked = itertools.count()
WAIT_S = 20.0
"""Longest wait for Envoy to listen, and for an answer."""


def envoy_binary() -> str | None:
    """Envoy beside this Python, or anywhere; None without one."""
    beside = Path(sys.executable).with_name("envoy")
    return str(beside) if beside.exists() else shutil.which("envoy")


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, and that no client is given: below those, at a place of this process's.

    Envoy shares a port with another Envoy that has it, so that a test in another process must not be given the same.
    """
    ports: list[int] = []
    for port in (FIRST_PORT + (os.getpid() * 331 + step) % PORTS for step in itertools.count(next(_asked) * 500)):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        ports.append(port)
        if len(ports) == count:
            break
    return ports


@contextmanager
def running(listeners: Sequence[Json], clusters: Sequence[Json], folder: Path, ports: Sequence[int]) -> Iterator[None]:
    """Run Envoy with listeners until the block ends; waits until it listens on ``ports``."""
    with configured({"static_resources": {"listeners": [*listeners], "clusters": [*clusters]}}, folder, ports):
        yield


@contextmanager
def configured(bootstrap: Json, folder: Path, ports: Sequence[int]) -> Iterator[None]:
    """Run Envoy as a bootstrap says until the block ends; waits until it listens on ``ports``."""
    binary = envoy_binary()
    assert binary is not None
    config = folder / "envoy.json"
    config.write_text(json.dumps(bootstrap))
    log = folder / "envoy.log"
    command = [binary, "-c", str(config), "--use-dynamic-base-id", "--concurrency", "1", "-l", "warn"]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait(process, ports, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], ports: Sequence[int], log: Path) -> None:
    end = time.monotonic() + WAIT_S
    for port in ports:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), WAIT_S).close()
                break
            except OSError:
                assert process.poll() is None, f"Envoy ended: {log.read_text()[-2000:]}"
                assert time.monotonic() < end, "Envoy does not listen"
                time.sleep(0.02)


class Identities:
    """A CA, a server certificate, and client certificates by SPIFFE ID, in PEM files."""

    def __init__(self, folder: Path, spiffe_ids: Sequence[str]) -> None:
        self._folder = folder
        self._ca_key = ec.generate_private_key(ec.SECP256R1())
        self._ca = self._certificate("ca", None, self._ca_key)
        self.ca = self._write("ca", self._ca, self._ca_key)
        self.server = self._issued("server", "spiffe://mesh.example/ns/foo/sa/server")
        self.clients = {
            spiffe_id: self._issued(f"client-{index}", spiffe_id) for index, spiffe_id in enumerate(spiffe_ids)
        }

    def _issued(self, name: str, spiffe_id: str) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        return self._write(name, self._certificate(name, spiffe_id, key), key)

    def _certificate(self, name: str, spiffe_id: str | None, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)] if spiffe_id is None else [])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ca")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=spiffe_id is None, path_length=None), critical=True)
        )
        if spiffe_id is not None:
            names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe_id)])
            builder = builder.add_extension(names, critical=True)
        return builder.sign(self._ca_key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Path:
        path = self._folder / f"{name}.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)
        return path

    def context(self, spiffe_id: str) -> ssl.SSLContext:
        """A client's side of TLS; without an identity for an empty SPIFFE ID."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if spiffe_id:
            context.load_cert_chain(self.clients[spiffe_id])
        return context

    def transport_socket(self) -> Json:
        """The listener's side of TLS, which takes clients without a certificate too."""
        common = {
            "tls_certificates": [
                {"certificate_chain": {"filename": str(self.server)}, "private_key": {"filename": str(self.server)}}
            ],
            "validation_context": {"trusted_ca": {"filename": str(self.ca)}},
        }
        kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
        return {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {"@type": kind, "require_client_certificate": False, "common_tls_context": common},
        }


def listener(name: str, address: tuple[str, int], filters: Sequence[Json], tls: Json) -> Json:
    """A listener that takes TLS and plaintext on one port, as a sidecar in PERMISSIVE mode does."""
    kind = "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
    return {
        "name": name,
        "address": {"socket_address": {"address": address[0], "port_value": address[1]}},
        "listener_filters": [{"name": "tls_inspector", "typed_config": {"@type": kind}}],
        "filter_chains": [
            {"filter_chain_match": {"transport_protocol": "tls"}, "filters": [*filters], "transport_socket": tls},
            {"filter_chain_match": {"transport_protocol": "raw_buffer"}, "filters": [*filters]},
        ],
    }


def http_manager(filters: Sequence[Json], options: Json, answer: Mapping[str, str]) -> Json:
    """A connection manager that answers each request itself; the body tells the keys of ``answer``."""
    kind = "type.googleapis.com/envoy.extensions.filters."
    route = {"match": {"safe_regex": {"regex": ".*"}}, "direct_response": {"status": 200}}
    router = {"name": "router", "typed_config": {"@type": f"{kind}http.router.v3.Router"}}
    config = {
        "@type": f"{kind}network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "use_remote_address": False,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [*filters, router],
        "local_reply_config": {"body_format": {"json_format": dict(answer)}},
        **options,
    }
    return {"name": "http", "typed_config": config}


class Client:
    """Connections that stay open, by who asks and where."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        self._open: dict[tuple[object, ...], http.client.HTTPConnection] = {}

    def connect(self, to: tuple[str, int], source_ip: str, identity: str | None, sni: str) -> socket.socket:
        """A new connection: plaintext for no identity, TLS without a certificate for an empty one."""
        raw = socket.create_connection(to, WAIT_S, (source_ip, 0))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if identity is None:
            return raw
        return self._identities.context(identity).wrap_socket(raw, server_hostname=sni or None)

    def request(
        self,
        to: tuple[str, int],
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]],
        source_ip: str = "127.0.0.1",
        identity: str | None = None,
        sni: str = "",
    ) -> tuple[int, Json]:
        """Ask; returns the status and the body's JSON."""
        key = (to, source_ip, identity, sni)
        connection = self._open.get(key)
        if connection is None:
            connection = self._open[key] = http.client.HTTPConnection(*to, timeout=WAIT_S)
            connection.sock = self.connect(to, source_ip, identity, sni)
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
        if response.will_close:
            self._open.pop(key).close()
        return response.status, json.loads(body) if body.startswith(b"{") else {}

    def close(self) -> None:
        """Close every connection."""
        for connection in self._open.values():
            connection.close()
