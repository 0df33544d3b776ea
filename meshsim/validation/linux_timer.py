"""Linux's timer wheel at 250 ticks a second, put as its documentation has it: nothing that the model uses."""

from __future__ import annotations

from math import ceil

TICK_MS = 4


def due_ms(now_ms: float, timeout_ms: float) -> float:
    """Return when a timer goes off that is set now: on the first instant of its level's grid after it is due.

    What is due within 63 ticks lies on a grid of one, within 504 of eight, within 4032 of 64 (kernel/time/timer.c). It
    is counted in whole ticks from the tick that has begun.
    """
    ticks = ceil(timeout_ms / TICK_MS)
    grid = 1 if ticks < 63 else 8 if ticks < 504 else 64
    due = int(now_ms // TICK_MS) + ticks
    return float(TICK_MS * (due - due % grid + grid))
