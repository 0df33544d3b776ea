"""ca-rotation: the certificate authority is replaced at once, with or without time to get used to it."""

from __future__ import annotations

from meshsim.faults.interventions import ForgetAuthorities, Intervention, ReplaceAuthority
from meshsim.scenario.faults import CaReplacement


def plan(fault: CaReplacement) -> tuple[Intervention, Intervention]:
    """Return what begins and what ends the fault."""
    trust_domain = "" if fault.target == "authority" else fault.target
    return ReplaceAuthority(fault.overlap == "full", trust_domain), ForgetAuthorities(trust_domain)
