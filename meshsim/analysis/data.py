"""Columns of a run's tables as arrays, read when first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from meshsim.analysis.reading import Column, Flags, Ints, Names, Part, read_columns, read_parts, size_bytes
from meshsim.results.manifest import Manifest
from meshsim.results.tables import column_ranges
from meshsim.scenario.faults import end_ns
from meshsim.scenario.model import Scenario
from meshsim.telemetry.columns import columns

__all__ = ["CACHE_BYTES", "Flags", "Ints", "Names", "RunData", "Window"]

CACHE_BYTES = 16_000_000
"""Memory for the columns of a run that are kept: those used last."""
_LARGEST_BYTES = 8
"""Memory of one value of any column, at most."""


class Window(NamedTuple):
    """A window of simulated time; the end is not in it."""

    from_ns: int
    to_ns: int

    @property
    def duration_ns(self) -> int:
        """How long it lasts."""
        return self.to_ns - self.from_ns


class RunData:
    """The tables, the scenario and the manifest of one run: all that the rest of this room computes from.

    Columns are read on first use, into the narrowest type that holds them, and kept as long as there is room: memory
    does not grow with the length of the run by more than the few columns of one question.
    """

    def __init__(self, path: Path, scenario: Scenario, manifest: Manifest) -> None:
        self.path = path
        self.scenario = scenario
        self.manifest = manifest
        self._columns: dict[tuple[str, str], Column] = {}

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

    def parts(self, table: str, names: Sequence[str], ints: Sequence[str]) -> Iterator[Part]:
        """Columns of strings and of integers, some rows at a time; nothing is kept."""
        return read_parts(self.path, table, names, ints)

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
        rows, ranges = column_ranges(self.path, "requests", ["t_done_ns"])  # without reading 8 bytes a request
        found = ranges["t_done_ns"]
        assert found is not None or not rows, "the file of requests has no statistics"
        return max(self.duration_ns, found[1] if found is not None else 0)

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
