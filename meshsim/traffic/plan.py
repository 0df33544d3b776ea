"""What a service does for one request, drawn from its steps."""

from __future__ import annotations

from random import Random

from meshsim.scenario.services import Call, OneOf, Parallel, Step

Group = tuple[Call, ...]
"""Calls that are made at the same time; one call for a sequential step."""


def draw_groups(steps: tuple[Step, ...], random: Random) -> tuple[Group, ...]:
    """Return the groups of calls to make, in order. Calls that are not drawn are left out, empty groups too.

    A call with a probability under 100 % takes one draw, whatever the others do, and so does a choice of one.
    """
    if not steps:
        return ()
    groups: list[Group] = []
    for step in steps:
        if isinstance(step, OneOf):
            groups.append((_chosen(step.one_of, random),))
            continue
        calls = step.parallel if isinstance(step, Parallel) else (step,)
        drawn = tuple(call for call in calls if _happens(call, random))
        if drawn:
            groups.append(drawn)
    return tuple(groups)


def _chosen(calls: tuple[Call, ...], random: Random) -> Call:
    left = random.random() * sum(call.probability_ppm for call in calls)
    for call in calls[:-1]:
        left -= call.probability_ppm
        if left < 0:
            return call
    return calls[-1]


def _happens(call: Call, random: Random) -> bool:
    return call.probability_ppm >= 1_000_000 or random.random() * 1_000_000 < call.probability_ppm
