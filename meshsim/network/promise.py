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

    __slots__ = ("_limit_bytes", "_sent", "_sum_bytes", "_window_ns")

    def __init__(self, limit_bytes: int, window_ns: int) -> None:
        self._limit_bytes = limit_bytes
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
        return self._sum_bytes <= self._limit_bytes


class AirPromise:
    """What one device's flow of one slice is owed on its way over the air, in one direction."""

    __slots__ = ("_allowances", "budget_ns", "critical", "discards")

    def __init__(
        self,
        budget_ns: int,
        *,
        critical: bool = False,
        discards: bool = False,
        max_burst_bytes: int | None = None,
        guaranteed_bps: int | None = None,
        window_ns: int = 0,
    ) -> None:
        self.budget_ns = budget_ns
        """The radio part of the packet delay budget."""
        self.critical = critical
        """Whether a packet that is late counts as lost: Delay-critical GBR."""
        self.discards = discards
        """Whether a packet that is late is dropped, for TCP to send again."""
        allowances = []
        if max_burst_bytes is not None:
            allowances.append(Allowance(max_burst_bytes, budget_ns))
        if guaranteed_bps is not None:
            allowances.append(Allowance(guaranteed_bps * window_ns // _BITS_NS, window_ns))
        self._allowances = tuple(allowances)

    def covers(self, size_bytes: int, now_ns: int) -> bool:
        """Count bytes handed to the radio now; say whether the promise covers them."""
        covered = True
        for allowance in self._allowances:
            covered = allowance.take(size_bytes, now_ns) and covered
        return covered


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

    def count(self, promise: AirPromise, packets: int, size_bytes: int, handed_ns: int, took_ns: int) -> bool:
        """Count a train that took this long over the air; return False if it is dropped for being late."""
        self.packets += packets
        if took_ns > self.longest_ns:
            self.longest_ns = took_ns
        covered = promise.covers(size_bytes, handed_ns)
        if not covered:
            self.beyond += packets
        if took_ns <= promise.budget_ns:
            return True
        self.late += packets
        if not covered:
            self.late_beyond += packets
        elif promise.critical or promise.discards:
            self.lost += packets
        return not promise.discards
