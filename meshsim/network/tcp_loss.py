"""What a TCP sender makes of its losses: RACK's detection (RFC 8985) and PRR's pace (RFC 6937)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.network.tcp_timer import RoundTripEstimate

if TYPE_CHECKING:
    from meshsim.network.tcp_scoreboard import Scoreboard

NEVER = -1
REORDERING_SEGMENTS = 3
"""Segments that have arrived beyond a hole when it counts as a loss, as long as no reordering was ever seen."""

MOST_PATIENCE, PATIENT_RECOVERIES = 255, 16
"""Of RACK's window for reordering (RFC 8985, section 6.2, step 4)."""

Ranges = tuple[tuple[int, int], ...]


class Segment:
    """A run of bytes in the stream that is sent in one packet, from ``start`` up to but not including ``end``."""

    __slots__ = ("end", "in_retransmission", "lost", "retransmitted", "sacked", "sent_ns", "start")

    def __init__(self, start: int, end: int, now_ns: int) -> None:
        self.start = start
        self.end = end
        self.sent_ns = now_ns
        self.sacked = False
        self.lost = False
        self.retransmitted = False
        self.in_retransmission = False


class Rack:
    """Loss by time: what was sent long enough before something that has arrived is lost."""

    __slots__ = (
        "_estimate",
        "_highest_sacked",
        "_patience",
        "_persist",
        "_reordering_seen",
        "_round_trip_ns",
        "_sent",
        "_widened_ns",
        "reorders_widely",
    )

    def __init__(self, estimate: RoundTripEstimate) -> None:
        self._estimate = estimate
        self._sent = (NEVER, 0)
        """Of the segments that have arrived, the one sent last: when, and its end."""
        self._round_trip_ns = 0
        self._highest_sacked = 0
        self._reordering_seen = False
        self.reorders_widely = False
        """Whether something came behind more than so many segments: then selective acknowledgements open the window."""
        self._patience = 1
        """The window for reordering, in quarters of the shortest round trip."""
        self._persist = 0
        """Recoveries for which it stays so wide."""
        self._widened_ns = NEVER

    def arrived_twice(self, now_ns: int) -> None:
        """Wait longer from now on: something was sent again in vain. At most once in a round trip."""
        if self._widened_ns == NEVER or now_ns - self._widened_ns >= self._estimate.smoothed_ns:
            self._patience = min(self._patience + 1, MOST_PATIENCE)
            self._persist = PATIENT_RECOVERIES
            self._widened_ns = now_ns

    def recovered(self) -> None:
        """Take note of the end of a recovery that was none too many."""
        self._persist = max(self._persist - 1, 0)
        if not self._persist:
            self._patience = 1

    def arrived(self, segment: Segment, now_ns: int) -> None:
        """Note the arrival of a segment, unless an earlier transmission of it may be what arrived (RFC 8985, 6.2).

        With two round trips that are equal but for noise, that is a toss of a coin: a tail loss probe whose answer came
        a little faster than any round trip before leaves the hole before it to the retransmission timeout.
        """
        round_trip_ns = now_ns - segment.sent_ns
        if not segment.retransmitted:
            if segment.start < self._highest_sacked:
                self._reordering_seen = True
                size_bytes = segment.end - segment.start
                self.reorders_widely |= self._highest_sacked - segment.start > REORDERING_SEGMENTS * size_bytes
        elif not 0 <= self._estimate.minimum_ns <= round_trip_ns:
            return
        self._round_trip_ns = round_trip_ns
        self._sent = max(self._sent, (segment.sent_ns, segment.end))

    def acknowledged(self, up_to: int, sacks: Ranges) -> None:
        """Note how far the receiver has got."""
        self._highest_sacked = max([self._highest_sacked, up_to, *(end for _, end in sacks)])

    def overtook(self, segment: Segment) -> bool:
        """Say whether something has arrived that was sent after this segment."""
        return (segment.sent_ns, segment.end) < self._sent

    def detect(self, board: Scoreboard, recovering: bool, now_ns: int) -> int:
        """Mark what is lost; return for how long to wait for the rest, 0 if there is nothing to wait for."""
        if self._sent[0] == NEVER:
            return 0
        patience_ns = self._round_trip_ns + self._reordering_window_ns(board.sacked, recovering)
        last_ns = board.lose_overdue(self._sent, now_ns - patience_ns)
        return 0 if last_ns == NEVER else last_ns + patience_ns - now_ns

    def _reordering_window_ns(self, sacked: int, recovering: bool) -> int:
        minimum_ns = self._estimate.minimum_ns
        hasty = recovering or sacked >= REORDERING_SEGMENTS
        if minimum_ns < 0 or (hasty and not self._reordering_seen):
            return 0
        return min(minimum_ns // 4 * self._patience, self._estimate.smoothed_ns)


class RateReduction:
    """Proportional rate reduction: in recovery, send in proportion to what arrives."""

    __slots__ = ("_delivered", "_prior_window", "_sent", "_threshold")

    def __init__(self, prior_window: int, threshold: int) -> None:
        self._prior_window = prior_window
        self._threshold = threshold
        self._delivered = 0
        self._sent = 0

    def sent(self, segments: int) -> None:
        """Count segments that are sent in recovery, again or for the first time."""
        self._sent += segments

    def window(self, delivered: int, in_flight: int, safe: bool) -> int:
        """Return the window after ``delivered`` more segments arrived; the first retransmission always goes out.

        An acknowledgement is ``safe`` if it gets further and nothing is found to be lost with it: then one more may go.
        """
        self._delivered += delivered
        room = self._threshold - in_flight
        if room < 0:
            allowed = -(-self._threshold * self._delivered // self._prior_window) - self._sent
        else:
            allowed = min(room, max(self._delivered - self._sent, delivered) + safe)
        return in_flight + max(allowed, 0 if self._sent else 1)
