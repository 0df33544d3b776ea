"""The simulated clock: a SimPy environment in integer nanoseconds, with alarms that cost little.

The one module that uses SimPy's private attributes (its heap and event counter), which is why SimPy is pinned.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

from simpy import Environment, Event
from simpy.core import EmptySchedule
from simpy.events import NORMAL

from meshsim.world.alarms import BEFORE_ALL, STRETCH_NS, Alarm, Alarms

__all__ = ["STRETCH_NS", "Alarm", "Clock"]

_PRIORITY = 2**60
"""What one step of SimPy's priorities, -1 to 1, is worth in the order of what happens at one instant."""


class Clock(Alarms, Environment):
    """A SimPy environment that also takes alarms: an action and its argument, without an event object.

    Alarms lie on SimPy's heap. SimPy's events come to it as alarms too, so that the loop need not tell them apart: the
    action hands the event to SimPy when its instant has come. What happens at one instant happens in the order in which
    it was set, alarms and events alike; SimPy's urgent events come first.
    """

    def __init__(self) -> None:
        Alarms.__init__(self)
        Environment.__init__(self, initial_time=0)
        self._queue: Any = self._alarms

    def schedule(self, event: Event, priority: Any = NORMAL, delay: Any = 0) -> None:
        """Take an event of SimPy's, as an alarm."""
        self.order += 1
        order = self.order + (priority - NORMAL) * _PRIORITY
        self._set((self.now_ns + delay, order, self._occur, event))

    def _occur(self, event: Event) -> None:
        """Let an event of SimPy's happen in SimPy's own way: as the first on its heap."""
        heappush(self._alarms, (self.now_ns, BEFORE_ALL, 0, event))
        Environment.step(self)

    def step(self) -> None:
        """Let the next thing happen, be it an alarm or an event; raises EmptySchedule if there is none."""
        if not self._alarms:
            raise EmptySchedule
        self.now_ns, _, action, argument = heappop(self._alarms)
        self.put(action(argument))
