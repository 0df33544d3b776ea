"""How each slice's delay budget was kept on the air: figures for the summary, and how they read."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from meshsim.analysis.data import RunData
from meshsim.analysis.numbers import NOTHING, show, show_share, to_json
from meshsim.analysis.radio_metrics import CONFIDENCE, TABLE, air_count, covered_within, error_rate, within
from meshsim.analysis.selection import Selected, Selection

Figures = Mapping[str, Any]

CRITICAL = "Delay-critical GBR"

AIR_EXPLAINED = (
    "A delay budget is kept if 98 % of packets keep it (3GPP TS 23.501, 5.7.3.4). A late packet of Delay-critical GBR "
    "counts as lost. Nothing is promised beyond the burst volume of the 5QI or the guaranteed bit rate of the flow."
)


AIR_COLUMNS = (
    *("slice", "5QI's delay budget", "packets", "in radio part"),
    *("counted as lost", "5QI's error rate", "beyond promise"),
)
"""Columns of the table of slices on the air."""


class AirLine(NamedTuple):
    """What is said of one slice's packets on the air."""

    split: str
    """The delay budget and its two parts."""
    radio: str
    """The radio part."""
    packets: str
    within: str
    """Share that kept the radio part; empty if nothing was sent."""
    missed: bool
    """Whether fewer kept it than the standard asks for, of those that are promised something."""
    lost: str
    """Share that counts as lost; empty if lateness is no loss."""
    allowed: str
    """The packet error rate of the 5QI."""
    over: bool
    """Whether that is more than the 5QI's packet error rate."""
    beyond: str
    """Share for which nothing is promised; empty if there is none."""


def air_of_slice(run: RunData, name: str) -> dict[str, Any] | None:
    """Figures of one slice on the air; None if nothing of it was sent by radio."""
    rows = Selected(run, Selection(slice=name))
    packets = air_count(rows, "packets")
    if not packets:
        return None
    settings = run.scenario.network.slices[name]
    five_qi = run.scenario.network.characteristics(settings.five_qi)
    covered = covered_within(rows)
    longest = run.ints(TABLE, "longest_ns")[run.names(TABLE, "slice").is_in((name,))]
    return {
        "resource_type": five_qi.resource_type,
        "delay_budget_ns": five_qi.packet_delay_budget_ns,
        "core_budget_ns": five_qi.core_network_delay_ns,
        "radio_budget_ns": five_qi.access_network_delay_budget_ns,
        "packet_error_rate_allowed": five_qi.packet_error_rate,
        **{column: air_count(rows, column) for column in ("packets", "late", "beyond", "late_beyond", "lost")},
        "longest_ns": int(longest.max()),
        "within_budget": to_json(within(rows), "share"),
        "kept": None if covered is None else covered >= CONFIDENCE,
        "packet_error_rate": to_json(error_rate(rows), "share"),
    }


def air_line(figures: Figures) -> AirLine:
    """What the figures of one slice say, for people."""
    packets, beyond = figures["packets"], figures["beyond"]
    rate, allowed = figures["packet_error_rate"], figures["packet_error_rate_allowed"]
    lost = ""
    if figures["resource_type"] == CRITICAL or figures["lost"]:
        lost = NOTHING if rate is None else show_share(Fraction(str(rate)))
    whole, core, radio = (show(figures[f"{part}_budget_ns"], "duration") for part in ("delay", "core", "radio"))
    return AirLine(
        split=f"{whole} = {core} core + {radio} radio",
        radio=radio,
        packets=show(packets, "count"),
        within=show_share(Fraction(packets - figures["late"], packets)),
        missed=figures["kept"] is False,
        lost=lost,
        allowed=show_share(Fraction(str(allowed))),
        over=rate is not None and rate > allowed,
        beyond=show_share(Fraction(beyond, packets)) if beyond else "",
    )


def air_rows(slices: Mapping[str, Figures], missed: str, over: str) -> list[tuple[str, ...]]:
    """The table of slices on the air, as ``AIR_COLUMNS`` has it; ``missed`` and ``over`` mark what was not kept."""
    lines = {name: air_line(figures["radio"]) for name, figures in slices.items() if figures["radio"]}
    return [
        (
            name,
            line.split,
            line.packets,
            line.within + missed * line.missed,
            (line.lost or NOTHING) + over * line.over,
            line.allowed,
            line.beyond or NOTHING,
        )
        for name, line in lines.items()
    ]
