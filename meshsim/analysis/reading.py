"""Columns from Parquet files into arrays that take as little memory as their values allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from meshsim.results.arrays import array_of
from meshsim.results.tables import column_batches, column_ranges
from meshsim.telemetry.columns import columns

Ints = npt.NDArray[np.signedinteger[Any]]
"""Integers, in 32 or 64 bits: as many as the largest needs."""
Flags = npt.NDArray[np.bool_]

_NARROW = np.iinfo(np.int32)


class Names(NamedTuple):
    """A column of strings: ``values[codes[i]]`` is the string of row i. The values are sorted and without doubles."""

    codes: Ints
    values: tuple[str, ...]

    def code(self, value: str) -> int:
        """The code of ``value``; -1, which no row has, if it does not occur."""
        return self.values.index(value) if value in self.values else -1

    def is_in(self, wanted: frozenset[str] | tuple[str, ...]) -> Flags:
        """Which rows have one of the ``wanted`` strings."""
        return np.array([value in wanted for value in self.values] + [False])[self.codes]


Column = Ints | Flags | Names


def size_bytes(column: Column) -> int:
    """Memory that a column takes: next to nothing if it has one value throughout."""
    array = column.codes if isinstance(column, Names) else column
    return array.nbytes if array.strides[0] else array.itemsize


def read_columns(folder: Path, table: str, names: list[str]) -> dict[str, Column]:
    """Read columns of the run in ``folder`` by name.

    Integers come in the narrowest of 32 and 64 bits that holds them, and a column with one value throughout is that
    value, told many times. Raises OSError or ArrowException if the file is missing or damaged.
    """
    kinds = {column.name: column.type for column in columns(table)}
    rows, ranges = column_ranges(folder, table, [name for name in names if kinds[name] == "int64"])
    arrays: dict[str, Any] = {}
    codes: dict[str, dict[str, int]] = {}
    for name in names:
        if kinds[name] == "bool":
            arrays[name] = np.empty(rows, dtype=np.bool_)
        elif kinds[name] == "string":
            arrays[name] = np.empty(rows, dtype=np.int32)
            codes[name] = {}
        else:
            arrays[name] = _for_range(rows, ranges[name])
    wanted = [name for name in names if arrays[name].flags.writeable]
    begin = 0
    for batch in column_batches(folder, table, wanted) if wanted else ():
        end = begin + batch.num_rows
        for name, column in zip(wanted, batch.columns, strict=True):
            arrays[name][begin:end] = _recoded(column, codes[name]) if name in codes else array_of(column)
        begin = end
    return {name: _names(array, codes[name]) if name in codes else array for name, array in arrays.items()}


class Part(NamedTuple):
    """Some rows of a table."""

    names: dict[str, Names]
    """Columns of strings; a value need not occur in these rows."""
    ints: dict[str, Ints]


def read_parts(folder: Path, table: str, names: Sequence[str], ints: Sequence[str]) -> Iterator[Part]:
    """Yield columns of the run in ``folder`` some rows at a time. Errors as above."""
    for batch in column_batches(folder, table, [*names, *ints]):
        strings = {}
        for name in names:
            codes: dict[str, int] = {}
            strings[name] = _names(_recoded(batch.column(name), codes), codes)
        yield Part(strings, {name: array_of(batch.column(name)) for name in ints})


def _for_range(rows: int, found: tuple[int, int] | None) -> Any:
    if found is None:
        return np.empty(rows, dtype=np.int64)
    smallest, largest = found
    dtype = _dtype_for(smallest, largest)
    return np.broadcast_to(dtype(smallest), rows) if smallest == largest else np.empty(rows, dtype=dtype)


def _dtype_for(smallest: int, largest: int) -> type[np.int32] | type[np.int64]:
    return np.int32 if smallest >= _NARROW.min and largest <= _NARROW.max else np.int64


def compacted(values: Ints) -> Ints:
    """The same integers in the narrowest type."""
    return values.astype(_dtype_for(int(values.min()), int(values.max()))) if values.size else values


def _recoded(column: Any, codes: dict[str, int]) -> Any:
    """The codes of a batch of strings, of which each batch brings its own dictionary."""
    known = [codes.setdefault(value, len(codes)) for value in column.dictionary.to_pylist()]
    return np.array(known, dtype=np.int32)[array_of(column.indices)]


def _names(found: Any, codes: dict[str, int]) -> Names:
    values = sorted(codes)
    recode = np.empty(len(values), dtype=np.int16 if len(values) <= np.iinfo(np.int16).max else np.int32)
    recode[[codes[value] for value in values]] = np.arange(len(values))
    return Names(recode[found], tuple(values))
