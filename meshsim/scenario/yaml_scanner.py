"""The scanner and the parser of ruamel.yaml with shortcuts for what nearly all of a file is made of.

They find the same tokens in half the time: plain words, alone or in a row, before the end of their line, a comma, a
bracket or a colon are matched as a whole, and what has been looked at is not looked at again. Everything else goes the
library's own way. This module uses attributes of the library's scanner, which is why its version is bounded.
"""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml.parser import Parser
from ruamel.yaml.scanner import Scanner
from ruamel.yaml.tokens import ScalarToken

_WORDS = r"[A-Za-z0-9_./%+-]+(?: [A-Za-z0-9_./%+-]+)*"
_IN_BRACKETS = re.compile(rf"({_WORDS})(?:[,\]}}]|: )")
_IN_BLOCK = re.compile(rf"({_WORDS})(?:(?P<key>:[ \n])|\n(?P<indent> *)[A-Za-z0-9_\"'])")
"""A key, or a value at the end of its line, with the first character of the next line."""
_SPECIAL = frozenset(" \t#\r\n\0\x85\u2028\u2029\ufeff")
"""Characters that the way to the next token may have to do with."""


class QuickScanner(Scanner):
    """Scans the whole text, which has to be given as a string."""

    reader: Any = None
    """A plain attribute in place of the library's property."""

    def __init__(self, loader: Any) -> None:
        self.reader = loader.reader
        self._settled = False
        """Whether the next token is known for sure; only taking one changes that."""
        super().__init__(loader)

    def check_token(self, *choices: Any) -> bool:
        """Say whether there is a next token, and it is one of ``choices`` if there are any."""
        if not self._settled:
            self._settle()
        tokens = self.tokens
        return bool(tokens) and (not choices or isinstance(tokens[0], choices))

    def peek_token(self) -> Any:
        """Return the next token and leave it there; None if there is none."""
        if not self._settled:
            self._settle()
        return self.tokens[0] if self.tokens else None

    def get_token(self) -> Any:
        """Take the next token; None if there is none."""
        if not self._settled:
            self._settle()
        self._settled = False
        if not self.tokens:
            return None
        self.tokens_taken += 1
        return self.tokens.pop(0)

    def _settle(self) -> None:
        while self.need_more_tokens():
            self.fetch_more_tokens()
        self._settled = True

    def scan_to_next_token(self) -> Any:
        """Pass over what stands before the next token: mostly nothing, or one space."""
        reader = self.reader
        place = reader.pointer
        following = reader.buffer[place : place + 2]
        if following[:1] == " " and following[1:] not in _SPECIAL:
            self._pass(1)
            return None
        return None if following[:1] not in _SPECIAL and following else super().scan_to_next_token()

    def scan_plain(self) -> Any:
        """Return a scalar without quotes."""
        reader = self.reader
        match = (_IN_BRACKETS if self.flow_level else _IN_BLOCK).match(reader.buffer, reader.pointer)
        indent = None if match is None or self.flow_level else match["indent"]
        if match is None or (indent is not None and len(indent) > self.indent):
            return super().scan_plain()  # it may go on in the next line
        begin = reader.get_mark()
        self._pass(match.end(1) - match.start(1))
        token = ScalarToken(match[1], True, begin, reader.get_mark())
        self.allow_simple_key = False
        if indent is not None:
            reader.pointer += 1 + len(indent)
            reader.index += 1 + len(indent)
            reader.line += 1
            reader.column = len(indent)
            self.allow_simple_key = True
        return token

    def _pass(self, length: int) -> None:
        """Go on by some characters within the line."""
        reader = self.reader
        reader.pointer += length
        reader.index += length
        reader.column += length


class QuickParser(Parser):
    """The library's parser, with its scanner at hand."""

    scanner: Any = None
    """A plain attribute in place of the library's property."""

    def __init__(self, loader: Any) -> None:
        self.scanner = loader.scanner
        super().__init__(loader)
