"""A connection at segment level: what surrounds its exchange in the world."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshsim.network.tcp_exchange import Exchange, Memories
from meshsim.network.tcp_packets import Acknowledgement, Data, Packet, Syn
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.world.connection import DOWN, UP, Connection, Transfer

if TYPE_CHECKING:
    from meshsim.network.tcp_replay import Heard
    from meshsim.world.transport import Transport


class Fin:
    """The unit that ends a stream in order."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Reset:
    """The unit that breaks a connection at once: RST."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Wire:
    """Carries a connection's packets in trains, and tells the world what has arrived and what came of it."""

    __slots__ = (
        "_arriving",
        "_delivered_bytes",
        "_spoilt",
        "_transport",
        "connection",
        "exchange",
        "heard",
        "opening",
        "tails_ns",
        "trains",
    )

    def __init__(
        self, transport: Transport, connection: Connection, parameters: TcpParameters, memories: Memories
    ) -> None:
        self._transport = transport
        self.connection = connection
        self.exchange = Exchange(parameters, self, memories)
        for end in (UP, DOWN):
            self.exchange.ends[end].gone = connection.gone[end]
        self.opening = not connection.established
        """Whether the client has no answer to its SYN yet."""
        self.tails_ns = [0, 0]
        """When the last train that is on its last hop arrives, by direction."""
        self.trains = 0
        """Trains under way with data, or with an acknowledgement that tells of a hole."""
        self.heard: list[Heard] = []
        """Acknowledgements that arrived while nobody looked at segments."""
        self._delivered_bytes = [0, 0]
        self._spoilt: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        """Ranges of each stream that arrived damaged."""
        self._arriving: Transfer | None = None

    # Units

    def write(self, transfer: Transfer) -> None:
        """Append a unit to its stream."""
        connection, direction = self.connection, transfer.direction
        connection.orders[direction].append(transfer)
        sender = self.exchange.ends[direction].sender
        transfer.end_bytes = sender.written_bytes + (transfer.unsent_bytes or 1)
        if connection.gone[direction]:
            return
        if transfer.unsent_bytes:
            self.exchange.write(direction, transfer.unsent_bytes)
        else:
            self.exchange.finish(direction)

    def take_over(self) -> None:
        """Give the units that arithmetic has carried so far their places, and write what of them is not sent yet."""
        self._spoilt = ([], [])
        for direction in (UP, DOWN):
            position = self.exchange.ends[1 - direction].receiver.in_order_bytes
            self._delivered_bytes[direction] = position
            for transfer in self.connection.orders[direction]:
                position += transfer.unsent_bytes or 1
                transfer.end_bytes = position
                rest_bytes = transfer.unsent_bytes - transfer.payload_bytes
                if rest_bytes and not self.connection.gone[direction]:
                    self.exchange.write(direction, rest_bytes)

    # Trains

    def arrive(self, train: Transfer) -> None:
        """Take what is left of a train, whose tail has arrived."""
        packets = train.packets
        assert packets is not None
        alive = range(len(packets)) if train.alive is None else train.alive
        for number in alive[train.taken :]:
            self._take(train, number)
        self.end(train)

    def arrive_early(self, train: Transfer, number: int) -> None:
        """Take a packet before its train's tail has arrived."""
        train.taken += 1
        self._take(train, number)

    def end(self, train: Transfer) -> None:
        """Take note that nothing of a train is under way any more."""
        if train.sent_segments:
            self.trains -= 1
        self._settle()

    def hear(self, direction: int, packet: Packet) -> None:
        """Take an acknowledgement that was on its way before anybody looked."""
        if not self.connection.segmented:
            self.heard.append((self.now_ns, direction, packet))
        elif not self.connection.gone[1 - direction]:
            self.exchange.arrived(direction, packet)
            self._settle()

    def _take(self, train: Transfer, number: int) -> None:
        connection, direction = self.connection, train.direction
        assert train.packets is not None
        packet = train.packets[number]
        end = 1 - direction
        if not connection.segmented:
            self.heard.append((self.now_ns, direction, packet))
        elif (connection.gone[end] and type(packet) is not Syn) or (
            type(packet) is Data and not connection.open_ends[end] and self._is_new(direction, packet)
        ):
            self._transport.connections.refuse(connection, end)
        else:
            if number in train.corrupted and type(packet) is Data:
                self._spoilt[direction].append((packet.start, packet.end))
            self._arriving = train
            self.exchange.arrived(direction, packet)

    def _is_new(self, direction: int, packet: Data) -> bool:
        """Say whether a segment brings something to read; a FIN alone does not."""
        fin = packet.end == self.exchange.ends[direction].sender.fin_bytes
        start = max(packet.start, self.exchange.ends[1 - direction].receiver.in_order_bytes)
        return packet.end - fin > start

    # Back to arithmetic

    def _settle(self) -> None:
        """Leave segments alone as soon as all data is where it should be and nothing is the matter."""
        connection, exchange = self.connection, self.exchange
        if self.trains or not connection.segmented or not exchange.set_up.server_ready or any(connection.gone):
            return
        one, other = exchange.ends
        if not (one.sender.calm and other.sender.calm and one.receiver.whole and other.receiver.whole):
            return
        if connection.orders[UP] or connection.orders[DOWN]:
            return
        connection.segmented = False
        connection.log.clear()
        connection.windows = [one.sender.window.segments, other.sender.window.segments]
        self._transport.shadow(connection, (other.receiver, one.receiver))

    # What surrounds the exchange

    @property
    def now_ns(self) -> int:
        """The current instant."""
        return self._transport.clock.now_ns

    def at(self, time_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        """Set an alarm; what was due before is due now."""
        clock = self._transport.clock
        clock.at(max(time_ns, clock.now_ns), self._wake, (action, arguments))

    def _wake(self, alarm: tuple[Callable[..., None], tuple[Any, ...]]) -> None:
        connection = self.connection
        if connection.segmented and connection.wire is self and not self._transport.over:
            action, arguments = alarm
            action(*arguments)
            self._settle()

    def send(self, direction: int, runs: list[list[Packet]]) -> None:
        """Send packets over the network, all of one instant in one train."""
        packets = [packet for run in runs for packet in run]
        if self.opening and type(packets[0]) is Acknowledgement:
            self.opening = False
            if self._opened():
                return
        self._transport.carry(self.connection, direction, packets)

    def _opened(self) -> bool:
        """Take note that the client is connected; return whether its acknowledgement need not be carried.

        Where nothing went wrong arithmetic takes over, unless the acknowledgement is lost.
        """
        connection, exchange = self.connection, self.exchange
        if exchange.retransmissions:
            return False
        if not self._transport.acknowledgements_lost(connection, UP, 1):
            client_ns = exchange.ends[UP].estimate.minimum_ns
            connection.round_trips_ns = (client_ns, self.now_ns - exchange.set_up.synack_sent_ns)
            connection.windows = [exchange.parameters.initial_window] * 2
            connection.segmented = False
            connection.wire = None
        return True

    def accepts(self) -> bool:
        """Ask the server."""
        return self._transport.connections.accepts(self.connection)

    def connected(self) -> None:
        """Tell the client."""
        self._transport.connections.connected(self.connection)

    def failed(self, end: int, reason: str) -> None:
        """Tell the end that gave up."""
        self._transport.connections.failed(self.connection, end, reason)

    def advanced(self, direction: int) -> None:
        """Hand over the units that are complete now."""
        in_order_bytes = self.exchange.ends[1 - direction].receiver.in_order_bytes
        order = self.connection.orders[direction]
        train = self._arriving
        assert train is not None
        while order and order[0].end_bytes <= in_order_bytes:
            transfer = order.popleft()
            start_bytes, end_bytes = self._delivered_bytes[direction], transfer.end_bytes
            self._delivered_bytes[direction] = end_bytes
            spoilt = self._spoilt[direction]
            if any(start < end_bytes and end > start_bytes for start, end in spoilt):
                transfer.damaged = True
                spoilt[:] = [(start, end) for start, end in spoilt if end > end_bytes]
            self._transport.hand_over(transfer, train)


__all__ = ["DOWN", "UP", "Fin", "Reset", "Wire"]
