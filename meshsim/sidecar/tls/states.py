"""The state tables of the two ends of a TLS 1.3 handshake, from which code, tests and documents work."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final


class State(Enum):
    """Where an end stands."""

    __hash__ = object.__hash__  # of a member there is one: Enum's own goes through its name, in Python

    IDLE = "idle"
    WAIT_SERVER_FLIGHT = "wait for the server's flight"
    WAIT_SERVER_FLIGHT_RETRIED = "wait for the server's flight after a retry"
    WAIT_CLIENT_HELLO = "wait for a ClientHello"
    WAIT_CLIENT_HELLO_RETRIED = "wait for the retried ClientHello"
    WAIT_CLIENT_FINISH = "wait for the client's last flight"
    ESTABLISHED = "established"
    REFUSED = "refused"


class Event(Enum):
    """What an end does in a step."""

    __hash__ = object.__hash__  # as above

    SEND_CLIENT_HELLO = "send ClientHello"
    SEND_CLIENT_HELLO_RETRIED = "send ClientHello again"
    SEND_HELLO_RETRY_REQUEST = "send HelloRetryRequest"
    SEND_SERVER_FLIGHT = "send ServerHello to Finished"
    SEND_CLIENT_FINISH = "send Finished"
    SEND_SESSION_TICKETS = "send NewSessionTicket"
    STORE_TICKET = "store a session ticket"
    REFUSE = "refuse, or be refused"


CLIENT_TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.IDLE, Event.SEND_CLIENT_HELLO): State.WAIT_SERVER_FLIGHT,
        (State.WAIT_SERVER_FLIGHT, Event.SEND_CLIENT_HELLO_RETRIED): State.WAIT_SERVER_FLIGHT_RETRIED,
        (State.WAIT_SERVER_FLIGHT, Event.SEND_CLIENT_FINISH): State.ESTABLISHED,
        (State.WAIT_SERVER_FLIGHT_RETRIED, Event.SEND_CLIENT_FINISH): State.ESTABLISHED,
        (State.ESTABLISHED, Event.STORE_TICKET): State.ESTABLISHED,
        (State.WAIT_SERVER_FLIGHT, Event.REFUSE): State.REFUSED,
        (State.WAIT_SERVER_FLIGHT_RETRIED, Event.REFUSE): State.REFUSED,
        (State.ESTABLISHED, Event.REFUSE): State.REFUSED,
    }
)
"""Every step that a client can take; a refusal can still reach it when it is established."""

SERVER_TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.WAIT_CLIENT_HELLO, Event.SEND_HELLO_RETRY_REQUEST): State.WAIT_CLIENT_HELLO_RETRIED,
        (State.WAIT_CLIENT_HELLO, Event.SEND_SERVER_FLIGHT): State.WAIT_CLIENT_FINISH,
        (State.WAIT_CLIENT_HELLO_RETRIED, Event.SEND_SERVER_FLIGHT): State.WAIT_CLIENT_FINISH,
        (State.WAIT_CLIENT_FINISH, Event.SEND_SESSION_TICKETS): State.ESTABLISHED,
        (State.WAIT_CLIENT_HELLO, Event.REFUSE): State.REFUSED,
        (State.WAIT_CLIENT_HELLO_RETRIED, Event.REFUSE): State.REFUSED,
        (State.WAIT_CLIENT_FINISH, Event.REFUSE): State.REFUSED,
        (State.ESTABLISHED, Event.REFUSE): State.REFUSED,
    }
)
"""Every step that a server can take; tampered tickets make a client refuse an established server."""
