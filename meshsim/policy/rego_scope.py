"""What the names in Rego modules stand for: variables, rules, imports, the input, functions."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meshsim.policy.rego_builtins import ARITY, NOT_IN_ENGINE, REFUSED
from meshsim.policy.rego_syntax import (
    Array,
    Binary,
    Body,
    Branch,
    Call,
    Comprehension,
    Every,
    Expression,
    Member,
    Module,
    Negative,
    Node,
    Object,
    Ref,
    Rule,
    Scalar,
    Set,
    Some,
    Term,
    Var,
)
from meshsim.policy.rego_tokens import Stop


class Use(NamedTuple):
    """A use of something global: ``input.a.b``, a rule, a document."""

    path: tuple[str, ...]
    """Begins with ``input`` or ``data``; as far as it is known beforehand."""
    open: bool
    """Whether more follows that is not known beforehand."""
    node: Node


class Called(NamedTuple):
    """A call of a function: of a rule by its full path, or of a built-in one by its name."""

    path: tuple[str, ...]
    builtin: bool
    node: Call


class Uses:
    """Goes through the rules of a module, and notes what they use and which names stand for nothing."""

    def __init__(self, module: Module, siblings: frozenset[str]) -> None:
        self._module = module
        self._siblings = siblings
        """First names of the rules of its package, in whichever file."""
        self._aliases: Mapping[str, tuple[str, ...]] = {
            one.name: one.path for one in module.imports if one.path[0] in ("input", "data")
        }
        self._later: frozenset[str] = frozenset()
        """Variables that have no value yet, but will."""
        self.uses: list[Use] = []
        self.calls: list[Called] = []
        self.mistakes: list[Stop] = []

    # Rules

    def rule(self, rule: Rule) -> None:
        """Go through one rule."""
        arguments: set[str] = set()
        for argument in rule.args or ():
            arguments |= self._pattern(argument, None)
        for branch in rule.branches:
            self._branch(rule, branch, arguments)

    def _branch(self, rule: Rule, branch: Branch, arguments: set[str]) -> None:
        scope = self.body(branch.body, arguments)
        for term in (*rule.path, *(rule.args or ()), rule.member, branch.value):
            self._term(term, scope)

    def _bound(self, body: Body) -> list[set[str]]:
        """The variables that each condition of a body gives values to."""
        each: list[set[str]] = []
        assigned: set[str] = set()
        own: set[str] = set()
        """Declared to be variables, whatever else their names stand for."""
        for literal in body:
            declared: set[str] = set()
            names: set[str] = set()
            if isinstance(literal, Some):
                for one in literal.names:
                    declared |= self._pattern(one, None)
                own |= declared
                self._outputs(literal.collection, names, own)
            elif isinstance(literal, Every):
                self._outputs(literal.collection, names, own)
            elif not literal.negated:
                term = literal.term
                if isinstance(term, Binary) and term.operator == ":=":
                    declared = self._pattern(term.left, None)
                self._outputs(term, names, own)
            for name in sorted(declared & assigned):
                self.mistakes.append(Stop(literal.start, f"`{name}` has a value already; use another name"))
            assigned |= declared
            waits = isinstance(literal, Some) and literal.collection is None
            each.append(names if waits else names | declared)
        return each

    def _pattern(self, term: Term, own: set[str] | None) -> set[str]:
        """The variables in a pattern; names of rules and imports are none, unless they are among the ``own``.

        With None, every name is a variable.
        """
        if isinstance(term, Var):
            known = own is not None and term.name not in own and self._is_global(term.name)
            return set() if known or term.name in ("_", "input", "data") else {term.name}
        inner: Iterable[Term] = ()
        if isinstance(term, Array | Set):
            inner = term.items
        elif isinstance(term, Object):
            inner = (value for _, value in term.pairs)
        return {name for one in inner for name in self._pattern(one, own)}

    def _is_global(self, name: str) -> bool:
        return name in self._siblings or name in self._aliases

    def _outputs(self, term: Term | None, names: set[str], own: set[str]) -> None:
        """Add the variables that a term gives values to: by ``=``, between brackets, as the result of a call."""
        waiting: list[Term | None] = [term]
        while waiting:
            one = waiting.pop()
            if isinstance(one, Binary):
                if one.operator == "=":
                    names |= self._pattern(one.left, own) | self._pattern(one.right, own)
                waiting += [one.left, one.right]
            elif isinstance(one, Ref):
                for part in one.path:
                    names |= self._pattern(part, own)
                waiting += [one.head, *one.path]
            elif isinstance(one, Call):
                arity = ARITY.get(".".join(one.name))
                if arity is not None and len(one.args) == arity + 1:
                    names |= self._pattern(one.args[-1], own)
                waiting += one.args
            elif isinstance(one, Array | Set):
                waiting += one.items
            elif isinstance(one, Object):
                waiting += [part for pair in one.pairs for part in pair]
            elif isinstance(one, Member):
                waiting += [*one.items, one.collection]
            elif isinstance(one, Negative):
                waiting.append(one.term)

    # What is used

    def body(self, body: Body, scope: set[str]) -> set[str]:
        """Go through conditions, ``scope`` holding the variables that have values; return it with those of the body."""
        scope = set(scope)
        each = self._bound(body)
        for number, (literal, names) in enumerate(zip(body, each, strict=True)):
            before, scope = scope, scope | names
            later = set().union(*each[number + 1 :]) - scope
            usable = scope
            term = literal.term if isinstance(literal, Expression) else None
            if isinstance(term, Binary) and term.operator == ":=":
                given = self._pattern(term.left, None) - before
                usable, later = scope - given, later | given
            outer, self._later = self._later, self._later | later
            self._literal(literal, usable)
            self._later = outer
        return scope

    def _literal(self, literal: Expression | Some | Every, scope: set[str]) -> None:
        if isinstance(literal, Some):
            self._term(literal.collection, scope)
        elif isinstance(literal, Every):
            self._term(literal.collection, scope)
            self.body(literal.body, scope | {one.name for one in literal.names})
        else:
            self._term(literal.term, scope)
        for target, value in literal.withs:
            self._term(target, scope)
            self._term(value, scope)

    def _term(self, term: Term | None, scope: set[str]) -> None:
        if isinstance(term, Var):
            self._name(term, (), scope, term)
        elif isinstance(term, Ref):
            self._ref(term, scope)
        elif isinstance(term, Call):
            self._call(term, scope)
        elif isinstance(term, Comprehension):
            inner = self.body(term.body, scope)
            for head in term.heads:
                self._term(head, inner)
        elif isinstance(term, Binary) and term.operator == ":=":
            self._term(term.right, scope)  # on the left there are new variables
        elif isinstance(term, Binary):
            # A chain of operators is as deep as it is long.
            left: Term = term
            while isinstance(left, Binary):
                self._term(left.right, scope)
                left = left.left
            self._term(left, scope)
        elif isinstance(term, Member):
            for one in (*term.items, term.collection):
                self._term(one, scope)
        elif isinstance(term, Negative):
            self._term(term.term, scope)
        elif isinstance(term, Array | Set):
            for one in term.items:
                self._term(one, scope)
        elif isinstance(term, Object):
            for pair in term.pairs:
                for one in pair:
                    self._term(one, scope)

    def _ref(self, ref: Ref, scope: set[str]) -> None:
        if isinstance(ref.head, Var):
            self._name(ref.head, ref.path, scope, ref)
        else:
            self._term(ref.head, scope)
        for part in ref.path:
            if not isinstance(part, Scalar):
                self._term(part, scope)

    def _name(self, variable: Var, path: tuple[Term, ...], scope: set[str], node: Node) -> None:
        name = variable.name
        if name == "_" or (name in scope and name not in ("input", "data")):
            return
        if name in self._later:
            message = f"`{name}` has no value yet; the engine goes by the order, so write first what gives it one"
            self.mistakes.append(Stop(variable.start, message))
            return
        base = self._base(name)
        if base is None:
            self.mistakes.append(Stop(variable.start, self._unknown(name, scope)))
            return
        known: list[str] = []
        for part in path:
            if not (isinstance(part, Scalar) and isinstance(part.value, str)):
                break
            known.append(part.value)
        self.uses.append(Use((*base, *known), len(known) < len(path), node))

    def _base(self, name: str) -> tuple[str, ...] | None:
        """The full path of a global name."""
        if name in ("input", "data"):
            return (name,)
        if name in self._aliases:
            return self._aliases[name]
        return ("data", *self._module.package, name) if name in self._siblings else None

    def _unknown(self, name: str, scope: Iterable[str]) -> str:
        known = [*scope, *self._siblings, *self._aliases, "input", "data"]
        near = difflib.get_close_matches(name, known, 1)
        none = "it is no rule of this package, no import, and nothing gives it a value"
        hint = f"did you mean `{near[0]}`?" if near else none
        return f"`{name}` is not known here; {hint}"

    def _call(self, call: Call, scope: set[str]) -> None:
        for argument in call.args:
            self._term(argument, scope)
        dotted = ".".join(call.name)
        base = None if call.name[0] in ("input", *scope) else self._base(call.name[0])
        if base is not None and base[0] == "data":
            self.calls.append(Called((*base, *call.name[1:]), builtin=False, node=call))
        elif dotted in ARITY:
            self.calls.append(Called((dotted,), builtin=True, node=call))
        elif dotted in REFUSED:
            self.mistakes.append(Stop(call.start, f"`{dotted}` {REFUSED[dotted]}"))
        elif dotted in NOT_IN_ENGINE:
            self.mistakes.append(Stop(call.start, f"`{dotted}` is not in the engine that decides here"))
        else:
            near = difflib.get_close_matches(dotted, [*ARITY, *self._siblings], 1)
            hint = f"did you mean `{near[0]}`?" if near else "it is no built-in function and no rule of this package"
            self.mistakes.append(Stop(call.start, f"there is no function `{dotted}`; {hint}"))
