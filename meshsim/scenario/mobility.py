"""Scenario models of devices that move: paths over the cells of a radio."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshsim.scenario.fields import FromList, Length, Model, Speed

_MM_PER_H_NS = 3_600_000_000_000


class Stretch(Model):
    """The part of a path on which one cell serves."""

    cell: str
    """Cell of the fleet's radio."""
    length_mm: Length = Field(alias="length", ge=1_000)
    """How long it is, 1 m or more."""


class Path(Model):
    """Cells that a device passes one after the other, at an even speed: a handover at each border."""

    through: Annotated[tuple[Stretch, ...], FromList, Field(min_length=2, max_length=1000)]
    """The stretches, in order."""
    speed_mm_per_h: Speed = Field(alias="speed", gt=0, le=2_000_000_000)
    """Speed."""
    at_end: Literal["turn", "again", "stay"] = "turn"
    """turn: drives back the way it came. again: begins anew, as on a ring. stay: remains in the last cell.
    Default: turn."""
    spread: bool = True
    """Whether the devices of a fleet begin evenly spaced along the way; false: all at its start. Default: true."""

    @property
    def stays_ns(self) -> list[int]:
        """How long a device is on each stretch."""
        return [stretch.length_mm * _MM_PER_H_NS // self.speed_mm_per_h for stretch in self.through]
