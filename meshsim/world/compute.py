"""Cores: a first-come first-served queue with several servers, computed instead of simulated."""

from __future__ import annotations

from collections import deque
from heapq import heappush, heapreplace


class Cores:
    """The cores of one node.

    Jobs are given in the order of time and their length is known, so that a job's start is known at once: the instant
    at which the first core is free. No event is needed but the one at its end.
    """

    __slots__ = ("_free_at_ns", "_starts_ns", "_submitted_ns", "count")

    def __init__(self, count: int) -> None:
        self.count = count
        self._free_at_ns = [0]
        """When each core is free, as a heap; cores that were never needed are not in it, so that it stays small."""
        self._starts_ns: deque[int] = deque()
        self._submitted_ns = 0

    def submit(self, now_ns: int, work_ns: int) -> int:
        """Queue a job; return when it starts. It ends ``work_ns`` later."""
        free_at_ns = self._free_at_ns
        self._submitted_ns += work_ns
        if free_at_ns[0] <= now_ns:
            heapreplace(free_at_ns, now_ns + work_ns)
            return now_ns
        if len(free_at_ns) < self.count:
            heappush(free_at_ns, now_ns + work_ns)
            return now_ns
        start_ns = free_at_ns[0]
        self._starts_ns.append(start_ns)
        heapreplace(free_at_ns, start_ns + work_ns)
        return start_ns

    def waiting(self, now_ns: int) -> int:
        """Return how many jobs wait for a core."""
        starts_ns = self._starts_ns
        while starts_ns and starts_ns[0] <= now_ns:
            starts_ns.popleft()
        return len(starts_ns)

    def worked_ns(self, now_ns: int) -> int:
        """Return the CPU time used so far: what was submitted less what is still to do."""
        backlog_ns = sum(free_at_ns - now_ns for free_at_ns in self._free_at_ns if free_at_ns > now_ns)
        return self._submitted_ns - backlog_ns

    def reset(self, now_ns: int) -> None:
        """Drop all jobs, as a crash does; what was done stays done."""
        self._submitted_ns = self.worked_ns(now_ns)
        self._free_at_ns = [0]
        self._starts_ns.clear()
