"""The picture of the network: nodes by tier with their services, links, the slices that used them, the faults."""

from __future__ import annotations

from itertools import pairwise
from math import hypot
from typing import NamedTuple

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

from meshsim.analysis.data import RunData
from meshsim.analysis.palette import FAINT, GRID, INK, PAPER
from meshsim.analysis.pictures import (
    WIDTH_IN,
    Picture,
    axes_at,
    faults_text,
    house_style,
    joined,
    slice_style,
)

TIERS = ("core", "regional", "edge", "router", "gnb")
"""Kinds of node from the top to the bottom of the picture; the fleets stand below."""

_LINE_IN = 0.17
_GAP_IN = 0.34
_CHARACTER_IN, _BOLD_CHARACTER_IN = 0.08, 0.092
_MOST_SERVICES = 6
_ACROSS = 3
_TIMES = "\N{MULTIPLICATION SIGN}"

Pair = tuple[str, str]


class _Box(NamedTuple):
    """One box in inches, from the top left of the picture."""

    left: float
    top: float
    width: float
    height: float
    lines: list[str]

    @property
    def middle(self) -> tuple[float, float]:
        return self.left + self.width / 2, self.top + self.height / 2


def topology(run: RunData) -> Picture:
    """The network as it was used: each slice's way along the links, by the calls that were made."""
    boxes, fleets, height = _place(run)
    used = _used_links(run)
    styles = slice_style(run)
    legend_rows = -(-len(styles) // 3)
    with house_style():
        picture = Picture("The network and its slices", height + 0.24 * legend_rows + 0.1)
        axes = axes_at(picture, 0, 0, WIDTH_IN, height)
        axes.set_axis_off()
        axes.set_xlim(0, WIDTH_IN)
        axes.set_ylim(height, 0)
        places = {**boxes, **fleets}
        marks = {fault.target: str(number) for number, fault in enumerate(run.scenario.faults, start=1)}
        for link in run.scenario.network.links:
            pair = tuple(sorted(link.between))
            slices = [name for name in styles if pair in used.get(name, set())]
            _draw_link(axes, places, link.between, [styles[name] for name in slices], marks.get(link.key))
        for name, fleet in run.scenario.fleets.items():
            if fleet.radio is None:
                continue
            slices = [s for s in styles if any(t.slice == s and t.source == name for t in run.scenario.traffic)]
            for gnb in dict.fromkeys(run.scenario.network.radios[fleet.radio].cells.values()):
                _draw_link(axes, places, (name, gnb), [styles[s] for s in slices], None, radio=True)
        for name, box in boxes.items():
            _draw_box(axes, box, marks.get(name), rounded=False)
        for box in fleets.values():
            _draw_box(axes, box, None, rounded=True)
        handles = [Line2D([], [], label=name, **style) for name, style in styles.items()]
        picture.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.01, 0.01), ncols=3)
    picture.caption = _caption(run, used)
    return picture


def _place(run: RunData) -> tuple[dict[str, _Box], dict[str, _Box], float]:
    """Boxes of nodes and of fleets with a radio, and how high the picture gets."""
    contents: dict[str, list[str]] = {name: [] for name in run.scenario.network.nodes}
    for service, settings in run.scenario.services.items():
        for node, replicas in settings.replicas.items():
            contents[node].append(f"{replicas} {_TIMES} {service}" if replicas > 1 else service)
    for name, fleet in run.scenario.fleets.items():
        if fleet.node is not None:
            contents[fleet.node].append(f"{name} (client)")
    rows = [[name for name, node in run.scenario.network.nodes.items() if node.kind == tier] for tier in TIERS]
    fleets = [name for name, fleet in run.scenario.fleets.items() if fleet.radio is not None]
    top = 0.12
    boxes: dict[str, _Box] = {}
    for row in rows:
        top = _place_row(boxes, top, {name: contents[name] for name in row})
    fleet_boxes: dict[str, _Box] = {}
    lines = {name: [f"{run.scenario.fleets[name].size} {_TIMES} {run.scenario.fleets[name].cpu}"] for name in fleets}
    top = _place_row(fleet_boxes, top, lines)
    return boxes, fleet_boxes, top


def _place_row(boxes: dict[str, _Box], top: float, contents: dict[str, list[str]]) -> float:
    """Place one tier, in as many rows as it needs; return where the next may begin."""
    names = list(contents)
    plain = not any(contents.values())
    rows = -(-len(names) // (4 if plain else _ACROSS)) or 1
    across = -(-len(names) // rows) or 1  # as even as they come
    for start in range(0, len(names), across):
        row = names[start : start + across]
        width = min(2.0, (WIDTH_IN - 0.1) / len(row) - 0.2)
        room = (WIDTH_IN - width * len(row)) / len(row)
        tallest = 0.0
        for index, name in enumerate(row):
            lines = contents[name]
            if len(lines) > _MOST_SERVICES:
                lines = [*lines[: _MOST_SERVICES - 1], f"and {len(lines) - _MOST_SERVICES + 1} more"]
            fitting = [_shortened(name, width, _BOLD_CHARACTER_IN), *(_shortened(text, width) for text in lines)]
            height = 0.14 + _LINE_IN * len(fitting)
            boxes[name] = _Box(room / 2 + index * (width + room), top, width, height, fitting)
            tallest = max(tallest, height)
        top += tallest + _GAP_IN
    return top


def _shortened(text: str, width_in: float, character_in: float = _CHARACTER_IN) -> str:
    most = int((width_in - 0.06) / character_in)
    return text if len(text) <= most else f"{text[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def _used_links(run: RunData) -> dict[str, set[Pair]]:
    """For each slice the links on the shortest ways between the nodes that called each other in it."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(run.scenario.network.nodes)
    for link in run.scenario.network.links:
        graph.add_edge(*link.between, latency_ns=link.latency_ns)
    ways = dict(nx.all_pairs_dijkstra_path(graph, weight="latency_ns"))
    used: dict[str, set[Pair]] = {}
    for slice_name, source, destination in _node_pairs(run):
        for start in _entries(run, source):
            path = ways.get(start, {}).get(destination, [])
            used.setdefault(slice_name, set()).update((min(pair), max(pair)) for pair in pairwise(path))
    return used


def _node_pairs(run: RunData) -> list[tuple[str, str, str]]:
    """Slice, calling node and called node of all calls, each once."""
    sources, destinations = run.names("calls", "source_node"), run.names("calls", "destination_node")
    slices = run.names("requests", "slice")
    if not sources.codes.size:
        return []
    slice_of = np.zeros(int(run.ints("requests", "request_id").max()) + 1, dtype=np.int64)
    slice_of[run.ints("requests", "request_id")] = slices.codes
    # Three small codes in one integer: finding the distinct ones is then one sort.
    packed = slice_of[run.ints("calls", "request_id")] * len(sources.values) + sources.codes
    packed = packed * len(destinations.values) + destinations.codes
    pairs = []
    for code in np.unique(packed).tolist():
        rest, destination = divmod(code, len(destinations.values))
        slice_code, source = divmod(rest, len(sources.values))
        pairs.append((slices.values[slice_code], sources.values[source], destinations.values[destination]))
    return pairs


def _entries(run: RunData, source: str) -> list[str]:
    """The nodes at which a caller's messages enter the wired network: its own, or any cell of its radio."""
    if source in run.scenario.network.nodes:
        return [source]
    fleet = run.scenario.fleets.get(source.partition("/")[0])
    if fleet is None or fleet.radio is None:
        return []
    return list(dict.fromkeys(run.scenario.network.radios[fleet.radio].cells.values()))


def _draw_link(
    axes: Axes,
    boxes: dict[str, _Box],
    between: Pair,
    styles: list[dict[str, object]],
    mark: str | None,
    *,
    radio: bool = False,
) -> None:
    """A thin line, and beside it one for each slice that used the link."""
    (x0, y0), (x1, y1) = (boxes[name].middle for name in between)
    if not radio:
        axes.plot((x0, x1), (y0, y1), color=GRID, linewidth=5 + 2.4 * len(styles), solid_capstyle="round", zorder=1)
    across = 0.042 / (hypot(x1 - x0, y1 - y0) or 1)
    for index, style in enumerate(styles):
        shift = (index - (len(styles) - 1) / 2) * across
        dx, dy = -(y1 - y0) * shift, (x1 - x0) * shift
        axes.plot((x0 + dx, x1 + dx), (y0 + dy, y1 + dy), zorder=2, **style)  # type: ignore[arg-type]  # as slice_style makes them
    if mark:
        _draw_mark(axes, *_between_boxes(boxes[between[0]], boxes[between[1]]), mark)


def _between_boxes(first: _Box, second: _Box) -> tuple[float, float]:
    """The middle of the visible part of a line between two boxes."""
    (x0, y0), (x1, y1) = first.middle, second.middle

    def leaves(box: _Box, dx: float, dy: float) -> float:
        ways = [size / 2 / abs(step) for size, step in ((box.width, dx), (box.height, dy)) if step]
        return min(ways, default=0.0)

    start, end = leaves(first, x1 - x0, y1 - y0), 1 - leaves(second, x1 - x0, y1 - y0)
    at = (start + end) / 2
    return x0 + at * (x1 - x0), y0 + at * (y1 - y0)


def _draw_mark(axes: Axes, x: float, y: float, number: str) -> None:
    axes.text(
        x,
        y,
        number,
        color=PAPER,
        fontweight="bold",
        ha="center",
        va="center",
        zorder=5,
        bbox={"boxstyle": "circle,pad=0.22", "facecolor": INK, "edgecolor": PAPER},
    )


def _draw_box(axes: Axes, box: _Box, mark: str | None, *, rounded: bool) -> None:
    style = f"round,pad=0,rounding_size={box.height / 2 if rounded else 0.06}"
    patch = FancyBboxPatch(
        (box.left, box.top),
        box.width,
        box.height,
        boxstyle=style,
        facecolor=PAPER,
        edgecolor=FAINT,
        linewidth=1,
        zorder=3,
    )
    axes.add_patch(patch)
    for number, text in enumerate(box.lines):
        axes.text(
            box.left + box.width / 2,
            box.top + 0.07 + _LINE_IN * (number + 0.5),
            text,
            ha="center",
            va="center",
            zorder=4,
            fontweight="bold" if number == 0 else "normal",
            color=INK if number == 0 else FAINT,
        )
    if mark:
        _draw_mark(axes, box.left + box.width, box.top, mark)


def _caption(run: RunData, used: dict[str, set[Pair]]) -> str:
    nodes = run.scenario.network.nodes.values()
    tiers = [
        f"{sum(node.kind == tier for node in nodes)} {tier}" for tier in TIERS if any(n.kind == tier for n in nodes)
    ]
    widest = max(used, key=lambda name: len(used[name]), default="")
    text = f"The network ({joined(tiers)}) with its services"
    if widest and used[widest]:
        number = len(used[widest])
        text += (
            f", and the links that each slice used: {widest} the most, {number} of {len(run.scenario.network.links)}"
        )
    if run.scenario.faults:
        text += f"; struck by {faults_text(run)}"
    return f"{text}."
