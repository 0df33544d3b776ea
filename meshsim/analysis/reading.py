"""Columns from Parquet files into arrays that take as little memory as their values allow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from meshsim.results.arrays import array_of
from meshsim.results.tables import TableFile
from meshsim.telemetry.columns import columns

Ints = npt.NDArray[np.signedinteger[Any]]
"""Integers, in 32 or 64 bits: as many as the largest needs."""
Flags = npt.NDArray[np.bool_]

_NARROW = np.iinfo(np.int32)
_SHORT = np.iinfo(np.int16)
_PART_ROWS = 262_144
"""Rows of a column that are recoded together: their places take no more room than a few MB."""


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


def read_columns(
    folder: Path, table: str, names: list[str], make_room: Callable[[int], None] | None = None
) -> dict[str, Column]:
    """Read columns of the run in ``folder`` by name, as ``read_groups`` does.

    Raises OSError or ArrowException if the file is missing or damaged.
    """
    with TableFile(folder, table) as file:
        return read_groups(file, table, names, file.groups, make_room)


def read_groups(
    file: TableFile, table: str, names: list[str], groups: range, make_room: Callable[[int], None] | None = None
) -> dict[str, Column]:
    """Read columns of some row groups of a table by name.

    Integers come in the narrowest of 32 and 64 bits that holds them, and a column with one value throughout is that
    value, told many times, for which nothing is read. ``make_room`` is called before anything is read, with the bytes
    that the columns will take.
    """
    kinds = {column.name: column.type for column in columns(table)}
    rows, ranges = file.rows(groups), file.ranges(names, groups)
    arrays: dict[str, Any] = {}
    codes: dict[str, dict[str, int]] = {}
    for name in names:
        if kinds[name] == "string":
            arrays[name], codes[name] = _for_strings(rows, ranges[name])
        else:
            arrays[name] = _for_range(rows, ranges[name], np.bool_ if kinds[name] == "bool" else np.int64)
    wanted = [name for name in names if arrays[name].flags.writeable]
    if make_room is not None:
        make_room(sum(arrays[name].nbytes for name in wanted))
    begin = 0
    for batch in file.batches(wanted, groups) if wanted else ():
        end = begin + batch.num_rows
        for name, column in zip(wanted, batch.columns, strict=True):
            if name in codes:
                arrays[name] = _with_codes(arrays[name], begin, end, column, codes[name])
            else:
                arrays[name][begin:end] = array_of(column)
        begin = end
    return {name: _names(array, codes[name]) if name in codes else array for name, array in arrays.items()}


def _for_strings(rows: int, found: tuple[str, str] | None) -> tuple[Any, dict[str, int]]:
    if found is not None and found[0] == found[1]:
        return np.broadcast_to(np.int16(0), rows), {found[0]: 0}
    return np.zeros(rows, dtype=np.int16), {}  # takes no memory before something else is written


def _for_range(rows: int, found: tuple[int, int] | None, widest: type[np.int64] | type[np.bool_]) -> Any:
    if found is None:
        return np.empty(rows, dtype=widest)
    smallest, largest = found
    dtype = np.bool_ if widest is np.bool_ else _dtype_for(smallest, largest)
    return np.broadcast_to(dtype(smallest), rows) if smallest == largest else np.empty(rows, dtype=dtype)


def _dtype_for(smallest: int, largest: int) -> type[np.int32] | type[np.int64]:
    return np.int32 if smallest >= _NARROW.min and largest <= _NARROW.max else np.int64


def _recoded(column: Any, codes: dict[str, int]) -> Any:
    """The codes of a batch of strings, of which each batch brings its own dictionary."""
    known = [codes.setdefault(value, len(codes)) for value in column.dictionary.to_pylist()]
    return np.array(known, dtype=np.int32)[array_of(column.indices)]


def _with_codes(array: Any, begin: int, end: int, column: Any, codes: dict[str, int]) -> Any:
    """The array with the codes of a batch written into it; a wider one once there are too many for it."""
    found = _recoded(column, codes)
    if len(codes) > _SHORT.max and array.dtype == np.int16:
        array = array.astype(np.int32)
    if len(codes) > 1:
        array[begin:end] = found
    return array


def _names(found: Any, codes: dict[str, int]) -> Names:
    """The column whose codes are ``found``, which is reused, once its strings are sorted."""
    values = sorted(codes)
    dtype = np.int16 if len(values) <= _SHORT.max else np.int32
    if len(values) == 1:
        return Names(np.broadcast_to(dtype(0), found.size), tuple(values))
    recode = np.empty(len(values), dtype=dtype)
    recode[[codes[value] for value in values]] = np.arange(len(values))
    sorted_codes = found if found.dtype == dtype else np.empty(found.size, dtype=dtype)
    for begin in range(0, found.size, _PART_ROWS):
        part = slice(begin, begin + _PART_ROWS)
        sorted_codes[part] = recode[found[part]]
    return Names(sorted_codes, tuple(values))
