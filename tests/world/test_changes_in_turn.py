"""Changes that come one after the other, are taken back or cut off: each proxy ends with the last, and has it once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.world.conftest import Result
from tests.world.test_identity_changes_across import PARTNER, rotated
from tests.world.test_identity_changes_across import SCENARIO as TWO_DOMAINS
from tests.world.test_identity_changes_across import run as run_terms
from tests.world.test_rollout import SCENARIO, run

S = 1_000_000_000
ALL_AGAIN = "  - {name: lax, at: 6 s, policy: {files: [old.cedar]}}\n"
REJECTED = "faults: [{at: 1 s, for: SECONDS, kind: push-rejected, target: planner}]\n"
BACK = "mesh.control.on_reject=roll_back"


def allowed_at_the_end(result: Result, source: str) -> set[tuple[bool, str]]:
    """What was decided of a fleet's requests in the last seconds, and whether wrongly."""
    return {(row.allowed, row.wrongly) for row in result.decisions if row.t_ns > 8 * S and row.source == source}


def counted(result: Result) -> tuple[int, int]:
    """How many wrong decisions count for changes: those that were allowed, and those that were denied."""
    rows = result.changes
    return sum(row.wrongly_allowed for row in rows), sum(row.wrongly_denied for row in rows)


def wrong(result: Result) -> tuple[int, int]:
    """How many decisions were wrong, likewise."""
    words = Counter(row.wrongly for row in result.decisions)
    return words["allowed"], words["denied"]


def acked(result: Result, reason: str) -> Counter[str]:
    """How often each proxy took a version."""
    events = ("acked", "rolled_back")
    return Counter(row.proxy for row in result.configs if row.event in events and row.reason == reason)


def test_what_comes_after_a_roll_back_is_taken(tmp_path: Path) -> None:
    """A change that was rejected is taken back, and the next one reaches every proxy and decides there."""
    text = SCENARIO.replace("new.cedar", "old.cedar") + "  - {name: again, at: 6 s, policy: {files: [new.cedar]}}\n"
    result = run(tmp_path, text + REJECTED.replace("SECONDS", "3 s"), BACK)
    first, second = result.changes
    assert (first.rolled_back, first.t_converged_ns, first.acked, first.rejected) == (True, -1, 12, 2)
    assert (second.acked, second.proxies, second.rejected) == (14, 14, 0)
    assert 6 * S < second.t_converged_ns < 6.2 * S
    assert allowed_at_the_end(result, "rovers") == {(False, "")}
    # Versions count in the order in which they come.
    rows = [row for row in result.configs if row.kind == "configuration"]
    assert [row.version for row in rows] == sorted(row.version for row in rows)
    assert list(dict.fromkeys(row.version for row in rows)) == [2, 3, 4]


def test_a_roll_back_goes_to_what_was_there_before(tmp_path: Path) -> None:
    """Where two changes in turn are rejected, the second is not taken back to the first, but to the start."""
    text = SCENARIO + "  - {name: groups, at: 6 s, tls: {groups: [X25519MLKEM768]}}\n"
    result = run(tmp_path, text + REJECTED.replace("SECONDS", "8 s"), BACK)
    assert [row.rolled_back for row in result.changes] == [True, True]
    assert allowed_at_the_end(result, "rovers") == {(True, "")}


@pytest.mark.parametrize("laxer", [False, True])
def test_wrong_decisions_after_a_roll_back_count_for_what_it_undoes(tmp_path: Path, laxer: bool) -> None:
    """Who still goes by a change that was taken back decides wrongly because of it, until the roll back is there."""
    text = SCENARIO
    if laxer:
        text = SCENARIO.replace("new.cedar", "NEW").replace("old.cedar", "new.cedar").replace("NEW", "old.cedar")
    faults = "faults: [{at: 1 s, for: 3 s, kind: push-rejected, target: robots}]\n"
    result = run(tmp_path, text + faults, BACK)
    (change,) = result.changes
    assert change.rolled_back
    assert counted(result) == wrong(result)
    back_ns = min(row.t_ns for row in result.configs if row.version == change.version + 1)
    after = Counter(row.wrongly for row in result.decisions if row.t_ns >= back_ns and row.wrongly)
    assert after.keys() == {"allowed" if laxer else "denied"}
    assert (change.wrongly_allowed > 0, change.wrongly_denied > 0) == (True, True)


def test_changes_that_are_pushed_as_one_converge_as_one(tmp_path: Path) -> None:
    """Of two changes within a debounce both are had by whoever has the second."""
    text = SCENARIO + "  - {name: groups, at: 2050 ms, tls: {groups: [X25519MLKEM768]}}\n"
    first, second = run(tmp_path, text).changes
    assert first.t_converged_ns == second.t_converged_ns > 2 * S
    assert (first.proxies, first.acked) == (second.proxies, second.acked) == (14, 14)


def test_who_missed_a_change_has_it_with_the_next(tmp_path: Path) -> None:
    """Proxies behind a cut get the later of two changes alone, and have both with it; nobody gets anything twice."""
    cut = ALL_AGAIN + "faults: [{at: 1 s, for: 6 s, kind: link-down, target: trunk}]\n"
    result = run(tmp_path, SCENARIO + cut)
    first, second = result.changes
    assert 7 * S < first.t_converged_ns == second.t_converged_ns
    assert (first.proxies, first.acked) == (14, 14)
    assert not acked(result, "strict: policy")
    assert set(acked(result, "lax: policy").values()) == {1}
    assert allowed_at_the_end(result, "rovers") == {(True, "")}


@pytest.mark.parametrize(
    "faults",
    [
        # The control plane pushes anew to who had rejected it while it still tries to reach the others.
        "{at: 1 s, for: 3 s, kind: push-rejected, target: rovers}, {at: 1500 ms, for: 4 s, kind: link-down, "
        "target: trunk}",
        # Pushes are on the way when the node crashes, and tried again until it is back with what is current.
        "{at: 2115 ms, for: 2500 ms, kind: node-crash, target: edge-1}",
    ],
)
def test_nobody_is_pushed_what_it_has(tmp_path: Path, faults: str) -> None:
    """Whatever is cut, rejected or crashes, each proxy takes a change once and is tried once a second at the most."""
    result = run(tmp_path, SCENARIO + f"faults: [{faults}]\n")
    (row,) = result.changes
    assert row.acked == row.proxies == 14
    assert set(acked(result, "strict: policy").values()) == {1}
    tries = Counter((one.proxy, one.t_ns // S) for one in result.configs if one.event == "stale" and one.kind)
    assert max(tries.values()) <= 2
    assert len(acked(result, "strict: policy")) == (14 if "push-rejected" in faults else 7)


def test_a_trust_domain_takes_back_its_own(tmp_path: Path) -> None:
    """A change of one trust domain is taken back though another's came meanwhile, which holds on."""
    text = TWO_DOMAINS + "  - {name: own, at: 10001 ms, identity: {svid_ttl: 30 s, renew: at-once}}\n"
    text += "faults: [{at: 1 s, for: 20 s, kind: push-rejected, target: planner}]\n"
    result = run_terms(tmp_path, "{svid_ttl: 20 s, renew: at-once}", BACK, text=text)
    partner, own = result.changes
    assert (partner.rolled_back, own.rolled_back, own.acked) == (True, False, 3)
    lives: dict[str, Any] = {name: rotated(result, name)[-1][1] for name in (PARTNER, "mesh.example")}
    assert lives == {PARTNER: 50, "mesh.example": 40}
    sources = {row.source for row in result.configs if row.reason == "other rolled back"}
    assert sources == {"core-2"}


def test_what_was_taken_back_is_not_pushed_any_more(tmp_path: Path) -> None:
    """A control plane that is down while another's proxy rejects a change pushes only what it was taken back to."""
    faults = "{at: 1 s, for: 20 s, kind: push-rejected, target: robots}, "
    faults += "{at: 9 s, for: 5 s, kind: node-crash, target: core-2}"
    text = f"{TWO_DOMAINS}faults: [{faults}]\n"
    result = run_terms(tmp_path, "{svid_ttl: 20 s}", BACK, text=text, more=", identity: {svid_ttl: 30 s}")
    (change,) = result.changes
    assert (change.rolled_back, change.proxies, change.rejected, change.acked) == (True, 3, 3, 0)
    assert change.t_converged_ns == -1
    tellers = {(row.version, row.source) for row in result.configs if row.kind == "configuration"}
    assert tellers == {(2, "core-1"), (3, "core-1"), (3, "core-2")}
