"""The scanner and the parser of ruamel.yaml with shortcuts for what nearly all of a file is made of.

They find the same tokens in a third of the time: plain words, alone or in a row, before the end of their line, a comma,
a bracket or a colon are matched as a whole, brackets with nothing but those in them are read at once
(``yaml_brackets``), and what has been looked at is not looked at again. Everything else goes the library's own way.
This module uses attributes of the library's scanner, which is why its version is bounded.
"""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml.events import Event
from ruamel.yaml.parser import Parser
from ruamel.yaml.scanner import Scanner
from ruamel.yaml.tokens import FlowMappingStartToken, FlowSequenceStartToken, ScalarToken

from meshsim.scenario.yaml_brackets import read_brackets

_WORDS = r"[A-Za-z0-9_./%+-]+(?: [A-Za-z0-9_./%+-]+)*"
_IN_BRACKETS = re.compile(rf"({_WORDS})(?:[,\]}}]|: )")
_IN_BLOCK = re.compile(rf"({_WORDS})(?:(?P<key>:[ \n])|\n(?P<indent> *)[A-Za-z0-9_\"'])")
"""A key, or a value at the end of its line, with the first character of the next line."""
_SPECIAL = frozenset(" \t#\r\n\0\x85\u2028\u2029\ufeff")
"""Characters that the way to the next token may have to do with."""


class MappingToken(FlowMappingStartToken):
    """A mapping in braces that has been read whole, as the token at its beginning."""

    __slots__ = ("events",)

    events: list[Event]


class SequenceToken(FlowSequenceStartToken):
    """A list in brackets that has been read whole, as the token at its beginning."""

    __slots__ = ("events",)

    events: list[Event]


class QuickScanner(Scanner):
    """Scans the whole text, which has to be given as a string."""

    reader: Any = None
    """A plain attribute in place of the library's property."""

    def __init__(self, loader: Any) -> None:
        self.reader = loader.reader
        self._settled = False
        """Whether the next token is known for sure; only taking one changes that."""
        self._tried = 0
        """Place up to which it is known that brackets cannot be read at once."""
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

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:  # noqa: N803 - the library's name
        """Take a list or mapping in brackets, whole if that can be, else its beginning."""
        reader = self.reader
        if reader.pointer >= self._tried and not any(key.required for key in self.possible_simple_keys.values()):
            events, length = read_brackets(reader)
            if events:
                self.save_possible_simple_key()
                kind: Any = MappingToken if to_push == "{" else SequenceToken
                token = kind(events[0].start_mark, events[0].end_mark)
                token.events = events
                self.tokens.append(token)
                self.allow_simple_key = False
                self._pass(length)
                return
            self._tried = reader.pointer + length
        super().fetch_flow_collection_start(TokenClass, to_push)

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

    _events: list[Event]
    """Of the brackets that were read whole."""
    _at = 0

    def parse_flow_mapping_first_key(self) -> Any:
        """Begin with what is in braces."""
        return self._whole(self.scanner.peek_token()) or super().parse_flow_mapping_first_key()

    def parse_flow_sequence_first_entry(self) -> Any:
        """Begin with what is in brackets."""
        return self._whole(self.scanner.peek_token()) or super().parse_flow_sequence_first_entry()

    def _whole(self, token: Any) -> Any:
        """Return the first event inside of brackets that were read whole, and give out the others; None for others."""
        if not isinstance(token, MappingToken | SequenceToken):
            return None
        self.scanner.get_token()
        self._events = token.events
        self._at = 1
        self.state = self._next
        return self._next()

    def _next(self) -> Event:
        events, at = self._events, self._at
        self._at = at + 1
        if at == len(events) - 1:
            self.state = self.states.pop()
        return events[at]
