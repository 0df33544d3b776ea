"""Which attributes of a request a set of Cedar policies speaks of.

Header fields, labels and claims have names of the user's own, and Cedar's records have fixed ones. So the schema that
policies are checked against declares just those that the policies name, each optional, as it may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from meshsim.policy.cedar_text import PolicyText, Token
from meshsim.policy.question import EXTRA_ATTRIBUTES

QUESTION_ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{name: name for name in EXTRA_ATTRIBUTES - {"certificate_age_s", "time_s"}},
        "certificate_age": "certificate_age_s",
        "time": "time_s",
    }
)
"""Attribute of the context → attribute of the question that it is filled from; the others are always there."""

_KNOWN_CLAIMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("iss", "sub", "jti", "scope"), "String"),
        "aud": "Set<String>",
        **dict.fromkeys(("exp", "nbf", "iat"), "Long"),
    }
)
"""Types of the registered claims (RFC 7519, section 4.1; ``scope`` RFC 8693, section 4.2)."""

_SET_METHODS = ("contains", "containsAll", "containsAny", "isEmpty")
_BOUNDARIES = ("&&", "||", "!", "(", ")", "{", "}", "then", "else", "if")

Claims = dict[str, "str | Claims"]
"""Name of a claim → its type in Cedar, or the claims inside it."""


class Path(NamedTuple):
    """An attribute that a policy speaks of: ``context.headers["x"]`` is context, headers, x."""

    names: tuple[str, ...]
    first: int
    """Index of its first token, and of its last."""
    last: int
    tested: bool
    """Whether it only says that the attribute is there (``has``)."""


class Vocabulary(msgspec.Struct, frozen=True):
    """The names that policies use."""

    reads: frozenset[str]
    """Attributes of the question."""
    headers: tuple[str, ...]
    labels: tuple[str, ...]
    claims: Claims

    def complete(self, schema: str) -> str:
        """The text of the schema with the types whose attributes are the user's own filled in."""
        labels = _record(dict.fromkeys(self.labels, "String"))
        headers = _record(dict.fromkeys(self.headers, "String"))
        for name, record in (("Labels", labels), ("Headers", headers), ("Claims", _record(self.claims))):
            assert f"type {name} = {{}};" in schema
            schema = schema.replace(f"type {name} = {{}};", f"type {name} = {record};")
        return schema


def vocabulary(policies: Iterable[PolicyText]) -> Vocabulary:
    """The names that policies use, which the parser must have accepted."""
    reads: set[str] = set()
    headers: dict[str, None] = {}
    labels: dict[str, None] = {}
    claims: Claims = {}
    for policy in policies:
        for path in paths(policy.tokens):
            variable, *names = path.names
            if variable != "context":
                if names[:1] == ["labels"]:
                    labels.update(dict.fromkeys(names[1:2]))
            elif not names:
                reads |= EXTRA_ATTRIBUTES  # the context as a whole
            else:
                if names[0] in QUESTION_ATTRIBUTES:
                    reads.add(QUESTION_ATTRIBUTES[names[0]])
                if names[0] == "headers":
                    headers.update(dict.fromkeys(names[1:2]))
                if names[0] == "claims" and len(names) > 1:
                    _declare(claims, names[1:], _type_of(policy.tokens, path))
    return Vocabulary(frozenset(reads), tuple(headers), tuple(labels), _settled(claims))


def paths(tokens: tuple[Token, ...]) -> Iterator[Path]:
    """Each use of the context, the principal or the resource in a policy."""
    for first, token in enumerate(tokens):
        if token.text not in ("context", "principal", "resource") or (first and tokens[first - 1].text == "."):
            continue
        names, last, tested = [token.text], first, False
        while (step := _step(tokens, last + 1)) is not None:
            names.append(step[0])
            last = step[1]
        if last + 2 < len(tokens) and tokens[last + 1].text == "has":
            last, tested = last + 2, True
            names.append(tokens[last].text.strip('"'))
            while tokens[last].kind == "word" and (step := _step(tokens, last + 1)) is not None:
                names.append(step[0])
                last = step[1]
        yield Path(tuple(names), first, last, tested)


def _step(tokens: tuple[Token, ...], index: int) -> tuple[str, int] | None:
    """An attribute name that begins at ``index`` with a dot or bracket, and the index of its last token."""
    after = tokens[index : index + 3]
    if len(after) < 3:
        return None
    if after[0].text == "." and after[1].kind == "word" and after[2].text != "(":
        return after[1].text, index + 1
    if after[0].text == "[" and after[1].kind == "string" and after[2].text == "]":
        return after[1].text[1:-1], index + 2
    return None


def _type_of(tokens: tuple[Token, ...], path: Path) -> str:
    """The type of a claim, told by what is done with it; empty if nothing tells."""
    before = [token.text for token in tokens[max(path.first - 2, 0) : path.first]]
    after = tokens[path.last + 1 : path.last + 3]
    if path.tested or len(after) < 2:
        return ""
    operator, operand = after[0].text, after[1]
    if operator == "." and operand.text in _SET_METHODS:
        return "Set<String>"
    if operator in ("<", "<=", ">", ">="):
        return "Long"
    if operator in ("==", "!="):
        return _literal(operand.text)
    if len(before) == 2 and before[1] in ("==", "!=", "<", "<=", ">", ">="):
        return _literal(before[0])
    if operator in _BOUNDARIES and before[-1] in _BOUNDARIES:
        return "Bool"
    return "String"


def _literal(text: str) -> str:
    if text.isdecimal():
        return "Long"
    return "Bool" if text in ("true", "false") else "String"


def _declare(claims: Claims, names: list[str], kind: str) -> None:
    for name in names[:-1]:
        inner = claims.get(name)
        if not isinstance(inner, dict):
            inner = claims[name] = {}
        claims = inner
    if not claims.get(names[-1]):
        claims[names[-1]] = _KNOWN_CLAIMS.get(names[-1], kind)


def _settled(claims: Claims) -> Claims:
    """Claims of which nothing tells the type are text."""
    return {name: _settled(kind) if isinstance(kind, dict) else kind or "String" for name, kind in claims.items()}


def _record(attributes: Mapping[str, str | Claims]) -> str:
    declared = []
    for name, kind in attributes.items():
        if re.fullmatch(r'[^"\\\x00-\x1f]{1,1000}', name):  # the others stay unknown to the validator
            declared.append(f'"{name}"?: {kind if isinstance(kind, str) else _record(kind)}')
    return f"{{ {', '.join(declared)} }}" if declared else "{}"
