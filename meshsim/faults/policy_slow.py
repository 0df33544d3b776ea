"""policy-slow: the policy engine takes longer over each decision."""

from __future__ import annotations

from meshsim.faults.interventions import EaseEngine, Intervention, SlowEngine
from meshsim.scenario.faults import PolicySlow


def plan(fault: PolicySlow) -> tuple[Intervention, Intervention]:
    """Return what begins and what ends the fault."""
    return SlowEngine(fault.factor, fault.target), EaseEngine()
