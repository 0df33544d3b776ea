"""Everything that is wrong with a set of Rego modules, with its place."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from meshsim.policy.engine import Directory, PolicyFile
from meshsim.policy.rego_builtins import ARITY, SHIMS_PACKAGE, TIMED_BUILTINS
from meshsim.policy.rego_data import read_data
from meshsim.policy.rego_input import INPUT, Tree, everything_in
from meshsim.policy.rego_names import unknown_names
from meshsim.policy.rego_parser import parse
from meshsim.policy.rego_scope import Called, Use, Uses
from meshsim.policy.rego_syntax import Array, Module, Object, Rule, Scalar, Set
from meshsim.policy.rego_tokens import Stop, diagnose
from meshsim.scenario.errors import Diagnostic

DECISION_KEYS = ("allowed", "headers", "http_status", "body")
"""What a decision that is an object can say, as far as a simulation has a use for it."""

Path = tuple[str, ...]


class Checked(NamedTuple):
    """Policy files after the check."""

    modules: list[Module]
    documents: dict[str, Any]
    """What the JSON files hold, merged."""
    calls: dict[Module, list[Called]]
    """Every call of a function, by the module that it stands in."""
    siblings: dict[Path, frozenset[str]]
    """First names of the rules of each package."""
    reads: frozenset[str]
    """Attributes of the question that the modules depend on."""
    mistakes: list[Diagnostic]


class _Program:
    """All modules together."""

    def __init__(
        self, modules: Sequence[Module], documents: Mapping[str, Any], query: Path, directory: Directory
    ) -> None:
        self.modules = modules
        self.documents = documents
        self.query = query
        self.directory = directory
        self.rules: dict[Path, list[Rule]] = {}
        self.siblings: dict[Path, frozenset[str]] = {}
        for module in modules:
            names = {rule.name.name for rule in module.rules}
            self.siblings[module.package] = self.siblings.get(module.package, frozenset()) | names
            for rule in module.rules:
                self.rules.setdefault(("data", *module.package, *rule.names), []).append(rule)
        self.calls: dict[Module, list[Called]] = {module: [] for module in modules}
        self.reads: frozenset[str] = frozenset()
        self.edges: dict[Path, dict[Path, None]] = {}

    def check(self, module: Module) -> list[Diagnostic]:
        """What is wrong with one module, once its syntax is right."""
        mistakes: list[Stop] = []
        if module.package[0] == SHIMS_PACKAGE:
            mistakes.append(Stop(0, f"the package {SHIMS_PACKAGE} is the simulator's own; name yours otherwise"))
        for rule in module.rules:
            uses = Uses(module, self.siblings[module.package])
            uses.rule(rule)
            path = ("data", *module.package, *rule.names)
            targets = self.edges.setdefault(path, {})
            for use in uses.uses:
                if use.path[0] == "input":
                    mistakes += self._input(use)
                else:
                    mistakes += self._data(use, targets)
            for call in uses.calls:
                mistakes += self._call(call, targets)
            self.calls[module] += uses.calls
            mistakes += {(one.offset, one.message): one for one in uses.mistakes}.values()
            mistakes += unknown_names(rule, uses.uses, self.directory)
            if path == self.query:
                mistakes += _decisions(rule)
        return [diagnose(module.file, stop.offset, stop.message) for stop in mistakes]

    def _input(self, use: Use) -> list[Stop]:
        tree: Tree | frozenset[str] = INPUT
        for depth, key in enumerate(use.path[1:], 2):
            if isinstance(tree, frozenset):
                break
            below = tree.get(key, tree.get("*"))
            if below is None:
                near = difflib.get_close_matches(key, tree, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(tree)}"
                return [Stop(use.node.start, f"`{'.'.join(use.path[:depth])}` is not in the input; {hint}")]
            tree = below
        self.reads |= everything_in(tree)
        return []

    def _data(self, use: Use, targets: dict[Path, None]) -> list[Stop]:
        found = [path for path in self.rules if path[: len(use.path)] == use.path or use.path[: len(path)] == path]
        targets.update(dict.fromkeys(found))
        if found or _holds(self.documents, use.path[1:]):
            return []
        known = [".".join(path) for path in self.rules]
        name = ".".join(use.path)
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        return [Stop(use.node.start, f"no file defines `{name}`{hint}")]

    def _call(self, call: Called, targets: dict[Path, None]) -> list[Stop]:
        given, name = len(call.node.args), ".".join(call.path)
        if call.builtin:
            wanted = {ARITY[name]}
            if name in TIMED_BUILTINS:
                self.reads |= {"time_s"}
        else:
            rules = self.rules.get(call.path, [])
            wanted = {len(rule.args) for rule in rules if rule.args is not None}
            targets[call.path] = None
            if not wanted:
                what = "is a rule and no function" if rules else "is defined by no file"
                return [Stop(call.node.start, f"`{'.'.join(call.node.name)}` {what}")]
        if given in wanted or given - 1 in wanted:  # the result may stand behind the arguments
            return []
        number = " or ".join(str(one) for one in sorted(wanted))
        message = f"`{'.'.join(call.node.name)}` takes {number} argument{'' if number == '1' else 's'}, not {given}"
        return [Stop(call.node.start, message)]

    def circles(self) -> list[Diagnostic]:
        """Rules that need themselves."""
        state: dict[Path, int] = {}
        mistakes: list[Diagnostic] = []
        places = {path: (module, rule) for module in self.modules for path, rule in self._paths(module)}
        for start in self.edges:
            stack: list[tuple[Path, list[Path]]] = [] if start in state else [(start, list(self.edges[start]))]
            state.setdefault(start, 1)
            while stack:
                path, targets = stack[-1]
                if not targets:
                    state[path] = 2
                    stack.pop()
                    continue
                target = targets.pop(0)
                if state.get(target) == 1:
                    names = [one for one, _ in stack]
                    circle = [*names[names.index(target) :], target]
                    module, rule = places[target]
                    shown = " -> ".join(one[-1] for one in circle)
                    message = f"this rule needs itself ({shown}); expected rules that do not run in a circle"
                    mistakes.append(diagnose(module.file, rule.start, message))
                elif target not in state:
                    state[target] = 1
                    stack.append((target, list(self.edges.get(target, ()))))
        return mistakes

    def _paths(self, module: Module) -> list[tuple[Path, Rule]]:
        return [(("data", *module.package, *rule.names), rule) for rule in reversed(module.rules)]


def check(files: Sequence[PolicyFile], query: str, directory: Directory) -> Checked:
    """Check policy files, and find every mistake in them."""
    modules: list[Module] = []
    documents: dict[str, Any] = {}
    mistakes: list[Diagnostic] = []
    for file in files:
        if file.name.endswith(".json"):
            mistakes += read_data(file, documents)
            continue
        module, wrong = parse(file)
        mistakes += wrong
        if module is not None:
            modules.append(module)
    asked = tuple(query.split("."))
    program = _Program(modules, documents, asked, directory)
    whole = not mistakes
    for module in modules:
        mistakes += [one for one in program.check(module) if whole or "defined by no file" not in one.message]
    mistakes += program.circles()
    if whole and files and asked not in program.rules:
        mistakes.append(_undefined(query, program, files))
    order = {file.place: number for number, file in enumerate(files)}
    mistakes.sort(key=lambda one: (order.get(one.file, 0), one.line, one.column))
    return Checked(modules, documents, program.calls, program.siblings, program.reads, mistakes)


def uses_of(modules: Sequence[Module]) -> list[Use]:
    """Everything global that modules use, whose mistakes are told elsewhere."""
    found: list[Use] = []
    for module in modules:
        siblings = {rule.name.name for other in modules if other.package == module.package for rule in other.rules}
        uses = Uses(module, frozenset(siblings))
        for rule in module.rules:
            uses.rule(rule)
        found += uses.uses
    return found


def _holds(documents: Any, path: Path) -> bool:
    for name in path:
        if not isinstance(documents, dict):
            return True
        if name not in documents:
            return False
        documents = documents[name]
    return bool(path) or bool(documents)  # whatever stands there, though it be false, 0 or empty


def _decisions(rule: Rule) -> list[Stop]:
    """What is wrong with a rule that decides."""
    name = rule.name.name
    if rule.args is not None or rule.member is not None:
        what = "a function" if rule.args is not None else "a set"
        return [Stop(rule.start, f"`{name}` decides, and is {what} here; write `{name} if ...`")]
    mistakes = []
    for branch in rule.branches:
        value = branch.value
        if isinstance(value, Object):
            for key, _ in value.pairs:
                if isinstance(key, Scalar) and key.value not in DECISION_KEYS:
                    message = f"a decision's {key.value!r} is not simulated; expected {', '.join(DECISION_KEYS)}"
                    mistakes.append(Stop(key.start, message))
        elif (isinstance(value, Scalar) and not isinstance(value.value, bool)) or isinstance(value, Array | Set):
            mistakes.append(Stop(value.start, 'this is no decision; expected true, false or {"allowed": ...}'))
    return mistakes


def _undefined(query: str, program: _Program, files: Sequence[PolicyFile]) -> Diagnostic:
    known = [".".join(path) for path in program.rules]
    near = difflib.get_close_matches(query, known, 1, 0.5)
    hint = f"did you mean `{near[0]}` (mesh.policy.rego.query)?" if near else "write that rule, or name another"
    return Diagnostic(files[0].place, 0, 0, f"no file defines `{query}`, which decides; {hint}")
