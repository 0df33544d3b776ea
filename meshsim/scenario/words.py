"""The words that diagnostics share: how values are shown, how names are suggested."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

LONGEST_LIST = 80
"""Characters after which a list of choices in a message is cut."""


MOST_COMPARED = 200
"""Known words that a mistyped one is compared with."""


def show(value: Any) -> str:
    """A value as a message shows it: short, on one line, printable."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return shorten(str(value), 24)
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:39] + "…")
    return "a mapping" if isinstance(value, dict) else "a list"


def shorten(text: str, most: int) -> str:
    """The first ``most`` characters on one line, the last one an ellipsis if there were more."""
    text = "".join(character if character.isprintable() else " " for character in text[: most + 1])
    return text if len(text) <= most else text[: most - 1] + "…"


def nearest(word: object, known: Iterable[str]) -> list[str]:
    """The known words that ``word`` was probably meant to be: the likeliest, and up to two that are as likely."""
    text = str(word)
    if len(text) > 64:  # nobody mistypes that much, and comparing costs the product of the lengths
        return []
    candidates = list(known)
    plain = folded(text)
    for candidate in candidates:
        if folded(candidate) == plain:
            return [candidate]
    if len(candidates) > MOST_COMPARED:
        candidates = [candidate for candidate in candidates if candidate[:2] == text[:2]][:MOST_COMPARED]
    near = difflib.get_close_matches(text, candidates, 3, 0.6)
    if not near and len(text) > 2:  # a part of a longer word, as p95 is of latency_p95
        parts = [candidate for candidate in candidates if plain in folded(candidate).split("-")]
        return sorted(parts) if len(parts) <= 3 else []
    likeness = [difflib.SequenceMatcher(None, candidate, text).ratio() for candidate in near]
    return sorted(candidate for candidate, ratio in zip(near, likeness, strict=True) if ratio == likeness[0])


def folded(text: str) -> str:
    """A word without what is easily confused: case, underscores, spaces."""
    return text.lower().replace("_", "-").replace(" ", "-")


def expected(word: object, known: Sequence[str], nothing: str = "there is none") -> str:
    """The second half of a message about an unknown word: the likely ones, or the known ones."""
    near = nearest(word, known)
    if near:
        return f"did you mean {one_of([repr(candidate) for candidate in near])}?"
    if not known:
        return nothing
    return f"expected {one_of(known)}"


def one_of(known: Sequence[str]) -> str:
    """``a, b or c``, cut after a few when there are many."""
    if len(known) == 1:
        return known[0]
    listed: list[str] = []
    for word in known:
        if sum(map(len, listed)) + 2 * len(listed) + len(word) > LONGEST_LIST:
            return f"one of {', '.join(listed)} and {len(known) - len(listed)} more"
        listed.append(shorten(word, 40))
    return f"{', '.join(listed[:-1])} or {listed[-1]}"
