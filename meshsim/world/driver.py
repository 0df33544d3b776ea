"""Carries out what sidecars command, in one place, and charges what it costs on the CPU of their machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshsim.sidecar import commands, events
from meshsim.sidecar.answers import tells_of_the_mesh
from meshsim.sidecar.messages import RequestMessage, ResponseMessage
from meshsim.sidecar.proxy import HANDLERS
from meshsim.sidecar.resilience import response_flags
from meshsim.sidecar.timers import NEVER
from meshsim.world.accounts import BACKOFF, CRYPTO, HANDSHAKE, INJECTED, OTHER, PROXY, QUEUE, TCP, Account
from meshsim.world.connection import DOWN, UP, Connection, Transfer
from meshsim.world.damage import Damage
from meshsim.world.deciding import Deciding
from meshsim.world.wire import Fin, Reset

if TYPE_CHECKING:
    from meshsim.sidecar.timers import Timers
    from meshsim.world.alarms import Alarm
    from meshsim.world.connections import Connections
    from meshsim.world.handshakes import Handshakes
    from meshsim.world.hosts import Host, Replica
    from meshsim.world.obeying import Obeying
    from meshsim.world.state import State
    from meshsim.world.waypoints import SendingOn
    from meshsim.world.workload import Workloads


class Driver:
    """Executes commands, in order; raises KeyError on one that it does not know."""

    workloads: Workloads
    """Where requests are handled and calls end; ``deliver_to`` sets it."""
    sending_on: SendingOn
    """What waypoints do; ``deliver_to`` sets it."""
    connections: Connections
    """TCP connections; set when the world is assembled."""

    def __init__(self, state: State, handshakes: Handshakes) -> None:
        self._state = state
        self._clock = state.clock
        self._handshakes = handshakes
        self._damage = Damage(state, handshakes, self.tell)
        self._accounts = state.accounts
        self._connections = state.connections
        self._carries_bytes = state.real
        self.deciding = Deciding(state, self.tell_last)
        # Methods that alarms call: to take one from the object makes a new one each time.
        self._when_sealed = self._sealed
        self._when_opened = self._opened
        self._carry_out: dict[type, Callable[[Any, Any], Alarm | None]] = {
            commands.Send: self._send,
            commands.AskPolicy: self.deciding.take_question,
            commands.Deliver: self._deliver,
            commands.FinishCall: self._finish_call,
            commands.OpenConnection: self._open_connection,
            commands.WaitForConnection: self._wait_for_connection,
            commands.Compute: self._compute,
            commands.HandshakeEnded: self._handshake_ended,
            commands.BackOff: self._back_off,
            commands.HoldCall: self._hold_call,
            commands.CloseConnection: self._close_connection,
        }

    def deliver_to(self, workloads: Workloads, sending_on: SendingOn, *, waypoints: bool) -> None:
        """Say who takes the requests that sidecars let in; ``waypoints``: whether there are any, which send them on."""
        self.workloads = workloads
        self.sending_on = sending_on
        if not waypoints:
            self._carry_out[commands.Deliver] = workloads.serve_call

    def watched_by(self, obeying: Obeying) -> None:
        """Have calls counted that are served although somebody's certificate was revoked, and what is cut for that."""

        def deliver(host: Replica, command: commands.Deliver) -> Alarm | None:
            obeying.served(self._connections[command.connection_id])
            return self._deliver(host, command)

        def close(host: Host, command: commands.CloseConnection) -> None:
            connection = self._connections.get(command.connection_id)
            if connection is not None and command.reason == commands.PEER_REVOKED:
                obeying.cut(connection, UP if connection.client is host else DOWN, live=command.live)
            self._close_connection(host, command)

        self._carry_out[commands.Deliver] = deliver
        self._carry_out[commands.CloseConnection] = close

    def tell(self, host: Host, event: events.Event) -> None:
        """Tell a sidecar what happened, and do what it says."""
        self._clock.put(self.tell_last(host, event))

    def tell_last(self, host: Host, event: events.Event) -> Alarm | None:
        """Do the same as the last thing that an action does; return what follows, which it has to return."""
        sidecar = host.sidecar
        carry_out = self._carry_out
        following = None
        for command in HANDLERS[type(event)](sidecar, event, self._clock.now_ns):
            if following is not None:
                self._clock.put(following)
            following = carry_out[type(command)](host, command)
        timers = sidecar.timers
        if timers.next_ns < timers.armed_ns:
            self._arm(host, timers)
        return following

    def _arm(self, host: Host, timers: Timers) -> None:
        """Have a sidecar woken when its next timer is due."""
        due_ns, now_ns = timers.next_ns, self._clock.now_ns
        if due_ns < now_ns:
            due_ns = now_ns  # it came while nothing was in progress, and was passed over
        timers.armed_ns = due_ns
        self._clock.at(due_ns, self._wake, (host, due_ns, timers))

    def _wake(self, wake: tuple[Host, int, Timers]) -> None:
        host, due_ns, timers = wake
        if timers.armed_ns != due_ns or host.sidecar.timers is not timers or not host.up:
            return
        timers.armed_ns = NEVER
        if self._state.over:
            return  # nothing is in progress any more: idle connections and the like do not matter
        self.tell(host, events.TimerDue())

    # Messages

    def _send(self, host: Host, command: commands.Send) -> Alarm | None:
        connection = self._connections.get(command.connection_id)
        if connection is None:
            return None
        unit: Any = command.unit  # told apart by its kind
        machine = host.machine
        kind = type(unit)
        if kind is RequestMessage:
            direction, proxy_ns = UP, host.request_ns
        elif kind is ResponseMessage:
            direction, proxy_ns = DOWN, host.response_ns
        else:
            direction = UP if connection.client is host else DOWN
            self._handshakes.sent(connection, direction, unit)
            return self._state.transport.dispatch(Transfer(connection, direction, unit, unit.size_bytes, None))
        clock = self._clock
        now_ns = clock.now_ns
        size_bytes = unit.size_bytes
        account = self._accounts.get(unit.call_id)
        if account is not None and account.attempt == unit.attempt:
            if direction == UP:
                if account.waits_for >= 0 or account.mark_ns != now_ns:
                    self._waited(account, connection)
                account.sent_on = connection
                account.encrypted = unit.encrypted
                account.bytes_sent += size_bytes
            elif account.mark_ns != now_ns:
                account.spend(OTHER, now_ns)
        transfer = Transfer(connection, direction, unit, size_bytes, account)
        transfer.proxy_ns = proxy_ns
        transfer.crypto_ns = crypto_ns = machine.records_ns[connection.cipher][size_bytes] if unit.encrypted else 0
        work_ns = crypto_ns + proxy_ns
        transfer.job_start_ns = start_ns = host.cores.submit(now_ns, work_ns)
        clock.order = order = clock.order + 1
        return start_ns + work_ns, order, self._when_sealed, transfer

    def _waited(self, account: Account, connection: Connection) -> None:
        """Attribute a call's wait for a connection: TCP set-up, TLS handshake, or a free stream."""
        now_ns = self._clock.now_ns
        waits_for, account.waits_for = account.waits_for, -1
        if waits_for > 0:
            if connection.t_established_ns > account.mark_ns:
                account.spend(TCP, connection.t_established_ns)
            account.spend(HANDSHAKE, now_ns)
        elif waits_for == 0:
            account.spend(QUEUE, now_ns)
        elif account.mark_ns < now_ns:
            account.settle(now_ns)

    def _sealed(self, transfer: Transfer) -> Alarm | None:
        """The CPU work of sending is done: the message leaves."""
        connection, direction = transfer.connection, transfer.direction
        if not connection.open_ends[direction] or connection.broken_end == direction:
            return None  # its connection is gone, with its sender or alone, or its TLS
        account = transfer.account
        unit = transfer.unit
        if account is not None and account.attempt == unit.attempt:
            parts = account.parts
            if transfer.job_start_ns != account.mark_ns:
                parts[QUEUE] += transfer.job_start_ns - account.mark_ns
            parts[CRYPTO] += transfer.crypto_ns
            parts[PROXY] += transfer.proxy_ns
            account.mark_ns = now_ns = self._clock.now_ns
            if account.parent is None and account.request.t_sent_ns < 0:
                account.request.t_sent_ns = now_ns
        if self._carries_bytes:
            host = connection.client if direction == UP else connection.server
            transfer.unit = host.sidecar.encode(connection.connection_id, unit)
        return self._state.transport.dispatch(transfer)

    def take_unit(self, transfer: Transfer) -> Alarm | None:
        """Hand a unit that came over a connection to whom it is for."""
        connection, unit, direction = transfer.connection, transfer.unit, transfer.direction
        kind = type(unit)
        message = kind is RequestMessage or kind is ResponseMessage
        if not message and (kind is Fin or kind is Reset):
            self.connections.ended(connection, 1 - direction, unit)
            return None
        if (transfer.damaged or connection.broken_end >= 0) and not self._damage.readable(transfer, message=message):
            return None
        receiver = connection.server if direction == UP else connection.client
        if not connection.open_ends[1 - direction]:
            # The receiver restarted and knows nothing of this connection, or has closed it.
            self.connections.refuse(connection, 1 - direction)
            return None
        if not message:
            self._handshakes.received(connection, direction, unit)
        elif self._carries_bytes:
            receiver.sidecar.decode(connection.connection_id, unit)
        return self.tell_last(receiver, events.UnitReceived(connection.connection_id, unit))

    # Workload

    def _deliver(self, host: Replica, command: commands.Deliver) -> Alarm | None:
        if host.onward is not None:
            return self.sending_on.take(host, command)
        return self.workloads.serve_call(host, command)

    def _finish_call(self, host: Host, command: commands.FinishCall) -> Alarm | None:
        account = self._accounts[command.call_id]
        account.retries = command.attempts - 1 if command.attempts else 0
        response = command.response
        clock = self._clock
        now_ns = clock.now_ns
        if response is None:
            waited = account.waits_for >= 0
            if waited:
                self._gave_up_waiting(account)
            account.settle(now_ns)
            if account.parent is not None and account.parent.sent_on:
                account.flags = response_flags(command.outcome, waited=waited, retried=command.exhausted)
            refused = command.outcome == "denied"  # by the first proxy that reads its fields
            return self.workloads.end_call(account, command.outcome, command.status, answered=refused)
        account.bytes_received += response.size_bytes
        if response.headers:
            account.exposed = tells_of_the_mesh(response.headers)
        connection, machine = account.sent_on, host.machine
        crypto_ns = 0
        if response.encrypted and connection is not None and connection.connection_id in self._connections:
            crypto_ns = machine.records_ns[connection.cipher][response.size_bytes]
        proxy_ns = host.response_ns
        work_ns = crypto_ns + proxy_ns
        start_ns = host.cores.submit(now_ns, work_ns)
        job = (host, host.epoch, account, command, start_ns, crypto_ns, proxy_ns)
        clock.order = order = clock.order + 1
        return start_ns + work_ns, order, self._when_opened, job

    def _opened(self, job: tuple[Any, ...]) -> Alarm | None:
        host, epoch, account, command, start_ns, crypto_ns, proxy_ns = job
        if host.epoch != epoch:
            return None
        parts = account.parts
        if start_ns != account.mark_ns:
            parts[QUEUE] += start_ns - account.mark_ns
        parts[CRYPTO] += crypto_ns
        parts[PROXY] += proxy_ns
        account.mark_ns = self._clock.now_ns
        outcome, answered = command.outcome, True
        if account.told is not None and outcome != "ok":
            outcome, account.flags = account.told
            answered = not account.template.closes
            if account.parent is not None and account.parent.sent_on:  # ztunnel has closed the waypoint's connection
                account.flags = response_flags("reset", waited=False, retried=command.exhausted)
        return self.workloads.end_call(account, outcome, command.status, answered=answered)

    def _back_off(self, host: Host, command: commands.BackOff) -> None:
        account = self._accounts[command.call_id]
        if account.waits_for >= 0:
            self._gave_up_waiting(account)
        account.settle(self._clock.now_ns)
        account.told = None
        account.attempt = command.attempt + 1
        account.gap = BACKOFF

    def _hold_call(self, host: Host, command: commands.HoldCall) -> None:
        account = self._accounts[command.call_id]
        account.settle(self._clock.now_ns)
        account.gap = OTHER if command.for_token else INJECTED

    # Connections

    def _wait_for_connection(self, host: Host, command: commands.WaitForConnection) -> None:
        account = self._accounts[command.call_id]
        if account.waits_for >= 0:
            self._gave_up_waiting(account)
        elif account.mark_ns < self._clock.now_ns:
            account.settle(self._clock.now_ns)
        account.waits_for = command.connection_id

    def _gave_up_waiting(self, account: Account) -> None:
        """Attribute a wait that did not end in a connection."""
        connection = self._state.connections.get(account.waits_for)
        now_ns = self._clock.now_ns
        if account.waits_for == 0:
            account.spend(QUEUE, now_ns)
        elif connection is None or not connection.established:
            account.spend(TCP, now_ns)
        else:
            if connection.t_established_ns > account.mark_ns:
                account.spend(TCP, connection.t_established_ns)
            account.spend(HANDSHAKE, now_ns)
        account.waits_for = -1

    def _open_connection(self, host: Host, command: commands.OpenConnection) -> None:
        self.connections.open(host, command)

    def _close_connection(self, host: Host, command: commands.CloseConnection) -> None:
        connection = self._state.connections.get(command.connection_id)
        if connection is not None:
            self.connections.close(connection, UP if connection.client is host else DOWN, command.reason)

    def _compute(self, host: Host, command: commands.Compute) -> None:
        connection = self._state.connections.get(command.connection_id)
        if connection is None:
            return
        work_ns = self._handshakes.charge(connection, host, command.step)
        start_ns = host.cores.submit(self._clock.now_ns, work_ns)
        self._clock.at(start_ns + work_ns, self._computed, (host, host.epoch, command))

    def _computed(self, job: tuple[Host, int, commands.Compute]) -> None:
        host, epoch, command = job
        if host.epoch == epoch:
            self.tell(host, events.WorkDone(command.connection_id, command.step))

    def _handshake_ended(self, host: Host, command: commands.HandshakeEnded) -> None:
        connection = self._state.connections.get(command.connection_id)
        if connection is not None:
            self._handshakes.ended(connection, command)
