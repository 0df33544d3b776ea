"""What the ends of a TCP connection send each other. Sizes are those on the wire, IP and TCP headers included."""

from __future__ import annotations

import msgspec

from meshsim.network import tcp


class Syn(msgspec.Struct, frozen=True, gc=False):
    """The client's first packet."""

    sent_ns: int
    """Its timestamp."""
    size_bytes: int = tcp.CONTROL_BYTES


class SynAck(msgspec.Struct, frozen=True, gc=False):
    """The server's answer to a SYN."""

    echo_ns: int
    """Timestamp of the SYN that it answers."""
    size_bytes: int = tcp.CONTROL_BYTES


class Acknowledgement(msgspec.Struct, frozen=True, gc=False):
    """What has arrived, in a packet of its own or along with data."""

    up_to: int
    """Bytes of the stream that have arrived without a hole."""
    sacks: tuple[tuple[int, int], ...]
    """Ranges that have arrived beyond a hole, the newest first."""
    echo_ns: int
    """Timestamp of the segment that it echoes; negative before the first."""
    size_bytes: int = tcp.HEADER_BYTES


class Data(msgspec.Struct, frozen=True, gc=False):
    """A segment of the stream, from ``start`` up to but not including ``end``; a FIN takes one place in the stream."""

    start: int
    end: int
    sent_ns: int
    """Its timestamp."""
    acknowledgement: Acknowledgement
    size_bytes: int


Packet = Syn | SynAck | Acknowledgement | Data
