"""Scenario models of faults. One kind, one model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from meshsim.scenario.fields import Duration, Model, Name
from meshsim.scenario.policy import TrustDomain
from meshsim.scenario.ports import ObjectName


class _Begun(Model):
    name: Name | None = None
    """Name in tables, phases and expectations. Default: its kind, numbered from 2 if the kind stands more than once."""
    at_ns: Duration = Field(alias="at")
    """When it begins."""


class _Fault(_Begun):
    for_ns: Duration = Field(alias="for", gt=0)
    """How long it lasts."""


class LinkDown(_Fault):
    """Nothing passes a link, either way; what is on it is lost."""

    kind: Literal["link-down"]
    """link-down."""
    target: str
    """Link."""


class NodeCrash(_Fault):
    """A node loses power and comes back with empty memory: connections, tickets and work in progress are gone."""

    kind: Literal["node-crash"]
    """node-crash."""
    target: Name
    """Node."""


class LatencySurge(_Fault):
    """A link delays everything by more than usual, both ways."""

    kind: Literal["latency-surge"]
    """latency-surge."""
    target: str
    """Link."""
    add_ns: Duration = Field(alias="add", gt=0)
    """Extra one-way delay."""


class CaOutage(_Fault):
    """The process that signs certificates is gone; whoever asks it is told so at once, and what it had is lost."""

    kind: Literal["ca-outage"]
    """ca-outage."""
    target: TrustDomain = "issuer"
    """issuer, that of the mesh (mesh.identity.issuer); or a trust domain of mesh.federation, by its name, whose issuer
    it is. Default: issuer."""


class TokenOutage(_Fault):
    """The endpoint of a token issuer is gone; whoever asks it is told so at once, and what it had is lost."""

    kind: Literal["token-outage"]
    """token-outage."""
    target: Name
    """Token issuer with an endpoint, of mesh.tokens.issuers."""


class CaReplacement(_Fault):
    """The certificate authority is replaced at once by somebody's decision: a new one signs from the beginning on."""

    kind: Literal["ca-rotation"]
    """ca-rotation."""
    target: TrustDomain = "authority"
    """authority, that of the mesh's own trust domain; or one of mesh.federation by its name. Default: authority."""
    overlap: Literal["full", "none"] = "none"
    """full: what came before is trusted until the end of the fault. none: from the beginning on nobody who has heard of
    it trusts what came before. Default: none."""


class PushRejected(_Fault):
    """Proxies reject whatever configuration is pushed to them, and stay with what they have."""

    kind: Literal["push-rejected"]
    """push-rejected."""
    target: Name
    """Service or fleet whose proxies they are."""


class PolicyOutage(_Fault):
    """The authorizer is gone: whoever asks it is told so at once by its node, and what it had is lost."""

    kind: Literal["policy-outage"]
    """policy-outage."""
    target: Name = "authorizer"
    """The authorizer of the mesh (mesh.policy.authorizer), or an extension provider with one of its own; where each
    proxy has one, all. Default: authorizer."""


class PolicySlow(_Fault):
    """The policy engine takes longer over each decision, wherever it runs; what a proxy has cached it does not ask."""

    kind: Literal["policy-slow"]
    """policy-slow."""
    target: Name = "engine"
    """The policy engine of the mesh with all that it asks, or one extension provider outside of the proxies. Default:
    engine."""
    factor: Annotated[int, Field(ge=2, le=1_000_000)]
    """How many times as much CPU time a decision takes."""


class BundleEndpointFault(_Fault):
    """The bundle endpoint of a trust domain is gone, or serves something else than the bundle."""

    kind: Literal["bundle-endpoint"]
    """bundle-endpoint."""
    target: TrustDomain
    """Trust domain whose endpoint it is."""
    serves: Literal["nothing", "older", "empty", "malformed"] = "nothing"
    """nothing: the endpoint is down. older: the bundle of the beginning of the run, as from a backup. empty: a bundle
    without authorities, which revokes all of the trust domain. malformed: something that is no bundle. Default:
    nothing."""


class Revoke(_Begun):
    """All certificates of a workload are revoked; how peers hear of it, mesh.identity.revocation says.

    It is issued nothing as long as this lasts, and gets a new certificate after that.
    """

    kind: Literal["revoke"]
    """revoke."""
    target: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(/[0-9]{1,9})?$")]
    """Service or fleet, or one of its replicas or devices, such as planner/0."""
    for_ns: Duration | None = Field(default=None, alias="for", gt=0)
    """How long it is issued nothing. Default: to the end of the run."""
    holds_back: bool = False
    """Whether it is in wrong hands and keeps to itself OCSP responses that say so: it sends along the last good one
    while that is in date, and none after that. Default: false, it sends what it fetches."""


class OcspResponderFault(_Fault):
    """The OCSP responder is gone, or does not say what is so."""

    kind: Literal["ocsp-responder"]
    """ocsp-responder."""
    target: Literal["responder"] = "responder"
    """The responder of the mesh (mesh.identity.revocation.ocsp). Default: responder."""
    serves: Literal["nothing", "good", "older", "unknown"] = "nothing"
    """nothing: it is down. good: it calls every certificate good, revoked ones too. older: its responses have ended
    already, a second before, and say good. unknown: it knows no certificate. Default: nothing."""


class WaypointOutage(_Fault):
    """The processes of a waypoint are gone on all its nodes; whoever is connected or connects is told so at once."""

    kind: Literal["waypoint-outage"]
    """waypoint-outage."""
    target: ObjectName
    """Waypoint with a place, as mesh.waypoints names it."""


Fault = Annotated[
    LinkDown
    | NodeCrash
    | LatencySurge
    | CaOutage
    | CaReplacement
    | PushRejected
    | PolicyOutage
    | PolicySlow
    | BundleEndpointFault
    | Revoke
    | OcspResponderFault
    | TokenOutage
    | WaypointOutage,
    Field(discriminator="kind"),
]


def end_ns(fault: Fault, duration_ns: int) -> int:
    """When a fault ends in a run of this duration."""
    return duration_ns if fault.for_ns is None else fault.at_ns + fault.for_ns
