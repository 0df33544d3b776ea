"""The keys of one kind of mapping in an object: which are read, which have no effect, and which are refused."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Fields(msgspec.Struct, frozen=True):
    """The keys of one kind of mapping."""

    read: Mapping[str, str]
    """Key → what is taken from it."""
    without_effect: tuple[str, ...] = ()
    refused: Mapping[str, str] = {}
    """Key → why it is not simulated."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every key that is known."""
        return (*self.read, *self.without_effect, *self.refused)
