"""Waypoints that have a place: what runs there, which services they serve, and who goes through them.

Such a waypoint is a workload like others, with replicas, sidecar and certificate; what it does is to send on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import msgspec

from meshsim.scenario.ports import HTTP
from meshsim.scenario.proxies import GATEWAY_NAME, qualified, waypoints_of
from meshsim.scenario.services import Service
from meshsim.scenario.tls import TlsMode, tls_of
from meshsim.scenario.variants import version_tls

if TYPE_CHECKING:
    from meshsim.scenario.mesh import Waypoint
    from meshsim.scenario.model import Scenario
    from meshsim.scenario.services import Dataplane


_ACCOUNT = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
HBONE_PORT = 15008
"""Port of waypoints: what comes to it is tunnelled, in mutual TLS always."""


class PlacedWaypoint(msgspec.Struct, frozen=True):
    """A waypoint with replicas."""

    key: str
    """As the scenario writes it."""
    name: str
    """NAMESPACE/NAME."""
    workload: str
    """What it is called in tables."""
    settings: Waypoint
    serves: tuple[str, ...]
    """Services, in the order of the file."""


def can_have_place(key: str) -> bool:
    """Whether a service account can have the name of a waypoint."""
    return _ACCOUNT.fullmatch(key.rpartition("/")[2]) is not None


def placed_waypoints(scenario: Scenario) -> dict[str, PlacedWaypoint]:
    """The waypoints of a scenario that have a place, by their workloads' names.

    Such a name is that of the Gateway, with its namespace behind it where another is called so. Names that a service
    account cannot have, the checks refuse.
    """
    said = {qualified(key, "default"): key for key in scenario.mesh.waypoints if can_have_place(key)}
    served = waypoints_of(scenario.services)
    short = [name.partition("/")[2] for name in said]
    found = {}
    for name, key in said.items():
        namespace, _, own = name.partition("/")
        workload = f"{own}-{namespace}" if short.count(own) > 1 else own
        serves = tuple(service for service, waypoint in served.items() if waypoint == name)
        found[workload] = PlacedWaypoint(key, name, workload, scenario.mesh.waypoints[key], serves)
    return found


def is_gateway(scenario: Scenario, workload: str) -> bool:
    """Whether a service is the workload of a gateway."""
    service = scenario.services.get(workload)
    return service is not None and (bool(service.gateways) or GATEWAY_NAME in service.labels)


def dataplane_of(scenario: Scenario, workload: str) -> Dataplane | None:
    """What a service or fleet says of itself; None if it is as the mesh."""
    service = scenario.services.get(workload)
    return scenario.fleets[workload].dataplane if service is None else service.dataplane


def has_ambient(scenario: Scenario) -> bool:
    """Whether anybody has a ztunnel."""
    said = {dataplane_of(scenario, workload) for workload in (*scenario.services, *scenario.fleets)}
    return scenario.mesh.ambient or "ambient" in said


def modes_of(scenario: Scenario, caller: str) -> set[TlsMode]:
    """The TLS modes of a service, of all its versions, or of a fleet, at the start of the run."""
    tls = tls_of(scenario.mesh.tls, scenario.mesh.domain_tls(caller))
    service = scenario.services.get(caller)
    if service is None:
        return {tls_of(tls, scenario.fleets[caller].tls).mode}
    return {tls_of(tls, *version_tls(service, version)).mode for version in service.versions or ("",)}


class Ways:
    """Who has what kind of proxy in a scenario, and goes through which waypoint that has a place."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.placed = placed_waypoints(scenario)
        """By the workload's name."""
        self._named = waypoints_of(scenario.services)
        self._serving = {service: one for one in self.placed.values() for service in one.serves}

    def waypoint_of(self, service: str) -> PlacedWaypoint | None:
        """The waypoint with a place that serves a service; None if there is none."""
        return self._serving.get(service)

    def through(self, caller: str, service: str) -> str:
        """The workload of the waypoint through which a caller's requests to a service go; empty if none do.

        Who proves no identity goes past, and so do sidecars, and gateways unless the service has them not do so.
        """
        scenario, waypoint = self._scenario, self._serving.get(service)
        if waypoint is None or "DISABLE" in modes_of(scenario, caller):
            return ""
        if is_gateway(scenario, caller):
            return waypoint.workload if scenario.services[service].waypoint_for_gateways else ""
        return "" if self.proxy_of(caller) == "sidecar" else waypoint.workload

    def is_carried(self, caller: str, service: str) -> bool:
        """Whether what a caller sends to a service leaves it by ztunnel alone, which knows connections and no requests.

        For a waypoint without a place the caller's own proxy does what that would do.
        """
        if self.proxy_of(caller) != "ztunnel":
            return False
        unplaced = service in self._named and service not in self._serving
        return not unplaced or "DISABLE" in modes_of(self._scenario, caller)

    def is_tcp(self, caller: str, service: str, port: int) -> bool:
        """Whether a caller's proxy carries connections to a port, since no HTTP is spoken there.

        A gateway has requests before it has chosen where they go, and sends them to any port.
        """
        scenario = self._scenario
        return scenario.services[service].protocols[port] not in HTTP and not is_gateway(scenario, caller)

    def is_closed(self, caller: str, service: str, port: int) -> bool:
        """Whether a caller whose connection is closed hears of it as that: no proxy on the way answers."""
        carried = self.is_carried(caller, service) and not self.through(caller, service)
        return carried or self.is_tcp(caller, service, port)

    def proxy_of(self, workload: str) -> Literal["sidecar", "ztunnel", "waypoint"]:
        """What kind of proxy a service, fleet or waypoint has; gateways have one that reads HTTP, as a sidecar does."""
        if workload in self.placed:
            return "waypoint"
        said = dataplane_of(self._scenario, workload)
        ambient = self._scenario.mesh.ambient if said is None else said == "ambient"
        return "ztunnel" if ambient and not is_gateway(self._scenario, workload) else "sidecar"


def with_waypoints(scenario: Scenario) -> Scenario:
    """The same scenario with each waypoint that has a place among its services."""
    placed = placed_waypoints(scenario)
    if not placed:
        return scenario
    services = {
        **scenario.services,
        **{
            workload: Service.model_validate(
                {
                    "replicas": one.settings.replicas,
                    "work": {"constant": "0 s"},
                    "namespace": one.name.partition("/")[0],
                    "service_account": one.name.partition("/")[2],
                    "tls": {"mode": "STRICT"},
                    "memory": "0 B",  # that of the proxy is all
                }
            )
            for workload, one in placed.items()
        },
    }
    return scenario.model_copy(update={"services": services})
