"""Flows that ask for a bit rate that is known beforehand not to be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_scenario

VALID = Path(__file__).parent / "data" / "valid.yaml"

MISTAKES = {
    "cell": (
        ["traffic.1.guaranteed={uplink: 8 Mbit/s}"],
        "not admitted: in cell 'hall' 4 devices of 'robots' ask for 32 Mbit/s of the uplink, where slice 'control' is "
        "guaranteed 30 Mbit/s; expected less, or more for it",
    ),
    "device": (
        ["traffic.0.guaranteed={downlink: 200 Mbit/s}"],
        "not admitted: each device asks for 200 Mbit/s of the downlink, and slice 'control' is guaranteed 150 Mbit/s "
        "of a cell of 'drive'; expected less, or more for the slice",
    ),
    "node": (
        ["traffic.2.guaranteed={uplink: 1 Mbit/s}"],
        "the clients of 'office' are on a node and reserve no air; expected a fleet with a radio",
    ),
    "non-GBR": (
        ["traffic.0.guaranteed={uplink: 1 Mbit/s}", "traffic.0.slice=video"],
        "slice 'video' has 5QI 80, which is Non-GBR and guarantees no bit rate; expected a GBR 5QI, such as 1, 4 or 82",
    ),
    "first come": (
        ["traffic.1.guaranteed={uplink: 1 Mbit/s}", "network.radios.plant.slicing=false"],
        "cells of 'plant' serve first come, first served and guarantee nothing; expected slicing: true",
    ),
    "nothing": (
        ["traffic.1.guaranteed={}"],
        "nothing is guaranteed; expected uplink, downlink or both, such as {uplink: 1 Mbit/s}",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_guaranteed_is_refused(name: str) -> None:
    """What no cell could ever guarantee is one mistake, told where it was asked for."""
    settings, message = MISTAKES[name]
    with pytest.raises(ScenarioError) as caught:
        load_scenario(VALID, settings)
    assert [one.message for one in caught.value.diagnostics] == [message]


@pytest.mark.parametrize(
    "settings",
    [
        # 28 of 30 Mbit/s; the cars' cells are not known beforehand, and all of them together are too many for one.
        ["traffic.1.guaranteed={uplink: 7 Mbit/s}"],
        ["traffic.0.guaranteed={uplink: 29 Mbit/s, downlink: 1 kbit/s}"],
        # Two cells: two devices in each.
        ["traffic.1.guaranteed={uplink: 15 Mbit/s}", "network.radios.plant.cells={hall: gnb-1, yard: gnb-2}"],
    ],
)
def test_what_may_be_admitted_is_left_to_the_cells(settings: list[str]) -> None:
    """What fits, and what depends on where devices are, is no mistake."""
    load_scenario(VALID, settings)


def test_only_flows_that_overlap_are_added_up() -> None:
    """Two flows of 20 Mbit/s share 30 Mbit/s if one ends before the other starts, and not if it ends later."""
    robots = "{from: robots, to: vision, slice: control, arrivals: {constant: 5 /s}, guaranteed: {uplink: 5 Mbit/s}"
    for stop, mistakes in (("20 s", 0), ("21 s", 1)):
        first, second = f"{robots}, name: a, stop: {stop}}}", f"{robots}, name: b, start: 20 s}}"
        cars, office = (
            "{from: cars, to: planner, slice: control, arrivals: {poisson: 50 /s}}",
            "{name: audit, from: office, to: store, slice: video, arrivals: {trace: {file: audit.csv}}}",
        )
        settings = [f"traffic=[{cars}, {first}, {second}, {office}]"]
        if not mistakes:
            load_scenario(VALID, settings)
            continue
        with pytest.raises(ScenarioError) as caught:
            load_scenario(VALID, settings)
        assert [one.message.partition(" ask")[0] for one in caught.value.diagnostics] == [
            "not admitted: in cell 'hall' 4 devices of 'a' and 4 devices of 'b'"
        ]
