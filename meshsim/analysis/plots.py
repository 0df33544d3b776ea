"""The pictures of a run, each from a function of the run alone; notebooks call the same ones as the report."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from meshsim.analysis.data import RunData
from meshsim.analysis.metrics import Selected, Selection, count, mean_of, share, within_budget
from meshsim.analysis.numbers import show_duration, show_share
from meshsim.analysis.palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, PAPER, PURPLE, SKY, VERMILLION, YELLOW
from meshsim.analysis.pictures import (
    WIDTH_IN,
    Picture,
    axes_at,
    house_style,
    in_ms,
    log_ms,
    slice_style,
    write,
)
from meshsim.analysis.summary import slowest
from meshsim.analysis.timelines import handshakes, timeline
from meshsim.analysis.topology import topology
from meshsim.telemetry.rows import ATTRIBUTION

PARTS: dict[str, tuple[str, str]] = {
    # blue: the way there; warm: what the encrypted mesh costs; green and purple: computing
    "radio": (SKY, ""),
    "network": (BLUE, ""),
    "tcp": (BLUE, "////"),
    "handshake": (VERMILLION, ""),
    "crypto": (ORANGE, ""),
    "proxy": (ORANGE, "////"),
    "policy": (YELLOW, ""),
    "queue": (PURPLE, ""),
    "service": (GREEN, ""),
    "backoff": (GREY, "////"),
    "other": (GREY, ""),
}
"""Colour and hatch of each part of latency."""

_LEAST_SHARE = 0.01
"""A part that is less than this of every bar goes into `other`."""

_OFF_SCALE = 2.5
"""A budget further away than this many times the longest bar is named, not drawn to scale."""

_CUT = 4
"""A bar longer than this many times the mean and the budget is cut, lest it squeeze them to nothing."""

_RIGHTWARDS = "\N{RIGHTWARDS ARROW}"


def attribution(run: RunData) -> Picture:
    """Where the latency of each slice goes, in all answered requests and in the slowest of them, against the budget."""
    bars = {name: _bars(run, name) for name in run.scenario.network.slices}
    bars = {name: rows for name, rows in bars.items() if rows}
    shown = [
        part
        for part in PARTS
        if part != "other"
        and any(row[part] >= _LEAST_SHARE * sum(row.values()) for rows in bars.values() for row in rows)
    ]
    row_in, legend_rows = 1.2, -(-(len(shown) + 1) // 4)
    height = 0.1 + row_in * max(1, len(bars)) + 0.22 * legend_rows + 0.1
    with house_style():
        picture = Picture("Where the latency goes", height)
        for index, (name, rows) in enumerate(bars.items()):
            budget = in_ms(
                int(run.compact("requests", "budget_ns")[Selected(run, Selection(slice=name)).requests].max())
            )
            write(picture, 0, 0.22 + index * row_in, name, fontweight="bold")
            axes = axes_at(picture, 0.98, 0.3 + index * row_in, WIDTH_IN - 1.28, 0.56)
            _draw_bars(axes, rows, shown, budget)
        handles = [Patch(facecolor=PARTS[part][0], hatch=PARTS[part][1], label=part) for part in [*shown, "other"]]
        picture.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 0.05 / height), ncols=4)
    picture.caption = _attribution_caption(bars)
    return picture


def _bars(run: RunData, name: str) -> list[dict[str, float]]:
    """Mean milliseconds per part: over all answered requests, and over the slowest one in a hundred."""
    rows = Selected(run, Selection(slice=name))
    if not rows.answered.any():
        return []
    return [
        {
            column.removesuffix("_ns"): in_ms(mean_of(run.compact("requests", column), chosen) or 0)
            for column in ATTRIBUTION
        }
        for chosen in (rows.answered, slowest(rows))
    ]


def _draw_bars(axes: Axes, rows: list[dict[str, float]], shown: list[str], budget_ms: float) -> None:
    for place, row in zip((1, 0), rows, strict=True):
        left = 0.0
        rest = sum(value for part, value in row.items() if part not in shown)
        for part, value in [*((part, row[part]) for part in shown), ("other", rest)]:
            colour, hatch = PARTS[part]
            axes.barh(place, value, left=left, height=0.74, color=colour, hatch=hatch, linewidth=0)
            left += value
    axes.set_yticks((1, 0), ("all, mean", "slowest 1 %"))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-0.5, 1.5)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: _shown_ms(value) if value else "0")
    mean_ms, slow_ms = (sum(row.values()) for row in rows)
    in_scale = budget_ms <= _OFF_SCALE * slow_ms
    right = 1.06 * max(slow_ms, budget_ms) if in_scale else 1.3 * slow_ms
    cut = _CUT * max(mean_ms, budget_ms)
    if slow_ms > cut:
        right = cut
        axes.text(right, 0, f" {_shown_ms(slow_ms)} {_RIGHTWARDS}", ha="right", va="center", backgroundcolor=PAPER)
    axes.set_xlim(0, right)
    text = f"budget {_shown_ms(budget_ms)}"
    if in_scale:
        axes.axvline(budget_ms, color=INK, linewidth=1.6, linestyle=(0, (4, 1.5)))
        axes.text(budget_ms, 1.56, text, ha="right" if budget_ms > 0.6 * right else "left", va="bottom")
    else:
        axes.text(right, 1.56, f"{text} {_RIGHTWARDS}", ha="right", va="bottom")


def _shown_ms(value_ms: float) -> str:
    return show_duration(round(value_ms * 1e6))


def _attribution_caption(bars: dict[str, list[dict[str, float]]]) -> str:
    if not bars:
        return "No request was answered, so there is no latency to take apart."
    phrases = []
    for name, (everyone, slow) in bars.items():
        largest = max(everyone, key=everyone.__getitem__)
        grown = max(slow, key=lambda part: slow[part] - everyone[part])
        spent = show_share(round(Fraction(everyone[largest] / sum(everyone.values())), 2))
        phrases.append(f"{name} spends most on {largest} ({spent}), and its slowest lose most on {grown}")
    return f"Mean latency by cause against the budget: {'; '.join(phrases)}."


def latency(run: RunData) -> Picture:
    """Latency of each slice as a distribution over all of its requests; a failed request never arrives."""
    styles = slice_style(run)
    with house_style():
        picture = Picture("How long requests take", 3.3 + 0.22 * len(styles))
        axes = axes_at(picture, 0.55, 0.28, WIDTH_IN - 0.78, 2.45)
        phrases = []
        for name, style in styles.items():
            rows = Selected(run, Selection(slice=name))
            total = count(rows.requests)
            if not rows.answered.any():
                continue
            ordered = rows.latencies_ns
            ordered.sort()
            picks = np.unique(np.linspace(0, ordered.size - 1, 300).astype(np.int64))
            budget_ns = int(run.compact("requests", "budget_ns")[rows.requests].max())
            good = share(within_budget(rows), total)
            assert good is not None
            label = f"{name}: {show_share(good)} within {show_duration(budget_ns)}"
            axes.plot(ordered[picks] / 1e6, (picks + 1) / total * 100, label=label, **style)
            axes.axvline(in_ms(budget_ns), ymax=0.99, **{**style, "linewidth": 1})
            axes.plot([in_ms(budget_ns)], [float(good * 100)], "o", color=style["color"], markersize=5)
            phrases.append(label.replace(":", ""))
        log_ms(axes, "x")
        axes.set_ylim(0, 101)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.grid(True)
        write(picture, 0, 0.16, "requests answered within \N{HORIZONTAL ELLIPSIS}", color=FAINT)
        if phrases:
            picture.legend(loc="lower left", bbox_to_anchor=(0.02, 0.01))
    picture.caption = (
        f"Share of all requests answered within a time, each budget a vertical line: {'; '.join(phrases)}."
        if phrases
        else "No request was answered."
    )
    return picture


PLOTS: dict[str, Callable[[RunData], Picture]] = {
    "attribution": attribution,
    "latency": latency,
    "handshakes": handshakes,
    "timeline": timeline,
    "topology": topology,
}
"""Every picture by name, in the order of the report."""
