"""How many segments may be under way: slow start, congestion avoidance, idle times, and undoing what was a mistake."""

from __future__ import annotations

from meshsim.network.tcp_parameters import TcpParameters

NO_LIMIT = 1 << 30
CUBIC_BETA = 717 / 1024
"""What Linux's CUBIC leaves of the window after a loss."""


def after_idle(segments: int, parameters: TcpParameters, idle_ns: int, rto_ns: int) -> int:
    """Return a window of so many segments after an idle time: halved for each timeout, down to the initial one.

    After Linux's ``tcp_cwnd_restart``.
    """
    if parameters.slow_start_after_idle:
        while idle_ns > rto_ns and segments > parameters.initial_window:
            segments = max(segments // 2, parameters.initial_window)
            idle_ns -= rto_ns
    return segments


class CongestionWindow:
    """One sender's congestion window, in segments.

    In congestion avoidance it grows by one segment a round trip, where CUBIC would grow faster.
    """

    __slots__ = ("_growth", "_limited", "_parameters", "_undo", "segments", "threshold")

    def __init__(self, parameters: TcpParameters) -> None:
        self._parameters = parameters
        self.segments = parameters.initial_window
        self.threshold = NO_LIMIT
        """Up to which slow start goes."""
        self._limited = False
        self._growth = 0
        self._undo: tuple[int, int] | None = None

    def used(self, in_flight: int) -> None:
        """Take note of what is under way after sending: a window grows only where it was in the way."""
        slow_start = self.segments < self.threshold
        self._limited = in_flight >= self.segments or (slow_start and self.segments < 2 * in_flight)

    def grow(self, delivered: int) -> None:
        """Open if it was in the way: slow start up to the threshold, then one segment a round trip."""
        if not self._limited:
            return
        if self.segments < self.threshold:
            self.segments = min(self.segments + delivered, self._parameters.maximum_window)
            return
        self._growth += delivered
        if self._growth >= self.segments:
            self._growth -= self.segments
            self.segments += 1

    @property
    def grows(self) -> bool:
        """Whether acknowledgements make it grow: it was in the way when something was sent last."""
        return self._limited

    def reduce(self) -> None:
        """Set the threshold after a loss."""
        self.threshold = max(int(self.segments * CUBIC_BETA), 2)

    def time_out(self, first: bool) -> None:
        """Begin anew with one segment; the ``first`` timeout of a series can be undone and sets the threshold."""
        if first:
            self._undo = (self.segments, self.threshold)
            self.reduce()
        self.segments = 1

    @property
    def can_undo(self) -> bool:
        """Whether a timeout may still turn out to have been spurious."""
        return self._undo is not None

    def undo(self) -> None:
        """Be as before the timeout."""
        assert self._undo is not None
        self.segments, self.threshold = max(self.segments, self._undo[0]), self._undo[1]
        self._undo = None

    def accept(self) -> None:
        """Take it that the timeout was right."""
        self._undo = None

    def restart_after_idle(self, idle_ns: int, rto_ns: int) -> None:
        """Halve for each timeout that passed in silence, down to the initial window."""
        self.segments = after_idle(self.segments, self._parameters, idle_ns, rto_ns)
