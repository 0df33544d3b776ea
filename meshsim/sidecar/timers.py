"""A sidecar's timers: what is due when. Nothing here waits; the driver asks for the earliest."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

NEVER = 2**62
"""An instant that does not come."""


class Timers:
    """A heap of (instant, order, action, argument). Actions look for themselves whether they still matter."""

    __slots__ = ("_count", "_heap", "next_ns")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Callable[[Any, int, list[Any]], None], Any]] = []
        self._count = 0
        self.next_ns = NEVER
        """The earliest instant at which something is due; kept as an attribute, since it is read after every event."""

    def add(self, due_ns: int, action: Callable[[Any, int, list[Any]], None], argument: object) -> None:
        """Have ``action(argument, now_ns, commands)`` called at ``due_ns``."""
        self._count += 1
        heappush(self._heap, (due_ns, self._count, action, argument))
        if due_ns < self.next_ns:
            self.next_ns = due_ns

    def run(self, now_ns: int, commands: list[Any]) -> None:
        """Carry out everything due; actions append their commands."""
        heap = self._heap
        while heap and heap[0][0] <= now_ns:
            _, _, action, argument = heappop(heap)
            action(argument, now_ns, commands)
        self.next_ns = heap[0][0] if heap else NEVER
