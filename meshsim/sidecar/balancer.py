"""Which replica of a service an attempt goes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

from meshsim.sidecar.endpoint import Endpoint

DistanceNs = Callable[[str, str], int | None]
"""Network latency from one node to another; None when there is no way."""

_UNREACHABLE: Final = 2**62 - 1


class Balancer:
    """Chooses among the endpoints of a service: nearest first if locality counts, then by policy.

    Nearness is: same node, same site, then by network latency. Endpoints that were tried before in the same call come
    last, as do those that cannot be reached.
    """

    __slots__ = (
        "_distance_ns",
        "_least_request",
        "_locality",
        "_nearest",
        "_node",
        "_site",
        "_turn",
        "active",
        "endpoints",
        "stamp",
    )

    def __init__(
        self,
        policy: Literal["least_request", "round_robin"],
        *,
        locality: bool,
        distance_ns: DistanceNs,
        node: str,
        site: str,
    ) -> None:
        self._least_request = policy == "least_request"
        self._locality = locality
        self._distance_ns = distance_ns
        self._node = node
        self._site = site
        self.endpoints: Mapping[str, tuple[Endpoint, ...]] = {}
        """Those that were announced last, by service."""
        self._nearest: dict[str, tuple[Endpoint, ...]] = {}
        self._turn: dict[str, int] = {}
        self.stamp = 0
        """Changes with whatever changes who is nearest."""
        self.active: dict[int, int] = {}
        """Requests in progress by endpoint id."""

    def update(self, endpoints: Mapping[str, tuple[Endpoint, ...]]) -> None:
        """Take a new announcement."""
        self.endpoints = endpoints
        self.stamp += 1
        self._nearest.clear()

    def move(self, node: str, site: str) -> None:
        """Take a new location; or the old one, when routes have changed."""
        self._node, self._site = node, site
        self.stamp += 1
        self._nearest.clear()

    def choose(self, service: str, tried: frozenset[int]) -> Endpoint | None:
        """Return the endpoint for the next attempt, or None if the service has none."""
        candidates = self._nearest.get(service)
        if candidates is None:
            candidates = self._nearest[service] = self.rank(self.endpoints.get(service, ()), locality=self._locality)
        if tried:
            fresh = tuple(e for e in self.endpoints.get(service, ()) if e.endpoint_id not in tried)
            if fresh:
                candidates = self.rank(fresh, locality=self._locality)
        if not candidates:
            return None
        if len(candidates) == 1:
            return candidates[0]
        turn = self._turn.get(service, 0)
        self._turn[service] = turn + 1
        if not self._least_request:
            return candidates[turn % len(candidates)]
        return self.least_busy(candidates, turn)

    def has_one(self, service: str) -> bool:
        """Say whether a first attempt has no choice, until ``stamp`` changes."""
        return len(self._nearest.get(service, ())) == 1

    def least_busy(self, candidates: tuple[Endpoint, ...], turn: int) -> Endpoint:
        """Return the candidate with the fewest requests in progress; of several, the first from ``turn`` on."""
        count = len(candidates)
        active = self.active
        best = candidates[turn % count]
        best_active = active.get(best.endpoint_id, 0)
        for step in range(1, count):
            if not best_active:
                break
            other = candidates[(turn + step) % count]
            other_active = active.get(other.endpoint_id, 0)
            if other_active < best_active:
                best, best_active = other, other_active
        return best

    def rank(self, endpoints: tuple[Endpoint, ...], *, locality: bool) -> tuple[Endpoint, ...]:
        """Return the nearest of some endpoints, or, without locality, those that can be reached."""
        if not endpoints:
            return ()
        distances = [(self._distance(endpoint), endpoint) for endpoint in endpoints]
        nearest = min(distance for distance, _ in distances)
        if not locality:
            reachable = tuple(endpoint for distance, endpoint in distances if distance[1] < _UNREACHABLE)
            return reachable or endpoints
        return tuple(endpoint for distance, endpoint in distances if distance == nearest)

    def _distance(self, endpoint: Endpoint) -> tuple[int, int]:
        distance_ns = self._distance_ns(self._node, endpoint.node)
        if distance_ns is None:
            return 3, _UNREACHABLE
        if endpoint.node == self._node:
            return 0, 0
        if endpoint.site == self._site:
            return 1, 0
        return 2, distance_ns
