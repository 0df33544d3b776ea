"""bundle-endpoint: a trust domain's bundle endpoint is gone, or serves something else than its bundle."""

from __future__ import annotations

from meshsim.faults.interventions import DisturbEndpoint, Intervention, RestoreEndpoint
from meshsim.scenario.faults import BundleEndpointFault


def plan(fault: BundleEndpointFault) -> tuple[Intervention, Intervention]:
    """Return what begins and what ends the fault."""
    return DisturbEndpoint(fault.target, fault.serves), RestoreEndpoint(fault.target, fault.serves)
