"""The constants of Rego policies.

What a text is compared with is told where both stand side by side, or in one call. Rego can also compute with what it
reads before it compares; such a text is held against all that the modules read. Classes are exact only where everything
that is read of the input is compared in a way that is understood here, and said to be approximate else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ipaddress import ip_network
from types import MappingProxyType
from typing import Final

from meshsim.inquiry.checks import METHODS
from meshsim.inquiry.constants import OTHER_CLAIM, Constants, header
from meshsim.inquiry.patterns import ANY, SEGMENT, Pattern, exactly, prefix, suffix, within
from meshsim.inquiry.rego_globs import globbed, segments, stars_of
from meshsim.inquiry.rego_places import (
    ADDRESSES,
    HTTP,
    IDENTITY,
    KNOWN,
    LISTED,
    MESHSIM,
    METHOD,
    NUMBERS,
    SETTLED,
    SOURCE,
    TARGET,
    TEXTS,
    Path,
)
from meshsim.policy.engine import PolicyFile
from meshsim.policy.rego_builtins import TIMED_BUILTINS
from meshsim.policy.rego_check import uses_of
from meshsim.policy.rego_parser import parse
from meshsim.policy.rego_syntax import (
    Array,
    Binary,
    Call,
    Expression,
    Literal,
    Member,
    Module,
    Node,
    Ref,
    Rule,
    Scalar,
    Set,
)
from meshsim.policy.rego_syntax import within as parts_of

_COMPARED: Final[Mapping[str, Callable[[str], Pattern]]] = MappingProxyType(
    {"startswith": prefix, "endswith": suffix, "contains": within}
)
_ORDERED: Final = ("<", "<=", ">", ">=")
_COMPUTED: Final = "some {} are not compared with the input directly; each is tried as it stands"
_COMPUTES: Final = "policies compute with {}; not all that it can be is tried"
_IDENTIFYING: Final = (("namespace",), ("service_account",), ("trust_domain",), ("site",), ("node",), ("ip",))
"""What is told of a caller and does not depend on which workload it is."""


def read(files: Sequence[PolicyFile]) -> Constants:
    """Read the constants of modules that the engine has accepted."""
    modules = [module for file in files if not file.name.endswith(".json") for module in [parse(file)[0]] if module]
    constants = Constants(identities=True)
    uses = [use for use in uses_of(modules) if use.path[0] == "input"]
    places = {use.node: use.path for use in uses}
    following = frozenset(use.node for use in uses if use.open)
    for module in modules:
        for rule in module.rules:
            _Reader(module, places, following, constants).rule(rule)
    return constants


class _Reader:
    """Reads one rule."""

    def __init__(
        self, module: Module, places: Mapping[Node, Path], following: frozenset[Node], constants: Constants
    ) -> None:
        self._text = module.file.text
        self._places = places
        self._following = following
        """Those below which something is read that is not known beforehand."""
        self._understood: set[Node] = set()
        """Those of which it is known what they are compared with, and how."""
        self._constants = constants
        self._taken: set[Node] = set()
        """Constants of which it is known what they are compared with."""

    def rule(self, rule: Rule) -> None:
        """Read the constants of a rule."""
        for node in parts_of(rule):
            if isinstance(node, Literal) and node.withs:
                self._constants.approximate.add("policies ask with another input")
            if isinstance(node, Expression) and node.term in self._places:
                self._there(node.term)
            elif isinstance(node, Binary) and node.operator in ("==", "!=", "=", *_ORDERED):
                for one, other in ((node.left, node.right), (node.right, node.left)):
                    self._pair(one, [other], exactly, ordered=node.operator in _ORDERED)
            elif isinstance(node, Member) and isinstance(node.collection, Array | Set):
                self._pair(node.items[-1], node.collection.items, exactly)
            elif isinstance(node, Member) and node.collection in self._places:
                self._holds(node.collection, node.items)
            elif isinstance(node, Call) and len(node.args) == 2 and ".".join(node.name) in _COMPARED:
                self._pair(node.args[0], node.args[1:], _COMPARED[".".join(node.name)])
            elif isinstance(node, Call) and node.name == ("glob", "match"):
                self._glob(node)
            elif isinstance(node, Call) and ".".join(node.name) in TIMED_BUILTINS:
                self._constants.approximate.add(_COMPUTES.format(".".join(node.name)))
            elif isinstance(node, Call) and node.name == ("net", "cidr_contains"):
                self._taken.update(node.args)
                self._constants.addresses |= {text for one in node.args if (text := self._string(one)) is not None}
                block, place = node.args
                if self._string(block) is not None and self._places.get(place) in ADDRESSES:
                    self._understood.add(place)
        self._rest(rule)
        for node in parts_of(rule):
            path = self._places.get(node)
            if path is None:
                continue
            self._constants.workloads |= path[: len(SOURCE)] == SOURCE and path[len(SOURCE) :][:1] not in _IDENTIFYING
            if node not in self._understood:
                self._computed(path)

    def _string(self, node: Node) -> str | None:
        """A text that stands as such in the module, and is no name behind a dot."""
        quoted = isinstance(node, Scalar) and self._text[node.start] in '"`'
        return node.value if quoted and isinstance(node, Scalar) and isinstance(node.value, str) else None

    def _pair(
        self, place: Node, values: Sequence[Node], pattern: Callable[[str], Pattern], *, ordered: bool = False
    ) -> None:
        """Take note that what stands at a place in the input is compared with constants."""
        path = self._places.get(place)
        if path is None:
            return
        exact = place not in self._following
        for value in values:
            if isinstance(value, Scalar):
                self._taken.add(value)
                self._compared(path, value.value, pattern)
                exact &= self._is_exact(path, value.value, pattern, ordered=ordered)
            else:
                exact = False
        if exact:
            self._understood.add(place)

    def _is_exact(self, path: Path, value: object, pattern: Callable[[str], Pattern], *, ordered: bool) -> bool:
        """Whether classes follow from what a place in the input is compared with."""
        constants, numeric = self._constants, type(value) is int
        if path[: len(MESHSIM) + 1] == (*MESHSIM, "claims"):
            claim = path[len(MESHSIM) + 1 :]
            if ordered and isinstance(value, int) and numeric:
                constants.add_claims([claim], [value - 0.5, value + 0.5])
            elif isinstance(value, str) and pattern is not exactly:
                constants.claim_texts.setdefault(claim, set()).add(pattern(value))
                constants.add_claims([claim], [True])  # of what is no text nothing comes of that, not even false
            return bool(claim) and value is not None and (numeric or not (ordered or isinstance(value, float)))
        if path in NUMBERS:
            return numeric
        if ordered or not isinstance(value, str):
            return False
        if path in IDENTITY:
            before, behind = IDENTITY[path]
            constants.principal_patterns.add(Pattern((*before, *pattern(value).pieces, *behind)))
            if behind or before:  # an identity that is no service account's has neither
                constants.principal_patterns.add(Pattern((*before, SEGMENT, *behind)))
        elif path in TARGET:
            constants.targets.add(pattern(value))
        elif path in ADDRESSES:
            return pattern is exactly
        elif path in LISTED and pattern is not exactly:
            whole: dict[Callable[[str], Pattern], str] = {prefix: f"{value}*", suffix: f"*{value}"}
            constants.name_patterns.add(whole.get(pattern, ""))
        known = path in (*IDENTITY, *TARGET, *LISTED, *METHOD, *KNOWN) or TEXTS.get(path) == "host"
        return known or _field_of(path) is not None

    def _there(self, place: Node) -> None:
        """Take note that a condition is that something is there, and not false."""
        path = self._places[place]
        claim = path[len(MESHSIM) + 1 :] if path[: len(MESHSIM) + 1] == (*MESHSIM, "claims") else ()
        name = _field_of(path)
        if name is not None:
            self._constants.add_text([name], ())
        elif claim:
            self._constants.add_claims([claim], [True, False, OTHER_CLAIM])
        elif path in IDENTITY:
            before, behind = IDENTITY[path]
            self._constants.principal_patterns.add(Pattern((*before, SEGMENT if behind else ANY, *behind)))
        if (name or claim or path in IDENTITY) and place not in self._following:
            self._understood.add(place)

    def _computed(self, path: Path) -> None:
        """Take note that a place is read in a way of which nothing is known."""
        constants = self._constants
        if any(path[: len(one)] == one for one in SETTLED):
            return
        if path in LISTED:
            constants.name_patterns.add("")  # each name by itself
        elif path in METHOD:
            constants.names.update(METHODS)
        elif path in KNOWN:
            constants.add_text([TEXTS[path]], map(exactly, KNOWN[path]))
        else:
            constants.approximate.add(_COMPUTES.format(".".join(path)))

    def _glob(self, call: Call) -> None:
        """Take note of a pattern in which a star stands for characters of one segment, and two for any."""
        pattern, delimiters, place = call.args
        text = self._string(pattern)
        items = delimiters.items if isinstance(delimiters, Array) else ()
        if text is None or [self._string(one) for one in items] != ["/"] or not stars_of(text):
            return
        self._taken.update(items)
        for stars in stars_of(text):
            self._pair(place, [pattern], partial(globbed, stars=stars))

    def _holds(self, place: Node, items: Sequence[Node]) -> None:
        """Take note that a list in the input is looked through for a constant."""
        path, item, depth = self._places[place], items[-1], len(MESHSIM) + 1
        if isinstance(item, Scalar) and path[:depth] == (*MESHSIM, "claims"):
            claim = path[depth:]
            self._taken.add(item)
            self._constants.add_claims([claim], [(), (item.value,), (OTHER_CLAIM,)])
            if isinstance(item.value, str) and claim and len(items) == 1 and place not in self._following:
                self._constants.claim_texts.setdefault(claim, set()).add(exactly(item.value))
                self._constants.listed_claims.add(claim)
                self._understood.add(place)

    def _compared(self, path: Path, value: object, pattern: Callable[[str], Pattern]) -> None:
        constants = self._constants
        if path[: len(MESHSIM) + 1] == (*MESHSIM, "claims"):
            near = (value - 1, value, value + 1) if type(value) is int else (value,)
            constants.add_claims([path[len(MESHSIM) + 1 :]], [*near, OTHER_CLAIM])
        elif path in NUMBERS and isinstance(value, int | float):
            attribute, unit = NUMBERS[path]
            constants.add_numbers([attribute], [int(value) // unit])
        elif isinstance(value, str):
            if name := _field_of(path):
                constants.add_text([name], [pattern(value)])
            self._named(value)
            if path in METHOD and value not in METHODS:
                self._constants.names.update(METHODS)  # part of a method: each by itself
            for place, attribute in TEXTS.items():
                if path[: len(place)] == place:
                    segment = place[1] == "parsed_path"
                    constants.add_text([attribute], segments(value) if segment else [pattern(value)])

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
                    if path in TEXTS or path in NUMBERS or path[: len(HTTP) + 1] == (*HTTP, "headers"):
                        self._compared(path, node.value, exactly)


def _field_of(path: Path) -> str | None:
    """The header field that is read at a place in the input; None if none is."""
    above = (*HTTP, "headers")
    is_field = len(path) == len(above) + 1 and path[: len(above)] == above and path[-1][:1] not in ("", ":")
    return header(path[-1]) if is_field else None


def _is_address(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True
