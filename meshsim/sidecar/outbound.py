"""The calling half of a sidecar: route, balance, pool, send, time out, try again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import TYPE_CHECKING

from meshsim.sidecar.calls import OutboundCall, exhausted, may_retry, release
from meshsim.sidecar.clusters import Cluster
from meshsim.sidecar.commands import BackOff, CloseConnection, Command, FinishCall, HoldCall, Send, WaitForConnection
from meshsim.sidecar.messages import CallTemplate, Carried, RequestMessage, ResponseMessage
from meshsim.sidecar.pool import Pool, Upstream
from meshsim.sidecar.pool_settings import Phase
from meshsim.sidecar.pools import Pools, RequestSizes, presented
from meshsim.sidecar.resilience import STATUS, backoff_ns, carrying, outcome_of_status
from meshsim.sidecar.routing import Route, RouteRandoms, choose_way, drawn
from meshsim.sidecar.timers import Deadlines
from meshsim.sidecar.token_waits import TokenWaits
from meshsim.sidecar.upstreams import Upstreams

if TYPE_CHECKING:
    from meshsim.sidecar.balancer import Balancer
    from meshsim.sidecar.endpoint import Endpoint
    from meshsim.sidecar.settings import SidecarSettings
    from meshsim.sidecar.timers import Timers
    from meshsim.sidecar.tls.openssl import Engines
    from meshsim.sidecar.tls.settings import TlsSide


class Outbound(Upstreams):
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
        route_randoms: RouteRandoms | None = None,
    ) -> None:
        super().__init__(settings, side, timers, connection_ids, engines)
        self._resilience = settings.resilience
        self._carrying = carrying(settings.resilience)
        self._workload = settings.workload
        self._routes = settings.routes
        self._route_randoms = route_randoms
        self._balancer = balancer
        self._random = random
        self.site = self.node = ""
        self._calls: dict[int, OutboundCall] = {}
        self._clusters: dict[str, Cluster] = {}
        self._pools = Pools(settings, balancer, route_randoms)
        self._sizes = RequestSizes()
        self._token_waits = TokenWaits(settings)
        self._deadlines: dict[int, Deadlines] = {}
        """Time limits of calls, by their length."""

    # Calls

    def start(self, call_id: int, template: CallTemplate, now_ns: int, carried: Carried | None = None) -> list[Command]:
        """Begin a call."""
        commands: list[Command] = []
        route = self._routes.get(template.index) if self._routes else None
        if route is not None:
            self._start_routed((call_id, template, carried), route, now_ns, commands)
            return commands
        timeout_ns = template.timeout_ns
        resilience = self._carrying if template.by_connection else self._resilience
        deadline_ns = now_ns + timeout_ns
        self._calls[call_id] = call = OutboundCall(call_id, template, deadline_ns, resilience, carried)
        deadlines = self._deadlines.get(timeout_ns)
        if deadlines is None:
            deadlines = self._deadlines[timeout_ns] = Deadlines(self._timers, self._deadline)
        call.deadlines = deadlines
        deadlines.due_ns[call_id] = deadline_ns
        if not deadlines.watched:
            deadlines.watch(deadline_ns)
        begin = self._begin if template.token else self._try
        begin(call, now_ns, commands)
        return commands

    def _begin(self, call: OutboundCall, now_ns: int, commands: list[Command]) -> None:
        token = call.template.token
        if token and self._token_waits.holds(call.call_id, token, self.side.svid, now_ns):
            commands.append(HoldCall(call.call_id, for_token=True))
        else:
            self._try(call, now_ns, commands)

    def token_came(self, now_ns: int) -> list[Command]:
        """Begin the calls that have waited for a token."""
        commands: list[Command] = []
        for call_id in self._token_waits.take():
            if call_id in self._calls:
                self._begin(self._calls[call_id], now_ns, commands)
        return commands

    def _start_routed(
        self, asked: tuple[int, CallTemplate, Carried | None], route: Route, now_ns: int, commands: list[Command]
    ) -> None:
        """Begin a call that a route is for: what is injected comes first, as in Envoy's fault filter."""
        randoms = self._route_randoms
        assert randoms is not None, "a sidecar with routes has their random streams"
        call_id, template, carried = asked
        call = OutboundCall(call_id, template, now_ns + template.timeout_ns, route.resilience, carried)
        self._calls[call_id] = call
        if not template.patient:
            self._timers.add_after(now_ns, template.timeout_ns, self._deadline, call_id)
        delayed, aborted = drawn(route.delay_ppm, randoms.delay), drawn(route.abort_ppm, randoms.abort)
        if not delayed:
            self._go((call_id, route, aborted), now_ns, commands)
            return
        commands.append(HoldCall(call_id))
        self._timers.add_after(now_ns, route.delay_ns, self._go, (call_id, route, aborted))

    def _go(self, job: tuple[int, Route, bool], now_ns: int, commands: list[Command]) -> None:
        """Send a routed call on its way, or answer it here."""
        call_id, route, aborted = job
        call = self._calls.get(call_id)
        if call is None:
            return  # its workload did not wait so long
        if aborted or not route.ways:
            del self._calls[call_id]
            outcome, status = ("aborted", route.abort_status) if aborted else ("unrouted", STATUS["unrouted"])
            commands.append(FinishCall(call_id, outcome, status, 0, None))
            return
        deadline_ns = now_ns + route.timeout_ns
        call.deadline_ns = deadline_ns if call.template.patient else min(deadline_ns, call.deadline_ns)
        self._timers.add_after(now_ns, route.timeout_ns, self._deadline, call_id)
        randoms = self._route_randoms
        assert randoms is not None, "a sidecar with routes has their random streams"
        way = choose_way(route.ways, randoms.split)
        call.template = way.template
        destination = way.destination
        cluster = self._clusters.get(destination.key)
        if cluster is None:
            cluster = self._clusters[destination.key] = Cluster(destination)
        call.cluster = cluster
        self._begin(call, now_ns, commands)

    def _try(self, call: OutboundCall, now_ns: int, commands: list[Command]) -> None:
        call.attempt += 1
        template, cluster = call.template, call.cluster
        chosen = self._pools.pick(call, now_ns)
        if chosen is None:
            call.endpoint_id = 0
            self._failed(call, "unreachable", now_ns, commands)
            return
        endpoint, pool = chosen
        endpoint_id = call.endpoint_id = endpoint.endpoint_id
        upstream = pool.ready()
        if cluster is not None and cluster.is_full(waits=upstream is None):
            call.endpoint_id = 0
            self._end(call, "overflow", STATUS["overflow"], commands)
            return
        active = self._balancer.active
        active[endpoint_id] = active.get(endpoint_id, 0) + 1
        attempt_timeout_ns = call.resilience.attempt_timeout_ns
        if attempt_timeout_ns is not None:
            self._timers.add_after(now_ns, attempt_timeout_ns, self._attempt_deadline, (call.call_id, call.attempt))
        if upstream is not None:
            self._send(call, upstream, now_ns, commands)
            return
        upstream = pool.opening()
        if upstream is None and pool.may_connect():
            upstream = self._open(pool, endpoint, template, now_ns, commands)
        if cluster is not None:
            cluster.pending += 1
        if upstream is None:
            pool.waiting.append(call.call_id)
            call.pool = pool
            commands.append(WaitForConnection(call.call_id, 0))
        else:
            upstream.waiting.append(call.call_id)
            call.connection = upstream
            commands.append(WaitForConnection(call.call_id, upstream.connection_id))

    def _end(self, call: OutboundCall, outcome: str, status: int, commands: list[Command]) -> None:
        """End a call that this sidecar does not send (a limit of its cluster, no token); it is not tried again."""
        self._forget(call)
        commands.append(FinishCall(call.call_id, outcome, status, call.attempt, None))

    def _send(self, call: OutboundCall, upstream: Upstream, now_ns: int, commands: list[Command]) -> None:
        template, token = call.template, None
        if template.token or call.carried is not None:
            token, refusal = presented(self._settings, call, upstream, now_ns)
            if refusal is not None:
                self._balancer.active[call.endpoint_id] -= 1
                self._end(call, *refusal, commands)
                return
        call.connection = upstream
        call.pool = None
        upstream.streams[call.call_id] = None
        if call.cluster is not None:
            call.cluster.active += 1
        if upstream.limit:
            upstream.count_request()
        encrypted = upstream.tls is not None
        size_bytes = 0 if upstream.fresh else upstream.sizes.get(template.index)
        carried = call.carried
        if token is not None or carried is not None:
            size_bytes = self._sizes.of_its_own(template, token, carried, upstream)
        elif not size_bytes:
            size_bytes = self._sizes.measure(template, upstream, encrypted=encrypted)
        call_id, site, node = call.call_id, self.site, self.node
        message = RequestMessage(
            call_id, call.attempt, template, self._workload, site, node, size_bytes, encrypted, None, token, carried
        )
        commands.append(Send(upstream.connection_id, message))

    def _send_waiting(self, upstream: Upstream, now_ns: int, commands: list[Command]) -> None:
        while upstream.waiting:
            self._send_waited(self._calls[upstream.waiting.popleft()], upstream, now_ns, commands)
        self._serve_waiting(upstream, now_ns, commands)

    def _serve_waiting(self, upstream: Upstream, now_ns: int, commands: list[Command]) -> None:
        """Send calls that wait for any connection of the pool, as far as this one has room."""
        waiting = upstream.pool.waiting
        limit = upstream.pool.settings.streams_per_connection
        while waiting and len(upstream.streams) < limit and not upstream.used_up:
            self._send_waited(self._calls[waiting.popleft()], upstream, now_ns, commands)

    def _send_waited(self, call: OutboundCall, upstream: Upstream, now_ns: int, commands: list[Command]) -> None:
        cluster = call.cluster
        if cluster is not None:
            cluster.pending -= 1
            if cluster.is_full(waits=False):
                self._balancer.active[call.endpoint_id] -= 1
                self._end(call, "overflow", STATUS["overflow"], commands)
                return
        self._send(call, upstream, now_ns, commands)

    def _failed(
        self, call: OutboundCall, outcome: str, now_ns: int, commands: list[Command], *, unsent: bool = False
    ) -> None:
        """End an attempt without a response (``unsent``: for want of a connection to a replica): again, or give up."""
        release(call, self._balancer)
        self._note_failure(call, outcome, now_ns)
        if may_retry(call, outcome, now_ns, unsent=unsent):
            self._back_off(call, outcome, now_ns, commands)
            return
        self._forget(call)
        in_vain = exhausted(call, outcome, unsent=unsent)
        if call.template.through and outcome in ("unreachable", "reset"):
            outcome = "no-waypoint"
        commands.append(FinishCall(call.call_id, outcome, STATUS[outcome], call.attempt, None, in_vain))

    def _forget(self, call: OutboundCall) -> None:
        """Let go of a call that has ended."""
        del self._calls[call.call_id]
        if call.deadlines is not None:
            call.deadlines.due_ns.pop(call.call_id, None)

    def _note_failure(self, call: OutboundCall, outcome: str, now_ns: int) -> None:
        """Have outlier detection, if there is any, take note that an attempt brought no response."""
        if call.cluster is not None and call.endpoint_id:
            call.cluster.ended(call.endpoint_id, STATUS[outcome], self._balancer, now_ns, answered=False)

    def _back_off(self, call: OutboundCall, outcome: str, now_ns: int, commands: list[Command]) -> None:
        call.tried |= {call.endpoint_id}
        wait_ns = backoff_ns(call.resilience, call.attempt, self._random)
        self._timers.add(now_ns + wait_ns, self._retry, (call.call_id, call.attempt))
        commands.append(BackOff(call.call_id, call.attempt, outcome))

    def response(self, upstream: Upstream, message: ResponseMessage, now_ns: int) -> list[Command]:
        """Take a response; one to an attempt that was given up is dropped."""
        call_id = message.call_id
        call = self._calls.get(call_id)
        if call is None or call.attempt != message.attempt or call.connection is not upstream:
            return []
        deadlines = call.deadlines
        if message.status == 200 and deadlines is not None and not upstream.draining and not upstream.pool.waiting:
            # What nearly always happens: the call is done, and nothing follows from that.
            del self._calls[call_id]
            del deadlines.due_ns[call_id]
            del upstream.streams[call_id]
            self._balancer.active[call.endpoint_id] -= 1
            upstream.idle_since_ns = now_ns
            return [FinishCall(call_id, "ok", 200, call.attempt, message)]
        commands: list[Command] = []
        release(call, self._balancer)
        upstream.idle_since_ns = now_ns
        outcome = outcome_of_status(message.status)
        if call.cluster is not None:
            call.cluster.ended(call.endpoint_id, message.status, self._balancer, now_ns, answered=True)
        if may_retry(call, outcome, now_ns):
            self._back_off(call, outcome, now_ns, commands)
        else:
            self._forget(call)
            in_vain = exhausted(call, outcome)
            commands.append(FinishCall(call_id, outcome, message.status, call.attempt, message, in_vain))
        if upstream.pool.waiting:
            self._serve_waiting(upstream, now_ns, commands)
        if upstream.draining and not upstream.streams and not upstream.waiting:
            commands.append(CloseConnection(upstream.connection_id, "drained"))
            commands += self._drop(upstream, "reset", now_ns)
        return commands

    def _give_up(
        self, call_ids: Iterable[int], outcome: str, now_ns: int, commands: list[Command], *, sent: bool
    ) -> None:
        for call_id in call_ids:
            self._failed(self._calls[call_id], outcome, now_ns, commands, unsent=not sent)

    def _connect_for_waiting(self, pool: Pool, endpoint: Endpoint, now_ns: int, commands: list[Command]) -> None:
        upstream = self._open(pool, endpoint, self._calls[pool.waiting[0]].template, now_ns, commands)
        while pool.waiting and pool.has_room(upstream):
            call = self._calls[pool.waiting.popleft()]
            upstream.waiting.append(call.call_id)
            call.pool, call.connection = None, upstream
            commands.append(WaitForConnection(call.call_id, upstream.connection_id))

    # Timers

    def _deadline(self, call_id: int, now_ns: int, commands: list[Command]) -> None:
        call = self._calls.get(call_id)
        if call is not None:
            upstream = call.connection
            if upstream is not None or call.pool is not None:
                self._note_failure(call, "timeout", now_ns)
            release(call, self._balancer)
            self._forget(call)
            outcome = "no-token" if self._token_waits.gave_up(call_id) else "timeout"
            commands.append(FinishCall(call_id, outcome, STATUS["timeout"], call.attempt, None))
            self._stream_freed(upstream, now_ns, commands)

    def _attempt_deadline(self, key: tuple[int, int], now_ns: int, commands: list[Command]) -> None:
        call = self._calls.get(key[0])
        if call is not None and call.attempt == key[1] and (call.connection is not None or call.pool is not None):
            upstream = call.connection
            self._failed(call, "timeout", now_ns, commands)
            self._stream_freed(upstream, now_ns, commands)

    def _stream_freed(self, upstream: Upstream | None, now_ns: int, commands: list[Command]) -> None:
        """Hand the stream of a call that was given up (HTTP/2 resets it) to one that waits."""
        if upstream is None or upstream.phase is not Phase.READY:
            return
        self._serve_waiting(upstream, now_ns, commands)
        if upstream.used_up and not upstream.streams:
            commands.append(CloseConnection(upstream.connection_id, "drained"))
            commands += self._drop(upstream, "reset", now_ns)

    def _retry(self, key: tuple[int, int], now_ns: int, commands: list[Command]) -> None:
        call = self._calls.get(key[0])
        if call is not None and call.attempt == key[1]:
            self._try(call, now_ns, commands)
