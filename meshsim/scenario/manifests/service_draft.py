"""What manifests say of one service and of how callers treat it, in a scenario's own words."""

from __future__ import annotations

from typing import Any

from meshsim.scenario.manifests.destination_rules import Rule, default_pool
from meshsim.scenario.manifests.draft import Draft
from meshsim.scenario.manifests.kubernetes import KubeService
from meshsim.scenario.manifests.peer_authentications import Peers
from meshsim.scenario.manifests.waypoints import INGRESS_USE_WAYPOINT
from meshsim.scenario.positions import Path


def put_service(draft: Draft, service: KubeService, peers: Peers) -> None:
    """Its ports, modes, labels and versions."""
    at: Path = ("services", service.key)
    draft.put(at, {}, service.place)
    draft.put((*at, "namespace"), service.namespace, service.place)
    if service.gateways:
        draft.put((*at, "gateways"), service.gateways, service.place)
    if service.dataplane:
        draft.put((*at, "dataplane"), service.dataplane, service.place)
    if service.waypoint:
        draft.put((*at, "waypoint"), service.waypoint, service.place)
        if service.labels.get(INGRESS_USE_WAYPOINT) == "true":
            draft.put((*at, "waypoint_for_gateways"), True, service.place)
    for port in service.ports:
        path: Path = (*at, "ports", str(port.number))
        draft.put((*path, "protocol"), port.protocol, port.place)
        target = service.target_port(port)
        if target and target != port.number:
            draft.put((*path, "target"), target, port.place)
        mode = peers.ports.get((service.key, target or port.number))
        if service.gateway:
            draft.put((*path, "tls", "mode"), "DISABLE", port.place)
        elif mode is not None:
            draft.put((*path, "tls", "mode"), mode.mode, mode.place)
    mode = peers.of_service(service)
    if mode is not None:
        draft.put((*at, "tls", "mode"), mode.mode, mode.place)
    shared = dict.fromkeys(service.deployments[0].labels) if service.deployments else {}
    common = {
        label: service.deployments[0].labels[label]
        for label in shared
        if all(one.labels.get(label) == service.deployments[0].labels[label] for one in service.deployments)
    }
    for label, text in common.items():
        draft.put((*at, "labels", label), text, service.deployments[0].labels_place)
    for name, deployment in service.versions().items():
        version: Path = (*at, "versions", name)
        draft.put(version, {}, deployment.place)
        draft.put((*version, "count"), deployment.count, deployment.count_place)
        draft.put((*version, "service_account"), deployment.service_account, deployment.account_place)
        _put_version_modes(draft, service, name, peers, version)
        for label, text in deployment.labels.items():
            if label not in common:
                draft.put((*version, "labels", label), text, deployment.labels_place)


def _put_version_modes(draft: Draft, service: KubeService, version: str, peers: Peers, at: Path) -> None:
    """How the listeners of one version take mutual TLS, where that is not as those of all."""
    mode = peers.versions.get((service.key, version))
    if mode is not None:
        draft.put((*at, "tls", "mode"), mode.mode, mode.place)
    for port in [] if service.gateway else service.ports:
        mode = peers.version_ports.get((service.key, version, service.target_port(port) or port.number))
        if mode is not None:
            draft.put((*at, "tls", "ports", str(port.number)), mode.mode, mode.place)


def put_destination(draft: Draft, service: KubeService, at: Path, said: Rule | None) -> None:
    """How Istio has callers treat a service by itself, and what its DestinationRule says beside."""
    rule = None if said is None else said.draft
    pools = {str(port.number): default_pool(port) for port in service.ports}
    general = pools[str(service.ports[0].number)] if service.ports else {}
    draft.put((*at, "tls"), "auto", service.place)
    for name, limit in general.items():
        draft.put((*at, "pool", name), limit, service.place)
    if service.headless and (rule is None or rule.at(("rule", "load_balancing", "policy")) is None):
        draft.put((*at, "load_balancing", "policy"), "random", service.place)
    special = [port for port, pool in pools.items() if pool != general]
    if rule is not None:
        draft.take(rule, ("rule",), at)
    for port in special:
        if draft.at((*at, "ports", port)) is None:
            # A port's settings stand in place of all others: what holds for the service is said again for it.
            for name in ("tls", "load_balancing", "outlier_detection"):
                if draft.at((*at, name)) is not None:
                    draft.take(draft, (*at, name), (*at, "ports", port, name))
            own: dict[str, Any] = {**pools[port], **(_own_pool(rule) if rule is not None else {})}
            for name, limit in own.items():
                draft.put((*at, "ports", port, "pool", name), limit, service.place)
    for port in draft.at((*at, "ports")) or {}:
        if port not in special or rule is None or port in rule.data["rule"].get("ports", {}):
            by_itself: dict[Path, Any] = {("pool", name): limit for name, limit in pools.get(port, {}).items()}
            for below, value in {**by_itself, ("tls",): "auto"}.items():
                if draft.at((*at, "ports", port, *below)) is None:
                    draft.put((*at, "ports", port, *below), value, service.place)


def _own_pool(rule: Draft) -> dict[str, Any]:
    pool: dict[str, Any] = rule.data["rule"].get("pool", {})
    return pool
