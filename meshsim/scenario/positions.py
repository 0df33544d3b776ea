"""Where each key and value of a scenario was written."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from meshsim.scenario.errors import Diagnostic

Path = tuple[str | int, ...]
"""Keys and list indices from the root of a file to one of its values."""


class Place(msgspec.Struct, frozen=True):
    """One place in a text; lines and columns count from 1, and line 0 is the text as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def diagnostic(self, message: str) -> Diagnostic:
        """The diagnostic that says ``message`` of this place."""
        return Diagnostic(self.file, self.line, self.column, message)


class Positions:
    """The places of all keys and values of one file, and of the values that took their place since."""

    def __init__(self, file: str, note_all: Callable[[Positions], None] | None = None) -> None:
        """``note_all`` is asked to note them all when somebody first wants to know one; none are noted without it."""
        self.file = file
        self._note_all = note_all
        self._keys: dict[Path, Place] = {}
        self._values: dict[Path, Place] = {}

    @property
    def keys(self) -> dict[Path, Place]:
        """The place of each key."""
        self._know()
        return self._keys

    @property
    def values(self) -> dict[Path, Place]:
        """The place of each value."""
        self._know()
        return self._values

    def _know(self) -> None:
        if self._note_all is not None:
            note_all, self._note_all = self._note_all, None
            note_all(self)

    def value(self, path: Path) -> Place:
        """Place of the value at ``path``; of the nearest value around it if it was not written."""
        return self._nearest(path, (self.values,))

    def key(self, path: Path) -> Place:
        """Place of the key at ``path`` (of the value itself in a list); the nearest one around it if not written."""
        return self._nearest(path, (self.keys, self.values))

    def _nearest(self, path: Path, maps: tuple[dict[Path, Place], ...]) -> Place:
        for length in range(len(path), -1, -1):
            for places in maps:
                if path[:length] in places:
                    return places[path[:length]]
        return Place(self.file)

    def replace(self, path: Path, file: str) -> None:
        """Say that everything at and below ``path`` now comes from ``file`` as a whole."""
        for places in (self.keys, self.values):
            for known in [known for known in places if known[: len(path)] == path]:
                del places[known]
        self.keys[path] = self.values[path] = Place(file)
