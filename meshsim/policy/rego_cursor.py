"""A place in the tokens of a Rego file."""

from __future__ import annotations

from typing import Final

from meshsim.policy.rego_tokens import Stop, Token

MAX_NESTING: Final = 64
"""Deepest nesting of brackets and bodies in one rule."""


class Cursor:
    """A place in the tokens of a file, and what can be read from there."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.mistakes: list[Stop] = []

    @property
    def token(self) -> Token:
        """The token that is next."""
        return self.tokens[self.at]

    @property
    def before(self) -> Token:
        """The token that was read last."""
        return self.tokens[self.at - 1]

    def advance(self) -> Token:
        """Read a token, but never past the end."""
        token = self.tokens[self.at]
        self.at += token.kind != "end"
        return token

    def takes(self, text: str) -> bool:
        """Read the next token if it reads ``text`` (and is no string)."""
        if self.token.text == text and self.token.kind in ("word", "operator"):
            self.advance()
            return True
        return False

    def needs(self, text: str, what: str = "") -> Token:
        """Read a token that must read ``text``."""
        if not self.takes(text):
            raise self.unexpected(what or repr(text))
        return self.before

    def unexpected(self, expected: str) -> Stop:
        """What is wrong with the next token."""
        token = self.token
        if token.kind == "end":
            return Stop(self.before.end - 1, f"the file ends here; expected {expected}")
        return Stop(token.start, f"unexpected {_shown(token)}; expected {expected}")

    def deeper(self) -> None:
        """Take note of one more level of brackets."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise Stop(self.token.start, f"this nests deeper than {MAX_NESTING} levels; make it several rules")


def _shown(token: Token) -> str:
    text = token.text if len(token.text) <= 24 else f"{token.text[:23]}…"
    return text if token.kind in ("string", "raw") else f"`{text}`"
