"""Faults become interventions, in the order of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from meshsim.faults.interventions import AddLatency, CrashNode, CutLink, Intervention, RestartNode, RestoreLink
from meshsim.faults.kinds import KINDS, plan_faults
from meshsim.scenario.faults import Fault
from meshsim.scenario.loader import load_text

S = 1_000_000_000

TEXT = """
scenario: plan
duration: 10 s
network:
  nodes:
    a: {kind: edge}
    b: {kind: edge}
  links:
    - {between: [a, b], latency: 1 ms}
  slices:
    web: {sst: 1, five_qi: 80}
services:
  front: {replicas: {b: 1}, work: {constant: 1 ms}}
fleets:
  client: {node: a}
traffic:
  - {from: client, to: front, slice: web, arrivals: {constant: 1 /s}}
faults:
"""


def planned(*faults: str) -> Any:
    """The plan of these faults."""
    lines = "".join(f"  - {fault}\n" for fault in faults)
    return plan_faults(load_text(TEXT + lines, Path("plan.yaml")).scenario)


@pytest.mark.parametrize(
    ("fault", "begin", "end"),
    [
        ("{kind: link-down, target: a--b, at: 1 s, for: 2 s}", CutLink("a--b"), RestoreLink("a--b")),
        ("{kind: node-crash, target: b, at: 1 s, for: 2 s}", CrashNode("b"), RestartNode("b")),
        (
            "{kind: latency-surge, target: a--b, at: 1 s, for: 2 s, add: 7 ms}",
            AddLatency("a--b", 7_000_000),
            AddLatency("a--b", -7_000_000),
        ),
    ],
)
def test_kinds(fault: str, begin: Intervention, end: Intervention) -> None:
    """Each kind begins with one intervention and ends with the one that undoes it."""
    (plan,) = planned(fault)
    assert (plan.begin, plan.end) == (begin, end)
    assert (plan.begin_ns, plan.end_ns, plan.index) == (1 * S, 3 * S, 0)


def test_order_and_names() -> None:
    """The plan keeps the order of the file, names what has no name by its kind, and numbers the second of a kind."""
    plans = planned(
        "{kind: link-down, target: a--b, at: 8 s, for: 1 s}",
        "{kind: latency-surge, target: a--b, at: 1 s, for: 1 s, add: 1 ms, name: slow}",
        "{kind: link-down, target: a--b, at: 4 s, for: 1 s}",
    )
    assert [plan.fault_id for plan in plans] == ["link-down", "slow", "link-down-2"]
    assert [plan.begin_ns // S for plan in plans] == [8, 1, 4]
    assert [plan.index for plan in plans] == [0, 1, 2]


def test_every_kind_of_the_language_is_planned() -> None:
    """The kinds that a scenario can name and the kinds that have a plan are the same."""
    union = get_args(Fault)[0]
    named = {get_args(model.model_fields["kind"].annotation)[0] for model in get_args(union)}
    assert named == set(KINDS)
