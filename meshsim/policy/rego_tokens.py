"""Rego text as tokens with their places (openpolicyagent.org, Policy Reference, Grammar)."""

from __future__ import annotations

import json
import re
import sys
from typing import Final, NamedTuple

from meshsim.policy.engine import PolicyFile
from meshsim.scenario.errors import Diagnostic

MAX_FILE_CHARACTERS: Final = 10_000_000
"""Longest policy file that is read, the same as for scenario files."""

_TOKEN = re.compile(
    r"""(?P<newline>\r?\n)
      | (?P<skip>[ \t\r]+|\#[^\n]*)
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | (?P<raw>`[^`]*`)
      | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<operator>:=|==|!=|<=|>=|[={}\[\]();,.<>+\-*/%|&:])
      | (?P<template>\$["`])
      | (?P<open>["`])
      | (?P<unknown>.)""",
    re.VERBOSE | re.DOTALL,
)

KEYWORDS: Final = frozenset(
    ("as", "default", "else", "every", "false", "if", "import", "in", "not", "null", "package", "some", "true", "with")
)
"""Words that are no names; ``contains`` is one only in the head of a rule."""


class Token(NamedTuple):
    """One token; ``start`` and ``end`` are offsets in the file."""

    kind: str
    text: str
    start: int
    end: int
    first: bool
    """Whether it is the first on its line."""
    spaced: bool
    """Whether white space stands before it."""
    margin: bool
    """Whether it stands at the very beginning of its line."""


class Stop(Exception):  # noqa: N818 - it stops the reading of one rule, and is no error of the program
    """A mistake in the syntax."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


def diagnose(file: PolicyFile, offset: int, message: str) -> Diagnostic:
    """A diagnostic at an offset of a file."""
    line, column = place_of(file.text, offset)
    return Diagnostic(file.place, line, column, message)


def place_of(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, both from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def tokenize(text: str) -> tuple[list[Token], list[Stop]]:
    """The tokens of a text, closed by one of the kind ``end``, and the characters that are none."""
    tokens: list[Token] = []
    mistakes: list[Stop] = []
    first = spaced = margin = True
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        assert kind is not None, "every alternative of the token pattern is a named group"
        if kind == "newline":
            first = spaced = margin = True
        elif kind == "skip":
            spaced, margin = True, False
        elif kind in ("open", "unknown", "template"):
            mistakes.append(Stop(match.start(), _strange(text, match.start(), kind, match.group())))
            spaced, margin = True, False
        else:
            tokens.append(Token(kind, match.group(), match.start(), match.end(), first, spaced, margin))
            first = spaced = margin = False
    tokens.append(Token("end", "", len(text), len(text), True, True, True))
    return tokens, mistakes


def _strange(text: str, offset: int, kind: str, found: str) -> str:
    if kind == "template":
        return "strings with parts to fill in are not understood here; write sprintf(...)"
    if kind == "open":
        return f"this string is never closed; end it with {found}" + (" on its line" if found == '"' else "")
    if offset == 0 and found == "\ufeff":
        return "the file starts with a byte order mark; save it as UTF-8 without one"
    if found in ("'", "\u2018", "\u2019", "\u201c", "\u201d"):
        return 'strings stand between double quotes, "like this"'
    if text[offset : offset + 2] in ("//", "&&", "||"):
        return f"Rego has no {text[offset : offset + 2]!r}"
    return f"unexpected character {found!r}; Rego has no such token (comments start with #)"


def number(token: Token) -> int | float:
    """The value of a number token; raises Stop for one that Python or the engine does not take."""
    if not any(character in token.text for character in ".eE"):
        try:
            return int(token.text)
        except ValueError:  # Python reads some thousand digits
            raise Stop(token.start, f"{token.text[:20]}… is too long a number; expected fewer digits") from None
    if said := out_of_range(token.text):
        raise Stop(token.start, said)
    return float(token.text)


def out_of_range(text: str) -> str:
    """What is wrong with a decimal number of which the engine makes nothing; empty if it takes it."""
    size = abs(float(text))
    if size > sys.float_info.max:
        return f"{text[:40]} is too large a number; expected a finite one"
    if size < sys.float_info.min and text.lower().partition("e")[0].strip("-0."):  # not with all digits of a double
        return f"{text[:40]} is too small a number; expected 0, or one above 1e-307"
    return ""


def unquoted(token: Token) -> str | None:
    """The value of a string token; None if an escape in it is none of JSON's."""
    if token.kind == "raw":
        return token.text[1:-1]
    try:
        value = str(json.loads(token.text, strict=False))
    except json.JSONDecodeError:
        return None
    return None if re.search("[\ud800-\udfff]", value) else value
