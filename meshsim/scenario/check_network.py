"""Checks of the network: links, slices, radios, memory, and who can reach whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from meshsim.scenario import units
from meshsim.scenario.call_graph import edges, route_targets
from meshsim.scenario.check_mobility import check_moving
from meshsim.scenario.check_policy import path_of
from meshsim.scenario.data_files import RadioTrace
from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario
from meshsim.scenario.positions import Path
from meshsim.scenario.slicing import promised_ppm
from meshsim.scenario.variants import placements, replica_count, replicas_by_node
from meshsim.scenario.words import expected, shorten

SIDECAR_MEMORY_BYTES = 60_000_000
"""Memory of one sidecar: 60 MB (Istio documentation, Performance and Scalability, a sidecar at 1000 requests/s)."""

MOST_FOLLOWING_REPLICAS = 6
"""Replicas of a service that follows: with 8 nodes they have 1716 placements."""


def check_links(scenario: Scenario) -> Iterator[Finding]:
    """Links that join nothing, join twice, or share a name."""
    pairs: dict[frozenset[str], int] = {}
    keys: dict[str, int] = {}
    for index, link in enumerate(scenario.network.links):
        path = ("network", "links", index)
        if link.between[0] == link.between[1]:
            yield Finding((*path, "between"), f"the link joins {link.between[0]!r} with itself; expected two nodes")
            continue
        first = pairs.setdefault(frozenset(link.between), index)
        if first != index:
            message = (
                f"a second link joins {' and '.join(map(repr, link.between))}; expected one link between two nodes"
            )
            yield Finding((*path, "between"), message, involved=(("network", "links", first),))
        elif keys.setdefault(link.key, index) != index:
            message = f"a second link is called {link.key!r}; expected another name"
            yield Finding((*path, "name"), message, involved=(("network", "links", keys[link.key]),))
        if link.scheduling_interval_ns is not None and not link.slicing:
            message = "nothing is scheduled without slicing; expected slicing: true, or no scheduling_interval"
            yield Finding((*path, "scheduling_interval"), message, at_key=True)
        if link.reorder_ppm and not link.jitter_ns and link.delay is None:
            message = "all trains take equally long, so none can overtake; expected jitter or delay beside reorder"
            yield Finding((*path, "reorder"), message, at_key=True)


def check_slices(scenario: Scenario) -> Iterator[Finding]:
    """Shares of cells that do not add up, and slices that are the same one."""
    slices = scenario.network.slices
    total = sum(entry.share_ppm or 0 for entry in slices.values())
    without = [name for name, entry in slices.items() if entry.share_ppm is None]
    if total > units.PPM:
        message = f"the shares of the slices add up to {units.format_share(total)}; expected at most 100 %"
        yield Finding(("network", "slices"), message, at_key=True)
    elif total == units.PPM and without:
        message = f"the other slices take 100 %, so {without[0]!r} has no bandwidth; expected them to leave a share"
        yield Finding(("network", "slices", without[0]), message, at_key=True)
    yield from _check_admission(scenario)
    yield from _check_discarding(scenario)
    seen: dict[tuple[int, str], str] = {}
    for name, entry in slices.items():
        # FFFFFF says that there is no slice differentiator (3GPP TS 23.003, section 28.4.2)
        identity = (entry.sst, (entry.sd or "FFFFFF").upper())
        first = seen.setdefault(identity, name)
        if first != name:
            message = f"{name!r} has the S-NSSAI (sst and sd) of {first!r}; expected another sst or sd"
            yield Finding(("network", "slices", name), message, True, (("network", "slices", first),))


def _check_admission(scenario: Scenario) -> Iterator[Finding]:
    """Guaranteed bit rates that a cell or sliced link cannot keep beside what else is promised of it."""
    slices = scenario.network.slices
    rated = [name for name, entry in slices.items() if entry.guaranteed_bps is not None]
    for name in rated:
        if slices[name].share_ppm is not None:
            message = f"{name!r} has a share and a guaranteed bit rate; expected one of them"
            yield Finding(("network", "slices", name, "guaranteed"), message, at_key=True)
    media = [(f"link {link.key!r}", link.bandwidth_bps) for link in scenario.network.links if link.slicing]
    for name, radio in scenario.network.radios.items():
        media += [(f"the uplink of {name!r}", radio.uplink_bps), (f"the downlink of {name!r}", radio.downlink_bps)]
    for place, bandwidth_bps in media:
        total_ppm = sum(promised_ppm(slices, bandwidth_bps).values())
        if rated and total_ppm > units.PPM:
            message = (
                f"not admitted: what slices are promised of {place} ({units.format_bandwidth(bandwidth_bps)}) comes to "
                f"{units.format_share(total_ppm)}; expected at most 100 %"
            )
            yield Finding(("network", "slices", rated[-1], "guaranteed"), message)
            return


def _check_discarding(scenario: Scenario) -> Iterator[Finding]:
    """Slices whose late packets the radio should drop, and in which nothing is sent by radio."""
    of_radio = {
        flow.slice
        for flow in scenario.traffic
        if (fleet := scenario.fleets.get(flow.source)) is None or fleet.radio is not None
    }
    for name, entry in scenario.network.slices.items():
        if entry.discard_late and name not in of_radio:
            message = f"nothing in {name!r} is sent by radio, which would drop it; expected no discard_late"
            yield Finding(("network", "slices", name, "discard_late"), message, at_key=True)


def check_radios(scenario: Scenario, traces: Mapping[str, RadioTrace]) -> Iterator[Finding]:
    """Traces whose cells have no base station, cells that no trace visits, handovers that cannot be."""
    for name, radio in scenario.network.radios.items():
        path = ("network", "radios", name)
        trace = traces.get(name)
        if trace is not None:
            visited = dict.fromkeys(trace.cells)
            for cell in visited:
                if cell not in radio.cells:
                    message = f"the trace visits cell {cell!r}, which is not listed; expected '{cell}: <a gnb node>'"
                    yield Finding((*path, "cells"), shorten(message, 150), at_key=True)
            for cell in radio.cells:
                if cell not in visited:
                    message = f"the trace never visits cell {cell!r}; {expected(cell, list(visited))}"
                    yield Finding((*path, "cells", cell), message, at_key=True)
        yield from check_moving(scenario, name, radio)


def check_memory(scenario: Scenario) -> Iterator[Finding]:
    """Nodes whose replicas, clients and sidecars do not fit their memory."""
    needed: Counter[str] = Counter()
    for service in scenario.services.values():
        for place, count in replicas_by_node(service).items():
            needed[place] += count * (service.memory_bytes + SIDECAR_MEMORY_BYTES)
    for fleet in scenario.fleets.values():
        if fleet.node is not None:
            needed[fleet.node] += fleet.size * SIDECAR_MEMORY_BYTES
    for name, node in scenario.network.nodes.items():
        if needed[name] > node.memory_bytes:
            message = (
                f"what runs on {name!r} needs {_mebibytes(needed[name])} with its sidecars "
                f"({_mebibytes(SIDECAR_MEMORY_BYTES)} each), it has {node.memory_bytes // 2**20} MiB; "
                "expected more memory or fewer replicas"
            )
            yield Finding(("network", "nodes", name, "memory"), message, at_key=True)


def check_follow(scenario: Scenario) -> Iterator[Finding]:
    """Services that follow a fleet that does not move, from nodes where they may not be, or in too many ways."""
    for name, service in scenario.services.items():
        follow = service.follow
        if follow is None:
            continue
        path: Path = ("services", name, "follow")
        fleet = scenario.fleets.get(follow.fleet)
        if fleet is not None and fleet.radio is None:
            message = f"the fleet {follow.fleet!r} stays on its node; expected one with a radio"
            yield Finding((*path, "fleet"), message)
        if service.versions:
            yield Finding(path, "a service with versions stays where it is; expected no 'follow' here", at_key=True)
        for node in replicas_by_node(service):
            if node not in follow.among:
                message = f"a replica begins on {node!r}, which is not among the nodes it may be on; expected it there"
                yield Finding((*path, "among"), message)
        count = replica_count(service)
        if count > MOST_FOLLOWING_REPLICAS:
            message = (
                f"{count} replicas follow; expected at most {MOST_FOLLOWING_REPLICAS}, as every placement is tried"
            )
            yield Finding((*path,), message, at_key=True)


def check_routers(scenario: Scenario) -> Iterator[Finding]:
    """Workloads and control planes on routers, which forward packets and do nothing else."""
    message = "a router carries no workloads; expected a node of kind edge, regional, core or gnb"
    nodes = scenario.network.nodes
    routers = {name for name, node in nodes.items() if node.kind == "router"}
    for name, service in scenario.services.items():
        for place in placements(service):
            if place.node in routers:
                yield Finding(("services", name, *place.path), message, at_key=True)
    for name, fleet in scenario.fleets.items():
        if fleet.node in routers:
            yield Finding(("fleets", name, "node"), message)
    if scenario.mesh.control.node in routers:
        yield Finding(("mesh", "control", "node"), message)


def _mebibytes(size_bytes: int) -> str:
    """Whole mebibytes, rounded up: what lacks a little shows."""
    return f"{-(-size_bytes // 2**20)} MiB"


def components(scenario: Scenario) -> dict[str, frozenset[int]]:
    """For each node the numbers of the parts of the network it is in; nodes that share one reach each other.

    A base station forwards nothing for others: it is in every part that it has a link to, and joins none of them.
    """
    nodes = scenario.network.nodes
    leaves = {name for name, node in nodes.items() if node.kind == "gnb"}
    neighbours: dict[str, list[str]] = {name: [] for name in nodes}
    for link in scenario.network.links:
        one, other = link.between
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    part: dict[str, int] = {}
    for start in neighbours:
        if start in part:
            continue
        waiting = [start]
        part[start] = number = len(part)
        while waiting and start not in leaves:
            for node in neighbours[waiting.pop()]:
                if node not in part and node not in leaves:
                    part[node] = number
                    waiting.append(node)
    return {
        name: frozenset((part[name], *(part[node] for node in near if name in leaves)))
        for name, near in neighbours.items()
    }


def entry_nodes(scenario: Scenario, fleet_name: str) -> tuple[str, ...]:
    """The nodes at which a fleet's requests enter the network; none if the fleet or its radio is not declared."""
    fleet = scenario.fleets.get(fleet_name)
    if fleet is None:
        return ()
    if fleet.node is not None:
        return (fleet.node,)
    radio = scenario.network.radios.get(fleet.radio or "")
    return tuple(dict.fromkeys(radio.cells.values())) if radio is not None else ()


def check_reach(scenario: Scenario) -> Iterator[Finding]:
    """Callers that reach no replica of what they call, and replicas that no caller reaches.

    What names something that is not declared is passed over; if links do, nobody knows who reaches whom.
    """
    nodes = scenario.network.nodes
    if any(end not in nodes for link in scenario.network.links for end in link.between):
        return
    part = components(scenario)
    placed = {name: replicas_by_node(service) for name, service in scenario.services.items()}
    placed = {name: counts for name, counts in placed.items() if nodes.keys() >= counts.keys()}
    callers: dict[str, set[int]] = {name: set() for name in placed}
    for origins, to, path in _callings(scenario):
        if to in placed:
            callers[to].update(*(part[node] for node in origins))
            there = frozenset[int]().union(*(part[node] for node in placed[to]))
            apart = next((node for node in origins if not part[node] & there), None)
            if apart is not None:
                message = f"no replica of {to!r} can be reached from node {apart!r}; expected links that join them"
                yield Finding(path, message)
    for name, counts in placed.items():
        reached = [node for node in counts if part[node] & callers[name]]
        paths = {place.node: place.path for place in placements(scenario.services[name])}
        for node in counts:
            if reached and node not in reached:
                message = f"no caller of {name!r} reaches node {node!r}; expected a link to it, or no replica there"
                yield Finding(("services", name, *paths[node]), message, at_key=True)
    yield from _check_control(scenario, part)


def _callings(scenario: Scenario) -> Iterator[tuple[list[str], str, Path]]:
    """Of each flow and call: the nodes it comes from, the service it goes to, and the path of that service's name."""
    nodes = scenario.network.nodes
    for index, flow in enumerate(scenario.traffic):
        origins = [node for node in entry_nodes(scenario, flow.source) if node in nodes]
        yield origins, flow.to, ("traffic", index, "to")
        yield from ((origins, to, path) for to, path in route_targets(scenario, flow.to).items())
    for name, service in scenario.services.items():
        origins = [node for node in replicas_by_node(service) if node in nodes]
        yield from ((origins, to, path) for path, to in edges(scenario, name))


def control_node(scenario: Scenario) -> str | None:
    """The node of the control plane: the one set, else the first core, regional or edge node; None if there is none."""
    if scenario.mesh.control.node is not None:
        return scenario.mesh.control.node
    for kind in ("core", "regional", "edge"):
        for name, node in scenario.network.nodes.items():
            if node.kind == kind:
                return name
    return None


def _check_control(scenario: Scenario, part: dict[str, frozenset[int]]) -> Iterator[Finding]:
    home = control_node(scenario)
    if home is None:
        message = "no node can carry the control plane; expected an edge, regional or core node, or mesh.control.node"
        yield Finding(("network", "nodes"), message, at_key=True)
        return
    carrying = [node for service in scenario.services.values() for node in replicas_by_node(service) if node in part]
    at_home = part.get(home, frozenset())
    apart = next((node for node in carrying if not part[node] & at_home), None)
    if apart is not None and home in part:
        message = f"the control plane on {home!r} cannot reach node {apart!r}; expected links that join them"
        yield Finding(("network", "nodes", apart), message, at_key=True)
        return
    issuer, policy = scenario.mesh.identity.issuer, scenario.mesh.policy
    authorizers = () if policy is None else policy.authorizers
    places: tuple[tuple[str, str | None, Path], ...] = (
        ("issuer", None if issuer is None else issuer.node, ("mesh", "identity", "issuer", "node")),
        *(("authorizer", one.node, (*path_of(name), "node")) for name, one in authorizers),
    )
    for what, place, path in places:
        known = part.get(place or "", frozenset())
        apart = next((node for node in carrying if not part[node] & known), None)
        if apart is not None and known:
            message = f"the {what} on {place!r} cannot reach node {apart!r}; expected links that join them"
            yield Finding(path, message)
