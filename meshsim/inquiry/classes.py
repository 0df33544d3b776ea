"""Classes of values of one attribute: those that no policy can tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, get_args

from meshsim.inquiry.checks import METHODS
from meshsim.inquiry.constants import ANY_CASE_HOST, Constants, header
from meshsim.inquiry.dimension import MISSING, Dimension, Value, matching_together
from meshsim.inquiry.path_classes import RAW, PathClasses
from meshsim.inquiry.patterns import OTHER, Machine, Pattern, TextClass, class_words, exactly, folded, text_classes
from meshsim.scenario.tls import Cipher, Group, TlsVersion

_READ_METHODS: Final = ("GET", "HEAD", "OPTIONS", "TRACE")
"""Methods that read (RFC 9110, section 9.2.1: the safe ones)."""
OTHER_HOST: Final = "other.example"
"""A host that nobody here has."""
_KNOWN: Final = {"tls_version": get_args(TlsVersion), "cipher": get_args(Cipher), "group": get_args(Group)}
"""Attributes that have no other values than these."""
_DOCUMENTED: Final = {4: "192.0.2.1", 6: "2001:db8::1"}
"""Addresses that are nobody's, by version (RFC 5737 and RFC 3849)."""
_S_PER_DAY: Final = 86_400


def methods(constants: Constants) -> tuple[Value, ...]:
    """Methods that are named, those left that read, and those left that write."""
    named = [method for method in METHODS if method in constants.names]
    others = [method for method in METHODS if method not in named]
    alike = [[one for one in others if (one in _READ_METHODS) == reading] for reading in (True, False)]
    return (
        *(Value(method, method) for method in named),
        *(Value(", ".join(each), each[0]) for each in alike if each),
    )


def texts(name: str, constants: Constants, approximate: set[str]) -> Dimension:
    """Classes of an attribute that is text."""
    patterns = constants.texts.get(name, set())
    if name in _KNOWN:
        return Dimension(name, _known(_KNOWN[name], patterns))
    if name == "host":
        patterns = _hosts(constants)
    classes, exhausted = text_classes(patterns, empty=name != "host")  # every request is for some host
    if not exhausted:
        approximate.add(f"patterns of {name} have too many combinations; some are tried, not all")
    values = [_value(one) for one in classes]
    return Dimension(name, tuple(_with_another_host(values, patterns) if name == "host" else values))


def headers(name: str, constants: Constants, approximate: set[str]) -> Dimension:
    """Classes of a header field: it can be missing, and where any of several may match, several can be there."""
    # Of this field no more than one word is left, whatever else it says.
    left = {exactly("trailers")} if name == header("te") else set()
    classes, exhausted = text_classes(constants.texts[name] | left)
    if not exhausted:
        approximate.add(f"patterns of {name} have too many combinations; some are tried, not all")
    values = [_value(one) for one in classes]
    if name in constants.several:
        together, complete = matching_together(classes)
        values += [
            Value(" beside ".join(one.shown for one in each), tuple(one.witness for one in each), _patterns(each))
            for each in together
        ]
        if not complete:
            approximate.add(f"several fields {name.partition(' ')[2]} can match too much together; some are tried")
        if name in constants.single:
            approximate.add(f"{name} is compared as one text and as several; not every text of several is tried")
    return Dimension(name, (Value(MISSING, None), *values))


def paths(constants: Constants, approximate: set[str]) -> Dimension:
    """Classes of paths."""
    found = PathClasses(constants.paths or {RAW: constants.texts.get("path", ())})
    if not found.exhausted:
        approximate.add("patterns of path have too many combinations; some are tried, not all")
    return Dimension("path", tuple(Value(one.shown, one.witness, one.matched) for one in found.classes))


def listed(name: str, known: Iterable[str], constants: Constants) -> Dimension:
    """The names that policies tell from others, and one that they do not, if there is one."""
    each = list(dict.fromkeys(known))
    named = [one for one in each if one in constants.names or any(_is_like(one, of) for of in constants.name_patterns)]
    other = next((one for one in each if one not in named), None)
    rest = [Value(OTHER, other)] if other is not None else []
    return Dimension(name, (*(Value(one, one) for one in named), *rest))


def numbers(name: str, usual: int, constants: Constants) -> Dimension:
    """Numbers on both sides of each bound; of times, with each part of the day before and after each instant."""
    bounds = constants.numbers.get(name, set())
    if name == "time_s":
        days = {bound // _S_PER_DAY + shift for bound in (0, *bounds) for shift in (-1, 0, 1)}
        bounds = bounds | {day * _S_PER_DAY + second for day in days for second in constants.day_times}
    each = sorted({usual, *(near for bound in bounds for near in (bound - 1, bound, bound + 1) if near >= 0)})
    return Dimension(name, tuple(Value(f"{number} s", number) for number in each))


def addresses(constants: Constants) -> tuple[Value, ...]:
    """An address of each set of blocks that some address is in and no other.

    Blocks lie in each other or apart, so each such set has an address at the edge of one of its blocks.
    """
    blocks = _blocks(constants.addresses)
    edges: dict[int, set[int]] = {version: {int(ip_address(one))} for version, one in _DOCUMENTED.items()}
    for block in blocks:
        first, last = int(block.network_address), int(block.broadcast_address)
        edges[block.version] |= {
            edge for edge in (first - 1, first, last, last + 1) if 0 <= edge < 2**block.max_prefixlen
        }
    found: dict[str, str] = {}
    for address in (*map(IPv4Address, sorted(edges[4])), *map(IPv6Address, sorted(edges[6]))):
        inside = sorted((block for block in blocks if address in block), key=lambda block: -block.prefixlen)
        found.setdefault(str(inside[0]) if inside else OTHER, str(address))
    return tuple(Value(shown, witness) for shown, witness in found.items())


def told_apart(replicas: Iterable[str], constants: Constants) -> bool:
    """Say whether policies can tell these addresses apart: not each block has all or none of them."""
    known = [ip_address(address) for address in replicas if address]
    return "destination_ip" in constants.texts or any(
        len({address in block for address in known}) > 1
        for block in _blocks(constants.addresses | constants.called_addresses)
    )


def _blocks(written: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    found = []
    for text in sorted(written):
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            continue  # a word for a range, which the engine knows and this does not
    return found


def forwarded_for(constants: Constants, approximate: set[str]) -> Dimension:
    """The client that ``x-forwarded-for`` tells, where policies look at it and at the peer."""
    name = header("x-forwarded-for")
    if name in constants.texts:
        approximate.add(f"{name} is compared as text and as an address; not all that it can be to both is tried")
    found = addresses(constants)
    values = (Value(one.shown, one.witness, () if one.shown == OTHER else (one.shown,)) for one in found)
    return Dimension(name, (Value(MISSING, None), *values))


def _value(one: TextClass) -> Value:
    return Value(one.shown, one.witness, tuple(each.shown for each in one.matched))


def _patterns(each: Sequence[TextClass]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(pattern.shown for one in each for pattern in one.matched))


def _known(known: Iterable[str], patterns: Iterable[Pattern]) -> tuple[Value, ...]:
    machine = Machine(tuple(sorted(patterns)), path=False)
    found: dict[tuple[Pattern, ...], str] = {}
    for text in known:
        found.setdefault(machine.matched(machine.ends_of(text)), text)
    return tuple(
        Value(class_words(matched), text, tuple(one.shown for one in matched)) for matched, text in found.items()
    )


def _hosts(constants: Constants) -> set[Pattern]:
    """Patterns of hosts; those that hold in any case are told from others only where there are others."""
    cased, caseless = constants.texts.get("host", set()), constants.texts.get(ANY_CASE_HOST, set())
    return cased | set(map(folded, caseless)) if cased else caseless


def _with_another_host(values: Sequence[Value], patterns: Iterable[Pattern]) -> list[Value]:
    """Classes of hosts; that of a host which nobody here has stands for its class."""
    machine = Machine(tuple(sorted(set(patterns))), path=False)
    matched = tuple(one.shown for one in machine.matched(machine.ends_of(OTHER_HOST)))
    return [Value(one.shown, OTHER_HOST, matched) if one.matched == matched else one for one in values]


def _is_like(text: str, value: str) -> bool:
    """Whether a text begins or ends as a value with a star at one end; or is not empty, for a star alone."""
    if value == "*":
        return text == ""  # which is told from all others
    return text.startswith(value[:-1]) if value.endswith("*") else text.endswith(value.removeprefix("*"))
