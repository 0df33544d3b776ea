"""Names in a scenario: every one that is used must be declared, and every one that is declared must be used.

Reads the plain data, so that names are checked even where something else in the file is not understood yet.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import reduce
from typing import Any

import msgspec

from meshsim.scenario.findings import Finding
from meshsim.scenario.fiveqi import FIVE_QI
from meshsim.scenario.positions import Path
from meshsim.scenario.shape import step
from meshsim.scenario.words import expected, folded, one_of, show


class Reference(msgspec.Struct, frozen=True):
    """One use of a name."""

    path: Path
    kind: str
    """What the name should be of: node, link, slice, radio, service, fleet, flow, fault, phase."""
    name: str
    at_key: bool = False


def _items(data: Any, *path: str | int) -> list[tuple[Path, Any]]:
    """Path and value of each entry of the list or mapping at ``path``; nothing if there is none."""
    return _below((), data, *path)


def _below(at: Path, data: Any, *keys: str | int) -> list[tuple[Path, Any]]:
    """Path and value of each entry of the list or mapping at ``keys`` in ``data``, which stands at ``at``."""
    for key in keys:
        data = step(data, key)
    if isinstance(data, dict):
        return [((*at, *keys, key), value) for key, value in data.items()]
    if isinstance(data, list):
        return [((*at, *keys, index), value) for index, value in enumerate(data)]
    return []


def _calls(data: Any) -> Iterator[tuple[Path, Any]]:
    for at, service in _items(data, "services"):
        for owner, own in ((at, service), *_below(at, service, "versions")):
            for path, call in _below(owner, own, "calls"):
                yield path, call
                yield from _below(path, call, "parallel")
                yield from _below(path, call, "one_of")


_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_REQUIRED = ("node", "slice", "service", "fleet")
"""Kinds of which there must be one: that there is none is one mistake, however often one is named."""
_TARGETS = {
    "link-down": "link",
    "latency-surge": "link",
    "node-crash": "node",
    "push-rejected": "service or fleet",
    "revoke": "service or fleet",
}
"""What the target of each kind of fault is."""


def references(data: Any) -> Iterator[Reference]:
    """Every use of a name in the plain data of a scenario."""
    for path, kind, value, at_key in _uses(data):
        if isinstance(value, str):
            yield Reference(path, kind, value, at_key)


def _uses(data: Any) -> Iterator[tuple[Path, str, Any, bool]]:
    for at, link in _items(data, "network", "links"):
        yield from ((path, "node", value, False) for path, value in _below(at, link, "between"))
    for at, radio in _items(data, "network", "radios"):
        yield from ((path, "node", value, False) for path, value in _below(at, radio, "cells"))
    for at, service in _items(data, "services"):
        for owner, own in ((at, service), *_below(at, service, "versions")):
            yield from ((path, "node", path[-1], True) for path, _ in _below(owner, own, "replicas"))
            yield from ((path, "node", value, False) for path, value in _below(owner, own, "placement"))
        yield from ((path, "node", value, False) for path, value in _below(at, service, "follow", "among"))
        yield (*at, "follow", "fleet"), "fleet", step(step(service, "follow"), "fleet"), False
    for path, call in _calls(data):
        yield (*path, "to"), "service", step(call, "to"), False
    for path, fleet in _items(data, "fleets"):
        yield (*path, "radio"), "radio", step(fleet, "radio"), False
        yield (*path, "node"), "node", step(fleet, "node"), False
    for path, route in _items(data, "mesh", "routes"):
        yield (*path, "to"), "service", step(route, "to"), False
        for below, target in _items(data, *path, "split"):
            yield (*below, "to"), "service", step(target, "to"), False
    yield from ((path, "service", path[-1], True) for path, _ in _items(data, "mesh", "destinations"))
    for waypoint, _ in _items(data, "mesh", "waypoints"):
        yield from ((path, "node", path[-1], True) for path, _ in _items(data, *waypoint, "replicas"))
    yield ("mesh", "control", "node"), "node", step(step(step(data, "mesh"), "control"), "node"), False
    issuer = ("mesh", "identity", "issuer", "node")
    yield issuer, "node", step(step(step(step(data, "mesh"), "identity"), "issuer"), "node"), False
    for path, signer in _items(data, "mesh", "tokens", "issuers"):
        yield (*path, "endpoint", "node"), "node", step(step(signer, "endpoint"), "node"), False
    authorizer = ("mesh", "policy", "authorizer", "node")
    yield authorizer, "node", step(step(step(step(data, "mesh"), "policy"), "authorizer"), "node"), False
    for path, provider in _items(data, "mesh", "policy", "istio", "extension_providers"):
        yield (*path, "authorizer", "node"), "node", step(step(provider, "authorizer"), "node"), False
    federation = ("mesh", "federation")
    home = step(step(step(data, "mesh"), "federation"), "endpoint")
    yield (*federation, "endpoint", "node"), "node", step(home, "node"), False
    for path, domain in _items(data, *federation, "domains"):
        yield (*path, "node"), "node", step(domain, "node"), False
        yield (*path, "endpoint", "node"), "node", step(step(domain, "endpoint"), "node"), False
        signs = step(step(domain, "identity"), "issuer")
        yield (*path, "identity", "issuer", "node"), "node", step(signs, "node"), False
        for key, kind in (("services", "service"), ("fleets", "fleet")):
            yield from ((below, kind, value, False) for below, value in _items(data, *path, key))
    source = ("mesh", "identity", "revocation", "node")
    yield source, "node", step(step(step(step(data, "mesh"), "identity"), "revocation"), "node"), False
    for path, flow in _items(data, "traffic"):
        for key, kind in (("from", "fleet"), ("to", "service"), ("slice", "slice")):
            yield (*path, key), kind, step(flow, key), False
    for path, fault in _items(data, "faults"):
        target, name = _TARGETS.get(str(step(fault, "kind"))), step(fault, "target")
        if target is not None:
            if step(fault, "kind") == "revoke" and isinstance(name, str):
                name = name.partition("/")[0]
            yield (*path, "target"), target, name, False
    for change, _ in _items(data, "changes"):
        yield from ((path, "service or fleet", path[-1], True) for path, _ in _items(data, *change, "workloads"))
    yield from _expectation_uses(data)


def _expectation_uses(data: Any) -> Iterator[tuple[Path, str, Any, bool]]:
    for path, expectation in _items(data, "expect"):
        for key, kind in (("slice", "slice"), ("service", "service"), ("source", "flow"), ("during", "phase or fault")):
            yield (*path, key), kind, step(expectation, key), False
        recovery = step(expectation, "recovers")
        yield (*path, "recovers", "after"), "fault", step(recovery, "after"), False
        yield (*path, "recovers", "slice"), "slice", step(recovery, "slice"), False
        yield (*path, "converges", "after"), "change", step(step(expectation, "converges"), "after"), False
        yield (*path, "revokes", "after"), "fault", step(step(expectation, "revokes"), "after"), False
        failure = step(expectation, "fails")
        for key, kind in (("after", "fault"), ("slice", "slice"), ("service", "service"), ("source", "flow")):
            yield (*path, "fails", key), kind, step(failure, key), False


def _names(data: Any, *path: str | int) -> dict[str, Path]:
    """The keys of the mapping at ``path``, with their own; none of what is no mapping, which is a mistake by itself."""
    return {str(at[-1]): at for at, _ in _items(data, *path)} if isinstance(reduce(step, path, data), dict) else {}


def declared(data: Any) -> dict[str, dict[str, Path]]:
    """The declared names of each kind, and the path of the entry that declares each."""
    network = step(data, "network")
    names: dict[str, dict[str, Path]] = {
        "node": _names(data, "network", "nodes"),
        "slice": _names(data, "network", "slices"),
        "radio": _names(data, "network", "radios"),
        "service": _names(data, "services"),
        "fleet": _names(data, "fleets"),
        "phase": _names(data, "phases"),
        "5QI": _names(data, "network", "five_qis"),
        "link": {},
        "flow": {},
        "fault": {},
        "change": {},
    }
    for path, link in _items(network, "links"):
        ends = step(link, "between")
        if isinstance(ends, list) and len(ends) == 2:
            names["link"].setdefault(str(step(link, "name") or f"{ends[0]}--{ends[1]}"), ("network", *path))
    for path, flow in _items(data, "traffic"):
        names["flow"].setdefault(str(step(flow, "name") or step(flow, "from")), path)
    given = {str(step(fault, "name")) for _, fault in _items(data, "faults") if step(fault, "name")}
    for path, fault in _items(data, "faults"):
        name = kind = str(step(fault, "name") or step(fault, "kind"))
        number = 2
        while step(fault, "name") is None and (name in given or name in names["fault"]):
            name, number = f"{kind}-{number}", number + 1
        names["fault"].setdefault(name, path)
    chosen = {str(step(change, "name")) for _, change in _items(data, "changes") if step(change, "name")}
    for path, change in _items(data, "changes"):
        name, number = str(step(change, "name") or "change"), 2
        while step(change, "name") is None and (name in chosen or name in names["change"]):
            name, number = f"change-{number}", number + 1
        names["change"].setdefault(name, path)
    names["phase or fault"] = {**names["phase"], **names["fault"]}
    names["service or fleet"] = {**names["service"], **names["fleet"]}
    return names


class Names(msgspec.Struct, frozen=True):
    """All names in the plain data of a scenario."""

    declared: dict[str, dict[str, Path]]
    uses: list[Reference]


def names_in(data: Any) -> Names:
    """The names that are declared and those that are used."""
    return Names(declared(data), list(references(data)))


def check_references(data: Any, found: Names) -> Iterator[Finding]:
    """Names that are used and not declared, and cells on nodes that are no base stations."""
    names = found.declared
    misspelt = {
        kind: {folded(name) for name in entries if not _NAME.fullmatch(name)} for kind, entries in names.items()
    }
    for use in found.uses:
        if use.name not in names[use.kind] and (names[use.kind] or use.kind not in _REQUIRED):
            if use.kind != "link" and folded(use.name) in misspelt[use.kind]:
                continue  # the declaration is refused already
            yield Finding(use.path, _dangling(use, names), use.at_key)
        elif use.path[:2] == ("network", "radios") and use.kind == "node":
            kind = step(step(step(step(data, "network"), "nodes"), use.name), "kind")
            if kind in ("edge", "regional", "core"):
                message = f"the cell is on {use.name!r}, of kind {kind}; expected a node of kind gnb"
                yield Finding(use.path, message, involved=(("network", "nodes", use.name),))
    own = names["5QI"]
    for path, entry in _items(data, "network", "slices"):
        five_qi = step(entry, "five_qi")
        if (
            isinstance(five_qi, int)
            and not isinstance(five_qi, bool)
            and five_qi not in FIVE_QI
            and str(five_qi) not in own
        ):
            near = sorted(sorted(FIVE_QI, key=lambda known: abs(known - five_qi))[:4])
            message = f"{show(five_qi)} is not a standardised 5QI; expected one of 3GPP TS 23.501 table 5.7.4-1"
            message += f", such as {', '.join(map(str, near))}{_own(own)}"
            yield Finding((*path, "five_qi"), message)


def _own(own: Collection[str]) -> str:
    return f"; or {one_of(list(own))} of network.five_qis" if own else ", or one of your own (network.five_qis)"


def _dangling(use: Reference, names: dict[str, dict[str, Path]]) -> str:
    known = list(names[use.kind])
    if use.kind == "link":
        turned = "--".join(reversed(use.name.split("--")))
        if turned in known:
            return f"there is no link {show(use.name)}; did you mean {turned!r}, as between has it?"
    nothing = f"the scenario declares no {use.kind}"
    return f"there is no {use.kind} {show(use.name)}; {expected(use.name, known, nothing)}"


_REMEDIES = {
    "slice": "a flow in it",
    "radio": "a fleet with it",
    "5QI": "a slice with it",
    "fleet": "a flow from it",
    "service": "a flow or call to it",
    "phase": "an expectation during it",
}


def check_unused(data: Any, found: Names) -> Iterator[Finding]:
    """Names that are declared and never used."""
    names = found.declared
    used: dict[str, set[str]] = {kind: set() for kind in names}
    for use in found.uses:
        if use.path[0] == "expect" and use.kind not in ("phase or fault", "phase"):
            continue  # to ask about a thing is not to use it
        if use.path[:2] == ("mesh", "federation") and use.kind != "node":
            continue  # nor is to say whose it is
        if use.path[:2] == ("mesh", "destinations") or (use.path[:2] == ("mesh", "routes") and len(use.path) == 4):
            continue  # nor is to say what becomes of calls to it
        used[use.kind].add(use.name)
    used["phase"] |= used["phase or fault"]
    used["5QI"] = {str(step(entry, "five_qi")) for _, entry in _items(data, "network", "slices")}
    for kind, remedy in _REMEDIES.items():
        for name, path in names[kind].items():
            if name not in used[kind]:
                message = f"the {kind} {show(name)} is declared but never used; expected {remedy}, or not to be here"
                yield Finding(path, message, at_key=True)
    for name, path in names["node"].items():
        if name not in used["node"]:
            message = f"the node {show(name)} is declared but never used; expected a link, replica, cell or fleet on it"
            yield Finding(path, message, at_key=True)
