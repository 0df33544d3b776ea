"""Which workloads an object of Istio's is for: its namespace, its selector, or what it is attached to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from meshsim.policy.engine import Directory
from meshsim.policy.istio_attachment import SERVICE, is_attached, missing, read_target
from meshsim.policy.istio_types import Scope
from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.manifest_reader import DEFAULT_NAMESPACE, Manifest, Value
from meshsim.scenario.words import expected, one_of, show

ELSEWHERE = "it is for the namespace"
"""How the reason begins for which an object of another namespace has no say."""


def read_scope(manifest: Manifest, spec: Mapping[str, Value]) -> Scope:
    """The scope of an object with ``selector``, ``targetRefs`` or the older ``targetRef`` in its ``spec``."""
    given = [spec[key] for key in ("selector", "targetRefs", "targetRef") if key in spec]
    for second in given[1:]:
        second.wrong_key(f"{second.name} stands beside {given[0].name}; expected one of them alone")
    references = spec["targetRefs"].items() if "targetRefs" in spec else []
    if "targetRef" in spec:
        references.append(spec["targetRef"])
    targets = tuple(target for reference in references if (target := read_target(reference)))
    selector = _selector(spec["selector"]) if "selector" in spec else {}
    return Scope(manifest.namespace, selector, targets, (given[0] if given else manifest.whole).place)


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
    if scope.targets:
        if is_attached(scope, service, directory):
            return ""
        named = one_of([target.name for target in scope.targets])
        told = f"it is attached to {named} in {scope.namespace}"
        if any(target.name == service for target in scope.targets) and scope.namespace == namespace:
            return f"{told}, and no waypoint serves {service}: sidecars and ztunnel leave it aside"
        if scope.namespace != namespace:
            return f"{told}; {service} is in {namespace}"
        if all(target.kind == SERVICE for target in scope.targets):
            return f"{told}, not to {service}"
        serving = directory.waypoints.get(service, "")
        instead = f"the waypoint {serving} does" if serving else "no waypoint does"
        return f"{told}, which does not serve {service}: {instead}"
    if scope.namespace not in (namespace, directory.root_namespace):
        return f"{ELSEWHERE} {scope.namespace}; {service} is in {namespace}"
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
    if scope.targets:
        yield from missing(scope, directory)
        return
    if any(is_for(scope, service, directory, version) for service, version in workloads(directory)):
        return
    namespaces = sorted(set(directory.namespaces.values()) | {directory.root_namespace})
    if scope.namespace not in namespaces:
        said = f"no service is in the namespace {show(scope.namespace)}; {expected(scope.namespace, namespaces)}"
    elif scope.selector:
        wanted = ", ".join(f"{key}={value}" for key, value in scope.selector.items())
        said = f"no workload has the labels {wanted}; expected labels of a service, or {_IGNORED}"
    else:
        said = f"no service is in the namespace {show(scope.namespace)}; expected one, or {_IGNORED}"
    yield scope.place.diagnostic(said)


_IGNORED = "mesh.policy.istio.unmatched: ignore"
