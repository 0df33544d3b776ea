"""The interventions that fault kinds plan and the world carries out."""

from __future__ import annotations

from typing import Literal

import msgspec


class CutLink(msgspec.Struct, frozen=True, gc=False):
    """Let nothing pass a link; what is on it is lost."""

    link: str


class RestoreLink(msgspec.Struct, frozen=True, gc=False):
    """Let a link carry again."""

    link: str


class CrashNode(msgspec.Struct, frozen=True, gc=False):
    """Take the power from a node."""

    node: str


class RestartNode(msgspec.Struct, frozen=True, gc=False):
    """Start a node with empty memory."""

    node: str


class AddLatency(msgspec.Struct, frozen=True, gc=False):
    """Add a one-way delay to a link, both ways; a negative one takes it away again."""

    link: str
    add_ns: int


class StopIssuer(msgspec.Struct, frozen=True, gc=False):
    """End the process that signs certificates; its node goes on."""

    trust_domain: str = ""
    """Whose it is; empty for the mesh's own."""


class StartIssuer(msgspec.Struct, frozen=True, gc=False):
    """Start the process that signs certificates again."""

    trust_domain: str = ""
    """Whose it is; empty for the mesh's own."""


class StopTokenEndpoint(msgspec.Struct, frozen=True, gc=False):
    """End the process that signs the tokens of an issuer; its node goes on."""

    issuer: str


class StartTokenEndpoint(msgspec.Struct, frozen=True, gc=False):
    """Start the process that signs the tokens of an issuer again."""

    issuer: str


class StopWaypoint(msgspec.Struct, frozen=True, gc=False):
    """End the processes of a waypoint; their nodes go on."""

    waypoint: str
    """As the scenario writes it."""


class StartWaypoint(msgspec.Struct, frozen=True, gc=False):
    """Start the processes of a waypoint again."""

    waypoint: str


class ReplaceAuthority(msgspec.Struct, frozen=True, gc=False):
    """Have a new certificate authority sign from now on."""

    overlap: bool
    """Whether those that came before are trusted until ``ForgetAuthorities``."""
    trust_domain: str = ""
    """Whose it is; empty for the mesh's own."""


class ForgetAuthorities(msgspec.Struct, frozen=True, gc=False):
    """Trust the authorities no more that the fault's ``ReplaceAuthority`` replaced."""

    trust_domain: str = ""


class DisturbEndpoint(msgspec.Struct, frozen=True, gc=False):
    """Have the bundle endpoint of a trust domain serve something else than its bundle."""

    trust_domain: str
    serves: Literal["nothing", "older", "empty", "malformed"]


class RestoreEndpoint(msgspec.Struct, frozen=True, gc=False):
    """Have it serve its bundle again."""

    trust_domain: str
    serves: Literal["nothing", "older", "empty", "malformed"]


class RejectPushes(msgspec.Struct, frozen=True, gc=False):
    """Have the proxies of a service or fleet reject configuration."""

    workload: str


class AcceptPushes(msgspec.Struct, frozen=True, gc=False):
    """Have them take it again."""

    workload: str


class StopAuthorizer(msgspec.Struct, frozen=True, gc=False):
    """End the process that answers questions of policy outside of the proxies; its node goes on."""

    target: str
    """The extension provider whose it is; ``authorizer`` for that of the mesh."""


class StartAuthorizer(msgspec.Struct, frozen=True, gc=False):
    """Start that process again."""

    target: str


class SlowEngine(msgspec.Struct, frozen=True, gc=False):
    """Have decisions of the policy engine take so many times their CPU time."""

    factor: int
    target: str
    """The extension provider whose decisions they are; ``engine`` for all."""


class EaseEngine(msgspec.Struct, frozen=True, gc=False):
    """Undo the fault's ``SlowEngine``."""


class RevokeWorkload(msgspec.Struct, frozen=True, gc=False):
    """Revoke the certificates of a service, fleet, replica or device, and issue it no others."""

    target: str
    holds_back: bool = False
    """Whether it keeps responses that say so to itself."""


class ReinstateWorkload(msgspec.Struct, frozen=True, gc=False):
    """Issue it certificates again."""

    target: str


class DisturbResponder(msgspec.Struct, frozen=True, gc=False):
    """Have the OCSP responder say nothing, or something else than the truth."""

    serves: Literal["nothing", "good", "older", "unknown"]


class RestoreResponder(msgspec.Struct, frozen=True, gc=False):
    """Have it say the truth again."""

    serves: Literal["nothing", "good", "older", "unknown"]


Intervention = (
    CutLink
    | RestoreLink
    | CrashNode
    | RestartNode
    | AddLatency
    | StopIssuer
    | StartIssuer
    | ReplaceAuthority
    | ForgetAuthorities
    | RejectPushes
    | AcceptPushes
    | StopAuthorizer
    | StartAuthorizer
    | SlowEngine
    | EaseEngine
    | DisturbEndpoint
    | RestoreEndpoint
    | RevokeWorkload
    | ReinstateWorkload
    | DisturbResponder
    | RestoreResponder
    | StopTokenEndpoint
    | StartTokenEndpoint
    | StopWaypoint
    | StartWaypoint
)


class Planned(msgspec.Struct, frozen=True, gc=False):
    """One fault: when it begins and ends, and what must be done then."""

    fault_id: str
    kind: str
    target: str
    begin_ns: int
    end_ns: int
    begin: Intervention
    end: Intervention
    index: int
    """Its place in the scenario's list, for messages about it."""
