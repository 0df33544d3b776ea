"""Rego modules read into their parts, every mistake in the syntax with its place.

The engine reads the text too, but it tells mistakes one at a time and often elsewhere, lets pass what no Rego is, and
some texts end its process. So only what has been understood here reaches it.
"""

from __future__ import annotations

import difflib

from meshsim.policy.engine import PolicyFile
from meshsim.policy.rego_syntax import Body, Branch, Import, Module, Rule, Scalar, Term
from meshsim.policy.rego_terms import Terms
from meshsim.policy.rego_tokens import KEYWORDS, MAX_FILE_CHARACTERS, Stop, Token, diagnose, tokenize, unquoted
from meshsim.scenario.errors import Diagnostic


def parse(file: PolicyFile) -> tuple[Module | None, list[Diagnostic]]:
    """Read one file; None if it cannot be told which package it is of."""
    if len(file.text) > MAX_FILE_CHARACTERS:
        size = f"{len(file.text)} characters; at most {MAX_FILE_CHARACTERS} are read"
        return None, [Diagnostic(file.place, 0, 0, f"the policy file has {size}")]
    tokens, mistakes = tokenize(file.text)
    if len(tokens) == 1 and not mistakes:
        message = "the file holds no policy, so it allows no request; write one, or take the file from the scenario"
        return None, [Diagnostic(file.place, 0, 0, message)]
    parser = _Parser(tokens)
    module = parser.module(file)
    mistakes += parser.mistakes
    mistakes.sort(key=lambda mistake: mistake.offset)
    return module, [diagnose(file, mistake.offset, mistake.message) for mistake in mistakes]


class _Parser(Terms):
    """Reads packages, imports and rules."""

    def module(self, file: PolicyFile) -> Module | None:
        """Read all; what cannot be read is a mistake, and reading goes on behind it."""
        package = self._package()
        imports: list[Import] = []
        rules: list[Rule] = []
        while self.token.kind != "end":
            try:
                if self.takes("import"):
                    found = self._import(self.before)
                    if rules:
                        raise Stop(found.start, "an import stands behind a rule; write it above all rules")
                    imports.append(found)
                else:
                    rules.append(self._rule())
                if not self.token.first:
                    raise self.unexpected("a new line before the next rule")
            except Stop as mistake:
                self.mistakes.append(mistake)
                self._skip()
        if package is None:
            return None
        parts = (package, tuple(imports), tuple(rules))
        return Module(start=0, end=len(file.text), file=file, package=parts[0], imports=parts[1], rules=parts[2])

    def _skip(self) -> None:
        """Go on where the next rule may begin: at a word at the margin."""
        self.depth = 0
        self.advance()
        while self.token.kind != "end":
            if self.token.margin and self.token.kind == "word" and self.token.text != "else":
                return
            self.advance()

    def _package(self) -> tuple[str, ...] | None:
        try:
            if not self.takes("package"):
                raise self.unexpected("a package first, such as `package envoy.authz`")
            names = self._names()
            if not self.token.first:
                raise self.unexpected("a new line behind the package")
            return names
        except Stop as mistake:
            self.mistakes.append(mistake)
            self._skip()
            return None

    def _names(self) -> tuple[str, ...]:
        """Read ``a.b["c"]``: names that are known beforehand."""
        names = [self.variable().name]
        while not self.token.first and self.token.text in (".", "["):
            if self.takes("."):
                token = self.advance()
                if token.kind != "word":
                    raise Stop(token.start, "expected a name behind the dot")
                names.append(token.text)
            else:
                self.advance()
                token = self.advance()
                name = unquoted(token) if token.kind in ("string", "raw") else None
                if name is None:
                    raise Stop(token.start, "expected a string between the brackets")
                names.append(name)
                self.needs("]")
        return tuple(names)

    def _import(self, token: Token) -> Import:
        place = self.token
        path = self._names()
        if path[0] not in ("data", "input", "rego", "future"):
            right = difflib.get_close_matches(path[0], ("data", "input", "rego", "future"), 1) or ["data"]
            raise Stop(place.start, f"nothing can be imported from `{path[0]}`; did you mean `{right[0]}`?")
        name = self.variable().name if self.takes("as") else path[-1]
        if path[0] in ("rego", "future") and path not in _KNOWN_IMPORTS:
            raise Stop(place.start, f"there is no `{'.'.join(path)}` to import; expected rego.v1")
        return Import(start=token.start, end=self.before.end, path=path, name=name)

    def _rule(self) -> Rule:
        start = self.token.start
        self.depth = 0
        default = self.takes("default")
        if self.token.kind != "word" or self.token.text in KEYWORDS:
            raise self.unexpected("a rule, which begins with its name")
        name = self.variable()
        path: list[Term] = []
        while not self.token.spaced and self.token.text in (".", "["):
            if self.takes("."):
                part = self.token
                if part.kind != "word":
                    raise self.unexpected("a name behind the dot")
                self.advance()
                path.append(Scalar(start=part.start, end=part.end, value=part.text))
            else:
                self.advance()
                path.append(self.expression())
                self.needs("]")
        args = self._items(")") if not self.token.spaced and self.takes("(") else None
        member = None
        if not self.token.first and self.takes("contains"):
            member = self.expression()
        value = self.expression() if self.takes(":=") or self.takes("=") else None
        branches = [self._branch(start, value, otherwise=False)]
        if default and (value is None or branches[0].body):
            raise Stop(start, "a default is a value without conditions; write `default allow := false`")
        has_head = bool(path or args is not None or member or value)
        if not branches[0].body and not has_head:
            raise self.unexpected(f"`if` and a condition, or `:=` and a value, behind `{name.name}`")
        while self._follows(branches):
            otherwise = self.takes("else")
            begin = self.before.start if otherwise else self.token.start
            given = self.expression() if otherwise and (self.takes(":=") or self.takes("=")) else None
            branches.append(self._branch(begin, given if otherwise else value, otherwise=otherwise))
        head = tuple(path)
        return Rule(
            start=start,
            end=self.before.end,
            default=default,
            name=name,
            path=head,
            args=args,
            member=member,
            branches=tuple(branches),
        )

    def _follows(self, branches: list[Branch]) -> bool:
        """Whether another branch of the same rule follows: ``else``, or a second body in braces."""
        if self.token.text == "else" and self.token.kind == "word":
            return True
        return self.token.text == "{" and bool(branches[-1].body) and self.before.text == "}" and not self.token.first

    def _branch(self, start: int, value: Term | None, *, otherwise: bool) -> Branch:
        worded = self.takes("if")
        begin = end = self.before.end
        body: Body = ()
        braced = False
        if self.token.text == "{" and self.token.kind == "operator" and (worded or not self.token.first):
            body, begin, end, braced = self._braced(worded=worded)
        elif worded:
            body, begin, end, _ = self._single()
        span = {"start": start, "end": self.before.end, "body_start": begin, "body_end": end}
        return Branch(value=value, body=body, braced=braced, otherwise=otherwise, **span)

    def _braced(self, *, worded: bool) -> tuple[Body, int, int, bool]:
        """Read a body in braces; behind ``if`` it may be a condition that begins with a brace."""
        here, depth = self.at, self.depth
        begin = self.advance().end
        if self.token.text == "}":
            raise Stop(self.before.start, "a body without conditions; write what must hold, or leave the braces out")
        try:
            body = self.body()
            end = self.before.start
            if worded and not (self.token.first or self.token.text in ("else", "{")):
                raise self.unexpected("a new line behind the body")
            return body, begin, end, True
        except Stop:
            if not worded:
                raise
            there = self.at
            self.at, self.depth = here, depth
            try:
                return self._single()
            except Stop:
                self.at = there
            raise

    def _single(self) -> tuple[Body, int, int, bool]:
        """Read a body of one condition."""
        begin = self.token.start
        literal = self.literal()
        return (literal,), begin, self.before.end, False


_KNOWN_IMPORTS = {
    ("rego", "v1"),
    ("future", "keywords"),
    *(("future", "keywords", word) for word in ("contains", "every", "if", "in")),
}
