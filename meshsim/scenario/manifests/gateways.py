"""Gateways: workloads at the edge of the mesh that take requests of users and call services as VirtualServices say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from meshsim.scenario.headers import AUTHORITY
from meshsim.scenario.manifest_reader import Manifest, Value
from meshsim.scenario.manifests.draft import Draft
from meshsim.scenario.manifests.kubernetes import Cluster, KubePort, KubeService
from meshsim.scenario.manifests.values import Notes, body, labels, number, take
from meshsim.scenario.manifests.workloads import Deployment
from meshsim.scenario.positions import Path, Place
from meshsim.scenario.services import HTTP_PATH
from meshsim.scenario.words import expected, show

ISTIOS_LABELS = {"app": "istio-ingressgateway", "istio": "ingressgateway"}
"""Of the pods of the ingress gateway that Istio installs itself."""
_NAME, _NAMESPACE = "istio-ingressgateway", "istio-system"
_ACCOUNT = "istio-ingressgateway-service-account"
_PORT, _TARGET = 80, 8080


class Gateway(msgspec.Struct, frozen=True):
    """A Gateway and the workload behind it."""

    name: str
    namespace: str
    service: KubeService


class GatewayRoute(msgspec.Struct, frozen=True):
    """A route for what one gateway takes, as it is for the calls that the gateway makes."""

    gateway: str
    """The service that the gateway is."""
    to: str
    """The service that is called."""
    path: str
    """A path that the route takes; empty if none is known."""
    hosts: tuple[str, ...]
    """Hosts of its VirtualService, one for each wildcard; empty if any host is."""
    bound: tuple[str, ...]
    """The same as they are written."""
    draft: Draft


class Gateways:
    """The gateways of a mesh by their names."""

    def __init__(self, gateways: list[Gateway]) -> None:
        self._gateways = gateways

    def meant(self, value: Value, namespace: str) -> KubeService | None:
        """The service that a gateway's name in a VirtualService of ``namespace`` means; None with a mistake noted."""
        text = value.text()
        home, slash, name = text.rpartition("/")
        home = home if slash and home != "." else namespace
        for one in self._gateways:
            if (one.namespace, one.name) == (home, name):
                return one.service
        known = ["mesh", *(f"{one.namespace}/{one.name}" for one in self._gateways)]
        value.wrong(f"there is no gateway {show(text)}; {expected(text, known)}")
        return None


def read_gateways(manifests: list[Manifest], cluster: Cluster, notes: Notes) -> Gateways:
    """Find the workload of each Gateway; that of Istio's own is added to the services if no manifest has it."""
    found = []
    for manifest in manifests:
        spec = body(manifest, "Gateway", notes).get("spec", manifest.spec)
        fields = take(spec, "Gateway.spec", notes)
        for server in fields["servers"].items() if "servers" in fields else ():
            _check_server(server, notes)
        if "servers" not in fields:
            spec.wrong("'servers' is missing; expected it here: the ports that it listens on")
        selector = labels(fields["selector"]) if "selector" in fields else {}
        if not selector:
            fields.get("selector", spec).wrong(
                "the Gateway selects no pods; expected labels, such as istio: ingressgateway"
            )
            continue
        service = _behind(manifest, selector, cluster, fields["selector"])
        if service is not None:
            service.gateway = True
            service.gateways.append(f"{manifest.namespace}/{manifest.name}")
            found.append(Gateway(manifest.name, manifest.namespace, service))
    return Gateways(found)


def _check_server(server: Value, notes: Notes) -> None:
    inner = take(server, "Gateway.spec.servers", notes)
    if "port" not in inner:
        if isinstance(server.data, dict):
            server.wrong("'port' is missing; expected it here: number, name and protocol")
        return
    port = take(inner["port"], "Gateway.spec.servers.port", notes)
    if "number" in port:
        number(port["number"], 1, 65_535)
    if "protocol" in port:
        port["protocol"].choice(("HTTP", "HTTPS", "HTTP2", "GRPC", "GRPC-WEB"))


def _behind(manifest: Manifest, selector: dict[str, str], cluster: Cluster, at: Value) -> KubeService | None:
    for service in cluster.services.values():
        if not service.main and any(selector.items() <= one.labels.items() for one in service.deployments):
            return service
    if not selector.items() <= ISTIOS_LABELS.items():
        shown = ", ".join(f"{key}={label}" for key, label in selector.items())
        own = "those of Istio's own gateway (istio: ingressgateway)"
        at.wrong(f"no pods of a Service have {shown}; expected labels of some, or {own}")
        return None
    place = manifest.whole.place
    pods = Deployment(
        name=_NAME,
        namespace=_NAMESPACE,
        count=1,
        count_place=place,
        labels=ISTIOS_LABELS,
        labels_place=place,
        service_account=_ACCOUNT,
        account_place=place,
        ports={},
        environment=(),
        whole=manifest.whole,
    )
    ports = [KubePort(_PORT, "http2", "http", _TARGET, place)]
    service = KubeService(_NAME, _NAME, _NAMESPACE, ports, ISTIOS_LABELS, [pods], manifest.whole)
    cluster.services[_NAME] = service
    cluster.deployments.append(pods)
    return service


def hosts_of(hosts: object) -> tuple[str, ...]:
    """Hosts that a VirtualService takes requests for, whole ones first; of a wildcard, one that it stands for."""
    texts = [one for one in hosts if isinstance(one, str)] if isinstance(hosts, list) else []
    whole = [one for one in texts if "*" not in one]
    made = [*whole, *(f"www{one[1:]}" for one in texts if one.startswith("*."))]
    return () if "*" in texts else tuple(one for one in made if re.fullmatch(AUTHORITY, one))


def for_gateways(draft: Draft, gateways: list[KubeService], hosts: object) -> Iterator[GatewayRoute]:
    """A route for each gateway that it is bound to: it takes the gateway's calls to where it leads first."""
    bound = tuple(one.lower() for one in hosts if isinstance(one, str)) if isinstance(hosts, list) else ()
    route = draft.data["route"]
    targets = [target["to"] for target in route.get("split", ()) if "to" in target]
    matches: list[Path] = [("route", "match", index) for index in range(len(route.get("match", ())))]
    for gateway in gateways if targets else []:
        own = _labels_of(gateway)
        held = [at for at in matches if _can_hold(draft.at((*at, "source_labels")) or {}, own)]
        if matches and not held:
            continue  # it is for other workloads alone
        made = Draft()
        made.take(draft, ("route",), ("route",))
        made.remove(("route", "match"))
        for index, at in enumerate(held):
            made.take(draft, at, ("route", "match", index))
        _put_source(made, max(1, len(held)), own, draft.places["route",])
        yield GatewayRoute(gateway.key, targets[0], _path_of(made.data["route"]), hosts_of(hosts), bound, made)


def _labels_of(gateway: KubeService) -> Mapping[str, str]:
    return gateway.deployments[0].labels if gateway.deployments else {}


def _can_hold(source_labels: Mapping[str, str], own: Mapping[str, str]) -> bool:
    return all(own.get(key, label) == label for key, label in source_labels.items())


def _put_source(draft: Draft, count: int, labels: Mapping[str, str], place: Place) -> None:
    """Have so many matches of a route hold for calls of workloads with these labels."""
    for index in range(count):
        at: Path = ("route", "match", index)
        if draft.at(at) is None:
            draft.put(at, {}, place)
        for key, label in labels.items():
            draft.put((*at, "source_labels", key), label, place)


def _path_of(route: dict[str, object]) -> str:
    """A path that the route takes; empty if it names none that a request can have."""
    matches = route.get("match")
    for match in matches if isinstance(matches, list) else ():
        wanted = match.get("path", {})
        for key in ("exact", "prefix"):
            if re.fullmatch(HTTP_PATH, str(wanted.get(key, ""))):
                return str(wanted[key])
    return ""


def not_found(gateway: KubeService) -> Draft:
    """The route of those calls of a gateway that none of its routes takes: it answers them itself."""
    draft = Draft()
    draft.put(("route",), {}, gateway.place)
    _put_source(draft, 1, _labels_of(gateway), gateway.place)
    draft.put(("route", "abort"), {"share": "100 %", "status": 404}, gateway.place)
    return draft


def everything_else(service: KubeService) -> Draft:
    """The route of calls to a service that only gateways have routes for."""
    draft = Draft()
    draft.put(("route",), {}, service.place)
    draft.put(("route", "split", 0), {}, service.place)
    draft.put(("route", "split", 0, "to"), service.key, service.place)
    return draft
