"""TCP connections: opened by SYN, closed by FIN or RST, broken by crashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.network import tcp
from meshsim.sidecar import events
from meshsim.world.connection import DOWN, UP, Connection
from meshsim.world.transport import Closed, Syn, SynAck

if TYPE_CHECKING:
    from meshsim.sidecar.commands import OpenConnection
    from meshsim.world.driver import Driver
    from meshsim.world.handshakes import Handshakes
    from meshsim.world.hosts import Host
    from meshsim.world.state import State


class Connections:
    """Opens and ends connections, and tells both ends in the time it takes."""

    def __init__(self, state: State, driver: Driver, handshakes: Handshakes) -> None:
        self._state = state
        self._clock = state.clock
        self._driver = driver
        self._handshakes = handshakes

    def open(self, host: Host, command: OpenConnection) -> None:
        """Send the first SYN."""
        server = self._state.replicas[command.endpoint_id - 1]
        cipher = self._handshakes.default_cipher
        connection_id, now_ns = command.connection_id, self._clock.now_ns
        connection = Connection(connection_id, host, server, command.slice, command.port, cipher, now_ns)
        self._state.connections[command.connection_id] = connection
        self._state.memory.connected(host)
        self._syn(connection)

    def _syn(self, connection: Connection) -> None:
        """Send a SYN, and another when no answer came in time."""
        if connection.established or not connection.open_ends[UP]:
            return
        if connection.attempts > tcp.SYN_RETRIES:
            self.lost(connection, UP, "connection timed out")
            return
        self._state.transport.send_control(connection, UP, Syn())
        self._clock.at(self._clock.now_ns + tcp.syn_timeout_ns(connection.attempts), self._syn, connection)
        connection.attempts += 1

    def control_arrived(self, connection: Connection, direction: int, unit: object) -> None:
        """Act on a SYN, SYN-ACK, FIN or RST that has arrived."""
        if type(unit) is Syn:
            if not connection.server.up:
                self.reset(connection, DOWN, "connection refused")  # the node is up, and nobody listens
                return
            if not connection.open_ends[DOWN] and connection.open_ends[UP]:
                connection.open_ends[DOWN] = True
                self._state.memory.connected(connection.server)
                addresses = self._state.addresses
                source_ip = addresses.of(connection.client) if addresses is not None else ""
                accepted = events.ConnectionAccepted(connection.connection_id, connection.port, source_ip)
                self._driver.tell(connection.server, accepted)
            self._state.transport.send_control(connection, DOWN, SynAck())
        elif type(unit) is SynAck:
            if connection.open_ends[UP] and not connection.established:
                now_ns = self._clock.now_ns
                connection.established = True
                connection.t_established_ns = now_ns
                # The sample that TCP takes; after a lost SYN it is that of the last one.
                sent_ns = connection.t_open_ns + sum(map(tcp.syn_timeout_ns, range(connection.attempts - 1)))
                connection.round_trip_ns = now_ns - sent_ns if now_ns > sent_ns else now_ns - connection.t_open_ns
                self._driver.tell(connection.client, events.TcpEstablished(connection.connection_id))
        else:
            assert type(unit) is Closed
            self.lost(connection, 1 - direction, unit.reason)

    def close(self, connection: Connection, direction: int, reason: str) -> None:
        """Close the end that sends in ``direction``, and send the other a FIN after what is still on its way."""
        self._shut(connection, direction, reason)
        if connection.open_ends[1 - direction]:
            self._state.transport.send_control(connection, direction, Closed(reason))

    def reset(self, connection: Connection, direction: int, reason: str) -> None:
        """Answer a unit for a connection that the receiver does not know with a RST."""
        if connection.open_ends[1 - direction]:
            self._state.transport.send_control(connection, direction, Closed(reason))

    def lost(self, connection: Connection, direction: int, reason: str) -> None:
        """Tell the end that sends in ``direction`` that its connection is gone."""
        if not connection.open_ends[direction]:
            return
        self._shut(connection, direction, reason)
        event = events.ConnectionLost(connection.connection_id, reason)
        self._driver.tell(connection.sender(direction), event)

    def broken(self, connection: Connection, direction: int) -> None:
        """Take note that retransmission was given up."""
        self.lost(connection, direction, "no acknowledgement")

    def crashed(self, connection: Connection, direction: int) -> None:
        """Take note that the end that sends in ``direction`` lost its memory; the other end knows nothing of it."""
        if connection.open_ends[direction]:
            self._shut(connection, direction, "node crashed")

    def _shut(self, connection: Connection, direction: int, reason: str) -> None:
        if connection.open_ends[direction]:
            connection.open_ends[direction] = False
            self._state.memory.disconnected(connection.sender(direction))
        self._handshakes.broken(connection, reason)
        if not any(connection.open_ends):
            self._state.connections.pop(connection.connection_id, None)
