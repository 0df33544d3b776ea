"""Carries units over connections: windows, trains over hops, loss and recovery, order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from meshsim.network import tcp
from meshsim.network.link import MTU_BYTES
from meshsim.network.medium import NEVER, SharedMedium
from meshsim.network.train import COPY, LOST
from meshsim.world.accounts import NETWORK, RADIO, TCP
from meshsim.world.connection import DOWN, UP, Connection, Path, Transfer
from meshsim.world.hosts import Device, Host

if TYPE_CHECKING:
    from meshsim.network.routing import Topology
    from meshsim.world.clock import Clock

MAXIMUM_RETRIES = 15
"""Retransmissions of one train before the sender gives the connection up (Linux's tcp_retries2)."""


class Syn:
    """The unit that opens a connection."""

    __slots__ = ()


class SynAck:
    """The unit that answers a SYN."""

    __slots__ = ()


class Closed:
    """The unit that ends a connection: FIN or RST."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Copy:
    """What a duplicated packet brings: nothing new, so the receiver drops it."""

    __slots__ = ()


class Transport:
    """Carries transfers. ``deliver`` is called with each that has arrived whole and in order."""

    def __init__(
        self,
        clock: Clock,
        topology: Topology,
        deliver: Callable[[Transfer], None],
        broken: Callable[[Connection, int], None],
    ) -> None:
        self._clock = clock
        self._topology = topology
        self._deliver = deliver
        self._broken = broken
        # Methods that alarms call: to take one from the object makes a new one each time.
        self._when_crossed = self._cross
        self._when_arrived = self._arrive

    # The way between two hosts

    def path(self, connection: Connection, direction: int) -> Path | None:
        """Return the hops of a connection in one direction as routes are now, or None if there is no way."""
        client = connection.client
        version = self._topology.version
        if connection.stamp != version or connection.moves != client.moves:
            connection.stamp = version
            connection.moves = client.moves
            connection.paths = paths = (
                self._hops(client, connection.server, connection.slice, up=True),
                self._hops(client, connection.server, connection.slice, up=False),
            )
            # Path MTU discovery, at once: both ends know what fits.
            mtus_bytes = [hop.mtu_bytes for path in paths if path is not None for hop in path]
            connection.segment_bytes = min(mtus_bytes, default=MTU_BYTES) - tcp.HEADER_BYTES
        return connection.paths[direction]

    def _hops(self, client: Host, server: Host, slice_name: str, *, up: bool) -> Path | None:
        ends = (client.node, server.node) if up else (server.node, client.node)
        route = self._topology.route(*ends)
        if route is None or type(client) is not Device or client.radio is None:
            return route
        uplink, downlink = client.access[slice_name]
        return (uplink, *route) if up else (*route, downlink)

    def latency_ns(self, connection: Connection, direction: int) -> int:
        """Return how long an acknowledgement takes: propagation only, since it is small."""
        path = self.path(connection, direction)
        if path is None:
            return 0
        latency_ns = 0
        for hop in path:
            latency_ns += hop.delay_ns(self._clock.now_ns) if hop.is_radio else hop.latency_ns  # type: ignore[union-attr] # told apart by is_radio
        return latency_ns

    # Sending

    def send(self, transfer: Transfer) -> None:
        """Send a unit; it is delivered after everything that was sent before it on the connection."""
        transfer.connection.orders[transfer.direction].append(transfer)
        self._launch(transfer)

    def send_control(self, connection: Connection, direction: int, unit: object) -> None:
        """Send a SYN, SYN-ACK, FIN or RST: outside the order, and lost for good if it is lost."""
        transfer = Transfer(connection, direction, unit, 0, None)
        transfer.control = True
        path = self.path(connection, direction)
        if path is None:
            return
        transfer.load(tcp.CONTROL_BYTES, 1, self._clock.now_ns)
        transfer.path = path
        transfer.hop = 0
        if path:
            self._enter(transfer)
        else:
            self._clock.at(self._clock.now_ns, self._deliver, transfer)

    def _launch(self, transfer: Transfer) -> None:
        """Send as much as the window allows."""
        connection, direction = transfer.connection, transfer.direction
        now_ns = self._clock.now_ns
        payload_bytes = transfer.unsent_bytes
        segments = 1
        path = self.path(connection, direction)
        segment_bytes = connection.segment_bytes
        if payload_bytes > segment_bytes:
            segments = -(-payload_bytes // segment_bytes)
            window = connection.windows[direction]
            if segments > window:
                segments = window
                payload_bytes = window * segment_bytes
        transfer.load(payload_bytes + segments * tcp.HEADER_BYTES, segments, now_ns)
        transfer.payload_bytes = payload_bytes
        transfer.sent_segments = segments
        transfer.launched_ns = now_ns
        transfer.hop = 0
        if path is None:
            self._lost(transfer)
            return
        transfer.path = path
        if path:
            self._enter(transfer)
        else:
            self._clock.at(now_ns, self._arrive, transfer)

    def _cross(self, transfer: Transfer) -> None:
        """Leave the hop that was crossed last and enter the next."""
        if transfer.path[transfer.hop - 1].leave(transfer):
            self._enter(transfer)
        else:
            self._lost(transfer)

    def _enter(self, transfer: Transfer) -> None:
        """Enter the next hop, at once or when a handover's interruption is over."""
        path, index = transfer.path, transfer.hop
        hop = path[index]
        clock = self._clock
        now_ns = clock.now_ns
        if hop.is_radio and hop.interrupted_until_ns > now_ns:  # type: ignore[union-attr] # told apart by is_radio
            clock.at(hop.interrupted_until_ns, self._enter, transfer)  # type: ignore[union-attr] # as above
            return
        head_ns = hop.enter(transfer, now_ns)
        if head_ns >= 0:
            transfer.hop = index + 1
            if index + 1 == len(path):
                clock.soon(transfer.tail_ns, self._when_arrived, transfer)
            else:
                clock.soon(head_ns, self._when_crossed, transfer)
        elif head_ns == LOST:
            self._lost(transfer)
        else:
            self._watch(hop.medium)  # type: ignore[union-attr] # only hops with a medium have trains wait
        if transfer.copies > 0:
            self._enter_copy(transfer, index)

    def _enter_copy(self, transfer: Transfer, index: int) -> None:
        """Send segments once more behind their originals; the copy goes all the way and takes its bandwidth."""
        copy = Transfer(transfer.connection, transfer.direction, Copy(), 0, None)
        copy.control = True
        copy.load(transfer.size_bytes * transfer.copies // transfer.segments, transfer.copies, self._clock.now_ns)
        copy.copies = COPY
        copy.path = transfer.path
        copy.hop = index
        transfer.copies = 0
        self._enter(copy)

    def _watch(self, medium: SharedMedium) -> None:
        """Call ``advance`` when a medium wants it: earlier than promised if a run was cut."""
        due_ns = medium.next_ns
        if due_ns < medium.wake_ns:
            medium.wake_ns = due_ns
            self._clock.at(due_ns, self._advance, (medium, due_ns))

    def _advance(self, wake: tuple[SharedMedium, int]) -> None:
        medium, due_ns = wake
        if medium.wake_ns != due_ns:
            return
        medium.wake_ns = NEVER
        transfer = medium.advance(due_ns)
        if transfer is not None:
            assert isinstance(transfer, Transfer)
            head_ns = transfer.path[transfer.hop].across(transfer, due_ns)  # type: ignore[union-attr] # it waited there
            if head_ns < 0:
                self._lost(transfer)
            else:
                transfer.hop += 1
                if transfer.hop == len(transfer.path):
                    self._clock.at(transfer.tail_ns, self._arrive, transfer)
                else:
                    self._clock.at(head_ns, self._cross, transfer)
        self._watch(medium)

    def _arrive(self, transfer: Transfer) -> None:
        connection, direction = transfer.connection, transfer.direction
        path = transfer.path
        receiver = connection.server if direction == UP else connection.client
        if (path and not path[-1].leave(transfer)) or not receiver.machine.up:
            self._lost(transfer)
            return
        if transfer.control:
            if type(transfer.unit) is not Copy:
                self._deliver(transfer)
            return
        if transfer.corrupted:
            transfer.damaged = True
        transfer.radio_total_ns += transfer.radio_ns
        windows = connection.windows
        if transfer.alive is not None:
            transfer.lost_segments = transfer.sent_segments - transfer.segments
            transfer.unsent_bytes -= transfer.payload_bytes * transfer.segments // transfer.sent_segments
            transfer.retries = 0  # what arrived is acknowledged, and takes the back-off of the timer back
            windows[direction] = max(tcp.INITIAL_WINDOW, windows[direction] // 2)
            self._recover(transfer)
            return
        transfer.unsent_bytes -= transfer.payload_bytes
        if transfer.unsent_bytes > 0:
            windows[direction] = min(windows[direction] + transfer.sent_segments, tcp.MAXIMUM_WINDOW)
            self._relaunch(transfer, self._clock.now_ns + self.latency_ns(connection, 1 - direction))
            return
        if transfer.sent_segments > 1:
            windows[direction] = min(windows[direction] + transfer.sent_segments, tcp.MAXIMUM_WINDOW)
        order = connection.orders[direction]
        if order[0] is transfer:
            order.popleft()
            self._hand_over(transfer)
            while order and order[0].complete_ns >= 0:
                self._hand_over(order.popleft())
        else:
            transfer.complete_ns = self._clock.now_ns

    # Loss

    def _lost(self, transfer: Transfer) -> None:
        """Nothing of the train arrived, and nobody tells the sender: its retransmission timer does."""
        if transfer.control:
            return
        transfer.lost_segments = transfer.sent_segments
        self._recover(transfer)

    def _recover(self, transfer: Transfer) -> None:
        connection = transfer.connection
        delay_ns = tcp.recovery_delay_ns(
            connection.round_trip_ns,
            transfer.sent_segments,
            transfer.lost_segments,
            tail_lost=transfer.sent_segments - 1 not in (transfer.alive or ()),
            retries=transfer.retries,
        )
        transfer.retries += 1
        now_ns = self._clock.now_ns
        if transfer.lost_segments >= transfer.sent_segments:
            # The time since the launch brought nothing: it was all waiting.
            transfer.waited_ns += now_ns - transfer.launched_ns
        self._relaunch(transfer, max(now_ns, transfer.launched_ns + delay_ns))

    def _relaunch(self, transfer: Transfer, time_ns: int) -> None:
        transfer.waited_ns += time_ns - self._clock.now_ns
        self._clock.at(time_ns, self._resume, transfer)

    def _resume(self, transfer: Transfer) -> None:
        connection, direction = transfer.connection, transfer.direction
        sender = connection.sender(direction)
        if not connection.open_ends[direction] or sender.epoch != transfer.sender_epoch:
            return
        if transfer.retries > MAXIMUM_RETRIES:
            self._broken(connection, direction)
            return
        self._launch(transfer)

    # Arrival

    def _hand_over(self, transfer: Transfer) -> None:
        """Attribute the journey to the call that it was made for, and deliver."""
        account = transfer.account
        if account is not None and account.attempt == transfer.unit.attempt:
            now_ns = self._clock.now_ns
            if transfer.complete_ns >= 0:
                transfer.waited_ns += now_ns - transfer.complete_ns
            parts = account.parts
            parts[RADIO] += transfer.radio_total_ns
            parts[TCP] += transfer.waited_ns
            parts[NETWORK] += now_ns - account.mark_ns - transfer.radio_total_ns - transfer.waited_ns
            account.mark_ns = now_ns
        self._deliver(transfer)


__all__ = ["DOWN", "UP", "Closed", "Copy", "Syn", "SynAck", "Transport"]
