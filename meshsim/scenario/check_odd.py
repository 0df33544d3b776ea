"""Notes on settings that are valid and can hardly be meant: what never matches, never answers or is always refused."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario import units
from meshsim.scenario.call_graph import peers_of
from meshsim.scenario.check_policy import path_of
from meshsim.scenario.check_signing import distances_ns
from meshsim.scenario.destinations import CallersDestination, Destination, DestinationSettings
from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario
from meshsim.scenario.placed_waypoints import Ways, has_ambient
from meshsim.scenario.ports import Labels
from meshsim.scenario.positions import Path
from meshsim.scenario.routes import Route, RouteMatch
from meshsim.scenario.tls import tls_of
from meshsim.scenario.variants import replicas_by_node, variants, version_tls
from meshsim.scenario.words import show

_text = units.format_duration


def note_odd(scenario: Scenario) -> Iterator[Finding]:
    """Matches, subsets, timeouts and modes with which calls go otherwise than they seem to be meant."""
    for index, route in enumerate(scenario.mesh.routes):
        at: Path = ("mesh", "routes", index)
        for number, match in enumerate(route.match):
            yield from _match(match, (*at, "match", number))
        yield from _times(scenario, route, at)
        yield from _subsets(scenario, route, at)
    for name, destination in scenario.mesh.destinations.items():
        if name in scenario.services and _goes_by_settings(scenario, name):
            yield from _plaintext(scenario, name, destination)
    yield from _authorizers(scenario)


def _match(match: RouteMatch, at: Path) -> Iterator[Finding]:
    for kind in ("exact", "prefix"):
        path = None if match.path is None else getattr(match.path, kind)
        if path is not None and not path.startswith("/"):
            message = f"{show(path)} never matches, as every path begins with a slash; {show('/' + path)} may be meant"
            yield Finding((*at, "path", kind), message)
        elif path is not None and ("?" in path or "#" in path):
            message = f"{show(path)} never matches: a query or fragment is no part of the path that is compared"
            yield Finding((*at, "path", kind), message)
        method = None if match.method is None else getattr(match.method, kind)
        if method is not None and method != method.upper():
            message = f"{show(method)} never matches, as methods are in upper case; {show(method.upper())} may be meant"
            yield Finding((*at, "method", kind), message)


def _times(scenario: Scenario, route: Route, at: Path) -> Iterator[Finding]:
    each_ns = None if route.retries is None else route.retries.attempt_timeout_ns
    all_ns = route.timeout_ns or scenario.mesh.resilience.request_timeout_ns
    if each_ns is not None and each_ns > all_ns:
        message = f"an attempt may take {_text(each_ns)}, all together {_text(all_ns)}: none is ever ended by this"
        yield Finding((*at, "retries", "attempt_timeout"), message)


def _subsets(scenario: Scenario, route: Route, at: Path) -> Iterator[Finding]:
    for number, target in enumerate(route.split):
        name = target.to or route.to
        service, said = scenario.services.get(name), scenario.mesh.destinations.get(name)
        if service is None or said is None or target.subset is None or not target.weight:
            continue
        wanted = [
            one.subsets[target.subset] for one in (said, *said.callers_in.values()) if target.subset in one.subsets
        ]
        there = [kind.labels for kind in variants(name, service) if kind.nodes]
        if not any(part.labels.items() <= labels.items() for part in wanted for labels in there):
            shown = " or ".join(dict.fromkeys(", ".join(f"{k}={v}" for k, v in part.labels.items()) for part in wanted))
            message = f"no replica of {name!r} is in the subset {target.subset!r} ({shown}): calls that go there fail"
            yield Finding((*at, "split", number, "subset"), message)


def _goes_by_settings(scenario: Scenario, name: str) -> bool:
    """Whether a caller of a service goes by what is said of it: no ztunnel does, and waypoints with a place do."""
    if not has_ambient(scenario):
        return True
    ways = Ways(scenario)
    return any(not ways.is_carried(caller, name) for caller in peers_of(scenario, name)[0])


def _plaintext(scenario: Scenario, name: str, destination: Destination) -> Iterator[Finding]:
    service = scenario.services[name]
    for path, settings, ports, labels in _told(destination, tuple(service.protocols)):
        if settings.tls != "plaintext":
            continue
        meant = [kind for kind in variants(name, service) if kind.nodes and labels.items() <= kind.labels.items()]
        strict = {
            port: tuple(one.version for one in meant if _is_strict(scenario, name, one.version, port)) for port in ports
        }
        for versions in dict.fromkeys(strict.values()):
            refused = [str(port) for port in ports if strict[port] == versions]
            of = "" if len(versions) == len(meant) else f" of {' and '.join(versions)}"
            message = (
                f"callers are told to speak plaintext to port {', '.join(refused)} of {name!r}, where the mode{of} is "
                f"STRICT: every such call{' to it' if of else ''} is refused"
            )
            if versions:
                yield Finding(("mesh", "destinations", name, *path, "tls"), message)


def _is_strict(scenario: Scenario, name: str, version: str, port: int) -> bool:
    own = version_tls(scenario.services[name], version, port)
    return tls_of(scenario.mesh.tls, scenario.mesh.domain_tls(name), *own).mode == "STRICT"


def _told(
    destination: Destination, ports: tuple[int, ...]
) -> Iterator[tuple[Path, DestinationSettings, tuple[int, ...], Labels]]:
    """What callers are told, where it stands, of which ports it holds (those of a port in place of others), and labels.

    The replicas with these labels are meant.
    """
    parts: list[tuple[Path, CallersDestination]] = [((), destination)]
    parts += [(("callers_in", namespace), one) for namespace, one in destination.callers_in.items()]
    for at, part in parts:
        yield at, part, tuple(port for port in ports if str(port) not in part.ports), {}
        yield from (((*at, "ports", port), one, (int(port),), {}) for port, one in part.ports.items())
        for subset, own in part.subsets.items():
            below = (*at, "subsets", subset)
            yield below, own, tuple(port for port in ports if str(port) not in own.ports), own.labels
            yield from (((*below, "ports", port), one, (int(port),), own.labels) for port, one in own.ports.items())


def _authorizers(scenario: Scenario) -> Iterator[Finding]:
    policy = scenario.mesh.policy
    for name, authorizer in () if policy is None else policy.authorizers:
        if authorizer.node is None:
            continue
        near = distances_ns(scenario, authorizer.node)
        far = {
            node: 2 * near[node]
            for service in scenario.services.values()
            for node in replicas_by_node(service)
            if 2 * near.get(node, 0) >= authorizer.timeout_ns
        }
        if far:
            node = max(far, key=lambda one: far[one])
            message = (
                f"an answer is waited for {_text(authorizer.timeout_ns)}, and a round trip to {authorizer.node!r} is "
                f"{_text(far[node])} from {node!r}: no proxy there ever has an answer in time; a longer 'timeout' "
                "avoids that"
            )
            yield Finding((*path_of(name), "timeout"), message)
