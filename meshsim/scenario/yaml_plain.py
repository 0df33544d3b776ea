"""Plain YAML, read at once: what nearly every file is made of, without an event of the library.

That is mappings and lists by indentation or in brackets, words with and without quotes, simple block scalars, and
comments. A text with anything else in it, right or wrong, is left to the library, which knows what to make of it and
what to say. What is read here is as it would be there, each value and each place.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from functools import partial
from typing import Any

from meshsim.scenario.positions import Path, Place, Positions
from meshsim.scenario.yaml_patterns import (
    AFTER,
    BLOCK,
    CLOSING,
    ELSEWHERE,
    EMPTY,
    EMPTY_LINES,
    END,
    INNER_KEY,
    INNER_VALUE,
    KEY,
    LONGEST_KEY,
    MAX_DEPTH,
    MAX_VALUES,
    NEXT,
    OPENING,
    SEPARATOR,
    VALUE,
)
from meshsim.scenario.yaml_scalars import resolve_manifest, resolve_plain


def read_plain(text: str, file: str) -> tuple[Any, Positions] | None:
    """Return the plain data of ``text`` and the place of each key and value; None if the library has to read it."""
    try:
        data = _PlainReader(text, resolve_plain).read()
    except ValueError:
        return None
    return data, Positions(file, partial(_place_all, text, resolve_plain, 0))


def read_plain_documents(text: str, file: str, lines_before: int) -> list[tuple[Any, Positions]] | None:
    """Return the same of each document between lines ``---``, with words as manifests have them."""
    found = []
    count = 0
    for part in SEPARATOR.split(text):
        try:
            reader = _PlainReader(part, resolve_manifest)
            data = None if EMPTY.fullmatch(part) else reader.read()
        except ValueError:
            return None
        if data is not None:
            count += len(reader.places)
            found.append((data, Positions(file, partial(_place_all, part, resolve_manifest, lines_before))))
        lines_before += part.count("\n") + 1
    return found if count <= MAX_VALUES else None


def _place_all(text: str, resolve: Callable[[str], Any], lines_before: int, positions: Positions) -> None:
    """Note where each key and value of a plain text stands, which few ever ask."""
    reader = _PlainReader(text, resolve)
    data, starts = reader.read(), iter(reader.places)
    ends = [match.start() for match in re.finditer("\n", text)]

    def place(at: int) -> Place:
        line = bisect_left(ends, at)
        return Place(positions.file, lines_before + line + 1, at - (ends[line - 1] if line else -1))

    def note(value: Any, path: Path) -> None:
        positions.values[path] = place(next(starts))
        if isinstance(value, dict):
            for key, entry in value.items():
                positions.keys[*path, key] = place(next(starts))
                note(entry, (*path, key))
        elif isinstance(value, list):
            for index, entry in enumerate(value):
                note(entry, (*path, index))

    note(data, ())


class _UnusualError(ValueError):
    """What the library has to look at."""


class _Known(dict[str, Any]):
    """What words stand for; the same words come again and again."""

    def __init__(self, meaning: Callable[[str], Any]) -> None:
        self._meaning = meaning

    def __missing__(self, words: str) -> Any:
        found = self[words] = self._meaning(words)
        return found


def _plain_key(resolve: Callable[[str], Any], words: str) -> str:
    key = resolve(words)
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise _UnusualError
    return _quoted_key(str(key))


def _quoted_key(key: str) -> str:
    if key == "<<":
        raise _UnusualError
    return key


class _PlainReader:
    """Reads one text. Raises ValueError where it holds anything that is not as plain as this reader knows it."""

    def __init__(self, text: str, resolve: Callable[[str], Any]) -> None:
        if ELSEWHERE.search(text):
            raise _UnusualError
        self._text = text if text.endswith("\n") else f"{text}\n"
        self._whole_lines = text.endswith("\n")
        self._values = _Known(resolve)
        self._keys = _Known(partial(_plain_key, resolve))
        self._at = 0
        """Where the next line begins, past its indentation."""
        self._indent = 0
        """Its indentation; -1 at the end of the text."""
        self.places: list[int] = []
        """Where everything stands, in the order of the text: each value, each entry of a mapping after its key."""

    def read(self) -> Any:
        """Return the plain data of the text, which must be a mapping or a list."""
        self._go_on(0)
        if self._indent < 0:
            raise _UnusualError
        if self._text[self._at] in "{[":
            data, end = self._brackets(self._at, 1)
            self._end_line(end, -1)
        else:
            data = self._block(self._indent, 1)
        if self._indent >= 0 or len(self.places) > MAX_VALUES:
            raise _UnusualError
        return data

    # By indentation

    def _go_on(self, at: int) -> None:
        """Go to the next line with something in it, from the beginning of one."""
        match = NEXT.match(self._text, at)
        assert match is not None, "it matches nothing at all, too"
        self._at = match.end()
        self._indent = len(match[1]) if self._at < len(self._text) else -1

    def _end_line(self, at: int, indent: int) -> None:
        """Go to the next line from the end of a value, which must not go on there."""
        match = END.match(self._text, at)
        if match is None:
            raise _UnusualError
        self._go_on(match.end())
        if self._indent > indent:
            raise _UnusualError

    def _block(self, indent: int, depth: int) -> Any:
        """Return the mapping or list whose first entry begins here, in that column."""
        if depth > MAX_DEPTH:
            raise _UnusualError
        self.places.append(self._at)
        return self._list(indent, depth) if self._text.startswith("- ", self._at) else self._mapping(indent, depth)

    def _mapping(self, indent: int, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        while self._indent == indent:
            begin = self._at
            match = KEY.match(self._text, begin)
            if match is None or match.end() - begin > LONGEST_KEY or len(self.places) > MAX_VALUES:
                raise _UnusualError
            key = self._keys[match[1]] if match[1] is not None else _quoted_key(match[match.lastindex or 0])
            if key in data:
                raise _UnusualError
            self.places.append(begin)
            at = match.end()
            if self._text[at] in "\n#":
                data[key] = self._below(at, indent, depth, begin)
            else:
                data[key] = self._value(at, indent, depth)
        if self._indent > indent:
            raise _UnusualError
        return data

    def _below(self, at: int, indent: int, depth: int, begin: int) -> Any:
        """Return what stands in the lines below a key, which begins at ``begin``; None if nothing does."""
        match = END.match(self._text, at)
        if match is None:
            raise _UnusualError
        self._go_on(match.end())
        listed = self._indent == indent and self._text.startswith("- ", self._at)
        if listed or self._indent > indent:
            bracketed = self._text[self._at] in "{["
            return self._value(self._at, indent, depth) if bracketed else self._block(self._indent, depth + 1)
        self.places.append(begin)
        return None

    def _list(self, indent: int, depth: int) -> list[Any]:
        data: list[Any] = []
        while self._indent == indent and self._text.startswith("- ", self._at):
            if len(self.places) > MAX_VALUES:
                raise _UnusualError
            at = self._at + 2
            while self._text[at] == " ":
                at += 1
            if self._text.startswith("- ", at) or KEY.match(self._text, at):
                self._indent += at - self._at
                self._at = at
                data.append(self._block(self._indent, depth + 1))
            else:
                data.append(self._value(at, indent, depth))
        if self._indent > indent:
            raise _UnusualError
        return data

    def _value(self, at: int, indent: int, depth: int) -> Any:
        """Return the value that begins in a line, and go on to the next."""
        character = self._text[at]
        if character in "{[":
            data, end = self._brackets(at, depth + 1)
            self._end_line(end, indent)
            return data
        self.places.append(at)
        if character in "|>":
            return self._scalar_of_lines(at, indent)
        match = VALUE.match(self._text, at)
        if match is None:
            raise _UnusualError
        self._end_line(match.end(), indent)
        return self._values[match[1]] if match[1] is not None else match[match.lastindex or 0]

    def _scalar_of_lines(self, at: int, indent: int) -> str:
        """Return the text in the lines below ``|`` or ``>``, all indented alike; empty ones only behind it."""
        match = BLOCK.match(self._text, at)
        if match is None or len(match[3]) <= indent or not self._whole_lines:
            raise _UnusualError
        margin, lines, start = match[3], [], match.start(3)
        first = len(margin)
        while self._text.startswith(margin, start):
            end = self._text.index("\n", start)
            if end == start + first or self._text[start + first] == " " or self._text[end - 1] == " ":
                raise _UnusualError
            lines.append(self._text[start + first : end])
            start = end + 1
        following = EMPTY_LINES.match(self._text, start)
        if following is None or len(following[1]) > indent:
            raise _UnusualError
        if f"\n{margin} " in self._text[start - 1 : following.end()]:  # more spaces than its margin are text
            raise _UnusualError
        self._go_on(start)
        return (" " if match[1] == ">" else "\n").join(lines) + ("" if match[2] else "\n")

    # In brackets

    def _brackets(self, at: int, depth: int) -> tuple[Any, int]:
        """Return what stands in the brackets that open here, and where they end."""
        if depth > MAX_DEPTH:
            raise _UnusualError
        self.places.append(at)
        opening = self._text[at]
        empty = CLOSING.match(self._text, at + 1)
        if empty is not None:
            return self._closed(opening, {} if opening == "{" else [], empty[1], empty.end())
        if opening == "{":
            return self._braces(at + 1, depth)
        entries = []
        at, mark = at + 1, ","
        while mark == ",":
            entry, mark, at = self._inner(at, depth)
            entries.append(entry)
        return self._closed(opening, entries, mark, at)

    def _braces(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        data: dict[str, Any] = {}
        mark = ","
        while mark == ",":
            match = INNER_KEY.match(self._text, at)
            if match is None or match.end() - at > LONGEST_KEY:
                raise _UnusualError
            if match[1] is not None:
                key = self._keys[match[1]]
                self.places.append(match.start(1))
            else:
                group = match.lastindex or 0
                key = _quoted_key(match[group])
                self.places.append(match.start(group) - 1)
            if key in data:
                raise _UnusualError
            data[key], mark, at = self._inner(match.end(), depth)
        return self._closed("{", data, mark, at)

    def _closed(self, opening: str, data: Any, mark: str, end: int) -> tuple[Any, int]:
        if mark != ("}" if opening == "{" else "]"):
            raise _UnusualError
        return data, end

    def _inner(self, at: int, depth: int) -> tuple[Any, str, int]:
        """Return a value in brackets, the comma or closing bracket behind it, and where that ends."""
        match = INNER_VALUE.match(self._text, at)
        if match is None:
            opening = OPENING.match(self._text, at)
            if opening is None:
                raise _UnusualError
            data, end = self._brackets(opening.start(1), depth + 1)
            after = AFTER.match(self._text, end)
            if after is None:
                raise _UnusualError
            return data, after[1], after.end()
        if len(self.places) > MAX_VALUES:
            raise _UnusualError
        words = match[1]
        if words is not None:
            self.places.append(match.start(1))
            return self._values[words], match[4], match.end()
        group = 2 if match[2] is not None else 3
        self.places.append(match.start(group) - 1)
        return match[group], match[4], match.end()
