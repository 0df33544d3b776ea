"""The studies of identities: each says what it shows, and shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

import meshsim
from meshsim.analysis.report import overall

ROOT = Path(__file__).parent.parent
STUDIES = sorted((ROOT / "scenarios" / "studies").glob("*.yaml"))


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_study_shows_what_it_says(study: Path, tmp_path: Path) -> None:
    """Every expectation of a study holds, and its description says what it is about."""
    run = meshsim.run(study, out=tmp_path / "run")
    assert overall(run.summary) == "pass", run.expectations.query("verdict != 'pass'").to_string()
    assert run.scenario.scenario == study.stem
    assert len(run.scenario.description) > 100


@pytest.mark.parametrize("name", ["federation-late", "federation-locked-out", "federation-emptied"])
def test_studies_of_federation_at_every_fidelity(name: str, tmp_path: Path) -> None:
    """OpenSSL and real bundle documents come to what is predicted of refusals, lock-outs and revoked trust domains."""
    overrides = {"traffic.0.arrivals": {"poisson": "1 /s"}}
    runs = [
        meshsim.run(
            ROOT / "scenarios" / "studies" / f"{name}.yaml",
            fidelity=fidelity,
            overrides=overrides,
            out=tmp_path / fidelity,
        )
        for fidelity in ("real", "sampled", "modelled")
    ]
    assert len({run.digest for run in runs}) == 1
    assert runs[0].summary["totals"]["handshakes_refused"] > 10
