"""What every picture has in common: paper, ink, colours, fonts, and how it becomes SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from html import escape
from math import log10, sqrt
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from meshsim.analysis.data import RunData
from meshsim.analysis.numbers import show_duration
from meshsim.analysis.palette import BLUE, FAINT, GREEN, GRID, INK, ORANGE, PAPER, PURPLE, SKY, VARIABLES, VERMILLION
from meshsim.analysis.selection import NS_PER_S

WIDTH_IN = 5.2
"""Width of every picture: at 72 points an inch about the width of a phone, so that 10 points stay 10 pixels there."""

SLICE_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
SLICE_LINES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 3)))
"""Every slice has a colour and a kind of line, so that either one tells it apart."""

_LEAST_RANGE = 6
"""A logarithmic axis spans at least this factor."""

# Any: the keys are literals of matplotlib's stubs, which no dict of ours can be.
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "meshsim",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: measured the same everywhere
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "text.color": INK,
    "axes.labelcolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "figure.facecolor": PAPER,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 1.1,
    "hatch.color": PAPER,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.handlelength": 1.7,
    "legend.columnspacing": 1.2,
    "legend.borderpad": 0,
    "legend.borderaxespad": 0,
}


class Picture(Figure):
    """A matplotlib figure that knows what it shows, and shows itself in a notebook.

    ``title`` is a short heading, ``caption`` one sentence that says what this very picture shows.
    """

    def __init__(self, title: str, height_in: float) -> None:
        super().__init__(figsize=(WIDTH_IN, height_in))
        FigureCanvasSVG(self)
        self.title = title
        self.caption = ""

    def to_svg(self) -> str:
        """The picture as a file of its own; the same bytes for the same data."""
        with mpl.rc_context({**_STYLE, "svg.hashsalt": self.title}):
            stream = io.StringIO()
            self.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        return stream.getvalue()

    def to_inline_svg(self) -> str:
        """The picture as part of a page: no identifiers of its own, as wide as it is let, colours from the page."""
        svg = self.to_svg()
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        svg = re.sub(r"<g id=\"[^\"]*\"", "<g", svg)
        svg = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", svg)
        svg = re.sub(r"(<svg[^>]*?) width=\"[^\"]*\"", r"\1", svg)
        svg = re.sub(r"(<svg[^>]*?) height=\"[^\"]*\"", r"\1", svg)
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(self.title)}" ', 1)
        return re.sub(r"#[0-9a-f]{6}\b", _variable, svg).strip()

    def _repr_svg_(self) -> str:
        return self.to_svg()


def _variable(match: re.Match[str]) -> str:
    name = VARIABLES.get(match[0])
    return f"var(--{name})" if name else match[0]


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with the settings of this room, and leave those of the user alone."""
    with mpl.rc_context(_STYLE):
        yield


def axes_at(picture: Picture, left: float, top: float, width: float, height: float) -> Axes:
    """Axes by their place in inches from the left and the top of the picture (no layout engine: they are slow)."""
    full = picture.get_figheight()
    return picture.add_axes((left / WIDTH_IN, 1 - (top + height) / full, width / WIDTH_IN, height / full))


def write(picture: Picture, left: float, top: float, text: str, **settings: Any) -> None:
    """Text by its place in inches from the left and the top of the picture."""
    picture.text(left / WIDTH_IN, 1 - top / picture.get_figheight(), text, **settings)


def slice_style(run: RunData) -> dict[str, dict[str, Any]]:
    """Colour and line of each slice, the same in every picture."""
    return {
        name: {"color": SLICE_COLOURS[index % 6], "linestyle": SLICE_LINES[index % 6], "linewidth": 1.7}
        for index, name in enumerate(run.scenario.network.slices)
    }


def shade_faults(run: RunData, axes: Sequence[Axes]) -> None:
    """Shade the time of each fault in all axes, and number the faults above the first."""
    for number, window in enumerate(run.fault_windows.values(), start=1):
        start, end = window.from_ns / NS_PER_S, window.to_ns / NS_PER_S
        for place in axes:
            place.axvspan(start, end, facecolor=GRID, alpha=0.55, edgecolor="none", zorder=0)
            place.axvline(start, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0.5)
        axes[0].annotate(
            str(number),
            ((start + end) / 2, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            color=FAINT,
            fontweight="bold",
        )


def faults_text(run: RunData) -> str:
    """What the numbers over the shades stand for."""
    named = zip(run.fault_windows, run.scenario.faults, strict=True)
    return "; ".join(f"{number} {name} at {fault.target}" for number, (name, fault) in enumerate(named, start=1))


def log_ms(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make one axis logarithmic, in milliseconds, with as many labels as have room; call it when all is drawn."""
    across = which == "x"
    set_limits, half = axes.set_xlim if across else axes.set_ylim, sqrt(_LEAST_RANGE)
    low, high = axes.dataLim.intervalx if across else axes.dataLim.intervaly
    if low == high > 0:  # such as a budget alone: matplotlib warns that it finds no limits around it
        set_limits(low / half, high * half)
    (axes.set_xscale if across else axes.set_yscale)("log")
    low, high = axes.get_xlim() if across else axes.get_ylim()
    if high < low * _LEAST_RANGE:  # or else there might be no round number in it
        middle = sqrt(low * high)
        low, high = middle / half, middle * half
        set_limits(low, high)
    decades = log10(high / low) / (1.0 if across else 0.7)
    axis = axes.xaxis if across else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1, 3) if decades < 4 else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: show_duration(round(value * 1e6)))


def joined(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def in_ms(value_ns: int | Fraction) -> float:
    """Milliseconds, for an axis."""
    return float(value_ns) / 1e6
