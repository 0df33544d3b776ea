"""The simulated clock: a SimPy environment in integer nanoseconds, with alarms that cost little.

The one module that uses SimPy's private attributes (its heap and event counter), which is why SimPy is pinned.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush, heappushpop
from itertools import count
from typing import Any

from simpy import Environment, Event
from simpy.core import EmptySchedule
from simpy.events import NORMAL

_PRIORITY = 2**60
"""What one step of SimPy's priorities is worth in the order of what happens at one instant."""
_BEFORE_ALL = -4 * _PRIORITY
"""An order ahead of all others: SimPy's priorities are -1 to 1."""
STRETCH_NS = 100_000_000
"""How far ahead of the next alarm others are kept on the same heap."""


Alarm = tuple[int, int, "Action", Any]
"""Instant, place in the order of what happens then, action, argument."""
Action = Callable[[Any], Alarm | None]


class Clock(Environment):
    """A SimPy environment that also takes alarms: an action and its argument, without an event object.

    Alarms lie on SimPy's heap as (time, order, action, argument). SimPy's events come to it as alarms too, so that the
    loop need not tell them apart: the action hands the event to SimPy when its instant has come. What happens at one
    instant happens in the order in which it was set, alarms and events alike; SimPy's urgent events come first.

    Most actions lead to one more alarm. An action may return it, ``(time, clock.order(), action, argument)``, in place
    of setting it: it is put on the heap when the next is taken off, in one go, and is often the very next.

    What is set ``at`` an instant after the current stretch of time lies on a heap of its own. Sidecars' timers are
    seconds away and there is one for each sidecar, so that the heap that every alarm goes through stays as small as
    what is in progress. An alarm of the clock's own, ahead of all others, takes over the next stretch's when it begins.
    """

    def __init__(self) -> None:
        super().__init__(initial_time=0)
        self.now_ns = 0
        """The current instant: what ``now`` says, as a plain attribute."""
        self.order = count(1).__next__
        """Gives the place of what is set now in the order of what happens at one instant."""
        self._alarms: Any = self._queue
        self._stretch_end_ns = 0
        self._later: list[Alarm] = []

    @property
    def now(self) -> int:
        """The current instant in nanoseconds."""
        return self.now_ns

    def put(self, alarm: Alarm | None) -> None:
        """Set what an action would return; most likely it is near."""
        if alarm is not None:
            heappush(self._alarms, alarm)

    def at(self, time_ns: int, action: Action, argument: Any = None) -> None:
        """Have ``action(argument)`` called at ``time_ns``, which is not in the past."""
        if time_ns < self._stretch_end_ns:
            heappush(self._alarms, (time_ns, self.order(), action, argument))
        else:
            self._set((time_ns, self.order(), action, argument))

    def schedule(self, event: Event, priority: Any = NORMAL, delay: Any = 0) -> None:
        """Take an event of SimPy's, as an alarm."""
        order = self.order() + (priority - NORMAL) * _PRIORITY
        self._set((self.now_ns + delay, order, self._occur, event))

    def _set(self, alarm: Alarm) -> None:
        if alarm[0] < self._stretch_end_ns:
            heappush(self._alarms, alarm)
            return
        if not self._later:
            heappush(self._alarms, (max(self._stretch_end_ns, self.now_ns), _BEFORE_ALL, self._begin_stretch, None))
        heappush(self._later, alarm)

    def _begin_stretch(self, _: None) -> None:
        """Take over the alarms of the next stretch of time, which begins with whatever happens next."""
        alarms, later = self._alarms, self._later
        next_ns = later[0][0]
        if alarms and alarms[0][0] < next_ns:
            next_ns = alarms[0][0]
        self._stretch_end_ns = end_ns = next_ns + STRETCH_NS
        while later and later[0][0] < end_ns:
            heappush(alarms, heappop(later))
        if later:
            heappush(alarms, (end_ns, _BEFORE_ALL, self._begin_stretch, None))

    def _occur(self, event: Event) -> None:
        """Let an event of SimPy's happen in SimPy's own way: as the first on its heap."""
        heappush(self._alarms, (self.now_ns, _BEFORE_ALL, 0, event))
        super().step()

    def step(self) -> None:
        """Let the next thing happen, be it an alarm or an event; raises EmptySchedule if there is none."""
        if not self._alarms:
            raise EmptySchedule
        self.now_ns, _, action, argument = heappop(self._alarms)
        self.put(action(argument))

    def run_to_end(self) -> None:
        """Let everything happen, until nothing is left to happen."""
        alarms = self._alarms
        while alarms:
            self.now_ns, _, action, argument = heappop(alarms)
            following = action(argument)
            while following is not None:
                self.now_ns, _, action, argument = heappushpop(alarms, following)
                following = action(argument)
