"""``mesh.manifests`` of a scenario, made into what the scenario's own words say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

import msgspec

from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.manifest_reader import Manifest
from meshsim.scenario.manifests.destination_rules import Rules, read_destination_rules
from meshsim.scenario.manifests.documents import Objects, names_of, read_objects
from meshsim.scenario.manifests.draft import Draft, append, lay_over
from meshsim.scenario.manifests.gateway_hosts import routes_by_host
from meshsim.scenario.manifests.gateways import GatewayRoute, everything_else, read_gateways
from meshsim.scenario.manifests.hosts import Hosts
from meshsim.scenario.manifests.kinds import GATEWAY_API
from meshsim.scenario.manifests.kubernetes import Cluster, check_kept, read_cluster
from meshsim.scenario.manifests.peer_authentications import DEFAULT_MODE, Peers, read_peers
from meshsim.scenario.manifests.policies import hand_on, said_of_istio
from meshsim.scenario.manifests.same_pods import check_apart
from meshsim.scenario.manifests.service_draft import put_destination, put_service
from meshsim.scenario.manifests.values import Notes
from meshsim.scenario.manifests.virtual_services import put_routes, read_virtual_services
from meshsim.scenario.manifests.waypoints import find_waypoints, read_waypoints, said_ambient
from meshsim.scenario.positions import Path, Positions
from meshsim.scenario.reading import Folder
from meshsim.scenario.shape import step

AT: Path = ("mesh", "manifests")
IGNORED: Path = ("mesh", "ignored_kinds")
TRUST_DOMAIN = "cluster.local"
"""Trust domain of the mesh, as Istio is installed by itself."""


class ManifestNotes(msgspec.Struct, frozen=True):
    """What is right in manifests but should be known."""

    read: tuple[str, ...] = ()
    """About what was read."""
    aside: tuple[str, ...] = ()
    """About what was not read, so that nothing that is said of the mesh rests on it."""
    names_known: bool = True
    """Whether the workloads, with their names and labels, could all be read."""


class Mesh(msgspec.Struct):
    """What all manifests together say."""

    objects: Objects
    cluster: Cluster
    routes: dict[str, list[Draft]]
    """Of each service that has any."""
    rules: Rules
    peers: Peers
    gateways: list[GatewayRoute] = []
    """Routes for what gateways take."""
    ambient: bool = False
    """Whether it has ztunnel in place of sidecars."""
    names_known: bool = True
    """Whether the workloads, with their names and labels, could all be read."""

    def routes_of(self, key: str, kept: Collection[str]) -> list[Draft]:
        """The routes of calls to a service: those of gateways that take part come first, and what they do not take."""
        own = self.routes.get(key, [])
        first = [one for one in self.gateways if one.to == key and one.gateway in kept]
        if not first:
            return own
        routes: list[Draft] = []
        for name in dict.fromkeys(one.gateway for one in first):
            of_one = [one for one in first if one.gateway == name]
            routes += routes_by_host(of_one, self.cluster.services[name], key)
        return [*routes, *(own or [everything_else(self.cluster.services[key])])]


def read_mesh(
    folder: Folder,
    names: list[str],
    istio: tuple[str, bool],
    notes: Notes,
    ignored: Collection[str] = (),
    ambient: bool | None = None,
) -> Mesh:
    """Read manifests, those of ``ignored`` kinds left aside; every mistake is in ``objects.mistakes``.

    ``istio``: what ``said_of_istio`` returns. ``ambient``: whether the scenario says that the mesh is in ambient mode;
    None: it says nothing of it.
    """
    root_namespace, unmatched = istio
    objects = read_objects(folder, names, notes, ignored)
    complete = not objects.mistakes
    by_kind: dict[str, list[Manifest]] = {}
    for manifest in objects.manifests:
        by_kind.setdefault(manifest.kind, []).append(manifest)
    cluster = read_cluster(objects.manifests, notes)
    edges = by_kind.get("Gateway", [])
    gateways = read_gateways([one for one in edges if one.api_version not in GATEWAY_API], cluster, notes)
    waypoints = read_waypoints([one for one in edges if one.api_version in GATEWAY_API], notes)
    ambient = find_waypoints(cluster, by_kind.get("Namespace", []), waypoints, ambient, notes)
    names_known = not objects.mistakes
    hosts = Hosts(cluster, complete=complete)
    rules = read_destination_rules(by_kind.get("DestinationRule", []), hosts, root_namespace, notes)
    namespaces = dict.fromkeys(("", *(service.namespace for service in cluster.services.values())))
    for rule in rules.unused(cluster.services.values(), namespaces):
        place = rule.host.place
        notes.texts.append(
            f"the DestinationRule at {place.file}:{place.line} holds for no caller: those in its own namespace go by "
            "it, and others by one of the service's or the root namespace"
        )
    services = by_kind.get("VirtualService", [])
    routes, at_gateways = read_virtual_services(services, hosts, rules, gateways, notes)
    modes = by_kind.get("PeerAuthentication", [])
    peers = read_peers(modes, cluster, root_namespace, notes, unmatched=unmatched)
    return Mesh(objects, cluster, routes, rules, peers, at_gateways, ambient, names_known)


def expand(data: dict[str, Any], positions: Positions, folder: Folder) -> tuple[list[Diagnostic], ManifestNotes]:
    """Read the manifests that a scenario names, and fill in what they say; ``mesh.manifests`` is then gone.

    Returns the mistakes in manifests, and notes on what is right but should be known. What is no list of names is left
    as it is, for the models to refuse.
    """
    entries = step(step(data, "mesh"), "manifests")
    ignored = step(step(data, "mesh"), "ignored_kinds") or []
    if not (isinstance(entries, list) and entries and all(isinstance(entry, str) for entry in entries)):
        if ignored and not entries:
            message = "ignored_kinds is about manifests, of which there are none; expected mesh.manifests beside it"
            return [positions.key(IGNORED).diagnostic(message)], ManifestNotes()
        return [], ManifestNotes()
    if not (isinstance(ignored, list) and all(isinstance(kind, str) for kind in ignored)):
        ignored = []  # for the models to refuse
    diagnostics: list[Diagnostic] = []
    names: dict[str, None] = {}
    for index, entry in enumerate(entries):
        try:
            for name in names_of(folder, entry):
                names.pop(name, None)  # what is named again is applied again
                names[name] = None
        except ValueError as error:
            diagnostics.append(positions.value((*AT, index)).diagnostic(str(error)))
    del data["mesh"]["manifests"]
    notes = Notes()
    mesh = read_mesh(folder, list(names), said_of_istio(data["mesh"]), notes, ignored, said_ambient(data["mesh"]))
    for index, kind in enumerate(ignored):
        if not notes.ignored[kind]:
            message = f"there is no {kind} in the manifests; expected a kind that is there, or nothing"
            diagnostics.append(positions.value((*IGNORED, index)).diagnostic(message))
    if ignored:
        del data["mesh"]["ignored_kinds"]
    _take_preset(data["mesh"], mesh, notes)
    kept = _kept(data, mesh)
    for key in kept:
        check_kept(mesh.cluster.services[key])
    check_apart(mesh.cluster.services[key] for key in kept)
    draft = draft_of(mesh, kept)
    _yield_to(data, draft, kept)
    _add_routes(data, draft, positions)
    hand_on(data, positions, mesh.objects, folder, everything=_are_all(kept, mesh.cluster))
    lay_over(draft, data, positions)
    diagnostics += _missing(data, positions, mesh, kept)
    left_out = [key for key in mesh.cluster.services if key not in kept]
    if left_out:
        notes.texts.append(
            f"services of the manifests that nothing calls and the scenario does not name: {', '.join(left_out)}"
        )
    return diagnostics + mesh.objects.mistakes, _told(notes, names_known=mesh.names_known)


def _are_all(kept: list[str], cluster: Cluster) -> bool:
    """Whether the pods of every service take part."""
    there = {id(one) for key in kept for one in cluster.services[key].deployments}
    others = (service for key, service in cluster.services.items() if key not in kept)
    return all(one.deployments and there.issuperset(map(id, one.deployments)) for one in others)


def _take_preset(own: dict[str, Any], mesh: Mesh, notes: Notes) -> None:
    """Have the mesh of a scenario that names no preset be as Istio is by itself: the manifests are Istio's."""
    if "preset" not in own:
        own["preset"] = "ztunnel" if mesh.ambient else "istio"
        named = f"mesh.preset is {own['preset']}, as the manifests are Istio's"
        notes.texts.append(f"{named}; preset: null brings meshsim's own defaults back")


def _told(notes: Notes, *, names_known: bool) -> ManifestNotes:
    aside = list(notes.warnings)
    if notes.ignored:
        aside.append(f"left aside, as mesh.ignored_kinds has it: {_counted(notes.ignored)}")
    if notes.unused:
        aside.append(f"not used, as they decide nothing about calls: {_counted(notes.unused)}")
    texts = list(notes.texts)
    if notes.without_effect:
        texts.append(f"read in manifests and without effect: {_counted(notes.without_effect)}")
    return ManifestNotes(tuple(texts), tuple(aside), names_known)


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(found.items()))


def _kept(data: Any, mesh: Mesh) -> list[str]:
    """The services that take part: those that the scenario names or calls, and those that routes lead to from there."""
    wanted: dict[str, None] = {}
    waiting = list(_named(data))
    while waiting:
        name = waiting.pop(0)
        if name in wanted or name not in mesh.cluster.services:
            continue
        wanted[name] = None
        parts = [*mesh.routes.get(name, ()), *(one.draft for one in mesh.gateways if name in (one.to, one.gateway))]
        for part in parts:
            waiting += [target["to"] for target in part.data["route"].get("split", ())]
    return [key for key in mesh.cluster.services if key in wanted]


def _named(data: Any) -> list[str]:
    services = step(data, "services")
    found = list(services) if isinstance(services, dict) else []
    for service in found[:]:
        owners = [step(services, service)]
        versions = step(owners[0], "versions")
        owners += versions.values() if isinstance(versions, dict) else ()
        for owner in owners:
            calls = step(owner, "calls")
            for entry in calls if isinstance(calls, list) else ():
                found += [str(step(call, "to")) for call in _calls(entry)]
    flows = step(data, "traffic")
    found += [str(step(flow, "to")) for flow in flows] if isinstance(flows, list) else []
    return found


def _calls(entry: Any) -> list[Any]:
    several = step(entry, "parallel") or step(entry, "one_of")
    return [entry, *several] if isinstance(several, list) else [entry]


def draft_of(mesh: Mesh, kept: list[str]) -> Draft:
    """What the manifests say of the services that take part, in a scenario's own words."""
    draft = Draft()
    if kept:
        draft.put(("mesh", "trust_domain"), TRUST_DOMAIN, mesh.cluster.services[kept[0]].place)
    if mesh.ambient and kept:
        draft.put(("mesh", "ambient"), True, mesh.cluster.services[kept[0]].place)
    if mesh.peers.mesh is not None:
        draft.put(("mesh", "tls", "mode"), mesh.peers.mesh.mode, mesh.peers.mesh.place)
    for key in kept:
        service = mesh.cluster.services[key]
        put_service(draft, service, mesh.peers)
        at: Path = ("mesh", "destinations", key)
        general = mesh.rules.of(service, "")
        put_destination(draft, service, at, general)
        for namespace in dict.fromkeys(mesh.cluster.services[one].namespace for one in kept):
            rule = mesh.rules.of(service, namespace)
            if rule is not general:
                put_destination(draft, service, (*at, "callers_in", namespace), rule)
    if mesh.peers.mesh is None and kept:
        draft.put(("mesh", "tls", "mode"), DEFAULT_MODE, mesh.cluster.services[kept[0]].place)
    put_routes({key: mesh.routes_of(key, kept) for key in kept}, draft)
    return draft


def _yield_to(data: Any, draft: Draft, kept: list[str]) -> None:
    """Take out of the draft what does not go together with what the scenario says itself of where replicas run."""
    for key in kept:
        own = step(step(data, "services"), key)
        versions = draft.at(("services", key, "versions")) or {}
        if isinstance(step(own, "replicas"), dict) and len(versions) == 1:
            (name,) = versions
            if not isinstance(step(step(own, "versions"), name), dict):
                own.setdefault("versions", {})[name] = {"replicas": own.pop("replicas")}
        for name in list(versions):
            if step(step(step(own, "versions"), name), "replicas") is not None:
                draft.remove(("services", key, "versions", name, "count"))


def _add_routes(data: Any, draft: Draft, positions: Positions) -> None:
    """Routes of the scenario come in place of those that manifests give the same service, and beside all others."""
    own = step(step(data, "mesh"), "routes")
    if not isinstance(own, list) or not own:
        return
    replaced = {step(route, "to") for route in own}
    for index, route in enumerate(draft.at(("mesh", "routes")) or ()):
        if route["to"] not in replaced:
            append(draft, ("mesh", "routes", index), own, ("mesh", "routes"), positions)


def _missing(data: Any, positions: Positions, mesh: Mesh, kept: list[str]) -> list[Diagnostic]:
    """What a service lacks that no manifest can say; a stand-in takes its place, so that all else is checked."""
    found = []
    place = positions.key(("services",))
    for key in kept:
        service = step(step(data, "services"), key)
        if not isinstance(service, dict):
            continue
        lacks = [] if service.get("work") is not None else ["work"]
        versions = service.get("versions")
        placed = "placement" in service or (
            isinstance(versions, dict)
            and all(step(one, "replicas") or step(one, "placement") for one in versions.values())
        )
        if not placed and "replicas" not in service:
            lacks.append("placement")
        if lacks:
            own = ("services", key) in positions.keys and positions.keys["services", key].file == positions.file
            at = positions.keys["services", key] if own else place
            message = (
                f"{' and '.join(lacks)} of {key!r} {'are' if len(lacks) > 1 else 'is'} missing, which no manifest says"
            )
            found.append(at.diagnostic(f"{message}; expected services.{key}.{lacks[0]}"))
        nodes = step(step(data, "network"), "nodes")
        if "work" in lacks:
            service["work"] = {"constant": "0 ms"}
        if "placement" in lacks and isinstance(nodes, dict) and nodes:
            service["placement"] = [str(next(iter(nodes)))]
    return found
