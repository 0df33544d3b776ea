"""Whatever is in a file: a scenario or a ScenarioError, never anything else."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshsim.scenario.data_files import read_arrival_trace, read_radio_trace
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import LoadedScenario, load_text
from meshsim.scenario.model import Scenario
from meshsim.scenario.overrides import apply_overrides
from meshsim.scenario.resolve import resolved_text
from meshsim.scenario.shape import fields_of, models_below
from meshsim.scenario.yaml_text import parse_yaml

PATH = Path(__file__).parent / "data" / "valid.yaml"
VALID = PATH.read_text(encoding="utf-8")
DATA: dict[str, Any] = parse_yaml(VALID, "valid.yaml")[0]
KEYS = sorted({key for model in models_below(Scenario) for key in fields_of(model)})
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def outcome(text: str) -> LoadedScenario | None:
    """The scenario, or None if the text was refused in good order."""
    try:
        loaded = load_text(text, PATH)
    except ScenarioError as error:
        for one in error.diagnostics:
            assert "\n" not in one.message
            assert len(one.message) < 400
            assert "not accepted" not in one.message, "a mistake that has no words of its own"
        return None
    assert load_text(loaded.resolved, PATH).scenario == loaded.scenario
    return loaded


def entries(data: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all values but the root."""
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [found for key, value in children for found in [(*path, key), *entries(value, (*path, key))]]


PATHS = entries(DATA)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["1 ms", "0 s", "-1 s", "100 %", "1 /s", "8 KiB", "core-1", "cars", "planner", "control", "ring"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@SLOW
@given(st.text(max_size=200) | st.text(alphabet="{}[]:,-#&*!|>'\"%@`\t\n ab01?<=~\\\u2028\x85\ufeff", max_size=80))
def test_any_text(text: str) -> None:
    """Any text is answered."""
    outcome(text)


@SLOW
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6))
def test_any_yaml(data: dict[str, Any]) -> None:
    """Any data under known keys is answered."""
    outcome(json.dumps(data))


@SLOW
@given(st.lists(st.tuples(st.sampled_from(PATHS), st.none() | VALUES | st.sampled_from(PATHS)), min_size=1, max_size=4))
def test_any_change_of_values(changes: list[tuple[tuple[str | int, ...], Any]]) -> None:
    """A valid scenario in which values are replaced, moved or left out is answered."""
    data = copy.deepcopy(DATA)
    for path, value in changes:
        holder: Any = data
        try:
            for key in path[:-1]:
                holder = holder[key]
            if value is None:
                del holder[path[-1]]
            else:
                holder[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took it away
    outcome(json.dumps(data, default=str))


@SLOW
@given(st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 30), st.text(max_size=4)), min_size=1, max_size=3))
def test_any_change_of_text(changes: list[tuple[int, int, str]]) -> None:
    """A valid scenario in which text is replaced is answered."""
    text = VALID
    for start, length, new in changes:
        text = text[:start] + new + text[start + length :]
    outcome(text)


@SLOW
@given(st.text(max_size=60), st.text(max_size=20), st.sampled_from(PATHS))
def test_any_override(text: str, value: str, path: tuple[str | int, ...]) -> None:
    """Any override is applied or refused."""
    data, positions = parse_yaml(VALID, "valid.yaml")
    apply_overrides(data, positions, [text, f"{text}={value}", f"{'.'.join(map(str, path))}={value}"])


@SLOW
@given(st.text(max_size=60) | st.binary(max_size=60))
def test_any_measurement(content: str | bytes) -> None:
    """Any CSV file is read or refused."""
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    for head in (b"", b"time_s,round_trip_ms,cell\n"):
        for read in (read_radio_trace, read_arrival_trace):
            try:
                read(head + raw, "t.csv")
            except ScenarioError:
                continue


@SLOW
@given(st.text(max_size=40))
def test_any_description_round_trips(description: str) -> None:
    """Whatever text a description holds, the resolved text reads as the same scenario."""
    scenario = load_text(VALID, PATH).scenario.model_copy(update={"description": description})
    try:
        again = parse_yaml(resolved_text(scenario), "resolved")[0]
    except ScenarioError:
        raise AssertionError("the resolved text is not YAML") from None
    assert again["description"] == description
