"""The fault revoke: certificates that are not to be believed any more, of somebody who gets no others."""

from __future__ import annotations

from meshsim.faults.interventions import Intervention, ReinstateWorkload, RevokeWorkload
from meshsim.scenario.faults import Revoke


def plan(fault: Revoke) -> tuple[Intervention, Intervention]:
    """Return what begins and what ends the fault."""
    return RevokeWorkload(fault.target, fault.holds_back), ReinstateWorkload(fault.target)
