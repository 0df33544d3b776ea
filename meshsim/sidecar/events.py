"""What happens to a sidecar."""

from __future__ import annotations

import msgspec

from meshsim.policy.question import Decision
from meshsim.sidecar.endpoint import Endpoint
from meshsim.sidecar.messages import CallTemplate, Carried, Message, RequestMessage
from meshsim.sidecar.tls.flights import Flight
from meshsim.sidecar.tls.outcome import TlsStep
from meshsim.sidecar.tls.settings import TlsSide


class CallStarted(msgspec.Struct, frozen=True, gc=False):
    """The workload asks for a call."""

    call_id: int
    template: CallTemplate
    carried: Carried | None = None
    """What it hands on of the request that it handles, beside what the template has."""


class TcpEstablished(msgspec.Struct, frozen=True, gc=False):
    """A connection that this sidecar opened is there."""

    connection_id: int


class ConnectionAccepted(msgspec.Struct, frozen=True, gc=False):
    """Somebody connected."""

    connection_id: int
    port: int = 8080
    """Port that it came to."""
    source_ip: str = ""
    """Address of the client; empty unless policies read it."""


class UnitReceived(msgspec.Struct, frozen=True, gc=False):
    """A flight or message arrived, in order and whole."""

    connection_id: int
    unit: Flight | Message


class WorkDone(msgspec.Struct, frozen=True, gc=False):
    """The CPU has done what a TLS step needed."""

    connection_id: int
    step: TlsStep


class PolicyAnswered(msgspec.Struct, frozen=True, gc=False):
    """A policy question has its answer; None when the mesh has no policy."""

    connection_id: int
    message: RequestMessage
    decision: Decision | None


class ServiceAnswered(msgspec.Struct, frozen=True, gc=False):
    """The workload has handled a request."""

    connection_id: int
    call_id: int
    attempt: int
    status: int


class ConnectionLost(msgspec.Struct, frozen=True, gc=False):
    """A connection is gone: not to be had, closed, or reset."""

    connection_id: int
    reason: str


class EndpointsChanged(msgspec.Struct, frozen=True, gc=False):
    """The control plane says where services are."""

    version: int
    endpoints: dict[str, tuple[Endpoint, ...]]
    draining: frozenset[int] = frozenset()
    """Endpoints that are gone from the list but may end what they have."""


class LocationChanged(msgspec.Struct, frozen=True, gc=False):
    """The workload moved, or the routes around it did: what was nearest need not be any more."""

    node: str
    site: str


class IdentityRotated(msgspec.Struct, frozen=True, gc=False):
    """A new certificate is in place, for connections from now on."""

    side: TlsSide


class TokenCame(msgspec.Struct, frozen=True, gc=False):
    """The workload has fetched a token: calls that wait for one can go on."""


class TimerDue(msgspec.Struct, frozen=True, gc=False):
    """The instant that the sidecar's ``timers.next_ns`` named has come."""


Event = (
    CallStarted
    | TcpEstablished
    | ConnectionAccepted
    | UnitReceived
    | WorkDone
    | PolicyAnswered
    | ServiceAnswered
    | ConnectionLost
    | EndpointsChanged
    | LocationChanged
    | IdentityRotated
    | TokenCame
    | TimerDue
)
