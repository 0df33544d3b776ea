"""Authorities that take each other's place, as playbooks in hours."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshsim.control.succession import Plan, Step, Succession, Term

H = 3600 * 1_000_000_000
SPIRE = Plan(12 * H, 4 * H, overlap=True)


def day(number: int, begin_h: int) -> Term:
    """The term of an authority that lives for a day."""
    return Term(number, begin_h * H, (begin_h + 24) * H)


def numbers(succession: Succession) -> list[int]:
    """The numbers of the authorities that are trusted."""
    return [term.number for term in succession.trusted]


def test_prepared_then_active_then_retired() -> None:
    """The next authority is trusted half a life before it is needed, and the old one until it ends."""
    succession = Succession(day(1, 0), 0, SPIRE)
    assert succession.due_ns() == 12 * H
    assert succession.look(12 * H) == [Step("prepared", day(2, 12))]
    assert (succession.active.number, numbers(succession), succession.due_ns()) == (1, [1, 2], 20 * H)
    assert succession.look(20 * H) == [Step("activated", day(2, 12))]
    assert (succession.active.number, numbers(succession), succession.due_ns()) == (2, [1, 2], 24 * H)
    assert succession.look(24 * H) == [Step("prepared", day(3, 24)), Step("retired", day(1, 0))]
    assert (succession.active.number, numbers(succession), succession.due_ns()) == (2, [2, 3], 32 * H)


def test_without_overlap_all_happens_at_once() -> None:
    """Without overlap the old authority is forgotten when the next one signs."""
    succession = Succession(day(1, 0), 0, Plan(12 * H, 4 * H, overlap=False))
    assert succession.due_ns() == 20 * H
    assert succession.look(20 * H) == [Step("activated", day(2, 20)), Step("retired", day(1, 0))]
    assert (numbers(succession), succession.due_ns()) == ([2], 40 * H)


def test_without_a_plan_it_stays() -> None:
    """Without a plan an authority is never replaced, and there is nothing to look for."""
    succession = Succession(day(1, 0), 0, None)
    assert (succession.due_ns(), succession.look(100 * H), numbers(succession)) == (None, [], [1])


def test_replaced_by_decision() -> None:
    """An authority that somebody replaces goes at once or when it is forgotten; one that was prepared never signs."""
    succession = Succession(day(1, 0), 0, SPIRE)
    succession.look(12 * H)
    assert succession.replace(13 * H, overlap=True) == [Step("activated", day(3, 13))]
    assert (succession.active.number, numbers(succession)) == (3, [1, 2, 3])
    assert succession.forget(frozenset({1, 2})) == [Step("retired", day(1, 0)), Step("retired", day(2, 12))]
    assert numbers(succession) == [3]
    assert succession.replace(14 * H, overlap=False) == [Step("activated", day(4, 14)), Step("retired", day(3, 13))]


def test_late_looks_catch_up() -> None:
    """An issuer that was away makes, activates and retires in one look what it has missed."""
    succession = Succession(day(1, 0), 0, SPIRE)
    steps = succession.look(30 * H)
    assert [(step.deed, step.term.number) for step in steps] == [("prepared", 2), ("activated", 2), ("retired", 1)]
    assert succession.active == day(2, 30)


def test_backdated() -> None:
    """A new authority is valid from somewhat before it was made."""
    succession = Succession(day(1, 0), H, SPIRE)
    assert succession.look(12 * H) == [Step("prepared", day(2, 11))]


@given(st.integers(1, 23), st.integers(1, 23), st.booleans(), st.lists(st.integers(0, 30), max_size=40))
def test_somebody_valid_signs(prepare_h: int, activate_h: int, overlap: bool, pauses_h: list[int]) -> None:
    """After every look the authority that signs is valid and trusted, and numbers only grow."""
    plan = Plan(max(prepare_h, activate_h) * H, activate_h * H, overlap=overlap)
    succession, now_h, seen = Succession(day(1, 0), 0, plan), 0, 1
    for pause_h in pauses_h:
        now_h += pause_h
        succession.look(now_h * H)
        assert succession.active.begin_ns <= now_h * H < succession.active.end_ns
        assert succession.active in succession.trusted
        assert succession.active.number >= seen
        assert all(now_h * H < term.end_ns for term in succession.trusted)
        due_ns = succession.due_ns()
        assert due_ns is not None
        assert due_ns > now_h * H
        seen = succession.active.number
