"""Says how far a run has come, to whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.world.state import State

Progress = Callable[[int, int], None]
"""Called with the simulated time so far and the scenario's duration, both in nanoseconds."""

PROGRESS_STEPS = 200


def watch(state: State, progress: Progress) -> None:
    """Have progress told so many times, at even distances of simulated time, until the scenario's duration is over.

    What is still under way then may take much longer than the duration, and no step of progress tells of it.
    """
    duration_ns = state.scenario.duration_ns
    step_ns = max(1, duration_ns // PROGRESS_STEPS)

    def tick(_: None) -> None:
        now_ns = state.clock.now_ns
        progress(min(now_ns, duration_ns), duration_ns)
        if not state.over and now_ns < duration_ns:
            state.clock.at(now_ns + step_ns, tick)

    tick(None)
