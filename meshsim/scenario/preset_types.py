"""What a preset is made of."""

from __future__ import annotations

from typing import Any

import msgspec


class Default(msgspec.Struct, frozen=True):
    """One setting of a real mesh."""

    path: str
    """Where it stands below ``mesh``, keys joined by dots."""
    value: Any
    """As a scenario file has it."""
    source: str
    """Project and place in it, or the name of the setting there."""


class Left(msgspec.Struct, frozen=True):
    """Something that the real mesh does by default, and a preset does not say."""

    what: str
    instead: str
    """What holds here."""


class Preset(msgspec.Struct, frozen=True):
    """The defaults of one mesh."""

    name: str
    """As scenarios write it."""
    title: str
    source: str
    """Versions that were read, and when."""
    defaults: tuple[Default, ...]
    left: tuple[Left, ...]
