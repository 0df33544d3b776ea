"""How the two ends of a connection speak TLS, and the waypoint that may stand between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from meshsim.control.routing import plaintext_to, settings_of
from meshsim.scenario.placed_waypoints import placed_waypoints
from meshsim.scenario.tls import tls_of
from meshsim.world.tls_terms import tls_settings

if TYPE_CHECKING:
    from meshsim.scenario.model import Scenario
    from meshsim.scenario.tls import Tls
    from meshsim.sidecar.tls.settings import TlsSettings


class End(msgspec.Struct, frozen=True):
    """What one end of a handshake is configured to do."""

    settings: TlsSettings
    key_type: str
    """Of its certificate."""
    trusts: frozenset[str]
    """Trust domains whose bundles it has."""


class Door(msgspec.Struct, frozen=True):
    """A waypoint with a place: callers' handshakes are with it, and its own with the service that it serves."""

    workload: str
    namespace: str
    spiffe_id: str
    end: End
    past: frozenset[str]
    """SPIFFE IDs of callers that go past it; the empty one stands for who proves none."""


def plaintext_of(
    scenario: Scenario, name: str, ports: list[int], namespace: str, version: str
) -> dict[int, bool | None]:
    """Whether callers in a namespace are told to speak plaintext to each port; None: they go by their own mode."""
    return {
        port: plaintext_to(scenario, settings_of(scenario, name, "", port, namespace), name, port, version)
        for port in ports
    }


def end_of(scenario: Scenario, workload: str, tls: Tls) -> End:
    """How a workload speaks TLS by these settings."""
    return End(tls_settings(tls), tls.key, _trusted_by(scenario, workload))


def _trusted_by(scenario: Scenario, workload: str) -> frozenset[str]:
    """Trust domains whose bundles a workload's sidecar has; Istio checks aliases with the mesh's own roots."""
    mesh = scenario.mesh
    own = mesh.trust_domain_of(workload)
    policy = mesh.policy
    aliases = () if policy is None or policy.istio is None else policy.istio.trust_domain_aliases
    return frozenset({own, *mesh.trusted_by(own), *(aliases if own == mesh.trust_domain else ())})


def door_of(scenario: Scenario, service: str, past_of: Callable[[str], frozenset[str]]) -> Door | None:
    """The waypoint with a place that serves a service; None if there is none."""
    one = next((each for each in placed_waypoints(scenario).values() if service in each.serves), None)
    if one is None:
        return None
    namespace, _, account = one.name.partition("/")
    tls = tls_of(scenario.mesh.tls, scenario.mesh.domain_tls(one.workload)).model_copy(update={"mode": "STRICT"})
    spiffe_id = f"spiffe://{scenario.mesh.trust_domain_of(one.workload)}/ns/{namespace}/sa/{account}"
    return Door(one.workload, namespace, spiffe_id, end_of(scenario, one.workload, tls), past_of(service))
