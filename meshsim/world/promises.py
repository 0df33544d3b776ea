"""What each flow is owed on the air, from its slice's 5QI and the bit rate that it asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.network.promise import AirPromise

if TYPE_CHECKING:
    from meshsim.scenario.model import Scenario


def air_promise(scenario: Scenario, slice_name: str) -> AirPromise:
    """Return what a device's packets in a slice are owed one way; each device and direction has one of its own."""
    slice_ = scenario.network.slices[slice_name]
    five_qi = scenario.network.characteristics(slice_.five_qi)
    return AirPromise(
        five_qi.access_network_delay_budget_ns,
        critical=five_qi.resource_type == "Delay-critical GBR",
        discards=slice_.discard_late,
        max_burst_bytes=five_qi.max_burst_bytes,
        window_ns=five_qi.averaging_window_ns or 0,
    )
