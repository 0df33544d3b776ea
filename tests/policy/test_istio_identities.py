"""Identities that Istio policies name and no workload has."""

from __future__ import annotations

import msgspec
import pytest

from meshsim.policy.engine import Directory, PolicyFile
from meshsim.policy.istio import IstioEngine
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.policy import IstioPolicy

DIRECTORY = Directory(
    services=frozenset({"planner", "vision"}),
    namespaces={"planner": "plant", "vision": "eyes"},
    trust_domain="plant.example",
    trust_domains=frozenset({"plant.example"}),
    workloads={
        "spiffe://plant.example/ns/plant/sa/planner": "planner",
        "spiffe://plant.example/ns/eyes/sa/vision": "vision",
        "spiffe://plant.example/fleet/robots/0": "robots",
    },
)
POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a, namespace: plant}
spec: {rules: [{from: [{source: {%s}}]}]}
"""
LET_PASS = "(mesh.policy.istio.unmatched: ignore lets it pass)"


def told(source: str, directory: Directory = DIRECTORY, settings: IstioPolicy | None = None) -> list[str]:
    """What is said of a policy with this source, without the place of each mistake."""
    try:
        IstioEngine.from_sources([PolicyFile("a.yaml", POLICY % source)], directory, "allow", settings)
    except ScenarioError as error:
        return [one.message for one in error.diagnostics if (one.file, one.line) == ("a.yaml", 4)]
    return []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "principals: [plant.example/ns/plant/sa/plannr]",
            "no workload has the identity 'plant.example/ns/plant/sa/plannr'; "
            "did you mean 'plant.example/ns/plant/sa/planner'?",
        ),
        (
            "notPrincipals: [cluster.local/ns/plants/sa/planner]",
            "no workload has the identity 'cluster.local/ns/plants/sa/planner'; "
            "did you mean 'plant.example/ns/plant/sa/planner'?",
        ),
        (
            "principals: [plant.example/fleet/robots/1]",
            "no workload has the identity 'plant.example/fleet/robots/1'; did you mean 'plant.example/fleet/robots/0'?",
        ),
        (
            "principals: [plant.example/fleet/robots]",
            "no workload has the identity 'plant.example/fleet/robots'; did you mean 'plant.example/fleet/robots/*'?",
        ),
        (
            "principals: [plant.example/fleet/robot]",
            "no workload has the identity 'plant.example/fleet/robot'; did you mean 'plant.example/fleet/robots/*'?",
        ),
        ("namespaces: [eye]", "no workload is in the namespace 'eye'; did you mean 'eyes'?"),
        (
            "serviceAccounts: [vision]",
            "no workload has the service account 'plant/vision'; did you mean 'eyes/vision'?",
        ),
    ],
)
def test_what_nobody_is(source: str, message: str) -> None:
    """Each is told with what was probably meant, and let pass where policies for nobody are."""
    assert told(source) == [f"{message} {LET_PASS}"]
    assert told(source, settings=IstioPolicy(unmatched="ignore")) == []


@pytest.mark.parametrize(
    "source",
    [
        "principals: [plant.example/ns/plant/sa/planner, cluster.local/ns/eyes/sa/vision]",
        "principals: [plant.example/fleet/robots/0]",
        "principals: ['*', '*/sa/cat', 'plant.example/ns/none/*', partner.example/ns/a/sa/b]",
        "principals: [cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account]",
        "namespaces: [plant, 'ey*', istio-system]",
        "serviceAccounts: [planner, eyes/vision, istio-system/gateway]",
    ],
)
def test_what_may_be_somebody(source: str) -> None:
    """Workloads' identities, patterns, foreign trust domains and the root namespace, where gateways are, are right."""
    assert told(source) == []


def test_other_trust_domains_have_namespaces_too() -> None:
    """A namespace can be one of a federated trust domain of which nobody is here; an identity of the mesh cannot."""
    federated = msgspec.structs.replace(DIRECTORY, trust_domains=frozenset({"plant.example", "partner.example"}))
    assert told("namespaces: [office]", federated) == []
    assert told("serviceAccounts: [office/screens]", federated) == []
    assert len(told("principals: [plant.example/ns/office/sa/screens]", federated)) == 1


def test_aliases_are_the_same_mesh() -> None:
    """A principal in an alias of the trust domain stands for the same one in the mesh's own."""
    settings = IstioPolicy(trust_domain_aliases=("old.example",))
    assert told("principals: [old.example/ns/plant/sa/planner]", settings=settings) == []
    assert len(told("principals: [old.example/ns/plant/sa/none]", settings=settings)) == 1
