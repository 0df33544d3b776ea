"""Figures of trust between trust domains: what is counted, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import meshsim
from meshsim.analysis.federation_figures import explained_federation

STUDIES = Path(__file__).parents[2] / "scenarios" / "studies"
S = 1_000_000_000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A rotation that the other trust domain hears of too late, with few requests."""
    overrides = {"traffic.0.arrivals": {"poisson": "1 /s"}}
    out = tmp_path_factory.mktemp("federation") / "run"
    return meshsim.run(STUDIES / "federation-late.yaml", overrides=overrides, out=out)


def test_each_relationship_has_figures(run: Any) -> None:
    """Who fetches whose bundle: what came of fetches, what is held at the end, and handshakes that it refused."""
    plant, partner = run.summary["federation"]
    assert (plant["trust_domain"], plant["of"]) == ("plant.example", "partner.example")
    assert [plant[event] for event in ("taken", "unchanged", "refused", "failed", "stale")] == [1, 4, 0, 0, 0]
    assert (plant["sequence"], plant["authorities"]) == (2, 2)
    assert 55 * S < plant["lag_max_ns"] < 56 * S
    assert 0 < plant["refused_handshakes"] < plant["handshakes"]
    assert (partner["taken"], partner["lag_max_ns"], partner["refused_handshakes"]) == (0, None, 0)


def test_metrics_agree_with_figures(run: Any) -> None:
    """What expectations bound is what the summary says, and a phase holds what happened in it."""
    plant = run.summary["federation"][0]
    assert run.metric("handshakes_refused_across") == plant["refused_handshakes"]
    assert run.metric("bundles_taken") == 1
    assert run.metric("bundle_fetches_failed") == run.metric("bundles_stale") == run.metric("bundles_refused") == 0
    assert run.metric("handshakes_refused_across", during="before") == 0


def test_who_is_not_trusted_is_told(tmp_path: Path) -> None:
    """One that fetches no bundle, and so refuses everybody of the other trust domain, is listed too."""
    overrides = {"traffic.0.arrivals": {"poisson": "0.1 /s"}}
    run = meshsim.run(STUDIES / "federation-one-way.yaml", overrides=overrides, out=tmp_path / "run")
    plant, partner = run.summary["federation"]
    assert (plant["trusted"], partner["trusted"]) == (True, False)
    assert plant["refused_handshakes"] == 0
    assert partner["refused_handshakes"] == partner["handshakes"] > 10
    ((_, _, rows, _),) = explained_federation(run.summary)
    assert rows[1][1:3] == ("none, for it does not trust it", "-")


def test_it_is_told(run: Any) -> None:
    """People read it in one table; without further trust domains there is none."""
    ((title, columns, rows, _),) = explained_federation(run.summary)
    assert title == "Trust between trust domains"
    assert len(columns) == len(rows[0])
    assert rows[0][:3] == (
        "plant.example of partner.example",
        "1 taken, 4 unchanged, new ones after up to 55.1 s",
        "2 authorities",
    )
    assert list(explained_federation({})) == []
