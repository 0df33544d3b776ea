"""How many segments may be under way: slow start, congestion avoidance, idle times, and undoing what was a mistake."""

from __future__ import annotations

from meshsim.network.tcp_control import congestion_control
from meshsim.network.tcp_parameters import TcpParameters

NO_LIMIT = 1 << 30


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
    """One sender's congestion window, in segments."""

    __slots__ = ("_before", "_control", "_growth", "_limited", "_parameters", "segments", "threshold")

    def __init__(self, parameters: TcpParameters) -> None:
        self._parameters = parameters
        self._control = congestion_control(parameters.congestion_control)
        self.segments = parameters.initial_window
        self.threshold = NO_LIMIT
        """Up to which slow start goes."""
        self._limited = False
        self._growth = 0
        self._before = (self.segments, self.threshold)
        """Itself and the threshold before it was reduced last."""

    def used(self, in_flight: int) -> None:
        """Take note of what is under way after sending: a window grows only where it was in the way."""
        slow_start = self.segments < self.threshold
        self._limited = in_flight >= self.segments or (slow_start and self.segments < 2 * in_flight)

    def round_trip(self, round_trip_ns: int, acknowledged: int, sent: int, now_ns: int) -> None:
        """Take a sample; ``acknowledged`` and ``sent`` are positions in the stream that tell round from round."""
        control, segments = self._control, self.segments
        if (
            control.round_trip(round_trip_ns, now_ns)
            and segments < self.threshold
            and control.far_enough(segments, round_trip_ns, acknowledged, sent, now_ns)
        ):
            self.threshold = segments

    def grow(self, delivered: int, now_ns: int) -> None:
        """Open if it was in the way: slow start up to the threshold, then as congestion control says."""
        if self._limited:
            self.regrow(delivered, now_ns)

    def regrow(self, delivered: int, now_ns: int) -> None:
        """Open after a timeout, or because it was in the way."""
        most = self._parameters.maximum_window
        if self.segments < self.threshold:
            grown = min(self.segments + delivered, self.threshold)
            delivered -= grown - self.segments
            self.segments = min(grown, most)
            if not delivered:
                return
        acks = self._control.acknowledgements(self.segments, delivered, now_ns)
        if self._growth >= acks:
            self._growth = 0
            self.segments += 1
        self._growth += delivered
        more, self._growth = divmod(self._growth, acks)
        self.segments = min(self.segments + more, most)

    @property
    def grows(self) -> bool:
        """Whether acknowledgements make it grow: it was in the way when something was sent last."""
        return self._limited

    def reduce(self) -> None:
        """Set the threshold after a loss."""
        self._before = (self.segments, self.threshold)
        self.threshold = self._control.reduced(self.segments)
        self._growth = 0

    def time_out(self, first: bool) -> None:
        """Begin anew with one segment; the ``first`` timeout of a series sets the threshold."""
        if first:
            self.reduce()
        self._control.timed_out()
        self.segments = 1

    def undo(self) -> None:
        """Be no smaller than before it was reduced: nothing was lost."""
        segments, threshold = self._before
        self.segments, self.threshold = max(self.segments, segments), max(self.threshold, threshold)

    def pause(self, idle_ns: int, now_ns: int) -> None:
        """Take note that something is sent after so long a time in which nothing was under way."""
        self._control.resumed(idle_ns, now_ns)

    def restart(self, idle_ns: int, rto_ns: int) -> None:
        """Halve for each timeout that passed in silence, down to the initial window.

        Slow start then goes up to three quarters of what it was, if no further already (``tcp_current_ssthresh``).
        """
        if idle_ns > rto_ns and self._parameters.slow_start_after_idle:
            self.threshold = max(self.threshold, self.segments // 2 + self.segments // 4)
        self.segments = after_idle(self.segments, self._parameters, idle_ns, rto_ns)
