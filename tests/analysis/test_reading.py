"""Columns read into narrow arrays are the columns of the file."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from meshsim.analysis import data, reading
from meshsim.analysis.data import RunData
from meshsim.analysis.reading import Names, read_columns, size_bytes
from meshsim.results.tables import TableFile, read_table
from meshsim.telemetry.columns import columns


def _plain(column: Any) -> list[Any]:
    if isinstance(column, Names):
        return [column.values[code] for code in column.codes.tolist()]
    values: list[Any] = column.tolist()
    return values


@pytest.mark.parametrize("table", ["requests", "calls", "handshakes", "decisions", "faults", "identities"])
def test_columns_are_those_of_the_file(table: str, corridor: Any) -> None:
    """Each column holds the values of the file in their order, in as few bits as they allow."""
    path = corridor.folder.path
    names = [column.name for column in columns(table)]
    expected = read_table(path, table)
    for name, column in read_columns(path, table, names).items():
        assert _plain(column) == expected.column(name).to_pylist()
        if not isinstance(column, Names) and column.dtype == np.int64 and column.size:
            assert max(abs(int(column.min())), abs(int(column.max()))) > 2**31 - 1


def test_many_strings_take_wider_codes(corridor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns of more strings than short codes can tell apart hold the same strings, wherever the limit is met."""
    path, strings = corridor.folder.path, [column.name for column in columns("calls") if column.type == "string"]
    expected = read_table(path, "calls", strings)
    monkeypatch.setattr(reading, "_SHORT", SimpleNamespace(max=1))
    found = read_columns(path, "calls", strings)
    assert any(isinstance(column, Names) and column.codes.dtype == np.int32 for column in found.values())
    assert {name: _plain(column) for name, column in found.items()} == expected.to_pydict()


def test_names_with_one_value_take_no_room(corridor: Any) -> None:
    """A column with a single string is one code, told many times; so is a column of flags that are all alike."""
    found = read_columns(corridor.folder.path, "calls", [column.name for column in columns("calls")])
    alike = [name for name, column in found.items() if len(set(_plain(column))) == 1]
    assert alike
    assert all(size_bytes(found[name]) <= 4 for name in alike)


def test_pieces_make_up_the_whole(in_groups: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Piece by piece, rows come in the order of the file; the other tables are whole."""
    monkeypatch.setattr(data, "PIECE_ROWS", 10_000)
    whole = RunData(in_groups.folder.path, in_groups.scenario, in_groups.manifest)
    pieces = [
        (piece.rows("calls"), _plain(piece.names("calls", "destination")), piece.ints("calls", "t_start_ns").tolist())
        for piece in whole.pieces("calls")
    ]
    expected = read_table(whole.path, "calls", ["destination", "t_start_ns"])
    assert len(pieces) > 2
    assert [rows for rows, _, _ in pieces] == [len(names) for _, names, _ in pieces]
    assert [name for _, names, _ in pieces for name in names] == expected.column("destination").to_pylist()
    assert [time for _, _, times in pieces for time in times] == expected.column("t_start_ns").to_pylist()
    for piece in whole.pieces("calls"):
        assert piece.rows("requests") == whole.rows("requests")
        assert piece.ints("requests", "latency_ns") is not None
        assert len(list(piece.pieces("requests"))) == len(list(whole.pieces("requests")))
        assert list(piece.pieces("calls")) == [piece]


def test_pieces_are_as_long_as_they_may(in_groups: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece has as many row groups as the limit lets it have, one at least; a short table is one piece, itself."""
    whole = RunData(in_groups.folder.path, in_groups.scenario, in_groups.manifest)
    with TableFile(whole.path, "calls") as file:
        groups = [file.rows(range(number, number + 1)) for number in file.groups]
    monkeypatch.setattr(data, "PIECE_ROWS", groups[0] + groups[1])
    assert [piece.rows("calls") for piece in whole.pieces("calls")] == [
        sum(groups[begin : begin + 2]) for begin in range(0, len(groups), 2)
    ]
    monkeypatch.setattr(data, "PIECE_ROWS", 1)
    assert [piece.rows("calls") for piece in whole.pieces("calls")] == groups
    monkeypatch.setattr(data, "PIECE_ROWS", sum(groups))
    assert list(whole.pieces("calls")) == [whole]


def test_the_largest_value(corridor: Any, make_run: Callable[..., Any]) -> None:
    """The largest value of a column comes from the file's statistics; a table without rows has none."""
    run = RunData(corridor.folder.path, corridor.scenario, corridor.manifest)
    assert run.largest("requests", "t_done_ns") == int(run.ints("requests", "t_done_ns").max())
    empty = make_run(corridor.scenario, lambda scenario, record: None)
    assert RunData(empty.folder.path, empty.scenario, empty.manifest).largest("requests", "t_done_ns") is None


def test_one_value_throughout_takes_no_room(corridor: Any) -> None:
    """A column with a single value is that value told many times."""
    column = read_columns(corridor.folder.path, "requests", ["backoff_ns"])["backoff_ns"]
    assert column.size > 1000  # type: ignore[union-attr] # a column of integers
    assert (size_bytes(column) == 4) == (np.unique(column).size == 1)  # type: ignore[arg-type] # as above


def test_integers_are_long_when_they_are_asked_for(corridor: Any) -> None:
    """What notebooks calculate with has 64 bits, whatever its values are."""
    run = RunData(corridor.folder.path, corridor.scenario, corridor.manifest)
    assert run.compact("requests", "latency_ns").dtype.itemsize in (4, 8)
    assert run.ints("requests", "latency_ns").dtype == np.int64
    assert run.ints("requests", "latency_ns").tolist() == run.compact("requests", "latency_ns").tolist()


def test_what_was_used_last_is_kept(corridor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns over the limit are dropped, the longest unused first, and read again when asked for."""
    run = RunData(corridor.folder.path, corridor.scenario, corridor.manifest)
    first = run.ints("requests", "t_intended_ns")
    monkeypatch.setattr(data, "CACHE_BYTES", 2 * first.nbytes)
    run.ints("requests", "t_sent_ns")
    assert run.ints("requests", "t_intended_ns") is first
    run.ints("requests", "t_done_ns")
    assert run.ints("requests", "t_intended_ns") is first
    run.ints("requests", "t_sent_ns")
    run.ints("requests", "t_done_ns")
    again = run.ints("requests", "t_intended_ns")
    assert again is not first
    assert again.tolist() == first.tolist()
