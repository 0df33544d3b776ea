"""Services that moved while the run went on, as the control plane announced it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from meshsim.analysis.data import RunData
from meshsim.analysis.numbers import show, show_duration
from meshsim.analysis.push_figures import TABLE, Part

_MOVED: Final = re.compile(r"(?:^|; )(\S+) moved from (\S+) to ([^\s;]+)")
"""Of reasons, in which all that was news together stands side by side."""


def moves(run: RunData) -> list[dict[str, Any]]:
    """Which services that follow a fleet moved from which node to which, how often, and when it was first announced.

    Replicas that move together, from one node to another, count once.
    """
    if not any(service.follow for service in run.scenario.services.values()):
        return []
    announced_ns: dict[tuple[int, str], int] = {}
    for piece in run.pieces(TABLE):
        reasons, versions, instants = (
            piece.names(TABLE, "reason"),
            piece.ints(TABLE, "version"),
            piece.ints(TABLE, "t_ns"),
        )
        for code, reason in enumerate(reasons.values):
            if not _MOVED.search(reason):
                continue
            rows = reasons.codes == code
            for version in np.unique(versions[rows]).tolist():
                first_ns = int(instants[rows & (versions == version)].min())
                key = (version, reason)
                announced_ns[key] = min(first_ns, announced_ns.get(key, first_ns))
    found: dict[tuple[str, ...], list[int]] = {}
    for (_, reason), t_ns in announced_ns.items():
        for move in _MOVED.findall(reason):
            found.setdefault(move, []).append(t_ns)
    counted = [
        {"service": service, "from": old, "to": new, "count": len(times_ns), "first_ns": min(times_ns)}
        for (service, old, new), times_ns in found.items()
    ]
    return sorted(counted, key=lambda one: (-one["count"], one["first_ns"], one["service"], one["from"], one["to"]))


def explained_moves(summary: Mapping[str, Any]) -> list[Part]:
    """Moves for people, if there are any."""
    rows: list[tuple[str, ...]] = [
        (
            one["service"],
            f"from {one['from']} to {one['to']}",
            f"first announced at {show_duration(one['first_ns'])}",
            show(one["count"], "count"),
        )
        for one in summary.get("moves", ())
    ]
    return [("Moved", ("service", "way", "when", "times"), rows, "")] if rows else []
