"""What real ends do beside handshakes: clocks, records, key logs, and strangers to talk to."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL

from meshsim.identity.authority import Authority
from meshsim.identity.bundle import TrustBundle
from meshsim.sidecar.tls.openssl import Engines, set_groups
from meshsim.sidecar.tls.outcome import EXPIRED
from meshsim.sidecar.tls.prediction import predict
from meshsim.sidecar.tls.records import CLOSE_NOTIFY_BYTES, MAX_RECORD_BYTES, record_count, sealed_size_bytes
from meshsim.sidecar.tls.settings import GROUPS, TlsSettings, TlsSide

SECOND = 10**9


def connect(mesh: Any, engines: Engines | None = None) -> tuple[Any, Any]:
    """Return two engines after a handshake."""
    case = mesh.case()
    engines = engines or mesh.engines
    client, server = engines.client(case.client, case.expected_peers), engines.server(case.server)
    to_server = client.start(case.client_clock_ns, None).output
    while to_server:
        to_client = server.receive(to_server, case.server_clock_ns).output
        to_server = client.receive(to_client, case.client_clock_ns).output if to_client else b""
    return client, server


@pytest.mark.parametrize("year", [1971, 2026, 2048])
def test_wall_clock_decides_nothing(mesh: Any, year: int) -> None:
    """Certificates of any year are accepted in their time and refused after it, whatever year it really is."""
    start = (year - 1970) * 31_556_952 * SECOND
    ca = Authority("plant.example", f"root of {year}", 1, "ecdsa-p256", start, start + 10_000 * SECOND)
    bundles = {"plant.example": TrustBundle("plant.example", frozenset({ca.id}))}
    engines = Engines({ca.id: ca})

    def side(name: str) -> TlsSide:
        svid = ca.issue(f"spiffe://plant.example/{name}", "ecdsa-p256", start, start + 10 * SECOND, 0)
        return TlsSide(TlsSettings(), svid, bundles)

    for offset, refused in ((5, None), (20, EXPIRED)):
        client = engines.client(side("client"), frozenset({"spiffe://plant.example/server"}))
        server = engines.server(side("server"))
        now = start + offset * SECOND
        report = client.receive(server.receive(client.start(now, None).output, now).output, now)
        assert (report.established is None) == (refused is not None)
        assert (report.refused.reason if report.refused else None) == refused


def test_groups_are_selected() -> None:
    """Every group that settings can name is known to OpenSSL, and an unknown one is not passed over."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    set_groups(context, GROUPS)
    with pytest.raises(AssertionError):
        set_groups(context, ("X25519", "no such group"))


@pytest.mark.parametrize("size", [0, 1, 1_000, MAX_RECORD_BYTES, MAX_RECORD_BYTES + 1, 300_000])
def test_records(mesh: Any, size: int) -> None:
    """Sealed bytes are as long as the arithmetic says, and open to what went in."""
    client, server = connect(mesh)
    data = Random(size).randbytes(size)
    sealed = client.seal(data)
    assert len(sealed) == sealed_size_bytes(size)
    assert server.open(sealed) == data
    answer = server.seal(data)
    assert client.open(answer) == data
    assert record_count(size) == -(-size // MAX_RECORD_BYTES)


def test_tampered_application_record(mesh: Any) -> None:
    """A record of application bytes that was changed on the way does not open."""
    client, server = connect(mesh)
    sealed = bytearray(client.seal(b"hello"))
    sealed[-1] ^= 1
    with pytest.raises(SSL.Error):
        server.open(bytes(sealed))


def test_close_notify_size(mesh: Any) -> None:
    """A close_notify is as long as the constant says."""
    client, _ = connect(mesh)
    client._connection.shutdown()
    assert len(client._connection.bio_read(1_000)) == CLOSE_NOTIFY_BYTES


def test_key_log(mesh: Any) -> None:
    """The key log holds the secrets of both ends' traffic in the NSS format."""
    lines: list[bytes] = []
    connect(mesh, Engines(mesh.authorities, lines.append))
    labels = {line.split()[0] for line in lines}
    assert {b"CLIENT_TRAFFIC_SECRET_0", b"SERVER_TRAFFIC_SECRET_0"} <= labels


def test_prediction_needs_no_openssl() -> None:
    """The modelled path imports neither pyOpenSSL nor cryptography."""
    code = (
        "import sys\n"
        "import meshsim.sidecar.tls.prediction, meshsim.sidecar.proxy, meshsim.sidecar.http_sizes\n"
        "assert not {'OpenSSL', 'cryptography', 'h2', 'ngh2'} & set(sys.modules), sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def stranger(mesh: Any, end: str, folder: Path) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    """Return an end of Python's own ssl module, which is built on another OpenSSL."""
    side = getattr(mesh.case(), end)
    material = mesh.root.material(side.svid)
    chain, roots = folder / "svid.pem", folder / "roots.pem"
    private = material.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain.write_bytes(private + material.certificate.public_bytes(Encoding.PEM))
    roots.write_bytes(mesh.root.root().certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if end == "server" else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= 0x200000  # certificates of the future: no check of times
    context.load_cert_chain(chain)
    context.load_verify_locations(roots)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return context.wrap_bio(incoming, outgoing, server_side=end == "server"), incoming, outgoing


@pytest.mark.parametrize("end", ["client", "server"])
def test_another_tls_library_accepts_us(mesh: Any, end: str, tmp_path: Path) -> None:
    """An end of Python's own ssl module, with its path checks, completes a mutual handshake with ours."""
    case = mesh.case()
    theirs, incoming, outgoing = stranger(mesh, end, tmp_path)
    ours = (
        mesh.engines.server(case.server) if end == "client" else mesh.engines.client(case.client, case.expected_peers)
    )
    reports = [] if end == "client" else [ours.start(case.client_clock_ns, None)]
    if reports:
        incoming.write(reports[-1].output)
    for _ in range(3):
        with contextlib.suppress(ssl.SSLWantReadError):
            theirs.do_handshake()
        wire = outgoing.read()
        if wire:
            reports.append(ours.receive(wire, case.server_clock_ns))
            incoming.write(reports[-1].output)
    assert theirs.version() == "TLSv1.3"
    (established,) = [report.established for report in reports if report.established is not None]
    assert established.mutual
    assert established.peer_spiffe_id == getattr(case, end).svid.spiffe_id
    theirs.write(b"hello")
    assert ours.open(outgoing.read()) == b"hello"
    incoming.write(ours.seal(b"good day"))
    assert theirs.read() == b"good day"


def test_sizes_differ_by_der_alone(mesh: Any) -> None:
    """Real flights keep to their nominal sizes: plain ones exactly, tickets by whole cipher blocks."""
    case = mesh.case(client__groups=("X25519MLKEM768",), server__groups=("X25519MLKEM768",))
    offsets: dict[str, set[int]] = {}
    for _ in range(20):
        full = mesh.play(case, real=True)
        resumed = mesh.play(msgspec.structs.replace(case, ticket=full.ticket), real=True)
        for phase, prediction in (("full", full), ("resumed", resumed)):
            for _end, flight in prediction.flights:
                offset = len(flight.wire) - flight.size_bytes
                offsets.setdefault(f"{phase} {type(flight).__name__}", set()).add(offset)
    for exact in ("full ClientHello", "resumed ServerFlight", "resumed ClientFinish"):
        assert offsets[exact] == {0}
    for blocks in ("full SessionTickets", "resumed ClientHello", "resumed SessionTickets"):
        assert all(offset % 16 == 0 for offset in offsets[blocks])
    assert predict(case).flights[1][1].size_bytes == 1935 + len(case.server.svid.spiffe_id)
