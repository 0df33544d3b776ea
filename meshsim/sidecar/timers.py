"""A sidecar's timers: what is due when. Nothing here waits; the driver asks for the earliest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush, heapreplace
from typing import Any, Final

NEVER: Final = 2**62 - 1
"""An instant that does not come."""

Action = Callable[[Any, int, list[Any]], None]
Entry = tuple[int, int, Action, Any, "deque[Any] | None"]
"""Instant, order, action, argument, and the queue of equally long timers that it leads, if any."""


class Deadlines:
    """Instants all equally far ahead, by key, of which nearly every one is taken back before it comes.

    Of all of them only one timer lies among the others. When that is due it looks for the earliest that is left: what
    was taken back neither wakes anybody nor stays in memory. Set one with ``deadlines.due_ns[key] = due_ns``, and
    ``watch`` it unless that is done already; take it back with ``del deadlines.due_ns[key]``. For one that comes
    ``action(key, now_ns, commands)`` is called.
    """

    __slots__ = ("_action", "_timers", "due_ns", "watched")

    def __init__(self, timers: Timers, action: Callable[[int, int, list[Any]], None]) -> None:
        self.due_ns: dict[int, int] = {}
        """In the order in which they were added, which is that in which they come."""
        self._timers = timers
        self._action = action
        self.watched = False
        """Whether the timer is set."""

    def watch(self, due_ns: int) -> None:
        """Set the timer, for the only deadline that there is."""
        self.watched = True
        self._timers.add(due_ns, self._come, None)

    def _come(self, _: None, now_ns: int, commands: list[Any]) -> None:
        left = self.due_ns
        while left:
            key = next(iter(left))
            if left[key] > now_ns:
                self._timers.add(left[key], self._come, None)
                return
            del left[key]
            self._action(key, now_ns, commands)
        self.watched = False


class Timers:
    """What is due, in the order of instants and then of setting. Actions look for themselves whether they still matter.

    Timers that are all equally long come due in the order in which they were set. So they wait in a queue, of which
    only the first lies on the heap.
    """

    __slots__ = ("_count", "_heap", "_queues", "armed_ns", "next_ns")

    def __init__(self) -> None:
        self._heap: list[Entry] = []
        self._queues: dict[int, deque[Entry]] = {}
        self._count = 0
        self.armed_ns = NEVER
        """When the driver will say next that something is due: a note of its own."""
        self.next_ns = NEVER
        """The earliest instant at which something is due; kept as an attribute, since it is read after every event."""

    def add(self, due_ns: int, action: Action, argument: object) -> None:
        """Have ``action(argument, now_ns, commands)`` called at ``due_ns``."""
        self._count += 1
        heappush(self._heap, (due_ns, self._count, action, argument, None))
        if due_ns < self.next_ns:
            self.next_ns = due_ns

    def add_after(self, now_ns: int, length_ns: int, action: Action, argument: object) -> None:
        """Have the same called in ``length_ns``, where many timers are that long. Calls come in the order of time."""
        self._count = count = self._count + 1
        queue = self._queues.get(length_ns)
        if queue is None:
            queue = self._queues[length_ns] = deque()
        entry = (now_ns + length_ns, count, action, argument, queue)
        if not queue:
            heappush(self._heap, entry)
            if entry[0] < self.next_ns:
                self.next_ns = entry[0]
        queue.append(entry)

    def run(self, now_ns: int, commands: list[Any]) -> None:
        """Carry out everything due; actions append their commands."""
        heap = self._heap
        while heap and heap[0][0] <= now_ns:
            _, _, action, argument, queue = heap[0]
            if queue is None:
                heappop(heap)
            else:
                queue.popleft()
                if queue:
                    heapreplace(heap, queue[0])
                else:
                    heappop(heap)
            action(argument, now_ns, commands)
        self.next_ns = heap[0][0] if heap else NEVER
