"""From rows to columns: what a table has taken since its last row group, and the hash of all that it took.

Rows come a few hundred at a time, while they are still in the processor's cache. They are turned over into columns at
once, and the rows let go. Very many of these short columns hold one value only (a slice, an outcome, a part of the
latency that nothing was spent on): to see that takes a tenth of the time of converting each value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import astuple

from meshsim.results.arrays import arrow_of, arrow_of_codes
from meshsim.results.content import ColumnHash, TableHash
from meshsim.telemetry.columns import columns

GROUP_ROWS = 8_192
"""Rows of one row group of the file."""
CHUNK_ROWS = 256
"""Rows that are turned over together: more would not stay in the cache."""


class TableBuffer:
    """The columns of one table that wait to be written. ``hash`` covers these too, once they are given out."""

    def __init__(self, table: str) -> None:
        self.hash = TableHash(table)
        kinds = [column.type for column in columns(table)]
        self._columns: list[_Strings | _Numbers] = [
            _Strings(state) if kind == "string" else _Numbers(state, np.bool_ if kind == "bool" else np.int64)
            for kind, state in zip(kinds, self.hash.columns, strict=True)
        ]
        self._size = 0

    def add(self, rows: list[msgspec.Struct]) -> Iterator[list[Any]]:
        """Take rows; yield the Arrow arrays of each row group that is full. They hold until the next step."""
        begin = 0
        while begin < len(rows):
            size = self._size
            chunk = rows[begin : begin + min(CHUNK_ROWS, GROUP_ROWS - size)]
            begin += len(chunk)
            self._size = end = size + len(chunk)
            for column, values in zip(self._columns, zip(*map(astuple, chunk), strict=True), strict=True):
                column.add(size, end, values)
            if end == GROUP_ROWS:
                yield self._take()

    def flush(self) -> list[Any] | None:
        """Return the Arrow arrays of what is left, None if nothing is."""
        return self._take() if self._size else None

    def _take(self) -> list[Any]:
        size, self._size = self._size, 0
        self.hash.rows += size
        return [column.take(size) for column in self._columns]


class _Numbers:
    """A column of integers or booleans."""

    def __init__(self, state: ColumnHash, dtype: type[np.generic]) -> None:
        self._hash = state
        self._values = np.empty(GROUP_ROWS, dtype)

    def add(self, begin: int, end: int, values: tuple[int, ...]) -> None:
        first = values[0]
        if values[-1] == first and values.count(first) == end - begin:
            self._values[begin:end] = first
        elif self._values.dtype == np.bool_:
            self._values[begin:end] = np.frombuffer(bytes(values), np.bool_)
        else:
            self._values[begin:end] = np.fromiter(values, np.int64, end - begin)

    def take(self, size: int) -> Any:
        values = self._values[:size]
        self._hash.update(values)
        return arrow_of(values)


class _Strings:
    """A column of strings, kept as numbers of the distinct ones among them."""

    def __init__(self, state: ColumnHash) -> None:
        self._hash = state
        self._codes = _Codes()
        self._numbers = np.empty(GROUP_ROWS, np.int32)

    def add(self, begin: int, end: int, values: Sequence[str]) -> None:
        first = values[0]
        if values[-1] == first and values.count(first) == end - begin:
            self._numbers[begin:end] = self._codes[first]
            self._hash.repeat(first, end - begin)
        else:
            self._numbers[begin:end] = np.fromiter(map(self._codes.__getitem__, values), np.int32, end - begin)
            self._hash.update(values)

    def take(self, size: int) -> Any:
        array = arrow_of_codes(self._numbers[:size], self._codes)
        self._codes = _Codes()
        return array


class _Codes(dict[str, int]):
    """Numbers strings in the order in which they are first asked for."""

    def __missing__(self, value: str) -> int:
        self[value] = code = len(self)
        return code
