"""Limits of a pool, and how far its connections are."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class PoolSettings(msgspec.Struct, frozen=True):
    """Limits of the pool to one endpoint."""

    streams_per_connection: int
    """Requests at the same time on one connection."""
    max_connections: int
    """Connections to one endpoint."""
    idle_timeout_ns: int
    """An unused connection is closed after this."""
    requests_per_connection: int = 0
    """Requests after which a connection is closed; 0: never for that."""


class Phase(IntEnum):
    """How far a connection is."""

    CONNECTING = 0
    HANDSHAKING = 1
    READY = 2
    CLOSED = 3


READY = Phase.READY
"""Asked for every message: a member of an enumeration takes ten times as long to look up as a plain name."""
