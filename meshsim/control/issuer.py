"""The queue before an issuer of certificates: limits of rate, of length, and of how many are signed at a time.

A request first passes the limit of its node, then the issuer's own (both by reservation, as a token bucket hands out
the earliest instant that is left), then waits its turn. Nothing here keeps time: every call says when it is.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import msgspec

UHZ_NS = 1_000_000 * 1_000_000_000
"""Nanoseconds between two at one microhertz."""

Job = TypeVar("Job")


class Capacity(msgspec.Struct, frozen=True):
    """What an issuer can take on."""

    at_a_time: int
    """Certificates that are signed at the same time."""
    signatures_uhz: int | None
    """Most requests per second, in microhertz; None for no limit."""
    signatures_per_node_uhz: int | None
    """The same from one node."""
    longest_wait_ns: int | None
    """A request that a limit would hold up for longer is refused."""
    queue: int
    """Requests that may wait."""


class RateLimit:
    """A token bucket that holds one second's worth (at least one), by the generic cell rate algorithm (ITU-T I.371)."""

    def __init__(self, rate_uhz: int) -> None:
        self._interval_ns = UHZ_NS // rate_uhz
        self._tolerance_ns = (max(1, rate_uhz // 1_000_000) - 1) * self._interval_ns
        self._expected_ns = 0

    def earliest_ns(self, now_ns: int) -> int:
        """Return when a request that comes now may pass."""
        return max(now_ns, self._expected_ns - self._tolerance_ns)

    def reserve(self, now_ns: int) -> int:
        """Let a request pass as early as it may; return when that is."""
        earliest_ns = self.earliest_ns(now_ns)
        self._expected_ns = max(self._expected_ns, now_ns) + self._interval_ns
        return earliest_ns


class SigningQueue(Generic[Job]):
    """Requests on their way through one issuer."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        rate_uhz = capacity.signatures_uhz
        self._limit = None if rate_uhz is None else RateLimit(rate_uhz)
        self._node_limits: dict[str, RateLimit] = {}
        self._turns: deque[Job] = deque()
        self._held = 0
        self._busy = 0

    @property
    def waiting(self) -> int:
        """How many requests wait, be it for a limit or for their turn."""
        return self._held + len(self._turns)

    def admit(self, node: str, now_ns: int) -> int | None:
        """Take a request that has come from ``node``; return when it may go on to ``enter``, or None if it is refused.

        A refused request has used up nothing of any limit.
        """
        capacity = self._capacity
        limits = [limit for limit in (self._node_limit(node), self._limit) if limit is not None]
        instant_ns = now_ns
        for limit in limits:
            instant_ns = limit.earliest_ns(instant_ns)
        if capacity.longest_wait_ns is not None and instant_ns - now_ns > capacity.longest_wait_ns:
            return None
        waits = instant_ns > now_ns or bool(self._turns) or self._busy >= capacity.at_a_time
        if waits and self.waiting >= capacity.queue:
            return None
        instant_ns = now_ns
        for limit in limits:
            instant_ns = limit.reserve(instant_ns)
        self._held += 1
        return instant_ns

    def enter(self, job: Job) -> None:
        """Have a request that no limit holds up any more wait for its turn."""
        self._held -= 1
        self._turns.append(job)

    def take(self) -> Job | None:
        """Return the request whose turn it is, which is then being signed; None if nobody waits or all are busy."""
        if not self._turns or self._busy >= self._capacity.at_a_time:
            return None
        self._busy += 1
        return self._turns.popleft()

    def done(self) -> None:
        """Take note that one has been signed."""
        self._busy -= 1

    def clear(self) -> None:
        """Forget everything, as a process does that ends."""
        self._turns.clear()
        self._node_limits.clear()
        self._held = self._busy = 0
        rate_uhz = self._capacity.signatures_uhz
        self._limit = None if rate_uhz is None else RateLimit(rate_uhz)

    def _node_limit(self, node: str) -> RateLimit | None:
        rate_uhz = self._capacity.signatures_per_node_uhz
        if rate_uhz is None:
            return None
        limit = self._node_limits.get(node)
        if limit is None:
            limit = self._node_limits[node] = RateLimit(rate_uhz)
        return limit
