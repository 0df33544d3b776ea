"""Decisions that no policy made, because the authorizer did not answer; and how often decisions were wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from meshsim.analysis.change_figures import Grouped, Part
from meshsim.analysis.data import RunData
from meshsim.analysis.numbers import show
from meshsim.analysis.reading import Flags
from meshsim.analysis.selection import Metric, Selected, count

DECISIONS = "decisions"
_TO = "\N{RIGHTWARDS ARROW}"
_WHY = {
    "timeout": "no answer in time",
    "down": "the authorizer was down",
    "overloaded": "the authorizer turned it away",
}
_NAMES = ("source", "destination", "failure", "wrongly")


def undecided(run: RunData, grouped: Grouped) -> list[dict[str, Any]]:
    """Decisions without an answer of the authorizer, by caller, called service and cause.

    ``allowed`` and ``denied`` count what became of them, ``wrongly_allowed`` and ``wrongly_denied`` those of them that
    the newest policies would have decided otherwise.
    """
    failed = ~run.names(DECISIONS, "failure").is_in(("",))
    if not failed.any():
        return []
    allowed = run.flags(DECISIONS, "allowed")[failed]
    keys, group = grouped(run, DECISIONS, _NAMES, failed)
    counts = np.bincount(group, minlength=len(keys)).tolist()
    admitted = np.bincount(group[allowed], minlength=len(keys)).tolist()
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for key, number, let_in in zip(keys, counts, admitted, strict=True):
        wrongly = key.pop("wrongly")
        zeros = dict.fromkeys(("allowed", "denied", "wrongly_allowed", "wrongly_denied"), 0)
        one = found.setdefault(tuple(key.values()), {**key, **zeros})
        one["allowed"] += let_in
        one["denied"] += number - let_in
        if wrongly:
            one[f"wrongly_{wrongly}"] += number
    order = sorted(found.values(), key=lambda one: -(one["allowed"] + one["denied"]))
    return sorted(order, key=lambda one: not one["wrongly_allowed"])


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
        return Metric(name, "count", DECISIONS, text, lambda rows: count(_selected(rows) & which(rows.run)))

    return [
        of(
            "decisions_failed",
            "Decisions that no policy made because the authorizer did not answer.",
            lambda run: ~run.names(DECISIONS, "failure").is_in(("",)),
        ),
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
    return lambda run: run.names(DECISIONS, "wrongly").is_in((word,))


def _selected(rows: Selected) -> Flags:
    run, chosen = rows.run, rows.run.names(DECISIONS, "destination")
    service = rows.selection.service
    flags = np.ones(run.rows(DECISIONS), dtype=np.bool_) if service is None else chosen.is_in((service,))
    if rows.selection.during is not None:
        times_ns = run.ints(DECISIONS, "t_ns")
        flags = flags & (times_ns >= rows.window.from_ns) & (times_ns < rows.window.to_ns)
    return flags
