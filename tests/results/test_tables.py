"""The Parquet sink and the hash of a table's content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshsim.results.content import TableHash, run_digest
from meshsim.results.tables import (
    OtherColumnsError,
    ParquetSink,
    TableFile,
    check_columns,
    hash_table,
    read_table,
    schema_of,
    table_file,
)
from meshsim.telemetry.columns import columns
from meshsim.telemetry.recorder import Recorder
from meshsim.telemetry.rows import TABLES, FaultRow

Rows = Callable[..., list[msgspec.Struct]]


@pytest.mark.parametrize("table", TABLES)
def test_rows_come_back_as_written(table: str, random_rows: Rows, tmp_path: Path) -> None:
    """Every table gives back the very values that went in, in order."""
    rows = random_rows(table, 50)
    sink = ParquetSink(tmp_path)
    sink.write(table, rows)
    sink.close()
    read = read_table(tmp_path, table)
    assert [tuple(row.values()) for row in read.to_pylist()] == [msgspec.structs.astuple(row) for row in rows]


def test_every_table_gets_its_file(tmp_path: Path) -> None:
    """A run without a single row still has all nine tables, with the contract's columns."""
    totals = ParquetSink(tmp_path).close()
    assert list(totals) == list(TABLES)
    for table in TABLES:
        assert totals[table][0] == 0
        assert read_table(tmp_path, table).column_names == schema_of(table).names
        assert hash_table(tmp_path, table) == totals[table]


def _column(values: tuple[Any, ...]) -> Any:
    """A column as the hash takes it: strings as a list, others as an array."""
    return list(values) if isinstance(values[0], str) else np.array(values)


@pytest.mark.parametrize("batch_rows", [1, 2, 15, 16, 17, 1000])
def test_hash_does_not_depend_on_batches(batch_rows: int, random_rows: Rows, tmp_path: Path) -> None:
    """However rows are batched, the content hash is the same, and the file verifies against it."""
    rows = random_rows("handshakes", 100)
    whole = TableHash("handshakes")
    sink = ParquetSink(tmp_path)
    recorder = Recorder(sink, batch_rows=batch_rows)
    record = recorder.appender("handshakes")
    for row in rows:
        record(row)
    recorder.flush()
    totals = sink.close()
    values = zip(*map(msgspec.structs.astuple, rows), strict=True)
    whole.update([_column(value) for value in values])
    assert totals["handshakes"] == (100, whole.hexdigest()) == hash_table(tmp_path, "handshakes")


def test_hash_of_a_table_is_what_its_description_says() -> None:
    """The content hash, computed by hand from its definition, is the one that the code gives."""
    row = FaultRow("cut", "link-down", "a--b", 1, 2, 7, 1, 1, 1, 1, 1, 1, 1)
    state = TableHash("faults")
    state.update([_column((value,)) for value in msgspec.structs.astuple(row)])
    expected = hashlib.sha256()
    for column in columns("faults"):
        value = getattr(row, column.name)
        data = msgspec.msgpack.encode(value) if column.type == "string" else value.to_bytes(8, "little", signed=True)
        expected.update(f"{column.name}:{column.type}:{hashlib.sha256(data).hexdigest()}\n".encode())
    assert state.hexdigest() == expected.hexdigest()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.sampled_from(list(TABLES)), index=st.integers(0, 9), data=st.data())
def test_any_changed_value_changes_the_hash(
    table: str, index: int, data: st.DataObject, random_rows: Rows, tmp_path: Path
) -> None:
    """One other value in one row gives the table another hash, and the run another digest."""
    rows = random_rows(table, 10)
    column = data.draw(st.sampled_from(columns(table)))
    old = getattr(rows[index], column.name)
    new = {"int64": lambda: old + 1, "bool": lambda: not old, "string": lambda: old + "'"}[column.type]()
    changed = rows.copy()
    changed[index] = msgspec.structs.replace(rows[index], **{column.name: new})
    digests = []
    for version in (rows, changed):
        sink = ParquetSink(tmp_path)
        sink.write(table, version)
        totals = sink.close()
        digests.append((totals[table][1], run_digest(totals)))
    assert digests[0][0] != digests[1][0]
    assert digests[0][1] != digests[1][1]


def test_moving_characters_between_neighbours_changes_the_hash(tmp_path: Path) -> None:
    """Strings are told apart by their lengths, so `ab`, `c` is not `a`, `bc`."""
    hashes = set()
    for first, second in (("ab", "c"), ("a", "bc"), ("", "abc")):
        sink = ParquetSink(tmp_path)
        sink.write("faults", [FaultRow(name, "k", "t", 0, 1, 1, 1, 0, 0) for name in (first, second)])
        hashes.add(sink.close()["faults"][1])
    assert len(hashes) == 3


def test_a_float_in_an_integer_column_is_caught(tmp_path: Path) -> None:
    """A float would be cut to an integer without a word, so the sink refuses the batch."""
    row = FaultRow("cut", "link-down", "a--b", 1.5, 2, 3, 1, 1, 1)  # type: ignore[arg-type]  # the mistake in question
    with pytest.raises(AssertionError, match="t_start_ns"):
        ParquetSink(tmp_path).write("faults", [row])


def test_integers_are_64_bits_wide(tmp_path: Path) -> None:
    """The largest and smallest 64-bit integers survive."""
    sink = ParquetSink(tmp_path)
    sink.write("faults", [FaultRow("a", "k", "t", -(2**63), 2**63 - 1, 1, 1, 0, 0)])
    sink.close()
    read = read_table(tmp_path, "faults", ["t_start_ns", "t_end_ns"])
    assert read.schema.types == [pa.int64(), pa.int64()]
    assert read.to_pylist() == [{"t_start_ns": -(2**63), "t_end_ns": 2**63 - 1}]


def test_a_file_with_other_columns_is_refused(random_rows: Rows, tmp_path: Path) -> None:
    """A table in the place of another does not verify."""
    ParquetSink(tmp_path).close()
    table_file(tmp_path, "links").replace(table_file(tmp_path, "nodes"))
    with pytest.raises(ValueError, match="columns of nodes"):
        hash_table(tmp_path, "nodes")


def test_files_from_before_a_column_have_nothing_in_it(random_rows: Rows, tmp_path: Path) -> None:
    """A file without the columns that came later has the hash of one with nothing in them, and reads like that one."""
    for table in TABLES:
        later = {
            column.name: {"int64": 0, "bool": False, "string": ""}[column.type]
            for column in columns(table)
            if column.later
        }
        sink = ParquetSink(tmp_path)
        sink.write(table, [msgspec.structs.replace(row, **later) for row in random_rows(table, 5)])
        sink.close()
        whole, expected = read_table(tmp_path, table), hash_table(tmp_path, table)
        path = table_file(tmp_path, table)
        pq.write_table(pq.read_table(path).drop_columns(list(later)), path)
        assert hash_table(tmp_path, table) == expected
        assert read_table(tmp_path, table).to_pylist() == whole.to_pylist()
        assert read_table(tmp_path, table).column_names == whole.column_names
        with TableFile(tmp_path, table) as file:
            assert file.ranges(list(later), file.groups) == {name: (value, value) for name, value in later.items()}
        first = next(column.name for column in columns(table) if not column.later)
        pq.write_table(pq.read_table(path).drop_columns([first]), path)
        with pytest.raises(OtherColumnsError, match=f"columns of {table}"):
            check_columns(tmp_path, table)


def test_later_columns_count_where_they_say_something(random_rows: Rows) -> None:
    """A column that came later changes a hash only with a value that is not empty, in whatever batch it comes."""
    later = [column.name for column in columns("calls") if column.later]
    assert later
    rows = [msgspec.structs.replace(row, **dict.fromkeys(later, "")) for row in random_rows("calls", 3)]

    def hashed(values: list[msgspec.Struct]) -> tuple[str, list[str]]:
        table = TableHash("calls")
        for row in values:
            table.update([_column((value,)) for value in msgspec.structs.astuple(row)])
        return table.hexdigest(), [column.name for column in table.columns if column.counts]

    silent, counted = hashed(rows)
    assert not set(later) & set(counted)
    spoken, counted = hashed([*rows[:2], msgspec.structs.replace(rows[2], destination_version="v1")])
    assert spoken != silent
    assert "destination_version" in counted
