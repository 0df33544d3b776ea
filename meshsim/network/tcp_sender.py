"""The sending half of a TCP connection at segment level: window, acknowledgements, loss detection, recovery, timers.

It does no I/O: ``write``, ``acknowledged`` and ``timer_expired`` return the segments to send now, in runs that the
network carries or loses as one; ``timer_ns`` is when ``timer_expired`` is due. After Linux 4.17 and later with default
settings: RACK-TLP (RFC 8985), PRR (RFC 6937); reductions of the window that turn out to have been mistakes are undone.
"""

from __future__ import annotations

from meshsim.network.tcp_loss import NEVER, Rack, Ranges, RateReduction, Segment
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_probe import TailLossProbe, probe_timeout_ns
from meshsim.network.tcp_scoreboard import Scoreboard
from meshsim.network.tcp_states import State, Timer
from meshsim.network.tcp_timer import RoundTripEstimate, expiry_ns, whole_ticks_ns
from meshsim.network.tcp_undo import Doubt, split_twice
from meshsim.network.tcp_window import CongestionWindow

Runs = list[list[Segment]]


class Sender:
    """One direction's sender. Sequence numbers count bytes of the stream from 0."""

    def __init__(self, parameters: TcpParameters, estimate: RoundTripEstimate) -> None:
        self.parameters = parameters
        self.estimate = estimate
        self._board = Scoreboard()
        self.outstanding = self._board.outstanding
        """Segments that were sent and are not acknowledged, in the order of the stream."""
        self.acknowledged_bytes = 0
        self.written_bytes = 0
        self.sent_bytes = 0
        self.fin_bytes = NEVER
        """Where the stream ends, its FIN included; ``NEVER`` while it is open."""
        self.window = CongestionWindow(parameters)
        self.state = State.OPEN
        self._regular = True
        """While open: whether no outstanding segment was ever missing. Then what was sent first is the first."""
        self._recovery_end = 0
        self._tail_probe = TailLossProbe()
        self._doubt = Doubt()
        self.timer: Timer | None = None
        self.timer_ns = NEVER
        self._timeouts = 0
        self.gave_up = False
        self.retransmissions = 0
        self.spurious_timeouts = 0
        self.last_sent_ns = NEVER
        self._rack = Rack(estimate)
        self._reduction: RateReduction | None = None

    # What the application and the network tell

    def write(self, size_bytes: int, now_ns: int) -> Runs:
        """Append bytes to the stream (Nagle's algorithm is off)."""
        self.written_bytes += size_bytes
        return self._send_new(now_ns)

    def finish(self, now_ns: int) -> Runs:
        """End the stream: the FIN takes one place in it, behind all that was written."""
        self.fin_bytes = self.written_bytes + 1
        return self.write(1, now_ns)

    def rest(self) -> None:
        """Take it that all was acknowledged, at a time of which nothing is known any more."""
        self._board.clear()
        self.acknowledged_bytes = self.sent_bytes
        self.timer, self.timer_ns = None, NEVER
        self._tail_probe.end()

    @property
    def calm(self) -> bool:
        """Whether all is sent, nothing thought to be missing, and what is still to be acknowledged changes nothing."""
        if self.sent_bytes < self.written_bytes or self.state is not State.OPEN:
            return False
        return not self.outstanding or (self._board.regular and not self.window.grows)

    def acknowledged(self, up_to: int, sacks: Ranges, echo_ns: int, now_ns: int) -> Runs:
        """Take an acknowledgement; ``echo_ns`` is when the segment that it echoes the timestamp of was sent."""
        advanced = up_to > self.acknowledged_bytes
        disordered_before = self._board.sacked > 0
        twice_end, sacks = split_twice(up_to, sacks)
        if twice_end != NEVER and self._doubt.arrived_twice(twice_end, self.retransmissions):
            self._rack.arrived_twice(now_ns)
        arrived = self._board.take(up_to, sacks, now_ns, self._rack)
        self.acknowledged_bytes = max(self.acknowledged_bytes, up_to)
        if arrived.latest_ns != NEVER:
            self.estimate.shortest(arrived.latest_ns)
            self.window.round_trip(arrived.latest_ns, up_to, self.sent_bytes, now_ns)
        sample_ns = arrived.sample_ns()
        if sample_ns == NEVER and arrived.acknowledged and echo_ns >= 0:
            sample_ns = now_ns - echo_ns
        if sample_ns >= 0:
            self.estimate.sample(sample_ns, up_to, self.sent_bytes)
        if self._tail_probe.repaired(up_to, twice_end, advanced or arrived.segments > 0):
            self.window.reduce()
            self.window.segments = self.window.threshold
        if advanced:
            self._timeouts = 0
        if advanced or arrived.selective_ns != NEVER:
            self._set_transmission_timer(now_ns, probe_allowed=not disordered_before, advancing=True)
        hold = self._change_state(up_to, advanced, echo_ns, arrived.segments, now_ns)
        runs = [] if hold else self._retransmit(now_ns)
        return runs + self._send_new(now_ns)

    def timer_expired(self, now_ns: int) -> Runs:
        """Act on the timer, which was due.

        A probe's and a reordering timer stand in for the retransmission timeout, so they still count as set while they
        are acted on: the timeout that follows runs from when the first outstanding segment was sent, not from now.
        Otherwise new data, each with a probe of its own, would put the timeout off for as long as it keeps coming.
        """
        timer, self.timer_ns = self.timer, NEVER
        if not self.outstanding:
            self.timer = None
            return []
        if timer is Timer.REORDERING:
            self._detect_losses(now_ns)
            if self.state in (State.OPEN, State.DISORDER) and self._board.any_lost:
                self._recover(1, safe=False)
            runs = self._retransmit(now_ns)
            if self.timer is not Timer.RETRANSMISSION:
                self._set_retransmission_timer(now_ns)
            return runs
        if timer is Timer.TAIL_PROBE:
            return self._probe(now_ns)
        return self._time_out(now_ns)

    @property
    def in_flight(self) -> int:
        """Segments that are thought to be on their way."""
        if self.state is State.OPEN and self._regular:
            return len(self.outstanding)
        return self._board.in_flight

    # Acknowledgements

    def _change_state(self, up_to: int, advanced: bool, echo_ns: int, delivered: int, now_ns: int) -> bool:
        """Return whether to send nothing again for now: what was thought to be lost arrives late."""
        late = advanced and self._doubt.original(echo_ns)
        mistaken = late or self._doubt.all_in_vain
        if self.state is State.LOSS:
            if advanced and mistaken:
                self.spurious_timeouts += 1
                self._undo()
            elif up_to >= self._recovery_end:
                self._reopen()
            else:
                self._detect_losses(now_ns)
                self.window.regrow(delivered, now_ns)
            return False
        if self.state is State.RECOVERY and up_to >= self._recovery_end:
            self._reduction = None
            if mistaken:
                self._undo()
            else:
                self.window.segments = self.window.threshold
                self._rack.recovered()
                self._reopen()
            return False
        if self.state is State.RECOVERY and late and self._board.underway_again:
            self._recover(delivered, safe=True)
            return True
        if mistaken:
            self._undo()
        if self._regular and not self._board.sacked and self.state is State.OPEN and not self._overtaken:
            self.window.grow(delivered, now_ns)
            return False
        losses = self._board.losses
        self._detect_losses(now_ns)
        if self.state is State.RECOVERY or self._board.any_lost:
            self._recover(delivered, safe=advanced and self._board.losses == losses)
        else:
            if self._board.sacked:
                self.state = State.DISORDER
            else:
                self._reopen()
            if advanced or self._rack.reorders_widely:
                self.window.grow(delivered, now_ns)
        return False

    @property
    def _overtaken(self) -> bool:
        """Whether something has arrived that was sent after the first outstanding segment."""
        return bool(self.outstanding) and self._rack.overtook(self.outstanding[0])

    def _reopen(self) -> None:
        """Go on as if nothing had been."""
        self.state = State.OPEN
        self._regular = self._board.regular

    # Loss

    def _detect_losses(self, now_ns: int) -> None:
        """Mark what is lost, and come back for what may only be late."""
        recovering = self.state in (State.RECOVERY, State.LOSS)
        wait_ns = self._rack.detect(self._board, recovering, now_ns)
        if wait_ns:
            tick_ns = self.parameters.tick_ns
            self._set(Timer.REORDERING, now_ns, whole_ticks_ns(wait_ns, tick_ns) + 2 * tick_ns)

    def _recover(self, delivered: int, *, safe: bool) -> None:
        """Enter recovery, or go on with it."""
        if self._reduction is None:
            self.state = State.RECOVERY
            self._recovery_end = self.sent_bytes
            window = self.window
            window.reduce()
            self._doubt.begin(self.acknowledged_bytes, self._board.underway_again + self._tail_probe.repeated)
            self._reduction = RateReduction(window.segments, window.threshold)
            self._tail_probe.end()
        self.window.segments = self._reduction.window(delivered, self.in_flight, safe)

    def _probe(self, now_ns: int) -> Runs:
        """Tail loss probe: send one segment, once, so that its acknowledgement tells what is missing.

        It is the next one that was not sent yet, whatever the window says, or else the last one again.
        """
        if self._tail_probe.out:
            self._set_retransmission_timer(now_ns)
            return []
        again = self.sent_bytes == self.written_bytes
        if not again:
            end = min(self.sent_bytes + self.parameters.segment_bytes, self.written_bytes)
            probe = Segment(self.sent_bytes, end, now_ns)
            self.sent_bytes = end
            self._board.sent([probe])
            self.last_sent_ns = now_ns
        else:
            probe = self._again(self.outstanding[-1], now_ns)
        self._tail_probe.sent(self.sent_bytes, again)
        self._set(Timer.RETRANSMISSION, now_ns, self.estimate.rto_ns)
        return [[probe]]

    def _time_out(self, now_ns: int) -> Runs:
        self._timeouts += 1
        parameters = self.parameters
        if self._timeouts > (parameters.data_retries if self.fin_bytes == NEVER else parameters.orphan_retries):
            self.gave_up = True
            return []
        first = self.state not in (State.LOSS, State.RECOVERY)
        if first:
            self._doubt.begin(self.acknowledged_bytes, self._board.underway_again + self._tail_probe.repeated)
        self.window.time_out(first)
        self.state, self._reduction = State.LOSS, None
        self._recovery_end = self.sent_bytes
        self._tail_probe.end()
        self._board.lose_all()
        self.estimate.rto_ns = min(2 * self.estimate.rto_ns, self.parameters.maximum_rto_ns)
        self._set(Timer.RETRANSMISSION, now_ns, self.estimate.rto_ns)
        self._doubt.sent_again(now_ns)
        return [[self._again(self.outstanding[0], now_ns)]]

    def _undo(self) -> None:
        """What was sent again has arrived after all: the window is as if nothing had been."""
        self.window.undo()
        self._doubt.end()
        self._reduction = None
        self._board.find_all()
        self._reopen()

    # Sending

    def _send_new(self, now_ns: int) -> Runs:
        if not self.outstanding and self.last_sent_ns != NEVER and self.sent_bytes < self.written_bytes:
            self.window.pause(now_ns - self.last_sent_ns, now_ns)
            self.window.restart(now_ns - self.last_sent_ns, self.estimate.rto_ns)
        parameters = self.parameters
        runs: Runs = []
        in_flight, window = self.in_flight, self.window.segments
        had_outstanding = bool(self.outstanding)
        while self.sent_bytes < self.written_bytes and in_flight < window:
            run: list[Segment] = []
            while len(run) < parameters.aggregated_segments and in_flight < window:
                end = min(self.sent_bytes + parameters.segment_bytes, self.written_bytes)
                if end == self.sent_bytes:
                    break
                run.append(Segment(self.sent_bytes, end, now_ns))
                self.sent_bytes = end
                in_flight += 1
            self._board.sent(run)
            runs.append(run)
        if runs or in_flight >= window:
            self.window.used(in_flight)
        if runs:
            self.last_sent_ns = now_ns
            if self._reduction is not None:
                self._reduction.sent(sum(len(run) for run in runs))
            if self.state is State.OPEN:
                self._set_transmission_timer(now_ns, probe_allowed=True)
            elif not had_outstanding or self.timer in (None, Timer.TAIL_PROBE):
                self._set_retransmission_timer(now_ns)
        return runs

    def _retransmit(self, now_ns: int) -> Runs:
        """Send lost segments again, as far as the window lets."""
        if self.state not in (State.RECOVERY, State.LOSS):
            return []
        runs: Runs = []
        room = self.window.segments - self.in_flight
        while room > 0:
            segment = self._board.next_missing()
            if segment is None:
                break
            runs.append([self._again(segment, now_ns)])
            self._doubt.sent_again(now_ns)
            if self._reduction is not None:
                self._reduction.sent(1)
            room -= 1
            if segment is self.outstanding[0]:
                self._set(Timer.RETRANSMISSION, now_ns, self.estimate.rto_ns)
        return runs

    def _again(self, segment: Segment, now_ns: int) -> Segment:
        self._board.send_again(segment, now_ns)
        self.last_sent_ns = now_ns
        self.retransmissions += 1
        return segment

    # Timers

    def _set(self, timer: Timer, now_ns: int, timeout_ns: int) -> None:
        self.timer = timer
        self.timer_ns = expiry_ns(now_ns, timeout_ns, self.parameters.tick_ns)

    def _set_transmission_timer(self, now_ns: int, *, probe_allowed: bool, advancing: bool = False) -> None:
        """Set the tail loss probe, or the timeout where none may be; ``advancing``: because something new arrived."""
        if not self.outstanding:
            self.timer, self.timer_ns = None, NEVER
        elif probe_allowed and self.state is State.OPEN:
            rto_ns = self.estimate.rto_ns
            left_ns = rto_ns if advancing else self.outstanding[0].sent_ns + rto_ns - now_ns
            alone = len(self.outstanding) == 1
            self._set(Timer.TAIL_PROBE, now_ns, probe_timeout_ns(self.parameters, self.estimate, alone, left_ns))
        else:
            self._set_retransmission_timer(now_ns)

    def _set_retransmission_timer(self, now_ns: int) -> None:
        if not self.outstanding:
            self.timer, self.timer_ns = None, NEVER
            return
        rto_ns = self.estimate.rto_ns
        if self.timer in (Timer.REORDERING, Timer.TAIL_PROBE):
            rto_ns = max(self.outstanding[0].sent_ns + rto_ns - now_ns, 1)
        self._set(Timer.RETRANSMISSION, now_ns, rto_ns)
