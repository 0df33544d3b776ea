"""ca-outage: nobody signs certificates for a while."""

from __future__ import annotations

from meshsim.faults.interventions import Intervention, StartIssuer, StopIssuer
from meshsim.scenario.faults import CaOutage


def plan(fault: CaOutage) -> tuple[Intervention, Intervention]:
    """Return what begins and what ends the fault."""
    trust_domain = "" if fault.target == "issuer" else fault.target
    return StopIssuer(trust_domain), StartIssuer(trust_domain)
