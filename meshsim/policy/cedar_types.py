"""Where in a policy the types do not fit.

The Cedar validator says which types do not fit, but not where. Whatever has the type of the complaint is replaced by
something of the other type, one at a time: what makes a complaint go away was the cause of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from meshsim.policy.cedar_text import PolicyText, Token
from meshsim.policy.cedar_vocabulary import paths
from meshsim.scenario.errors import Diagnostic

MOST_PROBED = 100
"""Operands of one policy that are tried; past these the policy as a whole is named."""

_STAND_INS = {
    "Long": "0",
    "Bool": "context.mutual",
    "String": '""',
    "Set": "[0]",
    "datetime": 'datetime("2026-01-01")',
    "duration": 'duration("1s")',
    "ipaddr": 'ip("10.0.0.1")',
}
_OPERATORS = ("==", "!=", "in", "<", "<=", ">", ">=", "+", "-", "*")


class _Operand(NamedTuple):
    """An attribute of a request, or a literal."""

    first: int
    """Index of its first token, and of its last."""
    last: int


def misfits(policy: PolicyText, message: str, complaints: Callable[[str], list[str]]) -> list[Diagnostic]:
    """A diagnostic at each operand that the validator's ``message`` is about; empty if they cannot be told.

    ``complaints`` is what the validator says of a policy text.
    """
    if found := re.fullmatch(r"unexpected type: expected (.+) but saw ([A-Za-z]+)(?:<.*)?", message):
        wanted = re.sub("<.*>", "", found[1])
        names = [name for name in re.split(r", or |, | or ", wanted) if name in _STAND_INS]
        hits = list(_hits(policy, message, names[:1], complaints))
        right = f"is {_a(found[2])}; expected {_a(wanted)}"
        return [policy.at(policy.tokens[hit.first], f"`{_words(policy, hit)}` {right} here") for hit in hits]
    if found := re.fullmatch(r"the types ([A-Za-z]+)\S* and ([A-Za-z]+)\S* are not compatible", message):
        both = list(_hits(policy, message, [found[1], found[2]], complaints))
        # where both sides are operands, to change either is enough
        joined = zip([None, *both], both, strict=False)
        hits = [hit for before, hit in joined if before is None or not _compared(policy, before, hit)]
        kinds = (found[1], found[2])
        return [policy.at(policy.tokens[hit.first], _unlike(policy, hit, kinds, message)) for hit in hits]
    return []


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "AEIOUaeiou" else f"a {kind}"


def _compared(policy: PolicyText, one: _Operand, other: _Operand) -> bool:
    between = policy.tokens[one.last + 1 : other.first]
    return len(between) == 1 and between[0].text in _OPERATORS


def _unlike(policy: PolicyText, hit: _Operand, kinds: tuple[str, str], message: str) -> str:
    """What is said of a comparison of unlike things that begins with ``hit``."""
    rest = policy.tokens[hit.last + 1 : hit.last + 3]
    entity = next((kind for kind in kinds if kind not in _STAND_INS), None)
    if entity is not None and len(rest) == 2 and rest[0].text in _OPERATORS and rest[1].kind == "string":
        return f"`{_words(policy, hit)}`: {message}; write {entity}::{rest[1].text}"
    return f"`{_words(policy, hit)}`: {message}"


def _words(policy: PolicyText, operand: _Operand) -> str:
    return "".join(token.text for token in policy.tokens[operand.first : operand.last + 1])


def _hits(
    policy: PolicyText, message: str, kinds: list[str], complaints: Callable[[str], list[str]]
) -> Iterator[_Operand]:
    """The operands without which the validator has one complaint less."""
    operands = list(_operands(policy.tokens))
    if len(operands) > MOST_PROBED:
        return
    before = complaints(policy.text).count(message)
    for operand in operands:
        for kind in kinds:
            stand_in = _STAND_INS.get(kind, f'{kind}::"x"')
            text = _replaced(policy, operand, stand_in)
            said = complaints(text)
            if said.count(message) < before and not any("parse error" in one for one in said):
                yield operand
                break


def _replaced(policy: PolicyText, operand: _Operand, stand_in: str) -> str:
    start = policy.tokens[0].start
    first, last = policy.tokens[operand.first], policy.tokens[operand.last]
    return policy.text[: first.start - start] + stand_in + policy.text[last.end - start :]


def _operands(tokens: tuple[Token, ...]) -> Iterator[_Operand]:
    """Attributes and literals in the conditions of a policy."""
    begin = next((index for index, token in enumerate(tokens) if token.text in ("when", "unless")), len(tokens))
    attributes = {path.first: path.last for path in paths(tokens) if not path.tested and path.last > path.first}
    for index in range(begin, len(tokens) - 1):
        token, before = tokens[index], tokens[index - 1].text
        if index in attributes:
            yield _Operand(index, attributes[index])
        literal = token.kind in ("string", "number") or token.text in ("true", "false")
        if literal and before not in ("::", "like", "has", "."):
            yield _Operand(index, index)
