"""Which services a host in an Istio object means."""

from __future__ import annotations

import re

from meshsim.scenario.manifest_reader import Value
from meshsim.scenario.manifests.kubernetes import Cluster, KubeService
from meshsim.scenario.words import expected, show

_HOST = re.compile(r"(\*|(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*)")
_LONGEST = 253


class Hosts:
    """The services of a mesh by their names."""

    def __init__(self, cluster: Cluster, *, complete: bool = True) -> None:
        self._complete = complete
        """Whether every object could be read; if not, a service that is missing may be one of those."""
        self._by_host = {service.host: service for service in cluster.services.values()}
        self._services = list(cluster.services.values())

    def meant(self, value: Value, namespace: str, *, wildcard: bool = True) -> list[KubeService]:
        """The services that a host means to an object in ``namespace``; none with a mistake noted.

        A name without dots is one in that namespace, any other is taken as it is, as Istio does.
        """
        text = value.text()
        if not isinstance(value.data, str):
            return []
        if len(text) > _LONGEST or not _HOST.fullmatch(text):
            value.wrong(f"{show(text)} is no host; expected the name of a service, such as 'reviews'")
            return []
        if text.startswith("*"):
            if not wildcard:
                value.wrong(f"{show(text)} is no single host; expected the name of a service")
                return []
            found = [service for service in self._services if service.host.endswith(text[1:])]
        else:
            full = text if "." in text else f"{text}.{namespace}.svc.cluster.local"
            found = [self._by_host[full]] if full in self._by_host else []
        if not found and self._complete:
            value.wrong(self._missing(text, namespace))
        return found

    def _missing(self, text: str, namespace: str) -> str:
        name = text.partition(".")[0]
        there = [service for service in self._services if service.name == name]
        if there and "." not in text:
            return f"there is no service {show(text)} in {namespace}; expected '{there[0].host}', where there is one"
        if there:
            return f"there is no service {show(text)}; expected the full name '{there[0].host}'"
        names = [service.name for service in self._services]
        whole = (f"{one.name}.{one.namespace}" if names.count(one.name) > 1 else one.name for one in self._services)
        known = sorted(whole)
        return f"there is no service {show(text)}; {expected(name, known, 'expected a Service in the manifests')}"


def specificity(text: str) -> int:
    """How exactly a host says which service it means: the most exact object of those for a service holds."""
    return len(text) if text.startswith("*") else _LONGEST + 1
