"""Checks of the call graph: circles, calls that multiply, replicas without end."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario.call_graph import edges, route_targets
from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario
from meshsim.scenario.services import Step, calls_in
from meshsim.scenario.variants import replica_count, variants

MOST_REPLICAS = 10_000
"""Replicas of all services together: each is a sidecar with identity, pools and queues of its own."""
MOST_CALLS_PER_REQUEST = 10_000
"""Calls that one request may set off, all the way down."""


def check_calls(scenario: Scenario) -> Iterator[Finding]:
    """Services that call themselves in the end, calls that multiply beyond measure, more replicas than sense."""
    order: list[str] = []
    state: dict[str, int] = {}
    cyclic = False
    for start in scenario.services:
        if start not in state:
            finding = _walk(scenario, start, state, order)
            if finding is not None:
                cyclic = True
                yield finding
    if not cyclic:
        yield from _check_fan_out(scenario, order)
    total = sum(map(replica_count, scenario.services.values()))
    if total > MOST_REPLICAS:
        message = f"the services have {total} replicas in all; expected at most {MOST_REPLICAS}"
        yield Finding(("services",), message, at_key=True)


def _walk(scenario: Scenario, start: str, state: dict[str, int], order: list[str]) -> Finding | None:
    """Depth-first from ``start``, without recursion; the first cycle found, if any. ``order`` gets callees first."""
    stack = [(start, edges(scenario, start))]
    state[start] = 1
    found = None
    while stack:
        name, calls = stack[-1]
        for path, to in calls:
            if state.get(to) == 1 and found is None:
                names = [entry for entry, _ in stack]
                cycle = " -> ".join([*names[names.index(to) :], to])
                message = f"the calls run in a circle ({cycle}); expected a call graph without one"
                found = Finding(path, message)
            elif to not in state:
                state[to] = 1
                stack.append((to, edges(scenario, to)))
                break
        else:
            state[name] = 2
            order.append(name)
            stack.pop()
    return found


def _check_fan_out(scenario: Scenario, order: list[str]) -> Iterator[Finding]:
    calls: dict[str, int] = {}
    for name in order:
        calls[name] = max(
            sum(_most_of(scenario, step, calls) for step in variant.calls)
            for variant in variants(name, scenario.services[name])
        )
        if calls[name] > MOST_CALLS_PER_REQUEST:
            message = f"one request to {name!r} sets off {calls[name]} calls; expected at most {MOST_CALLS_PER_REQUEST}"
            yield Finding(("services", name), message, at_key=True)
            return


def _most_of(scenario: Scenario, step: Step, calls: dict[str, int]) -> int:
    """The calls that a step of a service sets off, with its own."""
    key, made = calls_in(step)
    each = (1 + _most(scenario, call.to, calls) for call in made)
    return max(each) if key == "one_of" else sum(each)


def _most(scenario: Scenario, to: str, calls: dict[str, int]) -> int:
    """The calls that one to ``to`` sets off, wherever its routes may lead it."""
    return max((calls.get(name, 0) for name in (to, *route_targets(scenario, to))), default=0)
