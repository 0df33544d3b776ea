"""policy-outage: nobody answers questions of policy for a while."""

from __future__ import annotations

from meshsim.faults.interventions import Intervention, StartAuthorizer, StopAuthorizer
from meshsim.scenario.faults import PolicyOutage


def plan(fault: PolicyOutage) -> tuple[Intervention, Intervention]:
    """Return what begins and what ends the fault."""
    return StopAuthorizer(fault.target), StartAuthorizer(fault.target)
