"""The benchmark: what it measures is the same work, and its figures hang together. No test looks at a speed."""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from pathlib import Path

import cedarpy
import msgspec
import pytest
from OpenSSL import SSL

from meshsim.bench import run as bench
from meshsim.bench import scale
from meshsim.bench.call_time import CallTime, shares
from meshsim.bench.chain import REQUESTS_PER_S, Totals, mean_latency_ns, run_chain, run_floor, tolerance_ns
from meshsim.bench.mesh import (
    ONE_REQUEST_EACH,
    SCENARIO,
    handshakes_openssl_share,
    mesh_shares,
    run_handshakes,
    run_mesh,
    run_tls,
    tls_openssl_share,
)
from meshsim.results.tables import ParquetSink
from meshsim.scenario.errors import InvariantViolation, UsageError
from meshsim.scenario.loader import load_scenario
from meshsim.sidecar import http_end
from meshsim.sidecar.tls import openssl_engine
from meshsim.sidecar.tls.openssl_bytes import read_message
from meshsim.telemetry.recorder import Recorder
from meshsim.world.world import World

CONTRACT = {
    "floor_per_s",
    "chain_per_s",
    "mesh_modelled_per_s",
    "mesh_sampled_per_s",
    "mesh_real_per_s",
    "handshakes_real_per_s",
    "handshakes_real_openssl_share",
    "mesh_real_openssl_share",
    "mesh_real_cedar_share",
    "mesh_real_nghttp2_share",
    "mesh_real_connections_openssl_share",
    "mesh_real_bodies_openssl_share",
    "tls_openssl_share",
    "tls_bodies_openssl_share",
    "peak_rss_mb",
}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_chain_and_floor_come_to_the_same_nanosecond(seed: int) -> None:
    """The loop over a heap and the simulator's own parts agree on the sum of all latencies exactly."""
    assert run_chain(3_000, seed) == run_floor(3_000, seed)


def test_chain_agrees_with_theory() -> None:
    """The mean latency of the chain is what queueing theory says, which is the design's 18.65 ms."""
    assert mean_latency_ns() == pytest.approx(18_650_000, abs=10_000)
    assert abs(run_chain(20_000, 1).latency_ns / 20_000 - mean_latency_ns()) < tolerance_ns(20_000)


def test_mesh_runs_at_every_fidelity_with_one_digest() -> None:
    """The benchmark's mesh comes to one digest at every fidelity."""
    runs = [run_mesh(120, fidelity) for fidelity in bench.FIDELITIES]
    assert len({one.digest for one in runs}) == 1
    assert runs[0].requests > 50


def test_handshakes_take_cpu_time() -> None:
    """Real handshakes agree with their prediction and take some time."""
    assert run_handshakes(3) > 0


def test_timing_counts_for_nothing() -> None:
    """Calls that do nothing take a smaller part of the time than what is measured of them, which is the timing's."""
    known, calls = CallTime(), 50_000
    timed = known.timed(lambda: None)
    began_s = time.process_time()
    for _ in range(calls):
        sum(range(100))
        timed()
    cpu_s = time.process_time() - began_s
    assert known.spent_ns > 0
    assert abs(known.share(cpu_s)) < known.spent_ns / (cpu_s * 1e9) / 2
    known.reset()
    assert known.spent_ns == 0


def test_libraries_share_what_is_left_of_their_timing() -> None:
    """Shares of several libraries are of one time, from which the timing of all their calls is taken off."""
    busy, idle = CallTime(), CallTime()
    busy_call, idle_call = busy.timed(lambda: sum(range(2_000))), idle.timed(lambda *, end: end)
    began_s = time.process_time()
    for _ in range(5_000):
        busy_call()
        for _ in range(4):
            idle_call(end=True)
    cpu_s = time.process_time() - began_s
    of_busy, of_idle = shares(cpu_s, busy, idle)
    assert abs(of_idle) < 0.3 < 0.6 < of_busy < 1.2
    assert of_busy > busy.share(cpu_s)  # which leaves the timing of the other in


def test_real_components_take_a_part() -> None:
    """Each share lies between nothing and all, and what was measured is itself again afterwards."""
    before = (SSL._lib, openssl_engine._ffi, http_end.Connection, cedarpy._internal.is_authorized_batch)
    assert 0 < handshakes_openssl_share(3) < 1
    assert 0 < tls_openssl_share(2, 3, 20_000) < 1
    took = mesh_shares(60)
    assert min(took.openssl, took.cedar, took.nghttp2, took.rest) > 0
    assert before == (SSL._lib, openssl_engine._ffi, http_end.Connection, cedarpy._internal.is_authorized_batch)


def test_tls_alone_opens_what_was_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends shake hands and open each other's messages, and another message than was sent stops it."""
    assert run_tls(2, 2, 40_000) > 0
    monkeypatch.setattr(openssl_engine, "read_message", lambda connection: read_message(connection)[1:] + b"x")
    with pytest.raises(InvariantViolation, match="other bytes"):
        run_tls(1, 1, 100)


def test_a_connection_for_each_request() -> None:
    """With the overrides that say so each request has a connection of its own; the digest is that of the model."""
    real, modelled = (run_mesh(40, fidelity, ONE_REQUEST_EACH) for fidelity in ("real", "modelled"))
    assert real.digest == modelled.digest
    assert real.digest != run_mesh(40, "modelled").digest


def test_result_has_the_keys_of_the_contract() -> None:
    """A benchmark gives every key that scripts rely on, as numbers, and reports its progress step by step."""
    steps: list[tuple[int, int]] = []
    result = bench.run_bench(200, lambda done, of: steps.append((done, of)))
    document = json.loads(msgspec.json.encode(result))
    assert document.keys() >= CONTRACT
    assert all(document[key] > 0 for key in CONTRACT)
    assert [done for done, _ in steps] == list(range(1, steps[0][1] + 1))
    assert document["theory_agrees"] is True
    assert len(result.rows()) == 6
    assert "agrees" in result.notes()[0]


def test_different_latencies_are_our_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain that comes to other latencies than the loop is an invariant violation."""
    monkeypatch.setattr(bench, "run_chain", lambda requests, seed: Totals(requests, 1))
    with pytest.raises(InvariantViolation, match="different latencies"):
        bench.run_bench(200)


def test_different_digests_are_our_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fidelities that come to different digests are an invariant violation."""
    real = bench.run_mesh

    def forged(requests: int, fidelity: str) -> object:
        return msgspec.structs.replace(real(requests, fidelity), digest=fidelity)

    monkeypatch.setattr(bench, "run_mesh", forged)
    with pytest.raises(InvariantViolation, match="different digests"):
        bench.run_bench(200)


def test_too_few_requests_are_refused() -> None:
    """So few requests that nothing could be timed are a mistake in the command."""
    with pytest.raises(UsageError, match="at least 200"):
        bench.run_bench(199)


def test_scale_measures_what_grows() -> None:
    """A small measurement of scale has every key, reports each step, and its run of its own is a whole one."""
    steps: list[tuple[int, int]] = []
    result = scale.measure(scale.QUICK, lambda done, of: steps.append((done, of)))
    document = json.loads(msgspec.json.encode(result))
    assert all(value > 0 for value in document.values())
    assert [done for done, _ in steps] == list(range(1, steps[0][1] + 1))
    assert result.shorter_requests * 4 == result.longer_requests
    assert result.peak_growth == pytest.approx(result.longer_peak_mb / result.shorter_peak_mb)
    assert len(result.rows()) == 6


@pytest.mark.parametrize(("nodes", "services"), [(10, 6), (50, 30), (100, 7)])
def test_scenarios_of_scale_are_whole(nodes: int, services: int, tmp_path: Path) -> None:
    """A scenario of any size passes every check and has the nodes and services that were asked for, all in use."""
    path = tmp_path / "scale.yaml"
    path.write_text(scale.scenario_text(nodes, services, 100), encoding="utf-8")
    loaded = load_scenario(path).scenario
    assert len(loaded.network.nodes) == nodes
    assert len(loaded.services) == services
    begun = {flow.to for flow in loaded.traffic}
    called = {step.to for service in loaded.services.values() for step in service.calls}  # type: ignore[union-attr] # single calls
    assert begun | called == set(loaded.services)


def _peak_bytes(requests: int, folder: Path) -> int:
    """Python's memory at its peak while the benchmark's mesh runs, with deadlines that are soon over."""
    loaded = load_scenario(SCENARIO, [f"duration={requests * 1_000 // REQUESTS_PER_S} ms", "traffic.0.timeout=500 ms"])
    sink = ParquetSink(folder)
    world = World(loaded, Recorder(sink))
    gc.collect()
    tracemalloc.start()
    try:
        world.run()
        sink.close()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_requests(tmp_path: Path) -> None:
    """Four times as many requests do not need more memory at the peak: nothing of a request outlives its deadline."""
    _peak_bytes(1_000, tmp_path)  # what is made once, whatever comes after
    peaks = [_peak_bytes(requests, tmp_path) for requests in (2_500, 10_000)]
    assert peaks[1] < 1.2 * peaks[0]


def test_a_run_too_short_for_its_memory_is_refused() -> None:
    """So few requests that memory could not be seen to grow are a mistake in the command."""
    with pytest.raises(UsageError, match="at least 4000"):
        scale.measure(msgspec.structs.replace(scale.QUICK, longest_requests=3_999))
