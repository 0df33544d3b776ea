"""Congestion control: how far a window is reduced, how fast it grows, when slow start has gone far enough.

CUBIC (RFC 9438) with HyStart as in Linux's net/ipv4/tcp_cubic.c, and Reno (RFC 5681). Neither paces: as in Linux
without the queueing discipline ``fq``, data leaves when an acknowledgement lets it.
"""

from __future__ import annotations

from typing import Literal, Protocol

from meshsim.network import tcp

Control = Literal["cubic", "reno"]
NEVER = -1
LEAST_SEGMENTS = 2
"""To which a loss reduces the threshold at most."""

BETA = 717
"""What CUBIC leaves of the window after a loss, of 1024."""
CUBE = 410
"""The constant C of CUBIC, 0.4 segments/s³, as Linux counts: of 1024 parts and a little rounded."""
UNITS = 1024
"""Of time, in a second."""
FIRST_EPOCH_ACKS = 20
"""Segments that must arrive at most for one more to be sent, before the first loss."""
LEAST_ACKS = 2
LAZY_NS = tcp.S // 32
"""How long a window that does not change keeps its growth."""
FRIENDLY_EIGHTHS = 8 * (1024 + BETA) // 3 // (1024 - BETA)
"""Segments that arrive for each that Reno, reduced as little as CUBIC, would add, in eighths of the window."""

HYSTART_LEAST_SEGMENTS = 16
HYSTART_SAMPLES = 8
HYSTART_TRAIN_NS = 2 * tcp.MS
"""How far apart acknowledgements of one train are at most."""
HYSTART_SLACK_NS = tcp.MS
HYSTART_DELAY_NS = (4 * tcp.MS, 16 * tcp.MS)
"""How much a round trip has to grow for slow start to end: an eighth of the shortest, but at least, at most this."""


class CongestionControl(Protocol):
    """One sender's."""

    def reduced(self, segments: int) -> int:
        """Return the threshold after a loss with a window of so many segments."""

    def timed_out(self) -> None:
        """Take note that the window begins anew after a timeout."""

    def resumed(self, idle_ns: int, now_ns: int) -> None:
        """Take note that something is sent after nothing was under way since it sent last."""

    def acknowledgements(self, segments: int, delivered: int, now_ns: int) -> int:
        """Return how many segments have to arrive for the window to grow by one in congestion avoidance."""

    def far_enough(self, segments: int, round_trip_ns: int, acknowledged: int, sent: int, now_ns: int) -> bool:
        """Take a round trip in slow start; return whether that is to end. The last but one are stream positions."""

    def round_trip(self, round_trip_ns: int, now_ns: int) -> bool:
        """Take a round trip; return False for one that says nothing about the path."""


class Reno:
    """Half after a loss, and one segment more for each round trip."""

    def reduced(self, segments: int) -> int:
        """Return half."""
        return max(segments // 2, LEAST_SEGMENTS)

    def timed_out(self) -> None:
        """Nothing is remembered."""

    def resumed(self, idle_ns: int, now_ns: int) -> None:
        """Nothing is remembered."""

    def acknowledgements(self, segments: int, delivered: int, now_ns: int) -> int:
        """Return the window."""
        return segments

    def round_trip(self, round_trip_ns: int, now_ns: int) -> bool:
        """Return False: Reno takes no heed of time."""
        return False

    def far_enough(self, segments: int, round_trip_ns: int, acknowledged: int, sent: int, now_ns: int) -> bool:
        """Return False: slow start ends with a loss."""
        return False


class Cubic:
    """Seven tenths after a loss, then a cubic function of time about the window that was lost at."""

    __slots__ = (
        "_acks",
        "_counted",
        "_epoch_ns",
        "_found",
        "_friendly",
        "_knee_units",
        "_largest",
        "_last_ack_ns",
        "_looked",
        "_origin",
        "_round_end",
        "_round_least_ns",
        "_round_samples",
        "_round_start_ns",
        "_shortest_ns",
    )

    def __init__(self) -> None:
        self.timed_out()

    def timed_out(self) -> None:
        """Forget everything."""
        self._largest = 0
        self._epoch_ns = NEVER
        self._knee_units = self._origin = self._friendly = self._counted = 0
        self._acks = LEAST_ACKS
        self._looked = (NEVER, 0)
        self._shortest_ns = 0
        self._found = False
        self._round_start_ns = self._last_ack_ns = NEVER
        self._round_end = self._round_samples = 0
        self._round_least_ns = 0

    def reduced(self, segments: int) -> int:
        """Return seven tenths; who lost at less than the time before makes room for others."""
        self._epoch_ns = NEVER
        self._largest = segments * (1024 + BETA) // 2048 if segments < self._largest else segments
        return max(segments * BETA // 1024, LEAST_SEGMENTS)

    def resumed(self, idle_ns: int, now_ns: int) -> None:
        """Let the time stand still while nothing was sent."""
        if self._epoch_ns != NEVER:
            self._epoch_ns = min(self._epoch_ns + idle_ns, now_ns)

    def acknowledgements(self, segments: int, delivered: int, now_ns: int) -> int:
        """Reckon where the cubic function will be a round trip from now, and where Reno would be."""
        self._counted += delivered
        looked_ns, looked_segments = self._looked
        if looked_segments == segments and now_ns - looked_ns <= LAZY_NS:
            return self._acks
        self._looked = (now_ns, segments)
        if self._epoch_ns == NEVER:
            self._epoch_ns, self._counted, self._friendly = now_ns, delivered, segments
            missing = max(0, self._largest - segments)
            self._origin = segments + missing
            self._knee_units = _cube_root(missing * 1024 * UNITS**3 // CUBE)
        units = (now_ns - self._epoch_ns + self._shortest_ns) * UNITS // tcp.S - self._knee_units
        change = CUBE * abs(units) ** 3 // (1024 * UNITS**3)
        target = self._origin - change if units < 0 else self._origin + change
        acks = segments // (target - segments) if target > segments else 100 * segments
        if not self._largest:
            acks = min(acks, FIRST_EPOCH_ACKS)
        each = max(1, segments * FRIENDLY_EIGHTHS // 8)
        grown, self._counted = divmod(self._counted, each)
        self._friendly += grown
        if self._friendly > segments:
            acks = min(acks, segments // (self._friendly - segments))
        self._acks = max(acks, LEAST_ACKS)
        return self._acks

    def round_trip(self, round_trip_ns: int, now_ns: int) -> bool:
        """Keep the shortest, but for those right after a loss."""
        if self._epoch_ns != NEVER and now_ns - self._epoch_ns < tcp.S:
            return False
        if not 0 < self._shortest_ns <= round_trip_ns:
            self._shortest_ns = max(1, round_trip_ns)
        return not self._found

    def far_enough(self, segments: int, round_trip_ns: int, acknowledged: int, sent: int, now_ns: int) -> bool:
        """HyStart: end where a train of acknowledgements takes half a round trip, or round trips become longer."""
        if self._round_start_ns == NEVER or acknowledged > self._round_end:
            self._round_start_ns = self._last_ack_ns = now_ns
            self._round_end = sent
            self._round_samples = 0
            self._round_least_ns = tcp.S << 10
        if segments < HYSTART_LEAST_SEGMENTS:
            return False
        if now_ns - self._last_ack_ns <= HYSTART_TRAIN_NS:
            self._last_ack_ns = now_ns
            self._found = now_ns - self._round_start_ns > (self._shortest_ns + HYSTART_SLACK_NS) // 2
        self._round_least_ns = min(self._round_least_ns, round_trip_ns)
        if self._round_samples < HYSTART_SAMPLES:
            self._round_samples += 1
        else:
            least_ns, most_ns = HYSTART_DELAY_NS
            longer_ns = min(max(self._shortest_ns // 8, least_ns), most_ns)
            self._found |= self._round_least_ns > self._shortest_ns + longer_ns
        return self._found


def _cube_root(number: int) -> int:
    """Return the whole part of a cube root: the same on every machine."""
    root = int(number ** (1 / 3))
    while root**3 > number:
        root -= 1
    while (root + 1) ** 3 <= number:
        root += 1
    return root


def congestion_control(name: Control) -> CongestionControl:
    """Return a new one."""
    return Cubic() if name == "cubic" else Reno()
