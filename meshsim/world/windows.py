"""What of a unit may be sent at once, by arithmetic, and when the next part of it follows.

An acknowledgement lets its own segments go again, and in slow start as many more. So the train of the next window
begins to leave when the first acknowledgement is back, two segments for each. A window that lasts as long as a round
trip keeps the slowest hop busy, and then it is as if there were none. With trains that is so from three quarters of a
round trip on, which is wrong by a quarter of one at most, once for a unit.

A window that is longer than a round trip stands in a queue, on top of what is there of the window before. Trains do not
know that: each finds what its predecessor left. So a unit that could fill a queue on its way goes by arithmetic only as
long as its windows cannot, and from then on segment by segment, each acknowledgement letting go what it does.
"""

from __future__ import annotations

from meshsim.network import tcp
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_window import after_idle
from meshsim.world.connection import DOWN, UP, Connection, Transfer

SATURATED = 3 / 4
"""Of a round trip: how long a window has to last on the slowest hop to keep it busy."""


def load(transfer: Transfer, parameters: TcpParameters, now_ns: int) -> bool:
    """Load a transfer with the train that can be sent now; return False if only a closer look can tell.

    That is where other units are under way in the same direction and the window is too small for all of them.
    """
    connection, direction = transfer.connection, transfer.direction
    if not connection.paths[direction]:
        _load(transfer, _segments(transfer), now_ns)  # the ends are on one node: no window is ever in the way
        return True
    order = connection.orders[direction]
    if order and order[-1].unsent_bytes > order[-1].payload_bytes:
        return False
    segments = _segments(transfer)
    in_flight = _in_flight(connection, direction, now_ns)
    if not in_flight:
        _restart_after_idle(connection, direction, parameters, now_ns)
    window = connection.windows[direction]
    if in_flight + segments > window and (in_flight or may_overflow(transfer, parameters)):
        return False
    transfer.held = 0
    _load_window(transfer, segments, in_flight, parameters, now_ns)
    return True


def may_overflow(transfer: Transfer, parameters: TcpParameters) -> bool:
    """Say whether the next window of a unit, or the one after it, may find a queue on its way full.

    It cannot if all that is left takes no more than half of the shortest queue: the other half is for others.
    """
    connection, direction = transfer.connection, transfer.direction
    way, window = connection.ways[direction], connection.windows[direction]
    if _fits(transfer, parameters):
        return False
    round_trip_ns = _travel_ns(connection, UP) + _travel_ns(connection, DOWN)
    stands = 2 * window * way.segment_ns >= round_trip_ns * SATURATED
    return stands or 2 * window * (connection.segment_bytes + tcp.HEADER_BYTES) > way.queue_bytes


def _fits(transfer: Transfer, parameters: TcpParameters) -> bool:
    connection = transfer.connection
    segments = min(_segments(transfer), parameters.maximum_window)
    packet_bytes = connection.segment_bytes + tcp.HEADER_BYTES
    return 2 * segments * packet_bytes <= connection.ways[transfer.direction].queue_bytes


def load_more(transfer: Transfer, parameters: TcpParameters, now_ns: int, apart_ns: int) -> None:
    """Load a transfer with its next train, two segments of which leave every ``apart_ns``."""
    _load_window(transfer, _segments(transfer), transfer.held, parameters, now_ns)
    transfer.tail_ns += (transfer.sent_segments - 1) // 2 * apart_ns


def next_window_ns(transfer: Transfer, segments: int, back_ns: int, now_ns: int) -> tuple[int, int]:
    """Return when the train after one of ``segments`` begins to leave, which has just arrived, and the gap in that one.

    ``back_ns`` is how long an acknowledgement takes.
    """
    apart_ns = (now_ns - transfer.head_ns) // max(1, segments - 1)
    first_ns = transfer.head_ns + back_ns
    if _converses(transfer.connection, 1 - transfer.direction):
        # Every second segment is acknowledged; one that is left over waits for the next to come.
        if segments > 1:
            first_ns += apart_ns
        transfer.held = (transfer.held + segments) & 1
    return max(now_ns, first_ns), apart_ns


def _segments(transfer: Transfer) -> int:
    return max(1, -(-transfer.unsent_bytes // transfer.connection.segment_bytes))


def _load_window(transfer: Transfer, segments: int, in_flight: int, parameters: TcpParameters, now_ns: int) -> None:
    """Load as many of the segments that are left as the window allows, and set how late they may be."""
    connection, direction = transfer.connection, transfer.direction
    way, window = connection.ways[direction], connection.windows[direction]
    if segments == 1 and in_flight < window:
        # What nearly every message is: nothing depends on the round trip.
        _load(transfer, 1, now_ns)
        if 2 * (in_flight + 1) > window:
            transfer.window = window
        transfer.limit_ns = now_ns + connection.patience_ns
        return
    round_trip_ns = _travel_ns(connection, UP) + _travel_ns(connection, DOWN)
    if in_flight + segments > window:
        # Where a queue may be too short for all of it, only the windows say what waits there at a time.
        if window * way.segment_ns < round_trip_ns * SATURATED or not _fits(transfer, parameters):
            segments = max(1, window - in_flight)
        segments = min(segments, parameters.maximum_window)
    _load(transfer, segments, now_ns)
    if 2 * (in_flight + segments) > window:
        transfer.window = window
    # A tail loss probe comes after two round trips, and two ticks more, without an acknowledgement.
    probe_ns = 2 * round_trip_ns + 2 * parameters.tick_ns - connection.ways[1 - direction].latency_ns
    patience_ns = connection.patience_ns
    transfer.limit_ns = now_ns + (patience_ns if segments == 1 else min(probe_ns, patience_ns))


def _load(transfer: Transfer, segments: int, now_ns: int) -> None:
    size_bytes = min(transfer.unsent_bytes, segments * transfer.connection.segment_bytes)
    transfer.load(size_bytes + segments * tcp.HEADER_BYTES, segments, now_ns)
    transfer.payload_bytes = size_bytes
    transfer.sent_segments = segments
    transfer.window = 0


def _in_flight(connection: Connection, direction: int, now_ns: int) -> int:
    """Segments that were sent and whose acknowledgements are not back."""
    segments = 0
    for transfer in connection.orders[direction]:
        segments += transfer.sent_segments
    back_ns = _travel_ns(connection, 1 - direction)
    for way, _, _, tail_ns, size_bytes, _ in reversed(connection.log):
        if tail_ns + back_ns <= now_ns:
            break
        if way == direction:
            segments += max(1, -(-size_bytes // connection.segment_bytes))
    return segments


def _travel_ns(connection: Connection, direction: int) -> int:
    """The shortest time in which a train's head arrived lately, or half of what set-up took."""
    least_ns = -1
    for way, launched_ns, head_ns, _, _, _ in connection.log:
        if way == direction:
            travel_ns = head_ns - launched_ns
            if travel_ns < least_ns or least_ns < 0:
                least_ns = travel_ns
    return least_ns if least_ns >= 0 else connection.round_trips_ns[0] // 2


def _restart_after_idle(connection: Connection, direction: int, parameters: TcpParameters, now_ns: int) -> None:
    """Halve the window for each retransmission timeout in which nothing was sent, down to the initial one."""
    window, wire = connection.windows[direction], connection.wire
    sent_ns = [launched_ns for way, launched_ns, _, _, _, _ in connection.log if way == direction]
    if wire is not None:
        sender = wire.exchange.ends[direction].sender
        sent_ns = sent_ns or [sender.last_sent_ns]
        sender.window.pause(now_ns - sent_ns[-1], now_ns)
    elif window <= parameters.initial_window:
        return
    if not sent_ns:
        return
    round_trip_ns = _travel_ns(connection, UP) + _travel_ns(connection, DOWN)
    rto_ns = round_trip_ns + max(round_trip_ns, parameters.minimum_rto_ns)
    idle_ns = now_ns - sent_ns[-1]
    if wire is not None:
        sender.window.segments = window
        sender.window.restart(idle_ns, rto_ns)
    connection.windows[direction] = after_idle(window, parameters, idle_ns, rto_ns)


def _converses(connection: Connection, end: int) -> bool:
    """Say whether an end has sent after it had received: then its acknowledgements may wait to ride on something."""
    received = False
    for way, _, _, _, _, _ in connection.log:
        if way != end:
            received = True
        elif received:
            return True
    return False
