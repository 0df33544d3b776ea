"""Cedar text with positions.

The Cedar engine reports what is wrong but not where. This module cuts a policy file into its policies, so that each can
be handed to the engine alone, and knows the line and column of every token.

The lexical grammar is the one of the Cedar policy language reference, "Grammar" (docs.cedarpolicy.com).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from meshsim.policy.engine import PolicyFile
from meshsim.scenario.errors import Diagnostic

MAX_FILE_CHARACTERS = 10_000_000
"""Longest policy file that is read, the same as for scenario files."""

MAX_POLICY_TOKENS = 2000
"""Longest policy. The engine evaluates an operator chain recursively and gives up past about 3000 tokens."""

MAX_NESTING = 64
"""Deepest nesting of brackets and ``if`` in one policy. The engine overflows its stack between 300 and 1000."""

_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*)
      | (?P<string>"(?:\\.|[^"\\])*")
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>[0-9]+)
      | (?P<slot>\?[a-z]+)
      | (?P<operator>::|&&|\|\||==|!=|<=|>=|[@(){}\[\];,.<>+\-*!:=%/])
      | (?P<open>"(?:\\.|[^"\\])*)
      | (?P<unknown>.)""",
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """One token; ``start`` and ``end`` are offsets in the file."""

    kind: str
    text: str
    start: int
    end: int


class PolicyText(NamedTuple):
    """One policy in its file, its closing semicolon included."""

    file: PolicyFile
    number: int
    """Position in the file, from 1."""
    tokens: tuple[Token, ...]

    @property
    def text(self) -> str:
        """The policy's text."""
        return self.file.text[self.tokens[0].start : self.tokens[-1].end]

    def upto(self, count: int) -> str:
        """The text of the first ``count`` tokens."""
        return self.file.text[self.tokens[0].start : self.tokens[count - 1].end]

    def between(self, first: int, last: int) -> str:
        """The text from one token to another, by their numbers."""
        return self.file.text[self.tokens[first].start : self.tokens[last].end]

    def at(self, token: Token, message: str) -> Diagnostic:
        """A diagnostic at a token."""
        return diagnose(self.file, token.start, message)

    def find(self, text: str) -> Token | None:
        """The first token that reads ``text``, or a string that holds it."""
        for token in self.tokens:
            if token.text == text:
                return token
        return next((token for token in self.tokens if token.kind == "string" and text in token.text), None)

    def entities(self) -> Iterator[tuple[str, str, Token]]:
        """Each entity the policy names: its type, its id as written between the quotes, and the token of the id."""
        for kind, colons, name in zip(self.tokens, self.tokens[1:], self.tokens[2:], strict=False):
            if kind.kind == "word" and colons.text == "::" and name.kind == "string":
                yield kind.text, name.text[1:-1], name

    def annotation(self, key: str) -> tuple[str, Token] | None:
        """The value of ``@key("value")``, as written between the quotes, and its token."""
        for i, token in enumerate(self.tokens):
            if token.text in ("permit", "forbid"):
                return None
            if token.text == "@" and self.tokens[i + 1].text == key:
                value = self.tokens[i + 3]
                if self.tokens[i + 2].text == "(" and value.kind == "string":
                    return value.text[1:-1], value
                return "", self.tokens[i + 1]
        return None


def diagnose(file: PolicyFile, offset: int, message: str) -> Diagnostic:
    """A diagnostic at an offset of a file."""
    line = file.text.count("\n", 0, offset) + 1
    column = offset - file.text.rfind("\n", 0, offset)
    return Diagnostic(file.place, line, column, message)


def split(file: PolicyFile) -> tuple[list[PolicyText], list[Diagnostic]]:
    """Cut a file into its policies; returns those that can be handed to the engine, and what is wrong with the rest."""
    if len(file.text) > MAX_FILE_CHARACTERS:
        size = f"{len(file.text)} characters; at most {MAX_FILE_CHARACTERS} are read"
        return [], [Diagnostic(file.place, 0, 0, f"the policy file has {size}")]
    policies: list[PolicyText] = []
    mistakes: list[Diagnostic] = []
    tokens: list[Token] = []
    count = 0

    def close() -> None:
        mistake = _unusable(policy := PolicyText(file, count, tuple(tokens)))
        if mistake is None:
            policies.append(policy)
        else:
            mistakes.append(mistake)
        tokens.clear()

    for match in _TOKEN.finditer(file.text):
        kind = match.lastgroup
        assert kind is not None, "every alternative of the token pattern is a named group"
        if kind == "skip":
            continue
        if not tokens:
            count += 1
        tokens.append(Token(kind, match.group(), match.start(), match.end()))
        if match.group() == ";":
            close()
    if tokens:
        close()
    return policies, mistakes


def _unusable(policy: PolicyText) -> Diagnostic | None:
    """The reason why a policy cannot be handed to the engine, if there is one."""
    depth = ifs = 0
    for token in policy.tokens:
        if token.kind == "open":
            return policy.at(token, 'this string is never closed; end it with "')
        if token.kind == "unknown":
            if policy.file.text.startswith("\ufeff") and token.start == 0:
                return policy.at(token, "the file starts with a byte order mark; save it as UTF-8 without one")
            return policy.at(
                token, f"unexpected character {token.text!r}; {_QUOTES if token.text in _QUOTED else _PLAIN}"
            )
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        ifs += token.text == "if"
        if depth + ifs > MAX_NESTING:
            return policy.at(token, f"this policy nests deeper than {MAX_NESTING} levels; make it several policies")
    if len(policy.tokens) > MAX_POLICY_TOKENS:
        length = f"{len(policy.tokens)} tokens long, more than {MAX_POLICY_TOKENS}"
        return policy.at(policy.tokens[0], f"this policy is {length}; make it several policies")
    if policy.tokens[-1].text != ";":
        return policy.at(policy.tokens[-1], 'the file ends inside this policy; end it with ";"')
    return None


_QUOTED = ("'", "\u2018", "\u2019", "\u201c", "\u201d", "`")
_QUOTES = 'strings stand between double quotes, "like this"'
_PLAIN = "Cedar has no such token (comments start with //)"


def offending(policy: PolicyText, named: str, is_viable: Callable[[str], bool]) -> Token:
    """The token at which a policy stops being the beginning of any policy.

    ``named`` is the text of that token; ``is_viable(text)`` says whether the parser only misses the end of ``text``.
    What follows a wrong token cannot make it right, so the first text that is not viable is found by bisection. The
    parser may notice only a token or two later, so the wrong token is the last one there that reads ``named``.
    """
    low, high = 0, len(policy.tokens)
    while high - low > 1:
        middle = (low + high) // 2
        if is_viable(policy.upto(middle)):
            low = middle
        else:
            high = middle
    return next((token for token in reversed(policy.tokens[:high]) if token.text == named), policy.tokens[high - 1])
