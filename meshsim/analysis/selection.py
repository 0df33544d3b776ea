"""The rows that a metric is computed from, and the arithmetic over them, exact.

Quantiles are nearest-rank (the smallest value that at least the asked share of values do not exceed), so they are
values that did occur, and integers on every machine. Shares and rates are fractions, compared exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cached_property
from typing import Literal

import msgspec
import numpy as np

from meshsim.analysis.data import RunData, Window
from meshsim.analysis.order import Parts, at_ranks
from meshsim.analysis.reading import Flags, Ints
from meshsim.analysis.tallies import Handshakes, Requests, Spent, handshakes_of, requests_of, spent_of

PPM = 1_000_000
NS_PER_S = 1_000_000_000
QUANTILES_PPM = (500_000, 950_000, 990_000, 999_000, PPM)
"""The quantiles that latencies and handshakes are told by."""
SLOWEST_PPM = 990_000
"""The slowest answers are those at or above this quantile of latency."""

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


class Rows:
    """Which rows of one piece of a run are selected, narrowed when first asked for."""

    def __init__(self, run: RunData, of: Selected) -> None:
        self.run = run
        self._of = of

    @cached_property
    def requests(self) -> Flags:
        """Which rows of ``requests`` are selected."""
        chosen = self._within("requests", "t_intended_ns")
        wanted = self._of.selection
        for column, value in (("slice", wanted.slice), ("service", wanted.service), ("source", wanted.source)):
            if value is not None:
                chosen &= self._named("requests", column, value)
        return chosen

    @cached_property
    def answered(self) -> Flags:
        """Which rows of ``requests`` are selected and ended as ok."""
        return self.requests & self._named("requests", "outcome", "ok")

    @cached_property
    def handshakes(self) -> Flags:
        """Which rows of ``handshakes`` are selected."""
        chosen = self._within("handshakes", "t_start_ns")
        wanted = self._of.selection
        for column, value in (("slice", wanted.slice), ("server", wanted.service)):
            if value is not None:
                chosen &= self._named("handshakes", column, value)
        if wanted.source is not None:
            chosen &= self.run.names("handshakes", "client").is_in(self._of.devices)
        return chosen

    @cached_property
    def established(self) -> Flags:
        """Which rows of ``handshakes`` are selected and were established."""
        return self.handshakes & self._named("handshakes", "outcome", "established")

    def _within(self, table: str, time_column: str) -> Flags:
        if self._of.selection.during is None:
            return np.ones(self.run.rows(table), dtype=np.bool_)
        return self._of.window.holds(self.run.ints(table, time_column))

    def _named(self, table: str, column: str, value: str) -> Flags:
        names = self.run.names(table, column)
        chosen: Flags = names.codes == names.code(value)
        return chosen


class Selected:
    """What one selection comes to. Tables with a row for each request are looked at piece by piece."""

    def __init__(self, run: RunData, selection: Selection) -> None:
        self.run = run
        self.selection = selection
        self.window: Window = run.window(selection.during)

    def pieces(self, table: str) -> Iterator[Rows]:
        """The selected rows of ``table``, some at a time, in their order."""
        return (Rows(piece, self) for piece in self.run.pieces(table))

    @cached_property
    def devices(self) -> frozenset[str]:
        """The devices that sent a request of the selected flow, and their fleet: its members may share a sidecar."""
        found: set[str] = set()
        for piece in self.run.pieces("requests"):
            clients, sources = piece.names("requests", "client"), piece.names("requests", "source")
            codes = np.unique(clients.codes[sources.codes == sources.code(self.selection.source or "")])
            found.update(clients.values[code] for code in codes.tolist())
        return frozenset(found | {device.partition("/")[0] for device in found})

    @property
    def requests(self) -> Requests:
        """What the selected requests come to."""
        return self.run.remembered(("requests", self.selection), lambda: requests_of(self.pieces("requests")))

    @property
    def handshakes(self) -> Handshakes:
        """What the selected handshakes come to."""
        return self.run.remembered(("handshakes", self.selection), lambda: handshakes_of(self.pieces("handshakes")))

    @property
    def spent(self) -> Spent:
        """What the latency of the selected requests is made of."""
        return self.run.remembered(("spent", self.selection), lambda: spent_of(self))

    def mean_part(self, column: str) -> Fraction | None:
        """The exact mean of one part of the latency of those that were answered."""
        return share(self.spent.answered_ns[column], self.requests.answered)

    def latency(self, share_ppm: int) -> int | None:
        """One of ``QUANTILES_PPM`` of the latencies of the selected requests that were answered; nearest-rank."""
        return self._quantile("latency", self.latencies_ns, self.requests.answered, share_ppm)

    def handshake_duration(self, share_ppm: int) -> int | None:
        """The same of the durations of the selected handshakes that were established."""
        return self._quantile("duration", self._durations_ns, self.handshakes.number("established"), share_ppm)

    def latencies_ns(self) -> Iterator[Ints]:
        """Latencies of the selected requests that were answered, some at a time, in their order."""
        for rows in self.pieces("requests"):
            yield rows.run.compact("requests", "latency_ns")[rows.answered]

    def _durations_ns(self) -> Iterator[Ints]:
        for rows in self.pieces("handshakes"):
            yield rows.run.compact("handshakes", "duration_ns")[rows.established]

    def _quantile(self, what: str, values: Parts, size: int, share_ppm: int) -> int | None:
        """All of ``QUANTILES_PPM`` are found at once, which is not much more work than one; None without values."""

        def find() -> dict[int, int]:
            ranks = [rank_of(size, each_ppm) for each_ppm in QUANTILES_PPM]
            return dict(zip(QUANTILES_PPM, at_ranks(values, ranks), strict=True))

        return self.run.remembered((what, self.selection), find)[share_ppm] if size else None

    def slowest(self, rows: Rows) -> Flags:
        """Which requests of a piece are among the slowest one in a hundred of the selected ones that were answered."""
        limit = self.latency(SLOWEST_PPM)
        if limit is None:
            return rows.answered
        chosen: Flags = rows.answered & (rows.run.compact("requests", "latency_ns") >= limit)
        return chosen


def rank_of(size: int, share_ppm: int) -> int:
    """Where the nearest-rank quantile of so many values stands among them, from 0, when they are in order."""
    return -(-size * share_ppm // PPM) - 1


def quantile(values: Ints, share_ppm: int) -> int | None:
    """The nearest-rank quantile, None without values; ``share_ppm`` from 1 to 1 000 000. It reorders the values."""
    if not values.size:
        return None
    rank = rank_of(values.size, share_ppm)
    values.partition(rank)
    return int(values[rank])


def mean(values: Ints) -> Fraction | None:
    """The exact mean, None without values."""
    return Fraction(int(values.sum()), values.size) if values.size else None


def share(part: int, whole: int) -> Fraction | None:
    """``part`` of ``whole``, None of nothing."""
    return Fraction(part, whole) if whole else None
