"""From arithmetic to segments: a connection's exchange learns what it has missed."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from meshsim.network.tcp_replay import Heard, Launch, catch_up
from meshsim.world.connection import DOWN, LOG_PASSAGES, UP, Connection

if TYPE_CHECKING:
    from meshsim.world.transport import Transport
    from meshsim.world.wire import Wire


def look_closer(
    transport: Transport,
    connection: Connection,
    lost: tuple[int, Collection[int]] | None,
    *,
    cut: bool = False,
) -> None:
    """Carry a connection at segment level from now on.

    Trains that are under way get their packets. Of the acknowledgements on their way those are ``lost`` that it names:
    their direction, and their places counted from the last one that was sent; with ``cut``, all.
    """
    ways = transport.ways
    acknowledgement_ns = (ways.acknowledgement_ns(connection, UP), ways.acknowledgement_ns(connection, DOWN))
    wire = connection.wire
    if wire is None:
        wire = connection.wire = transport.wire(connection)
        client_ns, synack_ns = connection.round_trips_ns
        wire.exchange.establish((client_ns, synack_ns + acknowledgement_ns[UP]))
    if len(connection.log) == LOG_PASSAGES:
        # What was before the log is over.
        wire.heard.clear()
        for end in wire.exchange.ends:
            end.sender.rest()
            end.receiver.converse(connection.log[0][1])
    trains = [train for order in connection.orders for train in order if train.sent_segments]
    launches: list[Launch] = [
        (train.direction, train.launched_ns, train.payload_bytes, train.sent_segments, train.window) for train in trains
    ]
    for direction in (UP, DOWN):
        if not any(each[0] == direction and each[-1] for each in (*connection.log, *launches)):
            wire.exchange.ends[direction].sender.window.segments = connection.windows[direction]
    packets, acknowledgements = catch_up(wire.exchange, connection.log, launches, wire.heard, acknowledgement_ns)
    connection.log.clear()
    wire.heard.clear()
    for train, its_packets in zip(trains, packets, strict=True):
        train.packets = its_packets
        train.taken = 0
        if train.hop == len(train.path):
            wire.tails_ns[train.direction] = train.tail_ns
    wire.trains += len(trains)
    connection.segmented = True
    connection.shadows = None
    wire.exchange.wake()
    wire.take_over()
    if not cut:
        _hear(transport, wire, acknowledgements, lost)


def _hear(
    transport: Transport, wire: Wire, acknowledgements: list[Heard], lost: tuple[int, Collection[int]] | None
) -> None:
    """Have the acknowledgements arrive that are on their way, but for those that are lost."""
    clock = transport.clock
    places = [0, 0]
    for time_ns, direction, packet in reversed(acknowledgements):
        place, places[direction] = places[direction], places[direction] + 1
        if lost is None or direction != lost[0] or place not in lost[1]:
            clock.at(max(time_ns, clock.now_ns), _arrive, (wire, direction, packet))


def _arrive(arrival: tuple[Wire, int, object]) -> None:
    wire, direction, packet = arrival
    wire.hear(direction, packet)  # type: ignore[arg-type] # a packet, as it was put in
