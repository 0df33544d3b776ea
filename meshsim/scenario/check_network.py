"""Checks of the network: links, slices, radios, memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from meshsim.scenario import units
from meshsim.scenario.check_mobility import check_moving
from meshsim.scenario.data_files import RadioTrace
from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario
from meshsim.scenario.placed_waypoints import with_waypoints
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
            yield Finding((*path, "scheduling_interval"), message, at_key=True, involved=((*path, "slicing"),))
        if link.reorder_ppm and not link.jitter_ns and (link.delay is None or link.delay.is_constant):
            message = "all trains take equally long, so none can overtake; expected jitter or delay beside reorder"
            yield Finding((*path, "reorder"), message, at_key=True, involved=((*path, "jitter"), (*path, "delay")))


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
    for service in with_waypoints(scenario).services.values():
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
        for index, node in enumerate(follow.among):
            if node in follow.among[:index]:
                yield Finding((*path, "among", index), f"{node!r} is named twice; expected each node once")
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
    for name, waypoint in scenario.mesh.waypoints.items():
        for node in waypoint.replicas:
            if node in routers:
                yield Finding(("mesh", "waypoints", name, "replicas", node), message, at_key=True)
    for name, fleet in scenario.fleets.items():
        if fleet.node in routers:
            yield Finding(("fleets", name, "node"), message)
    if scenario.mesh.control.node in routers:
        yield Finding(("mesh", "control", "node"), message)


def _mebibytes(size_bytes: int) -> str:
    """Whole mebibytes, rounded up: what lacks a little shows."""
    return f"{-(-size_bytes // 2**20)} MiB"
