"""Acknowledgements where they may be lost while arithmetic carries the data.

Where nothing is lost at random, acknowledgements need not be looked at. Elsewhere the receiving half of a connection is
followed for each train, so that every acknowledgement that Linux would send meets the loss of the links on its way. One
that is lost is a reason for a closer look: maybe another one makes up for it, maybe a timer goes off.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from meshsim.network.tcp_loss import NEVER
from meshsim.network.tcp_receiver import Receiver
from meshsim.world.connection import Connection

if TYPE_CHECKING:
    from meshsim.world.transport import Transport


class Shadowing:
    """Follows receivers of connections whose acknowledgements may be lost."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def begin(self, connection: Connection, receivers: tuple[Receiver, Receiver]) -> None:
        """Go on from what the receivers of an exchange know, by direction of the data."""
        if connection.lossy:
            connection.shadows = shadows = [copy.copy(receiver) for receiver in receivers]
            for direction, shadow in enumerate(shadows):
                self._watch(connection, direction, shadow)

    def sent(self, connection: Connection, direction: int) -> None:
        """Take note that an end sends data, and an acknowledgement with it."""
        assert connection.shadows is not None
        shadow = connection.shadows[1 - direction]
        shadow.acknowledgement_sent()
        shadow.data_sent(self._transport.clock.now_ns)

    def arrived(self, connection: Connection, direction: int, size_bytes: int) -> None:
        """Acknowledge a train of which nothing was lost."""
        transport = self._transport
        shadows = connection.shadows
        if shadows is None:
            parameters = transport.ways.parameters_of(connection.segment_bytes)
            shadows = connection.shadows = [Receiver(parameters), Receiver(parameters)]
        shadow = shadows[direction]
        now_ns = transport.clock.now_ns
        left_bytes, count = size_bytes or 1, 0
        while left_bytes:
            start = shadow.in_order_bytes
            taken_bytes = min(left_bytes, connection.segment_bytes)
            left_bytes -= taken_bytes
            if shadow.receive(start, start + taken_bytes, now_ns, now_ns):
                shadow.acknowledgement_sent()
                count += 1
        self._watch(connection, direction, shadow)
        if count:
            self._send(connection, 1 - direction, count)

    def lost(self, connection: Connection, direction: int, count: int) -> set[int]:
        """Return which of ``count`` acknowledgements are lost, counted from the last."""
        alive = list(range(count))
        for link in connection.ways[direction].lossy:
            for position in reversed(link.strike_acknowledgements(len(alive)) if alive else ()):
                del alive[position]
        return {count - 1 - position for position in range(count) if position not in alive}

    def _send(self, connection: Connection, direction: int, count: int) -> None:
        lost = self.lost(connection, direction, count)
        if lost:
            self._transport.look_closer(connection, (direction, lost))

    def _watch(self, connection: Connection, direction: int, shadow: Receiver) -> None:
        due_ns = shadow.timer_ns
        if due_ns != NEVER:
            clock = self._transport.clock
            clock.at(max(due_ns, clock.now_ns), self._late, (connection, direction, shadow, due_ns))

    def _late(self, alarm: tuple[Connection, int, Receiver, int]) -> None:
        """Send an acknowledgement that has waited long enough for something to ride on."""
        connection, direction, shadow, due_ns = alarm
        shadows = connection.shadows
        if shadows is not None and shadows[direction] is shadow and shadow.timer_ns == due_ns:
            shadow.acknowledgement_sent()
            self._send(connection, 1 - direction, 1)
