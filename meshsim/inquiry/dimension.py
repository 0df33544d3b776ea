"""An attribute that policies read, and the classes of its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from meshsim.inquiry.patterns import Pattern, TextClass

NO_CLAIM: Final = "no claim"
MISSING: Final = "missing"
"""The class of requests without a header field."""
TOKEN_AT: Final = "token_at"
"""The dimension of where a token is."""
OWN: Final = "\0own"
"""In place of a value that is left out, so that each side of a comparison has its own."""
AS_IT_IS: Final = "as each side has it"
MOST_TOGETHER: Final = 32
"""Sets of patterns that several values of one attribute match together."""


class Value(msgspec.Struct, frozen=True):
    """One class of values of an attribute."""

    shown: str
    """The class for people."""
    witness: Any
    """A value of it; None for a header field or claim that is not there; several of a header field in a tuple."""
    matched: tuple[str, ...] = ()
    """Of text: the patterns that it matches, as they are shown."""


class Dimension(msgspec.Struct, frozen=True):
    """An attribute that policies read, and its classes."""

    name: str
    """An attribute of a question, ``header NAME`` or ``claim NAME``."""
    values: tuple[Value, ...]
    path: tuple[str, ...] = ()
    """Of a claim: the names that lead to it."""


def matching_together(classes: Sequence[TextClass]) -> tuple[list[tuple[TextClass, ...]], bool]:
    """Classes that match, together, what no class does alone; a few of each kind; and whether these are all."""
    single = [one for one in classes if one.matched]
    seen = {frozenset(one.matched) for one in single}
    queue: list[tuple[tuple[TextClass, ...], frozenset[Pattern]]] = [((one,), frozenset(one.matched)) for one in single]
    found: list[tuple[TextClass, ...]] = []
    for each, matched in queue:
        for one in single:
            both = matched.union(one.matched)
            if both not in seen:
                if len(found) == MOST_TOGETHER:
                    return found, False
                seen.add(both)
                queue.append(((*each, one), both))
                found.append((*each, one))
    return found, True
