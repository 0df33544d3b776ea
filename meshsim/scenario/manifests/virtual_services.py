"""VirtualServices: routes of calls to services."""

from __future__ import annotations

import msgspec

from meshsim.scenario.manifest_reader import Manifest, Value
from meshsim.scenario.manifests.destination_rules import Rules
from meshsim.scenario.manifests.draft import Draft
from meshsim.scenario.manifests.gateways import GatewayRoute, Gateways, for_gateways
from meshsim.scenario.manifests.hosts import Hosts, specificity
from meshsim.scenario.manifests.http_route import RouteReader
from meshsim.scenario.manifests.route_order import of_gateways, of_sidecars, reachable
from meshsim.scenario.manifests.values import Notes, body, only, take
from meshsim.scenario.positions import Path


class _Claim(msgspec.Struct, frozen=True):
    """Which VirtualService routes the calls to a service."""

    exactness: int
    host: Value
    routes: list[Draft]


def read_virtual_services(
    manifests: list[Manifest], hosts: Hosts, rules: Rules, gateways: Gateways, notes: Notes
) -> tuple[dict[str, list[Draft]], list[GatewayRoute]]:
    """The routes of each service that has any, in order, each as a draft that holds it at the path ``route``.

    Those for gateways are apart.
    """
    claims: dict[str, _Claim] = {}
    at_gateways: list[GatewayRoute] = []
    for manifest in manifests:
        spec = body(manifest, "VirtualService", notes).get("spec", manifest.spec)
        fields = take(spec, "VirtualService.spec", notes)
        if "exportTo" in fields:
            only(fields["exportTo"], "*", "every rule holds for all namespaces")
        bound = fields["gateways"].texts() if "gateways" in fields else []
        meant = [gateways.meant(item, manifest.namespace) for item in bound if item.data != "mesh"]
        entries = fields["http"].items() if "http" in fields else []
        if not entries and not {"tcp", "tls"} & set(spec.data if isinstance(spec.data, dict) else ()):
            fields.get("http", spec).wrong("the VirtualService routes nothing; expected http with at least one route")
        reader = RouteReader(manifest.namespace, hosts, rules, notes)
        routes = [reader.read(entry) for entry in entries]
        found = [one for one in meant if one is not None]
        named = fields["hosts"].data if "hosts" in fields else ()
        to_gateways, unused = reachable(entries, [of_gateways(route) if found else None for route in routes])
        for route in to_gateways:
            at_gateways += for_gateways(route, found, named)
        if not bound or any(item.data == "mesh" for item in bound):
            to_sidecars, elsewhere = reachable(entries, [of_sidecars(route) for route in routes])
            unused = [text for text in elsewhere if text in unused or not found]
            _claim(fields, manifest, hosts, claims, spec, to_sidecars)
        elif "hosts" not in fields or fields["hosts"].data == []:
            fields.get("hosts", spec).wrong("'hosts' is missing; expected at least one host, or '*'")
        notes.texts += unused
    return {service: claim.routes for service, claim in claims.items()}, at_gateways


def _claim(
    fields: dict[str, Value],
    manifest: Manifest,
    hosts: Hosts,
    claims: dict[str, _Claim],
    spec: Value,
    routes: list[Draft],
) -> None:
    """Note whose calls a VirtualService routes: of two for one service, the one that names it more exactly holds."""
    if "hosts" not in fields or fields["hosts"].data == []:
        fields.get("hosts", spec).wrong("'hosts' is missing; expected at least one service whose calls are routed")
        return
    for value in fields["hosts"].texts():
        if value.data == "*":
            value.wrong("'*' alone is for gateways, as Istio has it; expected the name of a service")
            continue
        exactness = specificity(str(value.data))
        for service in hosts.meant(value, manifest.namespace):
            before = claims.get(service.key)
            if before is not None and before.exactness == exactness:
                place = before.host.place
                message = f"calls to {service.name!r} are routed at {place.file}:{place.line} already"
                value.wrong(f"{message}; expected one VirtualService for each host")
            elif before is None or before.exactness < exactness:
                claims[service.key] = _Claim(exactness, value, routes)


def put_routes(routes: dict[str, list[Draft]], draft: Draft) -> None:
    """Put the routes of services into a draft, as ``mesh.routes``."""
    index = 0
    for service, parts in routes.items():
        for part in parts:
            at: Path = ("mesh", "routes", index)
            draft.put(at, {}, part.places["route",])
            draft.put((*at, "to"), service, part.places["route",])
            draft.take(part, ("route",), at)
            index += 1
