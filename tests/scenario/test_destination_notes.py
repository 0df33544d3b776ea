"""What `check` and `run` tell of settings for callers that never call."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.inquiry.ask import ask
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import subject_of
from meshsim.scenario.loader import load_text

SCENARIO = """\
scenario: callers
duration: 1 s
network:
  nodes: {edge-1: {kind: edge}}
  slices: {web: {sst: 1, five_qi: 9}}
services:
  front: {namespace: shop, replicas: {edge-1: 1}, work: {constant: 1 ms}, calls: [{to: CALLED}]}
  other: {namespace: dev, replicas: {edge-1: 1}, work: {constant: 1 ms}, calls: [{to: front}]}
  shelf: {namespace: shop, replicas: {edge-1: 1}, work: {constant: 1 ms}}
  back: {namespace: shop, replicas: {edge-1: 1}, work: {constant: 1 ms}}
fleets:
  users: {node: edge-1}
traffic:
  - {name: a, from: users, to: other, slice: web, arrivals: {constant: 10 /s}}
  - {name: b, from: users, to: shelf, slice: web, arrivals: {constant: 10 /s}}
  - {name: c, from: users, to: back, slice: web, arrivals: {constant: 10 /s}}
mesh:
  destinations:
    back:
      callers_in:
        dev: {tls: plaintext}
        shop: {tls: auto}
  routes: [{to: shelf, split: [{to: shelf, weight: 1}, {to: back, weight: 1}]}]
"""


@pytest.mark.parametrize(("called", "idle"), [("back", ["dev"]), ("shelf", ["dev"]), ("other", ["dev", "shop"])])
def test_namespaces_that_never_call(called: str, idle: list[str]) -> None:
    """A note at each namespace of which no service calls the destination, by itself or through a route."""
    text = SCENARIO.replace("CALLED", called) if called != "other" else SCENARIO.replace(", calls: [{to: CALLED}]", "")
    notes = [one for one in load_text(text, Path("a.yaml")).notes if "no run goes by this" in one]
    lines = {"dev": 21, "shop": 22}
    assert [note.split(":")[1] for note in notes] == [str(lines[one]) for one in idle]
    assert all(f"no service in '{one}' calls 'back'" in note for one, note in zip(idle, notes, strict=True))


def test_what_no_run_goes_by_still_answers_questions() -> None:
    """It is no mistake, since inquiries about calls that nobody makes go by it."""
    strict = SCENARIO.replace("CALLED", "back") + "  tls: {mode: STRICT}\n"
    answers = []
    for tls in ("plaintext", "mutual"):
        loaded = load_text(strict.replace("dev: {tls: plaintext}", f"dev: {{tls: {tls}}}"), Path("a.yaml"))
        answers.append(ask(subject_of(loaded, "a"), Request(source="other", destination="back")).decision.allowed)
    assert answers == [False, True]
