"""Header fields: what answers told users of the mesh, and what sidecars took off requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from meshsim.analysis.change_figures import Grouped, Part
from meshsim.analysis.data import RunData
from meshsim.analysis.numbers import show
from meshsim.analysis.selection import Metric
from meshsim.analysis.tallies import count

_TO = "\N{RIGHTWARDS ARROW}"
_ORDER = ("source", "service", "destination")


def header_figures(run: RunData, grouped: Grouped) -> dict[str, list[dict[str, Any]]]:
    """What answers and sidecars did with header fields, each kind only where there is any.

    ``exposed``: fields of answers that told users of the mesh, by flow and service. ``removed``: fields that called
    sidecars took off before policies saw them, by caller and called service.
    """
    found = {
        "exposed": _counted(run, grouped, "requests", ("source", "service", "exposed")),
        "removed": _counted(run, grouped, "decisions", ("source", "destination", "removed")),
    }
    return {name: rows for name, rows in found.items() if rows}


def _counted(run: RunData, grouped: Grouped, table: str, names: tuple[str, str, str]) -> list[dict[str, Any]]:
    found = grouped(run, table, names, lambda piece: ~piece.names(table, names[2]).is_in(("",)))
    rows = [
        {names[0]: key[names[0]], names[1]: key[names[1]], "fields": key[names[2]].split(), "count": number}
        for key, number in found
    ]
    return sorted(rows, key=lambda one: tuple(str(one.get(name, "")) for name in _ORDER))


def explained_headers(summary: Mapping[str, Any]) -> Iterator[Part]:
    """The same for people, if there are any."""
    for key, title, first, second, to in (
        ("exposed", "Told users of the mesh", "flow", "fields of answers", "service"),
        ("removed", "Taken off by sidecars", "call", "fields of requests", "destination"),
    ):
        rows = [
            (f"{one['source']} {_TO} {one[to]}", ", ".join(one["fields"]), show(one["count"], "count"))
            for one in summary.get(key, ())
        ]
        if rows:
            yield title, (first, second, "times"), rows, ""


def header_metrics() -> list[Metric]:
    """The metric of answers that tell of the mesh."""
    return [
        Metric(
            "requests_exposed",
            "count",
            "requests",
            "Requests whose answer told of the mesh by its header fields (mesh.http.proxy_headers).",
            lambda rows: sum(
                count(piece.requests & ~piece.run.names("requests", "exposed").is_in(("",)))
                for piece in rows.pieces("requests")
            ),
        )
    ]
