"""Timers: nothing but the instant and the order of setting decides what comes first."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshsim.sidecar.timers import NEVER, Timers

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
