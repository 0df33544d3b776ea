"""What selected requests and handshakes come to: counts and exact sums, added up piece by piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from meshsim.analysis.reading import Flags, Ints, Names
from meshsim.telemetry.rows import ATTRIBUTION

if TYPE_CHECKING:
    from meshsim.analysis.selection import Rows, Selected


def count(rows: Flags) -> int:
    """How many rows are chosen."""
    return int(np.count_nonzero(rows))


def total(values: Ints, rows: Flags) -> int:
    """The sum over the chosen rows, without copying them."""
    return int(np.sum(values, where=rows, dtype=np.int64))


def counted(names: Names, rows: Flags) -> Counter[str]:
    """How often each string of a column occurs in the chosen rows; those that do not are left out."""
    numbers = np.bincount(names.codes[rows], minlength=len(names.values)).tolist()
    return Counter({value: number for value, number in zip(names.values, numbers, strict=True) if number})


class Requests(msgspec.Struct):
    """What selected requests come to."""

    number: int = 0
    answered: int = 0
    within_budget: int = 0
    """Answered within their budget."""
    attempts: int = 0
    latency_ns: int = 0
    """Of all that were answered."""
    budget_ns: int | None = None
    """The largest one; None without requests."""
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)


def requests_of(pieces: Iterable[Rows]) -> Requests:
    """Add up the selected requests."""
    found = Requests()
    for rows in pieces:
        run = rows.run
        run.preload("requests", "slice", "outcome", "latency_ns", "budget_ns", "attempts")
        latency_ns, budget_ns = run.compact("requests", "latency_ns"), run.compact("requests", "budget_ns")
        found.number += count(rows.requests)
        found.answered += count(rows.answered)
        found.within_budget += count(rows.answered & (latency_ns <= budget_ns))
        found.attempts += total(run.compact("requests", "attempts"), rows.requests)
        found.latency_ns += total(latency_ns, rows.answered)
        found.outcomes += counted(run.names("requests", "outcome"), rows.requests)
        if rows.requests.any():
            found.budget_ns = max(found.budget_ns or 0, int(budget_ns[rows.requests].max()))
    return found


class Handshakes(msgspec.Struct):
    """What selected handshakes come to."""

    kinds: Counter[tuple[str, bool]] = msgspec.field(default_factory=Counter)
    """How many had this outcome and were resumed, or not."""
    cpu_ns: int = 0
    """Of both ends, whatever the outcome."""
    sent_bytes: int = 0
    """Both ways, whatever the outcome."""

    def number(self, outcome: str, resumed: bool | None = None) -> int:
        """How many ended so."""
        return sum(number for kind, number in self.kinds.items() if kind[0] == outcome and resumed in (None, kind[1]))


def handshakes_of(pieces: Iterable[Rows]) -> Handshakes:
    """Add up the selected handshakes."""
    found = Handshakes()
    for rows in pieces:
        run = rows.run
        run.preload("handshakes", "slice", "outcome", "resumed", "cpu_client_ns", "cpu_server_ns")
        resumed = run.flags("handshakes", "resumed")
        outcomes = run.names("handshakes", "outcome")
        for which in (False, True):
            numbers = counted(outcomes, rows.handshakes & (resumed == which))
            found.kinds += Counter({(outcome, which): number for outcome, number in numbers.items()})
        for name in ("cpu_client_ns", "cpu_server_ns"):
            found.cpu_ns += total(run.compact("handshakes", name), rows.handshakes)
        for name in ("bytes_sent", "bytes_received"):
            found.sent_bytes += total(run.compact("handshakes", name), rows.handshakes)
    return found


class Spent(msgspec.Struct):
    """What the latency of selected requests is made of."""

    answered_ns: dict[str, int]
    """By column, of all that were answered."""
    slowest_ns: dict[str, int]
    """Of the slowest of them."""
    slowest: int = 0
    """How many those are."""


def spent_of(selected: Selected) -> Spent:
    """Add up the parts of the latency of requests that were answered."""
    found = Spent(dict.fromkeys(ATTRIBUTION, 0), dict.fromkeys(ATTRIBUTION, 0))
    for rows in selected.pieces("requests"):
        rows.run.preload("requests", "slice", "outcome", "latency_ns", *ATTRIBUTION)
        slowest = selected.slowest(rows)
        found.slowest += count(slowest)
        for column in ATTRIBUTION:
            values = rows.run.compact("requests", column)
            found.answered_ns[column] += total(values, rows.answered)
            found.slowest_ns[column] += total(values, slowest)
    return found
