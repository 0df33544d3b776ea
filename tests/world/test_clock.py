"""The clock: whatever is set happens at its instant, in the order of setting."""

from __future__ import annotations

import ast
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simpy.core import EmptySchedule
from simpy.events import NORMAL, URGENT

from meshsim.world import clock as clock_module
from meshsim.world.clock import STRETCH_NS, Alarm, Clock

ROOM = Path(clock_module.__file__).parent
DELAYS_NS = st.sampled_from(
    [0, 1, STRETCH_NS // 2, STRETCH_NS - 1, STRETCH_NS, STRETCH_NS + 1, 3 * STRETCH_NS, 10**12, 10**17]
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "at", "event", "return"]), DELAYS_NS, st.integers(0, 3)), max_size=40
)


def _set(clock: Clock, how: str, time_ns: int, action: Callable[[Any], Alarm | None], argument: object) -> None:
    if how == "event":
        event = clock.timeout(time_ns - clock.now_ns)
        assert event.callbacks is not None
        event.callbacks.append(lambda _: clock.put(action(argument)))
    elif how == "at":
        clock.at(time_ns, action, argument)
    else:
        clock.order += 1
        clock.put((time_ns, clock.order, action, argument))


@given(steps=STEPS)
def test_everything_happens_in_order(steps: list[tuple[str, int, int]]) -> None:
    """Near or far, as alarms, set or returned, or as SimPy's events, now or later: by instant, then by setting."""
    clock = Clock()
    waiting = list(enumerate(steps))
    expected: list[tuple[int, int]] = []
    happened: list[tuple[int, int]] = []

    def set_some(count: int) -> None:
        for _ in range(min(count, len(waiting))):
            number, (how, delay_ns, follow) = waiting.pop(0)
            expected.append((clock.now_ns + delay_ns, number))
            _set(clock, how, clock.now_ns + delay_ns, happen, (number, follow))

    def happen(what: tuple[int, int]) -> Alarm | None:
        happened.append((clock.now_ns, what[0]))
        if what[1] and waiting and waiting[0][1][0] == "return":
            number, (_, delay_ns, follow) = waiting.pop(0)
            expected.append((clock.now_ns + delay_ns, number))
            clock.order += 1
            alarm = (clock.now_ns + delay_ns, clock.order, happen, (number, follow))
            set_some(what[1] - 1)  # what is set after it comes after it
            return alarm
        set_some(what[1])
        return None

    while waiting:
        set_some(2)
        clock.run_to_end()
    assert happened == sorted(expected)


def _returning_alarms(tree: ast.AST) -> Iterator[tuple[str, str, bool]]:
    """Name the class and the function, and say whether it returns an alarm, of all that a module defines."""
    for holder in ast.walk(tree):
        for function in getattr(holder, "body", ()) if isinstance(holder, (ast.Module, ast.ClassDef)) else ():
            if isinstance(function, ast.FunctionDef):
                returned = "" if function.returns is None else ast.unparse(function.returns)
                yield getattr(holder, "name", ""), function.name, returned == "Alarm | None"


def _dropped(sources: Mapping[str, str]) -> list[str]:
    """Find calls whose alarm nobody takes: expressions that are statements, by the names of what they call."""
    trees = {name: ast.parse(source) for name, source in sources.items()}
    defined = [each for tree in trees.values() for each in _returning_alarms(tree)]
    by_class = {(holder, name): alarm for holder, name, alarm in defined}
    alarms, others = ({name for _, name, alarm in defined if alarm is wanted} for wanted in (True, False))
    # Of what another object does only the name is seen here.
    assert not {name for name in alarms & others if not name.startswith("_")}
    found = []
    for name, tree in trees.items():
        for holder in ast.walk(tree):
            for statement in ast.walk(holder) if isinstance(holder, ast.ClassDef) else ():
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                    called = ast.unparse(statement.value.func)
                    owner, _, method = called.rpartition(".")
                    by_name = method.removeprefix("_") in alarms or method in alarms - others
                    if by_class.get((holder.name, method), by_name) if owner == "self" else by_name:
                        found.append(f"{name}:{statement.lineno}: {called}")
    return found


def test_no_alarm_is_dropped_in_the_world() -> None:
    """What an action or a part of one returns is never thrown away: it would be an event that does not happen."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in ROOM.glob("*.py")}
    assert _dropped(sources) == []
    for file, kept, thrown in (  # and would be found
        ("driver.py", "self._clock.put(self.tell_last(host, event))", "self.tell_last(host, event)"),
        ("transport.py", "self._clock.put(self.dispatch(transfer))", "self.dispatch(transfer)"),
        ("driver.py", "return self.workloads.end_call(", "self.workloads.end_call("),
        ("driver.py", "return self.workloads.serve_call(", "self.workloads.serve_call("),
        ("deciding.py", "return self._tell_last(", "self._tell_last("),
    ):
        assert kept in sources[file]
        assert _dropped({**sources, file: sources[file].replace(kept, thrown)}), kept


def test_far_alarms_take_few_steps() -> None:
    """An alarm a year away does not have the clock look into every stretch until then."""
    clock = Clock()
    happened: list[str] = []
    clock.at(365 * 86_400 * 10**9, happened.append, "far")
    clock.put((5, clock.order + 1, happened.append, "near"))
    for _ in range(4):
        clock.step()
    assert happened == ["near", "far"]
    with pytest.raises(EmptySchedule):
        clock.step()


def test_processes_of_simpy_run_on_it() -> None:
    """A process, urgent events and alarms of one instant keep SimPy's order."""
    clock = Clock()
    told: list[tuple[int, str]] = []

    def process() -> Generator[Any, Any, None]:
        yield clock.timeout(7)
        told.append((clock.now, "process"))
        yield clock.timeout(2 * STRETCH_NS)
        told.append((clock.now, "process"))

    clock.process(process())
    clock.at(7, lambda _: told.append((clock.now, "alarm")))
    event = clock.event()
    event.callbacks.append(lambda _: told.append((clock.now, "normal")))
    event._ok, event._value = True, None
    urgent = clock.event()
    urgent.callbacks.append(lambda _: told.append((clock.now, "urgent")))
    urgent._ok, urgent._value = True, None
    clock.schedule(event, NORMAL, 7)
    clock.schedule(urgent, URGENT, 7)
    clock.run_to_end()
    assert told == [
        (7, "urgent"),
        (7, "alarm"),
        (7, "normal"),
        (7, "process"),
        (2 * STRETCH_NS + 7, "process"),
    ]
