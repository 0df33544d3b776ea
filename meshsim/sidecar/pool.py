"""Connections that a sidecar keeps to one endpoint, and the calls that wait for one."""

from __future__ import annotations

from collections import deque
from enum import IntEnum

import msgspec

from meshsim.sidecar.balancer import Endpoint
from meshsim.sidecar.codec import ClientCodec
from meshsim.sidecar.tls.machine import TlsClient


class PoolSettings(msgspec.Struct, frozen=True):
    """Limits of the pool to one endpoint."""

    streams_per_connection: int
    """Requests at the same time on one connection."""
    max_connections: int
    """Connections to one endpoint."""
    idle_timeout_ns: int
    """An unused connection is closed after this."""


class Phase(IntEnum):
    """How far a connection is."""

    CONNECTING = 0
    HANDSHAKING = 1
    READY = 2
    CLOSED = 3


READY = Phase.READY
"""Asked for every message: a member of an enumeration takes ten times as long to look up as a plain name."""


class Upstream:
    """The client's half of one connection."""

    __slots__ = (
        "codec",
        "connection_id",
        "draining",
        "endpoint",
        "fresh",
        "idle_since_ns",
        "phase",
        "pool",
        "streams",
        "tls",
        "waiting",
    )

    def __init__(self, connection_id: int, endpoint: Endpoint, pool: Pool) -> None:
        self.connection_id = connection_id
        self.endpoint = endpoint
        self.pool = pool
        self.phase = Phase.CONNECTING
        self.tls: TlsClient | None = None
        self.streams: dict[int, None] = {}
        """Calls in progress on it, by id, in order."""
        self.waiting: deque[int] = deque()
        """Calls that wait until it is ready."""
        self.fresh = True
        """Whether no request was sent on it yet (HPACK's table is empty)."""
        self.idle_since_ns = 0
        self.draining = False
        """Whether it is closed as soon as nothing is in progress on it."""
        self.codec: ClientCodec | None = None
        """Real bytes, at fidelity real."""

    @property
    def refusal_outcome(self) -> str:
        """How attempts end once TLS has ended in an alert: a damaged record is no judgement on the peer."""
        damaged = self.phase is Phase.READY and self.tls is not None and self.tls.alert == "bad_record_mac"
        return "reset" if damaged else "tls-refused"


class Pool:
    """Connections to one port of one endpoint (for a device: in one slice)."""

    __slots__ = ("connections", "key", "waiting")

    def __init__(self, key: tuple[int, int, str]) -> None:
        self.key = key
        """Endpoint id, port and slice (empty where slices share)."""
        self.connections: list[Upstream] = []
        self.waiting: deque[int] = deque()
        """Calls that wait because every connection is full and no more may be opened."""

    def ready(self, streams_per_connection: int) -> Upstream | None:
        """Return the first ready connection with a free stream."""
        for upstream in self.connections:
            if upstream.phase is READY and len(upstream.streams) < streams_per_connection:
                return upstream
        return None

    def opening(self, streams_per_connection: int) -> Upstream | None:
        """Return the first connection that is being opened and has room for one more waiting call."""
        for upstream in self.connections:
            if upstream.phase < READY and len(upstream.waiting) < streams_per_connection:
                return upstream
        return None
