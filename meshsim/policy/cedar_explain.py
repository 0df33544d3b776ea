"""Why a Cedar policy matches a question or does not, by asking the real engine about its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cedarpy

from meshsim.policy.cedar_text import PolicyText, Token
from meshsim.policy.question import Question, RuleAccount

Ask = Callable[[cedarpy.PolicySet], cedarpy.AuthzResult]
"""Asks the engine the question at hand of a set of policies."""

_OPEN = ("principal", "action", "resource")
"""A scope that every request is in."""


def account(policy: PolicyText, rule: str, question: Question, ask: Ask) -> RuleAccount:
    """What became of one policy: the engine is asked about it alone, and then about each part that may be why."""
    begin = policy.at(policy.tokens[0], "")
    place = f"{begin.file}:{begin.line}:{begin.column}"
    effect = next("allow" if token.text == "permit" else "deny" for token in _effects(policy))
    answer = ask(cedarpy.PolicySet.from_str(policy.text))
    if answer.diagnostics.reasons:
        return RuleAccount(rule, place, effect, True, "")
    return RuleAccount(rule, place, effect, False, _why(policy, question, ask, answer))


def _effects(policy: PolicyText) -> Iterator[Token]:
    return (token for token in policy.tokens if token.text in ("permit", "forbid"))


def _why(policy: PolicyText, question: Question, ask: Ask, answer: cedarpy.AuthzResult) -> str:
    scope, conditions = _parts(policy)
    found = (question.principal or "unauthenticated", question.method, question.destination)
    for index, constraint in enumerate(scope):
        constraints = [*_OPEN]
        constraints[index] = constraint
        if not ask(_policies(f"permit ({', '.join(constraints)});")).diagnostics.reasons:
            return f"`{constraint}`: the {_OPEN[index]} is {found[index]}"
    if answer.diagnostics.errors:
        return f"it failed: {answer.diagnostics.errors[0].partition(': ')[2]}"
    for condition in conditions:
        if not ask(_policies(f"permit ({', '.join(_OPEN)}) {condition};")).diagnostics.reasons:
            return f"`{' '.join(condition.split())}` does not hold"
    raise AssertionError(f"a policy matches when its scope and conditions do, but not {policy.text!r}")


def _policies(text: str) -> cedarpy.PolicySet:
    return cedarpy.PolicySet.from_str(text)


def _parts(policy: PolicyText) -> tuple[list[str], list[str]]:
    """The three constraints of the scope, and each ``when {…}`` or ``unless {…}``."""
    tokens = policy.tokens
    start = next(index for index, token in enumerate(tokens) if token.text in ("permit", "forbid"))
    scope: list[str] = []
    conditions: list[str] = []
    depth, first = 0, start + 2
    for index in range(start + 1, len(tokens)):
        text = tokens[index].text
        if tokens[index].kind != "string":
            if depth == 1 and not conditions and len(scope) < len(_OPEN) and text in (",", ")"):
                if first < index:  # a comma may stand before the bracket
                    scope.append(_between(policy, first, index - 1))
                first = index + 1
            elif depth == 1 and text == "}":
                conditions.append(_between(policy, first, index))
                first = index + 1
            depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
    return scope, conditions


def _between(policy: PolicyText, first: int, last: int) -> str:
    return policy.file.text[policy.tokens[first].start : policy.tokens[last].end]
