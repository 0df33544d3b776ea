"""The sidecar as a whole: takes an event, returns commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING, Any, cast

from meshsim.sidecar import events
from meshsim.sidecar.commands import Command
from meshsim.sidecar.inbound import Inbound
from meshsim.sidecar.messages import Message, RequestMessage, ResponseMessage
from meshsim.sidecar.outbound import Outbound
from meshsim.sidecar.timers import NEVER, Timers
from meshsim.sidecar.tls.states import State
from meshsim.sidecar.waypoint import WaypointInbound

if TYPE_CHECKING:
    from meshsim.identity.token_check import TokenRules
    from meshsim.sidecar.balancer import Balancer
    from meshsim.sidecar.routing import RouteRandoms
    from meshsim.sidecar.settings import Served, SidecarSettings
    from meshsim.sidecar.tls.end import TlsEnd
    from meshsim.sidecar.tls.openssl import Engines
    from meshsim.sidecar.tls.settings import TlsSide

__all__ = ["HANDLERS", "NEVER", "Sidecar"]


class Sidecar:
    """One proxy. ``handle`` is the only way in; ``timers.next_ns`` says when it wants a ``TimerDue``.

    ``random`` is its own stream (for back-off jitter); ``connection_ids`` numbers the connections it opens. ``engines``
    makes OpenSSL ride along at fidelity real, else None. ``route_randoms`` are the streams of its routes, if any.
    """

    __slots__ = (
        "_balancer",
        "config_version",
        "inbound",
        "outbound",
        "settings",
        "timers",
    )

    def __init__(
        self,
        settings: SidecarSettings,
        side: TlsSide,
        balancer: Balancer,
        random: Random,
        connection_ids: Iterator[int],
        engines: Engines | None = None,
        route_randoms: RouteRandoms | None = None,
    ) -> None:
        self.settings = settings
        self.timers = Timers()
        self._balancer = balancer
        self.outbound = Outbound(settings, side, balancer, self.timers, random, connection_ids, engines, route_randoms)
        self.inbound = WaypointInbound(settings, side, engines) if settings.serves else Inbound(settings, side, engines)
        self.config_version = 0

    def handle(self, event: events.Event, now_ns: int) -> list[Command]:
        """Take one event at simulated time ``now_ns``; return what to do, in order."""
        return HANDLERS[type(event)](self, event, now_ns)

    def check_tokens_by(self, rules: TokenRules | None) -> None:
        """Accept other tokens of callers from now on; None: look at none."""
        self.inbound.check_tokens_by(rules)

    def serve(self, serves: Mapping[str, Served]) -> None:
        """Go by other rules of the services that this waypoint serves from now on."""
        assert isinstance(self.inbound, WaypointInbound), "no other sidecar serves several"
        self.inbound.serve(serves)

    # Real bytes, at fidelity real: written when a message leaves and read when it has arrived, in the order of TCP.

    def encode(self, connection_id: int, message: Message) -> Message:
        """Return a message that leaves now with its real bytes."""
        if type(message) is RequestMessage:
            upstream = self.outbound.upstreams.get(connection_id)
            if upstream is None or _is_over(upstream.tls):
                return message  # the connection was lost meanwhile: nobody will read it
            if upstream.codec is None:
                from meshsim.sidecar.codec import ClientCodec  # loads what only fidelity real needs

                upstream.codec = ClientCodec(None if upstream.tls is None else cast(Any, upstream.tls.engine))
            return upstream.codec.encode(message)
        assert type(message) is ResponseMessage
        downstream = self.inbound.downstreams.get(connection_id)
        if downstream is None or downstream.codec is None or _is_over(downstream.tls):
            return message
        return downstream.codec.encode(message)

    def decode(self, connection_id: int, message: Message) -> None:
        """Read the real bytes of a message that has arrived; raises InvariantViolation if they say something else."""
        if type(message) is ResponseMessage:
            upstream = self.outbound.upstreams.get(connection_id)
            if upstream is not None and upstream.codec is not None:
                upstream.codec.decode(message)
            return
        assert type(message) is RequestMessage
        downstream = self.inbound.downstreams.get(connection_id)
        if downstream is None or self.inbound.refuses(downstream, message):
            return
        if downstream.codec is None:
            from meshsim.sidecar.codec import ServerCodec  # loads what only fidelity real needs

            downstream.codec = ServerCodec(None if downstream.tls is None else cast(Any, downstream.tls.engine))
        downstream.codec.decode(message)

    def _call_started(self, event: events.CallStarted, now_ns: int) -> list[Command]:
        return self.outbound.start(event.call_id, event.template, now_ns, event.carried)

    def _tcp_established(self, event: events.TcpEstablished, now_ns: int) -> list[Command]:
        upstream = self.outbound.upstreams.get(event.connection_id)
        return [] if upstream is None else self.outbound.connected(upstream, now_ns)

    def _connection_accepted(self, event: events.ConnectionAccepted, now_ns: int) -> list[Command]:
        self.inbound.accepted(event.connection_id, event.port, event.source_ip)
        return []

    def _unit_received(self, event: events.UnitReceived, now_ns: int) -> list[Command]:
        connection_id = event.connection_id
        unit: Any = event.unit  # told apart by its kind
        kind = type(unit)
        if kind is ResponseMessage:
            upstream = self.outbound.upstreams.get(connection_id)
            return [] if upstream is None else self.outbound.response(upstream, unit, now_ns)
        downstream = self.inbound.downstreams.get(connection_id)
        if kind is RequestMessage:
            return [] if downstream is None else self.inbound.request(downstream, unit, now_ns)
        if downstream is not None:
            return self.inbound.flight(downstream, unit, now_ns)
        upstream = self.outbound.upstreams.get(connection_id)
        return [] if upstream is None else self.outbound.flight(upstream, unit, now_ns)

    def _work_done(self, event: events.WorkDone, now_ns: int) -> list[Command]:
        downstream = self.inbound.downstreams.get(event.connection_id)
        if downstream is not None:
            return self.inbound.step_done(downstream, event.step, now_ns)
        upstream = self.outbound.upstreams.get(event.connection_id)
        return [] if upstream is None else self.outbound.step_done(upstream, event.step, now_ns)

    def _policy_answered(self, event: events.PolicyAnswered, now_ns: int) -> list[Command]:
        downstream = self.inbound.downstreams.get(event.connection_id)
        return [] if downstream is None else self.inbound.answered(downstream, event.message, event.decision, now_ns)

    def _service_answered(self, event: events.ServiceAnswered, now_ns: int) -> list[Command]:
        downstream = self.inbound.downstreams.get(event.connection_id)
        if downstream is None:
            return []
        return self.inbound.respond(downstream, event.call_id, event.attempt, event.status, now_ns)

    def _connection_lost(self, event: events.ConnectionLost, now_ns: int) -> list[Command]:
        if self.inbound.downstreams.pop(event.connection_id, None) is not None:
            return []
        upstream = self.outbound.upstreams.get(event.connection_id)
        return [] if upstream is None else self.outbound.lost(upstream, event.reason, now_ns)

    def _endpoints_changed(self, event: events.EndpointsChanged, now_ns: int) -> list[Command]:
        self.config_version = event.version
        self._balancer.update(event.endpoints)
        if not self.outbound.upstreams:
            return []  # as at the start, when all sidecars are told of all endpoints
        known = frozenset(e.endpoint_id for endpoints in event.endpoints.values() for e in endpoints)
        return self.outbound.retire(known, event.draining, now_ns)

    def _location_changed(self, event: events.LocationChanged, now_ns: int) -> list[Command]:
        self._balancer.move(event.node, event.site)
        self.outbound.site = event.site
        self.outbound.node = event.node
        return []

    def _identity_rotated(self, event: events.IdentityRotated, now_ns: int) -> list[Command]:
        if event.side.settings.as_envoy and event.side.ticket_key != self.outbound.side.ticket_key:
            self.outbound.forget_sessions()
        self.outbound.side = event.side
        self.inbound.side = event.side
        if not self.settings.cuts_revoked:
            return []
        return self.inbound.cut_revoked() + self.outbound.cut_revoked(now_ns)

    def _token_came(self, _event: events.TokenCame, now_ns: int) -> list[Command]:
        return self.outbound.token_came(now_ns)

    def _timer_due(self, event: events.TimerDue, now_ns: int) -> list[Command]:
        commands: list[Command] = []
        self.timers.run(now_ns, commands)
        return commands


def _is_over(tls: TlsEnd | None) -> bool:
    """Say whether TLS has ended in an alert: there is nothing more to encrypt with."""
    return tls is not None and tls.state is State.REFUSED


HANDLERS: dict[type, Callable[[Sidecar, Any, int], list[Command]]] = {
    events.CallStarted: Sidecar._call_started,
    events.TcpEstablished: Sidecar._tcp_established,
    events.ConnectionAccepted: Sidecar._connection_accepted,
    events.UnitReceived: Sidecar._unit_received,
    events.WorkDone: Sidecar._work_done,
    events.PolicyAnswered: Sidecar._policy_answered,
    events.ServiceAnswered: Sidecar._service_answered,
    events.ConnectionLost: Sidecar._connection_lost,
    events.EndpointsChanged: Sidecar._endpoints_changed,
    events.LocationChanged: Sidecar._location_changed,
    events.IdentityRotated: Sidecar._identity_rotated,
    events.TokenCame: Sidecar._token_came,
    events.TimerDue: Sidecar._timer_due,
}
"""What ``handle`` calls, by the event's type: a driver that tells millions of events goes there directly.

One table for all: among a thousand sidecars, a table for each would be cold memory with every event.
"""
