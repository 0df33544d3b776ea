"""The rows that a metric is computed from, and the arithmetic over them, exact.

Quantiles are nearest-rank (the smallest value that at least the asked share of values do not exceed), so they are
values that did occur, and integers on every machine. Shares and rates are fractions, compared exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from typing import Literal

import msgspec
import numpy as np

from meshsim.analysis.data import RunData, Window
from meshsim.analysis.reading import Flags, Ints

PPM = 1_000_000
NS_PER_S = 1_000_000_000

Kind = Literal["duration", "share", "rate", "count", "size"]
Value = int | Fraction


class Selection(msgspec.Struct, frozen=True):
    """Which requests, and which of the handshakes and decisions made on the way, are meant. None: all."""

    slice: str | None = None
    """Requests of this slice; handshakes of connections opened for it."""
    service: str | None = None
    """Requests to this service; handshakes with it as server."""
    source: str | None = None
    """Requests of this flow; handshakes with its devices as client."""
    during: str | None = None
    """Requests meant to be sent, and handshakes begun, in this phase or while this fault lasts."""


class Metric(msgspec.Struct, frozen=True):
    """One metric. ``compute`` gives its value, or None when there is nothing to compute it from."""

    name: str
    kind: Kind
    """duration in ns, share from 0 to 1, rate per second, count, or size in bytes."""
    table: str
    description: str
    compute: Callable[[Selected], Value | None]


class Selected:
    """The rows of one selection, narrowed when first asked for."""

    def __init__(self, run: RunData, selection: Selection) -> None:
        self.run = run
        self.selection = selection
        self.window: Window = run.window(selection.during)

    @cached_property
    def requests(self) -> Flags:
        """Which rows of ``requests`` are selected."""
        chosen = self._within("requests", "t_intended_ns")
        for name in ("slice", "service", "source"):
            if getattr(self.selection, name) is not None:
                chosen &= self._named("requests", name, getattr(self.selection, name))
        return chosen

    @cached_property
    def answered(self) -> Flags:
        """Which rows of ``requests`` are selected and ended as ok."""
        return self.requests & self.outcome("ok")

    @property
    def latencies_ns(self) -> Ints:
        """Latencies of the selected requests that were answered: a new array each time, the caller's to reorder."""
        return self.run.compact("requests", "latency_ns")[self.answered]

    @cached_property
    def handshakes(self) -> Flags:
        """Which rows of ``handshakes`` are selected."""
        chosen = self._within("handshakes", "t_start_ns")
        chosen &= self._named("handshakes", "slice", self.selection.slice)
        chosen &= self._named("handshakes", "server", self.selection.service)
        if self.selection.source is not None:
            chosen &= self.run.names("handshakes", "client").is_in(self._devices)
        return chosen

    @cached_property
    def _devices(self) -> frozenset[str]:
        """The devices that sent a request of the selected flow, and their fleet: its members may share a sidecar."""
        clients = self.run.names("requests", "client")
        of_flow = self._named("requests", "source", self.selection.source)
        devices = {clients.values[code] for code in np.unique(clients.codes[of_flow])}
        return frozenset(devices | {device.partition("/")[0] for device in devices})

    @cached_property
    def established(self) -> Flags:
        """Which rows of ``handshakes`` are selected and were established."""
        return self.handshakes & self._named("handshakes", "outcome", "established")

    @property
    def handshake_durations_ns(self) -> Ints:
        """Durations of the selected handshakes that were established, the caller's to reorder."""
        return self.run.compact("handshakes", "duration_ns")[self.established]

    def outcome(self, outcome: str) -> Flags:
        """Which rows of ``requests`` ended so."""
        return self._named("requests", "outcome", outcome)

    def sum_of(self, table: str, column: str, rows: Flags) -> int:
        """The sum of a column over some rows."""
        return total(self.run.compact(table, column), rows)

    def handshakes_with(self, outcome: str, resumed: bool | None = None) -> int:
        """Number of selected handshakes with this outcome."""
        rows = self.handshakes & self._named("handshakes", "outcome", outcome)
        if resumed is not None:
            rows &= self.run.flags("handshakes", "resumed") == resumed
        return count(rows)

    def _within(self, table: str, time_column: str) -> Flags:
        if self.selection.during is None:
            return np.ones(self.run.rows(table), dtype=np.bool_)
        times_ns = self.run.ints(table, time_column)
        chosen: Flags = (times_ns >= self.window.from_ns) & (times_ns < self.window.to_ns)
        return chosen

    def _named(self, table: str, column: str, value: str | None) -> Flags:
        names = self.run.names(table, column)
        if value is None:
            return np.ones(len(names.codes), dtype=np.bool_)
        chosen: Flags = names.codes == names.code(value)
        return chosen


def count(rows: Flags) -> int:
    """How many rows are chosen."""
    return int(np.count_nonzero(rows))


def total(values: Ints, rows: Flags) -> int:
    """The sum over the chosen rows, without copying them."""
    return int(np.sum(values, where=rows, dtype=np.int64))


def mean_of(values: Ints, rows: Flags) -> Fraction | None:
    """The exact mean over the chosen rows, without copying them; None if there are none."""
    return share(total(values, rows), count(rows))


def quantile(values: Ints, share_ppm: int) -> int | None:
    """The nearest-rank quantile, None without values; ``share_ppm`` from 1 to 1 000 000. It reorders the values."""
    if not values.size:
        return None
    rank = -(-values.size * share_ppm // PPM) - 1
    values.partition(rank)
    return int(values[rank])


def mean(values: Ints) -> Fraction | None:
    """The exact mean, None without values."""
    return Fraction(int(values.sum()), values.size) if values.size else None


def share(part: int, whole: int) -> Fraction | None:
    """``part`` of ``whole``, None of nothing."""
    return Fraction(part, whole) if whole else None


def within_budget(rows: Selected) -> int:
    """How many selected requests were answered within their budget."""
    in_time = rows.run.compact("requests", "latency_ns") <= rows.run.compact("requests", "budget_ns")
    return count(rows.answered & in_time)
