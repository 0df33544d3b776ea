"""The pictures of a run, each from a function of the run alone; notebooks call the same ones as the report."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator

from meshsim.analysis.data import RunData
from meshsim.analysis.metrics import NS_PER_S, Selected, Selection, count, mean, quantile, share, within_budget
from meshsim.analysis.numbers import show, show_duration, show_share
from meshsim.analysis.palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILLION, YELLOW
from meshsim.analysis.pictures import (
    WIDTH_IN,
    Picture,
    axes_at,
    bucket_ns,
    faults_text,
    house_style,
    in_ms,
    joined,
    shade_faults,
    slice_style,
    write,
)
from meshsim.analysis.summary import slowest
from meshsim.analysis.topology import topology
from meshsim.telemetry.rows import ATTRIBUTION, REQUEST_OUTCOMES

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

OUTCOMES: dict[str, tuple[str, str]] = {
    "denied": (YELLOW, ""),
    "timeout": (VERMILLION, ""),
    "tls-refused": (ORANGE, "////"),
    "unreachable": (BLUE, ""),
    "reset": (PURPLE, ""),
    "failed": (GREY, "////"),
}
"""Colour and hatch of each outcome but ok."""

_LEAST_SHARE = 0.01
"""A part that is less than this of every bar goes into `other`."""

_OFF_SCALE = 2.5
"""A budget further away than this many times the longest bar is named, not drawn to scale."""


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
            budget = in_ms(int(run.ints("requests", "budget_ns")[Selected(run, Selection(slice=name)).requests].max()))
            write(picture, 0, 0.22 + index * row_in, name, fontweight="bold")
            axes = axes_at(picture, 0.98, 0.3 + index * row_in, WIDTH_IN - 1.16, 0.56)
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
        {column.removesuffix("_ns"): in_ms(mean(run.ints("requests", column)[chosen]) or 0) for column in ATTRIBUTION}
        for chosen in (np.flatnonzero(rows.answered), np.flatnonzero(slowest(rows)))
    ]


def _draw_bars(axes: Axes, rows: list[dict[str, float]], shown: list[str], budget_ms: float) -> None:
    longest = max(sum(row.values()) for row in rows)
    in_scale = budget_ms <= _OFF_SCALE * longest
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
    axes.set_xlim(0, 1.06 * (max(longest, budget_ms) if in_scale else longest * 1.25))
    axes.set_ylim(-0.5, 1.5)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} ms" if value else "0")
    text = f"budget {budget_ms:g} ms"
    if in_scale:
        axes.axvline(budget_ms, color=INK, linewidth=1.6, linestyle=(0, (4, 1.5)))
        right = budget_ms > 0.6 * axes.get_xlim()[1]
        settings: dict[str, Any] = {"x": budget_ms, "ha": "right" if right else "left"}
        axes.text(y=1.56, s=text, va="bottom", **settings)
    else:
        axes.text(axes.get_xlim()[1], 1.56, f"{text} \N{RIGHTWARDS ARROW}", ha="right", va="bottom")


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
            ordered = np.sort(rows.latencies_ns)
            picks = np.unique(np.linspace(0, ordered.size - 1, 300).astype(np.int64))
            budget_ns = int(run.ints("requests", "budget_ns")[rows.requests].max())
            good = share(within_budget(rows), total)
            assert good is not None
            label = f"{name}: {show_share(good)} within {show_duration(budget_ns)}"
            axes.plot(ordered[picks] / 1e6, (picks + 1) / total * 100, label=label, **style)
            axes.axvline(in_ms(budget_ns), ymax=0.99, **{**style, "linewidth": 1})
            axes.plot([in_ms(budget_ns)], [float(good * 100)], "o", color=style["color"], markersize=5)
            phrases.append(label.replace(":", ""))
        _log_ms(axes, "x")
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


def _log_ms(axes: Axes, which: str) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_formatter(lambda value, _: show_duration(round(value * 1e6)))
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())


def timeline(run: RunData) -> Picture:
    """Throughput, failures and tail latency over time, faults shaded."""
    width_ns = bucket_ns(run.duration_ns)
    number = -(-run.duration_ns // width_ns)
    starts = np.arange(number) * (width_ns / NS_PER_S)
    per_s = NS_PER_S / width_ns
    styles = slice_style(run)
    bucket = np.minimum(run.ints("requests", "t_intended_ns") // width_ns, number - 1)
    with house_style():
        picture = Picture("What happened when", 5.75)
        places = [axes_at(picture, 0.72, top, WIDTH_IN - 0.97, 1.15) for top in (0.42, 2.0, 3.58)]
        worst: tuple[int, str, float] = (0, "", 0.0)
        for name, style in styles.items():
            rows = Selected(run, Selection(slice=name))
            good = np.bincount(bucket[rows.answered], minlength=number)
            places[0].step(starts, good * per_s, where="post", label=name, **style)
            p99 = _p99_per_bucket(bucket[rows.answered], rows.latencies_ns, number)
            places[2].plot(starts + width_ns / NS_PER_S / 2, p99, **style)
            if rows.requests.any():
                budget_ns = int(run.ints("requests", "budget_ns")[rows.requests].max())
                places[2].axhline(in_ms(budget_ns), **{**style, "linewidth": 0.9})
            if np.isfinite(p99).any():
                peak = int(np.nanargmax(p99))
                worst = max(worst, (int(p99[peak] * 1e6), name, float(starts[peak])))
        failed = _draw_failures(run, places[1], bucket, starts, per_s)
        _log_ms(places[2], "y")
        shade_faults(run, places)
        for place, text in zip(
            places,
            ("answered per second", "not answered, per second", "p99 latency; straight lines: budgets"),
            strict=True,
        ):
            place.set_xlim(0, run.duration_ns / NS_PER_S)
            place.grid(True, axis="y")
            place.set_title(text, loc="left", color=FAINT, pad=6 if place is not places[0] else 16)
            place.locator_params(axis="x", nbins=6)
        for place in places[:2]:
            place.set_ylim(bottom=0)
            place.locator_params(axis="y", nbins=4)
        places[2].xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
        for place in places[:2]:
            place.xaxis.set_major_formatter("")
        picture.legend(*places[0].get_legend_handles_labels(), loc="lower left", bbox_to_anchor=(0.02, 0.08), ncols=3)
        if failed:
            handles = [Patch(facecolor=OUTCOMES[name][0], hatch=OUTCOMES[name][1], label=name) for name in failed]
            picture.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.02, 0.015), ncols=4)
    faults = f", faults shaded ({faults_text(run)})" if run.fault_windows else ""
    shown = (
        f"the largest p99 is {show_duration(worst[0])} in {worst[1]} at {worst[2]:g} s"
        if worst[1]
        else "nothing was answered"
    )
    picture.caption = f"Throughput, failures and p99 latency over the run{faults}: {shown}."
    return picture


def _p99_per_bucket(bucket: Any, latencies_ns: Any, number: int) -> Any:
    """p99 in milliseconds of the answered requests of each bucket, NaN where there are none."""
    order = np.argsort(bucket, kind="stable")
    bounds = np.searchsorted(bucket[order], np.arange(number + 1))
    p99 = np.full(number, np.nan)
    for index in range(number):
        value = quantile(latencies_ns[order[bounds[index] : bounds[index + 1]]], 990_000)
        if value is not None:
            p99[index] = value / 1e6
    return p99


def _draw_failures(run: RunData, axes: Axes, bucket: Any, starts: Any, per_s: float) -> list[str]:
    """Stack the outcomes but ok; return those that occur."""
    outcomes = run.names("requests", "outcome")
    below = np.zeros(len(starts))
    found = [name for name in REQUEST_OUTCOMES if name in OUTCOMES and name in outcomes.values]
    for name in found:
        per_bucket = np.bincount(bucket[outcomes.codes == outcomes.code(name)], minlength=len(starts)) * per_s
        colour, hatch = OUTCOMES[name]
        width = starts[1] - starts[0] if len(starts) > 1 else 1
        axes.bar(starts, per_bucket, width, below, align="edge", color=colour, hatch=hatch, linewidth=0)
        below += per_bucket
    return found


def handshakes(run: RunData) -> Picture:
    """TLS handshakes over time: full, resumed, refused, broken."""
    width_ns = bucket_ns(run.duration_ns)
    number = -(-run.duration_ns // width_ns)
    starts = np.arange(number) * (width_ns / NS_PER_S)
    bucket = np.minimum(run.ints("handshakes", "t_start_ns") // width_ns, number - 1)
    outcomes = run.names("handshakes", "outcome")
    resumed = run.flags("handshakes", "resumed")
    established = outcomes.codes == outcomes.code("established")
    kinds = {
        "full": (established & ~resumed, BLUE, ""),
        "resumed": (established & resumed, SKY, "////"),
        "refused": (outcomes.codes == outcomes.code("refused"), VERMILLION, ""),
        "broken": (outcomes.codes == outcomes.code("broken"), GREY, "////"),
    }
    with house_style():
        picture = Picture("TLS handshakes", 2.6)
        axes = axes_at(picture, 0.55, 0.42, WIDTH_IN - 0.8, 1.5)
        below = np.zeros(number)
        for name, (rows, colour, hatch) in kinds.items():
            heights = np.bincount(bucket[rows], minlength=number) * (NS_PER_S / width_ns)
            if rows.any():
                axes.bar(
                    starts,
                    heights,
                    width_ns / NS_PER_S,
                    below,
                    align="edge",
                    color=colour,
                    hatch=hatch,
                    linewidth=0,
                    label=name,
                )
            below += heights
        shade_faults(run, [axes])
        axes.set_xlim(0, run.duration_ns / NS_PER_S)
        axes.set_ylim(bottom=0)
        axes.locator_params(axis="y", nbins=4)
        axes.set_title("per second", loc="left", color=FAINT, pad=16)
        axes.grid(True, axis="y")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
        if below.any():
            picture.legend(loc="lower left", bbox_to_anchor=(0.02, 0.02), ncols=4)
    counts = [f"{show(count(rows), 'count')} {name}" for name, (rows, _, _) in kinds.items() if rows.any()]
    if not counts:
        picture.caption = "No TLS handshake took place."
        return picture
    peak = int(np.argmax(below))
    picture.caption = (
        f"TLS handshakes over the run: {joined(counts)}; at most {below[peak]:g} per second, at {starts[peak]:g} s."
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
