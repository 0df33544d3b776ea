"""Who seems to call whom in manifests: what environment variables and AuthorizationPolicies give away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from meshsim.scenario.manifest_reader import Manifest
from meshsim.scenario.manifests.kubernetes import Cluster, KubeService
from meshsim.scenario.shape import step

_HOST = re.compile(r"(?:^|[/@,;=\s])([a-z0-9][a-z0-9-]*)((?:\.[a-z0-9-]+)*):([0-9]{1,5})(?![0-9])")
_URL = re.compile(r"[a-z0-9+]+://([a-z0-9][a-z0-9-]*)((?:\.[a-z0-9-]+)*)(?=[/?#]|$)")
_PRINCIPAL = re.compile(r"(?:.*/)?ns/([a-z0-9-]+)/sa/([a-z0-9-]+)")


class Evidence(msgspec.Struct, frozen=True):
    """A call that manifests give away."""

    caller: str
    callee: str
    why: str


def evidence(cluster: Cluster, policies: list[Manifest]) -> list[Evidence]:
    """The calls that manifests give away, each once, those left out that would close a circle."""
    found: dict[tuple[str, str], Evidence] = {}
    for one in [*_from_environment(cluster), *_from_policies(cluster, policies)]:
        if one.caller != one.callee and not _reaches(found, one.callee, one.caller):
            found.setdefault((one.caller, one.callee), one)
    return list(found.values())


def _reaches(known: dict[tuple[str, str], Evidence], start: str, end: str) -> bool:
    waiting, seen = [start], {start}
    while waiting:
        name = waiting.pop()
        if name == end:
            return True
        below = {callee for caller, callee in known if caller == name} - seen
        seen |= below
        waiting += below
    return False


def _from_environment(cluster: Cluster) -> Iterator[Evidence]:
    for service in cluster.services.values():
        for deployment in service.deployments:
            for value in deployment.environment:
                for callee in _named(cluster, service, value):
                    yield Evidence(service.key, callee, f"an environment variable of {deployment.name} names it")


def _named(cluster: Cluster, caller: KubeService, text: str) -> Iterator[str]:
    """The services that a text names as a host with one of their ports, or in a URL."""
    hosts = [(name, rest, int(port)) for name, rest, port in _HOST.findall(text)]
    hosts += [(name, rest, 0) for name, rest in _URL.findall(text)]
    for name, rest, port in hosts:
        namespace = rest.split(".")[1] if rest else caller.namespace
        for service in cluster.services.values():
            known = {0, *(one.number for one in service.ports)}
            if (service.name, service.namespace) == (name, namespace) and port in known:
                yield service.key


def _from_policies(cluster: Cluster, policies: list[Manifest]) -> Iterator[Evidence]:
    """Calls that AuthorizationPolicies allow to a service account by name."""
    for policy in policies:
        spec = step(policy.whole.data, "spec")
        if policy.kind != "AuthorizationPolicy" or step(spec, "action") not in (None, "ALLOW"):
            continue
        labels = step(step(spec, "selector"), "matchLabels")
        wanted = labels if isinstance(labels, dict) else {}  # else the engine tells the mistake
        callees = [
            service
            for service in cluster.services.values()
            if service.namespace == policy.namespace
            and any(wanted.items() <= one.labels.items() for one in service.deployments)
        ]
        for principal in _principals(spec):
            match = _PRINCIPAL.fullmatch(principal)
            for caller in cluster.services.values() if match is not None else ():
                accounts = {one.service_account for one in caller.deployments}
                if match is not None and caller.namespace == match[1] and match[2] in accounts:
                    why = f"the AuthorizationPolicy {policy.name} allows it"
                    yield from (Evidence(caller.key, callee.key, why) for callee in callees if wanted)


def _principals(spec: Any) -> Iterator[str]:
    for rule in _items(step(spec, "rules")):
        for entry in _items(step(rule, "from")):
            for principal in _items(step(step(entry, "source"), "principals")):
                if isinstance(principal, str):
                    yield principal


def _items(data: Any) -> list[Any]:
    return data if isinstance(data, list) else []
