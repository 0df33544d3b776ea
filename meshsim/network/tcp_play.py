"""Both ends of a TCP connection and the packets between them, as an event loop without a clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from meshsim.network import tcp
from meshsim.network.tcp_dialogue import Dialogue, Turn
from meshsim.network.tcp_loss import NEVER
from meshsim.network.tcp_parameters import DestinationMemory, TcpParameters
from meshsim.network.tcp_path import DOWN, UP, Path
from meshsim.network.tcp_receiver import Receiver
from meshsim.network.tcp_sender import Runs, Sender
from meshsim.network.tcp_timer import RoundTripEstimate, expiry_ns

MAXIMUM_DURATION_NS = 86_400 * tcp.S
"""A dialogue that takes longer is our mistake: every timer gives up before."""

Memories = tuple[DestinationMemory | None, DestinationMemory | None]
"""What the client remembers of the server, and the server of the client; None: nothing, now or later."""


def syn_timeout_ns(parameters: TcpParameters, attempt: int) -> int:
    """Return how long the ``attempt``-th SYN (from 0) waits for its answer, in nanoseconds."""
    doublings = max(0, attempt - parameters.linear_syn_timeouts)
    return min(parameters.initial_rto_ns << doublings, parameters.maximum_rto_ns)


class _End:
    """One end of the connection."""

    __slots__ = ("estimate", "receiver", "sender", "timers_ns")

    def __init__(self, parameters: TcpParameters) -> None:
        self.estimate = RoundTripEstimate(parameters)
        self.sender = Sender(parameters, self.estimate)
        self.receiver = Receiver(parameters)
        self.timers_ns = [NEVER, NEVER]
        """When the event loop will look at the sender's and the receiver's timer next."""


class Play:
    """The event loop of one connection."""

    def __init__(
        self,
        dialogue: Dialogue,
        path: Path,
        parameters: TcpParameters,
        memories: Memories,
        start_ns: int,
    ) -> None:
        self.dialogue = dialogue
        self.path = path
        self.parameters = parameters
        self.memories = memories
        self.start_ns = start_ns
        self.now_ns = start_ns
        self.ends = (_End(parameters), _End(parameters))
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self.packets = [0, 0]
        self.retransmissions = 0
        self.failure = ""
        # Connection set-up.
        self.connected_ns = NEVER
        self.server_ready = False
        self._request_retries = NEVER
        self._synack_sent_ns = NEVER
        self._synack_timeouts = 0
        self._synack_due_ns = NEVER
        self._syn_echo_ns = NEVER
        # The dialogue: stream positions at which turns begin and end.
        self.spans: list[tuple[int, int]] = []
        position = [0, 0]
        for turn in dialogue:
            self.spans.append((position[turn.direction], position[turn.direction] + turn.size_bytes))
            position[turn.direction] += turn.size_bytes
        self.first_byte_ns: list[int] = []
        self.delivered_ns: list[int] = []
        self._started = 0

    def _at(self, time_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        self._count += 1
        heapq.heappush(self._heap, (time_ns, self._count, action, arguments))

    def run(self) -> None:
        """Play until the last turn is delivered or the connection breaks."""
        self._send_syn(0)
        while self._heap and not self.failure and len(self.delivered_ns) < len(self.dialogue):
            self.now_ns, _, action, arguments = heapq.heappop(self._heap)
            assert self.now_ns - self.start_ns < MAXIMUM_DURATION_NS, "the dialogue does not end"
            action(*arguments)
        assert self.failure or len(self.delivered_ns) == len(self.dialogue), "the dialogue has stopped"

    # The wire

    def _cross(self, direction: int, sizes_bytes: list[int]) -> list[int]:
        """Send packets that are lost or carried together; return when each arrives, nothing if they are lost."""
        self.packets[direction] += 1
        lost = self.path.lost(direction, self.now_ns)
        arrivals = [self.path.arrival_ns(direction, self.now_ns, size) for size in sizes_bytes]
        return [] if lost else arrivals

    def _send_runs(self, direction: int, runs: Runs) -> None:
        end = self.ends[direction]
        if runs:
            end.receiver.acknowledgement_sent()
            end.receiver.data_sent(self.now_ns)
        acknowledgement = (end.receiver.in_order_bytes, end.receiver.sacks, end.receiver.echo_ns)
        for run in runs:
            sizes = [segment.end - segment.start + tcp.HEADER_BYTES for segment in run]
            arrivals = self._cross(direction, sizes)
            for segment, time_ns in zip(run, arrivals, strict=False):
                self._at(time_ns, self._segment, direction, segment.start, segment.end, self.now_ns, acknowledgement)
        self._watch(direction)

    def _send_acknowledgement(self, direction: int) -> None:
        receiver = self.ends[direction].receiver
        receiver.acknowledgement_sent()
        acknowledgement = (receiver.in_order_bytes, receiver.sacks, receiver.echo_ns)
        for time_ns in self._cross(direction, [tcp.HEADER_BYTES]):
            self._at(time_ns, self._acknowledgement, direction, acknowledgement)

    # Connection set-up

    def _send_syn(self, attempt: int) -> None:
        if self.connected_ns != NEVER:
            return
        if attempt > self.parameters.syn_retries:
            self.failure = "connection timed out"
            return
        self.retransmissions += attempt > 0
        for time_ns in self._cross(UP, [tcp.CONTROL_BYTES]):
            self._at(time_ns, self._syn, self.now_ns)
        timeout_ns = syn_timeout_ns(self.parameters, attempt)
        self._at(expiry_ns(self.now_ns, timeout_ns, self.parameters.tick_ns), self._send_syn, attempt + 1)

    def _syn(self, sent_ns: int) -> None:
        if self.server_ready:
            self._send_acknowledgement(DOWN)
        elif self._request_retries == NEVER or not self.parameters.synack_retries:
            self._request_retries = 0
            self._syn_echo_ns = sent_ns
            self._send_synack()
            self._synack_timeouts = 0
            self._watch_synack()
        else:
            # A repeated SYN is answered again, with the timestamp of the first: so the client takes a long round trip.
            self._request_retries += 1
            self.retransmissions += 1
            self._send_synack()
            self._watch_synack()

    def _send_synack(self) -> None:
        self._synack_sent_ns = self.now_ns
        for time_ns in self._cross(DOWN, [tcp.CONTROL_BYTES]):
            self._at(time_ns, self._synack, self._syn_echo_ns)

    def _watch_synack(self) -> None:
        """Set the timer of the request; a repeated SYN sets it back."""
        timeout_ns = min(self.parameters.initial_rto_ns << self._synack_timeouts, self.parameters.maximum_rto_ns)
        self._synack_due_ns = expiry_ns(self.now_ns, timeout_ns, self.parameters.tick_ns)
        self._at(self._synack_due_ns, self._synack_overdue)

    def _synack_overdue(self) -> None:
        if self.server_ready or self._request_retries == NEVER or self.now_ns != self._synack_due_ns:
            return
        if self._synack_timeouts >= self.parameters.synack_retries:
            if self.parameters.synack_retries:
                self._request_retries = NEVER
            return
        self._synack_timeouts += 1
        self._request_retries += 1
        self.retransmissions += 1
        self._send_synack()
        self._watch_synack()

    def _synack(self, echo_ns: int) -> None:
        if self.connected_ns == NEVER:
            self.connected_ns = self.now_ns - self.start_ns
            estimate = self.ends[UP].estimate
            estimate.sample(self.now_ns - echo_ns, 0, 0)
            estimate.shortest(self.now_ns - echo_ns)
            self._seed(UP)
            self._send_acknowledgement(UP)
            self._next_turn(self.dialogue[0])
        else:
            self._send_acknowledgement(UP)

    def _server_ready(self) -> None:
        """The client's first acknowledgement came, alone or with data."""
        self.server_ready = True
        if self._request_retries == 0:
            round_trip_ns = self.now_ns - self._synack_sent_ns
            self.ends[DOWN].estimate.sample(round_trip_ns, 0, 0)
            self.ends[DOWN].estimate.shortest(round_trip_ns)
        self._seed(DOWN)

    def _seed(self, end: int) -> None:
        memory = self.memories[end]
        remembered_ns = 0 if memory is None else memory.round_trip_ns
        self.ends[end].estimate.seed(remembered_ns, self.parameters.fallback_rto_ns)

    # Arrivals

    def _segment(self, direction: int, start: int, end: int, sent_ns: int, acknowledgement: tuple[Any, ...]) -> None:
        if direction == UP and not self.server_ready:
            if self._request_retries == NEVER:
                return  # the server has forgotten the request; only a new SYN will do
            self._server_ready()
        receiver = self.ends[1 - direction].receiver
        at_once = receiver.receive(start, end, sent_ns, self.now_ns)
        if at_once:
            self._send_acknowledgement(1 - direction)
        self._deliver(direction, receiver.in_order_bytes)
        self._take_acknowledgement(1 - direction, acknowledgement)

    def _acknowledgement(self, direction: int, acknowledgement: tuple[Any, ...]) -> None:
        if direction == UP and not self.server_ready:
            if self._request_retries == NEVER:
                return
            self._server_ready()
        self._take_acknowledgement(1 - direction, acknowledgement)

    def _take_acknowledgement(self, end: int, acknowledgement: tuple[Any, ...]) -> None:
        up_to, sacks, echo_ns = acknowledgement
        sender = self.ends[end].sender
        if up_to > sender.acknowledged_bytes or sacks:
            self._send_runs(end, sender.acknowledged(up_to, sacks, echo_ns, self.now_ns))
        else:
            self._watch(end)

    # The dialogue

    def _deliver(self, direction: int, in_order_bytes: int) -> None:
        """Note which turns have begun and ended to arrive, and let the next begin."""
        done = len(self.delivered_ns)
        while len(self.first_byte_ns) < self._started:
            turn = len(self.first_byte_ns)
            if self.dialogue[turn].direction != direction or self.spans[turn][0] >= in_order_bytes:
                break
            self.first_byte_ns.append(self.now_ns - self.start_ns)
        while len(self.delivered_ns) < len(self.first_byte_ns):
            turn = len(self.delivered_ns)
            if self.dialogue[turn].direction != direction or self.spans[turn][1] > in_order_bytes:
                break
            self.delivered_ns.append(self.now_ns - self.start_ns)
        if len(self.delivered_ns) > done and len(self.delivered_ns) == self._started:
            following = self._following
            if following is not None and following.direction != direction:
                self._next_turn(following)

    @property
    def _following(self) -> Turn | None:
        """The turn that begins next."""
        return self.dialogue[self._started] if self._started < len(self.dialogue) else None

    def _next_turn(self, turn: Turn) -> None:
        self._at(self.now_ns + turn.compute_ns, self._speak, self._started)

    def _speak(self, index: int) -> None:
        turn = self.dialogue[index]
        self._started = index + 1
        for size_bytes in turn.writes_bytes:
            self._send_runs(turn.direction, self.ends[turn.direction].sender.write(size_bytes, self.now_ns))
        following = self._following
        if following is not None and following.direction == turn.direction:
            self._next_turn(following)

    # Timers

    def _watch(self, end: int) -> None:
        """See to it that the loop looks at an end's timers in time."""
        state = self.ends[end]
        for index, due_ns in enumerate((state.sender.timer_ns, state.receiver.timer_ns)):
            looked_ns = state.timers_ns[index]
            if due_ns != NEVER and (looked_ns == NEVER or due_ns < looked_ns):
                state.timers_ns[index] = due_ns
                self._at(due_ns, self._look, end, index, due_ns)

    def _look(self, end: int, index: int, looked_ns: int) -> None:
        state = self.ends[end]
        if state.timers_ns[index] != looked_ns:
            return
        state.timers_ns[index] = NEVER
        if index and state.receiver.timer_ns == self.now_ns:
            self._send_acknowledgement(end)
        elif not index and state.sender.timer_ns == self.now_ns:
            self._send_runs(end, state.sender.timer_expired(self.now_ns))
            if state.sender.gave_up:
                self.failure = "no acknowledgement"
        self._watch(end)
