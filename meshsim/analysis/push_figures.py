"""What control planes pushed to proxies: from which node, of which kind, what came of it, and in how many bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from meshsim.analysis.data import RunData
from meshsim.analysis.numbers import show

TABLE: Final = "configs"
_SENT: Final = ("sent",)
_ARRIVED: Final = ("acked", "rejected", "rolled_back")
_LOST: Final = ("stale",)

Part = tuple[str, tuple[str, ...], list[tuple[str, ...]], str]
"""Title, columns, rows and remark of a list for people."""


def pushes(run: RunData) -> list[dict[str, Any]]:
    """Pushes by the node that they came from and what they brought; ``lost`` counts tries that did not get there."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for piece in run.pieces(TABLE):
        sources, kinds, events = (piece.names(TABLE, name) for name in ("source", "kind", "event"))
        sent_bytes = piece.ints(TABLE, "sent_bytes")
        for code, kind in enumerate(kinds.values):
            for place, source in enumerate(sources.values):
                rows = (kinds.codes == code) & (sources.codes == place)
                if not kind or not rows.any():
                    continue
                one = found.setdefault((source, kind), dict.fromkeys(("pushed", "arrived", "lost", "sent_bytes"), 0))
                for name, words in (("pushed", _SENT), ("arrived", _ARRIVED), ("lost", _LOST)):
                    one[name] += int(np.count_nonzero(rows & events.is_in(words)))
                one["sent_bytes"] += int(sent_bytes[rows].sum())
    return [{"source": source, "kind": kind, **found[source, kind]} for source, kind in sorted(found)]


def explained_pushes(summary: Mapping[str, Any]) -> list[Part]:
    """Pushes for people, if there are any."""
    if not summary.get("pushes"):
        return []
    rows: list[tuple[str, ...]] = [
        (
            one["kind"],
            f"from {one['source']}",
            f"{show(one['arrived'], 'count')} of {show(one['pushed'], 'count')} arrived",
            f"{show(one['lost'], 'count') if one['lost'] else 'none'} lost",
            show(one["sent_bytes"], "size"),
        )
        for one in summary["pushes"]
    ]
    remark = "Lost are tries that found no way or broke off on it; most are made up for by a later one."
    any_lost = any(one["lost"] for one in summary["pushes"])
    return [("Pushes", ("pushed", "from", "arrived", "lost", "bytes"), rows, remark if any_lost else "")]
