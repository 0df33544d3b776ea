"""The pictures over time: what happened when, and when handshakes took place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from meshsim.analysis.data import RunData
from meshsim.analysis.numbers import show, show_duration
from meshsim.analysis.order import of_groups
from meshsim.analysis.palette import BLUE, FAINT, GREY, ORANGE, PURPLE, SKY, VERMILLION, YELLOW
from meshsim.analysis.pictures import (
    WIDTH_IN,
    Picture,
    axes_at,
    faults_text,
    house_style,
    in_ms,
    joined,
    log_ms,
    shade_faults,
    slice_style,
)
from meshsim.analysis.reading import Ints
from meshsim.analysis.selection import NS_PER_S, Selected, Selection, rank_of
from meshsim.telemetry.outcomes import REQUEST_OUTCOMES

OUTCOMES: dict[str, tuple[str, str]] = {
    "denied": (YELLOW, ""),
    "timeout": (VERMILLION, ""),
    "tls-refused": (ORANGE, "////"),
    "unreachable": (BLUE, ""),
    "reset": (PURPLE, ""),
    "failed": (GREY, "////"),
    "not-admitted": (SKY, "////"),
    "aborted": (YELLOW, "////"),
    "overflow": (PURPLE, "////"),
    "unrouted": (BLUE, "////"),
    "no-token": (VERMILLION, "////"),
}
"""Colour and hatch of each outcome but ok."""

MOST_BUCKETS = 60
"""A run is cut into at most so many pieces of a round length."""


class _Buckets(NamedTuple):
    """A run cut into pieces of equal length; the last one may be shorter."""

    width_ns: int
    edges_s: Any
    """Ends of the pieces, one more than there are pieces."""

    def of(self, times_ns: Ints) -> Ints:
        """The number of the piece that each time falls in."""
        return np.minimum(times_ns // self.width_ns, len(self.edges_s) - 2)

    def none(self) -> Ints:
        """Nothing in each piece."""
        return np.zeros(len(self.edges_s) - 1, dtype=np.int64)

    def counts(self, pieces: Ints) -> Ints:
        """How many fall in each piece."""
        return np.bincount(pieces, minlength=len(self.edges_s) - 1)

    def per_s(self, counts: Ints) -> Any:
        """The same per second."""
        return counts / np.diff(self.edges_s)


def _buckets(duration_ns: int, least_ns: int = 1) -> _Buckets:
    """Pieces of ``least_ns`` or longer."""
    width = max(least_ns, _round_width(duration_ns))
    number = -(-duration_ns // width)
    return _Buckets(width, np.minimum(np.arange(number + 1) * width, duration_ns) / NS_PER_S)


def _round_width(duration_ns: int) -> int:
    """1, 2 or 5 times a power of ten nanoseconds."""
    factor = 1
    while True:
        for step in (1, 2, 5):
            if duration_ns <= step * factor * MOST_BUCKETS:
                return step * factor
        factor *= 10


def timeline(run: RunData) -> Picture:
    """Throughput, failures and tail latency over time, faults shaded."""
    buckets = _buckets(run.duration_ns)
    ended = _ended(run, buckets)
    with house_style():
        failed = [name for name in REQUEST_OUTCOMES if name in OUTCOMES and ended.failed[name].any()]
        height = 5.45 + 0.3 * bool(failed)
        picture = Picture("What happened when", height)
        places = [axes_at(picture, 0.72, top, WIDTH_IN - 0.97, 1.15) for top in (0.42, 2.0, 3.58)]
        peaks = [_draw_slice(run, name, style, places, buckets, ended) for name, style in slice_style(run).items()]
        _draw_failures(places[1], buckets, ended, failed)
        log_ms(places[2], "y")
        shade_faults(run, places)
        titles = ("answered per second", "not answered, per second", "p99 latency; straight lines: budgets")
        for place, title in zip(places, titles, strict=True):
            _time_axis(run, place, title, above=place is places[0])
        for place in places[:2]:
            place.xaxis.set_major_formatter("")
            place.set_ylim(bottom=0)
        for place in places[: 2 if failed else 1]:
            place.locator_params(axis="y", nbins=4)
        picture.legend(
            *places[0].get_legend_handles_labels(),
            loc="lower left",
            bbox_to_anchor=(0.02, (0.12 + 0.3 * bool(failed)) / height),
            ncols=3,
        )
        handles = [Patch(facecolor=OUTCOMES[name][0], hatch=OUTCOMES[name][1], label=name) for name in failed]
        if handles:
            picture.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.02, 0.1 / height), ncols=4)
    picture.caption = _timeline_caption(run, [peak for peak in peaks if peak is not None])
    return picture


class _Ended(NamedTuple):
    """How requests ended that were meant to be sent in each piece of the run."""

    answered: dict[str, Ints]
    """How many were answered, by slice."""
    failed: dict[str, Ints]
    """How many were not, by outcome."""
    p99_ns: dict[str, Any]
    """p99 of those that were answered, by slice; NaN where there are none."""


def _ended(run: RunData, buckets: _Buckets) -> _Ended:
    slices = list(run.scenario.network.slices)
    answered = {name: buckets.none() for name in slices}
    failed = {name: buckets.none() for name in OUTCOMES}
    for piece in run.pieces("requests"):
        pieces = buckets.of(piece.ints("requests", "t_intended_ns"))
        of_slice, outcomes = piece.names("requests", "slice"), piece.names("requests", "outcome")
        ok = outcomes.codes == outcomes.code("ok")
        for name in slices:
            answered[name] += buckets.counts(pieces[ok & (of_slice.codes == of_slice.code(name))])
        for name in OUTCOMES:
            failed[name] += buckets.counts(pieces[outcomes.codes == outcomes.code(name)])
    sizes = np.concatenate([answered[name] for name in slices]).tolist()
    found = of_groups(lambda: _latencies(run, buckets, slices), sizes, lambda size: [rank_of(size, 990_000)])
    p99_ns = np.array([values[0] if values else np.nan for values in found]).reshape(len(slices), -1)
    return _Ended(answered, failed, dict(zip(slices, p99_ns, strict=True)))


def _latencies(run: RunData, buckets: _Buckets, slices: Sequence[str]) -> Iterator[tuple[Ints, Ints]]:
    """Of each request that was answered the piece of the run, counted on from slice to slice, and the latency."""
    for piece in run.pieces("requests"):
        of_slice, outcomes = piece.names("requests", "slice"), piece.names("requests", "outcome")
        ok = outcomes.codes == outcomes.code("ok")
        places = np.array([slices.index(name) for name in of_slice.values], dtype=np.int64)
        pieces = buckets.of(piece.ints("requests", "t_intended_ns"))[ok]
        yield (
            places[of_slice.codes[ok]] * (len(buckets.edges_s) - 1) + pieces,
            piece.compact("requests", "latency_ns")[ok],
        )


def _timeline_caption(run: RunData, peaks: Sequence[tuple[int, str, float]]) -> str:
    faults = f", faults shaded ({faults_text(run)})" if run.fault_windows else ""
    shown = "nothing was answered"
    if peaks:
        p99_ns, name, at_s = max(peaks)
        shown = f"the largest p99 is {show_duration(p99_ns)} in {name} at {at_s:g} s"
    return f"Throughput, failures and p99 latency over the run{faults}: {shown}."


def _draw_slice(
    run: RunData, name: str, style: dict[str, Any], places: Sequence[Axes], buckets: _Buckets, ended: _Ended
) -> tuple[int, str, float] | None:
    """Draw the throughput and p99 of one slice; return its largest p99 in ns, its name and when that was in s."""
    places[0].stairs(buckets.per_s(ended.answered[name]), buckets.edges_s, baseline=None, label=name, **style)
    p99_ns = ended.p99_ns[name]
    middles = (buckets.edges_s[:-1] + buckets.edges_s[1:]) / 2
    places[2].plot(middles, p99_ns / 1e6, **style)
    budget_ns = Selected(run, Selection(slice=name)).requests.budget_ns
    if budget_ns is not None:
        places[2].axhline(in_ms(budget_ns), **{**style, "linewidth": 0.9})
    if np.isnan(p99_ns).all():
        return None
    peak = int(np.nanargmax(p99_ns))
    return int(p99_ns[peak]), name, float(buckets.edges_s[peak])


def _draw_failures(axes: Axes, buckets: _Buckets, ended: _Ended, failed: Sequence[str]) -> None:
    """Stack the outcomes but ok."""
    _stack(axes, buckets, ((buckets.per_s(ended.failed[name]), *OUTCOMES[name]) for name in failed))
    if not failed:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", color=FAINT)
        axes.set_yticks([0])


def _stack(axes: Axes, buckets: _Buckets, layers: Iterable[tuple[Any, str, str]]) -> Any:
    """Stack layers of (one value per piece, colour, hatch); return the values of all together."""
    below = np.zeros(len(buckets.edges_s) - 1)
    for values, colour, hatch in layers:
        above = below + values
        axes.stairs(above, buckets.edges_s, baseline=below, fill=True, facecolor=colour, hatch=hatch, linewidth=0)
        below = above
    return below


def handshakes(run: RunData) -> Picture:
    """TLS handshakes over time: full, resumed, refused, broken; counted, for they come in bursts."""
    buckets = _buckets(run.duration_ns, least_ns=NS_PER_S)
    per = "second" if buckets.width_ns == NS_PER_S else show_duration(buckets.width_ns)
    kinds = {name: counts for name, counts in _kinds(run, buckets).items() if counts.any()}
    with house_style():
        picture = Picture("TLS handshakes", 2.6)
        axes = axes_at(picture, 0.55, 0.42, WIDTH_IN - 0.8, 1.5)
        layers = ((counts, *_KINDS[name]) for name, counts in kinds.items())
        numbers = _stack(axes, buckets, layers)
        shade_faults(run, [axes])
        _time_axis(run, axes, f"per {per}", above=True)
        axes.set_ylim(bottom=0)
        axes.locator_params(axis="y", nbins=4)
        handles = [Patch(facecolor=_KINDS[name][0], hatch=_KINDS[name][1], label=name) for name in kinds]
        if handles:
            picture.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.02, 0.02), ncols=4)
    phrases = [f"{show(int(counts.sum()), 'count')} {name}" for name, counts in kinds.items()]
    peak = int(np.argmax(numbers))
    picture.caption = (
        f"TLS handshakes over the run: {joined(phrases)}; at most {show(int(numbers[peak]), 'count')} per {per}, "
        f"at {buckets.edges_s[peak]:g} s."
        if phrases
        else "No TLS handshake took place."
    )
    return picture


_KINDS: dict[str, tuple[str, str]] = {
    "full": (BLUE, ""),
    "resumed": (SKY, "////"),
    "refused": (VERMILLION, ""),
    "broken": (GREY, "////"),
}
"""Colour and hatch of each kind of handshake."""


def _kinds(run: RunData, buckets: _Buckets) -> dict[str, Ints]:
    """How many handshakes of each kind began in each piece of the run."""
    found = {name: buckets.none() for name in _KINDS}
    for piece in run.pieces("handshakes"):
        pieces = buckets.of(piece.ints("handshakes", "t_start_ns"))
        outcomes, resumed = piece.names("handshakes", "outcome"), piece.flags("handshakes", "resumed")
        established = outcomes.codes == outcomes.code("established")
        for name, rows in (
            ("full", established & ~resumed),
            ("resumed", established & resumed),
            ("refused", outcomes.codes == outcomes.code("refused")),
            ("broken", outcomes.codes == outcomes.code("broken")),
        ):
            found[name] += buckets.counts(pieces[rows])
    return found


def _time_axis(run: RunData, axes: Axes, title: str, *, above: bool) -> None:
    """Seconds along the bottom, a title at the top, with room under it for the numbers of faults if ``above``."""
    axes.set_xlim(0, run.duration_ns / NS_PER_S)
    axes.set_title(title, loc="left", color=FAINT, pad=16 if above and run.fault_windows else 6)
    axes.grid(True, axis="y")
    axes.locator_params(axis="x", nbins=6)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
