"""Classes of texts that patterns cannot tell apart."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from meshsim.inquiry.patterns import (
    ANY,
    ONE,
    SEGMENT,
    TEMPLATE_REST,
    TEMPLATE_SEGMENT,
    Pattern,
    exactly,
    glob,
    prefix,
    suffix,
    text_classes,
    within,
)

TEXTS = st.text("ab/", max_size=4)
PATTERNS = st.lists(
    st.one_of(
        TEXTS.map(exactly),
        TEXTS.map(prefix),
        TEXTS.map(suffix),
        TEXTS.map(within),
        st.lists(st.sampled_from(["a", "/", ANY, ONE, SEGMENT, TEMPLATE_SEGMENT, TEMPLATE_REST]), max_size=4).map(
            lambda pieces: Pattern(tuple(pieces))
        ),
    ),
    max_size=4,
)


def matches(pattern: Pattern, text: str) -> bool:
    """Whether the text matches, by Python's regular expressions."""
    taken = "[a-zA-Z0-9._~%!$&'()*+,;:=@-]"
    words = {ANY: "[^\\n]*", ONE: "[^\\n]", SEGMENT: "[^/\\n]+", TEMPLATE_SEGMENT: f"{taken}+"}
    words[TEMPLATE_REST] = f"({taken}|/)*"
    return re.fullmatch("".join(words.get(piece, re.escape(piece)) for piece in pattern.pieces), text) is not None


def test_exact_texts_and_the_rest() -> None:
    """Each text that is named is a class of its own, and everything else is one more."""
    classes, exhausted = text_classes([exactly("/a"), exactly("/b")])
    assert exhausted
    assert [(one.witness, one.shown) for one in classes] == [("/a", "/a"), ("/b", "/b"), ("", "any other")]


def test_patterns_that_overlap() -> None:
    """What matches two patterns is told apart from what matches one."""
    classes, _ = text_classes([prefix("/plans/"), glob("*.json")])
    assert sorted(sorted(pattern.shown for pattern in one.matched) for one in classes) == [
        [],
        ["*.json"],
        ["*.json", "/plans/*"],
        ["/plans/*"],
    ]


def test_too_many_states_are_told() -> None:
    """Patterns whose combinations cannot all be looked at are said to be not exhausted."""
    many = [within("".join("ab"[number >> bit & 1] for bit in range(10)) + "x") for number in range(1, 1024, 7)]
    assert not text_classes([*many, *(glob(f"*{a}*{b}*{c}*") for a in "abc" for b in "def" for c in "ghi")])[1]


@given(PATTERNS)
def test_witnesses_match_what_they_stand_for(patterns: list[Pattern]) -> None:
    """A witness matches the patterns of its class and no others."""
    classes, exhausted = text_classes(patterns)
    assert exhausted
    for one in classes:
        assert {pattern for pattern in patterns if matches(pattern, one.witness)} == set(one.matched)


@given(PATTERNS, st.text("ab/c[", max_size=6))
@example([exactly(""), Pattern((SEGMENT,))], "/")
@example([Pattern((TEMPLATE_REST,)), exactly("/")], "/")
@example([Pattern((TEMPLATE_REST,))], "[")
@example([Pattern((SEGMENT,)), Pattern((TEMPLATE_SEGMENT,))], "[")
def test_every_text_is_in_a_class(patterns: list[Pattern], text: str) -> None:
    """Whatever a text matches, some class matches just that."""
    classes, _ = text_classes(patterns)
    assert {pattern for pattern in patterns if matches(pattern, text)} in [set(one.matched) for one in classes]


@given(PATTERNS, st.text("ab/c[", min_size=1, max_size=6))
def test_every_text_is_in_a_class_without_the_empty_one(patterns: list[Pattern], text: str) -> None:
    """Where no text is empty, no witness is, and still whatever a text matches, some class matches just that."""
    classes, _ = text_classes(patterns, empty=False)
    assert all(one.witness for one in classes)
    assert {pattern for pattern in patterns if matches(pattern, text)} in [set(one.matched) for one in classes]
