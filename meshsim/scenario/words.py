"""The words that diagnostics share: how values are shown, how names are suggested."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

LONGEST_MESSAGE = 160
"""Characters after which a list of choices in a message is cut."""


def show(value: Any) -> str:
    """A value as a message shows it: short, on one line, printable."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return shorten(str(value), 24)
    if isinstance(value, str):
        return repr(shorten(value, 40))
    return "a mapping" if isinstance(value, dict) else "a list"


def shorten(text: str, most: int) -> str:
    """The first ``most`` characters, the last one an ellipsis if there were more."""
    return text if len(text) <= most else text[: most - 1] + "…"


def nearest(word: object, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was probably meant to be."""
    text = str(word)
    if len(text) > 64:  # nobody mistypes that much, and comparing costs the product of the lengths
        return None
    candidates = list(known)
    folded = text.lower().replace("_", "-").replace(" ", "-")
    for candidate in candidates:
        if candidate.lower().replace("_", "-") == folded:
            return candidate
    near = difflib.get_close_matches(text, candidates, 1, 0.6)
    return near[0] if near else None


def expected(word: object, known: Sequence[str], nothing: str = "there is none") -> str:
    """The second half of a message about an unknown word: the likely one, or the known ones."""
    near = nearest(word, known)
    if near is not None:
        return f"did you mean {near!r}?"
    if not known:
        return nothing
    return f"expected {one_of(known)}"


def one_of(known: Sequence[str]) -> str:
    """``a, b or c``, cut after a few when there are many."""
    if len(known) == 1:
        return repr(known[0])
    listed: list[str] = []
    for word in known:
        if sum(map(len, listed)) + 2 * len(listed) + len(word) > 90:
            return f"one of {', '.join(listed)} and {len(known) - len(listed)} more"
        listed.append(word)
    return f"{', '.join(listed[:-1])} or {listed[-1]}"
