"""Decisions that no policy made, because the authorizer did not answer; and how often decisions were wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from meshsim.analysis.change_figures import Grouped, Part
from meshsim.analysis.data import RunData
from meshsim.analysis.numbers import show
from meshsim.analysis.reading import Flags
from meshsim.analysis.selection import Metric, Selected
from meshsim.analysis.tallies import count

DECISIONS = "decisions"
_TO = "\N{RIGHTWARDS ARROW}"
_WHY = {
    "timeout": "no answer in time",
    "down": "the authorizer was down",
    "overloaded": "the authorizer turned it away",
}
_BY_FAILURE = ("failed-open", "failed-closed")
_NAMES = ("source", "destination", "failure", "wrongly")


def undecided(run: RunData, grouped: Grouped) -> list[dict[str, Any]]:
    """Decisions without an answer of the authorizer, by caller, called service and cause.

    ``allowed`` and ``denied`` count what became of them, ``wrongly_allowed`` and ``wrongly_denied`` those of them that
    the newest policies would have decided otherwise.
    """
    admitted = {
        tuple(key.values()): number
        for key, number in grouped(
            run, DECISIONS, _NAMES, lambda piece: _failed(piece) & piece.flags(DECISIONS, "allowed")
        )
    }
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for key, number in grouped(run, DECISIONS, _NAMES, _failed):
        allowed = admitted.get(tuple(key.values()), 0)
        wrongly = key.pop("wrongly")
        zeros = dict.fromkeys(("allowed", "denied", "wrongly_allowed", "wrongly_denied"), 0)
        one = found.setdefault(tuple(key.values()), {**key, **zeros})
        one["allowed"] += allowed
        one["denied"] += number - allowed
        if wrongly:
            one[f"wrongly_{wrongly}"] += number
    order = sorted(found.values(), key=lambda one: -(one["allowed"] + one["denied"]))
    return sorted(order, key=lambda one: not one["wrongly_allowed"])


def _failed(piece: RunData) -> Flags:
    """What the authorizer's failure decided, and not a policy that denied what the failure let in."""
    failed = ~piece.names(DECISIONS, "failure").is_in(("",))
    return failed & piece.names(DECISIONS, "rule").is_in(_BY_FAILURE)


def explained_undecided(summary: Mapping[str, Any]) -> Iterator[Part]:
    """The same for people, if there are any; who got in and must not stands first."""
    rows: Sequence[tuple[str, ...]] = [
        (
            f"{one['source']} {_TO} {one['destination']}",
            _WHY[one["failure"]],
            f"{show(one['wrongly_allowed'], 'count')} wrongly let in"
            if one["allowed"]
            else f"{show(one['wrongly_denied'], 'count')} wrongly kept out",
            show(one["allowed"] + one["denied"], "count"),
        )
        for one in summary.get("undecided", ())
    ]
    if rows:
        remark = "No policy decided these; wrong is what the newest policies would have decided otherwise."
        yield "Decided by failure", ("call", "because", "of which", "times"), rows, remark


def decision_metrics() -> list[Metric]:
    """Metrics of decisions: they belong to called services, and to no slice or flow."""

    def of(name: str, text: str, which: Callable[[RunData], Flags]) -> Metric:
        return Metric(
            name,
            "count",
            DECISIONS,
            text,
            lambda rows: sum(count(_selected(rows, piece) & which(piece)) for piece in rows.run.pieces(DECISIONS)),
        )

    return [
        of("decisions_failed", "Decisions that no policy made because the authorizer did not answer.", _failed),
        *(
            of(
                f"decisions_wrongly_{word}",
                f"Decisions that {word} what the newest policies would not have {word}.",
                _wrongly(word),
            )
            for word in ("allowed", "denied")
        ),
    ]


def _wrongly(word: str) -> Callable[[RunData], Flags]:
    return lambda piece: piece.names(DECISIONS, "wrongly").is_in((word,))


def _selected(rows: Selected, piece: RunData) -> Flags:
    service = rows.selection.service
    flags = np.ones(piece.rows(DECISIONS), dtype=np.bool_)
    if service is not None:
        flags &= piece.names(DECISIONS, "destination").is_in((service,))
    if rows.selection.during is not None:
        flags &= rows.window.holds(piece.ints(DECISIONS, "t_ns"))
    return flags
