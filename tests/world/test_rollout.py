"""Changes of configuration while a run goes on: they travel, may be late, rejected or rolled back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.scenario.loader import load_text
from tests.world.conftest import Result

SCENARIO = """\
scenario: rollout
duration: 10 s
network:
  nodes: {edge-1: {kind: edge}, edge-2: {kind: edge}, core-1: {kind: core}}
  links:
    - {between: [edge-1, edge-2], latency: 1 ms}
    - {name: trunk, between: [edge-2, core-1], latency: 20 ms}
  slices: {web: {sst: 1, five_qi: 9}}
services:
  planner: {replicas: {edge-1: 1, edge-2: 1}, work: {constant: 1 ms}}
fleets:
  robots: {node: edge-1, size: 6}
  rovers: {node: edge-2, size: 6}
mesh:
  policy: {files: [old.cedar]}
  control: {node: core-1}
traffic:
  - {from: robots, to: planner, slice: web, arrivals: {constant: 100 /s}}
  - {from: rovers, to: planner, slice: web, arrivals: {constant: 100 /s}}
changes:
  - {name: strict, at: 2 s, policy: {files: [new.cedar]}}
"""
OLD = '@id("all") permit (principal, action, resource);'
NEW = '@id("robots-only") permit (principal in Fleet::"robots", action, resource);'
RECORDED = {"old.cedar": OLD, "new.cedar": NEW}


def run(folder: Path, scenario: str = SCENARIO, *overrides: str) -> Result:
    """Run a scenario whose policies lie beside it."""
    for name, text in RECORDED.items():
        (folder / name).write_text(text, encoding="utf-8")
    return Result(load_text(scenario, folder / "rollout.yaml", overrides))


def pushes(result: Result, version: int) -> Counter[str]:
    """How often which event happened to the pushes of a version of the configuration."""
    return Counter(row.event for row in result.configs if row.version == version and row.reason.startswith("strict"))


def changed(result: Result) -> Any:
    """The row of the one change."""
    (row,) = result.changes
    return row


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
def test_a_change_travels_to_every_proxy(tmp_path: Path, fidelity: str) -> None:
    """Each proxy takes it once, after the debounce and the way there; and decides by what it holds."""
    result = run(tmp_path, SCENARIO, f"fidelity={fidelity}")
    row = changed(result)
    assert (row.proxies, row.acked, row.rejected, row.rolled_back) == (14, 14, 0, False)
    # The push to the last robot is the eighth to leave the core, each of so many bytes at 1 Gbit/s, over two links.
    (sent_bytes,) = {one.sent_bytes for one in result.configs if one.version == 2 and one.event == "acked"}
    assert row.t_converged_ns == 2_100_000_000 + 21_000_000 + (8 + 1) * sent_bytes * 8
    assert pushes(result, 2) == {"sent": 14, "acked": 14}
    rovers = [one for one in result.decisions if one.source == "rovers"]
    late = [one for one in rovers if one.wrongly]
    assert {one.wrongly for one in late} == {"allowed"}
    assert len(late) == row.wrongly_allowed > 0
    assert {one.allowed for one in rovers if one.t_ns > row.t_converged_ns + 10_000_000} == {False}
    assert all(one.allowed for one in result.decisions if one.source == "robots")


def test_a_few_are_pushed_to_at_a_time(tmp_path: Path) -> None:
    """With one push at a time, each waits for the answer to the one before."""
    row = changed(run(tmp_path, SCENARIO, "mesh.control.concurrent_pushes=1"))
    # Six proxies and a replica on either edge; the last answer need not come back.
    ways_ns = 7 * 2 * 20_000_000 + 7 * 2 * 21_000_000
    assert 2_100_000_000 + ways_ns - 2 * 21_000_000 < row.t_converged_ns < 2_100_000_000 + ways_ns


@pytest.mark.parametrize(("longest", "pushed_ms"), [("null", 2_100), ("10 s", 2_160), ("130 ms", 2_130)])
def test_changes_in_a_row_wait_for_each_other(tmp_path: Path, longest: str, pushed_ms: int) -> None:
    """A second change within the debounce has both wait once more, up to debounce_max; they are pushed as one."""
    another = SCENARIO + "  - {name: back, at: 2060 ms, policy: {files: [old.cedar]}}\n"
    result = run(tmp_path, another, f"mesh.control.debounce_max={longest}")
    sent_ns = {row.t_ns for row in result.configs if row.version > 1 and row.event == "sent"}
    assert sent_ns == {pushed_ms * 1_000_000}


def test_a_proxy_that_is_cut_off_keeps_what_it_has(tmp_path: Path) -> None:
    """While the way is cut pushes are stale, old policies decide, and the fault is charged for it."""
    cut = SCENARIO + "faults: [{at: 1500 ms, for: 4 s, kind: link-down, target: trunk}]\n"
    result = run(tmp_path, cut)
    row = changed(result)
    assert row.t_converged_ns > 5_500_000_000
    assert pushes(result, 2)["stale"] >= 14
    assert row.wrongly_allowed > 300
    (fault,) = result.faults
    assert fault.configurations == pushes(result, 2)["stale"]


@pytest.mark.parametrize("on_reject", ["keep", "roll_back"])
def test_a_change_that_is_rejected(tmp_path: Path, on_reject: str) -> None:
    """Who rejects a change keeps what it had; asked to, the control plane takes the change back from all others."""
    rejected = SCENARIO + "faults: [{at: 1 s, for: 5 s, kind: push-rejected, target: planner}]\n"
    result = run(tmp_path, rejected, f"mesh.control.on_reject={on_reject}")
    row = changed(result)
    assert (row.rejected, row.rolled_back) == (2, on_reject == "roll_back")
    (fault,) = result.faults
    events = Counter(one.event for one in result.configs if one.version == 3)
    if on_reject == "keep":
        # Once the fault is over it is pushed again, to those that have missed it.
        assert row.t_converged_ns > 6_000_000_000
        assert fault.configurations == 2
        assert not events
    else:
        assert row.t_converged_ns == -1
        # Those that had rejected it reject that, too, until the fault is over.
        assert events["rejected"] == 2
        assert events["rolled_back"] == 14
        assert all(one.allowed for one in result.decisions)


def test_tls_settings_change_for_connections_to_come(tmp_path: Path) -> None:
    """After a change of groups, handshakes use them, and connections that stand go on."""
    text = SCENARIO.replace("policy: {files: [new.cedar]}", "tls: {groups: [X25519MLKEM768]}")
    seldom = ("mesh.pool={idle_timeout: 30 ms}", "traffic.0.arrivals={constant: 10 /s}")
    # No handshake begins in the microseconds between the push to a server and that to its client.
    result = run(tmp_path, text, "fidelity=real", "changes.0.at=2001 ms", *seldom)
    row = changed(result)
    groups = {
        (one.t_start_ns > row.t_converged_ns, one.group) for one in result.handshakes if one.outcome == "established"
    }
    assert {(False, "X25519"), (True, "X25519MLKEM768")} <= groups
    assert (True, "X25519") not in groups
    assert all(one.outcome == "ok" for one in result.requests)


def test_keys_change_with_a_new_certificate(tmp_path: Path) -> None:
    """Where a change wants another type of key, each host gets a certificate for one, and presents that."""
    text = SCENARIO.replace("policy: {files: [new.cedar]}", "workloads: {planner: {key: ed25519}}")
    # A session that goes on from before the change would show the certificate of that time.
    seldom = ("mesh.pool={idle_timeout: 30 ms}", "traffic.0.arrivals={constant: 10 /s}", "mesh.tls.resumption=false")
    result = run(tmp_path, text, "fidelity=real", *seldom)
    row = changed(result)
    established = [one for one in result.handshakes if one.outcome == "established"]
    settled = [one for one in established if not row.t_ns <= one.t_start_ns <= row.t_converged_ns]
    keys = {(one.t_start_ns > row.t_ns, one.key_type) for one in settled}
    assert keys == {(False, "ecdsa-p256"), (True, "ed25519")}
    assert Counter(row.event for row in result.identities)["rotated"] == 2


def test_policies_on_trial_decide_nothing(tmp_path: Path) -> None:
    """What runs on trial costs its time and says what it would deny, and nothing else is different."""
    plain = SCENARIO[: SCENARIO.index("changes:")]
    before = run(tmp_path, plain)
    after = run(tmp_path, plain, "mesh.policy.shadow={files: [new.cedar]}")
    assert all(one.outcome == "ok" for one in after.requests)
    assert Counter((one.source, one.shadow) for one in after.decisions) == {
        ("robots", ""): 1000,
        ("rovers", "denied"): 1000,
    }
    spent = [sum(one.policy_ns for one in result.requests) for result in (before, after)]
    assert spent[1] == 2 * spent[0]


def test_a_restarted_proxy_starts_with_what_is_current(tmp_path: Path) -> None:
    """A node that crashes over a change comes back with the new policies."""
    crash = SCENARIO + "faults: [{at: 1900 ms, for: 1 s, kind: node-crash, target: edge-1}]\n"
    result = run(tmp_path, crash)
    late = [one for one in result.decisions if one.t_ns > 3_500_000_000]
    assert {(one.source, one.allowed, one.wrongly) for one in late} == {("robots", True, ""), ("rovers", False, "")}


POLICIES = st.sampled_from([OLD, NEW, 'permit (principal, action, resource) when { context.path == "/x" };'])


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1_900), POLICIES), min_size=1, max_size=3))
def test_wrong_decisions_lie_within_the_windows(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, str]]
) -> None:
    """Whatever changes to what, a wrong decision lies between a change and the instant at which all have it."""
    folder = tmp_path_factory.mktemp("law")
    lines = []
    for index, (at_ms, text) in enumerate(changes):
        (folder / f"{index}.cedar").write_text(text, encoding="utf-8")
        lines.append(f"  - {{name: c{index}, at: {at_ms} ms, policy: {{files: [{index}.cedar]}}}}\n")
    text = SCENARIO[: SCENARIO.index("changes:")] + "changes:\n" + "".join(lines)
    result = run(folder, text, "duration=2 s", "fidelity=modelled")
    windows = [(row.t_ns, row.t_converged_ns if row.t_converged_ns >= 0 else 10**18) for row in result.changes]
    for row in result.decisions:
        assert not row.wrongly or any(begin <= row.t_ns <= end for begin, end in windows)
    assert sum(row.wrongly_allowed + row.wrongly_denied for row in result.changes) == sum(
        bool(row.wrongly) for row in result.decisions
    )


@settings(max_examples=8, deadline=None)
@given(st.lists(POLICIES, min_size=1, max_size=3))
def test_without_propagation_nothing_is_wrong(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    """Where the control plane is on the one node that there is, and waits for nothing, no decision is wrong."""
    folder = tmp_path_factory.mktemp("law")
    lines = []
    for index, policy in enumerate(texts):
        (folder / f"{index}.cedar").write_text(policy, encoding="utf-8")
        lines.append(f"  - {{at: {300 * (index + 1)} ms, policy: {{files: [{index}.cedar]}}}}\n")
    text = SCENARIO[: SCENARIO.index("changes:")] + "changes:\n" + "".join(lines)
    for old, new in (
        ("{edge-1: {kind: edge}, edge-2: {kind: edge}, core-1: {kind: core}}", "{edge-1: {kind: edge}}"),
        ("edge-1: 1, edge-2: 1", "edge-1: 2"),
        ("node: edge-2", "node: edge-1"),
        ("control: {node: core-1}", "control: {node: edge-1, debounce: 0 s, concurrent_pushes: 100}"),
    ):
        text = text.replace(old, new)
    begin, end = text.index("  links:"), text.index("  slices:")
    result = run(folder, text[:begin] + text[end:], "duration=2 s", "fidelity=modelled")
    assert [row.wrongly_allowed + row.wrongly_denied for row in result.changes] == [0] * len(texts)
