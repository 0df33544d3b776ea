"""A matrix as a picture: callers down, services across, dark where everything is allowed, a cross where TLS refuses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from meshsim.analysis.palette import BLUE, INK
from meshsim.scenario.errors import InfrastructureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from meshsim.inquiry.matrix import Matrix

SUFFIXES = (".png", ".svg", ".pdf")
INCHES_PER_CELL = 0.3
FAR = 15
"""Rows or columns from which on names stand on both sides."""


def check_picture(path: Path) -> None:
    """Raise UsageError for a file that no picture can be written to."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path} is no name for a picture; expected one that ends in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is not a folder; expected one, to write {path.name} into")


def write_picture(matrix: Matrix, path: Path) -> None:
    """Write the picture; raises InfrastructureError if the file cannot be written."""
    figure = draw_picture(matrix)
    try:
        figure.savefig(path, dpi=150, bbox_inches="tight", pad_inches=0.15)
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be written: {error.strerror}") from error


def draw_picture(matrix: Matrix) -> Figure:
    """Draw a square for each pair: full for everything, half for some; a dot for nothing, a cross for TLS."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Polygon, Rectangle

    workloads = {cell.caller.name: bool(cell.caller.workload) for cell in matrix.cells}
    callers = list(workloads)
    columns = list(dict.fromkeys((cell.callee.name, cell.port) for cell in matrix.cells))
    several = len({name for name, _ in columns}) < len(columns)
    longest = max((len(name) for name in (*callers, *(name for name, _ in columns))), default=0)
    margin = 0.085 * min(longest, 40) + 0.3
    across, down = (margin * (1 + (len(each) > FAR)) for each in (columns, callers))
    size = (across + 0.6 + INCHES_PER_CELL * max(len(columns), 8), down + 0.6 + INCHES_PER_CELL * len(callers))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _draw_guides(axes, columns, outsiders=sum(not workloads[name] for name in callers), rows=len(callers))
    for cell in matrix.cells:
        x, y = columns.index((cell.callee.name, cell.port)), callers.index(cell.caller.name)
        corners = (x - 0.42, y - 0.42)
        if cell.extent == "all":
            axes.add_patch(Rectangle(corners, 0.84, 0.84, facecolor=BLUE, edgecolor=BLUE))
        elif cell.extent == "some":
            triangle = [(x - 0.42, y + 0.42), (x + 0.42, y + 0.42), (x - 0.42, y - 0.42)]
            axes.add_patch(Rectangle(corners, 0.84, 0.84, facecolor="white", edgecolor="none"))
            axes.add_patch(Polygon(triangle, facecolor=BLUE, edgecolor="none"))
            axes.add_patch(Rectangle(corners, 0.84, 0.84, facecolor="none", edgecolor=BLUE, linewidth=0.8))
        else:
            axes.plot([x], [y], "x" if cell.refused else ".", color=INK, markersize=4 if cell.refused else 2, alpha=0.5)
    names = [f"{name}:{port}" if several else name for name, port in columns]
    axes.set_xticks(range(len(columns)), names, rotation=90)
    axes.set_yticks(range(len(callers)), [_short(name) for name in callers])
    axes.set_xlim(-0.6, len(columns) - 0.4)
    axes.set_ylim(len(callers) - 0.4, -0.6)
    axes.xaxis.tick_top()
    # Where the names are far away, they stand on the other side, too.
    axes.tick_params(length=0, labelright=len(columns) > FAR, labelbottom=len(callers) > FAR)
    axes.set_aspect("equal")
    axes.spines[:].set_visible(False)
    axes.set_xlabel(
        "rows call columns\nfilled: everything; half: some\ndot: nothing; cross: refused by TLS", loc="left"
    )
    return figure


def _draw_guides(axes: Axes, columns: Sequence[tuple[str, int]], *, rows: int, outsiders: int) -> None:
    """Bands that lead the eye along rows and down columns, and a line above those who are no workloads."""
    for row in range(1, rows, 2):
        axes.axhspan(row - 0.5, row + 0.5, color=INK, alpha=0.06, linewidth=0, zorder=0)
    services = list(dict.fromkeys(name for name, _ in columns))
    for index, (name, _) in enumerate(columns):
        if services.index(name) % 2:
            axes.axvspan(index - 0.5, index + 0.5, color=INK, alpha=0.06, linewidth=0, zorder=0)
    if 0 < outsiders < rows:
        axes.axhline(rows - outsiders - 0.5, color=INK, linewidth=0.8)


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:18]}\N{HORIZONTAL ELLIPSIS}{name[-21:]}"
