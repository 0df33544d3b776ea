"""Waypoints, the proxies of Istio's ambient mode that read HTTP, and the services that they serve.

As Istio has it (pilot/pkg/serviceregistry/kube/controller/ambient/waypoints.go): a Service goes by its own label
``istio.io/use-waypoint``, and without one by its namespace's; the waypoint has to be there, to be for services, and to
allow the namespace. Sidecars do not go through waypoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from meshsim.scenario.manifest_reader import Manifest, Value
from meshsim.scenario.manifests.kubernetes import Cluster, KubeService
from meshsim.scenario.manifests.pods import INJECT_LABEL, MODE_LABEL
from meshsim.scenario.manifests.values import Notes, labels, take
from meshsim.scenario.shape import step

INGRESS_USE_WAYPOINT = "istio.io/ingress-use-waypoint"
"""Label by which gateways too go through the waypoint of a Service."""
_USE = "istio.io/use-waypoint"
_USE_NAMESPACE = "istio.io/use-waypoint-namespace"
_FOR = "istio.io/waypoint-for"
_NONE = "none"
_INJECTION = "istio-injection"
_REVISION = "istio.io/rev"
"""Label by which a revision of the control plane injects sidecars, unless the namespace is in ambient mode."""
_SIDECAR, _AMBIENT = "sidecar", "ambient"
_SAME, _ALL, _SELECTOR = "Same", "All", "Selector"
_FOR_SERVICES = ("service", "all")
_HBONE = ("HBONE", 15008)
"""Protocol and port of the listener of a waypoint to which ztunnels come: of several the first, and it alone counts."""
_MANAGED = ("gateway.istio.io/managed", "istio.io-mesh-controller")
"""The label by which istiod knows the Service of a waypoint itself, which no waypoint serves."""
_SIDECARS = (
    "the scenario says that the mesh has sidecars; expected mesh.ambient: true, mesh.preset: ztunnel or neither there, "
    "or no label"
)
_BOTH = "pods that have a sidecar injected are not in ambient mode; expected one of the two labels"


class Waypoint(msgspec.Struct, frozen=True):
    """A Gateway of the class ``istio-waypoint``."""

    name: str
    namespace: str
    kind: str
    """What it is for: service, workload, all or none."""
    allowed: str
    """From which namespaces services may use it: Same, All or Selector."""
    labels: Mapping[str, str]
    """That these namespaces have to have."""

    def allows(self, namespace: str, of_namespaces: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether services of a namespace may use it."""
        if self.allowed == _SELECTOR:
            found = {"kubernetes.io/metadata.name": namespace, **of_namespaces.get(namespace, {})}
            return self.labels.items() <= found.items()
        return self.allowed == _ALL or namespace == self.namespace


def said_ambient(own: Any) -> bool | None:
    """Whether the ``mesh`` of a scenario says that it is in ambient mode, itself or by its preset; None: nothing."""
    said, preset = step(own, "ambient"), step(own, "preset")
    if isinstance(said, bool):
        return said
    return preset == "ztunnel" if isinstance(preset, str) else None


def read_waypoints(manifests: Iterable[Manifest], notes: Notes) -> dict[str, Waypoint]:
    """The waypoints among Gateways of the Gateway API, by NAMESPACE/NAME; mistakes are noted at their places."""
    found = {}
    for manifest in manifests:
        table = "Gateway of gateway.networking.k8s.io"
        fields = take(manifest.whole, table, notes, "apiVersion", "kind", "metadata")
        spec = take(fields["spec"], "Gateway.spec of gateway.networking.k8s.io", notes) if "spec" in fields else {}
        listeners = [_listener(one, notes) for one in (spec["listeners"].items() if "listeners" in spec else ())]
        allowed, wanted = next(filter(None, listeners), (_SAME, {}))
        kind = manifest.labels.get(_FOR, _FOR_SERVICES[0])
        one = Waypoint(manifest.name, manifest.namespace, kind, allowed, wanted)
        found[f"{one.namespace}/{one.name}"] = one
    return found


def _listener(listener: Value, notes: Notes) -> tuple[str, Mapping[str, str]] | None:
    """The namespaces that a listener allows, with their labels; None if callers' ztunnels do not come to it."""
    fields = take(listener, "Gateway.spec.listeners", notes)
    at = "Gateway.spec.listeners.allowedRoutes"
    routes = take(fields["allowedRoutes"], at, notes) if "allowedRoutes" in fields else {}
    inner = take(routes["namespaces"], f"{at}.namespaces", notes) if "namespaces" in routes else {}
    allowed = (inner["from"].choice((_SAME, _ALL, _SELECTOR)) if "from" in inner else "") or _SAME
    wanted: Mapping[str, str] = {}
    if "selector" in inner:
        chosen = take(inner["selector"], f"{at}.namespaces.selector", notes)
        wanted = labels(chosen["matchLabels"]) if "matchLabels" in chosen else {}
    elif allowed == _SELECTOR:
        inner["from"].wrong("no namespace is selected; expected 'selector' beside it")
    of_ztunnels = tuple(fields[key].data if key in fields else None for key in ("protocol", "port"))
    return (allowed, wanted) if of_ztunnels == _HBONE else None


def find_waypoints(
    cluster: Cluster,
    namespaces: Sequence[Manifest],
    waypoints: Mapping[str, Waypoint],
    said: bool | None,
    notes: Notes,
) -> bool:
    """Find the waypoint of each service; whether the mesh has ztunnel in place of sidecars.

    ``said``: whether the scenario says so; if it says nothing the manifests do: a namespace or pods are in ambient
    mode, or there is a waypoint, and no namespace has sidecars injected. Where pods of both kinds are labelled, each
    service is as its own are.
    """
    of_namespaces = {one.name: one.labels for one in namespaces}
    injected = {one.name for one in namespaces if _injects(one.labels)}
    marked = bool(notes.ambient or waypoints)
    ambient = said if said is not None else marked and not injected
    planes = {key: _planes(service, of_namespaces) for key, service in cluster.services.items()}
    by_label = {_SIDECAR, _AMBIENT} <= frozenset().union(*planes.values()) or (said is None and bool(injected))
    for mark in notes.ambient:
        if mark.injected if mark.injected is not None else mark.namespace in injected:
            mark.value.wrong(_BOTH)
        elif not ambient and not by_label:
            mark.value.wrong(_SIDECARS)
    for key, service in cluster.services.items():
        own = _own_plane(service, planes[key]) if by_label and not service.gateway else ""
        in_ambient = own == _AMBIENT if own else ambient
        service.dataplane = own if in_ambient != ambient else ""
        found = _waypoint(service, of_namespaces, waypoints)
        if isinstance(found, Waypoint) and in_ambient:
            service.waypoint = f"{found.namespace}/{found.name}"
        elif found is not None:
            why = "sidecars do not go through waypoints" if isinstance(found, Waypoint) else found
            notes.warnings.append(f"no waypoint serves {service.namespace}/{service.name}, though labelled: {why}")
    return ambient


def _planes(service: KubeService, of_namespaces: Mapping[str, Mapping[str, str]]) -> frozenset[str]:
    """What the pods of a service are labelled to have, as Istio has it: who has a sidecar is not in ambient mode."""
    namespace = of_namespaces.get(service.namespace, {})
    found = set()
    for deployment in service.deployments:
        inject = deployment.labels.get(INJECT_LABEL, "")
        if inject == "true" or (_injects(namespace) and inject != "false"):
            found.add(_SIDECAR)
        elif _AMBIENT in (deployment.labels.get(MODE_LABEL), namespace.get(MODE_LABEL)):
            found.add(_AMBIENT)
    return frozenset(found)


def _injects(namespace: Mapping[str, str]) -> bool:
    """Whether the labels of a namespace have sidecars injected into its pods."""
    if _INJECTION in namespace:
        return namespace[_INJECTION] == "enabled"
    return _REVISION in namespace and namespace.get(MODE_LABEL) != _AMBIENT


def _own_plane(service: KubeService, planes: frozenset[str]) -> str:
    if len(planes) > 1:
        service.whole.wrong(
            f"pods of {service.name} have sidecars and others are in ambient mode; expected one of both"
        )
    return min(planes, default="")


def _waypoint(
    service: KubeService, of_namespaces: Mapping[str, Mapping[str, str]], waypoints: Mapping[str, Waypoint]
) -> Waypoint | str | None:
    """The waypoint that a service asks for; why it gets none, as a text; None if it asks for none."""
    if service.labels.get(_MANAGED[0]) == _MANAGED[1]:
        return None
    own = service.labels if _USE in service.labels else of_namespaces.get(service.namespace, {})
    name = own.get(_USE, "")
    if not name or name == _NONE:
        return None
    home = own.get(_USE_NAMESPACE) or service.namespace
    found = waypoints.get(f"{home}/{name}")
    if found is None:
        return f"there is no Gateway {home}/{name} of the class istio-waypoint among the manifests"
    if found.kind not in _FOR_SERVICES:
        return f"the waypoint {home}/{name} is for {found.kind} alone ({_FOR})"
    if not found.allows(service.namespace, of_namespaces):
        return f"the waypoint {home}/{name} allows no service of that namespace (allowedRoutes)"
    return found
