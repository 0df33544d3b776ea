"""Checks of flows that ask for a guaranteed bit rate: what can be known beforehand never to be admitted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from meshsim.scenario.findings import Finding
from meshsim.scenario.fiveqi import FIVE_QI
from meshsim.scenario.model import Scenario
from meshsim.scenario.positions import Path
from meshsim.scenario.radios import Radio
from meshsim.scenario.slicing import slice_guarantee_bps
from meshsim.scenario.traffic import Traffic
from meshsim.scenario.units import format_bandwidth

_WAYS = ("uplink", "downlink")


class _Asking(msgspec.Struct, frozen=True):
    """A flow that asks for a bit rate, with all it needs to be declared."""

    path: Path
    flow: Traffic
    radio_name: str
    radio: Radio
    devices: int
    asked_bps: tuple[int, int]

    def devices_in(self, cell: int) -> int:
        """How many of its devices a cell serves, by its number: devices take the cells in turn, and stay."""
        cells = len(self.radio.cells)
        return (self.devices - cell + cells - 1) // cells


def check_guarantees(scenario: Scenario) -> Iterator[Finding]:
    """Bit rates asked for where none is guaranteed, or more than a cell has.

    Devices that stay in their cells are all looked at; of devices on a trace, each by itself.
    """
    asking = []
    for index, flow in enumerate(scenario.traffic):
        if flow.guaranteed is not None:
            path: Path = ("traffic", index, "guaranteed")
            mistake = _mistake(scenario, flow)
            if mistake:
                yield Finding(path, mistake, at_key=True)
                continue
            fleet = scenario.fleets.get(flow.source)
            radio = scenario.network.radios.get(fleet.radio or "") if fleet is not None else None
            if fleet is not None and radio is not None and flow.slice in scenario.network.slices:
                asking.append(_Asking(path, flow, fleet.radio or "", radio, fleet.size, flow.guaranteed.both_bps))
    refused = set()
    for one in asking:
        for way, asked_bps, limit_bps in _limits(scenario, one):
            if asked_bps > limit_bps:
                refused.add(one.path)
                message = (
                    f"not admitted: each device asks for {format_bandwidth(asked_bps)} of the {way}, and slice "
                    f"{one.flow.slice!r} is guaranteed {format_bandwidth(limit_bps)} of a cell of {one.radio_name!r}; "
                    "expected less, or more for the slice"
                )
                yield Finding((*one.path, way), message, involved=(("network", "slices", one.flow.slice),))
    yield from _check_cells(scenario, [one for one in asking if one.path not in refused])


def _mistake(scenario: Scenario, flow: Traffic) -> str:
    """Why nothing can be guaranteed to a flow at all; empty if something can, or something is not declared."""
    fleet, slice_ = scenario.fleets.get(flow.source), scenario.network.slices.get(flow.slice)
    if fleet is not None and fleet.radio is None:
        return f"the clients of {flow.source!r} are on a node and reserve no air; expected a fleet with a radio"
    if slice_ is not None and _resource_type(scenario, slice_.five_qi) == "Non-GBR":
        return (
            f"slice {flow.slice!r} has 5QI {slice_.five_qi}, which is Non-GBR and guarantees no bit rate; "
            "expected a GBR 5QI, such as 1, 4 or 82"
        )
    radio = scenario.network.radios.get(fleet.radio or "") if fleet is not None else None
    if fleet is not None and radio is not None and not radio.slicing:
        return f"cells of {fleet.radio!r} serve first come, first served and guarantee nothing; expected slicing: true"
    return ""


def _resource_type(scenario: Scenario, five_qi: int) -> str:
    """The resource type of a 5QI; empty if there is no such 5QI."""
    known = five_qi in FIVE_QI or str(five_qi) in scenario.network.five_qis
    return scenario.network.characteristics(five_qi).resource_type if known else ""


def _limits(scenario: Scenario, one: _Asking) -> Iterator[tuple[str, int, int]]:
    """Of each way: its name, what a device asks for, and what the slice is guaranteed of a cell."""
    bandwidths_bps = (one.radio.uplink_bps, one.radio.downlink_bps)
    for way, asked_bps, bandwidth_bps in zip(_WAYS, one.asked_bps, bandwidths_bps, strict=True):
        yield way, asked_bps, slice_guarantee_bps(scenario, one.flow.slice, bandwidth_bps)


def _check_cells(scenario: Scenario, asking: list[_Asking]) -> Iterator[Finding]:
    """Cells whose devices stay, and ask for more together than their slice is guaranteed, whenever a flow starts."""
    by_place: dict[tuple[str, str], list[_Asking]] = defaultdict(list)
    for one in asking:
        if one.radio.trace is None and scenario.fleets[one.flow.source].path is None:
            by_place[one.radio_name, one.flow.slice].append(one)
    for sharing in by_place.values():
        for one in sharing:
            finding = _overfull(scenario, one, sharing)
            if finding is not None:
                yield finding
                break


def _overfull(scenario: Scenario, last: _Asking, sharing: list[_Asking]) -> Finding | None:
    """What does not fit when ``last`` starts, beside the flows of its slice and radio that are there then."""
    start_ns = last.flow.start_ns
    there = [
        one
        for one in sharing
        if one.flow.start_ns <= start_ns < (scenario.duration_ns if one.flow.stop_ns is None else one.flow.stop_ns)
    ]
    for number, cell in enumerate(last.radio.cells):
        for way, asked_bps, limit_bps in _limits(scenario, last):
            place = _WAYS.index(way)
            total_bps = sum(one.devices_in(number) * one.asked_bps[place] for one in there)
            if asked_bps and total_bps > limit_bps:
                shown = " and ".join(f"{one.devices_in(number)} devices of {one.flow.key!r}" for one in there)
                message = (
                    f"not admitted: in cell {cell!r} {shown} ask for {format_bandwidth(total_bps)} of the {way}, "
                    f"where slice {last.flow.slice!r} is guaranteed {format_bandwidth(limit_bps)}; expected less, or "
                    "more for it"
                )
                involved = (*(one.path[:2] for one in there), ("network", "slices", last.flow.slice))
                return Finding((*last.path, way), message, involved=involved)
    return None
