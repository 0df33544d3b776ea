"""Regular expressions as Envoy has them: RE2, which takes linear time whatever an author writes."""

from __future__ import annotations

from functools import lru_cache

MOST_CHARACTERS = 1024
"""Longest regular expression that Istio takes."""


def problem(pattern: str) -> str | None:
    """What is wrong with a regular expression, in RE2's words; None if nothing is."""
    from pyarrow import ArrowInvalid  # loaded only where an expression is used

    if len(pattern) > MOST_CHARACTERS:
        return f"it has {len(pattern)} characters, at most {MOST_CHARACTERS} are allowed"
    try:
        _search(pattern, "")  # by itself: brackets that close others' would go unnoticed in an expression around it
        full_match(pattern, "")
    except ArrowInvalid as error:
        return str(error).rpartition("Invalid regular expression: ")[2] or str(error)
    return None


@lru_cache(maxsize=4096)
def full_match(pattern: str, text: str) -> bool:
    """Whether the expression describes the text as a whole. Raises ArrowInvalid if it is none."""
    return _search(rf"\A(?:{pattern})\z", text)


def _search(pattern: str, text: str) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    return bool(pc.match_substring_regex(pa.scalar(text), pattern=pattern).as_py())
