"""What became of certificates: figures for the summary, and how they read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from meshsim.analysis.certificate_metrics import (
    AFTER_ISSUE,
    ISSUANCES,
    TOKEN,
    attempts,
    events,
    gained,
    token_attempts,
)
from meshsim.analysis.data import RunData
from meshsim.analysis.metrics import METRICS
from meshsim.analysis.numbers import show, to_json
from meshsim.analysis.selection import PPM, Selected, Selection, mean, quantile
from meshsim.analysis.tallies import count
from meshsim.telemetry.issuance_row import ISSUANCE_PARTS

Figures = Mapping[str, Any]
Part = tuple[str, tuple[str, ...], Sequence[tuple[str, ...]], str]
"""Title, columns, rows and a remark, as ``reasons.Explained`` has them."""

PURPOSES = ("onboarding", "rotation", "renewal")
_EVENTS = ("issued", "rotated", "expired", "refused")
_PART_NAMES = {
    "backoff": "waits",
    "node_attestation": "node attestation",
    "workload_attestation": "workload attestation",
    "queue": "issuer's queue",
    "failed": "failed steps",
}
_BIGGEST = 3
"""So many parts of the time are told."""


def certificates(run: RunData) -> dict[str, Any]:
    """Figures of certificates; ``issuances`` is null where nobody had to ask for one."""
    rows = Selected(run, Selection())
    figures: dict[str, Any] = {event: count(events(rows, event)) for event in _EVENTS}
    if not attempts(rows).any():
        return figures | {"issuances": None}
    outcomes, purposes = run.names(ISSUANCES, "outcome"), run.names(ISSUANCES, "purpose")
    had = gained(rows)
    of_purpose = {}
    for purpose in PURPOSES:
        mine = attempts(rows) & purposes.is_in((purpose,))
        if not mine.any():
            continue
        theirs = had.of(purpose)
        took_ns = theirs.total_ns(*(() if purpose == "onboarding" else AFTER_ISSUE))
        of_purpose[purpose] = {
            **{name: count(mine & outcomes.is_in((name,))) for name in ("done", "failed", "cut")},
            **{
                f"{name}_ns": quantile(took_ns, ppm) for name, ppm in (("p50", 500_000), ("p99", 990_000), ("max", PPM))
            },
            "steps_mean_ns": {
                name.removesuffix("_ns"): to_json(mean(theirs.parts_ns[name]), "duration") for name in ISSUANCE_PARTS
            },
        }
    return figures | {
        "issuances": of_purpose,
        "issuer_queue_max": to_json(METRICS["issuer_queue_max"].compute(rows), "count"),
        "issuer_wait_max_ns": to_json(METRICS["issuer_wait_max"].compute(rows), "duration"),
        "failures": _failures(run),
    }


def tokens(run: RunData) -> dict[str, Any]:
    """Figures of tokens that had to be fetched; an empty mapping where none had."""
    rows = Selected(run, Selection())
    mine = token_attempts(rows)
    if not mine.any():
        return {}
    outcomes = run.names(ISSUANCES, "outcome")
    took_ns = gained(rows, token_attempts).total_ns()
    figures: dict[str, Any] = {name: count(mine & outcomes.is_in((name,))) for name in ("done", "failed", "cut")}
    for name, ppm in (("p50", 500_000), ("p99", 990_000), ("max", PPM)):
        figures[f"{name}_ns"] = quantile(took_ns, ppm)
    return {"tokens": figures | {"failures": _failures(run, tokens=True)}}


def explained_tokens(summary: Figures) -> list[Part]:
    """What became of requests for tokens, for people; nothing where none had to be fetched."""
    figures = summary.get("tokens")
    if figures is None:
        return []
    row = (_took(figures), show(figures["done"], "count"))
    parts: list[Part] = [("Tokens fetched", ("took", "tokens"), [row], "")]
    if figures["failures"]:
        failed = [(_step(one), one["reason"], show(one["count"], "count")) for one in figures["failures"]]
        parts.append(("Tokens not had", ("at step", "because", "attempts"), failed, ""))
    return parts


def _failures(run: RunData, *, tokens: bool = False) -> list[dict[str, Any]]:
    """Attempts that failed: for what, at which step, why, and how often."""
    names = [run.names(ISSUANCES, name) for name in ("purpose", "step", "reason", "outcome")]
    counted: Counter[tuple[str, str, str]] = Counter()
    for row in range(run.rows(ISSUANCES)):
        purpose, step, reason, outcome = (found.values[found.codes[row]] for found in names)
        if outcome == "failed" and (purpose == TOKEN) is tokens:
            counted[purpose, step, reason] += 1
    return [
        {"purpose": purpose, "step": step, "reason": reason, "count": number}
        for (purpose, step, reason), number in sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    ]


def explained_certificates(summary: Figures) -> list[Part]:
    """What had to be asked for, for people; nothing where certificates are there at once."""
    figures = summary.get("certificates")
    if figures is None or figures["issuances"] is None:
        return []
    rows = [
        (purpose, _took(of_purpose), _steps(of_purpose["steps_mean_ns"]), show(of_purpose["done"], "count"))
        for purpose, of_purpose in figures["issuances"].items()
    ]
    expired = figures["expired"]
    remark = ""
    if expired:
        remark = f"{show(expired, 'count')} certificate{'' if expired == 1 else 's'} ended while in use."
    queue = figures["issuer_queue_max"]
    if queue:
        wait = show(figures["issuer_wait_max_ns"], "duration")
        remark += f" At most {show(queue, 'count')} requests waited for the issuer, the longest for {wait}."
    parts: list[Part] = [
        ("Certificates", ("asked for", "took", "of that", "certificates"), rows, remark.strip()),
    ]
    if figures["failures"]:
        failed = [
            (one["purpose"], _step(one), one["reason"], show(one["count"], "count")) for one in figures["failures"]
        ]
        parts.append(("Certificates not had", ("asked for", "at step", "because", "attempts"), failed, ""))
    return parts


def _step(failure: Figures) -> str:
    """The step at which something failed: what is called signing is the way to the issuer and back too."""
    return "request to the issuer" if failure["step"] == "signing" else str(failure["step"])


def _took(figures: Figures) -> str:
    if not figures["done"]:
        return "none was had"
    p50, p99, longest = (show(figures[f"{name}_ns"], "duration") for name in ("p50", "p99", "max"))
    return f"median {p50}, 99 % within {p99}, longest {longest}"


def _steps(means_ns: Mapping[str, int | None]) -> str:
    spent = {name: value for name, value in means_ns.items() if value}
    biggest = sorted(spent, key=lambda name: (-spent[name], name))[:_BIGGEST]
    told = ", ".join(f"{_PART_NAMES.get(name, name)} {show(spent[name], 'duration')}" for name in biggest)
    return f"on average: {told}" if told else ""
