"""Scenario models of bounds on what is measured."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from meshsim.scenario.fields import Duration, Model, Rate, Share


class _Bound(Model):
    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        most, least = getattr(self, "at_most", None), getattr(self, "at_least", None)
        if most is None and least is None:
            raise ValueError("there is no bound; expected at_most, at_least or both")
        if most is not None and least is not None and least > most:
            raise ValueError("at_least is more than at_most; expected it not to be")
        return self


class DurationBound(_Bound):
    """Bounds on a duration."""

    at_most: Duration | None = None
    """Upper bound, itself allowed."""
    at_least: Duration | None = None
    """Lower bound, itself allowed."""


class ShareBound(_Bound):
    """Bounds on a share."""

    at_most: Share | None = None
    """Upper bound, itself allowed."""
    at_least: Share | None = None
    """Lower bound, itself allowed."""


class RateBound(_Bound):
    """Bounds on a rate."""

    at_most: Rate | None = None
    """Upper bound, itself allowed."""
    at_least: Rate | None = None
    """Lower bound, itself allowed."""


class CountBound(_Bound):
    """Bounds on a number."""

    at_most: Annotated[int, Field(ge=0)] | None = None
    """Upper bound, itself allowed."""
    at_least: Annotated[int, Field(ge=0)] | None = None
    """Lower bound, itself allowed."""
