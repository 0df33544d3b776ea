"""Alarms: what happens when, in integer nanoseconds, at little cost.

This is the clock but for SimPy, which it knows nothing of: see ``clock``.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush, heappushpop
from typing import Any, Final

from mypy_extensions import mypyc_attr

BEFORE_ALL: Final = -(2**62)
"""An order ahead of all others."""
STRETCH_NS: Final = 100_000_000
"""How far ahead of the next alarm others are kept on the same heap."""


Alarm = tuple[int, int, "Action", Any]
"""Instant, place in the order of what happens then, action, argument."""
Action = Callable[[Any], Alarm | None]


@mypyc_attr(allow_interpreted_subclasses=True)
class Alarms:
    """Takes alarms, an action and its argument, and has them happen.

    Alarms lie on a heap as (time, order, action, argument). What happens at one instant happens in the order in which
    it was set.

    Most actions lead to one more alarm. An action may count ``order`` on by one and return ``(time, order, action,
    argument)``, in place of setting it: that is put on the heap when the next is taken off, in one go, and is often the
    very next.

    What is set ``at`` an instant after the current stretch of time lies on a heap of its own. Sidecars' timers are
    seconds away and there is one for each sidecar, so that the heap that every alarm goes through stays as small as
    what is in progress. An alarm of the clock's own, ahead of all others, takes over the next stretch's when it begins.
    """

    def __init__(self) -> None:
        self.now_ns = 0
        """The current instant: what ``now`` says, as a plain attribute."""
        self.order = 0
        """Place of what was set last in the order of what happens at one instant: whoever sets more counts it on."""
        self._alarms: list[Any] = []
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
        self.order = order = self.order + 1
        if time_ns < self._stretch_end_ns:
            heappush(self._alarms, (time_ns, order, action, argument))
        else:
            self._set((time_ns, order, action, argument))

    def _set(self, alarm: Alarm) -> None:
        if alarm[0] < self._stretch_end_ns:
            heappush(self._alarms, alarm)
            return
        if not self._later:
            heappush(self._alarms, (max(self._stretch_end_ns, self.now_ns), BEFORE_ALL, self._begin_stretch, None))
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
            heappush(alarms, (end_ns, BEFORE_ALL, self._begin_stretch, None))

    def run_to_end(self) -> None:
        """Let everything happen, until nothing is left to happen."""
        alarms = self._alarms
        while alarms:
            self.now_ns, _, action, argument = heappop(alarms)
            following = action(argument)
            # Not ``while following is not None``: CPython 3.11 specialises a function after some calls of it or jumps
            # back without a condition, and this one is called once a run.
            while True:
                if following is None:
                    break
                self.now_ns, _, action, argument = heappushpop(alarms, following)
                following = action(argument)
