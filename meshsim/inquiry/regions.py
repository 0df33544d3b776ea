"""Sets of combinations in few words: unions of boxes, each a few values of a few dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from meshsim.inquiry.dimension import Dimension

Box = dict[str, tuple[str, ...]]
"""Dimension → the values that it holds, as they are shown; a dimension that holds all of them is left out."""


class Region(msgspec.Struct, frozen=True):
    """A set of combinations."""

    boxes: tuple[Box, ...]
    """They do not overlap; one empty box is everything, none is nothing."""


def region(dimensions: Sequence[Dimension], inside: Sequence[bool]) -> Region:
    """Describe the combinations that are ``inside``, given in the order of their product."""
    return Region(tuple(_boxes(tuple(dimensions), tuple(inside))))


def _boxes(dimensions: tuple[Dimension, ...], inside: tuple[bool, ...]) -> list[Box]:
    if not any(inside):
        return []
    if all(inside):
        return [{}]
    first, rest = dimensions[0], dimensions[1:]
    size = len(inside) // len(first.values)
    alike: dict[tuple[bool, ...], list[str]] = {}
    for index, value in enumerate(first.values):
        alike.setdefault(inside[index * size : (index + 1) * size], []).append(value.shown)
    found: list[Box] = []
    for part, values in alike.items():
        own: Box = {first.name: tuple(values)} if len(values) < len(first.values) else {}
        found += [{**own, **box} for box in _boxes(rest, part)]
    return found
