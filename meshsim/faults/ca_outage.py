"""ca-outage: nobody signs certificates for a while."""

from __future__ import annotations

from meshsim.faults.interventions import Intervention, StartIssuer, StopIssuer
from meshsim.scenario.faults import CaOutage


def plan(fault: CaOutage) -> tuple[Intervention, Intervention]:
    """Return what begins and what ends the fault."""
    return StopIssuer(), StartIssuer()
