"""The mesh on the chain's network, and real handshakes on their own."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from meshsim.bench.chain import REQUESTS_PER_S
from meshsim.bench.openssl_time import OpenSslTime, openssl_timed
from meshsim.identity.authority import Authority
from meshsim.identity.bundle import TrustBundle, by_trust_domain
from meshsim.results.content import run_digest
from meshsim.results.tables import ParquetSink
from meshsim.scenario.loader import load_scenario
from meshsim.sidecar.tls.oracle import Oracle
from meshsim.sidecar.tls.prediction import HandshakeCase, predict
from meshsim.sidecar.tls.settings import TlsSettings, TlsSide
from meshsim.telemetry.recorder import Recorder
from meshsim.world.world import World

SCENARIO = Path(__file__).parent / "data" / "bench.yaml"
TRUST_DOMAIN = "bench.example"
_YEAR_NS = 365 * 86_400 * 1_000_000_000


class MeshTime(msgspec.Struct, frozen=True):
    """What one run of the mesh took."""

    requests: int
    cpu_s: float
    """CPU time of running and of writing the tables; loading and building the world are not in it."""
    digest: str


def run_mesh(requests: int, fidelity: str) -> MeshTime:
    """Run the mesh for as long as ``requests`` take on average, its tables written to a temporary folder."""
    duration_ms = max(1, requests * 1_000 // REQUESTS_PER_S)
    loaded = load_scenario(SCENARIO, [f"duration={duration_ms} ms", f"fidelity={fidelity}"])
    with TemporaryDirectory(prefix="meshsim-bench-") as folder:
        sink = ParquetSink(Path(folder))
        world = World(loaded, Recorder(sink))
        began_s = time.process_time()
        world.run()
        tables = sink.close()
        cpu_s = time.process_time() - began_s
    return MeshTime(tables["requests"][0], cpu_s, run_digest(tables))


def run_handshakes(count: int, openssl: OpenSslTime | None = None) -> float:
    """Return the CPU time of ``count`` full handshakes of OpenSSL at both ends, each held against its prediction.

    ``openssl`` has afterwards what OpenSSL took of that.
    """
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
    oracle = Oracle({authority.id: authority})
    oracle.check(case, predict(case))  # certificates are made when they are first wanted
    if openssl is not None:
        openssl.reset()
    began_s = time.process_time()
    for _ in range(count):
        oracle.check(case, predict(case))
    return time.process_time() - began_s


def handshakes_openssl_share(count: int) -> float:
    """Return OpenSSL's share of the CPU time of real handshakes."""
    with openssl_timed() as openssl:
        cpu_s = run_handshakes(count, openssl)
    return openssl.share(cpu_s)


def mesh_openssl_share(requests: int) -> float:
    """Return OpenSSL's share of the CPU time of the mesh at fidelity real."""
    with openssl_timed() as openssl:
        mesh = run_mesh(requests, "real")
    return openssl.share(mesh.cpu_s)
