"""Connections that a sidecar keeps to one endpoint, and the calls that wait for one."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from meshsim.sidecar.endpoint import Endpoint
from meshsim.sidecar.pool_settings import READY, Phase, PoolSettings
from meshsim.sidecar.tls.machine import TlsClient

if TYPE_CHECKING:
    from meshsim.sidecar.clusters import Cluster
    from meshsim.sidecar.codec import ClientCodec


PoolKey = tuple[int, int, str, str]
"""Endpoint id, port, slice (empty where slices share), and cluster (empty of calls that are not routed).

Before the cluster stands ``http/1.1`` or ``malformed`` where that is spoken."""


class Upstream:
    """The client's half of one connection."""

    __slots__ = (
        "authority",
        "codec",
        "connection_id",
        "draining",
        "endpoint",
        "fresh",
        "idle_since_ns",
        "limit",
        "phase",
        "pool",
        "requests",
        "sizes",
        "streams",
        "tls",
        "used_up",
        "waiting",
    )

    def __init__(self, connection_id: int, endpoint: Endpoint, pool: Pool) -> None:
        self.connection_id = connection_id
        self.endpoint = endpoint
        self.pool = pool
        self.phase = Phase.CONNECTING
        self.tls: TlsClient | None = None
        self.streams: dict[int, None] = {}
        """Calls in progress on it, by id, in order."""
        self.waiting: deque[int] = deque()
        """Calls that wait until it is ready."""
        self.fresh = True
        """Whether no request was sent on it yet (HPACK's table is empty)."""
        self.authority = ""
        """That of its first request: HPACK's table has it from then on."""
        self.sizes: dict[int, int] = {}
        """Sizes of the requests that come after, by kind of call."""
        self.limit = pool.settings.requests_per_connection
        """How many requests it may carry; 0 for any number."""
        self.requests = 0
        """How many it has carried, where that is limited."""
        self.idle_since_ns = 0
        self.draining = False
        """Whether it is closed as soon as nothing is in progress on it."""
        self.used_up = False
        """Whether it has carried as many requests as it may."""
        self.codec: ClientCodec | None = None
        """Real bytes, at fidelity real."""

    def count_request(self) -> None:
        """Count a request where they are limited; after the last one it takes no more."""
        self.requests += 1
        if self.requests >= self.limit:
            self.used_up = self.draining = True
            self.pool.connections.remove(self)
            self.pool.used_up += 1

    @property
    def refusal_outcome(self) -> str:
        """How attempts end once TLS has ended in an alert: a damaged record is no judgement on the peer."""
        damaged = self.phase is Phase.READY and self.tls is not None and self.tls.alert == "bad_record_mac"
        return "reset" if damaged else "tls-refused"


class Pool:
    """Connections to one port of one endpoint (of a device: in one slice; of routed calls: of one cluster)."""

    __slots__ = ("cluster", "connections", "key", "settings", "used_up", "waiting")

    def __init__(self, key: PoolKey, settings: PoolSettings, cluster: Cluster | None) -> None:
        self.key = key
        self.settings = settings
        self.cluster = cluster
        """None of calls that are not routed."""
        self.connections: list[Upstream] = []
        self.used_up = 0
        """Connections that carry no more requests but end those they have; they are not among ``connections``."""
        self.waiting: deque[int] = deque()
        """Calls that wait because every connection is full and no more may be opened."""

    def ready(self) -> Upstream | None:
        """Return the first ready connection with a free stream."""
        limit = self.settings.streams_per_connection
        for upstream in self.connections:
            if upstream.phase is READY and len(upstream.streams) < limit:
                return upstream
        return None

    def opening(self) -> Upstream | None:
        """Return the first connection that is being opened and has room for one more waiting call."""
        for upstream in self.connections:
            if upstream.phase < READY and self.has_room(upstream):
                return upstream
        return None

    def has_room(self, upstream: Upstream) -> bool:
        """Say whether one more call may wait for a connection that is being opened."""
        settings = self.settings
        waiting = len(upstream.waiting)
        most = settings.requests_per_connection
        return waiting < settings.streams_per_connection and (not most or waiting < most)

    def may_connect(self) -> bool:
        """Say whether one more connection may be opened."""
        count = len(self.connections) + self.used_up
        return count < self.settings.max_connections and (self.cluster is None or self.cluster.may_connect(count))
