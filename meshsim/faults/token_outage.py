"""token-outage: nobody signs the tokens of an issuer for a while."""

from __future__ import annotations

from meshsim.faults.interventions import Intervention, StartTokenEndpoint, StopTokenEndpoint
from meshsim.scenario.faults import TokenOutage


def plan(fault: TokenOutage) -> tuple[Intervention, Intervention]:
    """Return what begins and what ends the fault."""
    return StopTokenEndpoint(fault.target), StartTokenEndpoint(fault.target)
