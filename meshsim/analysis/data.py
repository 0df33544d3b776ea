"""Columns of a run's tables as arrays, read when first asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from meshsim.results.manifest import Manifest
from meshsim.results.tables import read_table
from meshsim.scenario.model import Scenario
from meshsim.telemetry.columns import columns

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Names(NamedTuple):
    """A column of strings: ``values[codes[i]]`` is the string of row i. The values are sorted and without doubles."""

    codes: npt.NDArray[np.int32]
    values: tuple[str, ...]

    def code(self, value: str) -> int:
        """The code of ``value``; -1, which no row has, if it does not occur."""
        return self.values.index(value) if value in self.values else -1

    def is_in(self, wanted: frozenset[str] | tuple[str, ...]) -> Flags:
        """Which rows have one of the ``wanted`` strings."""
        return np.array([value in wanted for value in self.values] + [False])[self.codes]


class Window(NamedTuple):
    """A window of simulated time; the end is not in it."""

    from_ns: int
    to_ns: int


class RunData:
    """The tables, the scenario and the manifest of one run: all that the rest of this room computes from.

    Columns are read on first use and kept, so that memory goes with the columns a question needs, not with the run.
    """

    def __init__(self, path: Path, scenario: Scenario, manifest: Manifest) -> None:
        self.path = path
        self.scenario = scenario
        self.manifest = manifest
        self._columns: dict[tuple[str, str], Any] = {}

    def __repr__(self) -> str:
        return f"<run of {self.manifest.scenario}, seed {self.manifest.seed}, digest {self.manifest.digest[:12]}>"

    def ints(self, table: str, name: str) -> Ints:
        """A column of integers. KeyError if there is no such column."""
        array: Ints = self._column(table, name, "int64")
        return array

    def flags(self, table: str, name: str) -> Flags:
        """A column of booleans. KeyError if there is no such column."""
        array: Flags = self._column(table, name, "bool")
        return array

    def names(self, table: str, name: str) -> Names:
        """A column of strings. KeyError if there is no such column."""
        names: Names = self._column(table, name, "string")
        return names

    def preload(self, table: str, *names: str) -> None:
        """Read several columns in one go, which is faster than one by one."""
        missing = [name for name in names if (table, name) not in self._columns]
        if missing:
            self._load(table, missing)

    @cached_property
    def duration_ns(self) -> int:
        """How long requests were sent."""
        return self.scenario.duration_ns

    @cached_property
    def end_ns(self) -> int:
        """When the last request had its outcome; the duration if that was later."""
        done = self.ints("requests", "t_done_ns")
        return max(self.duration_ns, int(done.max()) if done.size else 0)

    @cached_property
    def fault_windows(self) -> dict[str, Window]:
        """From when to when each fault lasted, by name, in the order of the scenario."""
        names = self.scenario.fault_names()
        return {
            name: Window(fault.at_ns, fault.at_ns + fault.for_ns)
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

    def _column(self, table: str, name: str, kind: str) -> Any:
        actual = next((column.type for column in columns(table) if column.name == name), None)
        if actual != kind:
            raise KeyError(f"{table} has no {kind} column {name}")
        if (table, name) not in self._columns:
            self._load(table, [name])
        return self._columns[table, name]

    def _load(self, table: str, names: list[str]) -> None:
        read = read_table(self.path, table, names)
        for name in names:
            self._columns[table, name] = _to_numpy(read.column(name))


def _to_numpy(column: Any) -> Any:
    """An Arrow column as an array, or as ``Names`` if it is one of strings."""
    if not pa.types.is_dictionary(column.type):
        return column.to_numpy()
    whole = column.unify_dictionaries().combine_chunks()
    found = whole.dictionary.to_pylist()
    values = sorted(set(found))
    position = {value: code for code, value in enumerate(values)}
    recode = np.array([position[value] for value in found], dtype=np.int32)
    return Names(recode[whole.indices.to_numpy()], tuple(values))
