"""What people are told the parts of latency are called."""

from __future__ import annotations

OTHER = "other"
"""The part that takes what no other one explains."""

OTHER_LABEL = "waiting (other)"
OTHER_EXPLAINED = (
    f"{OTHER_LABEL} is time that no other part explains, such as the wait for a timeout after the peer fell silent"
)
"""A sentence but for its full stop."""


def part_label(part: str) -> str:
    """The name of a part, an attribution column without its unit, as pictures and tables show it."""
    return OTHER_LABEL if part == OTHER else part
