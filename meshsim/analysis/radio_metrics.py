"""Metrics of the air: whether packets kept the radio part of their delay budgets, and how many count as lost.

They are sampled, not counted for each request: a phase or fault holds the intervals that end in it.
"""

from __future__ import annotations

from fractions import Fraction

from meshsim.analysis.reading import Flags
from meshsim.analysis.selection import Metric, Selected, share
from meshsim.analysis.tallies import total

CONFIDENCE = Fraction(98, 100)
"""A delay budget is kept if this share of packets keeps it (3GPP TS 23.501, 5.7.3.4)."""

TABLE = "radio"


def _intervals(rows: Selected) -> Flags:
    """The samples of the selected slice that end in the selected window."""
    run = rows.run
    chosen: Flags = run.names(TABLE, "slice").is_in(
        tuple(run.scenario.network.slices) if rows.selection.slice is None else (rows.selection.slice,)
    )
    if rows.selection.during is not None:
        chosen &= rows.window.holds_intervals(run.ints(TABLE, "t_ns"))
    return chosen


def air_count(rows: Selected, column: str) -> int:
    """The sum of one column over the selected samples."""
    return total(rows.run.compact(TABLE, column), _intervals(rows))


def within(rows: Selected) -> Fraction | None:
    """Packets that kept the radio part of their budget over all packets."""
    packets = air_count(rows, "packets")
    return share(packets - air_count(rows, "late"), packets)


def covered_within(rows: Selected) -> Fraction | None:
    """The same of the packets that are promised something: neither burst volume nor guaranteed bit rate exceeded."""
    packets = air_count(rows, "packets") - air_count(rows, "beyond")
    return share(packets - air_count(rows, "late") + air_count(rows, "late_beyond"), packets)


def error_rate(rows: Selected) -> Fraction | None:
    """Packets that count as lost over those that are promised something."""
    return share(air_count(rows, "lost"), air_count(rows, "packets") - air_count(rows, "beyond"))


def radio_metrics() -> list[Metric]:
    """The metrics of the air."""
    return [
        Metric(
            "radio_within_budget",
            "share",
            TABLE,
            "Packets that kept the radio part of their 5QI's delay budget over all packets sent by radio.",
            within,
        ),
        Metric(
            "packet_error_rate",
            "share",
            TABLE,
            "Packets that count as lost on the air (late ones of Delay-critical GBR, dropped ones) over those within "
            "burst volume and guaranteed bit rate.",
            error_rate,
        ),
    ]
