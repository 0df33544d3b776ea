"""Both ends of one TCP connection at segment level, without a clock and without a network.

What surrounds an exchange carries its packets, wakes it at the instants that it asks for, and hears from it what has
arrived: ``Play`` for a dialogue over a path, the world for a connection over its links. Both so obey one TCP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from meshsim.network import tcp
from meshsim.network.tcp_launch import launch
from meshsim.network.tcp_loss import NEVER
from meshsim.network.tcp_packets import Acknowledgement, Data, Packet, Syn, SynAck
from meshsim.network.tcp_parameters import DestinationMemory, TcpParameters
from meshsim.network.tcp_path import DOWN, UP
from meshsim.network.tcp_receiver import Receiver
from meshsim.network.tcp_sender import Runs, Sender
from meshsim.network.tcp_setup import SetUp
from meshsim.network.tcp_timer import RoundTripEstimate

Memories = tuple[DestinationMemory | None, DestinationMemory | None]
"""What the client remembers of the server, and the server of the client; None: nothing, now or later."""


class Around(Protocol):
    """What an exchange asks of its surroundings, and tells them."""

    @property
    def now_ns(self) -> int:
        """The current instant."""

    def at(self, time_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        """Call ``action(*arguments)`` at an instant that is not in the past."""

    def send(self, direction: int, runs: list[list[Packet]]) -> None:
        """Carry packets that are sent now; each run is lost or arrives as one. They come back with ``arrived``."""

    def accepts(self) -> bool:
        """Say whether somebody listens, when the first SYN has arrived; answer it otherwise."""

    def connected(self) -> None:
        """The client is connected."""

    def advanced(self, direction: int) -> None:
        """More of the stream in ``direction`` can be read: ``in_order_bytes`` of its receiver."""

    def failed(self, end: int, reason: str) -> None:
        """An end gave up."""


class End:
    """One end of the connection."""

    __slots__ = ("estimate", "gone", "receiver", "sender", "timers_ns")

    def __init__(self, parameters: TcpParameters) -> None:
        self.estimate = RoundTripEstimate(parameters)
        self.sender = Sender(parameters, self.estimate)
        self.receiver = Receiver(parameters)
        self.timers_ns = [NEVER, NEVER]
        """When the sender's and the receiver's timer will be looked at next."""
        self.gone = False
        """Whether its TCP knows nothing of the connection any more."""


class Exchange:
    """Both ends."""

    __slots__ = ("around", "ends", "memories", "parameters", "quiet", "set_up")

    def __init__(self, parameters: TcpParameters, around: Around, memories: Memories = (None, None)) -> None:
        self.parameters = parameters
        self.around = around
        self.memories = memories
        self.ends = (End(parameters), End(parameters))
        self.set_up = SetUp(self)
        self.quiet = False
        """Whether timers are not asked for: somebody else sees to them."""

    @property
    def retransmissions(self) -> int:
        """Packets sent again, SYNs included."""
        return self.set_up.retransmissions + sum(end.sender.retransmissions for end in self.ends)

    # What applications want

    def open(self) -> None:
        """Send the first SYN."""
        self.set_up.send_syn(0)

    def write(self, direction: int, size_bytes: int) -> None:
        """Append bytes to a stream."""
        self._send(direction, self.ends[direction].sender.write(size_bytes, self.around.now_ns))

    def finish(self, direction: int) -> None:
        """End a stream: send a FIN after all of it."""
        self._send(direction, self.ends[direction].sender.finish(self.around.now_ns))

    def launch(self, direction: int, size_bytes: int, segments: int = 0) -> list[Packet]:
        """Return the packets of bytes that are sent whatever the window says, or of a FIN for 0 bytes.

        There are as many ``segments`` as it says: of another size if the way had another MTU when they were sent.
        """
        runs = launch(self.ends[direction].sender, size_bytes, segments, self.around.now_ns)
        return [packet for run in self.packets(direction, runs) for packet in run]

    def establish(self, round_trips_ns: tuple[int, int]) -> None:
        """Be connected, with the round trips that the client and the server took in a set-up without losses."""
        self.set_up.connected = self.set_up.server_ready = True
        self.set_up.request_retries = 0
        for end, round_trip_ns in enumerate(round_trips_ns):
            estimate = self.ends[end].estimate
            estimate.sample(round_trip_ns, 0, 0)
            estimate.shortest(round_trip_ns)
            self.seed(end)

    def adopt(self, parameters: TcpParameters) -> None:
        """Go on with other parameters: another size of segments."""
        self.parameters = parameters
        for state in self.ends:
            state.sender.parameters = state.receiver.parameters = parameters

    def drop(self, end: int) -> None:
        """Have an end forget the connection: it sends nothing any more."""
        self.ends[end].gone = True
        if end == DOWN:
            self.set_up.forget()

    # The wire

    def arrived(self, direction: int, packet: Packet) -> None:
        """Take a packet that has arrived, at an end that is not gone (or may be asked to connect)."""
        kind = type(packet)
        if kind is Data:
            self._segment(direction, packet)  # type: ignore[arg-type]  # told apart by its type
        elif kind is Acknowledgement:
            if direction == DOWN or self.set_up.heard():
                self._take(1 - direction, packet)  # type: ignore[arg-type]  # as above
        elif kind is Syn:
            self.set_up.syn_arrived(packet)  # type: ignore[arg-type]  # as above
        else:
            assert isinstance(packet, SynAck)
            self.set_up.synack_arrived(packet)

    def packets(self, direction: int, runs: Runs) -> list[list[Packet]]:
        """Return the packets of segments that are sent now; with them goes what has arrived at their end."""
        end = self.ends[direction]
        receiver, now_ns = end.receiver, self.around.now_ns
        acknowledgement = Acknowledgement(receiver.in_order_bytes, receiver.sacks, receiver.echo_ns)
        receiver.acknowledgement_sent()
        receiver.data_sent(now_ns)
        fin = end.sender.fin_bytes
        return [
            [
                Data(
                    each.start,
                    each.end,
                    now_ns,
                    acknowledgement,
                    each.end - each.start - (each.end == fin) + tcp.HEADER_BYTES,
                )
                for each in run
            ]
            for run in runs
        ]

    def _send(self, direction: int, runs: Runs) -> None:
        if runs:
            self.around.send(direction, self.packets(direction, runs))
        self.watch(direction)

    def send_acknowledgement(self, direction: int) -> None:
        """Send an acknowledgement on its own."""
        receiver = self.ends[direction].receiver
        acknowledgement = Acknowledgement(receiver.in_order_bytes, receiver.sacks, receiver.echo_ns)
        receiver.acknowledgement_sent()
        self.around.send(direction, [[acknowledgement]])

    def _segment(self, direction: int, packet: Data) -> None:
        if direction == UP and not self.set_up.heard():
            return
        receiver = self.ends[1 - direction].receiver
        if receiver.outdated(packet.start, packet.end, packet.sent_ns):
            self.send_acknowledgement(1 - direction)
            return
        before = receiver.in_order_bytes
        if receiver.receive(packet.start, packet.end, packet.sent_ns, self.around.now_ns):
            self.send_acknowledgement(1 - direction)
        self._take(1 - direction, packet.acknowledgement)
        if receiver.in_order_bytes > before:
            self.around.advanced(direction)

    def _take(self, end: int, acknowledgement: Acknowledgement) -> None:
        sender = self.ends[end].sender
        if acknowledgement.up_to > sender.acknowledged_bytes or acknowledgement.sacks:
            now_ns = self.around.now_ns
            self._send(
                end, sender.acknowledged(acknowledgement.up_to, acknowledgement.sacks, acknowledgement.echo_ns, now_ns)
            )
        else:
            self.watch(end)

    def seed(self, end: int) -> None:
        """Set an end's first timeout from what it remembers of the other."""
        memory = self.memories[end]
        remembered_ns = 0 if memory is None else memory.recall(self.around.now_ns)
        self.ends[end].estimate.seed(remembered_ns, self.parameters.fallback_rto_ns)

    # Timers

    def wake(self) -> None:
        """Ask for all timers anew, after somebody else has seen to them."""
        for end, state in enumerate(self.ends):
            state.timers_ns = [NEVER, NEVER]
            self.watch(end)

    def watch(self, end: int) -> None:
        """See to it that an end's timers are looked at in time."""
        if self.quiet:
            return
        state = self.ends[end]
        for index, due_ns in enumerate((state.sender.timer_ns, state.receiver.timer_ns)):
            looked_ns = state.timers_ns[index]
            if due_ns != NEVER and (looked_ns == NEVER or due_ns < looked_ns):
                state.timers_ns[index] = due_ns
                self.around.at(due_ns, self._look, end, index, due_ns)

    def _look(self, end: int, index: int, looked_ns: int) -> None:
        state = self.ends[end]
        if state.timers_ns[index] != looked_ns:
            return
        state.timers_ns[index] = NEVER
        if state.gone:
            return
        if index and state.receiver.timer_ns == looked_ns:
            self.send_acknowledgement(end)
        elif not index and state.sender.timer_ns == looked_ns:
            self._send(end, state.sender.timer_expired(self.around.now_ns))
            if state.sender.gave_up:
                self.around.failed(end, "no acknowledgement")
        self.watch(end)
