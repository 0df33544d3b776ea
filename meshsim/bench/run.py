"""One benchmark: every measurement in turn, several times over, so that a machine's moods strike all alike."""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable
from statistics import median

import msgspec

from meshsim.bench.chain import Totals, mean_latency_ns, run_chain, run_floor, tolerance_ns
from meshsim.bench.mesh import (
    LARGE_BODIES,
    LARGE_BYTES,
    ONE_REQUEST_EACH,
    SMALL_BYTES,
    MeshShares,
    MeshTime,
    handshakes_openssl_share,
    mesh_shares,
    run_handshakes,
    run_mesh,
    tls_openssl_share,
)
from meshsim.scenario.errors import InvariantViolation, UsageError

DEFAULT_REQUESTS = 40_000
"""So many that the 100 first decisions and handshakes of the mesh, done once, hardly weigh."""
QUICK_REQUESTS = 1_000
MINIMUM_REQUESTS = 200
REPETITIONS = 5
FIDELITIES = ("modelled", "sampled", "real")
REAL_EVERY = 20
"""Fidelity real gets one request for so many of the others."""
HANDSHAKE_EVERY = 100
"""One real handshake is timed for so many requests."""

EXCHANGES = 20
"""Messages each way for each handshake, where the sidecars' TLS is alone: as many as there are in the mesh."""
FEWEST_SHARED = 30
"""Requests of the mesh of which the shares say anything."""

Progress = Callable[[int, int], None]


class BenchResult(msgspec.Struct, frozen=True):
    """Speeds per second of CPU time: medians over the repetitions, and of each repetition's ratio to its floor."""

    requests: int
    """Requests of each repetition; a twentieth of it at fidelity real."""
    repetitions: int
    floor_per_s: float
    """Requests of the hand-written loop."""
    chain_per_s: float
    """Requests over the same network on the simulator's clock, links and cores."""
    mesh_modelled_per_s: float
    """Requests through the whole mesh, tables written, by fidelity."""
    mesh_sampled_per_s: float
    mesh_real_per_s: float
    handshakes_real_per_s: float
    """Full mutual TLS 1.3 handshakes of OpenSSL, both ends, each compared with its prediction."""
    handshakes_real_openssl_share: float
    """OpenSSL's part of the CPU time of those; the rest is the prediction, and what drives and compares."""
    mesh_real_openssl_share: float
    """OpenSSL's part of the CPU time of the mesh at fidelity real."""
    mesh_real_cedar_share: float
    """Cedar's part of it."""
    mesh_real_nghttp2_share: float
    """Libnghttp2's part of it; what OpenSSL, Cedar and libnghttp2 leave is meshsim's own."""
    mesh_real_connections_openssl_share: float
    """OpenSSL's part where each request has a connection of its own."""
    mesh_real_bodies_openssl_share: float
    """OpenSSL's part where bodies have 64 KiB each way."""
    tls_openssl_share: float
    """OpenSSL's part of the sidecars' TLS alone: a handshake, and messages of 1200 bytes, 20 each way."""
    tls_bodies_openssl_share: float
    """The same with messages of 64 KiB."""
    chain_of_floor: float
    mesh_modelled_of_floor: float
    mesh_sampled_of_floor: float
    mesh_real_of_floor: float
    sampled_of_modelled: float
    peak_rss_mb: float
    """Largest resident memory of the process so far, in 10^6 bytes."""
    chain_mean_ms: float
    """Mean latency of the chain: simulated, in milliseconds."""
    theory_mean_ms: float
    """The same by queueing theory."""
    theory_tolerance_ms: float
    theory_agrees: bool

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (what, per second, of the floor) for people to read."""
        speeds = [
            ("heapq loop, 8 events a request (the floor)", self.floor_per_s, 1.0),
            ("network chain", self.chain_per_s, self.chain_of_floor),
            ("mesh, modelled", self.mesh_modelled_per_s, self.mesh_modelled_of_floor),
            ("mesh, sampled", self.mesh_sampled_per_s, self.mesh_sampled_of_floor),
            ("mesh, real", self.mesh_real_per_s, self.mesh_real_of_floor),
        ]
        rows = [(what, f"{per_s:,.0f}", _ratio(ratio)) for what, per_s, ratio in speeds]
        return [*rows, ("real handshakes", f"{self.handshakes_real_per_s:,.0f}", "")]

    def shares(self) -> str:
        """Return what OpenSSL takes of the real parts, as a sentence."""
        return (
            f"OpenSSL takes {self.handshakes_real_openssl_share:.0%} of real handshakes' CPU time, "
            f"{self.tls_openssl_share:.0%} of the sidecars' TLS alone ({self.tls_bodies_openssl_share:.0%} with 64 KiB "
            f"messages), {self.mesh_real_openssl_share:.0%} of the mesh's at fidelity real "
            f"({self.mesh_real_connections_openssl_share:.0%} with a connection for each request, "
            f"{self.mesh_real_bodies_openssl_share:.0%} with 64 KiB bodies)"
        )

    def parts(self) -> str:
        """Return what the mesh at fidelity real takes its CPU time for, as a sentence."""
        took = MeshShares(self.mesh_real_openssl_share, self.mesh_real_cedar_share, self.mesh_real_nghttp2_share)
        return (
            f"the mesh at fidelity real: OpenSSL {took.openssl:.0%}, Cedar {took.cedar:.0%}, "
            f"libnghttp2 {took.nghttp2:.0%}, meshsim itself {took.rest:.0%}"
        )

    def notes(self) -> list[str]:
        """Return what else there is to say, a line each."""
        verdict = "agrees" if self.theory_agrees else "DISAGREES"
        return [
            f"mean latency of the chain {self.chain_mean_ms:.3f} ms, by theory {self.theory_mean_ms:.3f} ms: "
            f"{verdict} (within {self.theory_tolerance_ms:.3f} ms)",
            self.shares(),
            self.parts(),
            f"peak memory {self.peak_rss_mb:,.0f} MB",
        ]


def run_bench(requests: int = DEFAULT_REQUESTS, progress: Progress | None = None) -> BenchResult:
    """Measure everything ``REPETITIONS`` times over; ``progress`` is called with the steps done and all steps.

    Raises UsageError for fewer than ``MINIMUM_REQUESTS``; InvariantViolation when the chain and the loop do not come to
    the same latencies, or the fidelities not to the same digest.
    """
    if requests < MINIMUM_REQUESTS:
        raise UsageError(f"{requests} requests are too few to time; expected at least {MINIMUM_REQUESTS}")
    steps = REPETITIONS * 4 + 1
    rounds: list[_Round] = []
    for number in range(REPETITIONS):
        one = _Round(requests)
        for step, measure in enumerate((one.network, one.meshes, one.real, one.handshakes)):
            gc.collect()
            measure()
            if progress is not None:
                progress(number * 4 + step + 1, steps)
        rounds.append(one)
    shares = _Shares(requests)
    if progress is not None:
        progress(steps, steps)
    return _result(requests, rounds, shares)


def real_of(requests: int) -> int:
    """Return how many requests fidelity real gets."""
    return max(1, requests // REAL_EVERY)


def handshakes_of(requests: int) -> int:
    """Return how many real handshakes are timed."""
    return max(1, requests // HANDSHAKE_EVERY)


class _Shares:
    """What the real components take, measured once: timing their calls takes time itself."""

    def __init__(self, requests: int) -> None:
        real = real_of(requests)
        self.handshakes = handshakes_openssl_share(handshakes_of(requests))
        connections = max(1, real // EXCHANGES)
        self.tls = tls_openssl_share(connections, EXCHANGES, SMALL_BYTES)
        self.tls_bodies = tls_openssl_share(connections, EXCHANGES, LARGE_BYTES)
        self.mesh: MeshShares = mesh_shares(real)
        # These requests take several times as long.
        self.connections = mesh_shares(max(FEWEST_SHARED, real * 3 // 10), ONE_REQUEST_EACH).openssl
        self.bodies = mesh_shares(max(FEWEST_SHARED, real * 7 // 100), LARGE_BODIES).openssl


class _Round:
    """One repetition of everything."""

    def __init__(self, requests: int) -> None:
        self._requests = requests
        self.per_s: dict[str, float] = {}
        self.totals = Totals(0, 0)

    def network(self) -> None:
        """Time the loop and the chain, which must come to the same."""
        self.totals = self._time("floor", run_floor)
        if self._time("chain", run_chain) != self.totals:
            raise InvariantViolation("the chain and the loop over a heap came to different latencies")

    def _time(self, name: str, run: Callable[[int, int], Totals]) -> Totals:
        began_s = time.process_time()
        totals = run(self._requests, 1)
        self.per_s[name] = self._requests / (time.process_time() - began_s)
        return totals

    def meshes(self) -> None:
        """Time the mesh at the two fast fidelities, which must come to the same."""
        modelled, sampled = self._mesh("modelled", self._requests), self._mesh("sampled", self._requests)
        if modelled.digest != sampled.digest:
            raise InvariantViolation("fidelities modelled and sampled came to different digests")

    def real(self) -> None:
        """Time the mesh with real bytes throughout."""
        self._mesh("real", real_of(self._requests))

    def _mesh(self, fidelity: str, requests: int) -> MeshTime:
        mesh = run_mesh(requests, fidelity)
        self.per_s[fidelity] = mesh.requests / mesh.cpu_s
        return mesh

    def handshakes(self) -> None:
        """Time real handshakes."""
        count = handshakes_of(self._requests)
        self.per_s["handshakes"] = count / run_handshakes(count)


def _result(requests: int, rounds: list[_Round], shares: _Shares) -> BenchResult:
    def per_s(name: str) -> float:
        return median(one.per_s[name] for one in rounds)

    def ratio(name: str, to: str = "floor") -> float:
        return median(one.per_s[name] / one.per_s[to] for one in rounds)

    mean_ns, theory_ns = rounds[0].totals.latency_ns / requests, mean_latency_ns()
    return BenchResult(
        requests=requests,
        repetitions=len(rounds),
        floor_per_s=per_s("floor"),
        chain_per_s=per_s("chain"),
        mesh_modelled_per_s=per_s("modelled"),
        mesh_sampled_per_s=per_s("sampled"),
        mesh_real_per_s=per_s("real"),
        handshakes_real_per_s=per_s("handshakes"),
        handshakes_real_openssl_share=shares.handshakes,
        mesh_real_openssl_share=shares.mesh.openssl,
        mesh_real_cedar_share=shares.mesh.cedar,
        mesh_real_nghttp2_share=shares.mesh.nghttp2,
        mesh_real_connections_openssl_share=shares.connections,
        mesh_real_bodies_openssl_share=shares.bodies,
        tls_openssl_share=shares.tls,
        tls_bodies_openssl_share=shares.tls_bodies,
        chain_of_floor=ratio("chain"),
        mesh_modelled_of_floor=ratio("modelled"),
        mesh_sampled_of_floor=ratio("sampled"),
        mesh_real_of_floor=ratio("real"),
        sampled_of_modelled=ratio("sampled", "modelled"),
        peak_rss_mb=peak_rss_bytes() / 1_000_000,
        chain_mean_ms=mean_ns / 1_000_000,
        theory_mean_ms=theory_ns / 1_000_000,
        theory_tolerance_ms=tolerance_ns(requests) / 1_000_000,
        theory_agrees=abs(mean_ns - theory_ns) <= tolerance_ns(requests),
    )


def peak_rss_bytes() -> int:
    """Return the largest resident memory that this process has had."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024  # macOS counts bytes, Linux KiB


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3f}"
