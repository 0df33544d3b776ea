"""Reads the terms, conditions and bodies of Rego."""

from __future__ import annotations

from typing import Final

from meshsim.policy.rego_cursor import Cursor
from meshsim.policy.rego_syntax import (
    Array,
    Binary,
    Body,
    Call,
    Comprehension,
    Every,
    Expression,
    Member,
    Negative,
    Object,
    Ref,
    Scalar,
    Set,
    Some,
    Term,
    Var,
)
from meshsim.policy.rego_tokens import KEYWORDS, Stop, number, unquoted

MAX_OPERATORS: Final = 200
"""Most operators in a row in one expression."""

_LEVELS: Final = (
    ("==", "!=", "<", "<=", ">", ">="),
    ("|",),
    ("&",),
    ("+", "-"),
    ("*", "/", "%"),
)
"""Infix operators, those that bind weakest first."""

_TWICE: Final = {
    "&": "conditions that must all hold stand on a line each, or joined by ;",
    "|": "conditions of which one must hold stand in rules of the same name",
    "/": "comments start with #",
}
"""What other languages write twice, and what is right here."""

_CONSTANTS: Final = {"true": True, "false": False, "null": None}


class Terms(Cursor):
    """Reads terms, conditions and bodies."""

    def body(self, closing: str = "}") -> Body:
        """Read conditions up to a closing bracket, which is read too."""
        self.deeper()
        literals = []
        while not self.takes(closing):
            literals.append(self.literal())
            if not self.takes(";") and self.token.text != closing and not self.token.first:
                raise self.unexpected(f"a new line, ';' or {closing!r}")
        if not literals:
            raise Stop(self.before.start, "a body without conditions; write what must hold, or leave the braces out")
        self.depth -= 1
        return tuple(literals)

    def literal(self) -> Expression | Some | Every:
        """Read one condition."""
        start = self.token.start
        if self.takes("some"):
            names = [self.term()]
            while self.takes(","):
                names.append(self.term())
            collection = self.expression() if self.takes("in") else None
            withs = self._withs()
            return Some(start=start, end=self.before.end, names=tuple(names), collection=collection, withs=withs)
        if self.takes("every"):
            variables = [self.variable()]
            if self.takes(","):
                variables.append(self.variable())
            self.needs("in")
            collection = self.term()
            self.needs("{", "'{' and what must hold of each")
            body = self.body()
            end = self.before.end
            return Every(start=start, end=end, names=tuple(variables), collection=collection, body=body)
        negated = self.takes("not")
        if negated and self.token.text == "not":
            raise self.unexpected("one 'not' alone")
        term = self._assigned()
        withs = self._withs()
        return Expression(start=start, end=self.before.end, term=term, negated=negated, withs=withs)

    def _withs(self) -> tuple[tuple[Term, Term], ...]:
        withs = []
        while self.takes("with"):
            target = self.term()
            self.needs("as", "'as' and a value")
            withs.append((target, self.expression()))
        return tuple(withs)

    def _assigned(self) -> Term:
        start = self.token.start
        left = self.expression(listed=True)
        for operator in (":=", "="):
            if self.takes(operator):
                at = self.before.start
                right = self.expression(listed=True)
                return Binary(
                    start=start, end=self.before.end, operator=operator, operator_start=at, left=left, right=right
                )
        return left

    def variable(self) -> Var:
        """Read a name."""
        token = self.token
        if token.kind != "word" or token.text in KEYWORDS:
            raise self.unexpected("a name")
        self.advance()
        return Var(start=token.start, end=token.end, name=token.text)

    def expression(self, *, listed: bool = False, first: bool = False) -> Term:
        """Read a term with its operators.

        ``listed`` allows ``key, item in …``; ``first`` is the first of a bracket, where ``|`` begins a comprehension.
        """
        start = self.token.start
        term = self._infix(0, first=first)
        items: tuple[Term, ...] = (term,)
        if listed and self.token.text == ",":
            items += self._after_key()
        while self.takes("in"):
            collection = self._infix(0, first=first)
            term = Member(start=start, end=self.before.end, items=items, collection=collection)
            items = (term,)
        return term

    def _after_key(self) -> tuple[Term, ...]:
        """Read ``, item`` if ``in`` follows."""
        here, depth = self.at, self.depth
        try:
            self.advance()
            item = self._infix(0, first=False)
            if self.token.text == "in":
                return (item,)
        except Stop:
            pass  # whoever reads on from the comma tells what is wrong
        self.at, self.depth = here, depth
        return ()

    def _infix(self, level: int, *, first: bool) -> Term:
        if level == len(_LEVELS):
            return self.term()
        start = self.token.start
        left = self._infix(level + 1, first=first)
        count = 0
        while self.token.kind == "operator" and self.token.text in _LEVELS[level]:
            if first and self.token.text == "|":
                break
            count += 1
            if count > MAX_OPERATORS:
                raise Stop(self.token.start, f"more than {MAX_OPERATORS} operators in a row; make it several rules")
            operator = self.advance()
            right = self._infix(level + 1, first=first)
            left = Binary(
                start=start,
                end=self.before.end,
                operator=operator.text,
                operator_start=operator.start,
                left=left,
                right=right,
            )
        return left

    def term(self) -> Term:
        """Read a term without operators."""
        token = self.token
        if token.kind in ("string", "raw", "number") or token.text in _CONSTANTS:
            return self._scalar()
        if token.text == "-" and token.kind == "operator":
            self.advance()
            self.deeper()
            term = self.term()
            self.depth -= 1
            return Negative(start=token.start, end=self.before.end, term=term)
        if token.text == "(" and token.kind == "operator":
            self.advance()
            self.deeper()
            term = self.expression(listed=True)
            self.needs(")")
            self.depth -= 1
            return term
        head: Term
        if token.text == "[" and token.kind == "operator":
            head = self._array()
        elif token.text == "{" and token.kind == "operator":
            head = self._braces()
        else:
            head = self._named()
        return self._path(head)

    def _scalar(self) -> Scalar:
        token = self.advance()
        value: str | int | float | bool | None
        if token.kind == "number":
            value = number(token)
        elif token.kind == "word":
            value = _CONSTANTS[token.text]
        else:
            value = unquoted(token)
            if value is None:
                raise Stop(token.start, "an escape in this string is none of JSON's; write `...` for text as it is")
            if "\0" in value:
                raise Stop(token.start, "strings with a zero character are not understood by the engine")
        return Scalar(start=token.start, end=token.end, value=value)

    def _named(self) -> Var | Call:
        """Read a name, or a call of a function by its full name."""
        if self.token.kind != "word" or self.token.text in KEYWORDS:
            if self.token.text in _TWICE and self.before.text == self.token.text:
                twice = self.token.text * 2
                raise Stop(self.before.start, f"Rego has no {twice!r}; {_TWICE[self.token.text]}")
            raise self.unexpected("a term")
        variable = self.variable()
        here, names = self.at, [variable.name]
        while self.token.text == "." and not self.token.spaced and self.tokens[self.at + 1].kind == "word":
            self.advance()
            names.append(self.advance().text)
        if self.token.text == "(" and not self.token.spaced and self.token.kind == "operator":
            name_end = self.before.end
            self.advance()
            args = self._items(")")
            return Call(start=variable.start, end=self.before.end, name=tuple(names), args=args, name_end=name_end)
        self.at = here
        return variable

    def _path(self, head: Term) -> Term:
        """Read what follows a term: ``.a["b"][c]``."""
        path: list[Term] = []
        while self.token.kind == "operator" and not self.token.spaced and self.token.text in (".", "["):
            if self.takes("."):
                token = self.token
                if token.kind != "word" or token.spaced:
                    raise self.unexpected("a name behind the dot")
                self.advance()
                path.append(Scalar(start=token.start, end=token.end, value=token.text))
            else:
                self.advance()
                self.deeper()
                path.append(self.expression())
                self.needs("]")
                self.depth -= 1
        return Ref(start=head.start, end=self.before.end, head=head, path=tuple(path)) if path else head

    def _items(self, closing: str) -> tuple[Term, ...]:
        """Read terms with commas between up to a closing bracket, which is read too."""
        self.deeper()
        items = []
        while not self.takes(closing):
            items.append(self.expression())
            if not self.takes(",") and self.token.text != closing:
                raise self.unexpected(f"',' or {closing!r}")
        self.depth -= 1
        return tuple(items)

    def _array(self) -> Array | Comprehension:
        start = self.advance().start
        if self.takes("]"):
            return Array(start=start, end=self.before.end, items=())
        self.deeper()
        item = self.expression(first=True)
        if self.takes("|"):
            body = self.body("]")
            self.depth -= 1
            return Comprehension(start=start, end=self.before.end, heads=(item,), body=body)
        rest = self._rest("]")
        self.depth -= 1
        return Array(start=start, end=self.before.end, items=(item, *rest))

    def _rest(self, closing: str) -> tuple[Term, ...]:
        if self.takes(closing):
            return ()
        self.needs(",", f"',' or {closing!r}")
        return self._items(closing)

    def _braces(self) -> Set | Object | Comprehension:
        start = self.advance().start
        if self.takes("}"):
            return Object(start=start, end=self.before.end, pairs=())
        self.deeper()
        key = self.expression(first=True)
        if not self.takes(":"):
            if self.takes("|"):
                body = self.body()
                self.depth -= 1
                return Comprehension(start=start, end=self.before.end, heads=(key,), body=body)
            rest = self._rest("}")
            self.depth -= 1
            return Set(start=start, end=self.before.end, items=(key, *rest))
        value = self.expression(first=True)
        if self.takes("|"):
            body = self.body()
            self.depth -= 1
            return Comprehension(start=start, end=self.before.end, heads=(key, value), body=body)
        pairs = [(key, value)]
        while not self.takes("}"):
            self.needs(",", "',' or '}'")
            if self.takes("}"):
                break
            key = self.expression()
            self.needs(":")
            pairs.append((key, self.expression()))
        self.depth -= 1
        return Object(start=start, end=self.before.end, pairs=tuple(pairs))
