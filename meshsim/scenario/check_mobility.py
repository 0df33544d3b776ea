"""Checks of devices that move, and of settings for handovers where nobody does."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario
from meshsim.scenario.network import Radio
from meshsim.scenario.positions import Path
from meshsim.scenario.words import expected


def check_moving(scenario: Scenario, name: str, radio: Radio) -> Iterator[Finding]:
    """Handovers of a radio whose devices all stay, and cells that none of them comes to."""
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
    elif radio.trace is None and len(paths) == len(fleets):
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
