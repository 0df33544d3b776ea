"""Checks of TLS settings, of each end and of those who call each other."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from meshsim.scenario.call_graph import calls_of
from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario
from meshsim.scenario.positions import Path
from meshsim.scenario.tls import SCHEMES, PortTls, Tls, tls_of


class _End(msgspec.Struct, frozen=True):
    """Settings of a fleet, a service or one of its ports, and where they stand."""

    name: str
    settings: Tls
    given: tuple[tuple[Path, PortTls | None], ...]
    """Where settings of its own may stand, the most special first."""

    def place(self, *keys: str) -> Path:
        """Where the first of ``keys`` that is given stands; in the mesh's settings if it is nowhere."""
        for path, override in self.given:
            for key in keys:
                if override is not None and getattr(override, key, None) is not None:
                    return (*path, key)
        return ("mesh", "tls", keys[0])


def check_tls(scenario: Scenario) -> Iterator[Finding]:
    """Version ranges that are empty, pairs that would agree on TLS 1.2, keys without a signature scheme."""
    mesh = scenario.mesh.tls
    whole = _End("the mesh", mesh, ())
    if mesh.min_version > mesh.max_version:
        yield Finding(("mesh", "tls", "min_version"), _reversed(mesh))
        return
    callers = _callers(scenario)
    listeners = _listeners(scenario)
    found: dict[Path, str] = {}
    for end in (whole, *callers.values(), *listeners.values()):
        for path, message in _check_end(end):
            found.setdefault(path, message)
    if not found:
        for path, message in _check_pairs(scenario, callers, listeners):
            found.setdefault(path, message)
    for path, message in sorted(found.items(), key=lambda entry: tuple(map(str, entry[0]))):
        yield Finding(path, message, involved=((*path[:-1], "key"),))


def _callers(scenario: Scenario) -> dict[str, _End]:
    """Fleets, and services as callers."""
    mesh = scenario.mesh.tls
    places: list[tuple[str, Path, PortTls | None]] = [
        *((name, ("services", name, "tls"), service.tls) for name, service in scenario.services.items()),
        *((name, ("fleets", name, "tls"), fleet.tls) for name, fleet in scenario.fleets.items()),
    ]
    return {
        name: _End(name, tls_of(mesh, of_domain, override), ((path, override), (at, of_domain)))
        for name, path, override in places
        for at, of_domain in (_of_domain(scenario, name),)
    }


def _of_domain(scenario: Scenario, name: str) -> tuple[Path, PortTls | None]:
    """What a workload's trust domain has of settings that are not the mesh's, and where that stands."""
    at: Path = ("mesh", "federation", "domains", scenario.mesh.trust_domain_of(name), "tls")
    return at, scenario.mesh.domain_tls(name)


def _listeners(scenario: Scenario) -> dict[tuple[str, int], _End]:
    """Ports of services."""
    found = {}
    for name, service in scenario.services.items():
        of_domain = _of_domain(scenario, name)
        for number, port in service.ports.items():
            given: tuple[tuple[Path, PortTls | None], ...] = (
                (("services", name, "ports", number, "tls"), port.tls),
                (("services", name, "tls"), service.tls),
                of_domain,
            )
            settings = tls_of(scenario.mesh.tls, of_domain[1], service.tls, port.tls)
            found[name, int(number)] = _End(name, settings, given)
    return found


def _check_end(end: _End) -> Iterator[tuple[Path, str]]:
    tls = end.settings
    if tls.min_version > tls.max_version:
        yield end.place("min_version", "max_version"), _reversed(tls)
        return
    if tls.signature_schemes is None:
        return
    schemes = SCHEMES[tls.key]
    if tls.min_version != "1.3":
        message = "signature schemes are simulated for TLS 1.3 alone; expected min_version '1.3' with them"
        yield end.place("signature_schemes"), message
    elif not set(schemes) & set(tls.signature_schemes):
        message = f"none of these is for keys of the type {tls.key}; expected {schemes[0]} among them"
        yield end.place("signature_schemes"), message


def _check_pairs(
    scenario: Scenario, callers: dict[str, _End], listeners: dict[tuple[str, int], _End]
) -> Iterator[tuple[Path, str]]:
    for caller, callee, port in _pairs(scenario):
        if caller not in callers:
            continue
        one, other = callers[caller], listeners.get((callee, port))
        if other is None or "DISABLE" in (one.settings.mode, other.settings.mode):
            continue
        highest = min(one.settings.max_version, other.settings.max_version)
        if highest == "1.2" and max(one.settings.min_version, other.settings.min_version) == "1.2":
            lower = other if other.settings.max_version == "1.2" else one
            message = f"{caller!r} and {callee!r} would agree on TLS 1.2, and only TLS 1.3 is simulated; expected '1.3'"
            yield lower.place("max_version"), message


def note_tls(scenario: Scenario) -> Iterator[Finding]:
    """Pairs that can never agree, which is no mistake where that is to be studied."""
    callers, listeners = _callers(scenario), _listeners(scenario)
    for caller, callee, port in _pairs(scenario):
        one, other = callers.get(caller), listeners.get((callee, port))
        if one is None or other is None or "DISABLE" in (one.settings.mode, other.settings.mode):
            continue
        scheme = "signature scheme for a key of the type"
        for key, what, ours, theirs in (
            ("groups", "key exchange group", one.settings.groups, other.settings.groups),
            ("ciphers", "cipher suite", one.settings.ciphers, other.settings.ciphers),
            (
                "signature_schemes",
                f"{scheme} {other.settings.key}",
                *_schemes(one, other),
            ),
            ("signature_schemes", f"{scheme} {one.settings.key}", *_schemes(other, one)),
        ):
            if not set(ours) & set(theirs):
                message = f"{caller!r} and port {port} of {callee!r} have no {what} in common: every handshake between "
                place = one.place(key)
                if place[0] == "mesh":  # what differs from all others is more likely what is wrong
                    place = other.place(key)
                yield Finding(place, f"{message}them fails ({', '.join(ours)} against {', '.join(theirs)})")
                break


def _schemes(verifier: _End, holder: _End) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What one end accepts of signature schemes, and what the key of the other has."""
    has = SCHEMES[holder.settings.key]
    allowed = holder.settings.signature_schemes
    usable = has if allowed is None else tuple(scheme for scheme in has if scheme in allowed)
    return verifier.settings.signature_schemes or has, usable


def _pairs(scenario: Scenario) -> list[tuple[str, str, int]]:
    """Who calls which port."""
    pairs = [(flow.source, flow.to, flow.port) for flow in scenario.traffic]
    pairs += [(name, call.to, call.port) for name in scenario.services for _, call in calls_of(scenario, name)]
    known = (pair for pair in dict.fromkeys(pairs) if pair[1] in scenario.services)
    return [(caller, callee, port or scenario.services[callee].first_port) for caller, callee, port in known]


def _reversed(tls: Tls) -> str:
    return f"the lowest TLS version, {tls.min_version}, is above the highest, {tls.max_version}; expected them in order"
