"""The studies: each says what it shows, shows it, and would fail if what it is about were otherwise."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

import meshsim
from meshsim.analysis.report import overall
from meshsim.commands.checking import check_files
from tests.test_docs import load, prose
from tests.test_scenarios import BASELINES, differences

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "scenarios" / "studies"
STUDIES = sorted(FOLDER.glob("*.yaml"))
SCHEMA_LINE = "# yaml-language-server: $schema=../../docs/scenario.schema.json\n"
CONTRARY = {
    "ca-outage-consul": "mesh.identity.rotate_at=40 %",
    "ca-outage-istio": "mesh.identity.rotate_at=30 %",
    "ca-outage-linkerd": "mesh.identity.rotate_at=50 %",
    "ca-outage-spire": "mesh.identity.svid_ttl=40 min",
    "ca-outage-ztunnel": "mesh.identity.rotate_at=70 %",
    "ca-rotation-abrupt": "faults.0.overlap=full",
    "ca-rotation-overlap": "faults.0.overlap=none",
    "cell-edge-classical": "network.radios.cell-edge.nr.block_error_rate=0 %",
    "cell-edge-ml-dsa-44": "mesh.tls.key=ecdsa-p256",
    "cell-edge-ml-dsa-65": "mesh.tls.key=ml-dsa-44",
    "clock-skew": "mesh.identity.backdate=10 s",
    "clock-skew-backdated": "mesh.identity.backdate=10 s",
    "federation-early": "mesh.federation.domains.partner.example.endpoint.refresh_hint=5 min",
    "federation-emptied": "mesh.federation.domains.partner.example.endpoint.profile=https_spiffe",
    "federation-endpoint-down": "mesh.federation.when_stale=refuse",
    "federation-issuer-down": "mesh.federation.domains.partner.example.identity.svid_ttl=280 s",
    "federation-late": "mesh.federation.polls.per_hint=4",
    "federation-locked-out": "mesh.federation.domains.partner.example.endpoint.profile=https_web",
    "federation-old-bundle": "mesh.federation.domains.partner.example.endpoint.sequence=false",
    "federation-one-way": "mesh.federation.domains.partner.example.trusts=[plant.example]",
    "initial-window": "network.tcp.initial_window=20",
    "policy-fail-closed": "mesh.policy.authorizer.on_failure=allow",
    "policy-fail-open": "mesh.policy.authorizer.on_failure=deny",
    "resumption-bound": "mesh.tls.resumption=true",
    "resumption-envoy": "mesh.tls.resumption=true",
    "resumption-hole": "mesh.tls.resumption=false",
    "resumption-off": "mesh.tls.resumption=true",
    "revocation-crl": "mesh.identity.revocation.crl.every=1 min",
    "revocation-deny-list": "mesh.identity.revocation.live=keep",
    "revocation-live-kept": "mesh.identity.revocation.live=cut",
    "revocation-ocsp": "mesh.identity.revocation.ocsp.valid=2 min",
    "revocation-ocsp-held-back": "mesh.identity.revocation.ocsp.client=soft_fail",
    "revocation-ocsp-client": "faults.0.target=front/0",
    "revocation-resumption": "mesh.tls.resumption=false",
    "revocation-short-lifetimes": "mesh.identity.svid_ttl=1 h",
    "rotation-cut": "changes.0.identity.renew=when-due",
    "rotation-cut-when-due": "changes.0.identity.renew=at-once",
    "rotation-spread": "mesh.identity.rotate_jitter=0 %",
    "rotation-storm": "mesh.identity.rotate_jitter=10 %",
    "session-reuse": "mesh.pool.session_scope=replica",
    "session-reuse-per-replica": "mesh.pool.session_scope=service",
    "token-endpoint-cut-off": "mesh.tokens.issuers.login.renew_at=20 %",
    "waypoint-cost": "mesh.waypoints.shop/central.replicas={shop: 1}",
}
"""What makes a study fail, because it is what the study is about."""

AT_EVERY_FIDELITY = (
    "cell-edge-ml-dsa-65",
    "clock-skew",
    "initial-window",
    "resumption-bound",
    "resumption-envoy",
    "resumption-hole",
    "resumption-off",
    "waypoint-cost",
)
"""Studies that are run at fidelity real and modelled too. The others came to the digests of their baselines when they
were written, but take 8 to 16 s at fidelity real (ca-rotation, rotation, session-reuse), are so much like one of these
that they would tell nothing more, or last for hours of simulated time (ca-outage)."""

page = load("studies")


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_study_is_sound(study: Path) -> None:
    """`meshsim check` finds nothing, the file names the schema that editors complete by, and says what it is about."""
    checked = check_files([study], None, None, [], quiet=True)
    assert checked.errors == ()
    assert study.read_text(encoding="utf-8").startswith(SCHEMA_LINE)


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_study_shows_what_it_says(study: Path, tmp_path: Path) -> None:
    """Every expectation of a study holds, and its figures are those of its baseline (`make renew`)."""
    run = meshsim.run(study, out=tmp_path / "run")
    assert overall(run.summary) == "pass", run.expectations.query("verdict != 'pass'").to_string()
    assert run.scenario.scenario == study.stem
    assert len(run.scenario.description) > 100
    baseline = json.loads((BASELINES / "studies" / f"{study.stem}.json").read_text(encoding="utf-8"))
    changed = differences(baseline, run.summary)
    assert not changed, "\n".join(changed)


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


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
@pytest.mark.parametrize("name", AT_EVERY_FIDELITY)
def test_study_is_the_same_at_every_fidelity(name: str, fidelity: str, tmp_path: Path) -> None:
    """With OpenSSL in every handshake, and in none, a study comes to the digest of its baseline."""
    run = meshsim.run(FOLDER / f"{name}.yaml", fidelity=fidelity, out=tmp_path / "run")
    baseline = json.loads((BASELINES / "studies" / f"{name}.json").read_text(encoding="utf-8"))
    assert run.summary["digest"] == baseline["digest"]


@pytest.mark.parametrize("name", CONTRARY)
def test_study_can_fail(name: str, tmp_path: Path) -> None:
    """With what it is about turned round, a study fails: its expectations hold for no other model."""
    run = meshsim.run(FOLDER / f"{name}.yaml", fidelity="modelled", overrides=CONTRARY[name], out=tmp_path / "run")
    assert overall(run.summary) == "fail"


def test_every_study_has_a_contrary() -> None:
    """There is a way to make each study fail."""
    assert set(CONTRARY) == {path.stem for path in STUDIES}


def test_baselines_are_of_studies() -> None:
    """There is a baseline for every study, and for nothing else."""
    assert {path.name for path in (BASELINES / "studies").glob("*")} == {f"{path.stem}.json" for path in STUDIES}


def test_page_is_of_these_studies() -> None:
    """docs/studies.md is what its generator makes of the studies and their baselines (`python docs/studies.py`)."""
    assert page.PAGE.read_text(encoding="utf-8") == page.page()


def test_every_family_has_studies() -> None:
    """No text is about studies that are not there, and no study belongs to two."""
    families = page.families()
    of = Counter(
        study.stem
        for family in families
        for study in STUDIES
        if any(study.stem.startswith(begin) for begin in family["begins"])
    )
    assert {begin for family in families for begin in family["begins"] if any(n.startswith(begin) for n in of)} == {
        begin for family in families for begin in family["begins"]
    }
    assert set(of.values()) == {1}


def test_readings_have_no_figures_of_their_own() -> None:
    """A share or time in a reading is in the descriptions and tables of its family, or comes with its source."""
    for section in prose(page.PAGE).split("\n## ")[1:]:
        told, read = section.split("|\n\n**", 1) if "|\n\n**" in section else (section, "")
        without_sources = re.sub(r"\([^()]*(?:\([^()]*\)[^()]*)*\)", "", read)
        assert all(figure in told for figure in re.findall(r"\d[\d.]* (?:%|ms|s|min|h)\b", without_sources)), section
