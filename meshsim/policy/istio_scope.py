"""Which workloads an object of Istio's is for: its namespace, its selector, or what it is attached to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from meshsim.policy.engine import Directory
from meshsim.policy.istio_types import Scope
from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.manifest_reader import DEFAULT_NAMESPACE, Manifest, Value
from meshsim.scenario.words import expected, one_of, show

_TARGETS = (("", "Service"), ("core", "Service"))
_ELSEWHERE = {
    ("gateway.networking.k8s.io", "Gateway"): "gateways",
    ("gateway.networking.k8s.io", "GatewayClass"): "gateways",
    ("gateway.networking.k8s.io", "HTTPRoute"): "routes of gateways",
    ("networking.istio.io", "ServiceEntry"): "services outside of the mesh",
}
"""What Istio attaches policies to and a mesh of sidecars has not."""


def read_scope(manifest: Manifest, spec: Mapping[str, Value]) -> Scope:
    """The scope of an object with ``selector``, ``targetRefs`` or the older ``targetRef`` in its ``spec``."""
    given = [spec[key] for key in ("selector", "targetRefs", "targetRef") if key in spec]
    for second in given[1:]:
        second.wrong_key(f"{second.name} stands beside {given[0].name}; expected one of them alone")
    references = spec["targetRefs"].items() if "targetRefs" in spec else []
    if "targetRef" in spec:
        references.append(spec["targetRef"])
    services = tuple(name for reference in references if (name := _reference(reference)))
    selector = _selector(spec["selector"]) if "selector" in spec else {}
    return Scope(manifest.namespace, selector, services, (given[0] if given else manifest.whole).place)


def _selector(value: Value) -> dict[str, str]:
    fields = value.fields("matchLabels")
    if "matchLabels" not in fields:
        return {}
    labels = fields["matchLabels"].text_entries()
    for key, item in fields["matchLabels"].entries().items():
        if not key:
            item.wrong_key("a label has no name; expected one")
        elif "*" in key or "*" in str(item.data):
            item.wrong(f"the label {show(key)} has a wildcard; expected a label and its value as they are")
    return labels


def _reference(value: Value) -> str:
    """The service that a reference is to; empty with a mistake noted if it is to nothing that there is here."""
    fields = value.fields("group", "kind", "name", "namespace")
    texts = {key: field.text() for key, field in fields.items()}
    if not isinstance(value.data, dict):
        return ""
    for key in ("kind", "name"):
        if not texts.get(key):
            fields.get(key, value).wrong(f"the reference has no {key}; expected the {key} of what it is to")
    if texts.get("namespace"):
        fields["namespace"].wrong("Istio does not support references to another namespace; expected no 'namespace'")
    target = (texts.get("group", ""), texts.get("kind", ""))
    if target in _ELSEWHERE:
        value.wrong(f"a {target[1]} is referred to, but there are no {_ELSEWHERE[target]} here; expected a Service")
        return ""
    if target[1] and target not in _TARGETS:
        value.wrong(f"{'/'.join(filter(None, target))} cannot be referred to; expected a Service")
        return ""
    return texts.get("name", "")


def is_for(scope: Scope, service: str, directory: Directory, version: str = "") -> bool:
    """Whether an object holds for the replicas of a service, or of one of its versions."""
    return not outside(scope, service, directory, version)


def workloads(directory: Directory) -> Iterator[tuple[str, str]]:
    """Every service with each of its versions; without one where it has none."""
    for service in sorted(directory.services):
        yield from ((service, version) for version in directory.version_labels.get(service, {"": {}}))


def told_apart(scopes: Iterable[Scope], directory: Directory) -> frozenset[str]:
    """Services of which some object holds for some versions alone."""
    each = list(scopes)
    found = {
        (service, tuple(is_for(one, service, directory, version) for one in each))
        for service, version in workloads(directory)
    }
    names = [service for service, _ in found]
    return frozenset(name for name in names if names.count(name) > 1)


def outside(scope: Scope, service: str, directory: Directory, version: str = "") -> str:
    """Why an object does not hold for the replicas of a service, or of one of its versions; empty if it does."""
    namespace = directory.namespaces.get(service, DEFAULT_NAMESPACE)
    if scope.services:
        if scope.namespace == namespace and service in scope.services:
            return ""
        return f"it is attached to {one_of(scope.services)} in {scope.namespace}; {service} is in {namespace}"
    if scope.namespace not in (namespace, directory.root_namespace):
        return f"it is for the namespace {scope.namespace}; {service} is in {namespace}"
    labels = {**directory.labels.get(service, {}), **directory.version_labels.get(service, {}).get(version, {})}
    for key, value in scope.selector.items():
        if labels.get(key) != value:
            found = f"the label is {labels[key]}" if key in labels else "it has no such label"
            of = f"{service} {version}" if version else service
            return f"it is for workloads with {key}={value}; of {of}, {found}"
    return ""


def unused(scope: Scope, directory: Directory) -> Iterator[Diagnostic]:
    """The mistake in a scope that no workload is in, if it is one that nothing else was said of."""
    if any(not key or "*" in key + value for key, value in scope.selector.items()):
        return
    if any(is_for(scope, service, directory, version) for service, version in workloads(directory)):
        return
    namespaces = sorted(set(directory.namespaces.values()) | {directory.root_namespace})
    if scope.namespace not in namespaces:
        said = f"no service is in the namespace {show(scope.namespace)}; {expected(scope.namespace, namespaces)}"
    elif scope.services:
        here = [name for name in sorted(directory.services) if directory.namespaces.get(name) == scope.namespace]
        missing = next(name for name in scope.services if name not in here)
        said = f"there is no service {show(missing)} in {scope.namespace}; {expected(missing, here)}"
    elif scope.selector:
        wanted = ", ".join(f"{key}={value}" for key, value in scope.selector.items())
        said = f"no workload has the labels {wanted}; expected labels of a service, or {_IGNORED}"
    else:
        said = f"no service is in the namespace {show(scope.namespace)}; expected one, or {_IGNORED}"
    yield scope.place.diagnostic(said)


_IGNORED = "mesh.policy.istio.unmatched: ignore"
