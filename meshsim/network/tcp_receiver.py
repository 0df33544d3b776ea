"""The receiving half of a TCP connection: order, acknowledgements at once or delayed, selective acknowledgements."""

from __future__ import annotations

from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_timer import expiry_ns

NEVER = -1
MS = 1_000_000
MAXIMUM_SACK_RANGES = 3
"""What fits beside timestamps (RFC 2018), what came twice included (RFC 2883)."""


class Receiver:
    """One direction's receiver. ``timer_ns`` is when a delayed acknowledgement is due."""

    def __init__(self, parameters: TcpParameters) -> None:
        self.parameters = parameters
        self.in_order_bytes = 0
        self._islands: list[tuple[int, int]] = []
        """Ranges beyond a hole, the one that changed last in front."""
        self._twice: tuple[tuple[int, int], ...] = ()
        """What came although it had arrived before, until the next acknowledgement tells."""
        self.echo_ns = NEVER
        """When the segment that the next acknowledgement echoes was sent (RFC 7323, section 4.3)."""
        self.timer_ns = NEVER
        self._quick_left = 0
        self._interactive = False
        self._received_ns = NEVER
        self._acknowledged_bytes = 0

    @property
    def sacks(self) -> tuple[tuple[int, int], ...]:
        """Selective acknowledgements to send, what came twice in front."""
        return (*self._twice, *self._islands)[:MAXIMUM_SACK_RANGES]

    def receive(self, start: int, end: int, sent_ns: int, now_ns: int) -> bool:
        """Take a segment; return whether to acknowledge it at once."""
        if self._received_ns == NEVER:
            self._quick_left = self.parameters.quick_acks
        self._received_ns = now_ns
        if start <= self._acknowledged_bytes <= end:
            self.echo_ns = max(self.echo_ns, sent_ns)
        if start > self.in_order_bytes or end <= self.in_order_bytes:
            if end <= self.in_order_bytes or any(begun <= start and end <= ended for begun, ended in self._islands):
                self._twice = ((start, end),)
            if start > self.in_order_bytes:
                self._add_island(start, end)
            self._quick_left, self._interactive = self.parameters.quick_acks, False
            return True
        had_hole = bool(self._islands)
        self.in_order_bytes = end
        for island_start, island_end in sorted(self._islands):
            if island_start <= self.in_order_bytes:
                self.in_order_bytes = max(self.in_order_bytes, island_end)
        self._islands = [island for island in self._islands if island[0] > self.in_order_bytes]
        if had_hole or self.in_order_bytes - self._acknowledged_bytes > self.parameters.segment_bytes:
            return True
        if self._quick_left > 0 and not self._interactive:
            self._quick_left -= 1
            return True
        if self.timer_ns == NEVER:
            self.timer_ns = expiry_ns(now_ns, self.parameters.delayed_ack_ns, self.parameters.tick_ns)
        return False

    def outdated(self, start: int, end: int, sent_ns: int) -> bool:
        """Say whether a segment is older than what it has to be (PAWS, RFC 7323, section 5): it counts as not received.

        Originals that arrive after one that was sent again are thrown away so, and what is told twice is only what
        was there. Timestamps are milliseconds, as Linux's; one of them is forgiven (``TCP_PAWS_WINDOW``).
        """
        if self.echo_ns // MS - sent_ns // MS <= 1:
            return False
        if start < self.in_order_bytes:
            self._twice = ((start, min(end, self.in_order_bytes)),)
        return True

    @property
    def whole(self) -> bool:
        """Whether nothing has arrived beyond a hole."""
        return not self._islands

    def converse(self, now_ns: int) -> None:
        """Be in the middle of a conversation: all is acknowledged, and quick acknowledgements are used up."""
        self._received_ns = now_ns
        self._quick_left, self._interactive = 0, True
        self.acknowledgement_sent()

    def acknowledgement_sent(self) -> None:
        """Take note that an acknowledgement goes out, alone or with data."""
        self._acknowledged_bytes = self.in_order_bytes
        self._twice = ()
        self.timer_ns = NEVER

    def data_sent(self, now_ns: int) -> None:
        """Take note that this end sends data: if soon after it received some, acknowledgements may wait for more."""
        if self._received_ns != NEVER and now_ns - self._received_ns < self.parameters.delayed_ack_ns:
            self._interactive = True

    def _add_island(self, start: int, end: int) -> None:
        apart = []
        for island in self._islands:
            if island[1] < start or island[0] > end:
                apart.append(island)
            else:
                start, end = min(start, island[0]), max(end, island[1])
        self._islands = [(start, end), *apart]
