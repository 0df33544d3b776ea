"""What a sidecar wants done. One driver carries commands out, in one place, in the order given."""

from __future__ import annotations

from typing import Final

import msgspec

from meshsim.identity.token_check import TokenVerdict
from meshsim.identity.token_search import Checked
from meshsim.policy.question import Question
from meshsim.sidecar.messages import Carried, Message, RequestMessage, ResponseMessage
from meshsim.sidecar.tls.flights import Flight
from meshsim.sidecar.tls.outcome import Established, Refused, TlsStep

PEER_REVOKED: Final = "peer revoked"
"""Why a connection is closed whose peer's certificate was revoked."""


class OpenConnection(msgspec.Struct, frozen=True, gc=False):
    """Connect to an endpoint; answered by TcpEstablished or ConnectionLost."""

    connection_id: int
    endpoint_id: int
    slice: str
    """Slice of the call that needs it."""
    port: int = 8080
    """Port of the endpoint."""


class Send(msgspec.Struct, frozen=True, gc=False):
    """Send a unit on a connection, after the CPU work that a message needs."""

    connection_id: int
    unit: Flight | Message


class Compute(msgspec.Struct, frozen=True, gc=False):
    """Charge the CPU work of a TLS step; answered by WorkDone."""

    connection_id: int
    step: TlsStep


class AskPolicy(msgspec.Struct, frozen=True, gc=False):
    """Read a request and ask whether it is allowed; answered by PolicyAnswered."""

    connection_id: int
    message: RequestMessage
    question: Question | None
    """None when the mesh has no policy, or when the request's token is refused."""
    token: TokenVerdict | None = None
    """What came of the request's token; None where nobody looks."""
    thumbprint: str = ""
    """Of the certificate that it was presented with."""
    checked: tuple[Checked, ...] = ()
    """Each token that was judged for that; empty where it was the message's own alone."""
    malformed: str = ""
    """Why the request is not read, one of ``http1.REFUSALS``; empty if it is."""
    removed: str = ""
    """Names of header fields that go no farther than this sidecar."""


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """Hand a request to the workload; answered by ServiceAnswered."""

    connection_id: int
    message: RequestMessage
    carried: Carried | None = None
    """What the workload hands on with its own calls, beside what their templates have."""


class BackOff(msgspec.Struct, frozen=True, gc=False):
    """An attempt failed; the next begins when the sidecar's timer says so."""

    call_id: int
    attempt: int
    """The one that failed."""
    outcome: str


class HoldCall(msgspec.Struct, frozen=True, gc=False):
    """A route holds a call back, and it goes on when the sidecar's timer says so; or it waits for a token."""

    call_id: int
    for_token: bool = False


class FinishCall(msgspec.Struct, frozen=True, gc=False):
    """A call has its outcome: read the response, if there is one, and tell the workload."""

    call_id: int
    outcome: str
    status: int
    attempts: int
    response: ResponseMessage | None
    exhausted: bool = False
    """Whether it was tried again as often as it may be, and would have been once more."""


class WaitForConnection(msgspec.Struct, frozen=True, gc=False):
    """A call waits for a connection that is being opened, or, with 0, for a free stream."""

    call_id: int
    connection_id: int


class HandshakeEnded(msgspec.Struct, frozen=True, gc=False):
    """One end of a connection knows how its handshake ended. Exactly one of the two outcomes is set."""

    connection_id: int
    by: str
    """client or server."""
    established: Established | None
    refused: Refused | None


class CloseConnection(msgspec.Struct, frozen=True, gc=False):
    """Close a connection; the other end is told."""

    connection_id: int
    reason: str
    live: bool = True
    """Whether anything could be served on it: False of one that is refused as soon as its handshake is over."""


Command = (
    OpenConnection
    | Send
    | Compute
    | AskPolicy
    | Deliver
    | BackOff
    | HoldCall
    | FinishCall
    | WaitForConnection
    | HandshakeEnded
    | CloseConnection
)
