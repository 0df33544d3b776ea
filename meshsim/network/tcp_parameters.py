"""What a TCP stack is set to, and what it remembers of a destination. Defaults are Linux's.

Sources: the Linux kernel's documentation of its TCP settings (ip-sysctl) and behaviour of versions 4.17 to 6.12; RFC
6298 (retransmission timer), RFC 6928 (initial window), RFC 8985 (RACK-TLP), RFC 6937 (proportional rate reduction).
"""

from __future__ import annotations

import msgspec

from meshsim.network import tcp
from meshsim.network.tcp_control import Control
from meshsim.scenario.tcp import Tcp

MS = tcp.MS
MEMORY_LASTS_NS = 3600 * tcp.S
"""Linux discards what it remembers of a destination after an hour (``TCP_METRICS_TIMEOUT``)."""


class TcpParameters(msgspec.Struct, frozen=True):
    """One TCP stack's settings; both ends of a connection have the same."""

    segment_bytes: int = tcp.SEGMENT_BYTES
    """Payload of a full segment, in bytes. Default 1448."""
    initial_window: int = 10
    """Segments that may be sent before the first acknowledgement. Default 10."""
    initial_rto_ns: int = tcp.S
    """Time to the first repetition of a SYN or SYN-ACK, in nanoseconds. Default 1 s."""
    fallback_rto_ns: int = 3 * tcp.S
    """Retransmission timeout after a connection set-up that gave no round-trip sample (RFC 6298, 5.7). Default 3 s."""
    minimum_rto_ns: int = 200 * MS
    """Least allowance for variance in the retransmission timeout, in nanoseconds. Default 200 ms."""
    maximum_rto_ns: int = 120 * tcp.S
    """Longest retransmission timeout, in nanoseconds. Default 120 s."""
    syn_retries: int = 6
    """Repetitions of a SYN before the client gives up (``tcp_syn_retries``), beside ``linear_syn_timeouts``, which
    Linux adds to them. Default 6."""
    synack_retries: int = 5
    """Repetitions of a SYN-ACK before the server forgets the request (``tcp_synack_retries``). 0 is the textbook's
    server, which answers each SYN as if it were the first and repeats nothing by itself. Default 5."""
    linear_syn_timeouts: int = 0
    """Repetitions of a SYN before its timeout begins to double (``tcp_syn_linear_timeouts``): 4 in Linux 6.5 and later,
    0 before, which is the schedule of RFC 6298. Default 0."""
    data_retries: int = 15
    """Timeouts of one segment before a sender gives the connection up (``tcp_retries2``). Default 15."""
    orphan_retries: int = 8
    """The same once its application has closed the connection (``tcp_orphan_retries=0``, which means 8). Default 8."""
    maximum_window: int = 4096
    """Segments that may be under way at most: what the receiver has room for. Default 4096."""
    congestion_control: Control = "cubic"
    """``cubic`` or ``reno`` (``tcp_congestion_control``). Default ``cubic``."""
    slow_start_after_idle: bool = True
    """Whether an idle time longer than the retransmission timeout halves the window, once for each timeout, down to the
    initial one (``tcp_slow_start_after_idle``). Default true."""
    delayed_ack_ns: int = 40 * MS
    """How long an acknowledgement waits for something to ride on, in nanoseconds. Default 40 ms."""
    quick_acks: int = 16
    """Acknowledgements sent at once at the start of a connection and after reordering. Default 16."""
    tick_ns: int = 4 * MS
    """The kernel's timer tick in nanoseconds; timers expire on ticks, long ones on multiples of eight. Default 4 ms
    (``CONFIG_HZ=250``: Debian, Ubuntu up to 24.04). 0: every timer expires exactly when it is due, as no kernel's does
    but closed forms take for granted."""
    remember_destination: bool = True
    """Whether a closed connection leaves its round trip to seed the timeout of the next one to the same destination
    (``tcp_no_metrics_save=0``). Default true."""
    aggregated_segments: int = 1
    """Segments that are handed to the network, and lost, as one. Default 1. Two for loss by a queueing discipline on
    the sending host itself: since Linux 4.17 TCP always builds such aggregates, of two segments at low rates
    (``tcp_min_tso_segs``), and a device without offloads splits them only behind that queue."""

    def __post_init__(self) -> None:
        assert self.segment_bytes > 0 and self.initial_window > 0 and self.tick_ns >= 0 and self.aggregated_segments > 0


def tcp_parameters(settings: Tcp) -> TcpParameters:
    """Return what a scenario sets."""
    return TcpParameters(
        initial_window=settings.initial_window,
        initial_rto_ns=settings.initial_rto_ns,
        minimum_rto_ns=settings.minimum_rto_ns,
        maximum_rto_ns=settings.maximum_rto_ns,
        syn_retries=settings.syn_retries,
        synack_retries=settings.synack_retries,
        linear_syn_timeouts=settings.linear_syn_timeouts,
        data_retries=settings.data_retries,
        maximum_window=settings.maximum_window,
        congestion_control=settings.congestion_control,
        slow_start_after_idle=settings.slow_start_after_idle,
        delayed_ack_ns=settings.delayed_ack_ns,
        quick_acks=settings.quick_acks,
        tick_ns=settings.tick_ns,
        remember_destination=settings.remember_destinations,
    )


class DestinationMemory:
    """What one host's TCP remembers of one destination, as Linux's TCP metrics do: its round trip, for an hour.

    A longer round trip is taken over at once, a shorter one by an eighth of the difference.
    """

    __slots__ = ("_learnt_ns", "round_trip_ns")

    def __init__(self) -> None:
        self.round_trip_ns = 0
        self._learnt_ns = 0

    def learn(self, smoothed_round_trip_ns: int, now_ns: int) -> None:
        """Take note of the smoothed round trip of a connection that ended well."""
        known_ns = self.recall(now_ns)
        excess_ns = known_ns - smoothed_round_trip_ns
        self.round_trip_ns = smoothed_round_trip_ns if excess_ns <= 0 else known_ns - (excess_ns >> 3)
        self._learnt_ns = now_ns

    def recall(self, now_ns: int) -> int:
        """Return the round trip, or 0 if nothing is known or it was learnt too long ago."""
        return self.round_trip_ns if now_ns - self._learnt_ns <= MEMORY_LASTS_NS else 0
