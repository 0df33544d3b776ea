"""How changes of configuration spread, what was wrongly decided meanwhile, and what policies on trial would change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from meshsim.analysis.data import RunData
from meshsim.analysis.numbers import show
from meshsim.analysis.reading import Flags

MOST = 10
"""So many kinds of calls that a trial would decide otherwise are listed."""

_TO = "\N{RIGHTWARDS ARROW}"
_COUNTS = ("proxies", "acked", "rejected", "wrongly_allowed", "wrongly_denied")

Grouped = Callable[[RunData, str, Sequence[str], Callable[[RunData], Flags]], list[tuple[dict[str, str], int]]]
Part = tuple[str, tuple[str, ...], Sequence[tuple[str, ...]], str]
"""Title, columns, rows and remark of a list for people."""


def changes(run: RunData) -> list[dict[str, Any]]:
    """Each change in the order in which they came; ``converged_after_ns`` is None if it never reached every proxy."""
    names = run.names("changes", "change")
    came_ns, converged_ns = run.ints("changes", "t_ns"), run.ints("changes", "t_converged_ns")
    rolled_back = run.flags("changes", "rolled_back")
    return [
        {
            "change": names.values[names.codes[row]],
            "t_ns": int(came_ns[row]),
            "converged_after_ns": int(converged_ns[row] - came_ns[row]) if converged_ns[row] >= 0 else None,
            "rolled_back": bool(rolled_back[row]),
            **{name: int(run.ints("changes", name)[row]) for name in _COUNTS},
        }
        for row in range(run.rows("changes"))
    ]


def trials(run: RunData, grouped: Grouped) -> list[dict[str, Any]]:
    """What policies on trial would decide otherwise most often; what they would newly allow stands first.

    ``trial`` is shadow (mesh.policy.shadow) or dry-run (a policy that says so of itself).
    """
    found: list[dict[str, Any]] = []
    names = ("source", "destination", "method", "path")
    for trial, column in (("shadow", "shadow"), ("dry-run", "dry_run")):
        differs = _has(column)
        for key, number in grouped(run, "decisions", (*names, column), differs):
            word = key.pop(column)
            would = word if trial == "shadow" else "denied"
            found.append(
                {**key, "trial": trial, "would_be": would, "rule": "" if trial == "shadow" else word, "count": number}
            )
    return sorted(found, key=lambda one: (one["would_be"] != "allowed", -one["count"], *(one[name] for name in names)))[
        :MOST
    ]


def _has(column: str) -> Callable[[RunData], Flags]:
    return lambda piece: ~piece.names("decisions", column).is_in(("",))


def explained_changes(summary: Mapping[str, Any]) -> Iterator[Part]:
    """Changes and trials for people, each if there are any."""
    if summary.get("changes"):
        rows: list[tuple[str, ...]] = [
            (
                one["change"],
                f"at {show(one['t_ns'], 'duration')}",
                _reached(one),
                f"{show(one['wrongly_allowed'], 'count')} wrongly allowed",
                f"{show(one['wrongly_denied'], 'count')} wrongly denied",
                show(one["acked"], "count"),
            )
            for one in summary["changes"]
        ]
        remark = "Wrong is what the changed policies decide otherwise, from the instant of the change on."
        columns = ("change", "came", "reached", "meanwhile", "and", "proxies")
        yield "Changes of configuration", columns, rows, remark
    if summary.get("trials"):
        rows = [
            (
                f"{one['source']} {_TO} {one['destination']}",
                f"{one['method']} {one['path']}",
                f"would be {one['would_be']}" + (f" by {one['rule']}" if one["rule"] else "") + f" ({one['trial']})",
                show(one["count"], "count"),
            )
            for one in summary["trials"]
        ]
        yield "On trial", ("call", "asked for", "policies on trial", "times"), rows, ""


def _reached(one: Mapping[str, Any]) -> str:
    if one["rolled_back"]:
        return "rolled back"
    if one["rejected"]:
        return f"rejected by {show(one['rejected'], 'count')}"
    after_ns = one["converged_after_ns"]
    return "not everybody" if after_ns is None else f"everybody after {show(after_ns, 'duration')}"
