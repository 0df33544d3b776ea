"""A routed destination in a sidecar: its endpoints, what is in progress there, and its limits.

It is what Envoy calls a cluster: pools, limits and outliers are counted for it alone, whatever else goes to the same
replicas.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from meshsim.sidecar.balancer import Balancer
from meshsim.sidecar.endpoint import Endpoint
from meshsim.sidecar.outlier import Outliers
from meshsim.sidecar.routing import Destination


class Cluster:
    """State of one destination."""

    __slots__ = (
        "_known",
        "_nearest",
        "_of",
        "_stamp",
        "_turn",
        "active",
        "connections",
        "outliers",
        "pending",
        "settings",
    )

    def __init__(self, settings: Destination) -> None:
        self.settings = settings
        self.active = 0
        """Requests that are sent and not answered."""
        self.pending = 0
        """Requests that wait for a connection."""
        self.connections = 0
        self.outliers = Outliers(settings.outlier) if settings.outlier is not None else None
        self._turn = 0
        self._of: Mapping[str, tuple[Endpoint, ...]] | None = None
        self._known: tuple[Endpoint, ...] = ()
        self._nearest: tuple[Endpoint, ...] = ()
        self._stamp = -1
        """What the balancer's stamp was when ``_nearest`` was found."""

    def endpoints(self, announced: Mapping[str, tuple[Endpoint, ...]]) -> tuple[Endpoint, ...]:
        """Return those of the announced endpoints that belong to it."""
        if self._of is not announced:
            versions = self.settings.versions
            known = announced.get(self.settings.service, ())
            self._known = known if versions is None else tuple(one for one in known if one.version in versions)
            self._of = announced
        return self._known

    def choose(self, balancer: Balancer, tried: frozenset[int], random: Random, now_ns: int) -> Endpoint | None:
        """Return the endpoint for the next attempt, or None if there is none that may be used.

        What was tried before in the same call comes last, as with any call.
        """
        candidates = self._candidates(balancer, tried, now_ns)
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        if self.settings.balancing == "random":
            return candidates[int(random.random() * len(candidates))]
        turn = self._turn
        self._turn += 1
        if self.settings.balancing == "round_robin":
            return candidates[turn % len(candidates)]
        return balancer.least_busy(candidates, turn)

    def _candidates(self, balancer: Balancer, tried: frozenset[int], now_ns: int) -> tuple[Endpoint, ...]:
        known = self.endpoints(balancer.endpoints)
        usable = None
        if self.outliers is not None:
            usable = self.outliers.usable([one.endpoint_id for one in known], now_ns)
        if usable is None and not tried:
            if self._stamp != balancer.stamp:
                self._nearest = balancer.rank(known, locality=self.settings.locality)
                self._stamp = balancer.stamp
            return self._nearest
        if usable is not None:
            known = tuple(one for one in known if one.endpoint_id in usable)
        fresh = tuple(one for one in known if one.endpoint_id not in tried)
        return balancer.rank(fresh or known, locality=self.settings.locality)

    # What is in progress

    def may_connect(self, own_connections: int) -> bool:
        """Say whether one more connection may be opened to an endpoint that has so many."""
        return not own_connections or self.connections < self.settings.max_connections

    def is_full(self, *, waits: bool) -> bool:
        """Say whether a limit forbids one more request: to wait for a connection, or to be sent."""
        if waits:
            return self.pending >= self.settings.max_pending
        return self.active >= self.settings.max_requests

    def ended(self, endpoint_id: int, status: int, balancer: Balancer, now_ns: int, *, answered: bool) -> None:
        """Take note of how an attempt ended: with an answer, or without one (``status`` is what stands for it)."""
        if self.outliers is None:
            return
        if answered and status < 500:
            self.outliers.succeeded(endpoint_id)
            return
        known = [one.endpoint_id for one in self.endpoints(balancer.endpoints)]
        self.outliers.failed(endpoint_id, status, answered=answered, known=known, now_ns=now_ns)
