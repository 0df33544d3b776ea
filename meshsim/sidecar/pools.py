"""The pools of one sidecar: which of them an attempt goes to, and how large its request is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshsim.scenario.placed_waypoints import HBONE_PORT
from meshsim.sidecar.http1 import connection_problem
from meshsim.sidecar.http1_write import request1_size_bytes
from meshsim.sidecar.http_sizes import request_size_bytes
from meshsim.sidecar.malformed import malformed_request
from meshsim.sidecar.messages import TOO_LARGE, is_too_large, sent
from meshsim.sidecar.pool import Pool, PoolKey, Upstream
from meshsim.sidecar.received import options
from meshsim.sidecar.resilience import STATUS
from meshsim.sidecar.tls.records import sealed_size_bytes

if TYPE_CHECKING:
    from meshsim.identity.tokens import Token
    from meshsim.sidecar.balancer import Balancer
    from meshsim.sidecar.calls import OutboundCall
    from meshsim.sidecar.endpoint import Endpoint
    from meshsim.sidecar.messages import CallTemplate, Carried
    from meshsim.sidecar.routing import RouteRandoms
    from meshsim.sidecar.settings import SidecarSettings


MALFORMED = "malformed "
"""Malformed requests have connections of their own, one for each: it is closed after the refusal."""
HTTP1, HTTP1_CLOSE = "http/1.1 ", "http/1.1 close "
"""Others in HTTP/1.1 have connections of their own too, on which one is answered after the other; or one alone."""
MOST_WITH_TOKENS = 10_000
"""Sizes of requests with tokens that are remembered; then it starts anew, for old tokens do not come again."""


class Pools:
    """Finds the pool of an attempt; one that had no choice is remembered until endpoints or the location change."""

    __slots__ = (
        "_balancer",
        "_per_slice",
        "_pools",
        "_randoms",
        "_settings",
        "_sole",
        "_stamp",
    )

    def __init__(self, settings: SidecarSettings, balancer: Balancer, randoms: RouteRandoms | None) -> None:
        self._settings = settings.pool
        self._per_slice = settings.pool_per_slice
        self._balancer = balancer
        self._randoms = randoms
        self._pools: dict[PoolKey, Pool] = {}
        self._sole: dict[int, tuple[Endpoint, Pool]] = {}
        """Where first attempts of a kind of call go that have no choice."""
        self._stamp = 0

    def pick(self, call: OutboundCall, now_ns: int) -> tuple[Endpoint, Pool] | None:
        """Choose the endpoint of an attempt, and with it the pool; None if there is none."""
        if call.cluster is not None or call.tried:
            return self._choose(call, now_ns)
        balancer, template = self._balancer, call.template
        if balancer.stamp != self._stamp:
            self._sole.clear()
            self._stamp = balancer.stamp
        picked = self._sole.get(template.index)
        if picked is None:
            picked = self._choose(call, now_ns)
            if picked is not None and balancer.has_one(template.through or template.destination):
                self._sole[template.index] = picked
        return picked

    def _choose(self, call: OutboundCall, now_ns: int) -> tuple[Endpoint, Pool] | None:
        template, cluster = call.template, call.cluster
        if cluster is None:
            endpoint = self._balancer.choose(template.through or template.destination, call.tried)
        else:
            assert self._randoms is not None, "a sidecar with routes has their random streams"
            endpoint = cluster.choose(self._balancer, call.tried, self._randoms.balance, now_ns)
        if endpoint is None:
            return None
        key = (
            endpoint.endpoint_id,
            HBONE_PORT if template.through else template.port,
            template.slice if self._per_slice else "",
            _protocol(template) + ("" if cluster is None else cluster.settings.key),
        )
        pool = self._pools.get(key)
        if pool is None:
            settings = self._settings if cluster is None else cluster.settings.pool
            protocol = _protocol(template)
            if protocol:
                most = settings.requests_per_connection if protocol == HTTP1 else 1
                settings = msgspec.structs.replace(settings, streams_per_connection=1, requests_per_connection=most)
            pool = self._pools[key] = Pool(key, settings, cluster)
        return endpoint, pool


def _protocol(template: CallTemplate) -> str:
    """What keeps connections of different protocols apart; empty for HTTP/2."""
    if not template.http1:
        return MALFORMED if template.malformed else ""
    closes = any(name == "connection" and "close" in options(value) for name, value in template.headers)
    return HTTP1_CLOSE if closes or connection_problem(template.headers) else HTTP1


def presented(
    settings: SidecarSettings, call: OutboundCall, upstream: Upstream, now_ns: int
) -> tuple[Token | None, tuple[str, int] | None]:
    """The token that a request carries on a connection; and the outcome and status of one that is not sent.

    Some are not without a token, and none whose fields take too much for the first proxy that reads them: a workload's
    own sidecar answers 431 to it, or the waypoint that its ztunnel carries it to.
    """
    template, token = call.template, None
    if template.token:
        wallet = settings.wallet
        assert wallet is not None, "a scenario's tokens are checked"
        shown = None if upstream.tls is None else upstream.tls.own_svid
        token = wallet.present(template.token, settings.clock_offset_ns + now_ns, shown)
        if token is None and wallet.needs(template.token):
            return None, ("no-token", STATUS["no-token"])
    if call.carried is not None and _is_read(settings, template) and is_too_large(template, token, call.carried):
        return None, ("denied", TOO_LARGE)
    return token, None


def _is_read(settings: SidecarSettings, template: CallTemplate) -> bool:
    """Say whether a proxy that reads HTTP has a request from its workload: a waypoint has made what it sends on."""
    if template.as_tcp:
        return False
    return not settings.serves and (bool(template.through) or not template.carried_by_ztunnel)


class RequestSizes:
    """Sizes of requests on the wire; remembered, since calls are of few kinds."""

    __slots__ = ("_of_their_own", "_sizes")

    def __init__(self) -> None:
        self._sizes: dict[_Begun, dict[int, int]] = {}
        """By kind of call."""
        self._of_their_own: dict[tuple[int, str, Carried | None, _Begun], int] = {}
        """By kind of call, token and what is handed on; apart as above."""

    def measure(self, template: CallTemplate, upstream: Upstream, *, encrypted: bool) -> int:
        """Return the size of a request that is sent now, and have the connection know those that may follow."""
        begun = self._begun(template, upstream, encrypted=encrypted)
        sizes = self._sizes.setdefault(begun, {})
        size_bytes = sizes.get(template.index)
        if size_bytes is None:
            size_bytes = sizes[template.index] = _size_bytes(template, template.headers, template.path, begun)
        return size_bytes

    def of_its_own(
        self, template: CallTemplate, token: Token | None, carried: Carried | None, upstream: Upstream
    ) -> int:
        """Return the size of a request that is sent now with a token, or with what is handed on."""
        begun = self._begun(template, upstream, encrypted=upstream.tls is not None)
        key = (template.index, "" if token is None else token.text, carried, begun)
        size_bytes = self._of_their_own.get(key)
        if size_bytes is None:
            if len(self._of_their_own) >= MOST_WITH_TOKENS:
                self._of_their_own.clear()
            parts = sent(template, token, carried)
            size_bytes = self._of_their_own[key] = _size_bytes(template, *parts, begun)
        return size_bytes

    def _begun(self, template: CallTemplate, upstream: Upstream, *, encrypted: bool) -> _Begun:
        """Take note that a request is sent now; return how its connection stood before."""
        first, upstream.fresh = upstream.fresh, False
        if first:
            upstream.authority = template.authority
        upstream.sizes = self._sizes.setdefault((False, encrypted, upstream.authority), {})
        return first, encrypted, upstream.authority


_Begun = tuple[bool, bool, str]
"""Whether no request was sent on a connection yet, whether it is encrypted, and the authority of its first request."""


def _size_bytes(template: CallTemplate, headers: tuple[tuple[str, str], ...], path: str, begun: _Begun) -> int:
    first, encrypted, authority = begun
    line = (template.method, path, template.authority)
    if template.malformed:
        size_bytes = len(malformed_request(template.malformed, *line, template.request_bytes))
    elif template.http1:
        size_bytes = request1_size_bytes(line, headers, template.request_bytes)
    else:
        renamed = template.authority != authority  # connections carry requests of all authorities
        size_bytes = request_size_bytes(*line, template.request_bytes, headers, first=first, renamed=renamed)
    return sealed_size_bytes(size_bytes) if encrypted else size_bytes
