"""Admission of flows: cells guarantee bit rates to devices as long as their slice's guarantee lasts.

A device asks for a flow when that starts, and again at every cell it comes to: the old cell gives back what it had
reserved. What is refused is not asked for again before the next cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.network.rated_medium import RatedMedium
from meshsim.scenario.slicing import PPM, slice_guarantee_bps
from meshsim.scenario.units import format_bandwidth
from meshsim.telemetry.radio_rows import AdmissionRow

if TYPE_CHECKING:
    from meshsim.scenario.traffic import Traffic
    from meshsim.world.hosts import Device
    from meshsim.world.state import State

WAYS = ("uplink", "downlink")


class _Book:
    """What one slice has left of its guarantee in one cell, both ways."""

    __slots__ = ("limits_bps", "reserved_bps")

    def __init__(self, limits_bps: tuple[int, int]) -> None:
        self.limits_bps = limits_bps
        self.reserved_bps = [0, 0]

    def free_bps(self) -> tuple[int, int]:
        """What can still be admitted."""
        return self.limits_bps[0] - self.reserved_bps[0], self.limits_bps[1] - self.reserved_bps[1]


class Admission:
    """Keeps the books of all cells, and knows which devices were admitted with which flows."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._clock = state.clock
        self._record = state.recorder.appender("admissions")
        self._flows: dict[str, list[Traffic]] = {}
        """Flows that ask for a bit rate and have started, by fleet."""
        self._books: dict[tuple[str, str, str], _Book] = {}
        """By radio, cell and slice."""
        self._cells: dict[str, str] = {}
        """The cell that each device has asked last."""
        self._admitted: dict[tuple[str, str], tuple[int, int]] = {}
        """Bit rates reserved for a device and flow; nothing if it was refused."""

    def begin(self) -> None:
        """Set the start and the end of every flow that asks for a bit rate."""
        flows = [flow for flow in self._state.scenario.traffic if flow.guaranteed is not None]
        for flow in flows:  # first, so that what starts at an instant finds what is given back then
            if flow.stop_ns is not None:
                self._clock.at(flow.stop_ns, self._stopped, flow)
        for flow in flows:
            self._clock.at(flow.start_ns, self._started, flow)

    def admitted(self, device: Device, flow: str) -> bool:
        """Whether a device may send in a flow that asks for a bit rate."""
        return (device.name, flow) in self._admitted

    def left(self, device: Device, cell: str) -> None:
        """Have a device give back what its cell had reserved, since that one serves it from now on."""
        for flow in self._flows.get(device.workload, ()):
            self._release(device, flow)
        self._cells[device.name] = cell

    def arrived(self, device: Device) -> None:
        """Have a device ask at the cell that serves it now."""
        for flow in self._flows.get(device.workload, ()):
            self._ask(device, flow, "handover")

    def _started(self, flow: Traffic) -> None:
        self._flows.setdefault(flow.source, []).append(flow)
        for device in self._state.devices[flow.source]:
            assert device.radio is not None, "checked before the run"
            self._cells[device.name] = device.radio.cell(self._clock.now_ns)
            self._ask(device, flow, "start")

    def _stopped(self, flow: Traffic) -> None:
        self._flows[flow.source].remove(flow)
        for device in self._state.devices[flow.source]:
            self._release(device, flow)

    def _ask(self, device: Device, flow: Traffic, cause: str) -> None:
        assert flow.guaranteed is not None
        asked_bps = flow.guaranteed.both_bps
        cell = self._cells[device.name]
        book = self._book(device.radio_name, cell, flow.slice)
        free_bps = book.free_bps()
        reason = "; ".join(
            f"{way}: asked for {format_bandwidth(asked)}, {format_bandwidth(free)} left of "
            f"{format_bandwidth(limit)} guaranteed to {flow.slice}"
            for way, asked, free, limit in zip(WAYS, asked_bps, free_bps, book.limits_bps, strict=True)
            if asked > free
        )
        if not reason:
            self._reserve(device, flow.slice, asked_bps)
            self._admitted[device.name, flow.key] = asked_bps
        self._record(
            AdmissionRow(
                self._clock.now_ns,
                flow.key,
                device.name,
                flow.slice,
                f"{device.radio_name}/{cell}",
                cause,
                not reason,
                *asked_bps,
                *free_bps,
                reason,
            )
        )
        self._promise(device, flow.slice)

    def _release(self, device: Device, flow: Traffic) -> None:
        reserved_bps = self._admitted.pop((device.name, flow.key), None)
        if reserved_bps is not None:
            self._reserve(device, flow.slice, (-reserved_bps[0], -reserved_bps[1]))
            self._promise(device, flow.slice)

    def _reserve(self, device: Device, slice_name: str, more_bps: tuple[int, int]) -> None:
        cell = self._cells[device.name]
        book = self._book(device.radio_name, cell, slice_name)
        radio = self._state.scenario.network.radios[device.radio_name]
        media = self._state.cells[device.radio_name, cell]
        for way, bandwidth_bps in enumerate((radio.uplink_bps, radio.downlink_bps)):
            book.reserved_bps[way] += more_bps[way]
            reserved_ppm = -(-book.reserved_bps[way] * PPM // bandwidth_bps)
            medium = media[way]
            assert isinstance(medium, RatedMedium), "a cell without slicing admits nothing, says the check"
            medium.reserve(slice_name, reserved_ppm, self._clock.now_ns)

    def _promise(self, device: Device, slice_name: str) -> None:
        """Tell the device's radio what it is guaranteed in a slice by all of its flows together."""
        rates_bps = [
            self._admitted.get((device.name, flow.key), (0, 0))
            for flow in self._flows[device.workload]
            if flow.slice == slice_name
        ]
        for way, access in enumerate(device.access[slice_name]):
            access.guarantee(sum(rate_bps[way] for rate_bps in rates_bps), self._clock.now_ns)

    def _book(self, radio_name: str, cell: str, slice_name: str) -> _Book:
        key = (radio_name, cell, slice_name)
        book = self._books.get(key)
        if book is None:
            scenario = self._state.scenario
            radio = scenario.network.radios[radio_name]
            up_bps, down_bps = (
                slice_guarantee_bps(scenario, slice_name, bandwidth_bps)
                for bandwidth_bps in (radio.uplink_bps, radio.downlink_bps)
            )
            book = self._books[key] = _Book((up_bps, down_bps))
        return book
