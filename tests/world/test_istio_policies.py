"""A mesh under Istio policies, run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import meshsim
from tests.inquiry.conftest import SCENARIO
from tests.inquiry.test_istio import POLICY


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
def test_istio_policies_decide_in_a_run(tmp_path: Path, fidelity: str) -> None:
    """Each call is decided by the policies of its destination, and the rows name Istio's rules, at any fidelity."""
    (tmp_path / "plant-policy.yaml").write_text(POLICY, encoding="utf-8")
    scenario = tmp_path / "plant.yaml"
    written = SCENARIO.replace("{files: [plant.cedar]}", "{engine: istio, files: [plant-policy.yaml]}")
    scenario.write_text(written.replace("to: planner,", "to: planner, path: /plans/7,"), encoding="utf-8")
    run = meshsim.run(scenario, fidelity=fidelity, out=tmp_path / "out")
    decisions = pd.read_parquet(Path(run.path) / "decisions.parquet")
    assert set(decisions["engine"]) == {"istio"}
    found = {tuple(row) for row in decisions[["destination", "allowed", "rule"]].itertuples(index=False)}
    assert found == {
        ("planner", True, "ns[plant]-policy[plans]-rule[0]"),
        ("vision", False, "default-deny"),
        ("viewer", True, "default-allow"),
    }
