"""What one scenario says and another does not, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from meshsim.scenario.words import show

MOST_LISTED: Final = 5
"""Changes that are told to people; JSON has all."""
_MISSING: Final = object()


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


def told(changes: Sequence[Change]) -> str:
    """The changes in one line, the first few by name."""
    more = len(changes) - MOST_LISTED
    return "; ".join(map(str, changes[:MOST_LISTED])) + (f"; and {more} more" if more > 0 else "")


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Change]:
    """Fields that differ, in the order of the scenario."""
    return _fields(dict(a), dict(b), "")


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
