"""The sending half of a TCP connection at segment level: window, acknowledgements, loss detection, recovery, timers.

It does no I/O: ``write``, ``acknowledged`` and ``timer_expired`` return the segments to send now, in runs that the
network carries or loses as one; ``timer_ns`` is when ``timer_expired`` is due. After Linux 4.17 and later with default
settings: RACK-TLP (RFC 8985), PRR (RFC 6937), Eifel detection of spurious timeouts by timestamps (RFC 3522), restart
after idle, slow start; in congestion avoidance it grows by one segment a round trip, where CUBIC would grow faster.
"""

from __future__ import annotations

import enum
from collections import deque

from meshsim.network.tcp_loss import NEVER, Rack, Ranges, RateReduction, Segment
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_timer import RoundTripEstimate, expiry_ns, whole_ticks_ns

NO_LIMIT = 1 << 30
CUBIC_BETA = 717 / 1024
"""What Linux's CUBIC leaves of the window after a loss."""


class State(enum.Enum):
    """What a sender thinks of the network: Linux's congestion states, without the one for reduced windows."""

    OPEN = enum.auto()
    DISORDER = enum.auto()
    RECOVERY = enum.auto()
    LOSS = enum.auto()


class Timer(enum.Enum):
    """What the one timer of a sender is set for."""

    RETRANSMISSION = enum.auto()
    TAIL_PROBE = enum.auto()
    REORDERING = enum.auto()


Runs = list[list[Segment]]


class Sender:
    """One direction's sender. Sequence numbers count bytes of the stream from 0."""

    def __init__(self, parameters: TcpParameters, estimate: RoundTripEstimate) -> None:
        self._parameters = parameters
        self.estimate = estimate
        self.outstanding: deque[Segment] = deque()
        self.acknowledged_bytes = 0
        self.written_bytes = 0
        self._sent_bytes = 0
        self.window = parameters.initial_window
        self._threshold = NO_LIMIT
        self._window_limited = False
        self._growth = 0
        self.state = State.OPEN
        self._recovery_end = 0
        self._probe_end = NEVER
        self.timer: Timer | None = None
        self.timer_ns = NEVER
        self._timeouts = 0
        self.gave_up = False
        self.retransmissions = 0
        self.spurious_timeouts = 0
        self._last_sent_ns = NEVER
        self._rack = Rack(estimate)
        self._reduction: RateReduction | None = None
        # To undo a spurious timeout.
        self._undo: tuple[int, int] | None = None
        self._first_retransmission_ns = NEVER

    # What the application and the network tell

    def write(self, size_bytes: int, now_ns: int) -> Runs:
        """Append bytes to the stream (Nagle's algorithm is off)."""
        self.written_bytes += size_bytes
        return self._send_new(now_ns)

    def acknowledged(self, up_to: int, sacks: Ranges, echo_ns: int, now_ns: int) -> Runs:
        """Take an acknowledgement; ``echo_ns`` is when the segment that it echoes the timestamp of was sent."""
        advanced = up_to > self.acknowledged_bytes
        disordered_before = any(segment.sacked for segment in self.outstanding)
        delivered, sampled = self._take_delivered(up_to, sacks, echo_ns, now_ns)
        if self._probe_end != NEVER and up_to >= self._probe_end:
            self._probe_end = NEVER
        if advanced:
            self._timeouts = 0
        if advanced or sampled:
            self._set_transmission_timer(now_ns, probe_allowed=not disordered_before)
        self._change_state(up_to, advanced, echo_ns, delivered, now_ns)
        runs = self._retransmit(now_ns)
        return runs + self._send_new(now_ns)

    def timer_expired(self, now_ns: int) -> Runs:
        """Act on the timer, which was due."""
        timer, self.timer, self.timer_ns = self.timer, None, NEVER
        if not self.outstanding:
            return []
        if timer is Timer.REORDERING:
            self._detect_losses(now_ns)
            if self.state in (State.OPEN, State.DISORDER) and any(segment.lost for segment in self.outstanding):
                self._recover(1)
            runs = self._retransmit(now_ns)
            if self.timer is None:
                self._set_retransmission_timer(now_ns)
            return runs
        if timer is Timer.TAIL_PROBE:
            return self._probe(now_ns)
        return self._time_out(now_ns)

    @property
    def in_flight(self) -> int:
        """Segments that are thought to be on their way."""
        return sum((not each.sacked and not each.lost) + each.in_retransmission for each in self.outstanding)

    # Acknowledgements

    def _take_delivered(self, up_to: int, sacks: Ranges, echo_ns: int, now_ns: int) -> tuple[int, bool]:
        """Return how many segments have newly arrived, and whether selective acknowledgements gave a sample."""
        delivered = 0
        first_ns = selective_ns = latest_ns = NEVER
        advanced = ambiguous = False
        while self.outstanding and self.outstanding[0].end <= up_to:
            segment = self.outstanding.popleft()
            advanced = True
            ambiguous |= segment.retransmitted
            if segment.sacked:
                continue
            delivered += 1
            self._rack.arrived(segment, now_ns)
            if not segment.retransmitted:
                latest_ns = now_ns - segment.sent_ns
                first_ns = latest_ns if first_ns == NEVER else first_ns
        for segment in self.outstanding:
            if not segment.sacked and any(start <= segment.start and segment.end <= end for start, end in sacks):
                segment.sacked = True
                segment.lost = segment.in_retransmission = False
                delivered += 1
                self._rack.arrived(segment, now_ns)
                if not segment.retransmitted:
                    latest_ns = now_ns - segment.sent_ns
                    selective_ns = latest_ns if selective_ns == NEVER else selective_ns
        self._rack.acknowledged(up_to, sacks)
        self.acknowledged_bytes = max(self.acknowledged_bytes, up_to)
        if latest_ns != NEVER:
            self.estimate.shortest(latest_ns)
        sample_ns = selective_ns if ambiguous or first_ns == NEVER else first_ns
        if sample_ns == NEVER and advanced and echo_ns >= 0:
            sample_ns = now_ns - echo_ns
        if sample_ns >= 0:
            self.estimate.sample(sample_ns, up_to, self._sent_bytes)
        return delivered, selective_ns != NEVER

    def _change_state(self, up_to: int, advanced: bool, echo_ns: int, delivered: int, now_ns: int) -> None:
        if self.state is State.LOSS:
            if advanced and self._undo is not None and 0 <= echo_ns < self._first_retransmission_ns:
                self._undo_timeout()
            elif up_to >= self._recovery_end:
                self.state, self._undo = State.OPEN, None
            else:
                self._detect_losses(now_ns)
                self.window += delivered
            return
        if self.state is State.RECOVERY and up_to >= self._recovery_end:
            self.state, self._reduction = State.OPEN, None
            self.window = self._threshold
            return
        self._detect_losses(now_ns)
        if self.state is State.RECOVERY or any(segment.lost for segment in self.outstanding):
            self._recover(delivered)
        else:
            self.state = State.DISORDER if any(segment.sacked for segment in self.outstanding) else State.OPEN
            self._grow(delivered)

    def _grow(self, delivered: int) -> None:
        """Open the window if it was in the way: slow start up to the threshold, then one segment a round trip."""
        if not self._window_limited:
            return
        if self.window < self._threshold:
            self.window += delivered
            return
        self._growth += delivered
        if self._growth >= self.window:
            self._growth -= self.window
            self.window += 1

    # Loss

    def _detect_losses(self, now_ns: int) -> None:
        """Mark what is lost, and come back for what may only be late."""
        recovering = self.state in (State.RECOVERY, State.LOSS)
        wait_ns = self._rack.detect(self.outstanding, recovering, now_ns)
        if wait_ns:
            tick_ns = self._parameters.tick_ns
            self._set(Timer.REORDERING, now_ns, whole_ticks_ns(wait_ns, tick_ns) + 2 * tick_ns)

    def _recover(self, delivered: int) -> None:
        """Enter recovery, or go on with it."""
        if self._reduction is None:
            self.state = State.RECOVERY
            self._recovery_end = self._sent_bytes
            self._threshold = max(int(self.window * CUBIC_BETA), 2)
            self._reduction = RateReduction(self.window, self._threshold)
            self._probe_end = NEVER
        self.window = self._reduction.window(delivered, self.in_flight)

    def _probe(self, now_ns: int) -> Runs:
        """Tail loss probe: send the last segment again, once, so that its acknowledgement tells what is missing."""
        runs: Runs = []
        if self._probe_end == NEVER:
            self._probe_end = self._sent_bytes
            runs = [[self._again(self.outstanding[-1], now_ns)]]
            self._set(Timer.RETRANSMISSION, now_ns, self.estimate.rto_ns)
        else:
            self._set_retransmission_timer(now_ns)
        return runs

    def _time_out(self, now_ns: int) -> Runs:
        self._timeouts += 1
        if self._timeouts > self._parameters.data_retries:
            self.gave_up = True
            return []
        if self.state is not State.LOSS:
            self._undo = (self.window, self._threshold)
            self._threshold = max(int(self.window * CUBIC_BETA), 2)
            self._first_retransmission_ns = now_ns
        self.state, self._reduction = State.LOSS, None
        self._recovery_end = self._sent_bytes
        self._probe_end = NEVER
        for segment in self.outstanding:
            segment.in_retransmission = False
            segment.lost = not segment.sacked
        self.window = 1
        self.estimate.rto_ns = min(2 * self.estimate.rto_ns, self._parameters.maximum_rto_ns)
        self._set(Timer.RETRANSMISSION, now_ns, self.estimate.rto_ns)
        return [[self._again(self.outstanding[0], now_ns)]]

    def _undo_timeout(self) -> None:
        """The original arrived after all: the timeout was spurious."""
        assert self._undo is not None
        self.window, self._threshold = max(self.window, self._undo[0]), self._undo[1]
        self._undo = None
        self.spurious_timeouts += 1
        self.state = State.OPEN
        for segment in self.outstanding:
            segment.lost = False

    # Sending

    def _send_new(self, now_ns: int) -> Runs:
        if not self.outstanding and self._last_sent_ns != NEVER and self._sent_bytes < self.written_bytes:
            self._restart_after_idle(now_ns)
        parameters = self._parameters
        runs: Runs = []
        in_flight = self.in_flight
        had_outstanding = bool(self.outstanding)
        while self._sent_bytes < self.written_bytes and in_flight < self.window:
            run: list[Segment] = []
            while len(run) < parameters.aggregated_segments and in_flight < self.window:
                end = min(self._sent_bytes + parameters.segment_bytes, self.written_bytes)
                if end == self._sent_bytes:
                    break
                run.append(Segment(self._sent_bytes, end, now_ns))
                self._sent_bytes = end
                in_flight += 1
            self.outstanding.extend(run)
            runs.append(run)
        self._window_limited = in_flight >= self.window or (
            self.window < self._threshold and self.window < 2 * in_flight
        )
        if runs:
            self._last_sent_ns = now_ns
            if self.state is State.OPEN:
                self._set_transmission_timer(now_ns, probe_allowed=True)
            elif not had_outstanding or self.timer is None:
                self._set_retransmission_timer(now_ns)
        return runs

    def _restart_after_idle(self, now_ns: int) -> None:
        """Halve the window for each timeout that passed in silence, down to the initial one."""
        idle_ns, rto_ns = now_ns - self._last_sent_ns, self.estimate.rto_ns
        restart = min(self._parameters.initial_window, self.window)
        while idle_ns > rto_ns and self.window > restart:
            self.window = max(self.window // 2, restart)
            idle_ns -= rto_ns

    def _retransmit(self, now_ns: int) -> Runs:
        """Send lost segments again, as far as the window lets."""
        if self.state not in (State.RECOVERY, State.LOSS):
            return []
        runs: Runs = []
        room = self.window - self.in_flight
        for segment in self.outstanding:
            if room <= 0:
                break
            if segment.lost and not segment.in_retransmission:
                runs.append([self._again(segment, now_ns)])
                if self._reduction is not None:
                    self._reduction.sent()
                room -= 1
                if segment is self.outstanding[0]:
                    self._set(Timer.RETRANSMISSION, now_ns, self.estimate.rto_ns)
        return runs

    def _again(self, segment: Segment, now_ns: int) -> Segment:
        segment.retransmitted = True
        segment.in_retransmission = segment.lost
        segment.sent_ns = now_ns
        self._last_sent_ns = now_ns
        self.retransmissions += 1
        return segment

    # Timers

    def _set(self, timer: Timer, now_ns: int, timeout_ns: int) -> None:
        self.timer = timer
        self.timer_ns = expiry_ns(now_ns, timeout_ns, self._parameters.tick_ns)

    def _set_transmission_timer(self, now_ns: int, *, probe_allowed: bool) -> None:
        """Set the tail loss probe, or the retransmission timeout where no probe may be sent."""
        if not self.outstanding:
            self.timer, self.timer_ns = None, NEVER
        elif probe_allowed and self.state is State.OPEN:
            self._set(Timer.TAIL_PROBE, now_ns, self._probe_timeout_ns(now_ns))
        else:
            self._set_retransmission_timer(now_ns)

    def _probe_timeout_ns(self, now_ns: int) -> int:
        """Two round trips, and a delayed acknowledgement's worth when only one segment is out; never after the RTO."""
        parameters, estimate = self._parameters, self.estimate
        if estimate.smoothed_ns:
            timeout_ns = whole_ticks_ns(2 * estimate.smoothed_ns, parameters.tick_ns)
            alone = len(self.outstanding) == 1
            timeout_ns += parameters.minimum_rto_ns if alone else 2 * parameters.tick_ns
        else:
            timeout_ns = parameters.initial_rto_ns
        left_ns = self.outstanding[0].sent_ns + estimate.rto_ns - now_ns
        return min(timeout_ns, left_ns) if left_ns > 0 else timeout_ns

    def _set_retransmission_timer(self, now_ns: int) -> None:
        if not self.outstanding:
            self.timer, self.timer_ns = None, NEVER
            return
        rto_ns = self.estimate.rto_ns
        if self.timer in (Timer.REORDERING, Timer.TAIL_PROBE):
            rto_ns = max(self.outstanding[0].sent_ns + rto_ns - now_ns, 1)
        self._set(Timer.RETRANSMISSION, now_ns, rto_ns)
