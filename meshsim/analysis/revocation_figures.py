"""How soon peers obeyed revocations, and what was served in spite of them: figures, verdicts, and how they read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from meshsim.analysis.data import RunData
from meshsim.analysis.numbers import show
from meshsim.analysis.selection import Kind, Metric, Selected

TABLE: Final = "revocations"
_COUNTS = (
    *("certificates", "peers", "obeyed", "handshakes_accepted"),
    *("calls_to", "calls_from", "connections_cut", "connections_refused"),
)

Figures = Mapping[str, Any]
Part = tuple[str, tuple[str, ...], list[tuple[str, ...]], str, list[tuple[str, str]]]
"""Title, columns, rows and remark of a list for people, and the rows in words."""


def revocations(run: RunData) -> list[dict[str, Any]]:
    """Each revocation in the order in which they came.

    ``obeyed_after_ns`` is None if not every peer came to obey, ``last_served_after_ns`` if nothing was served.
    """
    texts = {name: run.names(TABLE, name) for name in ("revocation", "target")}
    at_ns = run.ints(TABLE, "t_ns")
    found: list[dict[str, Any]] = []
    for row in range(run.rows(TABLE)):
        one: dict[str, Any] = {name: column.values[column.codes[row]] for name, column in texts.items()}
        one["t_ns"] = int(at_ns[row])
        for name, column in (("obeyed_after_ns", "t_obeyed_ns"), ("last_served_after_ns", "t_last_served_ns")):
            time_ns = int(run.ints(TABLE, column)[row])
            one[name] = None if time_ns < 0 else time_ns - one["t_ns"]
        found.append(one | {name: int(run.ints(TABLE, name)[row]) for name in _COUNTS})
    return found


def value_of(found: Figures, what: str) -> int | None:
    """The figure of a revocation that an expectation calls ``what``; None of a time that never came."""
    if what in ("obeyed", "last_served"):
        value: int | None = found[f"{what}_after_ns"]
        return value
    return int(found["handshakes_accepted"] if what == "accepted" else found["calls_to"] + found["calls_from"])


def revocation_metrics() -> list[Metric]:
    """The metrics of revocations, over all of them."""

    def obeyed(rows: Selected) -> int | None:
        after_ns = [one["obeyed_after_ns"] for one in revocations(rows.run)]
        return None if None in after_ns else max(after_ns, default=None)

    def total(what: str, name: str, text: str) -> Metric:
        def compute(rows: Selected) -> int | None:
            found = revocations(rows.run)
            return sum(value_of(one, what) or 0 for one in found) if found else None

        return _metric(name, "count", text, compute)

    return [
        _metric(
            "revocation_delay_max",
            "duration",
            "Longest time from a revocation until the last peer obeyed; nothing if one never did.",
            obeyed,
        ),
        total("served", "revoked_served", "Calls that were handed over and rest on a revoked certificate."),
        total("accepted", "revoked_accepted", "Handshakes that were established and rest on a revoked certificate."),
    ]


def _metric(name: str, kind: Kind, text: str, compute: Any) -> Metric:
    return Metric(name, kind, TABLE, text, compute)


def explained_revocations(summary: Figures) -> list[Part]:
    """Revocations for people, if there are any."""
    if not summary.get("revocations"):
        return []
    rows: list[tuple[str, ...]] = [
        (
            f"{one['revocation']} of {one['target']}",
            f"at {show(one['t_ns'], 'duration')}",
            _obeyed(one),
            _served(one),
            f"{show(one['handshakes_accepted'], 'count')} accepted",
            show(one["connections_cut"], "count"),
            show(one["connections_refused"], "count"),
        )
        for one in summary["revocations"]
    ]
    columns = ("revoked", "came", "obeyed", "served after it", "handshakes", "cut", "refused")
    remark = "Served are calls to or from the target that were handed over on the strength of what was revoked."
    if any(one["connections_refused"] for one in summary["revocations"]):
        remark += " Cut are connections that were live, refused are new ones whose handshake was just over."
    words = [(one["revocation"], _sentence(one)) for one in summary["revocations"]]
    return [("Revocations", columns, rows, remark, words)]


def _sentence(one: Figures) -> str:
    """A revocation in words."""
    peers, served, after_ns = one["peers"], one["calls_to"] + one["calls_from"], one["obeyed_after_ns"]
    if after_ns is None:
        obeyed = f"{show(one['obeyed'], 'count')} of {_counted(peers, 'peer')} obeyed"
    elif not peers:
        obeyed = "there was no peer to obey"
    else:
        which = "its only peer" if peers == 1 else f"the last of {_counted(peers, 'peer')}"
        obeyed = f"{which} obeyed after {show(after_ns, 'duration')}"
    said = [f"{one['target']} was revoked at {show(one['t_ns'], 'duration')}", obeyed]
    said.append(f"{_counted(served, 'call')} served in spite of it")
    if served:
        said[-1] += f", the last after {show(one['last_served_after_ns'], 'duration')}"
    said.append(f"{_counted(one['handshakes_accepted'], 'handshake')} accepted")
    said.append(f"{_counted(one['connections_cut'], 'connection')} cut")
    if one["connections_refused"]:
        said.append(f"{_counted(one['connections_refused'], 'new connection')} refused after the handshake")
    return "; ".join(said)


def _counted(number: int, noun: str) -> str:
    return f"{show(number, 'count') if number else 'no'} {noun}{'' if number == 1 else 's'}"


def _obeyed(one: Figures) -> str:
    if one["obeyed_after_ns"] is None:
        return f"by {show(one['obeyed'], 'count')} of {show(one['peers'], 'count')} peers"
    return f"by the last of {show(one['peers'], 'count')} after {show(one['obeyed_after_ns'], 'duration')}"


def _served(one: Figures) -> str:
    served = one["calls_to"] + one["calls_from"]
    if not served:
        return "nothing"
    return f"{show(served, 'count')} calls, the last after {show(one['last_served_after_ns'], 'duration')}"
