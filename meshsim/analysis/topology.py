"""The picture of the network: nodes by tier with their services, links, the slices that used them, the faults."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

from meshsim.analysis.data import RunData
from meshsim.analysis.layout import LINE_IN, Box, Ways, beside, place_row
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
from meshsim.analysis.reading import Ints
from meshsim.scenario.placed_waypoints import with_waypoints
from meshsim.scenario.variants import replicas_by_node

TIERS = ("core", "regional", "edge", "router", "gnb")
"""Kinds of node from the top to the bottom of the picture; the fleets stand below."""

_APART_IN = 0.042
_TIMES = "\N{MULTIPLICATION SIGN}"

Pair = tuple[str, str]


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
        ways = Ways({**boxes, **fleets})
        marks = {fault.target: str(number) for number, fault in enumerate(run.scenario.faults, start=1)}
        for link in run.scenario.network.links:
            pair = tuple(sorted(link.between))
            slices = [name for name in styles if pair in used.get(name, set())]
            _draw_link(axes, ways, link.between, [styles[name] for name in slices], marks.get(link.key))
        for name, fleet in run.scenario.fleets.items():
            if fleet.radio is None:
                continue
            slices = [s for s in styles if any(t.slice == s and t.source == name for t in run.scenario.traffic)]
            for gnb in dict.fromkeys(run.scenario.network.radios[fleet.radio].cells.values()):
                _draw_link(axes, ways, (name, gnb), [styles[s] for s in slices], None, radio=True)
        for name, box in boxes.items():
            _draw_box(axes, box, marks.get(name), rounded=False)
        for box in fleets.values():
            _draw_box(axes, box, None, rounded=True)
        handles = [Line2D([], [], label=name, **style) for name, style in styles.items()]
        picture.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.01, 0.01), ncols=3)
    picture.caption = _caption(run, used)
    return picture


def _place(run: RunData) -> tuple[dict[str, Box], dict[str, Box], float]:
    """Boxes of nodes and of fleets with a radio, and how high the picture gets."""
    contents: dict[str, list[str]] = {name: [] for name in run.scenario.network.nodes}
    for service, settings in with_waypoints(run.scenario).services.items():
        for node, replicas in replicas_by_node(settings).items():
            contents[node].append(f"{replicas} {_TIMES} {service}" if replicas > 1 else service)
    for name, fleet in run.scenario.fleets.items():
        if fleet.node is not None:
            contents[fleet.node].append(f"{name} (client)")
    rows = [[name for name, node in run.scenario.network.nodes.items() if node.kind == tier] for tier in TIERS]
    fleets = [name for name, fleet in run.scenario.fleets.items() if fleet.radio is not None]
    top = 0.12
    boxes: dict[str, Box] = {}
    for row in rows:
        top = place_row(boxes, top, {name: contents[name] for name in row})
    fleet_boxes: dict[str, Box] = {}
    lines = {name: [f"{run.scenario.fleets[name].size} {_TIMES} {run.scenario.fleets[name].cpu}"] for name in fleets}
    top = place_row(fleet_boxes, top, lines)
    return boxes, fleet_boxes, top


def _used_links(run: RunData) -> dict[str, set[Pair]]:
    """For each slice the links on the shortest ways between the nodes that called each other in it."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(run.scenario.network.nodes)
    for link in run.scenario.network.links:
        graph.add_edge(*link.between, latency_ns=link.latency_ns)
    ways = cache(lambda start: nx.single_source_dijkstra_path(graph, start, weight="latency_ns"))
    used: dict[str, set[Pair]] = {}
    for slice_name, source, destination in _node_pairs(run):
        for start in _entries(run, source):
            path = ways(start).get(destination, []) if start in graph else []
            used.setdefault(slice_name, set()).update((min(pair), max(pair)) for pair in pairwise(path))
    return used


def _node_pairs(run: RunData) -> list[tuple[str, str, str]]:
    """Slice, calling node and called node of all calls, each once."""
    slices = list(run.scenario.network.slices)
    slice_of = _slice_of_requests(run, slices)
    pairs: set[tuple[str, str, str]] = set()
    for piece in run.pieces("calls"):
        sources, destinations = piece.names("calls", "source_node"), piece.names("calls", "destination_node")
        # Three small codes in one integer: finding the distinct ones is then one sort of each piece.
        codes = slice_of[piece.compact("calls", "request_id")].astype(np.int64) * len(sources.values) + sources.codes
        for code in np.unique(codes * len(destinations.values) + destinations.codes).tolist():
            rest, destination = divmod(code, len(destinations.values))
            slice_code, source = divmod(rest, len(sources.values))
            pairs.add((slices[slice_code], sources.values[source], destinations.values[destination]))
    return sorted(pairs)


def _slice_of_requests(run: RunData, slices: Sequence[str]) -> Ints:
    """The place of each request's slice among all, by its number."""
    size = (run.largest("requests", "request_id") or 0) + 1
    if len(slices) == 1:
        return np.broadcast_to(np.int8(0), size)
    # One byte a request, unless there are very many slices: the only thing here that grows with the run.
    slice_of: Ints = np.zeros(size, dtype=np.int8 if len(slices) <= np.iinfo(np.int8).max else np.int32)
    for piece in run.pieces("requests"):
        names = piece.names("requests", "slice")
        places = np.array([slices.index(name) for name in names.values], dtype=slice_of.dtype)
        slice_of[piece.compact("requests", "request_id")] = places[names.codes]
    return slice_of


def _entries(run: RunData, source: str) -> list[str]:
    """The nodes at which a caller's messages enter the wired network: its own, or any cell of its radio."""
    if source in run.scenario.network.nodes:
        return [source]
    fleet = run.scenario.fleets.get(source.partition("/")[0])
    if fleet is None or fleet.radio is None:
        return []
    return list(dict.fromkeys(run.scenario.network.radios[fleet.radio].cells.values()))


def _draw_link(
    axes: Axes, ways: Ways, between: Pair, styles: Sequence[dict[str, Any]], mark: str | None, *, radio: bool = False
) -> None:
    """A thick pale line, and on it one for each slice that used the link."""
    corners = ways.between(*between)
    if not radio:
        width = 5 + 2.4 * len(styles)
        axes.plot(*zip(*corners, strict=True), color=GRID, linewidth=width, solid_capstyle="round", zorder=1)
    for index, style in enumerate(styles):
        line = beside(corners, _APART_IN * (index - (len(styles) - 1) / 2))
        axes.plot(*zip(*line, strict=True), zorder=2, **style)
    if mark:
        _draw_mark(axes, *ways.visible_middle(corners), mark)


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


def _draw_box(axes: Axes, box: Box, mark: str | None, *, rounded: bool) -> None:
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
            box.top + 0.07 + LINE_IN * (number + 0.5),
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
    text = f"The network ({joined(tiers)}) with its services"
    numbers = [f"{name} {len(used[name])}" for name in run.scenario.network.slices if used.get(name)]
    if numbers:
        text += f" and the way of each slice: {joined(numbers)} of {len(run.scenario.network.links)} links"
    if following := [f"{name} follows {it.follow.fleet}" for name, it in run.scenario.services.items() if it.follow]:
        text += f"; {joined(following)}, drawn where it began"
    if run.scenario.faults:
        text += f"; struck by {faults_text(run)}"
    return f"{text}."
