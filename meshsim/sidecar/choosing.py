"""Where an attempt goes: its endpoint, and the pool of connections to that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.sidecar.pool import Pool, PoolKey

if TYPE_CHECKING:
    from meshsim.sidecar.balancer import Balancer, Endpoint
    from meshsim.sidecar.calls import OutboundCall
    from meshsim.sidecar.routing import RouteRandoms
    from meshsim.sidecar.settings import SidecarSettings


class Choosing:
    """Chooses by balancer and cluster, and keeps the pools."""

    def __init__(self, settings: SidecarSettings, balancer: Balancer, route_randoms: RouteRandoms | None) -> None:
        self._pool_settings = settings.pool
        self._pool_per_slice = settings.pool_per_slice
        self._balancer = balancer
        self._route_randoms = route_randoms
        self._pools: dict[PoolKey, Pool] = {}
        self._sole: dict[int, tuple[Endpoint, Pool]] = {}
        """Where calls of a kind go that have no choice, until something changes."""
        self._sole_stamp = 0

    def choose(self, call: OutboundCall, now_ns: int) -> tuple[Endpoint, Pool] | None:
        """Return where the next attempt of a call goes; None if there is no endpoint."""
        if self._balancer.stamp != self._sole_stamp:
            self._sole.clear()
            self._sole_stamp = self._balancer.stamp
        known = self._sole.get(call.template.index) if call.cluster is None else None
        return known or self._anew(call, now_ns)

    def _anew(self, call: OutboundCall, now_ns: int) -> tuple[Endpoint, Pool] | None:
        template, cluster = call.template, call.cluster
        endpoint = self._endpoint_for(call, now_ns)
        if endpoint is None:
            return None
        key = (
            endpoint.endpoint_id,
            template.port,
            template.slice if self._pool_per_slice else "",
            "" if cluster is None else cluster.settings.key,
        )
        pool = self._pools.get(key)
        if pool is None:
            settings = self._pool_settings if cluster is None else cluster.settings.pool
            pool = self._pools[key] = Pool(key, settings, cluster)
        chosen = endpoint, pool
        if cluster is None and self._balancer.has_one(template.destination):
            self._sole[template.index] = chosen
        return chosen

    def _endpoint_for(self, call: OutboundCall, now_ns: int) -> Endpoint | None:
        if call.cluster is None:
            return self._balancer.choose(call.template.destination, call.tried)
        assert self._route_randoms is not None, "a sidecar with routes has their random streams"
        return call.cluster.choose(self._balancer, call.tried, self._route_randoms.balance, now_ns)
