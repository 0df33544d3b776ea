"""Timers: nothing but the instant and the order of setting decides what comes first."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshsim.sidecar.timers import NEVER, Deadlines, Timers

_settings = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20), st.booleans()), max_size=40)


def _note(argument: int, now_ns: int, commands: list[Any]) -> None:
    commands.append((argument, now_ns))


@given(_settings, st.integers(0, 20))
def test_timers_come_in_the_order_of_instants_and_of_setting(steps: list[tuple[int, int, bool]], until_ns: int) -> None:
    """Timers set one by one and timers of one length come due as if all of them lay sorted in one list."""
    timers = Timers()
    now_ns, due = 0, []
    for number, (pause_ns, length_ns, many) in enumerate(steps):
        now_ns += pause_ns
        if many:
            timers.add_after(now_ns, length_ns, _note, number)
        else:
            timers.add(now_ns + length_ns, _note, number)
        due.append((now_ns + length_ns, number))
        assert timers.next_ns == min(due)[0]
    due.sort()
    for instant_ns in (until_ns, NEVER):
        commands: list[tuple[int, int]] = []
        timers.run(instant_ns, commands)
        assert [number for number, _ in commands] == [number for due_ns, number in due if due_ns <= instant_ns]
        due = [entry for entry in due if entry[0] > instant_ns]
        assert timers.next_ns == (due[0][0] if due else NEVER)


def test_an_action_may_set_the_next_timer() -> None:
    """A timer that is set while others are carried out comes due in the same round if its instant has come."""
    timers = Timers()

    def again(left: int, now_ns: int, commands: list[Any]) -> None:
        commands.append(left)
        if left:
            timers.add_after(now_ns, 0, again, left - 1)

    timers.add_after(5, 0, again, 2)
    commands: list[int] = []
    timers.run(4, commands)
    assert commands == []
    timers.run(5, commands)
    assert commands == [2, 1, 0]
    assert timers.next_ns == NEVER


_lives = st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 30)), max_size=40)


@given(_lives)
def test_deadlines_come_unless_they_are_taken_back(lives: list[tuple[int, int | None]]) -> None:
    """Each key whose deadline is not taken back comes at its very instant, and no other; one timer is set at most."""
    length_ns = 20
    timers = Timers()
    came: list[tuple[int, int]] = []
    deadlines = Deadlines(timers, lambda key, now_ns, _: came.append((key, now_ns)))
    now_ns, steps, expected = 0, [], []
    for key, (pause_ns, taken_back_ns) in enumerate(lives):
        now_ns += pause_ns
        steps.append((now_ns, 1, key))
        if taken_back_ns is not None and taken_back_ns < length_ns:
            steps.append((now_ns + taken_back_ns, 2, key))
        else:
            expected.append((key, now_ns + length_ns))
    for time_ns, step, key in [*sorted(steps), (NEVER - 1, 0, 0)]:
        while timers.next_ns <= time_ns:
            timers.run(timers.next_ns, [])
            assert len(timers._heap) <= 1
        if step == 1:
            deadlines.due_ns[key] = time_ns + length_ns
            if not deadlines.watched:
                deadlines.watch(time_ns + length_ns)
        elif step == 2:
            del deadlines.due_ns[key]
    assert came == expected
    assert not deadlines.due_ns
