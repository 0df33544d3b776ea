"""The fault push-rejected: proxies that take no new configuration."""

from __future__ import annotations

from meshsim.faults.interventions import AcceptPushes, Intervention, RejectPushes
from meshsim.scenario.faults import PushRejected


def plan(fault: PushRejected) -> tuple[Intervention, Intervention]:
    """Return what begins and what ends the fault."""
    return RejectPushes(fault.target), AcceptPushes(fault.target)
