"""What plain YAML looks like, as patterns for ``yaml_plain``, and how much of any YAML is read."""

from __future__ import annotations

import re

MAX_DEPTH = 64
"""Mappings and lists inside each other."""
MAX_VALUES = 200_000
"""Keys and values of one file, each alias counted as what it stands for."""

ELSEWHERE = re.compile(
    "[^\n -~\xa1-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|^(?:---|[.]{3})", re.MULTILINE
)
"""Characters with a meaning of their own, and what parts documents."""
_FIRST = r"(?=[^\s?:,\[\]{}#&*!|>'\"%@`-]|-[^\s?:,\[\]{}])"
"""A word without quotes does not begin with what means something in YAML."""


def _words(inside: str) -> str:
    """Words in a line: of characters ``inside`` (group 1), in double quotes (group 2) or in single ones (group 3)."""
    run = rf"{inside}++(?:[:#]+{inside}++)*+"
    return rf"(?:{_FIRST}({run}(?: ++{run})*+)|\"([^\"\\\n]*)\"|'([^'\n]*)'(?!'))"


_IN_LINE, _IN_BRACKETS = _words(r"[^\n :#]"), _words(r"[^\n ,:?#\[\]{}]")
_GAP = r"[ \n]*+(?:(?<=[ \n])#[^\n]*[ \n]*)*+"
"""What may stand between what is in brackets: spaces, ends of lines and comments."""
KEY = re.compile(rf"{_IN_LINE}:(?: +|(?=\n))")
VALUE = re.compile(_IN_LINE)
INNER_KEY = re.compile(rf"{_GAP}{_IN_BRACKETS}: +")
INNER_VALUE = re.compile(rf"{_GAP}{_IN_BRACKETS}{_GAP}([,\]}}])")
OPENING = re.compile(rf"{_GAP}([\[{{])")
CLOSING = re.compile(rf"{_GAP}([\]}}])")
AFTER = re.compile(rf"{_GAP}([,\]}}])")
END = re.compile(r" *(?:(?<= )#[^\n]*)?\n")
NEXT = re.compile(r"(?: *(?:#[^\n]*)?\n)*+( *)")
"""Empty lines and comments, and the indentation of the next line."""
EMPTY = re.compile(r"(?: *(?:#[^\n]*)?\n)*+ *(?:#[^\n]*)?")
"""A text without any data."""
SEPARATOR = re.compile(r"^---\n", re.MULTILINE)
EMPTY_LINES = re.compile(r"(?: *\n)*+( *)")
BLOCK = re.compile(r"([|>])(-?)\n( +)(?=[^ \n])")
LONGEST_KEY = 900
"""Characters; fewer than the library lets a key have."""
