"""Sets users going: devices that move, and every flow of the scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from meshsim.traffic import arrivals
from meshsim.world.admission import Admission
from meshsim.world.sources import Mobility, Source

if TYPE_CHECKING:
    from meshsim.scenario.data_files import ArrivalTrace
    from meshsim.sidecar.messages import CallTemplate
    from meshsim.world.driver import Driver
    from meshsim.world.state import State
    from meshsim.world.workload import Workloads


def begin_traffic(
    state: State,
    driver: Driver,
    workloads: Workloads,
    templates: Sequence[CallTemplate],
    traces: Mapping[str, ArrivalTrace],
) -> None:
    """Set the first instant of each device and flow; ``templates`` are those of the flows, in their order."""
    scenario = state.scenario
    admission = Admission(state)
    admission.begin()
    mobility = Mobility(state, driver, scenario.network.radios, admission)
    for fleet in state.devices.values():
        for device in fleet:
            if device.radio is not None:
                mobility.begin(device)
    for flow, template in zip(scenario.traffic, templates, strict=True):
        name = flow.key
        stop_ns = scenario.duration_ns if flow.stop_ns is None else flow.stop_ns
        random = None
        kind = flow.arrivals
        if kind.poisson_uhz is not None:
            random = state.streams.stream("devices", name)
            stream = state.streams.stream("arrivals", name)
            times = arrivals.poisson(kind.poisson_uhz, flow.start_ns, stop_ns, stream)
        elif kind.constant_uhz is not None:
            times = arrivals.constant(kind.constant_uhz, flow.start_ns, stop_ns)
        else:
            times = arrivals.recorded(traces[flow.key].times_ns, flow.start_ns, stop_ns)
        asked = admission if flow.guaranteed is not None else None
        Source(state, workloads, name, template, state.devices[flow.source], times, random, asked).begin()
