"""The proxies beside sidecars through which calls go: waypoints, and gateways that are services themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.scenario.services import Service
    from meshsim.scenario.traffic import Fleet

GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
"""Label of the pods of a Gateway of the Gateway API: its name."""

WAYPOINT_CLASS = "istio-waypoint"
"""The class of those Gateways of the Gateway API that are waypoints."""


def qualified(name: str, namespace: str) -> str:
    """NAMESPACE/NAME of an object that is written so, or by its name alone beside others of ``namespace``."""
    return name if "/" in name else f"{namespace}/{name}"


def waypoints_of(services: Mapping[str, Service]) -> dict[str, str]:
    """Service → NAMESPACE/NAME of the waypoint that serves it; those without one are left out."""
    return {
        name: qualified(service.waypoint, service.namespace)
        for name, service in services.items()
        if service.waypoint is not None
    }


def sidecars_in(workloads: Mapping[str, Service] | Mapping[str, Fleet], *, ambient: bool) -> frozenset[str]:
    """Services or fleets that have sidecars; ``ambient``: whether those have none that say nothing."""
    return frozenset(
        name for name, one in workloads.items() if (one.dataplane or ("ambient" if ambient else "sidecar")) == "sidecar"
    )


def gateways_of(services: Mapping[str, Service]) -> dict[str, frozenset[str]]:
    """Service → NAMESPACE/NAME of each Gateway of Istio's whose workload it is; those of none are left out."""
    return {
        name: frozenset(qualified(gateway, service.namespace) for gateway in service.gateways)
        for name, service in services.items()
        if service.gateways
    }


def open_to_gateways(services: Mapping[str, Service]) -> frozenset[str]:
    """Services whose waypoint gateways go through too."""
    return frozenset(name for name, service in services.items() if service.waypoint_for_gateways)
