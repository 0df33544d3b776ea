"""From the health of nodes to the endpoints that sidecars are told of."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meshsim.sidecar.endpoint import Endpoint


class Announcement(msgspec.Struct, frozen=True):
    """One version of where services are."""

    version: int
    endpoints: Mapping[str, tuple[Endpoint, ...]]
    """Healthy replicas by service; a service without any is there with an empty tuple."""
    reason: str
    """What changed since the version before."""
    draining: frozenset[int] = frozenset()
    """Endpoints that are not for new requests, but may end those that they have."""
    changed: frozenset[str] = frozenset()
    """Services that are elsewhere than in the version before."""


class Discovery:
    """Keeps the current announcement. A node is healthy until it is said not to be.

    Endpoints in ``absent`` are not announced before they are admitted.
    """

    def __init__(self, placement: Mapping[str, tuple[Endpoint, ...]], absent: frozenset[int] = frozenset()) -> None:
        self._placement = placement
        self._absent = absent
        self._unhealthy: frozenset[str] = frozenset()
        self._news: list[str] = []
        self._draining: frozenset[int] = frozenset()
        self.current = Announcement(1, self._announced(), "start")

    def admit(self, endpoint: Endpoint) -> None:
        """Take note that an endpoint is ready; the next update announces it."""
        if endpoint.endpoint_id in self._absent:
            self._absent -= {endpoint.endpoint_id}
            self._news.append(f"{endpoint.service} on {endpoint.node} is ready")

    def withhold(self, endpoint: Endpoint) -> None:
        """Take note that an endpoint has started anew and is not ready; the next update leaves it out."""
        if endpoint.endpoint_id not in self._absent:
            self._absent |= {endpoint.endpoint_id}
            self._news.append(f"{endpoint.service} on {endpoint.node} starts")

    def move(self, service: str, old: Endpoint, new: Endpoint) -> None:
        """Replace an endpoint of a service by another; the next update announces it."""
        replicas = tuple(endpoint for endpoint in self._placement[service] if endpoint != old)
        self._placement = {**self._placement, service: (*replicas, new)}
        self._draining = (self._draining | {old.endpoint_id}) - {new.endpoint_id}
        self._news.append(f"{service} moved from {old.node} to {new.node}")

    def update(self, unhealthy: frozenset[str]) -> Announcement | None:
        """Take note of which nodes are unhealthy; return a new announcement if that, or a move, changes anything."""
        fallen = sorted(unhealthy - self._unhealthy)
        risen = sorted(self._unhealthy - unhealthy)
        self._unhealthy = unhealthy
        endpoints = self._announced()
        if endpoints == self.current.endpoints:
            return None
        news = [f"{node} is unhealthy" for node in fallen] + [f"{node} is healthy again" for node in risen]
        news, self._news = self._news + news, []
        before = self.current.endpoints
        changed = frozenset(service for service, found in endpoints.items() if found != before[service])
        reason = "; ".join(dict.fromkeys(news))
        self.current = Announcement(self.current.version + 1, endpoints, reason, self._draining, changed)
        return self.current

    def _announced(self) -> Mapping[str, tuple[Endpoint, ...]]:
        return {
            service: tuple(
                endpoint
                for endpoint in replicas
                if endpoint.node not in self._unhealthy and endpoint.endpoint_id not in self._absent
            )
            for service, replicas in self._placement.items()
        }
