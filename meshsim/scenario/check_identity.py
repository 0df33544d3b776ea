"""Checks of certificates: lifetimes, rotation, and who issues them."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario import units
from meshsim.scenario.findings import Finding
from meshsim.scenario.identity import Identity
from meshsim.scenario.model import Scenario


def check_identity(scenario: Scenario) -> Iterator[Finding]:
    """Lifetimes of certificates that cannot be written down, or make no sense together."""
    identity = scenario.mesh.identity
    at = ("mesh", "identity")
    for key, value_ns in (
        ("svid_ttl", identity.svid_ttl_ns),
        ("backdate", identity.backdate_ns),
        ("ca_ttl", identity.ca_ttl_ns),
    ):
        if value_ns % units.NS_PER_S:
            message = (
                f"{units.format_duration(value_ns)!r} is no whole number of seconds; expected one, as X.509 has it"
            )
            yield Finding((*at, key), message, alone=True)
    yield from _check_rotation(identity)
    if identity.backdate_ns >= identity.svid_ttl_ns:
        message = (
            f"certificates are backdated by {units.format_duration(identity.backdate_ns)} and live for "
            f"{units.format_duration(identity.svid_ttl_ns)}; expected backdate to be less than svid_ttl"
        )
        yield Finding((*at, "backdate"), message, rivals=((*at, "svid_ttl"),))
    if identity.ca_ttl_ns <= identity.svid_ttl_ns:
        message = f"the authority's certificate lives no longer than {units.format_duration(identity.svid_ttl_ns)}"
        message = f"{message} (svid_ttl); expected ca_ttl to be more"
        yield Finding((*at, "ca_ttl"), message, rivals=((*at, "svid_ttl"),))
    yield from _check_start(scenario)
    for index, fault in enumerate(scenario.faults):
        if fault.kind == "ca-outage" and identity.issuer is None:
            message = "the mesh has no issuer: its certificates are there at once; expected mesh.identity.issuer"
            yield Finding(("faults", index, "kind"), message)
    if scenario.epoch_ns + scenario.duration_ns + identity.ca_ttl_ns >= 2**63:
        yield Finding(
            (*at, "ca_ttl"), "the authority's certificate ends after the year 2261; expected a shorter ca_ttl"
        )


def _check_rotation(identity: Identity) -> Iterator[Finding]:
    at_ppm, jitter_ppm = identity.rotate_at_ppm, identity.rotate_jitter_ppm
    if jitter_ppm and not jitter_ppm < at_ppm <= units.PPM - jitter_ppm:
        early, late = (units.format_share(max(0, min(units.PPM, at_ppm + way * jitter_ppm))) for way in (-1, 1))
        message = f"certificates would be replaced at {early} to {late} of their lifetime; expected all of it inside"
        at = ("mesh", "identity")
        yield Finding((*at, "rotate_jitter"), message, rivals=((*at, "rotate_at"),))


def _check_start(scenario: Scenario) -> Iterator[Finding]:
    identity = scenario.mesh.identity
    issuer = identity.issuer
    if issuer is None:
        if identity.at_start == "onboarding":
            message = "nobody is there to issue certificates to workloads without; expected mesh.identity.issuer"
            yield Finding(("mesh", "identity", "at_start"), message)
        return
    at = ("mesh", "identity", "issuer")
    node = scenario.network.nodes.get(issuer.node or "")
    if node is not None and node.kind == "router":
        message = "a router carries no workloads; expected a node of kind edge, regional, core or gnb"
        yield Finding((*at, "node"), message)
    retry = issuer.retry
    if retry.base_ns > retry.cap_ns:
        base, cap = units.format_duration(retry.base_ns), units.format_duration(retry.cap_ns)
        message = f"the first wait is {base} and the longest {cap}; expected base to be at most cap"
        yield Finding((*at, "retry", "base"), message, rivals=((*at, "retry", "cap"),))
