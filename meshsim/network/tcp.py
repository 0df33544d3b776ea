"""TCP's arithmetic, as Linux does it: when a lost packet is sent again, and how much may be sent at once.

Constants are those of Linux (initial RTO 1 s, minimum RTO 200 ms, initial window 10, ``tcp_syn_retries`` 6,
``tcp_syn_linear_timeouts`` 4 since Linux 6.5; RFC 6298 for the timer, RFC 8985 for loss detection).
"""

from __future__ import annotations

MS = 1_000_000
S = 1_000_000_000

SEGMENT_BYTES = 1448
"""Payload of a full segment: 1500 - 20 (IPv4) - 20 (TCP) - 12 (timestamps)."""
HEADER_BYTES = 52
"""IPv4, TCP and timestamps of each segment."""
CONTROL_BYTES = 60
"""A SYN, SYN-ACK, FIN or RST with its options."""
INITIAL_WINDOW = 10
"""Segments that may be sent before the first acknowledgement (RFC 6928)."""
MAXIMUM_WINDOW = 4096
"""Segments: about 6 MB, Linux's default largest receive buffer."""
INITIAL_RTO_NS = 1 * S
MINIMUM_RTO_NS = 200 * MS
MAXIMUM_RTO_NS = 120 * S
SYN_RETRIES = 6
LINEAR_SYN_TIMEOUTS = 4
TAIL_PROBE_EXTRA_NS = 2 * MS


def segments_of(payload_bytes: int) -> int:
    """Return how many segments carry this much payload."""
    return max(1, -(-payload_bytes // SEGMENT_BYTES))


def syn_timeout_ns(attempt: int) -> int:
    """Return how long the ``attempt``-th SYN (from 0) waits for its answer: 1 s four times more, then doubling."""
    doublings = max(0, attempt - LINEAR_SYN_TIMEOUTS)
    return min(INITIAL_RTO_NS << doublings, MAXIMUM_RTO_NS)


def retransmission_timeout_ns(round_trip_ns: int, retries: int) -> int:
    """Return the RTO after one round trip sample (RFC 6298: R + max(4 * R / 2, 200 ms)), doubled per retry."""
    return min((round_trip_ns + max(2 * round_trip_ns, MINIMUM_RTO_NS)) << retries, MAXIMUM_RTO_NS)


def recovery_delay_ns(
    round_trip_ns: int, sent_segments: int, lost_segments: int, *, tail_lost: bool, retries: int
) -> int:
    """Return how long after a train was sent its lost segments are sent again.

    Nothing arrived, or it was sent again before: the retransmission timer. The tail is missing: a tail loss probe after
    two round trips (RFC 8985), then one more to learn what is missing. A hole: the acknowledgements behind it, and a
    quarter of a round trip for reordering.
    """
    if retries or lost_segments >= sent_segments:
        return retransmission_timeout_ns(round_trip_ns, retries)
    if tail_lost:
        return min(3 * round_trip_ns + TAIL_PROBE_EXTRA_NS, retransmission_timeout_ns(round_trip_ns, 0))
    return round_trip_ns + round_trip_ns // 4 + TAIL_PROBE_EXTRA_NS
