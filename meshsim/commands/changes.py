"""What was asked of one run and not of another: fields of the scenario, files, seed, cost profile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from meshsim.results.folder import SCENARIO
from meshsim.results.stored import StoredRun
from meshsim.scenario.errors import ScenarioError, UsageError
from meshsim.scenario.words import show
from meshsim.scenario.yaml_text import parse_yaml

MOST_LISTED = 5
"""Changes that are told to people; JSON has all."""

_APART = ("fidelity",)
"""Fields that never change a result."""

_MISSING = object()


class Change(msgspec.Struct, frozen=True):
    """One thing that was asked otherwise."""

    path: str
    """A field of the resolved scenario, as for ``--set``; or the name of a file, or of the cost profile, in words."""
    a: str | None
    """What A has, in short; None if it has nothing there."""
    b: str | None
    """What B has."""

    def __str__(self) -> str:
        if self.a is None:
            return f"{self.path} (B only: {self.b})"
        if self.b is None:
            return f"{self.path} (A only: {self.a})"
        return f"{self.path} ({self.a} / {self.b})" if self.a != self.b else self.path


def changes_between(a: StoredRun, b: StoredRun) -> list[Change]:
    """What differs between what the two were asked for, in the order of the scenario; fidelity is left out.

    Raises UsageError if the scenario of either cannot be read.
    """
    found = list(_fields(_plain(a), _plain(b), ""))
    files = {**a.manifest.inputs, **b.manifest.inputs}
    for name in files:
        one, other = a.manifest.inputs.get(name), b.manifest.inputs.get(name)
        if one != other:
            found.append(Change(f"the file {name}", _digits(one), _digits(other)))
    if a.manifest.cost_profile_sha256 != b.manifest.cost_profile_sha256:
        names = (a.manifest.cost_profile, b.manifest.cost_profile)
        if names[0] == names[1]:
            names = (str(_digits(a.manifest.cost_profile_sha256)), str(_digits(b.manifest.cost_profile_sha256)))
        found.append(Change("the cost profile", *names))
    return found


def told(changes: list[Change]) -> str:
    """The changes in one line, the first few by name."""
    more = len(changes) - MOST_LISTED
    return "; ".join(map(str, changes[:MOST_LISTED])) + (f"; and {more} more" if more > 0 else "")


def _plain(run: StoredRun) -> dict[str, Any]:
    try:
        plain, _ = parse_yaml(run.scenario_text(), SCENARIO)
    except (OSError, UnicodeDecodeError, ScenarioError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"the scenario in {run.path} cannot be read ({first}); the run is damaged") from error
    if not isinstance(plain, dict):
        raise UsageError(f"the scenario in {run.path} is no scenario; the run is damaged")
    return {key: value for key, value in plain.items() if key not in _APART}


def _fields(a: Any, b: Any, path: str) -> Iterator[Change]:
    """Fields that differ, by their dotted path; a mapping or list that only one side has is one change."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(key for key in b if key not in a)]:
            yield from _fields(a.get(key, _MISSING), b.get(key, _MISSING), f"{path}.{key}" if path else str(key))
    elif isinstance(a, list) and isinstance(b, list) and all(isinstance(one, dict) for one in [*a, *b]):
        for index in range(max(len(a), len(b))):
            one, other = (side[index] if index < len(side) else _MISSING for side in (a, b))
            yield from _fields(one, other, f"{path}.{index}")
    elif a != b or type(a) is not type(b):
        yield Change(path, _shown(a), _shown(b))


def _shown(value: Any) -> str | None:
    if value is _MISSING:
        return None
    if isinstance(value, list) and all(not isinstance(one, dict | list) for one in value):
        return f"[{', '.join(map(str, value))}]" if len(value) <= MOST_LISTED else f"a list of {len(value)}"
    return value if isinstance(value, str) and 0 < len(value) <= 40 and value.isprintable() else show(value)


def _digits(sha256: str | None) -> str | None:
    return None if sha256 is None else f"sha256 {sha256[:12]}"
