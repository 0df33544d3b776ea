"""TCP connections: opened by SYN, closed by FIN or RST, broken by crashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.sidecar import events
from meshsim.world.connection import DOWN, UP, Connection
from meshsim.world.wire import Fin, Reset

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
        self._state.transport.open(connection)

    # Told by TCP

    def accepts(self, connection: Connection) -> bool:
        """Have the server accept a connection whose SYN has arrived; return whether it does."""
        if not connection.open_ends[UP]:
            return False
        if not connection.server.up:
            self.reset(connection, DOWN, "connection refused")  # the node is up, and nobody listens
            return False
        connection.gone[DOWN] = False
        if not connection.open_ends[DOWN]:
            connection.open_ends[DOWN] = True
            self._state.memory.connected(connection.server)
            addresses = self._state.addresses
            source_ip = addresses.of(connection.client) if addresses is not None else ""
            accepted = events.ConnectionAccepted(connection.connection_id, connection.port, source_ip)
            self._driver.tell(connection.server, accepted)
        return True

    def connected(self, connection: Connection) -> None:
        """Tell the client that the server has answered."""
        connection.established = True
        connection.t_established_ns = self._clock.now_ns
        self._driver.tell(connection.client, events.TcpEstablished(connection.connection_id))

    def failed(self, connection: Connection, direction: int, reason: str) -> None:
        """Take note that the end that sends in ``direction`` has given the connection up."""
        self._state.transport.forget(connection, direction)
        self._lose(connection, direction, reason)

    def ended(self, connection: Connection, direction: int, unit: Fin | Reset) -> None:
        """Act on a FIN or RST that has arrived at the end that sends in ``direction``."""
        if type(unit) is Reset:
            self.lost(connection, direction, unit.reason)
        elif connection.open_ends[direction]:
            self._lose(connection, direction, unit.reason)
            self._state.transport.finish(connection, direction, unit.reason)
        elif connection.gone[direction]:
            self.reset(connection, direction, "connection reset by peer")
        else:
            self._state.transport.destinations.learn(connection)

    def refuse(self, connection: Connection, direction: int) -> None:
        """Answer data for an end that is closed, or knows nothing of the connection, with a RST; it is over then."""
        self._state.transport.forget(connection, direction)
        self.reset(connection, direction, "connection reset by peer")

    # Told by the world

    def close(self, connection: Connection, direction: int, reason: str) -> None:
        """Close the end that sends in ``direction``: the other hears of it after all that was sent."""
        self._shut(connection, direction, reason)
        if connection.established:
            self._state.transport.finish(connection, direction, reason)
        else:
            self._state.transport.forget(connection, direction)
            if direction == DOWN:
                self.reset(connection, DOWN, reason)

    def reset(self, connection: Connection, direction: int, reason: str) -> None:
        """Have the end that sends in ``direction`` answer something that it knows nothing of with a RST."""
        if not connection.gone[1 - direction]:
            self._state.transport.send_reset(connection, direction, reason)

    def lost(self, connection: Connection, direction: int, reason: str) -> None:
        """Have the end that sends in ``direction`` lose the connection at once."""
        self._state.transport.forget(connection, direction)
        self._lose(connection, direction, reason)

    def crashed(self, connection: Connection, direction: int) -> None:
        """Take note that the end that sends in ``direction`` lost its memory; the other end knows nothing of it."""
        self._state.transport.forget(connection, direction)
        if connection.open_ends[direction]:
            self._shut(connection, direction, "node crashed")

    def _lose(self, connection: Connection, direction: int, reason: str) -> None:
        if connection.open_ends[direction]:
            self._shut(connection, direction, reason)
            self._driver.tell(connection.sender(direction), events.ConnectionLost(connection.connection_id, reason))

    def _shut(self, connection: Connection, direction: int, reason: str) -> None:
        if connection.open_ends[direction]:
            connection.open_ends[direction] = False
            self._state.memory.disconnected(connection.sender(direction))
        self._handshakes.broken(connection, reason)
        if not any(connection.open_ends):
            self._state.connections.pop(connection.connection_id, None)
