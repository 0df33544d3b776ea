"""Why requests were denied or failed: decisions, calls and handshakes counted by what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from meshsim.analysis.certificate_figures import explained_certificates, explained_tokens
from meshsim.analysis.change_figures import explained_changes
from meshsim.analysis.data import RunData
from meshsim.analysis.decision_figures import explained_undecided
from meshsim.analysis.federation_figures import explained_federation
from meshsim.analysis.header_figures import explained_headers
from meshsim.analysis.numbers import show
from meshsim.analysis.reading import Flags, Ints
from meshsim.analysis.revocation_figures import explained_revocations

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


def denials(run: RunData) -> list[dict[str, Any]]:
    """What policies denied most often: who asked whom for what, by which rule, and how often.

    ``unproven`` counts the calls that came in plaintext, so that their sender proved no identity to the policy.
    """
    refused = ~run.flags("decisions", "allowed")
    if not refused.any():
        return []
    names = ("source", "destination", "method", "path", "rule")
    keys, group = grouped(run, "decisions", names, refused)
    in_plaintext = ~run.flags("calls", "encrypted")
    unproven = np.zeros(group.size, dtype=np.bool_)
    if in_plaintext.any():
        unproven = np.isin(run.compact("decisions", "call_id")[refused], run.compact("calls", "call_id")[in_plaintext])
    counted: list[dict[str, Any]] = [
        {**key, "count": number, "unproven": plain}
        for key, number, plain in zip(keys, _counts(group, len(keys)), _counts(group[unproven], len(keys)), strict=True)
    ]
    return sorted(counted, key=lambda one: (-one["count"], *(one[name] for name in names)))[:MOST]


def failures(run: RunData) -> list[dict[str, Any]]:
    """What failed most often, and why: calls by outcome and handshakes that were refused or broken, by both ends.

    Calls that failed only because of another one come last: the cause stands before them.
    """
    failed = run.names("calls", "outcome").is_in(tuple(CALL_REASONS))
    keys, group = grouped(run, "calls", ("outcome", "source", "destination"), failed)
    counted: list[dict[str, Any]] = [
        {**key, "what": "call", "refused_by": "", "reason": CALL_REASONS[key["outcome"]], "count": number}
        for key, number in zip(keys, _counts(group, len(keys)), strict=True)
    ]
    ended = run.names("handshakes", "outcome").is_in(("refused", "broken"))
    keys, group = grouped(run, "handshakes", ("outcome", "client", "server", "refused_by", "reason"), ended)
    for key, number in zip(keys, _counts(group, len(keys)), strict=True):
        ends = {"source": key.pop("client"), "destination": key.pop("server")}
        counted.append({**key, **ends, "what": "handshake", "count": number})
    order = ("what", "outcome", "source", "destination", "refused_by", "reason")
    return sorted(counted, key=lambda one: (one["outcome"] == "failed", -one["count"], *(one[name] for name in order)))[
        :MOST
    ]


def refusals(run: RunData) -> list[dict[str, Any]]:
    """Flows that cells refused most often to guarantee their bit rate: which flow, where, why, and how often."""
    refused = ~run.flags("admissions", "admitted")
    if not refused.any():
        return []
    names = ("source", "slice", "cell", "reason")
    keys, group = grouped(run, "admissions", names, refused)
    counted: list[dict[str, Any]] = [
        {**key, "count": number} for key, number in zip(keys, _counts(group, len(keys)), strict=True)
    ]
    return sorted(counted, key=lambda one: (-one["count"], *(one[name] for name in names)))[:MOST]


def grouped(run: RunData, table: str, names: Sequence[str], rows: Flags) -> tuple[list[dict[str, str]], Ints]:
    """What the chosen rows that agree in all of these columns have in common, and the group that each row is in."""
    chosen = np.flatnonzero(rows)
    if not chosen.size:
        return [], chosen
    group = np.zeros(chosen.size, dtype=np.int64)
    columns = []
    for name in names:
        found = run.names(table, name)
        # The devices of a fleet count as one client.
        texts = [value.partition("/")[0] if name == "client" else value for value in found.values]
        distinct = sorted(set(texts))
        columns.append((name, distinct, _recoded(texts, distinct)[found.codes[chosen]]))
        # Made small again at once, lest the product of many columns overflow.
        _, group = np.unique(group * len(distinct) + columns[-1][2], return_inverse=True)
    _, first = np.unique(group, return_index=True)
    return [{name: distinct[codes[row]] for name, distinct, codes in columns} for row in first.tolist()], group


def _recoded(texts: Sequence[str], distinct: Sequence[str]) -> Ints:
    position = {text: code for code, text in enumerate(distinct)}
    return np.array([position[text] for text in texts], dtype=np.int64)


def _counts(group: Ints, number: int) -> list[int]:
    """How many rows each of so many groups has."""
    counts: list[int] = np.bincount(group, minlength=number).tolist()
    return counts


def explained(summary: Figures) -> list[Explained]:
    """The denials, refused flows, failures and issuances of a summary, each if there are any, for people."""
    parts = []
    if summary["denials"]:
        rows = [
            (
                f"{one['source']} {_TO} {one['destination']}",
                f"{one['method']} {one['path']}",
                _WITHOUT_RULE.get(one["rule"], one["rule"]),
                show(one["count"], "count"),
            )
            for one in summary["denials"]
        ]
        columns = ("denied", "asked for", "denied by", "times")
        parts.append(Explained("Denied by", columns, rows, _on_denials(summary)))
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
            "Of any rarer kinds the tables calls and handshakes tell." if len(rows) == MOST else _on_refused(summary)
        )
        parts.append(Explained("Failed because", ("failed", "outcome", "because", "times"), rows, remark))
    before = (*explained_undecided(summary), *explained_changes(summary), *explained_federation(summary))
    return [
        *parts,
        *(Explained(*part) for part in (*before, *explained_headers(summary))),
        *(Explained(*part) for part in explained_revocations(summary)),
        *(Explained(*part) for part in (*explained_certificates(summary), *explained_tokens(summary))),
    ]


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
