"""What must never be: how often it was, and when first."""

from __future__ import annotations

from meshsim.analysis.data import RunData
from meshsim.analysis.failing import NEVER_NS
from meshsim.analysis.reading import Flags
from meshsim.analysis.tallies import count
from meshsim.scenario.expectations import Never

_TABLES: dict[Never, tuple[str, str]] = {
    "plaintext-on-wire": ("calls", "t_start_ns"),
    "expired-certificate-accepted": ("handshakes", "t_start_ns"),
    "revoked-certificate-accepted": ("handshakes", "t_start_ns"),
    "wrongly-allowed": ("decisions", "t_ns"),
    "wrongly-denied": ("decisions", "t_ns"),
    "corrupted-payload-accepted": ("calls", "t_start_ns"),
    "request-lost": ("requests", "t_intended_ns"),
}
"""The table in question, and the column of it that says when."""


def culprits(run: RunData, never: Never) -> tuple[str, int, int]:
    """The table in question, how many of its rows are what must never be, and when the first of them was."""
    table, time_column = _TABLES[never]
    number, first_ns = 0, NEVER_NS
    for piece in run.pieces(table):
        wrong = _culprits(piece, never)
        if wrong.any():
            number += count(wrong)
            first_ns = min(first_ns, int(piece.ints(table, time_column)[wrong].min()))
    return table, number, first_ns


def _culprits(piece: RunData, never: Never) -> Flags:
    """Which rows of a piece of the table in question are what must never be."""
    if never == "plaintext-on-wire":
        # A call that never got a connection sent nothing, encrypted or not.
        plain: Flags = ~piece.flags("calls", "encrypted") & (piece.compact("calls", "connection_id") != 0)
        return plain
    if never == "expired-certificate-accepted":
        return piece.flags("handshakes", "outlived_certificate")
    if never == "revoked-certificate-accepted":
        return piece.flags("handshakes", "revoked_certificate")
    if never in ("wrongly-allowed", "wrongly-denied"):
        return piece.names("decisions", "wrongly").is_in((never.removeprefix("wrongly-"),))
    if never == "corrupted-payload-accepted":
        return piece.flags("calls", "corrupted")
    return piece.names("requests", "outcome").is_in(("reset", "timeout"))
