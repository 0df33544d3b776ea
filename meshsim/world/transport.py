"""Carries units over connections: windows, trains over hops, order. What goes wrong is TCP's, segment by segment.

A unit of which nothing is lost, overtaken or too late is carried by arithmetic, a train for each window; its connection
only keeps a log of when trains were sent and arrived. Else ``look_closer`` has the exchange of the connection catch up,
and its ``Wire`` carries every packet until nothing is the matter any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.network import tcp
from meshsim.network.tcp_packets import Acknowledgement, Data, Packet
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.train import NO_LIMIT
from meshsim.world.accounts import NETWORK, RADIO, TCP
from meshsim.world.closer_look import look_closer
from meshsim.world.connection import DOWN, UP, Connection, Path, Transfer
from meshsim.world.crossing import Copy, Crossing
from meshsim.world.destinations import Destinations
from meshsim.world.shadowing import Shadowing
from meshsim.world.ways import Ways
from meshsim.world.windows import load, load_more, may_overflow, next_window_ns
from meshsim.world.wire import Fin, Reset, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from meshsim.network.link import LinkDirection
    from meshsim.network.tcp_receiver import Receiver
    from meshsim.world.alarms import Alarm
    from meshsim.world.connections import Connections
    from meshsim.world.state import State

RECENT_NS = 2 * tcp.S
"""What was sent longer ago is acknowledged for sure."""


class Transport(Crossing):
    """Carries transfers. ``deliver`` is called with each that has arrived whole and in order."""

    connections: Connections
    """Set when the world is assembled."""

    def __init__(self, state: State, parameters: TcpParameters, deliver: Callable[[Transfer], Alarm | None]) -> None:
        super().__init__(state.clock)
        self._state = state
        self._deliver = deliver
        self.parameters = parameters
        self.ways = ways = Ways(state.clock, state.topology, parameters)
        self._path = ways.path
        self._topology = state.topology
        self._shadowing = Shadowing(self)
        self.destinations = Destinations(state.clock, parameters)

    @property
    def over(self) -> bool:
        """Whether nothing matters any more: TCP rests too."""
        return self._state.over

    # Sending

    def open(self, connection: Connection) -> None:
        """Send the first SYN."""
        self._path(connection, UP)
        connection.wire = wire = self.wire(connection)
        wire.exchange.open()

    def wire(self, connection: Connection) -> Wire:
        """Return a new wire."""
        parameters = self.ways.parameters_of(connection.segment_bytes)
        return Wire(self, connection, parameters, self.destinations.of(connection))

    def finish(self, connection: Connection, direction: int, reason: str) -> None:
        """Send a FIN behind everything that an end has sent."""
        self.send(Transfer(connection, direction, Fin(reason), 0, None))

    def send(self, transfer: Transfer) -> None:
        """Send a unit; it is delivered after everything that was sent before it on the connection."""
        self._clock.put(self.dispatch(transfer))

    def dispatch(self, transfer: Transfer) -> Alarm | None:
        """Do the same as the last thing that an action does; return what follows, which it has to return."""
        connection, direction = transfer.connection, transfer.direction
        if connection.segmented:
            assert connection.wire is not None
            connection.wire.write(transfer)
            return None
        if connection.stamp == self._topology.version and connection.moves == connection.client.moves:
            path = connection.paths[direction]  # what ``Ways`` would return
        else:
            path = self._path(connection, direction)
        order = connection.orders[direction]
        clock = self._clock
        now_ns = clock.now_ns
        size_bytes = transfer.unsent_bytes
        if path and not order and size_bytes <= connection.segment_bytes:
            # As ``load``, ``_launch`` and ``_enter``, in this place: each call for each message counts.
            transfer.size_bytes = size_bytes + tcp.HEADER_BYTES
            transfer.segments = transfer.sent_segments = 1
            transfer.tail_ns = transfer.launched_ns = now_ns
            transfer.radio_ns = transfer.epoch = transfer.copies = transfer.window = 0
            transfer.alive = None
            transfer.corrupted = ()
            transfer.limit_ns = limit_ns = now_ns + connection.patience_ns
            transfer.payload_bytes = size_bytes
            order.append(transfer)
            if connection.shadows is not None:
                self._shadowing.sent(connection, direction)
            transfer.path = path
            head_ns = path[0].enter(transfer, now_ns)
            if head_ns > limit_ns or transfer.copies > 0 or len(path) == 1:
                transfer.hop = 0
                return self._entered(transfer, head_ns)
            transfer.hop = 1
            clock.order = place = clock.order + 1
            return head_ns, place, self._when_crossed, transfer
        if path is None or not load(transfer, self.parameters, now_ns):
            self.look_closer(connection)
            assert connection.wire is not None
            connection.wire.write(transfer)
            return None
        order.append(transfer)
        if connection.shadows is not None:
            self._shadowing.sent(connection, direction)
        return self._launch(transfer, path)

    def carry(self, connection: Connection, direction: int, packets: Sequence[Packet]) -> None:
        """Send packets at segment level."""
        train = Transfer(connection, direction, None, 0, None)
        train.load(sum(packet.size_bytes for packet in packets), len(packets), self._clock.now_ns)
        train.packets = packets
        train.taken = 0
        # What tells of a hole may bring about a retransmission, as data may.
        train.sent_segments = sum(
            type(packet) is Data or (type(packet) is Acknowledgement and packet.sacks != ()) for packet in packets
        )
        wire = connection.wire
        assert wire is not None
        wire.trains += train.sent_segments > 0
        path = self._path(connection, direction)
        if path is None:
            wire.end(train)
        else:
            self._clock.put(self._launch(train, path))

    def send_reset(self, connection: Connection, direction: int, reason: str) -> None:
        """Send a RST: outside the stream, and lost for good if it is lost."""
        path = self._path(connection, direction)
        if path is not None:
            transfer = Transfer(connection, direction, Reset(reason), 0, None)
            transfer.control = True
            transfer.load(tcp.RESET_BYTES, 1, self._clock.now_ns)
            self._clock.put(self._launch(transfer, path))

    def forget(self, connection: Connection, end: int) -> None:
        """Have an end's TCP forget a connection: it repeats and acknowledges nothing any more."""
        connection.gone[end] = True
        if connection.wire is not None:
            connection.wire.exchange.drop(end)

    # Arrival

    def _arrive(self, transfer: Transfer) -> Alarm | None:
        connection, direction = transfer.connection, transfer.direction
        path = transfer.path
        receiver = connection.server if direction == UP else connection.client
        if path:
            last = path[-1]
            if last.epoch == transfer.epoch:
                last.delivered_bytes += transfer.size_bytes  # what ``leave`` does
            elif not last.leave(transfer):
                self._lost(transfer)
                return None
        if not receiver.machine.up:
            self._lost(transfer)
            return None
        if transfer.packets is not None:
            assert connection.wire is not None
            connection.wire.arrive(transfer)
            return None
        order = connection.orders[direction]
        if not order or order[0] is not transfer:
            return self._arrive_apart(transfer)
        now_ns = self._clock.now_ns
        size_bytes = transfer.payload_bytes
        window = transfer.window
        connection.log.append((direction, transfer.launched_ns, transfer.head_ns, now_ns, size_bytes, window))
        if transfer.corrupted:
            transfer.damaged = True
        if transfer.radio_ns:
            transfer.radio_total_ns += transfer.radio_ns
        if window:
            self._grow(connection, direction, transfer.sent_segments)
        if size_bytes == transfer.unsent_bytes:
            order.popleft()
            if connection.lossy:
                self._shadowing.arrived(connection, direction, size_bytes)
            return self._hand_over(transfer)
        transfer.unsent_bytes -= size_bytes
        segments, transfer.sent_segments, transfer.payload_bytes = transfer.sent_segments, 0, 0
        if connection.lossy:
            self._shadowing.arrived(connection, direction, size_bytes)
        if not connection.segmented:
            back_ns = self.ways.acknowledgement_ns(connection, 1 - direction)
            next_ns, apart_ns = next_window_ns(transfer, segments, back_ns, now_ns)
            transfer.waited_ns += next_ns - now_ns
            self._clock.at(next_ns, self._resume, (transfer, apart_ns))
        return None

    def _arrive_apart(self, transfer: Transfer) -> Alarm | None:
        """Take what is outside of its stream, or not the first of it."""
        if transfer.control:
            return None if type(transfer.unit) is Copy else self._deliver(transfer)
        connection = transfer.connection
        self.look_closer(connection)
        assert connection.wire is not None
        connection.wire.arrive(transfer)
        return None

    def _grow(self, connection: Connection, direction: int, segments: int) -> None:
        """Open a window that was in the way."""
        window_before, most = connection.windows[direction], self.parameters.maximum_window
        if connection.wire is None:
            connection.windows[direction] = min(window_before + segments, most)  # slow start: nothing was ever lost
        else:
            window = connection.wire.exchange.ends[direction].sender.window
            if window_before < window.threshold or segments >= window_before:
                window.segments = window_before
                window.regrow(segments, self._clock.now_ns)
                connection.windows[direction] = window.segments

    def _resume(self, resumed: tuple[Transfer, int]) -> None:
        """Send as much more of a unit as the window allows now; the segments before were so far apart."""
        transfer, apart_ns = resumed
        connection, direction = transfer.connection, transfer.direction
        order = connection.orders[direction]
        if connection.segmented or connection.gone[direction] or not order or order[0] is not transfer:
            return
        path = self._path(connection, direction)
        if path is None or may_overflow(transfer, self.parameters):
            self.look_closer(connection)
        else:
            load_more(transfer, self.parameters, self._clock.now_ns, apart_ns)
            self._clock.put(self._launch(transfer, path))

    # Trouble

    def _lost(self, transfer: Transfer) -> None:
        """Nothing of a train will arrive, and nobody tells its sender."""
        if transfer.control:
            return
        connection = transfer.connection
        if not connection.segmented:
            self.look_closer(connection)
        assert connection.wire is not None
        connection.wire.end(transfer)

    def _doubt(self, transfer: Transfer) -> None:
        """Look closer at a connection of which something was lost or may be too late."""
        transfer.limit_ns = NO_LIMIT
        if not transfer.control and not transfer.connection.segmented:
            self.look_closer(transfer.connection)

    def _way_now(self, transfer: Transfer) -> Path | None:
        return self._path(transfer.connection, transfer.direction)

    def _watch_for_delay(self, transfer: Transfer) -> None:
        """Come back if a train still waits when it should have arrived."""
        connection, direction = transfer.connection, transfer.direction
        if not connection.watching[direction]:
            connection.watching[direction] = True
            self._clock.at(max(transfer.limit_ns, self._clock.now_ns), self._look_for_delay, (connection, direction))

    def _look_for_delay(self, watched: tuple[Connection, int]) -> None:
        connection, direction = watched
        connection.watching[direction] = False
        order = connection.orders[direction]
        if connection.segmented or not order or not order[0].sent_segments:
            return
        if order[0].limit_ns > self._clock.now_ns:
            self._watch_for_delay(order[0])
        else:
            self.look_closer(connection)

    def look_closer(self, connection: Connection, lost: tuple[int, Collection[int]] | None = None) -> None:
        """Carry a connection at segment level from now on: see ``closer_look``."""
        look_closer(self, connection, lost)

    def cut(self, links: Collection[LinkDirection]) -> None:
        """Take note that links were cut: acknowledgements on their way over them are lost."""
        for connection in list(self._state.connections.values()):
            if connection.segmented or not any(hop in links for path in connection.paths for hop in path or ()):
                continue
            busy = connection.orders[UP] or connection.orders[DOWN]
            if busy or (connection.log and connection.log[-1][3] > self._clock.now_ns - RECENT_NS):
                look_closer(self, connection, None, cut=True)

    def acknowledgements_lost(self, connection: Connection, direction: int, count: int) -> set[int]:
        """Return which of ``count`` acknowledgements that are sent now are lost on their way."""
        self._path(connection, direction)
        return self._shadowing.lost(connection, direction, count)

    def shadow(self, connection: Connection, receivers: tuple[Receiver, Receiver]) -> None:
        """Follow from now on what receivers, by direction of the data, do about acknowledgements."""
        self._shadowing.begin(connection, receivers)

    # Delivery

    def hand_over(self, transfer: Transfer, train: Transfer) -> None:
        """Deliver a unit of which ``train`` brought what was missing: the rest of the time it waited for that."""
        now_ns = self._clock.now_ns
        account = transfer.account
        if account is not None:
            took_ns = min(now_ns - train.launched_ns, now_ns - account.mark_ns)
            transfer.radio_total_ns = min(train.radio_ns, took_ns)
            transfer.waited_ns = now_ns - account.mark_ns - took_ns
        self._clock.put(self._hand_over(transfer))

    def _hand_over(self, transfer: Transfer) -> Alarm | None:
        """Attribute the journey to the call that it was made for, and deliver."""
        account = transfer.account
        if account is not None and account.attempt == transfer.unit.attempt:
            now_ns = self._clock.now_ns
            parts, took_ns = account.parts, now_ns - account.mark_ns
            radio_ns, waited_ns = transfer.radio_total_ns, transfer.waited_ns
            if radio_ns or waited_ns:
                parts[RADIO] += radio_ns
                parts[TCP] += waited_ns
                took_ns -= radio_ns + waited_ns
            parts[NETWORK] += took_ns
            account.mark_ns = now_ns
        return self._deliver(transfer)
