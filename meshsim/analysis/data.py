"""Columns of a run's tables as arrays, read when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from meshsim.analysis.reading import Column, Flags, Ints, Names, read_columns, read_groups, size_bytes
from meshsim.results.manifest import Manifest
from meshsim.results.tables import TableFile
from meshsim.scenario.faults import end_ns
from meshsim.scenario.model import Scenario
from meshsim.telemetry.columns import columns

__all__ = ["CACHE_BYTES", "Flags", "Ints", "Names", "RunData", "Window"]

CACHE_BYTES = 16_000_000
"""Memory for the columns of a run that are kept: those used last."""
PIECE_ROWS = 65_536
"""Rows of a longer table that are looked at together: a dozen of their columns take a few MB."""

_LARGEST_BYTES = 8
"""Memory of one value of any column, at most."""

_Found = TypeVar("_Found")


class Window(NamedTuple):
    """A window of simulated time; the end is not in it."""

    from_ns: int
    to_ns: int

    @property
    def duration_ns(self) -> int:
        """How long it lasts."""
        return self.to_ns - self.from_ns

    def holds(self, times_ns: Ints) -> Flags:
        """Which of these instants are in it."""
        return (times_ns >= self.from_ns) & (times_ns < self.to_ns)

    def holds_intervals(self, ends_ns: Ints) -> Flags:
        """Which of the intervals that end at these instants count as its own."""
        return (ends_ns > self.from_ns) & (ends_ns <= self.to_ns)


class RunData:
    """The tables, the scenario and the manifest of one run: all that the rest of this room computes from.

    Columns are read on first use, into the narrowest type that holds them, and kept as long as there is room. Whoever
    looks at tables that get a row for each request does so by ``pieces``: memory then does not grow with the run.
    """

    def __init__(self, path: Path, scenario: Scenario, manifest: Manifest) -> None:
        self.path = path
        self.scenario = scenario
        self.manifest = manifest
        self._columns: dict[tuple[str, str], Column] = {}
        self._remembered: dict[Hashable, Any] = {}

    def __repr__(self) -> str:
        return f"<run of {self.manifest.scenario}, seed {self.manifest.seed}, digest {self.manifest.digest[:12]}>"

    def ints(self, table: str, name: str) -> Ints:
        """A column of integers. KeyError if there is no such column."""
        return self.compact(table, name).astype(np.int64, copy=False)

    def compact(self, table: str, name: str) -> Ints:
        """The same in 32 bits if that holds every value: to compare, order and sum up, not to calculate with."""
        return cast(Ints, self._column(table, name, "int64"))

    def flags(self, table: str, name: str) -> Flags:
        """A column of booleans. KeyError if there is no such column."""
        return cast(Flags, self._column(table, name, "bool"))

    def names(self, table: str, name: str) -> Names:
        """A column of strings. KeyError if there is no such column."""
        return cast(Names, self._column(table, name, "string"))

    def rows(self, table: str) -> int:
        """Number of rows of a table."""
        return self.manifest.tables[table].rows

    def pieces(self, table: str) -> Iterator[RunData]:
        """The same run with some rows of ``table`` at a time, in their order: itself, if there are not very many.

        A piece holds its columns until it is forgotten, and can be asked for them until the next one comes.
        """
        if self.rows(table) <= PIECE_ROWS:
            yield self
            return
        with TableFile(self.path, table) as file:
            begin = 0
            for end in file.groups:
                if file.rows(range(begin, end + 1)) > PIECE_ROWS and end > begin:
                    yield _Piece(self, table, file, range(begin, end))
                    begin = end
            yield _Piece(self, table, file, range(begin, len(file.groups)))

    def remembered(self, key: Hashable, find: Callable[[], _Found]) -> _Found:
        """What ``find`` found when it was first asked for under this key: figures, not columns."""
        if key not in self._remembered:
            self._remembered[key] = find()
        return cast(_Found, self._remembered[key])

    def largest(self, table: str, name: str) -> int | None:
        """The largest value of a column of integers, by the file's statistics; None without rows."""
        with TableFile(self.path, table) as file:
            found = file.ranges([name], file.groups)[name]
            assert found is not None or not file.rows(file.groups), f"the file of {table} has no statistics"
        return None if found is None else found[1]

    def preload(self, table: str, *names: str) -> None:
        """Read several columns in one go, which is faster than one by one, if all of them can be kept."""
        missing = [name for name in names if (table, name) not in self._columns]
        if missing and self.rows(table) * len(missing) * _LARGEST_BYTES <= CACHE_BYTES:
            self._load(table, missing)

    @cached_property
    def duration_ns(self) -> int:
        """How long requests were sent."""
        return self.scenario.duration_ns

    @cached_property
    def end_ns(self) -> int:
        """When the last request had its outcome; the duration if that was later."""
        return max(self.duration_ns, self.largest("requests", "t_done_ns") or 0)

    @cached_property
    def fault_windows(self) -> dict[str, Window]:
        """From when to when each fault lasted, by name, in the order of the scenario."""
        names = self.scenario.fault_names()
        return {
            name: Window(fault.at_ns, end_ns(fault, self.scenario.duration_ns))
            for name, fault in zip(names, self.scenario.faults, strict=True)
        }

    def window(self, during: str | None) -> Window:
        """The window of a phase or fault; the whole run for None. KeyError if there is none of that name."""
        if during is None:
            return Window(0, self.duration_ns)
        if during in self.scenario.phases:
            phase = self.scenario.phases[during]
            return Window(phase.from_ns, min(phase.to_ns, self.duration_ns))
        return self.fault_windows[during]

    def _column(self, table: str, name: str, kind: str) -> Column:
        actual = next((column.type for column in columns(table) if column.name == name), None)
        if actual != kind:
            raise KeyError(f"{table} has no {kind} column {name}")
        if (table, name) in self._columns:
            self._columns[table, name] = self._columns.pop((table, name))  # used last, dropped last
        else:
            self._load(table, [name])
        return self._columns[table, name]

    def _load(self, table: str, names: list[str]) -> None:
        for name, column in read_columns(self.path, table, names, self._make_room).items():
            self._columns[table, name] = column

    def _make_room(self, wanted_bytes: int) -> None:
        """Drop the columns that were not used for longest, before others take their place."""
        kept = sum(map(size_bytes, self._columns.values()))
        for key in list(self._columns):
            if kept + wanted_bytes <= CACHE_BYTES:
                return
            kept -= size_bytes(self._columns.pop(key))


class _Piece(RunData):
    """A run with some rows of one table."""

    def __init__(self, run: RunData, table: str, file: TableFile, groups: range) -> None:
        super().__init__(run.path, run.scenario, run.manifest)
        self._run, self._table, self._file, self._groups = run, table, file, groups

    def rows(self, table: str) -> int:
        return self._file.rows(self._groups) if table == self._table else self._run.rows(table)

    def pieces(self, table: str) -> Iterator[RunData]:
        if table == self._table:
            yield self
        else:
            yield from self._run.pieces(table)

    def _column(self, table: str, name: str, kind: str) -> Column:
        return super()._column(table, name, kind) if table == self._table else self._run._column(table, name, kind)

    def preload(self, table: str, *names: str) -> None:
        if table == self._table:
            super().preload(table, *names)
        else:
            self._run.preload(table, *names)

    def _load(self, table: str, names: list[str]) -> None:
        for name, column in read_groups(self._file, table, names, self._groups).items():
            self._columns[table, name] = column
