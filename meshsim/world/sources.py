"""Traffic and mobility: what happens because users are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from meshsim.sidecar import events
from meshsim.world.connection import UP

if TYPE_CHECKING:
    from random import Random

    from meshsim.scenario.radios import Radio
    from meshsim.sidecar.messages import CallTemplate
    from meshsim.world.admission import Admission
    from meshsim.world.alarms import Alarm
    from meshsim.world.driver import Driver
    from meshsim.world.hosts import Device
    from meshsim.world.state import State
    from meshsim.world.workload import Workloads


class Source:
    """One flow: draws its next instant only when the one before has come, so that memory does not grow."""

    __slots__ = (
        "_admission",
        "_arrivals",
        "_clock",
        "_devices",
        "_name",
        "_random",
        "_state",
        "_template",
        "_turn",
        "_when_due",
        "_workloads",
    )

    def __init__(
        self,
        state: State,
        workloads: Workloads,
        name: str,
        template: CallTemplate,
        devices: list[Device],
        arrivals: Iterator[int],
        random: Random | None,
        admission: Admission | None = None,
    ) -> None:
        self._state = state
        self._clock = state.clock
        self._workloads = workloads
        self._name = name
        self._template = template
        self._devices = devices
        self._arrivals = arrivals
        self._random = random
        self._admission = admission
        """Who knows which devices were admitted; None if nothing has to be."""
        self._turn = 0
        self._when_due = self._send

    def begin(self) -> None:
        """Set the first request."""
        self._state.sources_open += 1
        self._next()

    def _next(self) -> None:
        time_ns = next(self._arrivals, None)
        if time_ns is None:
            self._state.sources_open -= 1
        else:
            self._clock.at(time_ns, self._when_due)

    def _send(self, _: None) -> Alarm | None:
        devices = self._devices
        if self._random is not None:
            device = devices[int(self._random.random() * len(devices))]
        else:
            device = devices[self._turn % len(devices)]
            self._turn += 1
        self._next()  # first, so that the arrivals of one instant keep their order whatever a request leads to
        if self._admission is not None and not self._admission.admitted(device, self._name):
            self._workloads.refuse(device, self._name, self._template)
            return None
        return self._workloads.request(device, self._name, self._template)


class Mobility:
    """Hands devices over from cell to cell as their radio model says."""

    def __init__(self, state: State, driver: Driver, radios: dict[str, Radio], admission: Admission) -> None:
        self._state = state
        self._clock = state.clock
        self._driver = driver
        self._radios = radios
        self._admission = admission
        self._due: dict[int, list[Device]] = {}
        """Devices that change cells next, by the instant of that."""

    def begin(self, device: Device) -> None:
        """Set a device's first handover."""
        self._next(device)

    def _next(self, device: Device) -> None:
        assert device.radio is not None
        change_ns = device.radio.next_change_ns(self._clock.now_ns)
        if change_ns is not None:
            together = self._due.get(change_ns)
            if together is None:
                together = self._due[change_ns] = []
                self._clock.at(change_ns, self._handovers, change_ns)
            together.append(device)

    def _handovers(self, now_ns: int) -> None:
        """Hand over all devices whose instant it is; none asks a cell before all have left theirs."""
        devices = self._due.pop(now_ns)
        if self._state.over:
            return
        for device in devices:
            self._handover(device)
        for device in devices:
            self._admission.arrived(device)

    def _handover(self, device: Device) -> None:
        assert device.radio is not None
        now_ns = self._clock.now_ns
        radio = self._radios[device.radio_name]
        gnb = radio.cells[device.radio.cell(now_ns)]
        for uplink, downlink in device.access.values():
            uplink.interrupted_until_ns = downlink.interrupted_until_ns = now_ns + radio.handover_interruption_ns
        self._move(device, gnb)
        self._next(device)

    def _move(self, device: Device, gnb: str) -> None:
        cell = device.radio.cell(self._clock.now_ns) if device.radio is not None else ""
        moves = gnb != device.gnb
        if moves:
            device.gnb = gnb
            device.gnb_site = self._state.machines[gnb].site
            device.moves += 1
        up, down = self._state.cells[device.radio_name, cell]
        for uplink, downlink in device.access.values():
            self._state.transport.change_cell(uplink, up)
            self._state.transport.change_cell(downlink, down)
        self._admission.left(device, cell)
        if moves:
            if self._radios[device.radio_name].handover_changes_address:
                self._lose_connections(device)
            self._driver.tell(device, events.LocationChanged(device.node, device.site))

    def _lose_connections(self, device: Device) -> None:
        """End what was bound to the old address: the device knows at once, its peers when they send to it next."""
        for connection_id in list(device.sidecar.outbound.upstreams):
            connection = self._state.connections.get(connection_id)
            if connection is not None:
                self._driver.connections.lost(connection, UP, "the device's address changed")
