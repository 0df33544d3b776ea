"""What a Rego module consists of. Every part knows where in its file it stands."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from meshsim.policy.engine import PolicyFile


class Node(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A part of a module; two are equal only if they are one."""

    start: int
    """Offset in the file of its first character, and behind its last."""
    end: int


class Scalar(Node, frozen=True, eq=False, kw_only=True):
    """A constant."""

    value: str | int | float | bool | None


class Var(Node, frozen=True, eq=False, kw_only=True):
    """A name: of a variable, a rule, an import, ``input`` or ``data``; ``_`` is one of its own each time."""

    name: str


class Ref(Node, frozen=True, eq=False, kw_only=True):
    """``head.a["b"][c]``."""

    head: Term
    path: tuple[Term, ...]
    """What stands behind a dot is a constant text."""


class Call(Node, frozen=True, eq=False, kw_only=True):
    """``a.b(c, d)``."""

    name: tuple[str, ...]
    args: tuple[Term, ...]
    name_end: int
    """Offset behind the name."""


class Array(Node, frozen=True, eq=False, kw_only=True):
    """``[a, b]``."""

    items: tuple[Term, ...]


class Set(Node, frozen=True, eq=False, kw_only=True):
    """``{a, b}``."""

    items: tuple[Term, ...]


class Object(Node, frozen=True, eq=False, kw_only=True):
    """``{a: b, c: d}``."""

    pairs: tuple[tuple[Term, Term], ...]


class Comprehension(Node, frozen=True, eq=False, kw_only=True):
    """``[a | ...]``, ``{a | ...}`` or, with two heads, ``{a: b | ...}``."""

    heads: tuple[Term, ...]
    body: Body


class Binary(Node, frozen=True, eq=False, kw_only=True):
    """``left operator right``."""

    operator: str
    operator_start: int
    left: Term
    right: Term


class Member(Node, frozen=True, eq=False, kw_only=True):
    """``item in collection`` or ``key, item in collection``."""

    items: tuple[Term, ...]
    collection: Term


class Negative(Node, frozen=True, eq=False, kw_only=True):
    """``-a``."""

    term: Term


Term = Scalar | Var | Ref | Call | Array | Set | Object | Comprehension | Binary | Member | Negative


class Literal(Node, frozen=True, eq=False, kw_only=True):
    """One condition of a body, with what it is asked ``with``."""

    withs: tuple[tuple[Term, Term], ...] = ()


class Expression(Literal, frozen=True, eq=False, kw_only=True):
    """A term that must be defined and not false; or, ``negated``, must not."""

    term: Term
    negated: bool = False


class Some(Literal, frozen=True, eq=False, kw_only=True):
    """``some a, b`` or ``some a in b``."""

    names: tuple[Term, ...]
    collection: Term | None = None


class Every(Literal, frozen=True, eq=False, kw_only=True):
    """``every a, b in c { ... }``."""

    names: tuple[Var, ...]
    collection: Term
    body: Body


Body = tuple[Expression | Some | Every, ...]


class Branch(Node, frozen=True, eq=False, kw_only=True):
    """One way in which a rule comes to a value: a body, and the value that it gives."""

    value: Term | None
    """None for ``true``, or for what the rule contains."""
    body: Body
    body_start: int
    """Offset of the first character of the body, and behind its last; equal if there is none."""
    body_end: int
    braced: bool = True
    """Whether the body stands in braces."""
    otherwise: bool = False
    """Whether it counts only when none of the branches before it does (``else``)."""


class Rule(Node, frozen=True, eq=False, kw_only=True):
    """A rule."""

    default: bool
    name: Var
    path: tuple[Term, ...]
    """What follows the name in the head: ``a.b[c]`` has b and c."""
    args: tuple[Term, ...] | None
    """None if it is no function."""
    member: Term | None
    """What a rule with ``contains`` contains."""
    branches: tuple[Branch, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The part of its head that is known beforehand."""
        names = [self.name.name]
        for part in self.path:
            if not isinstance(part, Scalar):
                break
            names.append(str(part.value))
        return tuple(names)


class Import(Node, frozen=True, eq=False, kw_only=True):
    """``import path as name``."""

    path: tuple[str, ...]
    name: str


class Module(Node, frozen=True, eq=False, kw_only=True):
    """One file."""

    file: PolicyFile
    package: tuple[str, ...]
    imports: tuple[Import, ...]
    rules: tuple[Rule, ...]


def within(node: Node | None) -> Iterator[Node]:
    """A node and everything in it, outermost first, in the order of the text."""
    waiting: list[object] = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Node):
            yield one
            waiting += [getattr(one, field) for field in reversed(one.__struct_fields__)]
        elif isinstance(one, tuple):
            waiting += reversed(one)
