"""node-crash: a node loses power and comes back with empty memory."""

from __future__ import annotations

from meshsim.faults.interventions import CrashNode, Intervention, RestartNode
from meshsim.scenario.faults import NodeCrash


def plan(fault: NodeCrash) -> tuple[Intervention, Intervention]:
    """Return what begins and what ends the fault."""
    return CrashNode(fault.target), RestartNode(fault.target)
