"""The connections of the calling half: dialled, authenticated, given to the calls that wait, closed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from meshsim.scenario.placed_waypoints import HBONE_PORT
from meshsim.sidecar.commands import (
    PEER_REVOKED,
    CloseConnection,
    Command,
    Compute,
    HandshakeEnded,
    OpenConnection,
    Send,
)
from meshsim.sidecar.pool import Pool, PoolKey, Upstream
from meshsim.sidecar.pool_settings import Phase
from meshsim.sidecar.tls.end import rests_on_revoked
from meshsim.sidecar.tls.flights import Flight, SessionTicket
from meshsim.sidecar.tls.machine import TlsClient
from meshsim.sidecar.tls.outcome import TlsStep
from meshsim.sidecar.tls.states import State

if TYPE_CHECKING:
    from meshsim.sidecar.endpoint import Endpoint
    from meshsim.sidecar.messages import CallTemplate
    from meshsim.sidecar.settings import SidecarSettings
    from meshsim.sidecar.timers import Timers
    from meshsim.sidecar.tls.openssl import Engines
    from meshsim.sidecar.tls.settings import TlsSide


class Upstreams:
    """State of the connections. What becomes of calls on them, the class below says."""

    def __init__(
        self,
        settings: SidecarSettings,
        side: TlsSide,
        timers: Timers,
        connection_ids: Iterator[int],
        engines: Engines | None,
    ) -> None:
        self._settings = settings
        self._timers = timers
        self._connection_ids = connection_ids
        self._engines = engines
        self.side = side
        self.upstreams: dict[int, Upstream] = {}
        self._tickets: dict[PoolKey, SessionTicket] = {}
        """The newest session ticket of each pool, or of all pools of a service."""

    # What calls do: the calling half says it

    def _send_waiting(self, upstream: Upstream, now_ns: int, commands: list[Command]) -> None:
        """Send the calls that wait for this connection, and those that wait for any of its pool."""
        raise AssertionError(self)

    def _give_up(
        self, call_ids: Iterable[int], outcome: str, now_ns: int, commands: list[Command], *, sent: bool
    ) -> None:
        """End the attempts of these calls, whose requests were sent or were to be."""
        raise AssertionError(self)

    def _connect_for_waiting(self, pool: Pool, endpoint: Endpoint, now_ns: int, commands: list[Command]) -> None:
        """Open a connection for the calls that wait in a pool."""
        raise AssertionError(self)

    # Opening

    def _open(
        self, pool: Pool, endpoint: Endpoint, template: CallTemplate, now_ns: int, commands: list[Command]
    ) -> Upstream:
        """Open a connection for calls like ``template``."""
        upstream = Upstream(next(self._connection_ids), endpoint, pool)
        pool.connections.append(upstream)
        self.upstreams[upstream.connection_id] = upstream
        timeout_ns = self._settings.resilience.connect_timeout_ns
        if pool.cluster is not None:
            pool.cluster.connections += 1
            timeout_ns = pool.cluster.settings.connect_timeout_ns
        self._timers.add(now_ns + timeout_ns, self._connect_deadline, upstream.connection_id)
        port = HBONE_PORT if template.through else template.target_port or template.port
        commands.append(OpenConnection(upstream.connection_id, endpoint.endpoint_id, template.slice, port))
        return upstream

    def _is_plaintext(self, pool: Pool, endpoint: Endpoint) -> bool:
        asked = None
        if pool.cluster is not None:
            settings = pool.cluster.settings
            asked = settings.plaintext_to.get(endpoint.version, settings.plaintext)
        return self.side.settings.mode == "DISABLE" if asked is None else asked

    def connected(self, upstream: Upstream, now_ns: int) -> list[Command]:
        """TCP is there: begin TLS, or send at once where there is none."""
        if upstream.phase is not Phase.CONNECTING:
            return []
        if self._is_plaintext(upstream.pool, upstream.endpoint):
            return self._ready(upstream, now_ns)
        upstream.phase = Phase.HANDSHAKING
        clock_ns = self._settings.clock_offset_ns + now_ns
        ticket = self._tickets.get(self._ticket_key(upstream))
        expected = frozenset((upstream.endpoint.spiffe_id,))
        engine = self._engines.client(self.side, expected) if self._engines else None
        upstream.tls = TlsClient(self.side, expected, ticket, engine)
        return [Compute(upstream.connection_id, upstream.tls.start(clock_ns))]

    def _ticket_key(self, upstream: Upstream) -> PoolKey:
        """Under which its ticket is kept.

        Each listener seals with a key of its own: what is kept of a whole service is of use to one replica alone.
        """
        if not self._settings.ticket_per_service:
            return upstream.pool.key
        _, port, slice_name, cluster = upstream.pool.key
        return 0, port, slice_name, cluster or upstream.endpoint.service

    def forget_sessions(self) -> None:
        """Drop all session tickets, as Envoy does when what its TLS context holds changes."""
        self._tickets.clear()

    def _is_forgotten(self, upstream: Upstream) -> bool:
        """Say whether a connection began with what this end no longer has, so that its tickets come to nothing."""
        tls = upstream.tls
        assert tls is not None, "who sends tickets speaks TLS"
        return self.side.settings.as_envoy and tls.side.ticket_key != self.side.ticket_key

    def flight(self, upstream: Upstream, flight: Flight, now_ns: int) -> list[Command]:
        """Take a flight of the server's."""
        if upstream.tls is None:
            return self.lost(upstream, "the peer speaks TLS, this sidecar does not", now_ns)
        step = upstream.tls.receive(flight, self._settings.clock_offset_ns + now_ns)
        return [Compute(upstream.connection_id, step)]

    def step_done(self, upstream: Upstream, step: TlsStep, now_ns: int) -> list[Command]:
        """Carry on after the CPU work of a TLS step."""
        commands: list[Command] = [Send(upstream.connection_id, flight) for flight in step.flights]
        if step.ticket is not None and not self._is_forgotten(upstream):
            self._tickets[self._ticket_key(upstream)] = step.ticket
        if step.refused is not None:
            commands.append(HandshakeEnded(upstream.connection_id, "client", None, step.refused))
            if step.refused.sent:
                commands.append(CloseConnection(upstream.connection_id, step.refused.reason))
            commands += self._drop(upstream, upstream.refusal_outcome, now_ns)
        elif step.established is not None:
            commands.append(HandshakeEnded(upstream.connection_id, "client", step.established, None))
            if self._settings.cuts_revoked and rests_on_revoked(upstream.tls, self.side):
                commands += self._cut(upstream, now_ns)  # a session from before, or the news is newer
            else:
                commands += self._ready(upstream, now_ns)
        return commands

    def _ready(self, upstream: Upstream, now_ns: int) -> list[Command]:
        upstream.phase = Phase.READY
        upstream.idle_since_ns = now_ns
        self._timers.add(now_ns + upstream.pool.settings.idle_timeout_ns, self._idle_check, upstream.connection_id)
        commands: list[Command] = []
        self._send_waiting(upstream, now_ns, commands)
        return commands

    # Closing

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
        if upstream.used_up:
            pool.used_up -= 1
        else:
            pool.connections.remove(upstream)
        if pool.cluster is not None:
            pool.cluster.connections -= 1
        sent, unsent = [*upstream.streams], [*upstream.waiting]
        if not pool.connections and not pool.used_up and not upstream.used_up:
            unsent += pool.waiting
        commands: list[Command] = []
        self._give_up(sent, outcome, now_ns, commands, sent=True)
        self._give_up(unsent, outcome, now_ns, commands, sent=False)
        if upstream.used_up and pool.waiting and not pool.connections:
            self._connect_for_waiting(pool, upstream.endpoint, now_ns, commands)
        return commands

    def cut_revoked(self, now_ns: int) -> list[Command]:
        """Close the connections to servers that are revoked, as far as this sidecar has been told."""
        revoked = [each for each in self.upstreams.values() if rests_on_revoked(each.tls, self.side)]
        return [command for upstream in revoked for command in self._cut(upstream, now_ns)]

    def _cut(self, upstream: Upstream, now_ns: int) -> list[Command]:
        closing = CloseConnection(upstream.connection_id, PEER_REVOKED, upstream.phase is Phase.READY)
        return [closing, *self.lost(upstream, PEER_REVOKED, now_ns)]

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

    def _connect_deadline(self, connection_id: int, now_ns: int, commands: list[Command]) -> None:
        upstream = self.upstreams.get(connection_id)
        if upstream is not None and upstream.phase < Phase.READY:
            commands.append(CloseConnection(connection_id, "connect timeout"))
            commands += self._drop(upstream, "unreachable", now_ns)

    def _idle_check(self, connection_id: int, now_ns: int, commands: list[Command]) -> None:
        upstream = self.upstreams.get(connection_id)
        if upstream is None:
            return
        idle_timeout_ns = upstream.pool.settings.idle_timeout_ns
        due_ns = (now_ns if upstream.streams else upstream.idle_since_ns) + idle_timeout_ns
        if due_ns > now_ns:
            self._timers.add(due_ns, self._idle_check, connection_id)
            return
        commands.append(CloseConnection(connection_id, "idle"))
        commands += self._drop(upstream, "reset", now_ns)
