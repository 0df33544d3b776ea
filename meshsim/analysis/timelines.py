"""The pictures over time: what happened when, and when handshakes took place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from meshsim.analysis.data import RunData
from meshsim.analysis.numbers import show, show_duration
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
from meshsim.analysis.reading import Flags, Ints
from meshsim.analysis.selection import NS_PER_S, Selected, Selection, count, quantile
from meshsim.telemetry.rows import REQUEST_OUTCOMES

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
_PART_ROWS = 262_144


class _Buckets(NamedTuple):
    """A run cut into pieces of equal length; the last one may be shorter."""

    width_ns: int
    edges_s: Any
    """Ends of the pieces, one more than there are pieces."""

    def of(self, times_ns: Ints) -> Ints:
        """The number of the piece that each time falls in, in one byte each: there are at most ``MOST_BUCKETS``."""
        pieces = np.empty(times_ns.size, dtype=np.int8)
        for part in _parts(times_ns.size):
            pieces[part] = np.minimum(times_ns[part] // self.width_ns, len(self.edges_s) - 2)
        return pieces

    def counts(self, pieces: Ints) -> Ints:
        """How many fall in each piece."""
        counts = np.zeros(len(self.edges_s) - 1, dtype=np.int64)
        for part in _parts(pieces.size):
            counts += np.bincount(pieces[part], minlength=counts.size)
        return counts

    def per_s(self, pieces: Ints) -> Any:
        """How many fall in each piece, per second."""
        return self.counts(pieces) / np.diff(self.edges_s)


def _parts(rows: int) -> Iterator[slice]:
    """Parts of a column that are short enough for NumPy to make longer integers of them."""
    return (slice(begin, begin + _PART_ROWS) for begin in range(0, rows, _PART_ROWS))


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
    pieces = _pieces_of_requests(run, buckets)
    with house_style():
        outcomes = run.names("requests", "outcome").values
        failed = [name for name in REQUEST_OUTCOMES if name in OUTCOMES and name in outcomes]
        height = 5.45 + 0.3 * bool(failed)
        picture = Picture("What happened when", height)
        places = [axes_at(picture, 0.72, top, WIDTH_IN - 0.97, 1.15) for top in (0.42, 2.0, 3.58)]
        peaks = [_draw_slice(run, name, style, places, buckets, pieces) for name, style in slice_style(run).items()]
        _draw_failures(run, places[1], buckets, pieces, failed)
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


def _pieces_of_requests(run: RunData, buckets: _Buckets) -> Ints:
    """The piece of the run in which each request was meant to be sent; the instants are not kept."""
    pieces = np.empty(run.rows("requests"), dtype=np.int8)
    begin = 0
    for part in run.parts("requests", (), ("t_intended_ns",)):
        times_ns = part.ints["t_intended_ns"]
        pieces[begin : begin + times_ns.size] = buckets.of(times_ns)
        begin += times_ns.size
    return pieces


def _timeline_caption(run: RunData, peaks: Sequence[tuple[int, str, float]]) -> str:
    faults = f", faults shaded ({faults_text(run)})" if run.fault_windows else ""
    shown = "nothing was answered"
    if peaks:
        p99_ns, name, at_s = max(peaks)
        shown = f"the largest p99 is {show_duration(p99_ns)} in {name} at {at_s:g} s"
    return f"Throughput, failures and p99 latency over the run{faults}: {shown}."


def _draw_slice(
    run: RunData, name: str, style: dict[str, Any], places: Sequence[Axes], buckets: _Buckets, pieces: Ints
) -> tuple[int, str, float] | None:
    """Draw the throughput and p99 of one slice; return its largest p99 in ns, its name and when that was in s."""
    rows = Selected(run, Selection(slice=name))
    places[0].stairs(buckets.per_s(pieces[rows.answered]), buckets.edges_s, baseline=None, label=name, **style)
    p99_ns = _p99_per_piece(pieces[rows.answered], rows.latencies_ns, len(buckets.edges_s) - 1)
    middles = (buckets.edges_s[:-1] + buckets.edges_s[1:]) / 2
    places[2].plot(middles, p99_ns / 1e6, **style)
    if rows.requests.any():
        budget_ns = int(run.compact("requests", "budget_ns")[rows.requests].max())
        places[2].axhline(in_ms(budget_ns), **{**style, "linewidth": 0.9})
    if np.isnan(p99_ns).all():
        return None
    peak = int(np.nanargmax(p99_ns))
    return int(p99_ns[peak]), name, float(buckets.edges_s[peak])


def _p99_per_piece(pieces: Ints, latencies_ns: Ints, number: int) -> Any:
    """p99 in nanoseconds of the answered requests of each piece, NaN where there are none."""
    found = (quantile(latencies_ns[pieces == piece], 990_000) for piece in range(number))
    return np.array([np.nan if value is None else value for value in found])


def _draw_failures(run: RunData, axes: Axes, buckets: _Buckets, pieces: Ints, failed: Sequence[str]) -> None:
    """Stack the outcomes but ok."""
    outcomes = run.names("requests", "outcome")
    rates = ((buckets.per_s(pieces[outcomes.codes == outcomes.code(name)]), *OUTCOMES[name]) for name in failed)
    _stack(axes, buckets, rates)
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
    pieces = buckets.of(run.ints("handshakes", "t_start_ns"))
    kinds = {name: kind for name, kind in _kinds(run).items() if kind[0].any()}
    with house_style():
        picture = Picture("TLS handshakes", 2.6)
        axes = axes_at(picture, 0.55, 0.42, WIDTH_IN - 0.8, 1.5)
        layers = ((buckets.counts(pieces[rows]), colour, hatch) for rows, colour, hatch in kinds.values())
        numbers = _stack(axes, buckets, layers)
        shade_faults(run, [axes])
        _time_axis(run, axes, f"per {per}", above=True)
        axes.set_ylim(bottom=0)
        axes.locator_params(axis="y", nbins=4)
        handles = [Patch(facecolor=colour, hatch=hatch, label=name) for name, (_, colour, hatch) in kinds.items()]
        if handles:
            picture.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.02, 0.02), ncols=4)
    counts = [f"{show(count(rows), 'count')} {name}" for name, (rows, _, _) in kinds.items()]
    peak = int(np.argmax(numbers))
    picture.caption = (
        f"TLS handshakes over the run: {joined(counts)}; at most {show(int(numbers[peak]), 'count')} per {per}, "
        f"at {buckets.edges_s[peak]:g} s."
        if counts
        else "No TLS handshake took place."
    )
    return picture


def _kinds(run: RunData) -> dict[str, tuple[Flags, str, str]]:
    """Rows, colour and hatch of each kind of handshake."""
    outcomes = run.names("handshakes", "outcome")
    resumed = run.flags("handshakes", "resumed")
    established = outcomes.codes == outcomes.code("established")
    return {
        "full": (established & ~resumed, BLUE, ""),
        "resumed": (established & resumed, SKY, "////"),
        "refused": (outcomes.codes == outcomes.code("refused"), VERMILLION, ""),
        "broken": (outcomes.codes == outcomes.code("broken"), GREY, "////"),
    }


def _time_axis(run: RunData, axes: Axes, title: str, *, above: bool) -> None:
    """Seconds along the bottom, a title at the top, with room under it for the numbers of faults if ``above``."""
    axes.set_xlim(0, run.duration_ns / NS_PER_S)
    axes.set_title(title, loc="left", color=FAINT, pad=16 if above and run.fault_windows else 6)
    axes.grid(True, axis="y")
    axes.locator_params(axis="x", nbins=6)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
