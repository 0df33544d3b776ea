"""The hash of a table's content: of its values, not of the Parquet bytes that hold them.

Each column is hashed on its own, value after value, so that neither the size of the batches nor the version of the
Parquet writer can reach the result. A table's hash covers, column by column in the order of the contract, the name,
the type and the hash of the values; the digest covers the name, the number of rows and the hash of every table.
Columns that came later than the others count where they say anything at all: as long as nothing uses what they are
about, results have the hash that they had before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from meshsim.telemetry.columns import columns as columns_of
from meshsim.telemetry.rows import LATER_TABLES, TABLES

_ENCODER = msgspec.msgpack.Encoder()
_FIXARRAY_LARGEST, _ARRAY16_LARGEST = 15, 0xFFFF


class TableHash:
    """The running hash of one table, fed batch by batch."""

    def __init__(self, table: str) -> None:
        self.rows = 0
        self.columns = [ColumnHash(column.name, column.type, later=column.later) for column in columns_of(table)]
        """One hash a column; whoever feeds them one by one counts ``rows`` too."""

    def update(self, columns: Sequence[npt.NDArray[Any] | Sequence[str]]) -> None:
        """Take one batch: the columns of the table, in order and all of one length; numbers come as arrays."""
        for known, column in zip(self.columns, columns, strict=True):
            known.update(column)
        self.rows += len(columns[0])

    def hexdigest(self) -> str:
        """The hash of all rows so far, 64 hexadecimal digits."""
        whole = hashlib.sha256()
        for column in self.columns:
            if column.counts:
                whole.update(f"{column.name}:{column.kind}:{column.state.hexdigest()}\n".encode())
        return whole.hexdigest()


class ColumnHash:
    """The running hash of one column."""

    def __init__(self, name: str, kind: str, *, later: bool) -> None:
        self.name = name
        self.kind = kind
        self.state = hashlib.sha256()
        self.counts = not later
        """Whether it counts: one that came later does as soon as a value is not zero, false or empty."""

    def update(self, column: npt.NDArray[Any] | Sequence[str]) -> None:
        """Take the values of one batch."""
        if isinstance(column, np.ndarray):
            self.counts = self.counts or bool(np.any(column))
            values = np.ascontiguousarray(column, dtype="<i8" if self.kind == "int64" else np.uint8)
            self.state.update(values.data)
        else:
            self.counts = self.counts or any(column)
            self.state.update(_strings(column))

    def repeat(self, value: str, count: int) -> None:
        """Take one string, ``count`` times."""
        self.counts = self.counts or bool(value)
        self.state.update(_ENCODER.encode(value) * count)


def run_digest(tables: Mapping[str, tuple[int, str]]) -> str:
    """The digest of a run from each table's number of rows and hash, all tables of the contract in its order.

    A scenario without what a later table is about keeps its digest.
    """
    whole = hashlib.sha256()
    for table in TABLES:
        rows, sha256 = tables[table]
        if not rows and table in LATER_TABLES:
            continue
        whole.update(f"{table}:{rows}:{sha256}\n".encode())
    return whole.hexdigest()


def _strings(values: Sequence[str]) -> memoryview:
    """The MessagePack form of each string, one after the other: each carries its own length."""
    header = 1 if len(values) <= _FIXARRAY_LARGEST else 3 if len(values) <= _ARRAY16_LARGEST else 5
    return memoryview(_ENCODER.encode(values))[header:]
