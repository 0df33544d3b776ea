"""Parquet tables: the sink that the recorder writes to, and reading back what it wrote."""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from meshsim.results.arrays import array_of
from meshsim.results.buffers import TableBuffer
from meshsim.results.content import TableHash
from meshsim.telemetry.columns import Column, columns
from meshsim.telemetry.rows import TABLES

_PYTHON_TYPES: dict[str, type] = {"int64": int, "bool": bool, "string": str}
_NOTHING: dict[str, Any] = {"int64": 0, "bool": False, "string": ""}
_ARROW_TYPES = {"int64": pa.int64(), "bool": pa.bool_(), "string": pa.string()}

VERIFY_ROWS = 65_536
"""Rows that a verification holds in memory at a time."""


def schema_of(table: str) -> pa.Schema:
    """The Arrow schema of ``table``: int64, bool and string columns, none of them nullable."""
    return pa.schema([pa.field(column.name, _ARROW_TYPES[column.type], nullable=False) for column in columns(table)])


def table_file(folder: Path, table: str) -> Path:
    """Where a run folder keeps ``table``."""
    return folder / f"{table}.parquet"


class OtherColumnsError(pa.ArrowInvalid):  # type: ignore[misc]  # pyarrow has no types
    """A file holds other columns than this version writes."""


def lacking(schema: pa.Schema, table: str) -> tuple[Column, ...]:
    """The columns of ``table`` that a file does not have because it is older than they are: they hold nothing.

    Raises OtherColumnsError if its columns are otherwise not those of the contract.
    """
    absent = tuple(column for column in columns(table) if column.later and column.name not in schema.names)
    known = {column.name for column in absent}
    if not schema.equals(pa.schema([field for field in schema_of(table) if field.name not in known])):
        raise OtherColumnsError(f"the columns of {table} are not those of this version")
    return absent


def check_columns(folder: Path, table: str) -> None:
    """Raise OtherColumnsError unless the file of ``table`` has the columns of the contract.

    Raises OSError or another ArrowException if the file is missing or damaged.
    """
    lacking(pq.read_schema(table_file(folder, table)), table)


class ParquetSink:
    """Writes batches of rows to one Parquet file per table, and hashes what it writes.

    Satisfies ``telemetry.recorder.Sink``. Every table of the contract gets its file, with or without rows.
    Raises OSError when the disk does.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tables: dict[str, _TableWriter] = {}

    def write(self, table: str, rows: list[msgspec.Struct]) -> None:
        """Write one batch of ``table``."""
        self._writer(table).write(rows)

    def close(self) -> dict[str, tuple[int, str]]:
        """Finish all files; return each table's number of rows and content hash, in the contract's order."""
        return {table: self._writer(table).close() for table in TABLES}

    def abandon(self) -> None:
        """Let go of all files, whatever state they are in."""
        for writer in self._tables.values():
            writer.abandon()

    def _writer(self, table: str) -> _TableWriter:
        writer = self._tables.get(table)
        if writer is None:
            writer = self._tables[table] = _TableWriter(self._folder, table)
        return writer


class _TableWriter:
    """One open Parquet file."""

    def __init__(self, folder: Path, table: str) -> None:
        self._schema = schema_of(table)
        self._row_type = TABLES[table]
        self._columns = columns(table)
        self._buffer = TableBuffer(table)
        # Dictionaries pay for names, which repeat; times hardly ever do, and trying costs a fifth of the write.
        repeating = [column.name for column in self._columns if column.type == "string"]
        self._writer: Any = pq.ParquetWriter(
            table_file(folder, table), self._schema, compression="zstd", use_dictionary=repeating or False
        )

    def write(self, rows: list[msgspec.Struct]) -> None:
        """Take one batch; write what has become a row group."""
        self._check(rows[0])
        for arrays in self._buffer.add(rows):
            self._write(arrays)

    def close(self) -> tuple[int, str]:
        """Write what is left, and the footer; return the number of rows and the content hash."""
        arrays = self._buffer.flush()
        if arrays is not None:
            self._write(arrays)
        self._writer.close()
        return self._buffer.hash.rows, self._buffer.hash.hexdigest()

    def _write(self, arrays: list[Any]) -> None:
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def abandon(self) -> None:
        """Close without caring for what becomes of the file."""
        try:
            self._writer.close()
        except (OSError, pa.ArrowException):
            # The file is about to be deleted, and the reason to do so is already on its way to the user.
            return

    def _check(self, row: msgspec.Struct) -> None:
        """A float in an integer column would be cut silently on its way into the array: look at one row a batch."""
        assert type(row) is self._row_type, f"a {type(row).__name__} among the rows of {self._row_type.__name__}"
        for column in self._columns:
            value = getattr(row, column.name)
            assert type(value) is _PYTHON_TYPES[column.type], f"{column.name} is {value!r}, expected {column.type}"


def read_table(folder: Path, table: str, names: list[str] | None = None) -> pa.Table:
    """Read ``table`` of the run in ``folder``, all columns or those named; strings come as dictionaries.

    Raises OSError or ArrowException if the file is missing or damaged, KeyError for an unknown table.
    """
    path = table_file(folder, table)
    absent = {column.name: column for column in lacking(pq.read_schema(path), table)}
    wanted = [column.name for column in columns(table)] if names is None else names
    there = [name for name in wanted if name not in absent]
    found = pq.read_table(path, columns=there, read_dictionary=_strings(table, absent), partitioning=None)
    for place, name in enumerate(wanted):
        if name in absent:
            found = found.add_column(place, name, _nothing(absent[name], found.num_rows))
    return found


def _strings(table: str, absent: Container[str]) -> list[str]:
    """The columns with strings that a file has."""
    return [column.name for column in columns(table) if column.type == "string" and column.name not in absent]


def _nothing(column: Column, rows: int) -> Any:
    """A column in which no row says anything, as reading one would give it."""
    values = pa.repeat(pa.scalar(_NOTHING[column.type], _ARROW_TYPES[column.type]), rows)
    return values.dictionary_encode() if column.type == "string" else values


class TableFile:
    """The file of a table, open for reading columns of some of its row groups at a time.

    Raises OSError or ArrowException if the file is missing or damaged, as all of its methods do.
    """

    def __init__(self, folder: Path, table: str) -> None:
        path = table_file(folder, table)
        self._absent = {column.name: _NOTHING[column.type] for column in lacking(pq.read_schema(path), table)}
        self._file: Any = pq.ParquetFile(path, read_dictionary=_strings(table, self._absent))
        self._metadata = self._file.metadata
        self.groups = range(self._metadata.num_row_groups)
        """The row groups by number."""

    def __enter__(self) -> TableFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def rows(self, groups: range) -> int:
        """Return the number of rows in these row groups."""
        return sum(self._metadata.row_group(number).num_rows for number in groups)

    def ranges(self, names: list[str], groups: range) -> dict[str, tuple[Any, Any] | None]:
        """Return the smallest and largest value of each named column in these row groups.

        They come from the file's own statistics, without reading it; None where it has none. A column that the file is
        too old for has one value, zero, false or empty, and is none of ``batches``.
        """
        ranges: dict[str, tuple[Any, Any] | None] = {}
        there = [self._metadata.row_group(number) for number in groups]
        for name in names:
            if name in self._absent:
                ranges[name] = (self._absent[name], self._absent[name])
                continue
            place = self._file.schema_arrow.get_field_index(name)
            found = [group.column(place).statistics for group in there if group.num_rows]
            known = bool(found) and all(one is not None and one.has_min_max for one in found)
            ranges[name] = (min(one.min for one in found), max(one.max for one in found)) if known else None
        return ranges

    def batches(self, names: list[str], groups: range) -> Iterator[pa.RecordBatch]:
        """Yield the named columns of these row groups some rows at a time; strings come as dictionaries."""
        # Row group by row group: a reader of all of them holds the pages of all of them at once.
        for number in groups:
            yield from self._file.read_row_group(number, columns=names, use_threads=False).to_batches()


def hash_table(folder: Path, table: str) -> tuple[int, str]:
    """Number of rows and content hash of ``table`` as it stands on disk.

    Raises OSError or ArrowException if the file is missing, damaged or not of the contract.
    """
    state = TableHash(table)
    with pq.ParquetFile(table_file(folder, table)) as file:
        absent = {column.name: column for column in lacking(file.schema_arrow, table)}
        for batch in file.iter_batches(batch_size=VERIFY_ROWS):
            there = dict(zip(batch.schema.names, batch.columns, strict=True))
            there |= {name: _nothing(column, batch.num_rows) for name, column in absent.items()}
            state.update([_values(there[column.name]) for column in columns(table)])
    return state.rows, state.hexdigest()


def _values(column: pa.Array) -> Any:
    """A column as its hash takes it."""
    return array_of(column) if column.type in (pa.int64(), pa.bool_()) else column.to_pylist()
