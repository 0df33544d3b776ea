"""What a sidecar is told of calls that are routed: where they go, how they are treated there, what is injected.

Which calls a route is for, the control plane has found out; the sidecar carries the route out, call by call.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import msgspec

from meshsim.sidecar.messages import CallTemplate
from meshsim.sidecar.pool_settings import PoolSettings
from meshsim.sidecar.resilience import ResilienceSettings

PPM = 1_000_000
NO_LIMIT = 2**62


class OutlierSettings(msgspec.Struct, frozen=True):
    """When an endpoint is left out for a while because calls to it keep failing. A count of 0 never ejects."""

    consecutive_5xx: int
    """Failures in a row, of whatever kind."""
    consecutive_gateway_errors: int
    """Failures in a row with status 502, 503 or 504."""
    consecutive_local_origin: int
    """Failures in a row to get an answer at all, where they are counted apart."""
    split_local_origin: bool
    """Whether failures to get an answer count apart, and not as the other two."""
    interval_ns: int
    """How often endpoints are looked at that were left out."""
    base_ejection_ns: int
    """How long the first time; the n-th time in a row n times as long."""
    max_ejection_ns: int
    """How long at most."""
    max_ejected_ppm: int
    """How many of the endpoints at most."""
    min_healthy_ppm: int
    """With fewer endpoints than that left, all of them are used."""


class Destination(msgspec.Struct, frozen=True):
    """Some replicas of a service on one of its ports, and how callers treat them."""

    key: str
    """Unique name: service, subset, port."""
    service: str
    versions: frozenset[str] | None
    """Versions of the service; None for all replicas."""
    plaintext: bool | None
    """Whether calls go without TLS, or with it; None: as the caller's own mode says."""
    balancing: str
    """least_request, round_robin or random."""
    locality: bool
    """Whether only the nearest replicas are used."""
    pool: PoolSettings
    max_connections: int
    """To all its replicas together; each that has none may always have one."""
    max_requests: int
    """In progress at the same time."""
    max_pending: int
    """Waiting for a connection at the same time."""
    connect_timeout_ns: int
    outlier: OutlierSettings | None
    plaintext_to: Mapping[str, bool] = {}
    """The same as ``plaintext``, of versions for which it differs."""


class Way(msgspec.Struct, frozen=True):
    """One of the places that a route leads to."""

    destination: Destination
    template: CallTemplate
    """What is sent there: the call itself, or as it was rewritten."""
    weight: int


class Route(msgspec.Struct, frozen=True):
    """What becomes of calls of one kind."""

    ways: tuple[Way, ...]
    """None: no route matches, and the call ends there."""
    timeout_ns: int
    """For all attempts together, from when the call is sent."""
    resilience: ResilienceSettings
    delay_ppm: int = 0
    """Share of the calls that are held back."""
    delay_ns: int = 0
    abort_ppm: int = 0
    """Share of the calls that are answered and not sent."""
    abort_status: int = 0


class RouteRandoms(msgspec.Struct, frozen=True):
    """The random streams of one caller's routes, one for each purpose: none of them shifts the others' draws."""

    split: Random
    delay: Random
    abort: Random
    balance: Random


def drawn(share_ppm: int, random: Random) -> bool:
    """Say whether a call is among a share of all; one that leaves no choice takes no draw."""
    return share_ppm >= PPM or (share_ppm > 0 and random.random() * PPM < share_ppm)


def choose_way(ways: tuple[Way, ...], random: Random) -> Way:
    """Return the way that a call goes, each in proportion to its weight; the only one takes no draw."""
    open_ways = [way for way in ways if way.weight]
    if len(open_ways) == 1:
        return open_ways[0]
    left = random.random() * sum(way.weight for way in open_ways)
    for way in open_ways:
        left -= way.weight
        if left < 0:
            return way
    return open_ways[-1]
