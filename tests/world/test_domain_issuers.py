"""Issuers of trust domains beside the mesh's own: getting in there, being replaced, and their absence."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_text
from tests.world.test_federation import Data, mesh, outcomes, partner

MS, S = 1_000_000, 1_000_000_000
__all__ = ["mesh"]


def issuing(mesh: Data, **identity: Any) -> None:
    """Give the partner an issuer of its own, on a node of its own 5 ms from its workloads."""
    mesh["network"]["nodes"]["vault"] = {"kind": "core"}
    mesh["network"]["links"].append({"between": ["partner", "vault"], "latency": "5 ms"})
    partner(mesh)["identity"] = {"issuer": {"node": "vault", "retry": {"cap": "2 s"}}, **identity}


def test_onboarding_there_costs(simulate: Any, mesh: Data) -> None:
    """Workloads of the other trust domain ask its issuer, over the network, and serve only after that."""
    issuing(mesh, at_start="onboarding")
    result = simulate(mesh)
    rows = {row.host: row for row in result.issuances}
    assert set(rows) == {"broker/0", "broker/1"}
    for row in rows.values():
        assert (row.outcome, row.purpose) == ("done", "onboarding")
        # TCP, TLS and the request, there and back; the configuration comes from the domain's own node, which is here.
        assert row.network_ns == 3 * 2 * 5 * MS
        assert row.signing_ns > 0
        assert row.configuration_ns < 2 * MS
    issued = [row for row in result.identities if row.event == "issued" and "broker" in row.spiffe_id]
    assert min(row.t_ns for row in issued) > 30 * MS
    assert {row.issuer for row in issued} == {"partner.example/root"}
    assert outcomes(result, 1) == Counter(ok=outcomes(result, 1).total())


def test_an_outage_there_is_not_one_here(simulate: Any, mesh: Data) -> None:
    """While the other domain's issuer is down its certificates end and nobody accepts them; those of here go on."""
    mesh["mesh"]["identity"] |= {"issuer": {}, "svid_ttl": "20 s"}
    issuing(mesh, svid_ttl="20 s")
    mesh["faults"] = [{"kind": "ca-outage", "target": "partner.example", "at": "5 s", "for": "40 s"}]
    result = simulate(mesh)
    failed = Counter(row.host.split("/")[0] for row in result.issuances if row.outcome == "failed")
    assert set(failed) == {"broker"}
    assert {row.reason for row in result.issuances if row.outcome == "failed"} == {"the issuer is down"}
    expired = {row.spiffe_id for row in result.identities if row.event == "expired"}
    assert expired == {"spiffe://partner.example/ns/default/sa/broker"}
    # Certificates of 20 s that are due at 10 s end at 20 s; the clients' are replaced all along.
    assert set(outcomes(result, 0, 19)) == {"ok"}
    assert set(outcomes(result, 21, 45)) == {"tls-refused"}
    assert outcomes(result, 55, 60)["ok"] > 0
    assert result.outcome.effects[0].certificates == sum(failed.values())


def test_an_outage_here_is_not_one_there(simulate: Any, mesh: Data) -> None:
    """The fault without a target strikes the mesh's own issuer, and the other domain's workloads are replaced."""
    mesh["mesh"]["identity"] |= {"issuer": {}, "svid_ttl": "20 s"}
    issuing(mesh, svid_ttl="20 s")
    mesh["faults"] = [{"kind": "ca-outage", "at": "5 s", "for": "40 s"}]
    result = simulate(mesh, fidelity="modelled")
    failed = {row.host.split("/")[0] for row in result.issuances if row.outcome == "failed"}
    assert failed == {"client"}
    rotated = Counter(row.spiffe_id for row in result.identities if row.event == "rotated")
    assert rotated["spiffe://partner.example/ns/default/sa/broker"] == 2 * 5


def test_the_node_of_an_issuer_goes_away(simulate: Any, mesh: Data) -> None:
    """A node that crashes takes the issuer of the domain with it; what fails for it counts for the fault."""
    issuing(mesh, svid_ttl="20 s")
    mesh["faults"] = [{"kind": "node-crash", "target": "vault", "at": "5 s", "for": "20 s"}]
    result = simulate(mesh, fidelity="modelled")
    failed = [row for row in result.issuances if row.outcome == "failed"]
    assert {row.reason for row in failed} <= {"no answer from the issuer", "no way to the issuer"}
    assert result.outcome.effects[0].certificates == len(failed) > 0


def test_the_authority_waits_for_its_issuer(simulate: Any, mesh: Data) -> None:
    """An authority that is due to be replaced while its issuer is down is replaced when the issuer is back."""
    rotation = {"prepare": "2980 s", "activate": "2970 s"}
    issuing(mesh, ca_ttl="1 h", ca_age="10 min", ca_rotation=rotation)  # due at 10 s and 20 s
    mesh["faults"] = [{"kind": "ca-outage", "target": "partner.example", "at": "5 s", "for": "30 s"}]
    # Nobody asks while it is down but a workload that starts: the crash of the partner's node makes it one.
    mesh["faults"].append({"kind": "node-crash", "target": "partner", "at": "20 s", "for": "1 s"})
    result = simulate(mesh, fidelity="modelled")
    prepared = [row.t_ns for row in result.identities if row.event == "prepared"]
    assert prepared == [40 * S]
    assert [row.t_ns for row in result.identities if row.event == "activated"] == [40 * S]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda mesh: mesh.update(faults=[{"kind": "ca-outage", "target": "other", "at": "1 s", "for": "1 s"}]),
            "there is no issuer 'other'; expected issuer or partner.example",
        ),
        (
            lambda mesh: mesh.update(
                faults=[{"kind": "ca-outage", "target": "partner.example", "at": "1 s", "for": "1 s"}]
            ),
            "'partner.example' has no issuer: its certificates are there at once; expected an issuer in "
            "mesh.federation.domains.partner.example.identity",
        ),
        (
            lambda mesh: partner(mesh).update(identity={"at_start": "onboarding"}),
            "nobody is there to issue certificates to workloads without; expected "
            "mesh.federation.domains.partner.example.identity.issuer",
        ),
        (
            lambda mesh: partner(mesh).update(identity={"issuer": {"node": "nowhere"}}),
            "there is no node 'nowhere'; expected core or partner",
        ),
        (
            lambda mesh: (
                mesh["network"]["nodes"].update(alone={"kind": "core"}),
                partner(mesh).update(identity={"issuer": {"node": "alone"}}),
            ),
            "the issuer of 'partner.example' on 'alone' cannot reach node 'partner'; expected links that join them",
        ),
        (
            lambda mesh: partner(mesh).update(identity={"issuer": {"retry": {"base": "2 s", "cap": "1 s"}}}),
            "the first wait is 2 s and the longest 1 s; expected base to be at most cap",
        ),
    ],
)
def test_mistakes_are_told(mesh: Data, tmp_path: Path, change: Any, told: str) -> None:
    """Issuers that are not there, or out of reach, are mistakes of the scenario."""
    change(mesh)
    with pytest.raises(ScenarioError) as caught:
        load_text(json.dumps(mesh), tmp_path / "scenario.yaml", [])
    assert told in str(caught.value)
