"""Patterns of what Rego policies compare texts with otherwise than as they stand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import Final

from meshsim.inquiry.patterns import ANY, SEGMENT, Pattern, exactly, prefix, suffix, within

MOST_STARS: Final = 4
"""Stars of one glob, each of which may stand for nothing or for something."""
_UNKNOWN: Final = frozenset("?[]{}!\\")
"""Characters of a glob that mean something which is not followed here."""


def stars_of(glob: str) -> list[tuple[str, ...]]:
    """What the stars of a glob can stand for, together all that it matches; empty if that is not followed.

    The first one stands for any characters, which a glob with one delimiter does not take.
    """
    count = glob.replace("**", "").count("*")
    if count > MOST_STARS or not _UNKNOWN.isdisjoint(glob):
        return []
    return [(ANY,) * count, *product((SEGMENT, ""), repeat=count)]


def globbed(text: str, stars: Sequence[str]) -> Pattern:
    """The pattern in which each star stands for one of these pieces, an empty one for nothing."""
    pieces: list[str] = []
    of_stars = iter(stars)
    for piece in re.findall(r"\*\*|.", text, re.DOTALL):
        star = next(of_stars) if piece == "*" else ""
        pieces += [ANY] if piece == "**" else [star] if star else [piece] if piece != "*" else []
    return Pattern(tuple(pieces))


def segments(text: str) -> list[Pattern]:
    """Paths with a segment that reads ``text``."""
    return [exactly(f"/{text}"), prefix(f"/{text}/"), suffix(f"/{text}"), within(f"/{text}/")]
