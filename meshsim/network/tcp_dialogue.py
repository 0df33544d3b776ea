"""What two hosts say to each other over one TCP connection, and how that went."""

from __future__ import annotations

import msgspec


class Turn(msgspec.Struct, frozen=True):
    """One thing that an end says."""

    direction: int
    """``UP`` from the client, ``DOWN`` from the server."""
    writes_bytes: tuple[int, ...]
    """Sizes of the writes to the socket, in bytes; at least one byte in all."""
    compute_ns: int = 0
    """What the end computes before: after the other's turn has arrived whole, or after its own last."""

    @property
    def size_bytes(self) -> int:
        """All writes together."""
        return sum(self.writes_bytes)


Dialogue = tuple[Turn, ...]
"""Turns in order; the first is the client's."""


class Course(msgspec.Struct, frozen=True):
    """How a dialogue went; times in nanoseconds since the first SYN was sent."""

    connected_ns: int
    """When connect() returned; -1 if it failed."""
    first_byte_ns: tuple[int, ...]
    """For each turn when its first byte could be read; shorter than the dialogue if the connection broke."""
    delivered_ns: tuple[int, ...]
    """For each turn when its last byte could be read."""
    packets: tuple[int, int]
    """Packets sent in each direction until the last turn was delivered; an aggregate counts as one."""
    retransmissions: int
    """Packets sent again, SYNs included."""
    failure: str
    """Why the connection broke; empty if it did not."""
    round_trips_ns: tuple[int, int]
    """Smoothed round trips at the end, of client and server; 0 without a sample."""
