"""What a section of the validation is."""

from __future__ import annotations

import msgspec


class Criterion(msgspec.Struct, frozen=True):
    """One thing that must hold."""

    text: str
    """What must hold, for a reader of the document."""
    found: str
    """What was found; the same on every machine unless the section measures the host."""
    passed: bool
    compared: int = 0
    """How many numbers it compares that chance has a part in, each of which it holds inside its joint interval."""
    outside: int = 0
    """How many of these lie outside their own 99 % interval, as one in a hundred does."""


class Section(msgspec.Struct, frozen=True):
    """One subject of the validation."""

    title: str
    about: str
    """What is compared with what, under which assumptions, and where it misses; Markdown."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    criteria: tuple[Criterion, ...]
    measures_host: bool = False
    """Whether its rows differ from machine to machine; then the document leaves them and what was found out."""

    @property
    def passed(self) -> bool:
        """Whether every criterion holds."""
        return all(criterion.passed for criterion in self.criteria)
