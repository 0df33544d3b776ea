"""latency-surge: a link delays everything by more than usual."""

from __future__ import annotations

from meshsim.faults.interventions import AddLatency, Intervention
from meshsim.scenario.faults import LatencySurge


def plan(fault: LatencySurge) -> tuple[Intervention, Intervention]:
    """Return what begins and what ends the fault."""
    return AddLatency(fault.target, fault.add_ns), AddLatency(fault.target, -fault.add_ns)
