"""What slices are promised of a shared medium, and who goes first: the arithmetic behind scheduling and admission."""

from __future__ import annotations

from collections.abc import Mapping

from meshsim.scenario.model import Scenario
from meshsim.scenario.network import Network, Slice

PPM = 1_000_000


def slice_priority(network: Network, slice_: Slice) -> int:
    """Return a slice's priority level, its own or its 5QI's; the lowest number is served first."""
    return network.characteristics(slice_.five_qi).priority if slice_.priority is None else slice_.priority


def promised_ppm(slices: Mapping[str, Slice], bandwidth_bps: int) -> dict[str, int]:
    """Return what slices with a share or a guaranteed bit rate are promised of a medium; it may be over 100 %."""
    promised = {}
    for name, slice_ in slices.items():
        if slice_.share_ppm is not None:
            promised[name] = slice_.share_ppm
        elif slice_.guaranteed_bps is not None:
            promised[name] = -(-slice_.guaranteed_bps * PPM // bandwidth_bps)
    return promised


def slice_guarantee_bps(scenario: Scenario, slice_name: str, bandwidth_bps: int) -> int:
    """Return what a slice is guaranteed of a medium, as a bit rate: the most that its flows can be admitted for."""
    return slice_guarantees_ppm(scenario, bandwidth_bps)[slice_name] * bandwidth_bps // PPM


def slice_guarantees_ppm(scenario: Scenario, bandwidth_bps: int) -> dict[str, int]:
    """Return each slice's guarantee at a medium; slices without a promise divide equally what the others leave."""
    slices = scenario.network.slices
    promised = promised_ppm(slices, bandwidth_bps)
    others = len(slices) - len(promised)
    rest_ppm = max(0, PPM - sum(promised.values())) // others if others else 0
    return {name: promised.get(name, rest_ppm) for name in slices}
