"""The benchmark: what it measures is the same work, and its figures hang together. No test looks at a speed."""

from __future__ import annotations

import json

import msgspec
import pytest

from meshsim.bench import run as bench
from meshsim.bench.chain import Totals, mean_latency_ns, run_chain, run_floor, tolerance_ns
from meshsim.bench.mesh import run_handshakes, run_mesh
from meshsim.scenario.errors import InvariantViolation, UsageError

CONTRACT = {
    "floor_per_s",
    "chain_per_s",
    "mesh_modelled_per_s",
    "mesh_sampled_per_s",
    "mesh_real_per_s",
    "handshakes_real_per_s",
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
