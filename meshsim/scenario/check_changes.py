"""Checks of changes of configuration: when they come, whom they are for, and that TLS still makes sense after them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from meshsim.scenario import units
from meshsim.scenario.call_graph import calls_of
from meshsim.scenario.changes import Change
from meshsim.scenario.check_identity_changes import change_order, check_identity_changes
from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario
from meshsim.scenario.tls import Tls, TlsOverride, tls_of
from meshsim.scenario.variants import settings_key, version_tls

_text = units.format_duration


def check_changes(scenario: Scenario) -> Iterator[Finding]:
    """Changes outside the run, two of one name, and policies where there are none."""
    seen: set[str] = set()
    for index, (change, name) in enumerate(zip(scenario.changes, scenario.change_names(), strict=True)):
        at = ("changes", index)
        if change.at_ns >= scenario.duration_ns:
            message = f"the change comes at {_text(change.at_ns)}, the run ends at {_text(scenario.duration_ns)}"
            yield Finding((*at, "at"), f"{message}; expected it to come before")
        if name in seen:
            yield Finding((*at, "name"), f"two changes are called {name!r}; expected a name of its own for each")
        seen.add(name)
        if change.policy is not None and scenario.mesh.policy is None:
            message = "the mesh has no policy that could change; expected mesh.policy, or no policy here"
            yield Finding((*at, "policy"), message, at_key=True)
    for name, service in scenario.services.items():
        own = [number for number, port in service.ports.items() if port.tls is not None]
        own += [number for one in service.versions.values() if one.tls is not None for number in one.tls.ports]
        for index, change in enumerate(scenario.changes):
            if own and (change.tls is not None or name in change.workloads):
                message = f"port {own[0]} of {name!r} has TLS settings of its own, which would not change"
                yield Finding(("changes", index), f"{message}; expected no such port, or no change of TLS for it")
    for index, fault in enumerate(scenario.faults):
        if fault.kind == "push-rejected" and not scenario.changes and not _pushes_trust(scenario):
            message = "there are no changes that could be rejected; expected changes, or no push-rejected"
            yield Finding(("faults", index, "kind"), message)
    yield from check_identity_changes(scenario)
    yield from _check_tls(scenario)


def _pushes_trust(scenario: Scenario) -> bool:
    """Say whether anything is pushed beside changes: trust bundles, or a deny list."""
    mesh = scenario.mesh
    revocation = mesh.identity.revocation
    if revocation is not None and revocation.deny_list:
        return True
    rotates = any(mesh.identity_of(name).ca_rotation is not None for name in mesh.trust_domains)
    return rotates or any(fault.kind in ("ca-rotation", "bundle-endpoint") for fault in scenario.faults)


def settings_over_time(scenario: Scenario) -> dict[str, list[tuple[int, Tls]]]:
    """The TLS settings of services, fleets and versions of their own: at the start (-1), after each change of them.

    Changes count in the order of their instants, those of one instant in the order of the file.
    """
    own: dict[str, TlsOverride | None] = {
        **{name: service.tls for name, service in scenario.services.items()},
        **{name: fleet.tls for name, fleet in scenario.fleets.items()},
    }
    mesh = scenario.mesh.tls
    settings = {name: [(-1, tls_of(mesh, scenario.mesh.domain_tls(name), override))] for name, override in own.items()}
    for index in change_order(scenario):
        change = scenario.changes[index]
        mesh = tls_of(mesh, change.tls)
        own |= {name: override for name, override in change.workloads.items() if name in own}
        for name in _touched(change, own):
            settings[name].append((index, tls_of(mesh, scenario.mesh.domain_tls(name), own[name])))
    for name, service in scenario.services.items():
        for version in service.versions:
            key = settings_key(name, service, version)
            if key != name:
                mode = version_tls(service, version)[-1]
                settings[key] = [(index, tls_of(tls, mode)) for index, tls in settings[name]]
    return settings


def _touched(change: Change, own: dict[str, TlsOverride | None]) -> list[str]:
    return [name for name in own if change.tls is not None or name in change.workloads]


def _check_tls(scenario: Scenario) -> Iterator[Finding]:
    """While a change is on its way, any settings that a pair ever has may meet."""
    settings = settings_over_time(scenario)
    blamed: set[int] = set()
    for each in settings.values():
        for index, tls in each:
            if index >= 0 and index not in blamed and tls.min_version > tls.max_version:
                blamed.add(index)
                message = f"the lowest TLS version, {tls.min_version}, would be above the highest, {tls.max_version}"
                yield Finding(("changes", index), f"{message}; expected them in order")
    pairs = [(flow.source, flow.to) for flow in scenario.traffic]
    pairs += [(name, call.to) for name in scenario.services for _, call in calls_of(scenario, name)]
    for caller, callee in dict.fromkeys(pairs):
        if not {caller, callee} <= settings.keys():
            continue
        for (first, one), (second, other) in product(settings[caller], settings[callee]):
            index = max(first, second)
            highest = min(one.max_version, other.max_version)
            lowest = max(one.min_version, other.min_version)
            if (
                index >= 0
                and index not in blamed
                and highest == lowest == "1.2"
                and "DISABLE" not in (one.mode, other.mode)
            ):
                blamed.add(index)
                message = f"{caller!r} and {callee!r} would come to agree on TLS 1.2, and only TLS 1.3 is simulated"
                yield Finding(("changes", index), f"{message}; expected '1.3'")
