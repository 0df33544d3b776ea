"""The policy files of a scenario and the names that they may speak of, though the scenario itself may be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.model import Scenario
from meshsim.scenario.named_files import SHADOW, Named
from meshsim.scenario.policy import Policy
from meshsim.scenario.proxies import qualified
from meshsim.scenario.references import declared
from meshsim.scenario.shape import step

START = -2
"""Index of the policies that hold at the start among all sets."""
PolicySet = tuple[Policy, tuple[tuple[str, str], ...]]
"""The settings of policy, repaired where they were wrong, and (name, text) of each file."""


class PolicySources(msgspec.Struct, frozen=True, kw_only=True):
    """What policies can be checked against before there is a sound scenario."""

    sets: tuple[PolicySet, ...]
    """The policies that hold at the start, those of changes, and those on trial, as far as they could be read."""
    names_known: bool
    """Whether the names are all there: else only what policies are by themselves can be held against anything."""
    services: frozenset[str]
    fleets: frozenset[str]
    slices: frozenset[str]
    sites: frozenset[str]
    nodes: frozenset[str]
    namespaces: Mapping[str, str]
    """Of each service."""
    labels: Mapping[str, Mapping[str, str]]
    """Of each service that has any."""
    version_labels: Mapping[str, Mapping[str, Mapping[str, str]]]
    """Of each version of each service, beside those of the service."""
    ports: Mapping[str, Mapping[int, str]]
    """Protocol of each port of each service."""
    ambient: bool
    """Whether the mesh is in ambient mode, or anybody in it."""
    sidecars: frozenset[str]
    """Services that have sidecars all the same."""
    waypoints: Mapping[str, str]
    """Namespace and name of the waypoint of each service that has one."""
    gateways: Mapping[str, frozenset[str]]
    """Namespaces and names of the Gateways whose workload a service is."""
    trust_domain: str
    trust_domains: frozenset[str]
    """That one, and those that it federates with."""


class RefusedScenario(ScenarioError):  # noqa: N818 - says what it is, as its base's name says that it is an error
    """A scenario with mistakes, and what of its policies can be checked all the same."""

    def __init__(self, diagnostics: list[Diagnostic], policies: PolicySources | None) -> None:
        super().__init__(diagnostics)
        self.policies = policies
        """None if the scenario has no policies, or if its names could not be read."""


def policy_sets(scenario: Scenario, named: Named) -> dict[int, PolicySet]:
    """The sets of policies of a scenario: of each change by its index, those on trial, and those of the start.

    Files that belong to settings of the engine are in each of them.
    """
    policy = scenario.mesh.policy
    if policy is None:
        return {}
    own = set(policy.files)
    kept = tuple(file for file in named.policies if file[0] not in own)
    found = {START: (policy, named.policies)}
    for index, texts in named.changed_policies.items():
        change = policy.shadow if index == SHADOW else scenario.changes[index].policy
        if change is not None:
            default = change.default or policy.default
            settings = policy.model_copy(update={"files": change.files, "default": default})
            found[index] = settings, (*texts, *kept)
    return found


def policy_sources(data: Any, scenario: Scenario, named: Named, *, names_known: bool) -> PolicySources | None:
    """The policies of a repaired ``scenario`` with the names that the plain ``data`` declares.

    None if there are none, or if a list of names is not there to hold them against.
    """
    network = step(data, "network")
    nodes = step(network, "nodes")
    homes = (step(data, "services"), step(data, "fleets"), step(network, "slices"), nodes)
    sets = tuple(one for one in policy_sets(scenario, named).values() if one[1])
    if not sets or not all(isinstance(home, dict) for home in homes):
        return None
    names = declared(data)
    trust_domain = step(step(data, "mesh"), "trust_domain")  # as written, though it may be refused
    own = str(trust_domain or scenario.mesh.trust_domain)
    others = step(step(step(data, "mesh"), "federation"), "domains")
    namespaces = {name: str(step(service, "namespace") or "default") for name, service in homes[0].items()}
    gateways = {name: step(service, "gateways") for name, service in homes[0].items()}
    planes = {name: step(service, "dataplane") for name, service in homes[0].items()}
    ambient = step(step(data, "mesh"), "ambient") is True
    return PolicySources(
        sets=sets,
        names_known=names_known,
        services=frozenset(names["service"]),
        fleets=frozenset(names["fleet"]),
        slices=frozenset(names["slice"]),
        nodes=frozenset(names["node"]),
        namespaces=namespaces,
        labels={name: _texts(step(service, "labels")) for name, service in homes[0].items()},
        version_labels={
            name: {str(key): _texts(step(version, "labels")) for key, version in versions.items()}
            for name, service in homes[0].items()
            if isinstance(versions := step(service, "versions"), dict) and versions
        },
        ports={name: _protocols(step(service, "ports")) for name, service in homes[0].items()},
        ambient=ambient or "ambient" in planes.values(),
        sidecars=frozenset(
            name for name, plane in planes.items() if plane == "sidecar" or (plane != "ambient" and not ambient)
        ),
        waypoints={
            name: qualified(waypoint, namespaces[name])
            for name, service in homes[0].items()
            if isinstance(waypoint := step(service, "waypoint"), str)
        },
        gateways={
            name: frozenset(qualified(str(one), namespaces[name]) for one in each)
            for name, each in gateways.items()
            if isinstance(each, list)
        },
        sites=frozenset(str(step(node, "site") or name) for name, node in nodes.items()),
        trust_domain=own,
        trust_domains=frozenset((own, *map(str, others if isinstance(others, dict) else ()))),
    )


def nameless(texts: tuple[tuple[str, str], ...]) -> PolicySources:
    """Istio's policies in these files, of a mesh of which no names are known."""
    nobody = frozenset[str]()
    return PolicySources(
        sets=((Policy(engine="istio", files=tuple(name for name, _ in texts)), texts),) if texts else (),
        names_known=False,
        services=nobody,
        fleets=nobody,
        slices=nobody,
        sites=nobody,
        nodes=nobody,
        namespaces={},
        labels={},
        version_labels={},
        ports={},
        ambient=False,
        sidecars=nobody,
        waypoints={},
        gateways={},
        trust_domain="cluster.local",
        trust_domains=nobody,
    )


def _protocols(ports: Any) -> dict[int, str]:
    named = ports.items() if isinstance(ports, dict) else ()
    listeners = ((step(value, "target") or port, step(value, "protocol") or "http") for port, value in named)
    return {int(port): str(protocol) for port, protocol in listeners if str(port).isdecimal()}


def _texts(labels: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in labels.items()} if isinstance(labels, dict) else {}
