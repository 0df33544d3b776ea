"""What the air owes a flow: the radio part of its delay budget, and the burst and rate up to which it is owed.

Of a GBR flow the standard promises something only as long as it sends no more than agreed: its guaranteed flow bit
rate, averaged over a window, and for delay-critical flows its maximum data burst volume within the radio part of the
budget (3GPP TS 23.501, clauses 5.7.2.5, 5.7.3.6 and 5.7.3.7). What is sent on top is carried, and judged by nobody.
"""

from __future__ import annotations

from collections import deque

_BITS_NS = 8 * 1_000_000_000


class Allowance:
    """Bytes that may be sent within any stretch of a window; what was sent counts, whether it was allowed or not."""

    __slots__ = ("_sent", "_sum_bytes", "_window_ns", "limit_bytes")

    def __init__(self, limit_bytes: int, window_ns: int) -> None:
        self.limit_bytes = limit_bytes
        self._window_ns = window_ns
        self._sent: deque[tuple[int, int]] = deque()
        self._sum_bytes = 0

    def take(self, size_bytes: int, now_ns: int) -> bool:
        """Count bytes that are sent now; say whether they are within the allowance."""
        sent = self._sent
        since_ns = now_ns - self._window_ns
        while sent and sent[0][0] <= since_ns:
            self._sum_bytes -= sent.popleft()[1]
        sent.append((now_ns, size_bytes))
        self._sum_bytes += size_bytes
        return self._sum_bytes <= self.limit_bytes


class AirPromise:
    """What one device's packets in one slice are owed on their way over the air, in one direction."""

    __slots__ = ("_burst", "_rate", "budget_ns", "critical", "discards", "limited", "window_ns")

    def __init__(
        self,
        budget_ns: int,
        *,
        critical: bool = False,
        discards: bool = False,
        max_burst_bytes: int | None = None,
        window_ns: int = 0,
    ) -> None:
        self.budget_ns = budget_ns
        """The radio part of the packet delay budget."""
        self.critical = critical
        """Whether a packet that is late counts as lost: Delay-critical GBR."""
        self.discards = discards
        """Whether a packet that is late is dropped, for TCP to send again."""
        self._burst = None if max_burst_bytes is None else Allowance(max_burst_bytes, budget_ns)
        self._rate: Allowance | None = None
        self.window_ns = window_ns
        """Over which a guaranteed bit rate is averaged."""
        self.limited = self._burst is not None
        """Whether there is something that its packets can exceed."""

    def guarantee(self, rate_bps: int) -> None:
        """Guarantee this bit rate from now on, averaged over the 5QI's window; 0 for none.

        What was sent under another rate counts on: a second flow's answer gives the first no room.
        """
        limit_bytes = rate_bps * self.window_ns // _BITS_NS
        if not rate_bps:
            self._rate = None
        elif self._rate is None:
            self._rate = Allowance(limit_bytes, self.window_ns)
        else:
            self._rate.limit_bytes = limit_bytes
        self.limited = self._rate is not None or self._burst is not None

    def take(self, size_bytes: int, now_ns: int) -> bool:
        """Count bytes handed to the radio now; say whether they are promised their delay."""
        within_rate = self._rate is None or self._rate.take(size_bytes, now_ns)
        within_burst = self._burst is None or self._burst.take(size_bytes, now_ns)
        return within_rate and within_burst


class AirTally:
    """Packets of one slice that crossed the air of one cell in one direction, and how they kept the budget."""

    __slots__ = ("beyond", "late", "late_beyond", "longest_ns", "lost", "packets")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.packets = 0
        self.late = 0
        self.beyond = 0
        """Packets that no promise covers: beyond the burst volume or the guaranteed rate."""
        self.late_beyond = 0
        self.lost = 0
        """Packets that count as lost."""
        self.longest_ns = 0

    def count_lost(self, packets: int, *, beyond: bool) -> None:
        """Count a train that did not get through."""
        self.packets += packets
        if beyond:
            self.beyond += packets
        else:
            self.lost += packets

    def count(self, promise: AirPromise, packets: int, took_ns: int, *, beyond: bool) -> bool:
        """Count a train that took this long over the air; return False if it is dropped for being late."""
        self.packets += packets
        if took_ns > self.longest_ns:
            self.longest_ns = took_ns
        if beyond:
            self.beyond += packets
        if took_ns <= promise.budget_ns:
            return True
        self.late += packets
        if beyond:
            self.late_beyond += packets
        elif promise.critical or promise.discards:
            self.lost += packets
        return not promise.discards
