"""Fleets and their radio: devices, which way they go, and what they hear of their cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.network.access import RadioAccess
from meshsim.network.nr import NrRadioModel
from meshsim.network.radio import (
    DOWNLINK,
    UPLINK,
    FixedRadioModel,
    QuantileRadioModel,
    RadioModel,
    TraceRadioModel,
)
from meshsim.network.radio_path import PathRadioModel
from meshsim.network.rated_access import RatedAccess
from meshsim.network.rated_medium import RatedMedium
from meshsim.scenario.tls import tls_of
from meshsim.world.build import make_machine
from meshsim.world.hosts import Device
from meshsim.world.promises import air_promise

if TYPE_CHECKING:
    from meshsim.network.medium import SharedMedium
    from meshsim.scenario.loader import LoadedScenario
    from meshsim.scenario.traffic import Fleet
    from meshsim.world.state import State


def build_devices(state: State, loaded: LoadedScenario) -> None:
    """Make the devices of every fleet, attached to their first cells."""
    scenario = state.scenario
    for name, fleet in scenario.fleets.items():
        trust_domain = scenario.mesh.trust_domain_of(name)
        slices = tuple(dict.fromkeys(flow.slice for flow in scenario.traffic if flow.source == name))
        devices = state.devices[name] = []
        for index in range(fleet.size):
            spiffe_id = f"spiffe://{trust_domain}/fleet/{name}/{index}"
            device = _device(state, loaded, name, fleet, index, spiffe_id, slices)
            device.key_type = tls_of(scenario.mesh.tls, scenario.mesh.domain_tls(device.workload), fleet.tls).key
            devices.append(device)


def _device(
    state: State, loaded: LoadedScenario, name: str, fleet: Fleet, index: int, spiffe_id: str, slices: tuple[str, ...]
) -> Device:
    host_name = f"{name}/{index}"
    if fleet.node is not None:
        return Device(host_name, name, state.machines[fleet.node], spiffe_id)
    assert fleet.radio is not None
    costs = loaded.cost_profile.cpu(fleet.cpu, hardware_crypto=fleet.hardware_crypto)
    machine = make_machine(state, host_name, "", fleet.cores, costs, 0)
    device = Device(host_name, name, machine, spiffe_id)
    device.radio_name = fleet.radio
    model = device.radio = radio_model(state, loaded, fleet.radio, device, index, fleet.size)
    cell = model.cell(0)
    device.gnb = state.scenario.network.radios[fleet.radio].cells[cell]
    device.gnb_site = state.machines[device.gnb].site
    buffer_bytes = state.scenario.network.radios[fleet.radio].rlc_buffer_bytes
    rated = {flow.slice for flow in state.scenario.traffic if flow.source == name and flow.guaranteed is not None}
    up, down = state.cells[fleet.radio, cell]
    for slice_name in slices:
        device.access[slice_name] = (
            _access(state, UPLINK, model, up, slice_name, buffer_bytes, asks=slice_name in rated),
            _access(state, DOWNLINK, model, down, slice_name, buffer_bytes, asks=slice_name in rated),
        )
    return device


def _access(
    state: State, way: int, model: RadioModel, air: SharedMedium, slice_name: str, buffer_bytes: int, *, asks: bool
) -> RadioAccess:
    """Return a device's radio link in one slice and direction."""
    promise = air_promise(state.scenario, slice_name)
    if not asks:
        return RadioAccess(way, model, air, slice_name, promise, buffer_bytes)
    assert isinstance(air, RatedMedium), "a cell without slicing admits nothing, says the check"
    return RatedAccess(way, model, air, slice_name, promise, buffer_bytes)


def radio_model(
    state: State, loaded: LoadedScenario, radio_name: str, device: Device, index: int, size: int
) -> RadioModel:
    """Return the radio conditions of one device of a fleet of ``size``."""
    radio = state.scenario.network.radios[radio_name]
    cells = tuple(radio.cells)
    cell = cells[index % len(cells)]
    path = state.scenario.fleets[device.workload].path
    if path is not None:
        model = _resting_model(state, loaded, radio_name, device, index, cell)
        cells = tuple(stretch.cell for stretch in path.through)
        way = PathRadioModel(model, cells, path.stays_ns, path.at_end)
        if not path.spread:
            return way
        return PathRadioModel(model, cells, path.stays_ns, path.at_end, way.lap_ns * index // size)
    if radio.trace is not None:
        trace = loaded.radio_traces[radio_name]
        drive = TraceRadioModel(trace.times_ns, trace.round_trips_ns, trace.cells, 0)
        if not radio.trace.spread:
            return drive
        offset_ns = drive.period_ns * index // size
        return TraceRadioModel(trace.times_ns, trace.round_trips_ns, trace.cells, offset_ns)
    return _resting_model(state, loaded, radio_name, device, index, cell)


def _resting_model(
    state: State, loaded: LoadedScenario, radio_name: str, device: Device, index: int, cell: str
) -> RadioModel:
    """Return the radio conditions of a device that stays in its cell, or whose delays do not depend on where it is."""
    radio = state.scenario.network.radios[radio_name]
    if radio.quantiles is not None:
        quantiles = loaded.radio_quantiles[radio_name]
        points = (quantiles.uplink.points, quantiles.downlink.points)
        return QuantileRadioModel(cell, points, state.streams.stream("radio", radio_name, device.name))
    if radio.nr is not None:
        return NrRadioModel(cell, radio.nr, state.streams.stream("radio", radio_name, device.name), index)
    assert radio.fixed is not None
    return FixedRadioModel(cell, radio.fixed.uplink_ns, radio.fixed.downlink_ns)
