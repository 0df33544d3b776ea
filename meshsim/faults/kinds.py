"""Every fault kind, and the plan of a whole scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from meshsim.faults import (
    bundle_endpoint,
    ca_outage,
    ca_rotation,
    latency_surge,
    link_down,
    node_crash,
    ocsp_responder,
    policy_outage,
    policy_slow,
    push_rejected,
    revoke,
    token_outage,
    waypoint_outage,
)
from meshsim.faults.interventions import Intervention, Planned
from meshsim.scenario.faults import end_ns as end_of_fault
from meshsim.scenario.model import Scenario

KINDS: Final[Mapping[str, Callable[[Any], tuple[Intervention, Intervention]]]] = MappingProxyType(
    {
        "link-down": link_down.plan,
        "node-crash": node_crash.plan,
        "latency-surge": latency_surge.plan,
        "ca-outage": ca_outage.plan,
        "ca-rotation": ca_rotation.plan,
        "push-rejected": push_rejected.plan,
        "policy-outage": policy_outage.plan,
        "policy-slow": policy_slow.plan,
        "bundle-endpoint": bundle_endpoint.plan,
        "revoke": revoke.plan,
        "ocsp-responder": ocsp_responder.plan,
        "token-outage": token_outage.plan,
        "waypoint-outage": waypoint_outage.plan,
    }
)
"""A kind's name in the scenario, and the function that plans it."""


def plan_faults(scenario: Scenario) -> tuple[Planned, ...]:
    """Return the scenario's faults in the order of the file."""
    planned = []
    for index, (fault, name) in enumerate(zip(scenario.faults, scenario.fault_names(), strict=True)):
        begin, end = KINDS[fault.kind](fault)
        end_ns = end_of_fault(fault, scenario.duration_ns)
        planned.append(Planned(name, fault.kind, fault.target, fault.at_ns, end_ns, begin, end, index))
    return tuple(planned)
