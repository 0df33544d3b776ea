"""The simulated clock: a SimPy environment in integer nanoseconds, with alarms that cost little.

The one module that uses SimPy's private attributes (its heap and event counter), which is why SimPy is pinned.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from simpy import Environment, Event
from simpy.core import EmptySchedule
from simpy.events import NORMAL

_BEFORE_ALL = -2
"""A priority ahead of SimPy's own, which are -1 to 1."""


class Clock(Environment):
    """A SimPy environment that also takes alarms: an action and its argument, without an event object.

    Alarms lie on SimPy's heap as (time, priority, order, action, argument). SimPy's events come to it as alarms too, so
    that the loop need not tell them apart: the action hands the event to SimPy when its instant has come. What happens
    at one instant happens in the order in which it was set, alarms and events alike.
    """

    def __init__(self) -> None:
        super().__init__(initial_time=0)
        self.now_ns = 0
        """The current instant: what ``now`` says, as a plain attribute."""

    @property
    def now(self) -> int:
        """The current instant in nanoseconds."""
        return self.now_ns

    def at(self, time_ns: int, action: Callable[[Any], None], argument: Any = None) -> None:
        """Have ``action(argument)`` called at ``time_ns``, which is not in the past."""
        heappush(self._queue, (time_ns, NORMAL, next(self._eid), action, argument))  # type: ignore[misc] # an alarm

    def schedule(self, event: Event, priority: Any = NORMAL, delay: Any = 0) -> None:
        """Take an event of SimPy's, as an alarm."""
        entry: Any = (self.now_ns + delay, priority, next(self._eid), self._occur, event)
        heappush(self._queue, entry)

    def _occur(self, event: Event) -> None:
        """Let an event of SimPy's happen in SimPy's own way: as the first on its heap."""
        entry: Any = (self.now_ns, _BEFORE_ALL, 0, event)
        heappush(self._queue, entry)
        super().step()

    def step(self) -> None:
        """Let the next thing happen, be it an alarm or an event; raises EmptySchedule if there is none."""
        if not self._queue:
            raise EmptySchedule
        entry: Any = heappop(self._queue)
        self.now_ns = entry[0]
        entry[3](entry[4])

    def run_to_end(self) -> None:
        """Let everything happen, until nothing is left to happen."""
        queue: Any = self._queue
        while queue:
            self.now_ns, _, _, action, argument = heappop(queue)
            action(argument)
