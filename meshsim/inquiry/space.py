"""Every question that some policy could answer in another way, as a product of classes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, ip_address, ip_network
from itertools import product
from typing import Any

import msgspec

from meshsim.inquiry.admission import admission
from meshsim.inquiry.checks import METHODS
from meshsim.inquiry.constants import ADDRESS_ATTRIBUTES, NUMBER_ATTRIBUTES, TEXT_ATTRIBUTES, Constants
from meshsim.inquiry.names import NOBODY
from meshsim.inquiry.path_classes import RAW, PathClasses
from meshsim.inquiry.patterns import OTHER, Machine, Pattern, text_classes
from meshsim.inquiry.placing import Spot, spots_of
from meshsim.inquiry.subject import Callee, Caller, Subject
from meshsim.policy.istio_trust import LOCAL
from meshsim.policy.question import Question, server_name

_READ_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
"""Methods that read (RFC 9110, section 9.2.1: the safe ones)."""
NO_CLAIM = "no claim"
TOKEN_AT = "token_at"
"""The dimension of where a token is."""
STRANGER = "/ns/unknown/sa/stranger"
OTHER_DOMAIN = "elsewhere.example"
OTHER_HOST = "other.example"
"""A host that nobody here has."""


class Value(msgspec.Struct, frozen=True):
    """One class of values of an attribute."""

    shown: str
    """The class for people."""
    witness: Any
    """A value of it; None for a header field or claim that is not there."""
    matched: tuple[str, ...] = ()
    """Of text: the patterns that it matches, as they are shown."""


class Dimension(msgspec.Struct, frozen=True):
    """An attribute that policies read, and its classes."""

    name: str
    """An attribute of a question, ``header NAME`` or ``claim NAME``."""
    values: tuple[Value, ...]
    path: tuple[str, ...] = ()
    """Of a claim: the names that lead to it."""


Combination = tuple[Value, ...]
"""One value of each dimension."""


class Space(msgspec.Struct, frozen=True):
    """The questions that a set of policies can tell apart."""

    dimensions: tuple[Dimension, ...]
    reads: frozenset[str]
    approximate: tuple[str, ...]
    """What the classes may miss, for people; empty: they are exact."""
    spots: Mapping[str, Spot] = {}
    """By the witness of a place of tokens, where policies can tell those apart."""

    @property
    def size(self) -> int:
        """Questions about one caller and one callee."""
        size = 1
        for dimension in self.dimensions:
            size *= len(dimension.values)
        return size

    @property
    def claims(self) -> frozenset[str]:
        """The claims that are dimensions, by the outermost of their names."""
        return frozenset(dimension.path[0] for dimension in self.dimensions if dimension.path)

    def combinations(self) -> Iterator[Combination]:
        """Every combination of classes, in a fixed order."""
        return product(*(dimension.values for dimension in self.dimensions))

    def token_at(self, combination: Combination) -> str:
        """The place of the token in a combination, by its witness; empty where places are not told apart."""
        return str(combination[-1].witness) if self.spots else ""

    def question(self, caller: Caller, callee: Callee, port: int, combination: Combination) -> Question:
        """The question that stands for a combination."""
        fields: dict[str, Any] = {
            "port": callee.targets[port],
            "host": callee.service,
            "destination_ip": callee.address,
            "version": callee.version,
        }
        headers: list[tuple[str, str]] = []
        claims: dict[str, Any] = {}
        for dimension, value in zip(self.dimensions, combination, strict=True):
            kind, _, name = dimension.name.partition(" ")
            if not name:
                fields[kind] = value.witness
            elif value.witness is not None and kind == "header":
                headers.append((name, value.witness))
            elif value.witness is not None:
                _put(claims, dimension.path, value.witness)
        fields["headers"] = tuple(headers)
        fields["claims"] = json.dumps(claims, sort_keys=True, separators=(",", ":")) if claims else ""
        base = {name: fields.pop(name) for name in ("method", "path", "slice", "site")}
        encrypted = not admission(caller, callee, port).plaintext
        fields["sni"] = server_name(callee.service, callee.namespace, port)
        if not encrypted:
            fields |= dict.fromkeys(("tls_version", "cipher", "group", "sni"), "") | {"certificate_age_s": -1}
        return Question(
            principal=caller.spiffe_id if encrypted else "",
            source=caller.workload,
            destination=callee.service,
            mutual=encrypted,
            **base,
            **{name: value for name, value in fields.items() if name in self.reads},
        )


def space_of(subjects: Iterable[Subject], constants: Constants) -> Space:
    """The space of questions about one or two subjects, whose policies have these constants."""
    each = list(subjects)
    first = each[0]
    reads = frozenset().union(*(one.engine.reads for one in each if one.engine is not None))
    if constants.told:
        reads |= {"claims"}
    approximate = set(constants.approximate)
    dimensions = [Dimension("method", _methods(constants)), _paths(constants, approximate)]
    for name in ("slice", "site"):
        known = list(dict.fromkeys(value for one in each for value in getattr(one, f"{name}s")))
        dimensions.append(Dimension(name, _listed(known, constants)))
    nodes = _listed(list(first.nodes), constants)
    dimensions += [Dimension(name, nodes) for name in ("node", "source_node") if name in reads]
    dimensions += [
        _texts(name, constants, approximate)
        for name in TEXT_ATTRIBUTES[1:]
        if name in reads and name in constants.texts
    ]
    if "headers" in reads:
        names = sorted(name for name in constants.texts if name.startswith("header "))
        dimensions += [_texts(name, constants, approximate, missing=True) for name in names]
    if "claims" in reads:
        for path, values in sorted(constants.claims.items()):
            ordered = sorted(values, key=lambda value: (str(type(value)), str(value)))
            found = tuple(
                Value(json.dumps(value), list(value) if isinstance(value, tuple) else value) for value in ordered
            )
            dimensions.append(Dimension(f"claim {'.'.join(path)}", (Value(NO_CLAIM, None), *found), path))
    for name in NUMBER_ATTRIBUTES:
        if name in reads:
            usual = 0 if name == "certificate_age_s" else first.epoch_s
            dimensions.append(Dimension(name, _numbers(usual, constants.numbers.get(name, set()))))
    dimensions += [Dimension(name, _addresses(constants)) for name in ADDRESS_ATTRIBUTES[:1] if name in reads]
    spots = spots_of(each, frozenset(constants.token_places))
    # The last one: token_at() goes by that.
    dimensions.append(Dimension(TOKEN_AT, tuple(Value(name, name) for name in spots)))
    return Space(tuple(one for one in dimensions if one.values), reads, tuple(sorted(approximate)), spots)


def callers_of(subjects: Iterable[Subject], constants: Constants) -> list[Caller]:
    """Who may ask: every workload, everybody whom a policy names, strangers within and without, and nobody."""
    each = list(subjects)
    found: dict[str, Caller] = {}
    fleets: set[str] = set()
    for one in each:
        for caller in one.callers:
            device = not caller.namespace
            if device and caller.workload in fleets and caller.spiffe_id not in constants.principals:
                continue  # devices of a fleet are alike, unless a policy names one
            named = caller.spiffe_id in constants.principals
            if device and not named:
                fleets.add(caller.workload)
                caller = msgspec.structs.replace(caller, name=caller.workload)
            found.setdefault(caller.spiffe_id, caller)
    for spiffe_id in sorted(constants.principals - found.keys()):
        found[spiffe_id] = Caller(name=spiffe_id, workload="", spiffe_id=spiffe_id)
    own = each[0].trust_domain
    ends = [end for one in each for callee in one.callees for end in callee.ends.values()]
    believed = frozenset().union(*(end.trusts for end in ends)) - {own}
    if constants.identities:
        for twin in _twins(list(found.values()), own, sorted(believed)):
            found.setdefault(twin.spiffe_id, twin)
    strangers = [(own, "a stranger in the mesh"), *((domain, f"a stranger in {domain}") for domain in sorted(believed))]
    for domain, name in [*strangers, (OTHER_DOMAIN, "a stranger from elsewhere")]:
        spiffe_id = f"spiffe://{domain}{STRANGER}"
        found.setdefault(spiffe_id, Caller(name=name, workload="", spiffe_id=spiffe_id))
    return [*found.values(), Caller(name=NOBODY, workload="", spiffe_id="")]


def _twins(callers: Sequence[Caller], own: str, believed: Sequence[str]) -> Iterator[Caller]:
    """Who has the namespace and account of a caller of the mesh in another trust domain that is believed.

    Policies may take them for the same: by an alias of the trust domain, by namespace, or by the end of a principal.
    """
    for caller in callers:
        domain, _, path = caller.spiffe_id.removeprefix("spiffe://").partition("/")
        if domain in (own, LOCAL) and path.startswith("ns/"):
            name = f"{path.split('/')[1]}/{path.rpartition('/')[2]}" if caller.name == caller.spiffe_id else caller.name
            for other in believed if domain == own else (own, *believed):
                yield Caller(name=f"{name} in {other}", workload="", spiffe_id=f"spiffe://{other}/{path}")


def ports_of(callee: Callee, reads: frozenset[str], later: Callee | None = None) -> list[int]:
    """The ports that policies can tell apart, or that speak TLS in different ways, now or ``later``."""
    if "port" in reads:
        return list(callee.ports)
    after = callee if later is None else later
    # The first port of each kind stands for all of it.
    kinds: dict[tuple[Any, ...], int] = {}
    for port in callee.ports:
        kind = tuple(
            (one.ends.get(port), *(told.get(port) for told in one.plaintext.values())) for one in (callee, after)
        )
        kinds.setdefault(kind, port)
    return list(kinds.values())


def _put(claims: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        claims = claims.setdefault(name, {})
    claims[path[-1]] = value


def _methods(constants: Constants) -> tuple[Value, ...]:
    named = [method for method in METHODS if method in constants.names]
    others = [method for method in METHODS if method not in named]
    alike = [[one for one in others if (one in _READ_METHODS) == reading] for reading in (True, False)]
    return (
        *(Value(method, method) for method in named),
        *(Value(", ".join(each), each[0]) for each in alike if each),
    )


def _texts(name: str, constants: Constants, approximate: set[str], *, missing: bool = False) -> Dimension:
    patterns = constants.texts.get(name, ())
    classes, exhausted = text_classes(patterns, empty=name != "host")  # every request is for some host
    if not exhausted:
        approximate.add(f"patterns of {name} have too many combinations; some are tried, not all")
    values = [Value(one.shown, one.witness, tuple(each.shown for each in one.matched)) for one in classes]
    if name == "host":
        values = _with_another_host(values, patterns)
    return Dimension(name, (*([Value("missing", None)] if missing else []), *values))


def _with_another_host(values: Sequence[Value], patterns: Iterable[Pattern]) -> list[Value]:
    """Classes of hosts; that of a host which nobody here has stands for its class."""
    machine = Machine(tuple(sorted(set(patterns))), path=False)
    matched = tuple(one.shown for one in machine.matched(machine.ends_of(OTHER_HOST)))
    return [Value(one.shown, OTHER_HOST, matched) if one.matched == matched else one for one in values]


def _paths(constants: Constants, approximate: set[str]) -> Dimension:
    found = PathClasses(constants.paths or {RAW: constants.texts.get("path", ())})
    if not found.exhausted:
        approximate.add("patterns of path have too many combinations; some are tried, not all")
    return Dimension("path", tuple(Value(one.shown, one.witness, one.matched) for one in found.classes))


def _listed(known: list[str], constants: Constants) -> tuple[Value, ...]:
    """The names that policies name, and one that they do not, if there is one."""
    named = [name for name in known if name in constants.names]
    other = next((name for name in known if name not in constants.names), None)
    return (*(Value(name, name) for name in named), *([Value(OTHER, other)] if other is not None else []))


def _numbers(usual: int, bounds: set[int]) -> tuple[Value, ...]:
    each = sorted({usual, *(near for bound in bounds for near in (bound - 1, bound, bound + 1) if near >= 0)})
    return tuple(Value(f"{number} s", number) for number in each)


def _addresses(constants: Constants) -> tuple[Value, ...]:
    """An address of each set of blocks that some address is in and no other.

    Blocks lie in each other or apart, so each such set has an address at the edge of one of its blocks.
    """
    blocks = []
    for text in sorted(constants.addresses):
        try:
            blocks.append(ip_network(text, strict=False))
        except ValueError:
            continue  # a word for a range, which the engine knows and this does not
    edges = {int(ip_address("192.0.2.1"))}
    for block in blocks:
        if block.version == 4:
            first, last = int(block.network_address), int(block.broadcast_address)
            edges |= {edge for edge in (first - 1, first, last, last + 1) if 0 < edge < 2**32}
    found: dict[str, str] = {}
    for address in map(IPv4Address, sorted(edges)):
        inside = sorted((block for block in blocks if address in block), key=lambda block: -block.prefixlen)
        found.setdefault(str(inside[0]) if inside else OTHER, str(address))
    return tuple(Value(shown, witness) for shown, witness in found.items())
