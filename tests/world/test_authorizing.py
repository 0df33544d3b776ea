"""Engines outside of the proxies: what asking them costs, what holds when they do not answer, and what faults do."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshsim.scenario.loader import load_text
from tests.world.conftest import Result

MS = 1_000_000
S = 1_000_000_000
Data = dict[str, Any]


@pytest.fixture
def mesh() -> Data:
    """A client on the services' node asks for something and then deletes; the authorizer is 5 ms away."""
    return {
        "scenario": "authorizing",
        "duration": "4 s",
        "network": {
            "nodes": {name: {"kind": "edge", "cores": 2} for name in ("near", "far")},
            "links": [{"name": "trunk", "between": ["near", "far"], "latency": "5 ms"}],
            "slices": {"web": {"sst": 1, "five_qi": 80}},
        },
        "services": {"front": {"replicas": {"near": 1}, "work": {"constant": "1 ms"}}},
        "fleets": {"client": {"node": "near"}},
        "mesh": {
            "policy": {"files": ["mesh.cedar"], "authorizer": {"node": "far"}},
            "control": {"node": "near"},
            "resilience": {"retries": 0},
        },
        "traffic": [
            {"from": "client", "to": "front", "slice": "web", "name": name, "method": method, "arrivals": arrivals}
            for name, method, arrivals in (
                ("reads", "GET", {"constant": "20 /s"}),
                ("deletes", "DELETE", {"constant": "5 /s"}),
            )
        ],
    }


def authorizer(mesh: Data, **changed: Any) -> Data:
    """The mesh with other settings of its authorizer."""
    mesh["mesh"]["policy"]["authorizer"] |= changed
    return mesh


def fault(mesh: Data, kind: str, **more: Any) -> Data:
    """The mesh with a fault from 1 s to 3 s."""
    mesh["faults"] = [{"kind": kind, "at": "1 s", "for": "2 s", **more}]
    return mesh


def failures(result: Result) -> Counter[tuple[str, str, bool, str]]:
    """Decisions without an answer: why, by which rule, whether allowed, and what was wrong about them."""
    rows = (row for row in result.decisions if row.failure)
    return Counter((row.failure, row.rule, row.allowed, row.wrongly) for row in rows)


def late_reads(result: Result) -> list[Any]:
    """Requests to read after the connection was made."""
    return [row for row in result.requests if row.source == "reads" and row.t_intended_ns > S // 2]


def test_the_way_the_turn_and_the_decision_are_policy_time(simulate: Any, mesh: Data) -> None:
    """A decision from outside takes what asking, the way there, deciding and the way back take: to the nanosecond."""
    result = simulate(mesh, fidelity="modelled")
    machine = result.world._state.machines["near"]
    decision_ns = machine.costs.policy_decision_ns("cedar", 2)
    expected = 10 * MS + decision_ns + 2 * (machine.request_ns + machine.response_ns)
    assert {row.policy_ns for row in late_reads(result)} == {expected}
    del mesh["mesh"]["policy"]["authorizer"]
    inside = simulate(mesh, fidelity="modelled")
    assert {row.policy_ns for row in late_reads(inside)} == {decision_ns}
    rows = [[(row.call_id, row.allowed, row.rule) for row in each.decisions] for each in (result, inside)]
    assert sorted(rows[0]) == sorted(rows[1])


def test_beside_each_proxy_there_is_no_way(simulate: Any, mesh: Data) -> None:
    """Without a node of its own, the authorizer runs on the node of the proxy, on the cores that are there."""
    del mesh["mesh"]["policy"]["authorizer"]["node"]
    result = simulate(mesh, fidelity="modelled")
    machine = result.world._state.machines["near"]
    decision_ns = machine.costs.policy_decision_ns("cedar", 2)
    expected = decision_ns + 2 * (machine.request_ns + machine.response_ns)
    assert {row.policy_ns for row in late_reads(result)} == {expected}


@pytest.mark.parametrize(
    ("on_failure", "rule", "allowed", "right", "wrong"),
    [("deny", "failed-closed", False, "DELETE", "denied"), ("allow", "failed-open", True, "GET", "allowed")],
)
def test_gone_is_known_at_once(
    simulate: Any, mesh: Data, on_failure: str, rule: str, allowed: bool, right: str, wrong: str
) -> None:
    """While the authorizer is gone, a proxy knows after a round trip, and does what it was told to do then."""
    result = simulate(fault(authorizer(mesh, on_failure=on_failure), "policy-outage"), fidelity="modelled")
    found = failures(result)
    assert found.keys() == {("down", rule, allowed, ""), ("down", rule, allowed, wrong)}
    assert {row.method for row in result.decisions if row.failure and not row.wrongly} == {right}
    assert {row.policy_version for row in result.decisions if row.failure} == {""}
    assert result.faults[0].effects == result.faults[0].decisions == sum(found.values())
    machine = result.world._state.machines["near"]
    during = [row for row in late_reads(result) if 1.1 * S < row.t_intended_ns < 2.9 * S]
    assert {row.policy_ns for row in during} == {10 * MS + machine.request_ns}
    assert {row.outcome for row in during} == {"ok" if allowed else "denied"}
    assert {row.outcome for row in late_reads(result) if row.t_intended_ns > 3 * S} == {"ok"}


@pytest.mark.parametrize(
    ("kind", "target"), [("policy-outage", {}), ("node-crash", {"target": "far"})], ids=["process", "node"]
)
def test_one_that_was_away_starts_with_what_is_current(
    simulate: Any, mesh: Data, kind: str, target: dict[str, str]
) -> None:
    """Policies that changed while the authorizer was gone decide from when it is back."""
    mesh["changes"] = [{"name": "strict", "at": "2 s", "policy": {"files": ["mesh.cedar"]}}]
    mesh["mesh"]["policy"]["files"] = ["lax.cedar"]
    result = simulate(fault(mesh, kind, **target), fidelity="modelled")
    after = {(row.method, row.allowed, row.wrongly) for row in result.decisions if row.t_ns > 3.5 * S}
    assert after == {("GET", True, ""), ("DELETE", False, "")}
    (row,) = result.changes
    assert row.wrongly_allowed == 0


def test_slow_costs_the_timeout_and_no_more(simulate: Any, mesh: Data) -> None:
    """Where decisions take longer than a proxy waits, each costs the timeout, and its status is the one asked for."""
    mesh = authorizer(mesh, timeout="50 ms", status_on_failure=503)
    result = simulate(fault(mesh, "policy-slow", factor=100_000), fidelity="modelled")
    machine = result.world._state.machines["near"]
    during = [row for row in late_reads(result) if 1.1 * S < row.t_intended_ns < 2.9 * S]
    assert {(row.policy_ns, row.status, row.outcome) for row in during} == {
        (50 * MS + machine.request_ns, 503, "failed")
    }
    assert {key[0] for key in failures(result)} == {"timeout"}
    assert result.faults[0].decisions > 0


def test_what_nobody_waits_for_leaves_the_queue(simulate: Any, mesh: Data) -> None:
    """A slow spell does not outlast itself: questions that were given up are not worked on when it ends."""
    mesh = authorizer(mesh, cores=1, timeout="50 ms")
    result = simulate(fault(mesh, "policy-slow", factor=2_000), fidelity="modelled")
    assert any(row.failure for row in result.decisions)
    after = [row for row in result.decisions if row.t_ns > 3.6 * S]
    assert after
    assert not any(row.failure for row in after)


def test_a_full_queue_turns_away(simulate: Any, mesh: Data) -> None:
    """With a queue of one place, questions beyond it fail at once, and not after the timeout."""
    mesh = authorizer(mesh, cores=1, queue=1, timeout="10 s")
    result = simulate(fault(mesh, "policy-slow", factor=4_000), fidelity="modelled")
    assert failures(result)[("overloaded", "failed-closed", False, "denied")] > 5
    assert {key[0] for key in failures(result)} == {"overloaded"}


@pytest.mark.parametrize(
    "one",
    [
        {"kind": "link-down", "target": "trunk"},
        {"kind": "node-crash", "target": "far"},
        {"kind": "latency-surge", "target": "trunk", "add": "150 ms"},
    ],
    ids=lambda one: one["kind"],
)
def test_faults_on_the_way_count_what_failed_for_them(simulate: Any, mesh: Data, one: Data) -> None:
    """A cut, a crash or a surge between proxy and authorizer leaves questions without an answer, and counts them."""
    result = simulate(fault(mesh, **one), fidelity="modelled")
    assert {key[0] for key in failures(result)} == {"timeout"}
    assert result.faults[0].decisions == sum(failures(result).values()) > 30
    assert {row.outcome for row in result.requests if row.t_intended_ns > 3.5 * S} == {"ok", "denied"}


def test_a_restart_of_the_asking_node_ends_its_questions(simulate: Any, mesh: Data) -> None:
    """Whoever asked and crashed gets no answer in its next life, and every call still has its one outcome."""
    mesh = authorizer(mesh, timeout="1 s")
    mesh["network"]["links"][0]["latency"] = "150 ms"
    result = simulate(fault(mesh, "node-crash", target="near"), fidelity="modelled")
    assert len(result.requests) == 100
    assert {row.outcome for row in late_reads(result)} >= {"ok"}


def test_a_cached_decision_needs_no_authorizer(simulate: Any, mesh: Data) -> None:
    """What a proxy remembers it decides as before while the authorizer is gone; without an answer it learns nothing."""
    mesh["mesh"]["policy"]["cache"] = True
    mesh["traffic"].append(
        {"from": "client", "to": "front", "slice": "web", "name": "news", "path": "/news"}
        | {"arrivals": {"constant": "5 /s"}, "start": "1500 ms"}
    )
    result = simulate(fault(mesh, "policy-outage"), fidelity="modelled")
    during = [row for row in result.decisions if 1.1 * S < row.t_ns < 2.9 * S]
    assert {(row.path, row.cached, row.failure) for row in during} == {("/", True, ""), ("/news", False, "down")}


def test_a_slow_engine_in_the_proxies(simulate: Any, mesh: Data) -> None:
    """In the proxies an engine cannot fail to answer: a slow one takes its time, as policy time, and is counted."""
    del mesh["mesh"]["policy"]["authorizer"]
    result = simulate(fault(mesh, "policy-slow", factor=10), fidelity="modelled")
    decision_ns = result.world._state.machines["near"].costs.policy_decision_ns("cedar", 2)
    assert {row.policy_ns for row in late_reads(result)} == {decision_ns, 10 * decision_ns}
    assert result.faults[0].decisions == sum(1 * S < row.t_ns < 3 * S for row in result.decisions)
    assert not failures(result)


def test_policies_on_trial_are_asked_there_too(simulate: Any, mesh: Data) -> None:
    """Policies on trial stand beside the others, cost their time there, and speak where those would."""
    plain = simulate(mesh, fidelity="modelled")
    mesh["mesh"]["policy"]["shadow"] = {"files": ["delays.cedar"]}
    folder = Path(plain.loaded.base_dir)
    (folder / "delays.cedar").write_text('@id("deletes") permit (principal, action == Action::"DELETE", resource);')
    result = simulate(mesh, fidelity="modelled")
    assert Counter(row.shadow for row in result.decisions) == {"denied": 80, "allowed": 20}
    more_ns = {row.policy_ns for row in late_reads(result)}.pop() - {row.policy_ns for row in late_reads(plain)}.pop()
    assert more_ns == result.world._state.machines["far"].costs.policy_decision_ns("cedar", 1)


def test_a_change_travels_to_the_authorizer(tmp_path: Path, mesh: Data) -> None:
    """Changed policies hold from when the authorizer has them; until then it decides by the old ones, wrongly."""
    (tmp_path / "mesh.cedar").write_text('@id("all") permit (principal, action, resource);')
    (tmp_path / "new.cedar").write_text('@id("reads") permit (principal, action == Action::"GET", resource);')
    mesh["changes"] = [{"name": "strict", "at": "1 s", "policy": {"files": ["new.cedar"]}}]
    mesh["network"]["links"][0]["latency"] = "300 ms"
    mesh = authorizer(mesh, timeout="2 s")
    result = Result(load_text(json.dumps(mesh), tmp_path / "scenario.yaml", ["fidelity=modelled"]))
    (change,) = result.changes
    assert (change.proxies, change.acked) == (3, 3)
    (sent_bytes,) = {row.sent_bytes for row in result.configs if row.proxy == "authorizer" and row.event == "acked"}
    assert change.t_converged_ns == 1 * S + 100 * MS + 300 * MS + sent_bytes * 8  # at 1 Gbit/s
    deletes = [row for row in result.decisions if row.method == "DELETE"]
    # What it decided before it had the change comes back 300 ms later.
    assert {row.allowed for row in deletes if row.t_ns < 1.7 * S} == {True}
    assert {row.allowed for row in deletes if row.t_ns > 1.71 * S} == {False}
    assert {row.wrongly for row in deletes if 1 * S < row.t_ns < 1.7 * S} == {"allowed"}
    assert not failures(result)


CUSTOM = """\
{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: ask}, spec: {action: CUSTOM,
 provider: {name: outside}, rules: [{to: [{operation: {methods: [DELETE]}}]}]}}
---
{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: never}, spec: {action: DENY,
 rules: [{to: [{operation: {paths: [/never]}}]}]}}
"""


@pytest.mark.parametrize("fidelity", ["modelled", "real"])
def test_istio_asks_outside_for_custom_policies_alone(tmp_path: Path, mesh: Data, fidelity: str) -> None:
    """Its proxies decide what no CUSTOM rule matches; without an answer, failing open, the other rules still hold."""
    (tmp_path / "custom.yaml").write_text(CUSTOM)
    (tmp_path / "mesh.cedar").write_text('@id("none") permit (principal, action == Action::"POST", resource);')
    mesh["mesh"]["policy"] = {
        "engine": "istio",
        "files": ["custom.yaml"],
        "istio": {"extension_providers": {"outside": {"engine": "cedar", "files": ["mesh.cedar"]}}},
        "authorizer": {"node": "far", "on_failure": "allow"},
    }
    mesh["traffic"].append(mesh["traffic"][1] | {"name": "never", "path": "/never"})
    mesh = fault(mesh, "policy-outage")
    result = Result(load_text(json.dumps(mesh), tmp_path / "scenario.yaml", [f"fidelity={fidelity}"]))
    machine = result.world._state.machines["near"]
    filter_ns, provider_ns = (machine.costs.policy_decision_ns(*one) for one in (("istio", 2), ("cedar", 1)))
    assert {row.policy_ns for row in late_reads(result)} == {filter_ns}
    calm = [row for row in result.requests if row.source == "deletes" and row.t_intended_ns > 3.2 * S]
    ways_ns = 10 * MS + 2 * (machine.request_ns + machine.response_ns)
    assert {(row.policy_ns, row.outcome) for row in calm} == {(ways_ns + filter_ns + provider_ns, "denied")}
    during = {
        (row.method, row.path, row.allowed, row.failure, row.wrongly)
        for row in result.decisions
        if 1.1 * S < row.t_ns < 2.9 * S
    }
    assert during == {
        ("GET", "/", True, "", ""),
        ("DELETE", "/", True, "down", "allowed"),
        ("DELETE", "/never", False, "down", ""),
    }


@pytest.mark.parametrize("kind", [{"kind": "policy-slow", "factor": 3_000}, {"kind": "policy-outage"}])
def test_every_fidelity_decides_alike(simulate: Any, mesh: Data, kind: Data) -> None:
    """The same rows, whether the engine is asked each time or remembered, and whether TLS is real or not."""
    mesh = fault(authorizer(mesh, cores=1, on_failure="allow"), **kind)
    contents = {level: simulate(mesh, fidelity=level).content() for level in ("modelled", "sampled", "real")}
    assert len(set(contents.values())) == 1
    assert failures(simulate(mesh, fidelity="modelled"))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    changed=st.fixed_dictionaries(
        {
            "node": st.sampled_from(("far", "near", None)),
            "cores": st.sampled_from((None, 1)),
            "queue": st.sampled_from((None, 0, 2)),
            "timeout": st.sampled_from(("1 ms", "12 ms", "200 ms")),
            "on_failure": st.sampled_from(("allow", "deny")),
        }
    ),
    faults=st.lists(
        st.sampled_from(
            (
                {"kind": "policy-outage"},
                {"kind": "policy-slow", "factor": 5_000},
                {"kind": "link-down", "target": "trunk"},
                {"kind": "node-crash", "target": "far"},
                {"kind": "node-crash", "target": "near"},
                {"kind": "latency-surge", "target": "trunk", "add": "100 ms"},
            )
        ),
        max_size=3,
        unique_by=lambda one: one.get("target", one["kind"]),
    ),
    timeout=st.sampled_from(("30 ms", "15 s")),
    cache=st.booleans(),
)
def test_laws_of_failing(
    simulate: Any, mesh: Data, changed: Data, faults: list[Data], timeout: str, cache: bool
) -> None:
    """Failing closed never lets in, failing open never keeps out; answers are the engine's own; all calls end."""
    mesh = copy.deepcopy(mesh)
    own = {key: value for key, value in changed.items() if value is not None}
    mesh["mesh"]["policy"] |= {"authorizer": own, "cache": cache}
    mesh["mesh"]["resilience"] |= {"retries": 1, "attempt_timeout": timeout}
    mesh["faults"] = [
        {**one, "at": f"{700 + 400 * index} ms", "for": "900 ms", "name": f"fault-{index}"}
        for index, one in enumerate(faults)
    ]
    result = simulate(mesh, fidelity="modelled")
    assert len(result.requests) == 100
    opens = changed["on_failure"] == "allow"
    for row in result.decisions:
        truth = row.method == "GET"
        if row.failure:
            assert row.allowed is opens
            assert row.wrongly == ("" if truth == opens else "allowed" if opens else "denied")
        else:
            assert (row.allowed, row.wrongly) == (truth, "")
