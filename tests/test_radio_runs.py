"""Runs over a parametric radio, in a slice with a 5QI of the operator's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import meshsim

ROOT = Path(__file__).parent.parent
HELLO = (ROOT / "scenarios" / "hello-mesh.yaml").read_text(encoding="utf-8")
FIXED = "fixed: {uplink: 3 ms, downlink: 3 ms}"
OWN = """\
  five_qis:
    "131": {resource_type: Non-GBR, priority: 30, packet_delay_budget: 45 ms, packet_error_rate: 1e-4}
"""


def run(folder: Path, nr: str, **options: Any) -> meshsim.Run:
    """A run of the tutorial's scenario, its radio made from New Radio's parameters."""
    assert HELLO.count(FIXED) == 1
    text = HELLO.replace(FIXED, f"nr: {nr}").replace("five_qi: 80, latency_budget: 25 ms", "five_qi: 131")
    text = text.replace("network:\n", f"network:\n{OWN}", 1)
    text = text[: text.index("expect:")]
    (folder / "policies").mkdir(exist_ok=True)
    policy = ROOT / "scenarios" / "policies" / "hello-mesh.cedar"
    (folder / "policies" / policy.name).write_bytes(policy.read_bytes())
    scenario = folder / "radio.yaml"
    scenario.write_text(text, encoding="utf-8")
    return meshsim.run(scenario, **options)


def test_run_is_the_same_at_every_fidelity_and_has_the_budget(tmp_path: Path) -> None:
    """Over a lossy radio all fidelities give one digest, and the budget is that of the operator's own 5QI."""
    runs = [
        run(tmp_path, "{block_error_rate: 20 %}", fidelity=fidelity, out=tmp_path / fidelity)
        for fidelity in ("modelled", "sampled")
    ]
    assert len({one.digest for one in runs}) == 1
    assert set(runs[0].requests["budget_ns"]) == {45_000_000}
    assert set(runs[0].requests["outcome"]) == {"ok"}


@pytest.mark.parametrize("numerology", [0, 2])
def test_radio_time_follows_the_parameters(tmp_path: Path, numerology: int) -> None:
    """A configured grant takes less radio time than requests, with the same arrivals; no request is lost to errors."""
    settings = f"numerology: {numerology}"
    asked = run(tmp_path, f"{{{settings}}}", out=tmp_path / "asked").requests
    granted = run(tmp_path, f"{{{settings}, configured_grant_period: 5}}", out=tmp_path / "granted").requests
    assert sorted(asked["t_intended_ns"]) == sorted(granted["t_intended_ns"])
    assert granted["radio_ns"].median() < 0.8 * asked["radio_ns"].median()
    assert set(asked["outcome"]) == set(granted["outcome"]) == {"ok"}
