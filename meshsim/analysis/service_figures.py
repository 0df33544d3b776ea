"""What callers of each service saw, for the summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from meshsim.analysis.data import RunData
from meshsim.analysis.numbers import to_json
from meshsim.analysis.order import of_groups
from meshsim.analysis.reading import Ints
from meshsim.analysis.selection import rank_of, share
from meshsim.analysis.tallies import counted
from meshsim.scenario.placed_waypoints import with_waypoints


class _ServiceCalls(msgspec.Struct):
    """Calls to one service, added up."""

    calls: int = 0
    ok: int = 0
    denied: int = 0
    retries: int = 0


def _calls_by_service(run: RunData) -> dict[str, _ServiceCalls]:
    found = {name: _ServiceCalls() for name in with_waypoints(run.scenario).services}
    for piece in run.pieces("calls"):
        piece.preload("calls", "destination", "outcome", "retries")
        destinations, outcomes = piece.names("calls", "destination"), piece.names("calls", "outcome")
        ok, denied = (outcomes.codes == outcomes.code(outcome) for outcome in ("ok", "denied"))
        retries = piece.ints("calls", "retries")
        size = len(destinations.values)
        columns = (
            np.bincount(destinations.codes, minlength=size),
            np.bincount(destinations.codes[ok], minlength=size),
            np.bincount(destinations.codes[denied], minlength=size),
            _sums(destinations.codes, retries, size),
        )
        for name, calls, good, refused, again in zip(
            destinations.values, *(column.tolist() for column in columns), strict=True
        ):
            service = found.setdefault(name, _ServiceCalls())
            service.calls += calls
            service.ok += good
            service.denied += refused
            service.retries += again
    return found


def _sums(groups: Ints, values: Ints, size: int) -> Ints:
    """The sum of the values of each group, exact."""
    sums = np.zeros(size, dtype=np.int64)
    np.add.at(sums, groups, values)
    return sums


def _durations_ok(run: RunData, services: Sequence[str]) -> Iterator[tuple[Ints, Ints]]:
    """The place of the called service among all, and how long the call took, of all calls that ended as ok."""
    for piece in run.pieces("calls"):
        piece.preload("calls", "destination", "outcome", "t_start_ns", "t_end_ns")
        destinations, outcomes = piece.names("calls", "destination"), piece.names("calls", "outcome")
        places = np.array([services.index(name) for name in destinations.values], dtype=np.int64)
        ok = outcomes.codes == outcomes.code("ok")
        took_ns = piece.ints("calls", "t_end_ns")[ok] - piece.ints("calls", "t_start_ns")[ok]
        yield places[destinations.codes[ok]], took_ns


def services(run: RunData) -> dict[str, dict[str, Any]]:
    """What each service's callers saw, and its sidecars' handshakes as server."""
    found = _calls_by_service(run)
    durations_ns = of_groups(
        lambda: _durations_ok(run, list(found)),
        [calls.ok for calls in found.values()],
        lambda size: [rank_of(size, share_ppm) for share_ppm in (500_000, 990_000)],
    )
    established: Counter[str] = Counter()
    for piece in run.pieces("handshakes"):
        outcomes = piece.names("handshakes", "outcome")
        established += counted(piece.names("handshakes", "server"), outcomes.codes == outcomes.code("established"))
    figures = {}
    for (name, calls), quantiles_ns in zip(found.items(), durations_ns, strict=True):
        p50_ns, p99_ns = quantiles_ns or (None, None)
        figures[name] = {
            "calls": calls.calls,
            "success_rate": to_json(share(calls.ok, calls.calls), "share"),
            "denied": calls.denied,
            "retries": calls.retries,
            "call_p50_ns": p50_ns,
            "call_p99_ns": p99_ns,
            "handshakes": established[name],
        }
    return {name: figures[name] for name in with_waypoints(run.scenario).services}
