"""link-down: a link carries nothing for a while."""

from __future__ import annotations

from meshsim.faults.interventions import CutLink, Intervention, RestoreLink
from meshsim.scenario.faults import LinkDown


def plan(fault: LinkDown) -> tuple[Intervention, Intervention]:
    """Return what begins and what ends the fault."""
    return CutLink(fault.target), RestoreLink(fault.target)
