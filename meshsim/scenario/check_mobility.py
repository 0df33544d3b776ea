"""Checks of devices that move, and of settings for handovers where nobody does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from meshsim.scenario.data_files import RadioTrace
from meshsim.scenario.findings import Finding
from meshsim.scenario.mobility import Path as Way
from meshsim.scenario.model import Scenario
from meshsim.scenario.positions import Path
from meshsim.scenario.radios import Radio
from meshsim.scenario.units import format_duration
from meshsim.scenario.words import expected


def check_moving(scenario: Scenario, name: str, radio: Radio) -> Iterator[Finding]:
    """Handovers of a radio whose devices all stay, or that change nothing, and cells that none of them comes to."""
    path: Path = ("network", "radios", name)
    fleets = [fleet for fleet in scenario.fleets.values() if fleet.radio == name]
    paths = [fleet.path for fleet in fleets if fleet.path is not None]
    if radio.trace is None and not paths:
        for key, given in (
            ("handover_interruption", radio.handover_interruption_ns),
            ("handover_changes_address", radio.handover_changes_address),
        ):
            if given:
                message = f"there are no handovers without a trace or a fleet with a path; expected no {key}, or one"
                yield Finding((*path, key), message, at_key=True)
        return
    stations = sorted(set(radio.cells.values()))
    if radio.handover_changes_address and len(stations) == 1:
        message = (
            f"all cells of {name!r} are {stations[0]!r}'s, where devices keep their address; "
            "expected cells of another base station, or no handover_changes_address"
        )
        yield Finding((*path, "handover_changes_address"), message, at_key=True)
    if radio.trace is None and len(paths) == len(fleets):
        visited = {stretch.cell for way in paths for stretch in way.through}
        for cell in radio.cells:
            if cell not in visited:
                message = f"no path goes through cell {cell!r}; {expected(cell, sorted(visited))}"
                yield Finding((*path, "cells", cell), message, at_key=True)


def check_paths(scenario: Scenario) -> Iterator[Finding]:
    """Paths of fleets that stand on a node or replay a drive, and stretches of cells that their radio has not."""
    for name, fleet in scenario.fleets.items():
        if fleet.path is None:
            continue
        path: Path = ("fleets", name, "path")
        if fleet.radio is None:
            message = f"the clients of {name!r} are on a node and do not move; expected a radio, or no path"
            yield Finding(path, message, at_key=True)
            continue
        radio = scenario.network.radios.get(fleet.radio)
        if radio is None:
            continue
        if radio.trace is not None:
            message = f"where the devices of {fleet.radio!r} go is in its trace; expected no path, or another radio"
            yield Finding(path, message, at_key=True)
            continue
        for index, stretch in enumerate(fleet.path.through):
            if stretch.cell not in radio.cells:
                message = f"{fleet.radio!r} has no cell {stretch.cell!r}; {expected(stretch.cell, list(radio.cells))}"
                yield Finding((*path, "through", index, "cell"), message)


def note_interruptions(scenario: Scenario, traces: Mapping[str, RadioTrace]) -> Iterator[Finding]:
    """Handovers whose interruption is not over when the next one begins: nothing passes in such a cell."""
    for name, radio in scenario.network.radios.items():
        interruption_ns = radio.handover_interruption_ns
        if not interruption_ns:
            continue
        stays: list[tuple[int, str]] = []
        if name in traces:
            stays = _trace_stays(traces[name].times_ns, traces[name].cells)
        for fleet in scenario.fleets.values():
            if fleet.radio == name and fleet.path is not None:
                stays += _path_stays(fleet.path)
        short = [(stay_ns, cell) for stay_ns, cell in stays if stay_ns <= interruption_ns]
        if short:
            stay_ns, cell = min(short)
            message = (
                f"a device leaves cell {cell!r} {_rounded(stay_ns)} after it came, before the interruption of "
                f"{format_duration(interruption_ns)} is over: nothing passes there, at {len(short)} of {len(stays)} "
                f"stays; a shorter interruption, or longer stays, avoid that"
            )
            yield Finding(("network", "radios", name, "handover_interruption"), message, at_key=True)


def _path_stays(way: Way) -> list[tuple[int, str]]:
    """How long a device is in each cell between two handovers, once along the path, and the cell."""
    stays: list[tuple[int, str]] = []
    for stretch, stay_ns in zip(way.through, way.stays_ns, strict=True):
        if stays and stays[-1][1] == stretch.cell:
            stay_ns += stays.pop()[0]
        stays.append((stay_ns, stretch.cell))
    if way.at_end == "turn":  # the ends are passed twice without a handover in between
        stays = [
            (2 * stay_ns if at in (0, len(stays) - 1) else stay_ns, cell) for at, (stay_ns, cell) in enumerate(stays)
        ]
    elif way.at_end == "stay":
        stays = stays[1:-1]  # no handover leads to the first, and none from the last
    elif len(stays) > 1 and stays[0][1] == stays[-1][1]:
        first_ns, cell = stays.pop(0)
        stays[-1] = (stays[-1][0] + first_ns, cell)
    return stays if len(stays) > 1 or way.at_end == "stay" else []


def _trace_stays(times_ns: Sequence[int], cells: Sequence[str]) -> list[tuple[int, str]]:
    """How long a drive is in each cell between two handovers."""
    changes = [at for at in range(1, len(cells)) if cells[at] != cells[at - 1]]
    return [(times_ns[end] - times_ns[at], cells[at]) for at, end in pairwise(changes)]


def _rounded(stay_ns: int) -> str:
    """A time in whole milliseconds."""
    return format_duration(round(stay_ns / 1_000_000) * 1_000_000)
