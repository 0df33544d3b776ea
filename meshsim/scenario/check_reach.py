"""Checks of who can reach whom over the links of a scenario."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario.call_graph import calls_of, route_targets
from meshsim.scenario.check_policy import path_of
from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario
from meshsim.scenario.placed_waypoints import Ways, with_waypoints
from meshsim.scenario.positions import Path
from meshsim.scenario.variants import placements, replicas_by_node


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
    scenario = with_waypoints(scenario)
    placed = {name: replicas_by_node(service) for name, service in scenario.services.items()}
    placed = {name: counts for name, counts in placed.items() if nodes.keys() >= counts.keys()}
    callers: dict[str, set[int]] = {name: set() for name in placed}
    ways = Ways(scenario)
    for origins, to, path in _callings(scenario, ways):
        if to in placed:
            callers[to].update(*(part[node] for node in origins))
            there = frozenset[int]().union(*(part[node] for node in placed[to]))
            apart = next((node for node in origins if not part[node] & there), None)
            if apart is not None:
                message = f"no replica of {to!r} can be reached from node {apart!r}; expected links that join them"
                yield Finding(path, message)
    for name, counts in placed.items():
        reached = [node for node in counts if part[node] & callers[name]]
        home = ways.placed.get(name)
        at: Path = ("services", name) if home is None else ("mesh", "waypoints", home.key)
        paths = {place.node: (*at, *place.path) for place in placements(scenario.services[name])}
        for node in counts:
            if reached and node not in reached:
                message = f"no caller of {name!r} reaches node {node!r}; expected a link to it, or no replica there"
                yield Finding(paths[node], message, at_key=True)
    yield from _check_control(scenario, part)


def _callings(scenario: Scenario, ways: Ways) -> Iterator[tuple[list[str], str, Path]]:
    """Of each flow and call: the nodes it comes from, the service it goes to, and the path of that service's name.

    What goes through a waypoint with a place are two: to the waypoint, and from there. Routes lead on from where they
    hold: from the waypoint, or from callers that do not leave by ztunnel alone.
    """
    nodes = scenario.network.nodes
    known = scenario.services.keys() | scenario.fleets.keys()
    for one in ways.placed.values():
        origins = [node for node in one.settings.replicas if node in nodes]
        yield from ((origins, service, ("services", service, "waypoint")) for service in one.serves)

    def ends(caller: str, to: str, origins: list[str], path: Path) -> Iterator[tuple[list[str], str, Path]]:
        through, is_known = "", {caller, to} <= known
        if ways.placed and is_known:
            through = ways.through(caller, to)
        yield origins, through or to, path
        if through:
            origins = [node for node in ways.placed[through].settings.replicas if node in nodes]
        elif is_known and ways.is_carried(caller, to):
            return
        yield from ((origins, target, at) for target, at in route_targets(scenario, to).items())

    for index, flow in enumerate(scenario.traffic):
        origins = [node for node in entry_nodes(scenario, flow.source) if node in nodes]
        yield from ends(flow.source, flow.to, origins, ("traffic", index, "to"))
    for name, service in scenario.services.items():
        origins = [node for node in replicas_by_node(service) if node in nodes]
        for below, call in calls_of(scenario, name):
            yield from ends(name, call.to, origins, ("services", name, *below, "to"))


def control_node(scenario: Scenario) -> str | None:
    """The node of the control plane: the one set, else the first core, regional or edge node; None if there is none."""
    if scenario.mesh.control.node is not None:
        return scenario.mesh.control.node
    for kind in ("core", "regional", "edge"):
        for name, node in scenario.network.nodes.items():
            if node.kind == kind:
                return name
    return None


def note_control(scenario: Scenario) -> Iterator[Finding]:
    """Faults that take the control plane away from others, where nobody has said that it is there."""
    home = control_node(scenario)
    if home is None or scenario.mesh.control.node is not None:
        return
    kind = scenario.network.nodes[home].kind
    links = {link.key for link in scenario.network.links if home in link.between}
    for index, fault in enumerate(scenario.faults):
        gone = fault.kind == "node-crash" and fault.target == home
        if gone or (fault.kind == "link-down" and fault.target in links):
            message = (
                f"the control plane is on {home!r}, the first {kind} node, as mesh.control.node names none: this "
                f"{'stops it' if gone else 'cuts a link of it'}, too; mesh.control.node puts it elsewhere"
            )
            yield Finding(("faults", index, "target"), message)


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
