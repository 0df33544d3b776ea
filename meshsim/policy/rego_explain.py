"""Why the rules of Rego modules match a question or do not, by asking the real engine about each of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from meshsim.policy.question import RuleAccount
from meshsim.policy.rego_native import Answer
from meshsim.policy.rego_rules import DecidingRule, failed_at
from meshsim.policy.rego_syntax import Literal, Ref, Scalar, Var, within

LONGEST_VALUE = 60
"""Characters of a value that is told."""


def matching(rules: Sequence[DecidingRule], found: Mapping[str, Any]) -> list[DecidingRule]:
    """The rules that matched: of a chain with ``else`` the first alone."""
    matched: dict[int, DecidingRule] = {}
    for rule in rules:
        if str(rule.number) in found:
            matched.setdefault(rule.chain, rule)
    return list(matched.values())


def accounts(rules: Sequence[DecidingRule], answer: Answer, document: Mapping[str, Any]) -> tuple[RuleAccount, ...]:
    """What became of each rule, by the answer of the probes."""
    found = answer.value or {}
    matched = matching(rules, found)
    told = []
    for rule in rules:
        if answer.error:
            why = f"it failed: {answer.error}"
        elif rule.default:
            why = f"{matched[0].name} matches" if matched else ""
        elif rule in matched:
            why = ""
        elif str(rule.number) in found:
            why = "a rule before its else matches"
        else:
            why = _why(rule, found, document)
        told.append(RuleAccount(rule.name, rule.place, rule.effect, not why, why))
    return tuple(told)


def _why(rule: DecidingRule, found: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    literal = failed_at(rule, found)
    if literal is None:
        return "its value is not defined"
    text = " ".join(rule.module.file.text[literal.start : literal.end].split())
    values = _values(rule, literal, document)
    return f"`{text}` does not hold" + (f": {values}" if values else "")


def _values(rule: DecidingRule, literal: Literal, document: Mapping[str, Any]) -> str:
    """What the input has where a condition looks."""
    aliases = {one.name: one.path for one in rule.module.imports if one.path[0] == "input"}
    told: dict[str, str] = {}
    for node in within(literal):
        head, path = (node.head, node.path) if isinstance(node, Ref) else (node, ())
        if not isinstance(head, Var) or (head.name != "input" and head.name not in aliases):
            continue
        names = [part.value for part in path if isinstance(part, Scalar)]
        if len(names) == len(path):
            shown = rule.module.file.text[node.start : node.end]
            if not any(other.startswith(shown) for other in told):
                told[shown] = _shown(document, (*aliases.get(head.name, ("input",))[1:], *names))
    return ", ".join(f"{shown} is {value}" for shown, value in told.items())


def _shown(document: Any, path: Sequence[Any]) -> str:
    for name in path:
        if (isinstance(document, Mapping) and name in document) or (
            isinstance(document, list) and type(name) is int and 0 <= name < len(document)
        ):
            document = document[name]
        else:
            return "undefined"
    text = json.dumps(document, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
