"""What a TCP sender has under way, segment by segment, and what of it an acknowledgement says has arrived."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush

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
    """The outstanding segments in the order of the stream, and in that of sending.

    What an acknowledgement costs must not depend on how many there are: an overloaded queue holds thousands. So flags
    of segments are set here alone, and counted; of selective acknowledgements only what is new is looked at.
    """

    __slots__ = (
        "_known",
        "_lost",
        "_missing",
        "_repeated",
        "_sent",
        "_underway_again",
        "losses",
        "outstanding",
        "sacked",
    )

    def __init__(self) -> None:
        self.outstanding: deque[Segment] = deque()
        self.sacked = 0
        """How many of them have arrived beyond a hole."""
        self.losses = 0
        """How often one was taken to be lost because others overtook it."""
        self._lost = self._repeated = self._underway_again = 0
        """How many are taken to be lost, were sent more than once, are thought to be on their way once more."""
        self._sent: deque[tuple[int, int, Segment]] = deque()
        """When each was sent last, its end, and itself, in order; others may be among them that do not matter any more:
        those that have arrived, are lost, or were sent again since."""
        self._missing: list[int] = []
        """A heap of where those begin that are lost and not sent again; others may be among them."""
        self._known: Ranges = ()
        """Ranges of which it is known that they have arrived, in their order."""

    def sent(self, segments: list[Segment]) -> None:
        """Take note of new segments."""
        self.outstanding.extend(segments)
        for segment in segments:
            self._note(segment)

    def send_again(self, segment: Segment, now_ns: int) -> None:
        """Take note that a segment is sent once more."""
        self._repeated += not segment.retransmitted
        self._underway_again += segment.lost - segment.in_retransmission
        segment.retransmitted = True
        segment.in_retransmission = segment.lost
        segment.sent_ns = now_ns
        self._note(segment)

    def _note(self, segment: Segment) -> None:
        """Put a segment in its place in the order of sending: the last, but for what is sent at the same instant."""
        sent, later = self._sent, []
        place = (segment.sent_ns, segment.end)
        while sent and sent[-1] > place:
            later.append(sent.pop())
        sent.append((*place, segment))
        sent.extend(reversed(later))

    def take(self, up_to: int, sacks: Ranges, now_ns: int, rack: Rack) -> Arrived:
        """Take an acknowledgement."""
        arrived = Arrived()
        outstanding = self.outstanding
        while outstanding and outstanding[0].end <= up_to:
            segment = outstanding.popleft()
            arrived.acknowledged = True
            arrived.ambiguous |= segment.retransmitted
            self._repeated -= segment.retransmitted
            if segment.sacked:
                self.sacked -= 1
                continue
            self._take(segment, arrived, now_ns, rack)
            if not segment.retransmitted:
                arrived.first_ns = arrived.latest_ns if arrived.first_ns == NEVER else arrived.first_ns
        if sacks and outstanding:
            self._take_sacks(sacks, arrived, now_ns, rack)
        sent = self._sent
        while sent and sent[0][2].sacked:
            sent.popleft()
        rack.acknowledged(up_to, sacks)
        return arrived

    def _take(self, segment: Segment, arrived: Arrived, now_ns: int, rack: Rack) -> None:
        """Take it that a segment has arrived."""
        self._lost -= segment.lost
        self._underway_again -= segment.in_retransmission
        segment.sacked, segment.lost, segment.in_retransmission = True, False, False
        arrived.segments += 1
        rack.arrived(segment, now_ns)
        if not segment.retransmitted:
            arrived.latest_ns = now_ns - segment.sent_ns

    def _take_sacks(self, sacks: Ranges, arrived: Arrived, now_ns: int, rack: Rack) -> None:
        """Look at those in ranges that were not known before."""
        ranges = tuple(sorted(sacks))
        if ranges == self._known:
            return
        outstanding = self.outstanding
        for start, end in ranges:
            for piece_start, piece_end in _without(start, end, self._known):
                place = bisect_right(outstanding, piece_start, key=_end)
                while place < len(outstanding):
                    segment = outstanding[place]
                    if segment.start >= piece_end or segment.end > end:
                        break
                    if not segment.sacked and segment.start >= start:
                        self.sacked += 1
                        self._take(segment, arrived, now_ns, rack)
                        if not segment.retransmitted and arrived.selective_ns == NEVER:
                            arrived.selective_ns = arrived.latest_ns
                    place += 1
        self._known = ranges

    def clear(self) -> None:
        """Take it that all was acknowledged."""
        self.outstanding.clear()
        self._sent.clear()
        self._missing.clear()
        self.sacked = self._lost = self._repeated = self._underway_again = 0

    @property
    def in_flight(self) -> int:
        """Segments that are thought to be on their way."""
        return len(self.outstanding) - self.sacked - self._lost + self._underway_again

    @property
    def underway_again(self) -> int:
        """Segments that were taken to be lost and are thought to be on their way once more."""
        return self._underway_again

    @property
    def regular(self) -> bool:
        """Whether all were sent once and none is known or thought to have gone astray."""
        return not (self.sacked or self._lost or self._repeated)

    @property
    def any_lost(self) -> bool:
        """Whether some are taken to be lost."""
        return self._lost > 0

    # Loss

    def lose_overdue(self, before: tuple[int, int], up_to_ns: int) -> int:
        """Take those to be lost that were sent by then, of those that were sent ``before``: an instant and an end.

        Return when the last of these was sent that is not lost; ``NEVER`` if there is none.
        """
        sent = self._sent
        while sent and sent[0] < before and sent[0][0] <= up_to_ns:
            sent_ns, _, segment = sent.popleft()
            if _may_be_late(segment, sent_ns):
                self.losses += 1
                self._lost += not segment.lost
                self._underway_again -= segment.in_retransmission
                segment.lost, segment.in_retransmission = True, False
                heappush(self._missing, segment.start)
        last_ns = NEVER
        for entry in sent:
            if entry >= before:
                break
            if _may_be_late(entry[2], entry[0]):
                last_ns = entry[0]
        return last_ns

    def lose_all(self) -> None:
        """Take all to be lost that are not known to have arrived."""
        for segment in self.outstanding:
            segment.in_retransmission = False
            segment.lost = not segment.sacked
        self._lost, self._underway_again = len(self.outstanding) - self.sacked, 0
        self._missing = [segment.start for segment in self.outstanding if segment.lost]
        self._sent.clear()

    def find_all(self) -> None:
        """Take none to be lost any more."""
        for segment in self.outstanding:
            segment.lost = False
        self._lost = 0
        self._missing.clear()
        self._sent = deque(sorted((each.sent_ns, each.end, each) for each in self.outstanding if not each.sacked))

    def next_missing(self) -> Segment | None:
        """Return the first in the stream that is lost and was not sent again since."""
        outstanding, missing = self.outstanding, self._missing
        while missing:
            place = bisect_left(outstanding, missing[0], key=_start)
            if place < len(outstanding):
                segment = outstanding[place]
                if segment.start == missing[0] and segment.lost and not segment.in_retransmission:
                    return segment
            heappop(missing)
        return None


def _start(segment: Segment) -> int:
    return segment.start


def _end(segment: Segment) -> int:
    return segment.end


def _may_be_late(segment: Segment, sent_ns: int) -> bool:
    """Say whether a segment that was sent then is on its way, as far as is known."""
    return segment.sent_ns == sent_ns and not segment.sacked and (segment.in_retransmission or not segment.lost)


def _without(start: int, end: int, known: Ranges) -> Iterator[tuple[int, int]]:
    """Return what is left of a range without those that are known."""
    for known_start, known_end in known:
        if known_end > start and known_start < end:
            if known_start > start:
                yield start, known_start
            start = known_end
    if start < end:
        yield start, end
