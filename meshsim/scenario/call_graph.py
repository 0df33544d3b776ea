"""Who calls whom in a scenario: by its services' calls, and by routes that lead elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario.model import Scenario
from meshsim.scenario.placed_waypoints import Ways
from meshsim.scenario.positions import Path
from meshsim.scenario.services import Call, Step, calls_in


def calls_of(scenario: Scenario, name: str) -> Iterator[tuple[Path, Call]]:
    """Each call of a service, and of its versions, to a declared one, with its path below the service."""
    service = scenario.services[name]
    of_versions = ((("versions", key), version.calls or ()) for key, version in service.versions.items())
    groups: list[tuple[Path, tuple[Step, ...]]] = [((), service.calls), *of_versions]
    for at, steps in groups:
        for index, step in enumerate(steps):
            key, calls = calls_in(step)
            for inner, call in enumerate(calls):
                if call.to in scenario.services:
                    yield (*at, "calls", index, *((key, inner) if key else ())), call


def route_targets(scenario: Scenario, service: str) -> dict[str, Path]:
    """The other declared services that routes of calls to ``service`` lead to, and the path of each's name."""
    return {
        target.to: ("mesh", "routes", index, "split", number, "to")
        for index, route in enumerate(scenario.mesh.routes)
        if route.to == service
        for number, target in enumerate(route.split)
        if target.to is not None and target.to != service and target.to in scenario.services
    }


def edges(scenario: Scenario, name: str) -> Iterator[tuple[Path, str]]:
    """Each declared service that calls of a service may end up at, and the path of its name."""
    for below, call in calls_of(scenario, name):
        yield ("services", name, *below, "to"), call.to
        yield from ((path, target) for target, path in route_targets(scenario, call.to).items())


def peers_of(scenario: Scenario, workload: str) -> tuple[frozenset[str], frozenset[str]]:
    """Whose connections may end up at a workload, and whom its own may end up at; waypoints with a place among them."""
    ways = Ways(scenario)
    called = {(name, call.to) for name in scenario.services for _, call in calls_of(scenario, name)}
    called |= {(flow.source, flow.to) for flow in scenario.traffic}
    pairs: set[tuple[str, str]] = set()
    for caller, to in called:
        way = ways.through(caller, to)
        if way:
            pairs.add((caller, way))
        targets = () if ways.is_carried(caller, to) and not way else route_targets(scenario, to)
        pairs |= {(way or caller, target) for target in (to, *targets)}
    callers = frozenset(source for source, to in pairs if to == workload)
    return callers, frozenset(to for source, to in pairs if source == workload)
