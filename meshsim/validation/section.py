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
