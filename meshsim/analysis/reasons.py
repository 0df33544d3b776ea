"""Why requests were denied or failed: decisions, calls and handshakes counted by what they have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from meshsim.analysis.certificate_figures import explained_certificates, explained_tokens
from meshsim.analysis.change_figures import explained_changes
from meshsim.analysis.data import RunData
from meshsim.analysis.decision_figures import explained_undecided
from meshsim.analysis.federation_figures import explained_federation
from meshsim.analysis.header_figures import explained_headers
from meshsim.analysis.move_figures import explained_moves
from meshsim.analysis.numbers import show
from meshsim.analysis.push_figures import explained_pushes
from meshsim.analysis.reading import Flags, Ints, Names
from meshsim.analysis.revocation_figures import explained_revocations
from meshsim.scenario.token_reasons import REASONS

MOST = 10
"""So many denials, and so many failures, are listed."""

CALL_REASONS = {
    "timeout": "no answer within the timeout",
    "tls-refused": "a TLS handshake was refused",
    "unreachable": "no TCP connection, or no healthy endpoint",
    "reset": "the connection broke before the answer",
    "failed": "something that the called service needed failed or was denied",
    "not-admitted": "its cell had refused to guarantee the flow's bit rate",
    "aborted": "a route answered it on purpose",
    "overflow": "a limit on connections or requests was reached",
    "unrouted": "no route of the called service matches",
    "no-token": "the caller had no token to send",
    "no-waypoint": "the waypoint could not be reached, or was lost",
}
"""Why a call fails with each outcome; `denied` is none, for policies doing their work are listed apart."""

_WITHOUT_RULE = {
    "default-deny": "no rule allows it (default-deny)",
    "failed-closed": "no answer from the authorizer (failed-closed)",
}
_TO = "\N{RIGHTWARDS ARROW}"

Figures = Mapping[str, Any]


class Explained(NamedTuple):
    """Denials or failures for people; every row has as many cells as there are columns."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    remark: str
    """What else there is to say about them, sentences or nothing."""
    sentences: Sequence[tuple[str, str]] = ()
    """Name of each row and all of it in words, for the terminal, where the last column counts nothing by itself."""
    telling: frozenset[int] = frozenset()
    """Rows that are shown however rare they are."""
    each: str = ""
    """What each of the telling rows is one of, for people."""


def denials(run: RunData) -> list[dict[str, Any]]:
    """What policies denied most often: who asked whom for what, by which rule, and how often.

    ``refused_by`` names the RequestAuthentications that refused the token, where ``rule`` tells why one was refused.
    ``unproven`` counts the calls that came in plaintext, so that their sender proved no identity to the policy.
    """
    names = ("source", "destination", "method", "path", "rule", "refused_by")
    refused = grouped(run, "decisions", names, _refused)
    in_plaintext = _calls_in_plaintext(run) if refused else None
    unproven: dict[tuple[str, ...], int] = {}
    if in_plaintext is not None:
        plain = grouped(run, "decisions", names, lambda piece: _refused(piece) & _of_calls(piece, in_plaintext))
        unproven = {tuple(key.values()): number for key, number in plain}
    counted: list[dict[str, Any]] = [
        {**key, "count": number, "unproven": unproven.get(tuple(key.values()), 0)} for key, number in refused
    ]
    ordered = sorted(counted, key=lambda one: (-one["count"], *(one[name] for name in names)))
    telling = _first_of_tokens(ordered)
    return [one for index, one in enumerate(ordered) if index < MOST or index in telling]


def _first_of_tokens(ordered: Sequence[Figures]) -> frozenset[int]:
    """Of each reason to refuse a token, the most frequent denial: a stolen token is no less telling for being rare."""
    first: dict[str, int] = {}
    for index, one in enumerate(ordered):
        if one["rule"] in REASONS:
            first.setdefault(one["rule"], index)
    return frozenset(first.values())


def _refused(piece: RunData) -> Flags:
    return ~piece.flags("decisions", "allowed")


def _calls_in_plaintext(run: RunData) -> Flags | None:
    """Whether each call, by its number, was in plaintext; None if none was."""
    flags: Flags | None = None
    for piece in run.pieces("calls"):
        plain = ~piece.flags("calls", "encrypted")
        if plain.any():
            if flags is None:
                flags = np.zeros((run.largest("calls", "call_id") or 0) + 1, dtype=np.bool_)
            flags[piece.compact("calls", "call_id")[plain]] = True
    return flags


def _of_calls(piece: RunData, wanted: Flags) -> Flags:
    """Which decisions are of calls that are wanted; a call that had no end has no row, and is not."""
    numbers = piece.compact("decisions", "call_id")
    return (numbers < wanted.size) & wanted[np.minimum(numbers, wanted.size - 1)]


def failures(run: RunData) -> list[dict[str, Any]]:
    """What failed most often, and why: calls by outcome and handshakes that were refused or broken, by both ends.

    Calls that failed only because of another one come last: the cause stands before them. The most frequent of each
    cause is among them however rare it is.
    """
    failed = grouped(
        run,
        "calls",
        ("outcome", "source", "destination"),
        lambda piece: piece.names("calls", "outcome").is_in(tuple(CALL_REASONS)),
    )
    counted: list[dict[str, Any]] = [
        {**key, "what": "call", "refused_by": "", "reason": CALL_REASONS[key["outcome"]], "count": number}
        for key, number in failed
    ]
    ended = grouped(
        run,
        "handshakes",
        ("outcome", "client", "server", "refused_by", "reason"),
        lambda piece: piece.names("handshakes", "outcome").is_in(("refused", "broken")),
    )
    for key, number in ended:
        ends = {"source": key.pop("client"), "destination": key.pop("server")}
        counted.append({**key, **ends, "what": "handshake", "count": number})
    order = ("what", "outcome", "source", "destination", "refused_by", "reason")
    ordered = sorted(
        counted, key=lambda one: (one["outcome"] == "failed", -one["count"], *(one[name] for name in order))
    )
    telling = _first_of_causes(ordered)
    return [one for index, one in enumerate(ordered) if index < MOST or index in telling]


def _first_of_causes(ordered: Sequence[Figures]) -> frozenset[int]:
    """Of each cause of failures, the most frequent: one refused handshake can tell more than a thousand timeouts."""
    first: dict[tuple[str, ...], int] = {}
    for index, one in enumerate(ordered):
        first.setdefault(tuple(one[name] for name in ("what", "outcome", "refused_by", "reason")), index)
    return frozenset(first.values())


def refusals(run: RunData) -> list[dict[str, Any]]:
    """Flows that cells refused most often to guarantee their bit rate: which flow, where, why, and how often."""
    names = ("source", "slice", "cell", "reason")
    counted: list[dict[str, Any]] = [
        {**key, "count": number}
        for key, number in grouped(run, "admissions", names, lambda piece: ~piece.flags("admissions", "admitted"))
    ]
    return sorted(counted, key=lambda one: (-one["count"], *(one[name] for name in names)))[:MOST]


def grouped(
    run: RunData, table: str, names: Sequence[str], which: Callable[[RunData], Flags]
) -> list[tuple[dict[str, str], int]]:
    """What rows of a table have in common in all of these columns, and how many do, in the order of the strings.

    ``which`` tells the rows of a piece that are meant.
    """
    found: Counter[tuple[str, ...]] = Counter()
    for piece in run.pieces(table):
        chosen = np.flatnonzero(which(piece))
        if not chosen.size:
            continue
        group = np.zeros(chosen.size, dtype=np.int64)
        for name in names:
            column = piece.names(table, name)
            # Made small again at once, lest the product of many columns overflow.
            _, group = np.unique(group * len(column.values) + column.codes[chosen], return_inverse=True)
        _, first, numbers = np.unique(group, return_index=True, return_counts=True)
        texts = (_texts(piece.names(table, name), chosen[first], name) for name in names)
        for key, number in zip(zip(*texts, strict=True), numbers.tolist(), strict=True):
            found[key] += number
    return [(dict(zip(names, key, strict=True)), found[key]) for key in sorted(found)]


def _texts(column: Names, rows: Ints, name: str) -> list[str]:
    """The strings of some rows; the devices of a fleet count as one client."""
    texts = [column.values[code] for code in column.codes[rows].tolist()]
    return [text.partition("/")[0] for text in texts] if name == "client" else texts


def explained(summary: Figures) -> list[Explained]:
    """The denials, refused flows, failures and issuances of a summary, each if there are any, for people."""
    parts = []
    if summary["denials"]:
        rows = [
            (
                f"{one['source']} {_TO} {one['destination']}",
                f"{one['method']} {one['path']}",
                _denied_by(one),
                show(one["count"], "count"),
            )
            for one in summary["denials"]
        ]
        columns = ("denied", "asked for", "denied by", "times")
        telling = _first_of_tokens(summary["denials"])
        each = "reason to refuse a token"
        parts.append(Explained("Denied by", columns, rows, _on_denials(summary), telling=telling, each=each))
    if summary.get("refusals"):
        rows = [(one["source"], one["cell"], one["reason"], show(one["count"], "count")) for one in summary["refusals"]]
        remark = (
            "A device asks when its flow starts and at each handover; what it sends in a flow that was refused ends as "
            "not-admitted."
        )
        columns = ("not admitted", "in cell", "because", "times")
        parts.append(Explained("Not admitted", columns, rows, remark))
    if summary["failures"]:
        rows = [
            (f"{one['source']} {_TO} {one['destination']}", _outcome(one), one["reason"], show(one["count"], "count"))
            for one in summary["failures"]
        ]
        remark = (
            "Of any rarer kinds the tables calls and handshakes tell." if len(rows) >= MOST else _on_refused(summary)
        )
        columns, telling = ("failed", "outcome", "because", "times"), _first_of_causes(summary["failures"])
        parts.append(Explained("Failed because", columns, rows, remark, telling=telling, each="cause"))
    before = (*explained_undecided(summary), *explained_changes(summary), *explained_federation(summary))
    return [
        *parts,
        *(Explained(*part) for part in (*before, *explained_headers(summary))),
        *(Explained(*part) for part in explained_revocations(summary)),
        *(Explained(*part) for part in (*explained_moves(summary), *explained_pushes(summary))),
        *(Explained(*part) for part in (*explained_certificates(summary), *explained_tokens(summary))),
    ]


def _denied_by(denial: Figures) -> str:
    by = f" ({denial['refused_by']})" if denial["refused_by"] else ""
    rule = str(denial["rule"])
    return _WITHOUT_RULE.get(rule, rule) + by


def _outcome(failure: Figures) -> str:
    by = f" by the {failure['refused_by']}" if failure["refused_by"] else ""
    return f"handshake {failure['outcome']}{by}" if failure["what"] == "handshake" else str(failure["outcome"])


def _on_refused(summary: Figures) -> str:
    """Why calls and handshakes that were refused are not as many, if they are not."""
    calls, handshakes = (
        sum(one["count"] for one in summary["failures"] if (one["what"], one["outcome"]) == kind)
        for kind in (("call", "tls-refused"), ("handshake", "refused"))
    )
    if calls == handshakes:
        return ""
    if calls > handshakes:
        return "Calls that wait for one handshake are refused together: so more calls than handshakes were."
    return "Not every handshake that was refused ended a call: some calls were tried again, or had ended before."


def _on_denials(summary: Figures) -> str:
    listed = sum(one["count"] for one in summary["denials"])
    unproven = sum(one["unproven"] for one in summary["denials"])
    every = summary["totals"]["decisions_denied"]
    sentences = []
    if unproven:
        which = "All of these calls" if unproven == listed else f"{show(unproven, 'count')} of these calls"
        sentences.append(
            f"{which} came in plaintext (mesh.tls.mode DISABLE or PERMISSIVE), without a proven identity: "
            "no rule that names a caller matches them."
        )
    if every > listed:
        left = show(every - listed, "count")
        what = "call of a rarer kind was" if every - listed == 1 else "calls of rarer kinds were"
        sentences.append(f"Besides these, {left} {what} denied: the table decisions has them.")
    return " ".join(sentences)
