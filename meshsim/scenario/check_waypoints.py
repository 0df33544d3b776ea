"""Checks of waypoints: whom they serve, where they run, and what those without a place leave out."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario.call_graph import calls_of, edges
from meshsim.scenario.changes import Change
from meshsim.scenario.findings import Finding
from meshsim.scenario.mesh import Mesh, Resilience
from meshsim.scenario.model import Scenario
from meshsim.scenario.placed_waypoints import Ways, can_have_place, modes_of, placed_waypoints
from meshsim.scenario.positions import Path
from meshsim.scenario.preset_use import settings
from meshsim.scenario.proxies import qualified, waypoints_of
from meshsim.scenario.words import expected, show

_DISABLE = "DISABLE"
_REQUESTS = {"retries", "retry_on", "backoff_ns"}
"""Settings of resilience that are of use to whom requests are known."""


def check_waypoints(scenario: Scenario) -> Iterator[Finding]:
    """Waypoints in a mesh of sidecars, that serve nobody, or whose names do not tell them from others."""
    ways = Ways(scenario)
    for name, service in scenario.services.items():
        if service.waypoint is None or ways.proxy_of(name) == "ztunnel":
            continue
        message = "sidecars do not go through waypoints; expected mesh.ambient: true, or no waypoint"
        if scenario.mesh.ambient:
            message = "waypoints serve services with a ztunnel; expected no sidecar and no gateway here, or no waypoint"
        yield Finding(("services", name, "waypoint"), message, at_key=True)
    asked = sorted(set(waypoints_of(scenario.services).values()))
    seen: dict[str, str] = {}
    for key in scenario.mesh.waypoints:
        path: Path = ("mesh", "waypoints", key)
        name = qualified(key, "default")
        if name in seen:
            yield Finding(
                path, f"{show(key)} is {show(seen[name])} once more; expected each waypoint once", at_key=True
            )
        elif name not in asked:
            message = f"no service goes by the waypoint {name} (services.*.waypoint)"
            yield Finding(path, f"{message}; {expected(name, asked, 'none goes by any')}", at_key=True)
        elif not can_have_place(key):
            message = "a service account cannot be called so here; expected at most 63 letters, digits, inner hyphens"
            yield Finding(path, message, at_key=True)
        seen.setdefault(name, key)
    for workload, one in ways.placed.items():
        kind = "service" if workload in scenario.services else "fleet" if workload in scenario.fleets else ""
        if kind:
            message = f"a {kind} is called {workload!r} too, and tables tell them apart by name; expected another name"
            yield Finding(("mesh", "waypoints", one.key), message, at_key=True)
    for index, fault in enumerate(scenario.faults):
        if fault.kind == "waypoint-outage" and qualified(fault.target, "default") not in seen:
            message = f"no waypoint {show(fault.target)} has a place (mesh.waypoints)"
            yield Finding(
                ("faults", index, "target"), f"{message}; {expected(fault.target, list(scenario.mesh.waypoints))}"
            )
    yield from _check_cores(scenario, ways)
    yield from _check_modes(scenario, ways)


def _check_cores(scenario: Scenario, ways: Ways) -> Iterator[Finding]:
    """Nodes of which waypoints have all cores to themselves, so that nobody else there could work."""
    taken: dict[str, int] = {}
    last: dict[str, str] = {}
    for one in ways.placed.values():
        for node, count in one.settings.replicas.items() if one.settings.cores is not None else ():
            taken[node] = taken.get(node, 0) + count * (one.settings.cores or 0)
            last[node] = one.key
    for node, count in taken.items():
        if node in scenario.network.nodes and count >= scenario.network.nodes[node].cores:
            message = (
                f"waypoints would have {count} cores of {node!r} to themselves, which has "
                f"{scenario.network.nodes[node].cores}; expected one left at least for all else that runs there"
            )
            yield Finding(("mesh", "waypoints", last[node], "cores"), message)


def _check_modes(scenario: Scenario, ways: Ways) -> Iterator[Finding]:
    """Callers that are in the mesh at times: whether they go through a waypoint is settled at the start."""
    pairs: list[tuple[str, str, Path]] = [
        (flow.source, flow.to, ("traffic", index, "from")) for index, flow in enumerate(scenario.traffic)
    ]
    for name in scenario.services:
        pairs += [(name, to, ("services", name, *path[2:])) for path, to in edges(scenario, name)]
    known = scenario.services.keys() | scenario.fleets.keys()
    for caller, to, path in pairs:
        if not {caller, to} <= known or ways.waypoint_of(to) is None:
            continue
        modes = modes_of(scenario, caller)
        if (_DISABLE in modes and len(modes) > 1) or any(
            (_DISABLE in modes) != (mode == _DISABLE) for mode in _later_modes(scenario.changes, caller)
        ):
            message = f"{caller!r} speaks TLS at times only, and so would go through the waypoint of {to!r} at times"
            yield Finding(path, f"{message}; expected mode DISABLE all along, or never")


def _later_modes(changes: tuple[Change, ...], caller: str) -> Iterator[str]:
    """The TLS modes that changes set for a caller, or for all."""
    for change in changes:
        for said in (change.tls, change.workloads.get(caller)):
            if said is not None and said.mode is not None:
                yield said.mode


def note_waypoints(scenario: Scenario) -> Iterator[Finding]:
    """Waypoints without a place, which decide and take no time."""
    placed = {one.name for one in placed_waypoints(scenario).values()}
    served: dict[str, list[str]] = {}
    for service, name in waypoints_of(scenario.services).items():
        if name not in placed:
            served.setdefault(name, []).append(service)
    for name, services in served.items():
        message = (
            f"the waypoint {name} has no place: it decides for {_some(services)}, takes no time and cannot fail; "
            f"mesh.waypoints: {{{name}: {{replicas: {{NODE: 1}}}}}} has requests go through it"
        )
        yield Finding(("services", services[0], "waypoint"), message, at_key=True)


def note_ztunnels(scenario: Scenario) -> Iterator[Finding]:
    """What is said of requests that ztunnels alone carry, which know connections and no requests: it holds for none."""
    ways = Ways(scenario)
    called = [(flow.source, flow.to) for flow in scenario.traffic]
    called += [(name, call.to) for name in scenario.services for _, call in calls_of(scenario, name)]
    carried: dict[str, list[str]] = {}
    for caller, to in dict.fromkeys(called):
        if ways.is_carried(caller, to) and not ways.through(caller, to):
            carried.setdefault(to, []).append(caller)
    said: dict[str, tuple[str, Path]] = {}
    for name in scenario.mesh.destinations:
        said[name] = "limits, outliers or other settings of destinations", ("mesh", "destinations", name)
    for index, route in reversed([*enumerate(scenario.mesh.routes)]):
        said[route.to] = "routes", ("mesh", "routes", index)
    for name, (what, path) in said.items():
        if name in carried:
            message = (
                f"calls of {_some(carried[name])} to {name} leave by ztunnel alone, which knows no {what}: this holds "
                f"for none of them; a waypoint (services.{name}.waypoint) would go by it"
            )
            yield Finding(path, message, at_key=True)
    resilience = scenario.mesh.resilience
    retries = resilience.retries and not _REQUESTS.isdisjoint(_written(scenario.mesh))
    said_of_requests = retries or resilience.attempt_timeout_ns is not None
    if said_of_requests and called and all(ways.is_carried(caller, to) for caller, to in called):
        message = "all calls leave by ztunnels, which try no request again: its retries hold for none of them"
        yield Finding(("mesh", "resilience"), message, at_key=True)


def _written(mesh: Mesh) -> set[str]:
    """Settings of resilience that are the author's own, and no preset's."""
    given = settings(mesh.preset).get("resilience", {}) if mesh.preset is not None else {}
    of_preset = Resilience.model_validate(given)
    return {
        name
        for name in mesh.resilience.model_fields_set
        if name not in of_preset.model_fields_set or getattr(mesh.resilience, name) != getattr(of_preset, name)
    }


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
