"""What connections of which certain packets are lost should take: the arithmetic, in milliseconds, by hand."""

from __future__ import annotations

from math import ceil

import msgspec

from meshsim.network.tcp_dialogue import Dialogue, Turn
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import DOWN, UP

MS, S_MS = 1_000_000, 1_000.0
BYTE_MS = 0.001
"""A byte at 8 Mbit/s."""
SYN, ACK = 60, 52
"""IPv4 and TCP without and with options: 20 + 20 + 20 of a SYN's, 20 + 20 + 12 of timestamps."""
HELLO, FLIGHT, FULL = 250 + ACK, 900 + ACK, 1500
HALF_MS = 25.0
RTO_LEAST_MS, RTO_MOST_MS, TICK_MS = 200.0, 120 * S_MS, 4.0
NEVER_MS = -1.0


class Case(msgspec.Struct, frozen=True):
    """One connection of which certain packets are lost."""

    group: str
    text: str
    wanted_ms: float
    """Until the last turn has arrived; ``NEVER_MS`` if the connection breaks before."""
    up: tuple[int, ...] = ()
    """Which packets of the client are lost: 1 is the SYN, 2 the acknowledgement of the SYN-ACK, 3 the ClientHello."""
    down: tuple[int, ...] = ()
    """And of the server: 1 is the SYN-ACK, 2 the acknowledgement of the ClientHello, 3 its flight."""
    dialogue: Dialogue = (Turn(UP, (HELLO - ACK,)), Turn(DOWN, (FLIGHT - ACK,)))
    half_ms: float = HALF_MS
    parameters: TcpParameters | None = None
    """Of both ends; Linux's with exact timers if it does not say."""
    remembered_ms: tuple[float, ...] = ()
    """Round trips that the client has learnt of the destination, one after the other."""
    start_ms: float = 0.0


def connected(half_ms: float = HALF_MS) -> float:
    """When the SYN-ACK has arrived."""
    return 2 * (half_ms + SYN * BYTE_MS)


def asked(half_ms: float = HALF_MS) -> float:
    """When the ClientHello has arrived, behind the acknowledgement of the SYN-ACK."""
    return connected(half_ms) + (ACK + HELLO) * BYTE_MS + half_ms


def answered(half_ms: float = HALF_MS, size: int = FLIGHT) -> float:
    """When so many bytes have come behind the acknowledgement of the ClientHello."""
    return asked(half_ms) + (ACK + size) * BYTE_MS + half_ms


def sample(half_ms: float = HALF_MS) -> float:
    """The server's round trip: from the SYN-ACK to its acknowledgement."""
    return 2 * half_ms + (SYN + ACK) * BYTE_MS


def rto(sample_ms: float) -> float:
    """Return the timeout after one sample."""
    return sample_ms + max(2 * sample_ms, RTO_LEAST_MS)


def first_repeat(sample_ms: float) -> float:
    """A single segment's probe, or the timeout if that is first."""
    return min(2 * sample_ms + RTO_LEAST_MS, rto(sample_ms))


def alone(half_ms: float = HALF_MS) -> float:
    """When the flight comes if ClientHello or flight has to be sent again: then no acknowledgement goes before it."""
    return answered(half_ms) - ACK * BYTE_MS


def repeats(first_ms: float, rto_ms: float, losses: int) -> float:
    """How late a segment is that is lost so often."""
    return first_ms + sum(min(rto_ms * (1 << timeout), RTO_MOST_MS) for timeout in range(losses - 1))


def flight_of(count: int, last: int = FULL) -> Dialogue:
    """Return a ClientHello, and a flight of so many segments, the last of so many bytes with its headers."""
    size = (count - 1) * (FULL - ACK) + last - ACK
    return Turn(UP, (HELLO - ACK,)), Turn(DOWN, (size,))


def whole(time_ms: float) -> float:
    """Return a time rounded up to ticks."""
    return float(TICK_MS * ceil(time_ms / TICK_MS))
