"""Lists and mappings in brackets, read whole where they hold nothing but plain words and stand in one line.

Most of a large scenario is such brackets. Token by token they take the library's scanner and parser many calls a word;
here they become events at once, the same as the library's. What is anything else is left to the library.
"""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml.error import StringMark
from ruamel.yaml.events import (
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

LONGEST = 900
"""Characters of brackets that are read at once: fewer than the library lets a key have."""
_WORDS = r"(?:[A-Za-z0-9_./+]|-[A-Za-z0-9_./%+-])[A-Za-z0-9_./%+-]*(?: [A-Za-z0-9_./%+-]+)*"
_KEY = re.compile(rf"({_WORDS}): (?=[A-Za-z0-9_./+{{\[-])")
_VALUE = re.compile(rf"({_WORDS})(?=[,\]}}])")
_PLAIN = (True, False)


class _Mark(StringMark):
    """A place in the text: the library's class, made in one call."""

    __slots__ = ()

    def __init__(self, name: Any, index: int, line: int, column: int, buffer: str, pointer: int) -> None:
        self.name = name
        self.index = index
        self.line = line
        self.column = column
        self.buffer = buffer
        self.pointer = pointer


def read_brackets(reader: Any) -> tuple[list[Event], int]:
    """Return the events of the brackets that begin at the reader's place, and how many characters they are.

    No events if they hold more than plain words and brackets of them, or are longer than ``LONGEST``; then with the
    number of characters up to where that was seen.
    """
    buffer, begin = reader.buffer, reader.pointer
    name, line, index, column = reader.name, reader.line, reader.index, reader.column
    place = begin
    last = begin + LONGEST
    events: list[Event] = []
    opened: list[str] = []

    def mark(at: int) -> _Mark:
        passed = at - begin
        return _Mark(name, index + passed, line, column + passed, buffer, at)

    def scalar(match: re.Match[str]) -> None:
        events.append(ScalarEvent(None, None, _PLAIN, match[1], mark(match.start()), mark(match.end(1))))

    wants_value = True
    while place < last:
        character = buffer[place]
        if wants_value and (character == "{" or character == "["):
            opened.append(character)
            kind = MappingStartEvent if character == "{" else SequenceStartEvent
            events.append(kind(None, None, True, mark(place), mark(place + 1), flow_style=True))
            place += 1
        elif wants_value:
            match = _VALUE.match(buffer, place)
            if match is None:
                break
            scalar(match)
            place = match.end()
            wants_value = False
            continue
        elif character == ",":
            place += 2 if buffer[place + 1] == " " else 1
        else:
            opening = opened.pop()
            if character != ("}" if opening == "{" else "]"):
                break
            end = MappingEndEvent if opening == "{" else SequenceEndEvent
            events.append(end(mark(place), mark(place + 1)))
            place += 1
            if not opened:
                return events, place - begin
            if buffer[place] not in ",]}":
                break
            continue
        if opened[-1] == "{":
            match = _KEY.match(buffer, place)
            if match is None:
                break
            scalar(match)
            place = match.end()
        wants_value = True
    return [], place - begin
