"""The constants of Rego policies.

What a text is compared with is told where both stand side by side, or in one call. Rego can also compute with what it
reads before it compares; such a text is held against all that the modules read, and the classes are said to be
approximate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from ipaddress import ip_network
from types import MappingProxyType
from typing import Final

from meshsim.inquiry.checks import METHODS
from meshsim.inquiry.constants import OTHER_CLAIM, Constants, header
from meshsim.inquiry.patterns import ANY, SEGMENT, Pattern, exactly, prefix, suffix, within
from meshsim.policy.engine import PolicyFile
from meshsim.policy.rego_check import uses_of
from meshsim.policy.rego_parser import parse
from meshsim.policy.rego_syntax import Array, Binary, Call, Member, Module, Node, Ref, Rule, Scalar, Set
from meshsim.policy.rego_syntax import within as parts_of

Path = tuple[str, ...]

_HTTP: Final = ("input", "attributes", "request", "http")
_MESHSIM: Final = ("input", "meshsim")
_TEXTS: Final[Mapping[Path, str]] = MappingProxyType(
    {
        (*_HTTP, "path"): "path",
        (*_HTTP, "headers", ":path"): "path",
        ("input", "parsed_path"): "path",
        ("input", "parsed_query"): "query",
        (*_HTTP, "host"): "host",
        (*_HTTP, "headers", ":authority"): "host",
        **{(*_MESHSIM, "tls", name): name for name in ("cipher", "group")},
        (*_MESHSIM, "tls", "version"): "tls_version",
    }
)
"""Place in the input → text attribute of the question; what lies below it, too."""
_METHOD: Final = ((*_HTTP, "method"), (*_HTTP, "headers", ":method"))
_NUMBERS: Final[Mapping[Path, tuple[str, int]]] = MappingProxyType(
    {(*_MESHSIM, "certificate_age_s"): ("certificate_age_s", 1), (*_MESHSIM, "time_ns"): ("time_s", 10**9)}
)
_COMPARED: Final[Mapping[str, Callable[[str], Pattern]]] = MappingProxyType(
    {"startswith": prefix, "endswith": suffix, "contains": within}
)
_COMPUTED: Final = "some {} are not compared with the input directly; each is tried as it stands"


def read(files: Sequence[PolicyFile]) -> Constants:
    """Read the constants of modules that the engine has accepted."""
    modules = [module for file in files if not file.name.endswith(".json") for module in [parse(file)[0]] if module]
    constants = Constants(identities=True)
    places = {use.node: use.path for use in uses_of(modules) if use.path[0] == "input"}
    for module in modules:
        for rule in module.rules:
            _Reader(module, places, constants).rule(rule)
    return constants


class _Reader:
    """Reads one rule."""

    def __init__(self, module: Module, places: Mapping[Node, Path], constants: Constants) -> None:
        self._text = module.file.text
        self._places = places
        self._constants = constants
        self._taken: set[Node] = set()
        """Constants of which it is known what they are compared with."""

    def rule(self, rule: Rule) -> None:
        """Read the constants of a rule."""
        for node in parts_of(rule):
            if isinstance(node, Binary) and node.operator in ("==", "!=", "=", "<", "<=", ">", ">="):
                for one, other in ((node.left, node.right), (node.right, node.left)):
                    self._pair(one, [other], exactly)
            elif isinstance(node, Member) and isinstance(node.collection, Array | Set):
                self._pair(node.items[-1], node.collection.items, exactly)
            elif isinstance(node, Member) and node.collection in self._places:
                self._holds(self._places[node.collection], node.items[-1])
            elif isinstance(node, Call) and len(node.args) == 2 and ".".join(node.name) in _COMPARED:
                self._pair(node.args[0], node.args[1:], _COMPARED[".".join(node.name)])
            elif isinstance(node, Call) and node.name == ("glob", "match"):
                self._glob(node)
            elif isinstance(node, Call) and node.name == ("net", "cidr_contains"):
                self._taken.update(node.args)
                self._constants.addresses |= {text for one in node.args if (text := self._string(one)) is not None}
        self._rest(rule)

    def _string(self, node: Node) -> str | None:
        """A text that stands as such in the module, and is no name behind a dot."""
        quoted = isinstance(node, Scalar) and self._text[node.start] in '"`'
        return node.value if quoted and isinstance(node, Scalar) and isinstance(node.value, str) else None

    def _pair(self, place: Node, values: Iterable[Node], pattern: Callable[[str], Pattern]) -> None:
        """Take note that what stands at a place in the input is compared with constants."""
        path = self._places.get(place)
        if path is None:
            return
        for value in values:
            if isinstance(value, Scalar):
                self._taken.add(value)
                self._compared(path, value.value, pattern)

    def _glob(self, call: Call) -> None:
        """Take note of a pattern in which a star stands for characters of one segment, and two for any."""
        pattern, delimiters, place = call.args
        text = self._string(pattern)
        items = delimiters.items if isinstance(delimiters, Array) else ()
        if text is None or [self._string(one) for one in items] != ["/"] or any(one in text for one in "?[]{}!\\"):
            return
        self._taken.update(items)
        for star in (ANY, SEGMENT, ""):
            self._pair(place, [pattern], partial(_glob, star=star))

    def _holds(self, path: Path, item: Node) -> None:
        """Take note that a list in the input is looked through for a constant."""
        depth = len(_MESHSIM) + 1
        if isinstance(item, Scalar) and path[:depth] == (*_MESHSIM, "claims"):
            self._taken.add(item)
            self._constants.add_claims([path[depth:]], [(), (item.value,), (OTHER_CLAIM,)])

    def _compared(self, path: Path, value: object, pattern: Callable[[str], Pattern]) -> None:
        constants = self._constants
        if path[: len(_MESHSIM) + 1] == (*_MESHSIM, "claims"):
            near = (value - 1, value, value + 1) if type(value) is int else (value,)
            constants.add_claims([path[len(_MESHSIM) + 1 :]], [*near, OTHER_CLAIM])
        elif path in _NUMBERS and isinstance(value, int | float):
            attribute, unit = _NUMBERS[path]
            constants.add_numbers([attribute], [int(value) // unit])
        elif isinstance(value, str):
            if path[: len(_HTTP) + 1] == (*_HTTP, "headers") and len(path) > len(_HTTP) + 1 and path[-1][0] != ":":
                constants.add_text([header(path[-1])], [pattern(value)])
            self._named(value)
            if path in _METHOD and value not in METHODS:
                self._constants.names.update(METHODS)  # part of a method: each by itself
            for place, attribute in _TEXTS.items():
                if path[: len(place)] == place:
                    segment = place[1] == "parsed_path"
                    constants.add_text([attribute], _segments(value) if segment else [pattern(value)])

    def _named(self, value: str) -> None:
        self._constants.names.add(value)
        if re.fullmatch("spiffe://[^/]+/.+", value):
            self._constants.principals.add(value)
        if _is_address(value):
            self._constants.addresses.add(value)

    def _rest(self, rule: Rule) -> None:
        """Hold constants of which nothing is known against everything."""
        read = sorted(set(self._places.values()))
        for branch in rule.branches:
            for node in (one for literal in branch.body for one in parts_of(literal)):
                if isinstance(node, Ref):
                    self._taken.update(node.path)
                if not isinstance(node, Scalar) or node in self._taken:
                    continue
                text = self._string(node)
                if text is None and type(node.value) is not int:
                    continue
                self._constants.approximate.add(_COMPUTED.format("texts" if text is not None else "numbers"))
                for path in read:
                    if path in _TEXTS or path in _NUMBERS or path[: len(_HTTP) + 1] == (*_HTTP, "headers"):
                        self._compared(path, node.value, exactly)


def _glob(text: str, star: str) -> Pattern:
    pieces: list[str] = []
    for piece in re.findall(r"\*\*|.", text, re.DOTALL):
        pieces += [ANY] if piece == "**" else [star] if piece == "*" and star else [piece] if piece != "*" else []
    return Pattern(tuple(pieces))


def _segments(text: str) -> list[Pattern]:
    """Paths with a segment that reads ``text``."""
    return [exactly(f"/{text}"), prefix(f"/{text}/"), suffix(f"/{text}"), within(f"/{text}/")]


def _is_address(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True
