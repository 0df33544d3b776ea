"""The mesh on the chain's network, and real handshakes on their own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from meshsim.bench.call_time import CallTime, shares
from meshsim.bench.chain import REQUESTS_PER_S
from meshsim.bench.engines_time import cedar_timed, nghttp2_timed
from meshsim.bench.openssl_time import openssl_timed
from meshsim.identity.authority import Authority
from meshsim.identity.bundle import TrustBundle, by_trust_domain
from meshsim.results.content import run_digest
from meshsim.results.tables import ParquetSink
from meshsim.scenario.errors import InvariantViolation
from meshsim.scenario.loader import load_scenario
from meshsim.sidecar.tls.machine import TlsClient, TlsServer
from meshsim.sidecar.tls.openssl import Engines
from meshsim.sidecar.tls.oracle import Oracle
from meshsim.sidecar.tls.prediction import HandshakeCase, predict
from meshsim.sidecar.tls.settings import TlsSettings, TlsSide
from meshsim.telemetry.recorder import Recorder
from meshsim.world.world import World

SCENARIO = Path(__file__).parent / "data" / "bench.yaml"
TRUST_DOMAIN = "bench.example"
ONE_REQUEST_EACH = ("mesh.destinations={server: {pool: {requests_per_connection: 1}}}",)
"""Overrides with which each request has a connection of its own."""
LARGE_BODIES = ("traffic.0.request=64 KiB", "traffic.0.response=64 KiB")
SMALL_BYTES, LARGE_BYTES = 1_200, 65_536
"""Bodies of the scenario, and those of the overrides."""
_YEAR_NS = 365 * 86_400 * 1_000_000_000


class MeshTime(msgspec.Struct, frozen=True):
    """What one run of the mesh took."""

    requests: int
    cpu_s: float
    """CPU time of running and of writing the tables; loading and building the world are not in it."""
    digest: str


class MeshShares(msgspec.Struct, frozen=True):
    """What the real components take of the CPU time of the mesh at fidelity real."""

    openssl: float
    cedar: float
    nghttp2: float

    @property
    def rest(self) -> float:
        """What is left: the simulation, its tables, and what calls the libraries and compares."""
        return 1 - self.openssl - self.cedar - self.nghttp2


def run_mesh(requests: int, fidelity: str, overrides: Sequence[str] = ()) -> MeshTime:
    """Run the mesh for as long as ``requests`` take on average, its tables written to a temporary folder."""
    duration_ms = max(1, requests * 1_000 // REQUESTS_PER_S)
    loaded = load_scenario(SCENARIO, [f"duration={duration_ms} ms", f"fidelity={fidelity}", *overrides])
    with TemporaryDirectory(prefix="meshsim-bench-") as folder:
        sink = ParquetSink(Path(folder))
        world = World(loaded, Recorder(sink))
        began_s = time.process_time()
        world.run()
        tables = sink.close()
        cpu_s = time.process_time() - began_s
    return MeshTime(tables["requests"][0], cpu_s, run_digest(tables))


def run_handshakes(count: int, openssl: CallTime | None = None) -> float:
    """Return the CPU time of ``count`` full handshakes of OpenSSL at both ends, each held against its prediction.

    ``openssl`` has afterwards what OpenSSL took of that.
    """
    case, authority = _case()
    oracle = Oracle({authority.id: authority})
    oracle.check(case, predict(case))  # certificates are made when they are first wanted
    if openssl is not None:
        openssl.reset()
    began_s = time.process_time()
    for _ in range(count):
        oracle.check(case, predict(case))
    return time.process_time() - began_s


def _case() -> tuple[HandshakeCase, Authority]:
    """Return a full mutual handshake, and who has issued both certificates."""
    authority = Authority(TRUST_DOMAIN, "root", 1, "ecdsa-p256", 0, _YEAR_NS)
    bundles = by_trust_domain([TrustBundle(TRUST_DOMAIN, frozenset((authority.id,)))])
    client, server = (
        authority.issue(f"spiffe://{TRUST_DOMAIN}/{name}", "ecdsa-p256", 0, _YEAR_NS, 0, name)
        for name in ("client", "server")
    )
    case = HandshakeCase(
        client=TlsSide(settings=TlsSettings(), svid=client, bundles=bundles),
        server=TlsSide(settings=TlsSettings(), svid=server, bundles=bundles, ticket_key="server"),
        expected_peers=frozenset((server.spiffe_id,)),
        client_clock_ns=_YEAR_NS // 2,
        server_clock_ns=_YEAR_NS // 2,
        ticket=None,
    )
    return case, authority


def run_tls(connections: int, exchanges: int, message_bytes: int, openssl: CallTime | None = None) -> float:
    """Return the CPU time of the sidecars' TLS alone, real bytes throughout: no network, no policy, no HTTP.

    On each connection a full mutual handshake by both ends' machines, with OpenSSL riding along, as in the mesh; then
    ``exchanges`` of a message each way, which one end seals and the other opens and holds against what was sent.
    ``openssl`` has afterwards what OpenSSL took of that. Raises InvariantViolation for a message that is another.
    """
    case, authority = _case()
    engines = Engines({authority.id: authority})
    message = (bytes(range(256)) * (message_bytes // 256 + 1))[:message_bytes]
    _use_connection(engines, case, message, 1)  # certificates are made when they are first wanted
    if openssl is not None:
        openssl.reset()
    began_s = time.process_time()
    for _ in range(connections):
        _use_connection(engines, case, message, exchanges)
    return time.process_time() - began_s


def _use_connection(engines: Engines, case: HandshakeCase, message: bytes, exchanges: int) -> None:
    one, other = engines.client(case.client, case.expected_peers), engines.server(case.server)
    client = TlsClient(case.client, case.expected_peers, engine=one)
    server = TlsServer(case.server, other)
    step, reached = client.start(case.client_clock_ns), 0
    while step.flights:
        end, clock_ns = ((server, case.server_clock_ns), (client, case.client_clock_ns))[reached % 2]
        step = end.receive(step.flights[0], clock_ns)
        reached += 1
    for _ in range(exchanges):
        for sender, receiver in ((one, other), (other, one)):
            if receiver.open(sender.seal(message)) != message:
                raise InvariantViolation("OpenSSL opened other bytes than it had sealed")


def tls_openssl_share(connections: int, exchanges: int, message_bytes: int) -> float:
    """Return OpenSSL's share of the CPU time of the sidecars' TLS alone."""
    with openssl_timed() as openssl:
        cpu_s = run_tls(connections, exchanges, message_bytes, openssl)
    return openssl.share(cpu_s)


def handshakes_openssl_share(count: int) -> float:
    """Return OpenSSL's share of the CPU time of real handshakes."""
    with openssl_timed() as openssl:
        cpu_s = run_handshakes(count, openssl)
    return openssl.share(cpu_s)


def mesh_shares(requests: int, overrides: Sequence[str] = ()) -> MeshShares:
    """Return what the real components take of the CPU time of the mesh at fidelity real."""
    with openssl_timed() as openssl, cedar_timed() as cedar, nghttp2_timed() as nghttp2:
        mesh = run_mesh(requests, "real", overrides)
    return MeshShares(*shares(mesh.cpu_s, openssl, cedar, nghttp2))
