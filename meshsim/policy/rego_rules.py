"""The rules that decide, by the names that decisions use, and how the engine is asked about each of them.

For each body of such a rule the module gets a further rule, with the same body, that gives what the body gives: asking
for all of these tells which bodies matched. To tell why one did not, there is one more for each of its beginnings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from meshsim.policy.rego_builtins import SHIMS, SHIMS_PACKAGE
from meshsim.policy.rego_rewrite import Rewritten
from meshsim.policy.rego_scope import Called, Uses
from meshsim.policy.rego_syntax import Body, Branch, Literal, Module, Object, Scalar
from meshsim.policy.rego_tokens import place_of

PROBES_PACKAGE = "meshsim_probes"
_PROBE = "meshsim_probe"


class DecidingRule(msgspec.Struct, frozen=True, eq=False):
    """One body of a rule that decides, or its default."""

    number: int
    """Counts them in the order of the files."""
    name: str
    """``envoy.authz.allow@file:line``."""
    place: str
    """``file:line:column``."""
    module: Module
    branch: Branch
    default: bool
    chain: int
    """Of the bodies with the same number here, the first that matches counts (``else``)."""
    effect: str
    steps: tuple[int, ...]
    """Lengths of the beginnings of its body that can be asked by themselves."""


def deciding_rules(
    modules: Sequence[Module], siblings: Mapping[tuple[str, ...], frozenset[str]], query: tuple[str, ...]
) -> tuple[DecidingRule, ...]:
    """The rules of the document that is asked for."""
    found: list[tuple[Module, Branch, bool, int]] = []
    chain = 0
    for module in modules:
        for rule in module.rules:
            if ("data", *module.package, *rule.names) == query:
                for branch in rule.branches:
                    chain += not branch.otherwise
                    found.append((module, branch, rule.default, chain))
    places = [place_of(module.file.text, branch.start) for module, branch, _, _ in found]
    lines = [(module.file.name, line) for (module, *_), (line, _) in zip(found, places, strict=True)]
    rules = []
    for number, ((module, branch, default, chain), (line, column)) in enumerate(zip(found, places, strict=True)):
        alone = lines.count((module.file.name, line)) == 1
        at = f"{module.file.name}:{line}" if alone else f"{module.file.name}:{line}:{column}"
        name = f"{'.'.join(query[1:])}@{at}"
        place = f"{module.file.place}:{line}:{column}"
        steps = _steps(module, branch.body, siblings[module.package])
        rules.append(DecidingRule(number, name, place, module, branch, default, chain, _effect(branch), steps))
    return tuple(rules)


def _effect(branch: Branch) -> str:
    value = branch.value
    if isinstance(value, Object):
        pairs = [one for key, one in value.pairs if isinstance(key, Scalar) and key.value == "allowed"]
        value = pairs[0] if pairs else None
    return "deny" if isinstance(value, Scalar) and value.value is False else "allow"


def plain_modules(modules: Sequence[Module], calls: Mapping[Module, Sequence[Called]]) -> dict[str, str]:
    """The texts that decide."""
    texts = {f"m{number}": Rewritten(module, calls[module]).whole for number, module in enumerate(modules)}
    return texts | {SHIMS_PACKAGE: SHIMS}


def probing_modules(
    modules: Sequence[Module],
    calls: Mapping[Module, Sequence[Called]],
    rules: Sequence[DecidingRule],
    *,
    steps: bool,
) -> dict[str, str]:
    """The texts with a probe for each rule; with ``steps``, for each beginning of its body too."""
    texts: dict[str, str] = {}
    found = [f"package {PROBES_PACKAGE}\n"]
    for number, module in enumerate(modules):
        rewritten = Rewritten(module, calls[module])
        added: list[str] = []
        for rule in rules:
            if rule.module is module and not rule.default:
                for key, probe in _probes(rule, rewritten, steps=steps):
                    added.append(probe)
                    path = "".join(f'["{part}"]' for part in (*module.package, f"{_PROBE}_{key}"))
                    found.append(f'found["{key}"] := data{path}\n')
        texts[f"m{number}"] = "\n".join([rewritten.whole, *added])
    return texts | {SHIMS_PACKAGE: SHIMS, PROBES_PACKAGE: "\n".join(found)}


def _probes(rule: DecidingRule, rewritten: Rewritten, *, steps: bool) -> Iterable[tuple[str, str]]:
    branch = rule.branch
    value = "true" if branch.value is None else rewritten.part(branch.value.start, branch.value.end)
    head = f"{_PROBE}_{rule.number} := [{value}]"
    body = rewritten.part(branch.body_start, branch.body_end)
    yield str(rule.number), f"{head} if {{\n{body}\n}}\n" if branch.body else f"{head}\n"
    for count in rule.steps if steps else ():
        body = rewritten.part(branch.body_start, branch.body[count - 1].end)
        key = f"{rule.number}_{count}"
        yield key, f"{_PROBE}_{key} := [true] if {{\n{body}\n}}\n"


def failed_at(rule: DecidingRule, found: Mapping[str, object]) -> Literal | None:
    """The first condition of a rule that did not hold; None for a rule without any."""
    body = rule.branch.body
    for count in rule.steps:
        if f"{rule.number}_{count}" not in found:
            return body[count - 1]
    return body[-1] if body else None


def _steps(module: Module, body: Body, siblings: frozenset[str]) -> tuple[int, ...]:
    """The lengths of those beginnings of a body in which everything that is used gets its value."""
    whole = []
    for count in range(1, len(body)):
        uses = Uses(module, siblings)
        uses.body(body[:count], set())
        if not uses.mistakes:
            whole.append(count)
    return tuple(whole)
