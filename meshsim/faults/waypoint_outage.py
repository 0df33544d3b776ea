"""waypoint-outage: no process of a waypoint is there for a while."""

from __future__ import annotations

from meshsim.faults.interventions import Intervention, StartWaypoint, StopWaypoint
from meshsim.scenario.faults import WaypointOutage


def plan(fault: WaypointOutage) -> tuple[Intervention, Intervention]:
    """Return what begins and what ends the fault."""
    return StopWaypoint(fault.target), StartWaypoint(fault.target)
