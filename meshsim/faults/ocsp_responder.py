"""ocsp-responder: nobody answers what has become of certificates, or what is answered is wrong or old."""

from __future__ import annotations

from meshsim.faults.interventions import DisturbResponder, Intervention, RestoreResponder
from meshsim.scenario.faults import OcspResponderFault


def plan(fault: OcspResponderFault) -> tuple[Intervention, Intervention]:
    """Return what begins and what ends the fault."""
    return DisturbResponder(fault.serves), RestoreResponder(fault.serves)
