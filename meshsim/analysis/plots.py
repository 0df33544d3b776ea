"""The pictures of a run, each from a function of the run alone; notebooks call the same ones as the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from meshsim.analysis.data import RunData
from meshsim.analysis.numbers import show_duration, show_share
from meshsim.analysis.order import at_ranks
from meshsim.analysis.palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILLION, YELLOW
from meshsim.analysis.parts import OTHER, OTHER_EXPLAINED, part_label
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
from meshsim.analysis.selection import Selected, Selection
from meshsim.analysis.timelines import handshakes, timeline
from meshsim.analysis.topology import topology

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
    "injected": (VERMILLION, "////"),
    "other": (GREY, ""),
}
"""Colour and hatch of each part of latency."""

_SMALL = "small parts"
_STYLES = {**PARTS, _SMALL: (FAINT, "")}
_LEAST_SHARE = 0.01
"""Parts that are less than this of every bar are drawn as one."""

_OFF_SCALE = 2.5
"""A budget further away than this many times the longest bar is named, not drawn to scale."""

_APART = 4
"""Bars go on scales of their own if the longer is this many times the mean and the budget: on one, it squeezes them."""

_BARS_IN, _BAR_IN, _AXIS_IN, _SLICE_IN = 0.56, 0.28, 0.3, 1.2
"""Heights of two bars on one scale, of one on its own, of the scale under it, and of a slice with one scale."""

_RIGHTWARDS = "\N{RIGHTWARDS ARROW}"

Row = dict[str, float]
"""Milliseconds by part of latency."""


def attribution(run: RunData) -> Picture:
    """Where the latency of each slice goes, in all answered requests and in the slowest of them, against the budget."""
    bars = {name: _bars(run, name) for name in run.scenario.network.slices}
    bars = {name: rows for name, rows in bars.items() if rows}
    budgets_ms = {name: in_ms(Selected(run, Selection(slice=name)).requests.budget_ns or 0) for name in bars}
    every = [row for rows in bars.values() for row in rows]
    large = [part for part in PARTS if any(row.get(part, 0) >= _LEAST_SHARE * sum(row.values()) for row in every)]
    shown = (
        [*large, _SMALL] if any(value for row in every for part, value in row.items() if part not in large) else large
    )
    apart = {name: _needs_scales(rows, budgets_ms[name]) for name, rows in bars.items()}
    legend_in = 0.22 * -(-len(shown) // 4)
    height = 0.2 + sum(_SLICE_IN + _AXIS_IN * apart[name] for name in bars) + legend_in if bars else 0.6
    with house_style():
        picture = Picture("Where the latency goes", height)
        top = 0.22
        for name, rows in bars.items():
            write(picture, 0, top, name, fontweight="bold")
            _draw_slice(picture, top + 0.08, rows, shown, budgets_ms[name], apart=apart[name])
            top += _SLICE_IN + _AXIS_IN * apart[name]
        if bars:
            handles = [
                Patch(facecolor=_STYLES[name][0], hatch=_STYLES[name][1], label=part_label(name)) for name in shown
            ]
            picture.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 0.05 / height), ncols=4)
        else:
            write(picture, WIDTH_IN / 2, 0.3, "nothing was answered", color=FAINT, ha="center", va="center")
    picture.caption = _attribution_caption(bars)
    return picture


def _bars(run: RunData, name: str) -> list[Row]:
    """Mean milliseconds per part: over all answered requests, and over the slowest one in a hundred."""
    rows = Selected(run, Selection(slice=name))
    answered, spent = rows.requests.answered, rows.spent
    if not answered:
        return []
    return [
        {column.removesuffix("_ns"): in_ms(Fraction(sum_ns, number)) for column, sum_ns in sums_ns.items()}
        for sums_ns, number in ((spent.answered_ns, answered), (spent.slowest_ns, spent.slowest))
    ]


def _needs_scales(rows: Sequence[Row], budget_ms: float) -> bool:
    mean_ms, slow_ms = (sum(row.values()) for row in rows)
    return slow_ms > _APART * max(mean_ms, budget_ms)


def _draw_slice(
    picture: Picture, top: float, rows: Sequence[Row], shown: Sequence[str], budget_ms: float, *, apart: bool
) -> None:
    """Draw the two bars of a slice on one scale, or each on its own, which its label says: whole bars either way."""
    labels = ("all, mean", "slowest 1 %")
    left, width = 0.98, WIDTH_IN - 1.28
    if not apart:
        axes = axes_at(picture, left, top, width, _BARS_IN)
        _draw_bars(axes, dict(zip(labels, rows, strict=True)), shown)
        _draw_budget(axes, max(sum(row.values()) for row in rows), budget_ms, named=True)
        return
    for number, (label, row) in enumerate(zip(labels, rows, strict=True)):
        axes = axes_at(picture, left, top + number * (_BAR_IN + _AXIS_IN), width, _BAR_IN)
        _draw_bars(axes, {f"{label}\n(own scale)" if number else label: row}, shown)
        _draw_budget(axes, sum(row.values()), budget_ms, named=not number)


def _draw_bars(axes: Axes, rows: Mapping[str, Row], shown: Sequence[str]) -> None:
    for place, row in zip(range(len(rows) - 1, -1, -1), rows.values(), strict=True):
        left = 0.0
        small = sum(value for part, value in row.items() if part not in shown)
        for part in shown:
            value = small if part == _SMALL else row[part]
            colour, hatch = _STYLES[part]
            axes.barh(place, value, left=left, height=0.74, color=colour, hatch=hatch, linewidth=0)
            left += value
    axes.set_yticks(range(len(rows) - 1, -1, -1), list(rows))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-0.5, len(rows) - 0.5)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: _shown_ms(value) if value else "0")


def _draw_budget(axes: Axes, longest_ms: float, budget_ms: float, *, named: bool) -> None:
    """The budget over bars of at most this length: a line, or its name at the edge if it is far away."""
    in_scale = budget_ms <= _OFF_SCALE * longest_ms
    right = 1.06 * max(longest_ms, budget_ms) if in_scale else 1.3 * longest_ms
    axes.set_xlim(0, right)
    if in_scale:
        axes.axvline(budget_ms, color=INK, linewidth=1.6, linestyle=(0, (4, 1.5)))
    if not named:
        return
    text, above = f"budget {_shown_ms(budget_ms)}", axes.get_ylim()[1] + 0.06
    if in_scale:
        axes.text(budget_ms, above, text, ha="right" if budget_ms > 0.6 * right else "left", va="bottom")
    else:
        axes.text(right, above, f"{text} {_RIGHTWARDS}", ha="right", va="bottom")


def _shown_ms(value_ms: float) -> str:
    return show_duration(round(value_ms * 1e6))


def _attribution_caption(bars: Mapping[str, Sequence[Row]]) -> str:
    if not bars:
        return "No request was answered, so there is no latency to take apart."
    phrases, named = [], set()
    for name, (everyone, slow) in bars.items():
        largest = max(everyone, key=everyone.__getitem__)
        grown = max(slow, key=lambda part: slow[part] - everyone[part])
        spent = show_share(round(Fraction(everyone[largest] / sum(everyone.values())), 2))
        phrases.append(
            f"{name} spends most on {part_label(largest)} ({spent}), and its slowest lose most on {part_label(grown)}"
        )
        named |= {largest, grown}
    remark = f"; {OTHER_EXPLAINED}" if OTHER in named else ""
    return f"Mean latency by cause against the budget: {'; '.join(phrases)}{remark}."


def latency(run: RunData) -> Picture:
    """Latency of each slice as a distribution over all of its requests; a failed request never arrives."""
    styles = slice_style(run)
    with house_style():
        picture = Picture("How long requests take", 3.3 + 0.22 * len(styles))
        axes = axes_at(picture, 0.55, 0.28, WIDTH_IN - 0.78, 2.45)
        phrases = []
        for name, style in styles.items():
            rows = Selected(run, Selection(slice=name))
            total, answered = rows.requests.number, rows.requests.answered
            if not answered:
                continue
            picks = np.unique(np.linspace(0, answered - 1, 300).astype(np.int64))
            picked_ns = np.array(at_ranks(rows.latencies_ns, picks.tolist()))
            budget_ns = rows.requests.budget_ns or 0
            good = Fraction(rows.requests.within_budget, total)
            label = f"{name}: {show_share(good)} within {show_duration(budget_ns)}"
            axes.plot(picked_ns / 1e6, (picks + 1) / total * 100, label=label, **style)
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
