"""The simulated clock: a SimPy environment in integer nanoseconds, with alarms that cost little.

The one module that uses SimPy's private attributes (its heap and event counter), which is why SimPy is pinned.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from simpy import Environment
from simpy.events import NORMAL

_ALARM_FIELDS = 5


class Clock(Environment):
    """A SimPy environment that also takes alarms: an action and its argument, without an event object.

    An alarm lies on SimPy's heap as (time, priority, order, action, argument) beside SimPy's own entries, which have
    four fields. What happens at one instant happens in the order in which it was set, alarms and events alike.
    """

    def __init__(self) -> None:
        super().__init__(initial_time=0)
        self.now_ns = 0
        """The current instant: what ``now`` says, as a plain attribute."""

    def at(self, time_ns: int, action: Callable[[Any], None], argument: Any = None) -> None:
        """Have ``action(argument)`` called at ``time_ns``, which is not in the past."""
        heappush(self._queue, (time_ns, NORMAL, next(self._eid), action, argument))  # type: ignore[misc] # an alarm

    def step(self) -> None:
        """Let the next thing happen, be it an alarm or an event; raises EmptySchedule if there is none."""
        if self._queue and len(self._queue[0]) == _ALARM_FIELDS:
            entry: Any = heappop(self._queue)
            self._now = self.now_ns = entry[0]
            entry[3](entry[4])
            return
        if self._queue:
            self.now_ns = int(self._queue[0][0])
        super().step()

    def run_to_end(self) -> None:
        """Let everything happen, until nothing is left to happen."""
        queue: Any = self._queue
        while queue:
            entry = heappop(queue)
            if len(entry) == _ALARM_FIELDS:
                self._now = self.now_ns = entry[0]
                entry[3](entry[4])
            else:
                heappush(queue, entry)
                self.step()
