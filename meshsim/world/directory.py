"""What a mesh's policies may speak of: names, places, identities; and the engine that is made with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from meshsim.policy.engine import Directory
from meshsim.policy.engines import build_engine
from meshsim.scenario.placed_waypoints import has_ambient, placed_waypoints
from meshsim.scenario.policy import root_namespace_of
from meshsim.scenario.proxies import gateways_of, open_to_gateways, sidecars_in, waypoints_of
from meshsim.world.addresses import Addresses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.policy.engine import PolicyEngine, PolicyFile
    from meshsim.scenario.model import Scenario
    from meshsim.scenario.policy import Policy
    from meshsim.world.state import State


def directory_of(state: State) -> Directory:
    """Return the names that policies may speak of."""
    return msgspec.structs.replace(
        declared(state.scenario),
        nodes=frozenset(state.machines),
        sites=frozenset(machine.site for machine in state.machines.values()),
        workloads={host.spiffe_id: host.workload for host in state.hosts()},
        **_waypoint_places(state),
    )


def _waypoint_places(state: State) -> dict[str, Any]:
    placed = placed_waypoints(state.scenario)
    if not placed:
        return {}
    addresses = Addresses(state)
    first = {placed[one.workload].name: one for one in reversed(state.replicas) if one.workload in placed}
    return {
        "waypoint_addresses": {name: addresses.of(replica) for name, replica in first.items()},
        "waypoint_places": {name: (replica.site, replica.node) for name, replica in first.items()},
    }


def declared(scenario: Scenario) -> Directory:
    """Return those without places and identities, which a world alone has."""
    placed = placed_waypoints(scenario)
    services = {name: service for name, service in scenario.services.items() if name not in placed}
    ambient = scenario.mesh.ambient
    return Directory(
        services=frozenset(services),
        fleets=frozenset(scenario.fleets),
        slices=frozenset(scenario.network.slices),
        trust_domains=frozenset(scenario.mesh.trust_domains),
        trust_domain=scenario.mesh.trust_domain,
        root_namespace=root_namespace_of(scenario.mesh.policy),
        namespaces={name: service.namespace for name, service in services.items()},
        labels={name: service.labels for name, service in services.items() if service.labels},
        version_labels={
            name: {key: version.labels for key, version in service.versions.items()}
            for name, service in services.items()
            if service.versions
        },
        ports={name: service.listeners for name, service in services.items()},
        ambient=has_ambient(scenario),
        sidecars=sidecars_in(services, ambient=ambient) | sidecars_in(scenario.fleets, ambient=ambient),
        waypoints=waypoints_of(services),
        open_to_gateways=open_to_gateways(services),
        gateways=gateways_of(services),
    )


def engine_of(state: State, policy: Policy, files: Sequence[PolicyFile]) -> PolicyEngine:
    """Return the engine that a mesh's policy settings and these files make; raises ScenarioError."""
    return build_engine(policy.engine, files, directory_of(state), policy.default, policy)
