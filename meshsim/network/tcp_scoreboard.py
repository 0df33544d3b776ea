"""What a TCP sender has under way, segment by segment, and what of it an acknowledgement says has arrived."""

from __future__ import annotations

from collections import deque

from meshsim.network.tcp_loss import NEVER, Rack, Ranges, Segment


class Arrived:
    """What one acknowledgement tells that was not known before. Round trips in nanoseconds; ``NEVER`` without one."""

    __slots__ = ("acknowledged", "ambiguous", "first_ns", "latest_ns", "segments", "selective_ns")

    def __init__(self) -> None:
        self.segments = 0
        self.acknowledged = False
        """Whether it acknowledges segments, not only ranges beyond a hole."""
        self.ambiguous = False
        """Whether it acknowledges one that was sent more than once."""
        self.first_ns = NEVER
        """Round trip of the first segment that it acknowledges and that was sent once."""
        self.selective_ns = NEVER
        """Round trip of the first beyond a hole that was sent once."""
        self.latest_ns = NEVER
        """The last round trip of either kind."""

    def sample_ns(self) -> int:
        """Return the sample for the estimate; ``NEVER`` if only an echoed timestamp can give one."""
        return self.selective_ns if self.ambiguous or self.first_ns == NEVER else self.first_ns


class Scoreboard:
    """The outstanding segments in the order of the stream."""

    __slots__ = ("outstanding", "sacked")

    def __init__(self) -> None:
        self.outstanding: deque[Segment] = deque()
        self.sacked = 0
        """How many of them have arrived beyond a hole."""

    def take(self, up_to: int, sacks: Ranges, now_ns: int, rack: Rack) -> Arrived:
        """Take an acknowledgement."""
        arrived = Arrived()
        outstanding = self.outstanding
        while outstanding and outstanding[0].end <= up_to:
            segment = outstanding.popleft()
            arrived.acknowledged = True
            arrived.ambiguous |= segment.retransmitted
            if segment.sacked:
                self.sacked -= 1
                continue
            arrived.segments += 1
            rack.arrived(segment, now_ns)
            if not segment.retransmitted:
                arrived.latest_ns = now_ns - segment.sent_ns
                arrived.first_ns = arrived.latest_ns if arrived.first_ns == NEVER else arrived.first_ns
        for segment in outstanding if sacks else ():
            if not segment.sacked and any(start <= segment.start and segment.end <= end for start, end in sacks):
                self._sack(segment, arrived, now_ns, rack)
        rack.acknowledged(up_to, sacks)
        return arrived

    def _sack(self, segment: Segment, arrived: Arrived, now_ns: int, rack: Rack) -> None:
        segment.sacked = True
        self.sacked += 1
        segment.lost = segment.in_retransmission = False
        arrived.segments += 1
        rack.arrived(segment, now_ns)
        if not segment.retransmitted:
            arrived.latest_ns = now_ns - segment.sent_ns
            arrived.selective_ns = arrived.latest_ns if arrived.selective_ns == NEVER else arrived.selective_ns

    @property
    def in_flight(self) -> int:
        """Segments that are thought to be on their way."""
        return sum((not each.sacked and not each.lost) + each.in_retransmission for each in self.outstanding)

    @property
    def regular(self) -> bool:
        """Whether all were sent once and none is known or thought to have gone astray."""
        return not any(
            each.sacked or each.lost or each.retransmitted or each.in_retransmission for each in self.outstanding
        )

    @property
    def any_lost(self) -> bool:
        """Whether some are taken to be lost."""
        return any(segment.lost for segment in self.outstanding)

    def lose_all(self) -> None:
        """Take all to be lost that are not known to have arrived."""
        for segment in self.outstanding:
            segment.in_retransmission = False
            segment.lost = not segment.sacked
