"""Carries out what sidecars command, in one place, and charges what it costs on the CPU of their machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshsim.policy.question import Decision
from meshsim.sidecar import commands, events
from meshsim.sidecar.messages import RequestMessage, ResponseMessage
from meshsim.sidecar.proxy import HANDLERS
from meshsim.sidecar.timers import NEVER
from meshsim.telemetry.rows import DecisionRow
from meshsim.world.accounts import BACKOFF, CRYPTO, HANDSHAKE, OTHER, POLICY, PROXY, QUEUE, TCP, Account
from meshsim.world.connection import DOWN, UP, Connection, Transfer
from meshsim.world.damage import Damage
from meshsim.world.transport import Closed, Syn, SynAck

if TYPE_CHECKING:
    from meshsim.identity.token_check import TokenVerdict
    from meshsim.world.connections import Connections
    from meshsim.world.handshakes import Handshakes
    from meshsim.world.hosts import Host, Replica
    from meshsim.world.state import State
    from meshsim.world.workload import Workloads


TOKEN_ENGINE = "jwt"
"""The engine of a decision that a request's token made."""


class Driver:
    """Executes commands, in order; raises KeyError on one that it does not know."""

    workloads: Workloads
    """Where requests are handled and calls end; set when the world is assembled."""
    connections: Connections
    """TCP connections; set when the world is assembled."""

    def __init__(self, state: State, handshakes: Handshakes) -> None:
        self._state = state
        self._clock = state.clock
        self._handshakes = handshakes
        self._damage = Damage(state, handshakes, self.tell)
        self._accounts = state.accounts
        self._connections = state.connections
        self._real = state.real
        self._policy = state.policy
        self._policy_ns: dict[str, int] = {}
        self._record_decision = state.recorder.appender("decisions")
        self._carry_out: dict[type, Callable[[Any, Any], None]] = {
            commands.Send: self._send,
            commands.AskPolicy: self._ask_policy,
            commands.Deliver: self._deliver,
            commands.FinishCall: self._finish_call,
            commands.OpenConnection: self._open_connection,
            commands.WaitForConnection: self._wait_for_connection,
            commands.Compute: self._compute,
            commands.HandshakeEnded: self._handshake_ended,
            commands.BackOff: self._back_off,
            commands.CloseConnection: self._close_connection,
        }

    def tell(self, host: Host, event: events.Event) -> None:
        """Tell a sidecar what happened, and do what it says."""
        sidecar = host.sidecar
        carry_out = self._carry_out
        for command in HANDLERS[type(event)](sidecar, event, self._clock.now_ns):
            carry_out[type(command)](host, command)
        due_ns = sidecar.timers.next_ns
        if due_ns < host.wake_ns:
            if due_ns < self._clock.now_ns:
                due_ns = self._clock.now_ns  # it came while nothing was in progress, and was passed over
            host.wake_ns = due_ns
            self._clock.at(due_ns, self._wake, (host, due_ns, host.starts))

    def _wake(self, wake: tuple[Host, int, int]) -> None:
        host, due_ns, starts = wake
        if host.wake_ns != due_ns or host.starts != starts or not host.up:
            return
        host.wake_ns = NEVER
        if self._state.over:
            return  # nothing is in progress any more: idle connections and the like do not matter
        self.tell(host, events.TimerDue())

    def forget_timers(self, host: Host) -> None:
        """Drop the timers of a sidecar that is gone."""
        host.wake_ns = NEVER

    # Messages

    def _send(self, host: Host, command: commands.Send) -> None:
        connection = self._connections.get(command.connection_id)
        if connection is None:
            return
        unit: Any = command.unit  # told apart by its kind
        direction = UP if connection.client is host else DOWN
        machine = host.machine
        kind = type(unit)
        if kind is RequestMessage:
            proxy_ns = machine.request_ns
        elif kind is ResponseMessage:
            proxy_ns = machine.response_ns
        else:
            self._handshakes.sent(connection, direction, unit)
            self._state.transport.send(Transfer(connection, direction, unit, unit.size_bytes, None))
            return
        clock = self._clock
        now_ns = clock.now_ns
        size_bytes = unit.size_bytes
        account = self._accounts.get(unit.call_id)
        if account is not None and not account.ended and account.attempt == unit.attempt:
            if kind is RequestMessage:
                if account.waits_for >= 0 or account.mark_ns != now_ns:
                    self._waited(account, connection)
                account.connection_id = connection.connection_id
                account.destination_node = connection.server.machine.name
                account.destination_version = connection.server.version
                account.encrypted = unit.encrypted
                account.bytes_sent += size_bytes
            elif account.mark_ns != now_ns:
                account.spend(OTHER, now_ns)
        transfer = Transfer(connection, direction, unit, size_bytes, account)
        transfer.proxy_ns = proxy_ns
        transfer.crypto_ns = crypto_ns = machine.record_ns(connection.cipher, size_bytes) if unit.encrypted else 0
        work_ns = crypto_ns + proxy_ns
        transfer.job_start_ns = start_ns = machine.cores.submit(now_ns, work_ns)
        clock.at(start_ns + work_ns, self._sealed, transfer)

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

    def _sealed(self, transfer: Transfer) -> None:
        """The CPU work of sending is done: the message leaves."""
        connection, direction = transfer.connection, transfer.direction
        host = connection.client if direction == UP else connection.server
        if host.epoch != transfer.sender_epoch or not connection.open_ends[direction]:
            return
        if connection.broken_end == direction:
            return
        account = transfer.account
        unit = transfer.unit
        if account is not None and not account.ended and account.attempt == unit.attempt:
            parts = account.parts
            parts[QUEUE] += transfer.job_start_ns - account.mark_ns
            parts[CRYPTO] += transfer.crypto_ns
            parts[PROXY] += transfer.proxy_ns
            account.mark_ns = now_ns = self._clock.now_ns
            if account.parent is None and account.request.t_sent_ns < 0:
                account.request.t_sent_ns = now_ns
        if self._real:
            transfer.unit = host.sidecar.encode(connection.connection_id, unit)
        self._state.transport.send(transfer)

    def arrived(self, transfer: Transfer) -> None:
        """Hand a unit that came over a connection to whom it is for."""
        connection, unit, direction = transfer.connection, transfer.unit, transfer.direction
        receiver = connection.server if direction == UP else connection.client
        kind = type(unit)
        message = kind is RequestMessage or kind is ResponseMessage
        if not message and (kind is Syn or kind is SynAck or kind is Closed):
            self.connections.control_arrived(connection, direction, unit)
            return
        if (transfer.damaged or connection.broken_end >= 0) and not self._damage.readable(transfer, message=message):
            return
        if not connection.open_ends[1 - direction]:
            # The receiver restarted and knows nothing of this connection, or has closed it.
            self.connections.reset(connection, 1 - direction, "connection reset by peer")
            return
        if not message:
            self._handshakes.received(connection, direction, unit)
        elif self._real:
            receiver.sidecar.decode(connection.connection_id, unit)
        self.tell(receiver, events.UnitReceived(connection.connection_id, unit))

    # Policy and workload

    def _ask_policy(self, host: Host, command: commands.AskPolicy) -> None:
        message, question = command.message, command.question
        connection = self._connections.get(command.connection_id)
        if connection is None:
            return
        machine = host.machine
        now_ns = self._clock.now_ns
        crypto_ns = machine.record_ns(connection.cipher, message.size_bytes) if message.encrypted else 0
        decision, policy_ns, cached = None, 0, False
        if question is not None:
            assert self._policy is not None
            decision, policy_ns, cached = self._policy.decide(host, question)
        if command.token is not None:
            crypto_ns += self._check_token(host, command, command.token)
            if command.token.reason:
                decision = Decision(False, command.token.reason)
        account = self._accounts.get(message.call_id)
        if (
            account is not None
            and not account.ended
            and account.attempt == message.attempt
            and account.mark_ns < now_ns
        ):
            account.spend(HANDSHAKE, now_ns)  # held until the server had checked the client's certificate
        proxy_ns = machine.request_ns
        work_ns = crypto_ns + proxy_ns + policy_ns
        start_ns = machine.cores.submit(now_ns, work_ns)
        job = (host, host.epoch, command, account, start_ns, crypto_ns, proxy_ns, policy_ns, decision, cached)
        self._clock.at(start_ns + work_ns, self._decided, job)

    def _check_token(self, host: Host, command: commands.AskPolicy, verdict: TokenVerdict) -> int:
        """Hold the verdict on a token against reality; return the CPU time that it took."""
        tokens = self._state.tokens
        assert tokens is not None, "nobody else has rules for tokens"
        clock_ns = self._state.scenario.epoch_ns + host.machine.skew_ns + self._clock.now_ns
        tokens.confirm(host, command.message.token, verdict, command.thumbprint, clock_ns)
        return tokens.cost_ns(host.machine, verdict)

    def _decided(self, job: tuple[Any, ...]) -> None:
        host, epoch, command, account, start_ns, crypto_ns, proxy_ns, policy_ns, decision, cached = job
        if host.epoch != epoch:
            return
        message = command.message
        if account is not None and not account.ended and account.attempt == message.attempt:
            parts = account.parts
            parts[QUEUE] += start_ns - account.mark_ns
            parts[CRYPTO] += crypto_ns
            parts[PROXY] += proxy_ns
            parts[POLICY] += policy_ns
            account.mark_ns = self._clock.now_ns
        if decision is not None:
            template = message.template
            name, version = TOKEN_ENGINE, ""
            if command.token is None or not command.token.reason:
                engine = self._policy.engine  # type: ignore[union-attr] # no token decided, so a policy did
                name, version = engine.name, engine.version
            self._record_decision(
                DecisionRow(
                    self._clock.now_ns,
                    message.call_id,
                    name,
                    version,
                    message.source,
                    template.destination,
                    template.method,
                    template.path,
                    decision.allowed,
                    decision.rule,
                    cached,
                )
            )
        self.tell(host, events.PolicyAnswered(command.connection_id, message, decision))

    def _deliver(self, host: Replica, command: commands.Deliver) -> None:
        self.workloads.begin(host, command)

    def _finish_call(self, host: Host, command: commands.FinishCall) -> None:
        account = self._accounts[command.call_id]
        account.retries = command.attempts - 1 if command.attempts else 0
        response = command.response
        now_ns = self._clock.now_ns
        if response is None:
            if account.waits_for >= 0:
                self._gave_up_waiting(account)
            account.settle(now_ns)
            self.workloads.ended(account, command.outcome, command.status)
            return
        account.bytes_received += response.size_bytes
        connection = self._connections.get(account.connection_id)
        machine = host.machine
        crypto_ns = 0
        if response.encrypted and connection is not None:
            crypto_ns = machine.record_ns(connection.cipher, response.size_bytes)
        proxy_ns = machine.response_ns
        work_ns = crypto_ns + proxy_ns
        start_ns = machine.cores.submit(now_ns, work_ns)
        job = (host, host.epoch, account, command, start_ns, crypto_ns, proxy_ns)
        self._clock.at(start_ns + work_ns, self._opened, job)

    def _opened(self, job: tuple[Any, ...]) -> None:
        host, epoch, account, command, start_ns, crypto_ns, proxy_ns = job
        if host.epoch != epoch:
            return
        parts = account.parts
        parts[QUEUE] += start_ns - account.mark_ns
        parts[CRYPTO] += crypto_ns
        parts[PROXY] += proxy_ns
        account.mark_ns = self._clock.now_ns
        self.workloads.ended(account, command.outcome, command.status)

    def _back_off(self, host: Host, command: commands.BackOff) -> None:
        account = self._accounts[command.call_id]
        if account.waits_for >= 0:
            self._gave_up_waiting(account)
        account.settle(self._clock.now_ns)
        account.attempt = command.attempt + 1
        account.gap = BACKOFF

    # Connections

    def _wait_for_connection(self, host: Host, command: commands.WaitForConnection) -> None:
        account = self._accounts[command.call_id]
        if account.mark_ns < self._clock.now_ns:
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
        start_ns = host.machine.cores.submit(self._clock.now_ns, work_ns)
        self._clock.at(start_ns + work_ns, self._computed, (host, host.epoch, command))

    def _computed(self, job: tuple[Host, int, commands.Compute]) -> None:
        host, epoch, command = job
        if host.epoch == epoch:
            self.tell(host, events.WorkDone(command.connection_id, command.step))

    def _handshake_ended(self, host: Host, command: commands.HandshakeEnded) -> None:
        connection = self._state.connections.get(command.connection_id)
        if connection is not None:
            self._handshakes.ended(connection, command)
