"""Checks of routes and destinations."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario import regex
from meshsim.scenario.call_graph import edges
from meshsim.scenario.destinations import CallersDestination, Destination
from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario
from meshsim.scenario.ports import HTTP
from meshsim.scenario.positions import Path
from meshsim.scenario.routes import HeaderMatch, Route, RouteMatch, TextMatch
from meshsim.scenario.services import Service
from meshsim.scenario.words import expected, shorten, show


def check_routes(scenario: Scenario) -> Iterator[Finding]:
    """Routes that no call can take, that lead nowhere, or that cannot be understood."""
    earlier: dict[str, list[tuple[int, Route]]] = {}
    for index, route in enumerate(scenario.mesh.routes):
        path: Path = ("mesh", "routes", index)
        before = earlier.setdefault(route.to, [])
        yield from _check_order(route, before, path)
        before.append((index, route))
        yield from _check_targets(scenario, route, path)
        service = scenario.services.get(route.to)
        if service is not None and not HTTP & set(service.protocols.values()):
            message = f"{route.to!r} speaks no HTTP, and only HTTP is routed; expected another service, or no route"
            yield Finding((*path, "to"), message, involved=(("services", route.to),))
        for number, match in enumerate(route.match):
            yield from _check_match(match, service, (*path, "match", number), route.to)


def _check_order(route: Route, before: list[tuple[int, Route]], path: Path) -> Iterator[Finding]:
    for index, other in before:
        if not other.match:
            message = f"every call to {route.to!r} takes an earlier route, which matches all; expected that one last"
            yield Finding((*path, "to"), message, involved=(("mesh", "routes", index),))
            return
    known = {match.model_dump_json(): index for index, other in before for match in other.match}
    seen: set[str] = set()
    for number, match in enumerate(route.match):
        text = match.model_dump_json()
        if text in known or text in seen:
            where = "an earlier route" if text in known else "this route"
            message = f"{where} to {route.to!r} has the same match already; expected each match once"
            yield Finding((*path, "match", number), message)
        seen.add(text)


def _check_targets(scenario: Scenario, route: Route, path: Path) -> Iterator[Finding]:
    seen: set[tuple[str, str | None, int | None]] = set()
    for number, target in enumerate(route.split):
        at: Path = (*path, "split", number)
        name = target.to or route.to
        service = scenario.services.get(name)
        destination = scenario.mesh.destinations.get(name)
        subsets = destination.all_subsets if destination is not None else []
        if target.subset is not None and target.subset not in subsets:
            nothing = f"expected it in mesh.destinations.{name}.subsets"
            message = f"{name!r} has no subset {show(target.subset)}; {expected(target.subset, subsets, nothing)}"
            yield Finding((*at, "subset"), message, involved=(("mesh", "destinations"),))
        if service is not None and target.port is not None and target.port not in service.protocols:
            message = f"{name!r} has no port {target.port}; {expected(target.port, list(service.ports))}"
            yield Finding((*at, "port"), message, involved=(("services", name),))
        key = (name, target.subset, target.port)
        if key in seen:
            yield Finding(at, "the route leads there twice; expected each target once, with one weight")
        seen.add(key)


def _check_match(match: RouteMatch, service: Service | None, path: Path, to: str) -> Iterator[Finding]:
    if service is not None and match.port is not None and match.port not in service.protocols:
        message = f"{to!r} has no port {match.port}; {expected(match.port, list(service.ports))}"
        yield Finding((*path, "port"), message, involved=(("services", to),))
    if match.ignore_case and (match.path is None or match.path.regex is not None):
        message = "ignore_case is about exact and prefix of the path; expected one of them"
        yield Finding((*path, "ignore_case"), message, at_key=True, involved=((*path, "path"),))
    texts: list[tuple[Path, TextMatch | HeaderMatch | None]] = [
        (("path",), match.path),
        (("method",), match.method),
        *((("headers", name), value) for name, value in match.headers.items()),
        *((("without_headers", name), value) for name, value in match.without_headers.items()),
        *((("query", name), value) for name, value in match.query.items()),
    ]
    for below, value in texts:
        if value is not None and value.regex is not None:
            problem = regex.problem(value.regex)
            if problem is not None:
                message = f"this is no regular expression of RE2 ({shorten(problem, 70)}); expected one"
                yield Finding((*path, *below, "regex"), message, alone=True)


def check_destinations(scenario: Scenario) -> Iterator[Finding]:
    """Ports of destinations that their services do not have, and balancing or limits that cannot be."""
    for name, destination in scenario.mesh.destinations.items():
        service = scenario.services.get(name)
        if service is None:
            continue
        there = {one.namespace for one in scenario.services.values()}
        for namespace in destination.callers_in.keys() - there:
            message = f"no service is in {namespace}; {expected(namespace, sorted(there))}"
            yield Finding(("mesh", "destinations", name, "callers_in", namespace), message, at_key=True)
        for below, ports in _ports(destination):
            for port in ports:
                if int(port) not in service.protocols:
                    message = f"{name!r} has no port {port}; {expected(port, list(service.ports))}"
                    path: Path = ("mesh", "destinations", name, *below, "ports", port)
                    yield Finding(path, message, at_key=True, involved=(("services", name),))


def note_destinations(scenario: Scenario) -> Iterator[Finding]:
    """Settings for callers in namespaces that never call the destination.

    They are no mistake: `meshsim policy` answers about such calls by them, and a cluster's rules hold for callers of
    which a scenario has none.
    """
    calling: dict[str, set[str]] = {}
    for name, caller in scenario.services.items():
        for _, to in edges(scenario, name):
            calling.setdefault(to, set()).add(caller.namespace)
    for name, destination in scenario.mesh.destinations.items():
        for namespace in destination.callers_in:
            if namespace not in calling.get(name, ()):
                message = (
                    f"no service in {show(namespace)} calls {show(name)}, so that no run goes by this; what "
                    "'meshsim policy' says of such calls does"
                )
                yield Finding(("mesh", "destinations", name, "callers_in", namespace), message, at_key=True)


def _ports(destination: Destination) -> Iterator[tuple[Path, list[str]]]:
    parts: list[tuple[Path, CallersDestination]] = [((), destination)]
    parts += [(("callers_in", namespace), one) for namespace, one in destination.callers_in.items()]
    for below, part in parts:
        yield below, list(part.ports)
        for name, subset in part.subsets.items():
            yield (*below, "subsets", name), list(subset.ports)
