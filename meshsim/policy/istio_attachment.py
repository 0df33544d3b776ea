"""What ``targetRefs`` attach an object of Istio's to, and where it holds (istio: pilot/pkg/model/policyattachment.go).

Sidecars leave such objects aside. What is attached to a Service holds at the waypoint that serves it; what is attached
to a Gateway, at that waypoint for all that it serves, or at that gateway's own workload; what is attached to the class
of all waypoints, in the root namespace, at each of them. Nothing else that may be named is here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from meshsim.policy.engine import Directory
from meshsim.policy.istio_types import Scope, Target
from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.manifest_reader import DEFAULT_NAMESPACE, Value
from meshsim.scenario.proxies import GATEWAY_NAME, WAYPOINT_CLASS
from meshsim.scenario.words import expected, show

SERVICE = "Service"
GATEWAY = "Gateway"
ISTIOS_GATEWAY = "Gateway of networking.istio.io"
GATEWAY_CLASS = "GatewayClass"

_GATEWAY_API = "gateway.networking.k8s.io"
_KINDS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("", "Service"): SERVICE,
        ("core", "Service"): SERVICE,
        (_GATEWAY_API, "Gateway"): GATEWAY,
        (_GATEWAY_API, "GatewayClass"): GATEWAY_CLASS,
        (_GATEWAY_API, "HTTPRoute"): "HTTPRoute",
        ("networking.istio.io", "ServiceEntry"): "ServiceEntry",
        ("networking.istio.io", "Gateway"): ISTIOS_GATEWAY,
    }
)
"""What Istio attaches policies to: group and kind → what it is called here."""
_NEVER_HERE: Mapping[str, str] = MappingProxyType(
    {"HTTPRoute": "routes of Gateway API", "ServiceEntry": "services outside of the mesh"}
)


def read_target(value: Value) -> Target | None:
    """What a reference is to; None with a mistake noted if Istio would refuse it."""
    fields = value.fields("group", "kind", "name", "namespace")
    texts = {key: field.text() for key, field in fields.items()}
    if not isinstance(value.data, dict):
        return None
    for key in ("kind", "name"):
        if not texts.get(key):
            fields.get(key, value).wrong(f"the reference has no {key}; expected the {key} of what it is to")
    if texts.get("namespace"):
        fields["namespace"].wrong("Istio does not support references to another namespace; expected no 'namespace'")
    target = (texts.get("group", ""), texts.get("kind", ""))
    if target[1] and target not in _KINDS:
        groups = " or ".join(group or "''" for group, kind in _KINDS if kind == target[1])
        right = f"expected group: {groups}" if groups else "expected a Service or a Gateway"
        value.wrong(f"{'/'.join(filter(None, target))} cannot be referred to; {right}")
    if target not in _KINDS or not texts.get("name"):
        return None
    return Target(_KINDS[target], texts["name"], value.place)


def is_attached(scope: Scope, service: str, directory: Directory) -> bool:
    """Whether an object with ``targetRefs`` holds for what arrives at a service."""
    return any(_holds(target, scope.namespace, service, directory) for target in scope.targets)


def _holds(target: Target, namespace: str, service: str, directory: Directory) -> bool:
    waypoint = directory.waypoints.get(service, "")
    if target.kind == SERVICE:
        return bool(waypoint) and service == _called(target.name, namespace, directory)
    if target.kind == GATEWAY:
        return waypoint == f"{namespace}/{target.name}" or _gateway_of(service, directory) == (namespace, target.name)
    if target.kind == GATEWAY_CLASS:
        return bool(waypoint) and namespace == directory.root_namespace and target.name == WAYPOINT_CLASS
    return target.kind == ISTIOS_GATEWAY and f"{namespace}/{target.name}" in directory.gateways.get(service, ())


def _called(name: str, namespace: str, directory: Directory) -> str:
    """The service of this name in this namespace, of several with it by the namespace in its own; empty for none."""
    for service in (name, f"{name}-{namespace}"):
        if service in directory.services and directory.namespaces.get(service, DEFAULT_NAMESPACE) == namespace:
            return service
    return ""


def _gateway_of(service: str, directory: Directory) -> tuple[str, str]:
    """Namespace and name of the Gateway of the Gateway API whose workload a service is; empty names if it is none's."""
    name = directory.labels.get(service, {}).get(GATEWAY_NAME, "")
    return (directory.namespaces.get(service, DEFAULT_NAMESPACE), name) if name else ("", "")


def is_gateway(service: str, directory: Directory) -> bool:
    """Whether a service is the workload of a gateway."""
    return bool(directory.gateways.get(service)) or _gateway_of(service, directory)[1] != ""


def waypoint_identity(waypoint: str, directory: Directory) -> str:
    """The SPIFFE ID of a waypoint, by its namespace and name: its service account is called as it is."""
    namespace, _, name = waypoint.partition("/")
    return f"spiffe://{directory.trust_domain}/ns/{namespace}/sa/{name}"


def missing(scope: Scope, directory: Directory) -> Iterator[Diagnostic]:
    """Every reference of an object to something that is not here."""
    for target in scope.targets:
        if said := _missing(target, scope.namespace, directory):
            yield target.place.diagnostic(said)


def _missing(target: Target, namespace: str, directory: Directory) -> str:
    if target.kind in _NEVER_HERE:
        return f"there are no {_NEVER_HERE[target.kind]} here; expected a Service or a Gateway"
    if target.kind == GATEWAY_CLASS:
        if target.name != WAYPOINT_CLASS:
            return f"no waypoint is of the class {show(target.name)}; expected {WAYPOINT_CLASS}"
        root = directory.root_namespace
        said = f"a policy for all waypoints holds in the root namespace alone; expected namespace: {root}"
        return "" if namespace == root else said
    if target.kind == SERVICE:
        if _called(target.name, namespace, directory):
            return ""
        known = [name for name in sorted(directory.services) if directory.namespaces.get(name) == namespace]
        return f"there is no service {show(target.name)} in {namespace}; {expected(target.name, known)}"
    known = sorted(_gateways(target.kind, namespace, directory))
    if target.name in known:
        return ""
    what = "waypoint or gateway" if target.kind == GATEWAY else "gateway"
    nothing = f"no service has one of {namespace} ({_WORDS[target.kind]})"
    return f"there is no {what} {show(target.name)} in {namespace}; {expected(target.name, known, nothing)}"


_WORDS = {
    GATEWAY: f"services.*.waypoint, or the label {GATEWAY_NAME}",
    ISTIOS_GATEWAY: "services.*.gateways",
}


def _gateways(kind: str, namespace: str, directory: Directory) -> set[str]:
    """Names of gateways in a namespace, waypoints among those of the Gateway API."""
    if kind == ISTIOS_GATEWAY:
        found = [one for each in directory.gateways.values() for one in each]
    else:
        found = [*directory.waypoints.values()]
        found += ["/".join(_gateway_of(service, directory)) for service in directory.services]
    return {name for home, _, name in (one.partition("/") for one in found) if home == namespace and name}


def unenforced(name: str, scope: Scope, directory: Directory) -> Iterator[Diagnostic]:
    """What an object is attached to where nothing enforces it: no waypoint, so that all others leave it aside."""
    for target in scope.targets:
        if any(_holds(target, scope.namespace, service, directory) for service in directory.services):
            continue
        if target.kind == SERVICE and not _missing(target, scope.namespace, directory):
            said = f"is attached to the service {target.name}, which no waypoint serves: sidecars and ztunnel leave it"
            instead = (
                "services.*.waypoint, in manifests the label istio.io/use-waypoint with its Gateway, or a selector"
            )
            yield target.place.diagnostic(f"{name} {said} aside, so nothing enforces it; expected {instead}")
        else:
            where = "of which there is none here" if target.kind == GATEWAY_CLASS else "which is not here"
            yield target.place.diagnostic(
                f"{name} is attached to the {target.kind} {target.name}, {where}: nothing enforces it"
            )
