"""The calling half of a sidecar: balance, pool, dial, authenticate, send, time out, try again."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from meshsim.sidecar.commands import (
    BackOff,
    CloseConnection,
    Command,
    Compute,
    FinishCall,
    HandshakeEnded,
    OpenConnection,
    Send,
    WaitForConnection,
)
from meshsim.sidecar.http import request_size_bytes
from meshsim.sidecar.messages import CallTemplate, RequestMessage, ResponseMessage, with_token
from meshsim.sidecar.pool import Phase, Pool, Upstream
from meshsim.sidecar.resilience import STATUS, backoff_ns, outcome_of_status
from meshsim.sidecar.timers import Timers
from meshsim.sidecar.tls.flights import Flight, SessionTicket
from meshsim.sidecar.tls.machine import TlsClient
from meshsim.sidecar.tls.outcome import TlsStep
from meshsim.sidecar.tls.records import sealed_size_bytes
from meshsim.sidecar.tls.states import State

if TYPE_CHECKING:
    from meshsim.sidecar.balancer import Balancer
    from meshsim.sidecar.settings import SidecarSettings
    from meshsim.sidecar.tls.openssl import Engines
    from meshsim.sidecar.tls.settings import TlsSide


class OutboundCall:
    """One call of the workload, over all its attempts."""

    __slots__ = ("attempt", "call_id", "connection", "deadline_ns", "endpoint_id", "pool", "template", "tried")

    def __init__(self, call_id: int, template: CallTemplate, deadline_ns: int) -> None:
        self.call_id = call_id
        self.template = template
        self.deadline_ns = deadline_ns
        self.attempt = 0
        self.tried: frozenset[int] = frozenset()
        self.endpoint_id = 0
        self.connection: Upstream | None = None
        """Connection that it is sent on, or waits for."""
        self.pool: Pool | None = None
        """Pool that it waits in for a free stream."""


class Outbound:
    """State of the calling half."""

    def __init__(
        self,
        settings: SidecarSettings,
        side: TlsSide,
        balancer: Balancer,
        timers: Timers,
        random: Random,
        connection_ids: Iterator[int],
        engines: Engines | None,
    ) -> None:
        self._settings = settings
        self._resilience = settings.resilience
        self._pool_settings = settings.pool
        self._streams_per_connection = settings.pool.streams_per_connection
        self._pool_per_slice = settings.pool_per_slice
        self.side = side
        self._balancer = balancer
        self._timers = timers
        self._random = random
        self._connection_ids = connection_ids
        self._engines = engines
        self.site = ""
        self.node = ""
        self._calls: dict[int, OutboundCall] = {}
        self._pools: dict[tuple[int, int, str], Pool] = {}
        self.upstreams: dict[int, Upstream] = {}
        self._tickets: dict[tuple[int, int, str], SessionTicket] = {}
        """The newest session ticket of each pool: each listener seals with a key of its own."""
        self._sizes: dict[tuple[int, bool, bool], int] = {}

    # Calls

    def start(self, call_id: int, template: CallTemplate, now_ns: int) -> list[Command]:
        """Begin a call."""
        call = OutboundCall(call_id, template, now_ns + template.timeout_ns)
        self._calls[call_id] = call
        self._timers.add_after(now_ns, template.timeout_ns, self._deadline, call_id)
        commands: list[Command] = []
        self._try(call, now_ns, commands)
        return commands

    def _try(self, call: OutboundCall, now_ns: int, commands: list[Command]) -> None:
        call.attempt += 1
        template = call.template
        endpoint = self._balancer.choose(template.destination, call.tried)
        if endpoint is None:
            self._failed(call, "unreachable", now_ns, commands)
            return
        endpoint_id = call.endpoint_id = endpoint.endpoint_id
        active = self._balancer.active
        active[endpoint_id] = active.get(endpoint_id, 0) + 1
        attempt_timeout_ns = self._resilience.attempt_timeout_ns
        if attempt_timeout_ns is not None:
            self._timers.add_after(now_ns, attempt_timeout_ns, self._attempt_deadline, (call.call_id, call.attempt))
        key = (endpoint_id, template.port, template.slice if self._pool_per_slice else "")
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(key)
        limit = self._streams_per_connection
        upstream = pool.ready(limit)
        if upstream is not None:
            self._send(call, upstream, now_ns, commands)
            return
        upstream = pool.opening(limit)
        if upstream is None and len(pool.connections) < self._pool_settings.max_connections:
            upstream = Upstream(next(self._connection_ids), endpoint, pool)
            pool.connections.append(upstream)
            self.upstreams[upstream.connection_id] = upstream
            connect_deadline_ns = now_ns + self._resilience.connect_timeout_ns
            self._timers.add(connect_deadline_ns, self._connect_deadline, upstream.connection_id)
            commands.append(OpenConnection(upstream.connection_id, endpoint_id, template.slice, template.port))
        if upstream is None:
            pool.waiting.append(call.call_id)
            call.pool = pool
            commands.append(WaitForConnection(call.call_id, 0))
        else:
            upstream.waiting.append(call.call_id)
            call.connection = upstream
            commands.append(WaitForConnection(call.call_id, upstream.connection_id))

    def _send(self, call: OutboundCall, upstream: Upstream, now_ns: int, commands: list[Command]) -> None:
        call.connection = upstream
        call.pool = None
        upstream.streams[call.call_id] = None
        template = call.template
        encrypted = upstream.tls is not None
        key = (template.index, upstream.fresh, encrypted)
        size_bytes = self._sizes.get(key)
        if size_bytes is None:
            parts = (template.method, template.path, template.destination, template.request_bytes, template.headers)
            size_bytes = request_size_bytes(*parts, first=upstream.fresh)
            if encrypted:
                size_bytes = sealed_size_bytes(size_bytes)
            self._sizes[key] = size_bytes
        source = self._settings.workload
        if template.token:
            self._send_with_token(call, upstream, encrypted, now_ns, commands)
            return
        upstream.fresh = False
        message = RequestMessage(
            call.call_id, call.attempt, template, source, self.site, self.node, size_bytes, encrypted
        )
        commands.append(Send(upstream.connection_id, message))

    def _send_with_token(
        self, call: OutboundCall, upstream: Upstream, encrypted: bool, now_ns: int, commands: list[Command]
    ) -> None:
        template, settings = call.template, self._settings
        assert settings.wallet is not None, "a scenario's tokens are checked"
        shown = upstream.tls.own_svid if upstream.tls is not None else None
        token = settings.wallet.present(template.token, settings.clock_offset_ns + now_ns, shown)
        parts = (template.method, template.path, template.destination, template.request_bytes)
        size_bytes = request_size_bytes(*parts, with_token(token, template.headers), first=upstream.fresh)
        if encrypted:
            size_bytes = sealed_size_bytes(size_bytes)
        upstream.fresh = False
        place = (settings.workload, self.site, self.node)
        message = RequestMessage(call.call_id, call.attempt, template, *place, size_bytes, encrypted, token=token)
        commands.append(Send(upstream.connection_id, message))

    def _failed(self, call: OutboundCall, outcome: str, now_ns: int, commands: list[Command]) -> None:
        """End an attempt that brought no response: try again, or give up."""
        self._release(call)
        resilience = self._resilience
        if outcome in resilience.retry_on and call.attempt <= resilience.retries and now_ns < call.deadline_ns:
            self._back_off(call, outcome, now_ns, commands)
            return
        del self._calls[call.call_id]
        commands.append(FinishCall(call.call_id, outcome, STATUS[outcome], call.attempt, None))

    def _back_off(self, call: OutboundCall, outcome: str, now_ns: int, commands: list[Command]) -> None:
        call.tried |= {call.endpoint_id}
        wait_ns = backoff_ns(self._resilience, call.attempt, self._random)
        self._timers.add(now_ns + wait_ns, self._retry, (call.call_id, call.attempt))
        commands.append(BackOff(call.call_id, call.attempt, outcome))

    def _release(self, call: OutboundCall) -> None:
        """Take a call off whatever it is on or waits for."""
        upstream, pool = call.connection, call.pool
        if call.endpoint_id and (upstream is not None or pool is not None):
            self._balancer.active[call.endpoint_id] -= 1
        if upstream is not None:
            upstream.streams.pop(call.call_id, None)
            if upstream.waiting and call.call_id in upstream.waiting:
                upstream.waiting.remove(call.call_id)
        if pool is not None:
            pool.waiting.remove(call.call_id)
        call.connection = call.pool = None

    def response(self, upstream: Upstream, message: ResponseMessage, now_ns: int) -> list[Command]:
        """Take a response; one to an attempt that was given up is dropped."""
        call = self._calls.get(message.call_id)
        if call is None or call.attempt != message.attempt or call.connection is not upstream:
            return []
        commands: list[Command] = []
        self._release(call)
        upstream.idle_since_ns = now_ns
        outcome = outcome_of_status(message.status)
        resilience = self._resilience
        if outcome in resilience.retry_on and call.attempt <= resilience.retries and now_ns < call.deadline_ns:
            self._back_off(call, outcome, now_ns, commands)
        else:
            del self._calls[call.call_id]
            commands.append(FinishCall(call.call_id, outcome, message.status, call.attempt, message))
        if upstream.pool.waiting:
            self._serve_waiting(upstream, now_ns, commands)
        if upstream.draining and not upstream.streams and not upstream.waiting:
            commands.append(CloseConnection(upstream.connection_id, "drained"))
            commands += self._drop(upstream, "reset", now_ns)
        return commands

    def _serve_waiting(self, upstream: Upstream, now_ns: int, commands: list[Command]) -> None:
        waiting = upstream.pool.waiting
        while waiting and len(upstream.streams) < self._streams_per_connection:
            self._send(self._calls[waiting.popleft()], upstream, now_ns, commands)

    # Connections

    def connected(self, upstream: Upstream, now_ns: int) -> list[Command]:
        """TCP is there: begin TLS, or send at once where the mesh has none."""
        if upstream.phase is not Phase.CONNECTING:
            return []
        if self.side.settings.mode == "DISABLE":
            return self._ready(upstream, now_ns)
        upstream.phase = Phase.HANDSHAKING
        clock_ns = self._settings.clock_offset_ns + now_ns
        ticket = self._tickets.get(upstream.pool.key)
        expected = frozenset((upstream.endpoint.spiffe_id,))
        engine = self._engines.client(self.side, expected) if self._engines else None
        upstream.tls = TlsClient(self.side, expected, ticket, engine)
        return [Compute(upstream.connection_id, upstream.tls.start(clock_ns))]

    def flight(self, upstream: Upstream, flight: Flight, now_ns: int) -> list[Command]:
        """Take a flight of the server's."""
        if upstream.tls is None:
            return self.lost(upstream, "the peer speaks TLS, this sidecar does not", now_ns)
        step = upstream.tls.receive(flight, self._settings.clock_offset_ns + now_ns)
        return [Compute(upstream.connection_id, step)]

    def step_done(self, upstream: Upstream, step: TlsStep, now_ns: int) -> list[Command]:
        """Carry on after the CPU work of a TLS step."""
        commands: list[Command] = [Send(upstream.connection_id, flight) for flight in step.flights]
        if step.ticket is not None:
            self._tickets[upstream.pool.key] = step.ticket
        if step.refused is not None:
            commands.append(HandshakeEnded(upstream.connection_id, "client", None, step.refused))
            if step.refused.sent:
                commands.append(CloseConnection(upstream.connection_id, step.refused.reason))
            commands += self._drop(upstream, upstream.refusal_outcome, now_ns)
        elif step.established is not None:
            commands.append(HandshakeEnded(upstream.connection_id, "client", step.established, None))
            commands += self._ready(upstream, now_ns)
        return commands

    def _ready(self, upstream: Upstream, now_ns: int) -> list[Command]:
        upstream.phase = Phase.READY
        upstream.idle_since_ns = now_ns
        self._timers.add(now_ns + self._pool_settings.idle_timeout_ns, self._idle_check, upstream.connection_id)
        commands: list[Command] = []
        while upstream.waiting:
            self._send(self._calls[upstream.waiting.popleft()], upstream, now_ns, commands)
        self._serve_waiting(upstream, now_ns, commands)
        return commands

    def lost(self, upstream: Upstream, reason: str, now_ns: int) -> list[Command]:
        """Take note that a connection is gone."""
        if upstream.phase is Phase.CLOSED:
            return []
        if upstream.tls is not None and upstream.tls.state is State.REFUSED:
            outcome = upstream.refusal_outcome  # the alert was here before the end of the connection
        else:
            outcome = "reset" if upstream.phase is Phase.READY else "unreachable"
        return self._drop(upstream, outcome, now_ns)

    def _drop(self, upstream: Upstream, outcome: str, now_ns: int) -> list[Command]:
        """Forget a connection and end the attempts on it."""
        upstream.phase = Phase.CLOSED
        del self.upstreams[upstream.connection_id]
        pool = upstream.pool
        pool.connections.remove(upstream)
        affected = [*upstream.streams, *upstream.waiting]
        if not pool.connections:
            affected += pool.waiting
        commands: list[Command] = []
        for call_id in affected:
            self._failed(self._calls[call_id], outcome, now_ns, commands)
        return commands

    def retire(self, endpoint_ids: frozenset[int], draining: frozenset[int], now_ns: int) -> list[Command]:
        """Close the connections to endpoints that are no longer announced; draining ones when they have ended all."""
        commands: list[Command] = []
        for upstream in list(self.upstreams.values()):
            endpoint_id = upstream.endpoint.endpoint_id
            if endpoint_id in endpoint_ids:
                continue
            if endpoint_id in draining and (upstream.streams or upstream.waiting):
                upstream.draining = True
                continue
            commands.append(CloseConnection(upstream.connection_id, "endpoint removed"))
            commands += self.lost(upstream, "endpoint removed", now_ns)
        return commands

    # Timers

    def _deadline(self, call_id: int, now_ns: int, commands: list[Command]) -> None:
        call = self._calls.get(call_id)
        if call is not None:
            upstream = call.connection
            self._release(call)
            del self._calls[call_id]
            commands.append(FinishCall(call_id, "timeout", STATUS["timeout"], call.attempt, None))
            self._stream_freed(upstream, now_ns, commands)

    def _attempt_deadline(self, key: tuple[int, int], now_ns: int, commands: list[Command]) -> None:
        call = self._calls.get(key[0])
        if call is not None and call.attempt == key[1] and (call.connection is not None or call.pool is not None):
            upstream = call.connection
            self._failed(call, "timeout", now_ns, commands)
            self._stream_freed(upstream, now_ns, commands)

    def _stream_freed(self, upstream: Upstream | None, now_ns: int, commands: list[Command]) -> None:
        """Hand the stream of a call that was given up (HTTP/2 resets it) to one that waits."""
        if upstream is not None and upstream.phase is Phase.READY:
            self._serve_waiting(upstream, now_ns, commands)

    def _retry(self, key: tuple[int, int], now_ns: int, commands: list[Command]) -> None:
        call = self._calls.get(key[0])
        if call is not None and call.attempt == key[1]:
            self._try(call, now_ns, commands)

    def _connect_deadline(self, connection_id: int, now_ns: int, commands: list[Command]) -> None:
        upstream = self.upstreams.get(connection_id)
        if upstream is not None and upstream.phase < Phase.READY:
            commands.append(CloseConnection(connection_id, "connect timeout"))
            commands += self._drop(upstream, "unreachable", now_ns)

    def _idle_check(self, connection_id: int, now_ns: int, commands: list[Command]) -> None:
        upstream = self.upstreams.get(connection_id)
        if upstream is None:
            return
        idle_timeout_ns = self._pool_settings.idle_timeout_ns
        due_ns = (now_ns if upstream.streams else upstream.idle_since_ns) + idle_timeout_ns
        if due_ns > now_ns:
            self._timers.add(due_ns, self._idle_check, connection_id)
            return
        commands.append(CloseConnection(connection_id, "idle"))
        commands += self._drop(upstream, "reset", now_ns)
