"""Texts that a set of patterns cannot tell apart, and one text of each such class.

Every pattern is a small automaton over characters; all of them together run bit-parallel in one integer. A search
over what that integer can become finds, for each set of patterns that some text matches (and no other), a shortest
text that does: the classes are exact, not sampled.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import msgspec

from meshsim.policy.istio_match import TEMPLATE_CHARACTERS

MOST_STATES = 20_000
"""States of all patterns together that are looked at; a set of patterns with more is told as not exhausted."""

_OTHERS = string.ascii_lowercase + string.digits + string.ascii_uppercase + "-_~"
"""Characters of which one that no pattern names stands for all others."""

OTHER = "any other"
"""The class of what no policy names."""

_FOREIGN = '[]"<>^`{|}'
"""Characters of which one that no pattern names stands for all others that no template takes."""

_State = TypeVar("_State", bound=Hashable)


class Pattern(msgspec.Struct, frozen=True, order=True):
    """A text with wildcards: a sequence of pieces, each a character or one of the wildcards."""

    pieces: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The pattern for people: ``*`` for any characters, and a star that is one behind a backslash."""
        if not self.pieces:
            return "no text"
        words = "".join(_SHOWN.get(piece, piece.removeprefix(_CASELESS)) for piece in self.pieces)
        return f"{words} in any case" if any(piece.startswith(_CASELESS) for piece in self.pieces) else words

    @property
    def exact(self) -> bool:
        """Whether one text alone matches."""
        return all(len(piece) == 1 for piece in self.pieces)


ANY = "any"
"""Piece: any characters, none included."""
ONE = "one"
"""Piece: one character."""
SEGMENT = "segment"
"""Piece: one or more characters other than a slash."""
TEMPLATE_SEGMENT, TEMPLATE_REST = "template segment", "template rest"
"""Pieces: what ``{*}`` and ``{**}`` of a path template stand for, which is not every character."""
_SHOWN = {"*": "\\*", ANY: "*", ONE: "?", SEGMENT: "{*}", TEMPLATE_SEGMENT: "{*}", TEMPLATE_REST: "{**}"}
_CASELESS = "caseless "
"""Before a small letter: the piece that this letter matches, and the capital one."""
_TEMPLATES = (TEMPLATE_SEGMENT, TEMPLATE_REST)


def exactly(text: str) -> Pattern:
    """The pattern that this text alone matches."""
    return Pattern(tuple(text))


def glob(text: str, star: str = "*") -> Pattern:
    """The pattern in which each ``star`` stands for any characters."""
    pieces: list[str] = []
    for index, part in enumerate(text.split(star)):
        pieces += ([ANY] if index else []) + list(part)
    return Pattern(tuple(pieces))


def prefix(text: str) -> Pattern:
    """What begins like this."""
    return Pattern((*text, ANY))


def suffix(text: str) -> Pattern:
    """What ends like this."""
    return Pattern((ANY, *text))


def folded(pattern: Pattern) -> Pattern:
    """The pattern in which letters of ASCII match in either case."""
    letters = frozenset(string.ascii_letters)
    return Pattern(tuple(_CASELESS + one if one in letters else one for one in pattern.pieces))


def within(text: str) -> Pattern:
    """What holds this somewhere."""
    return Pattern((ANY, *text, ANY))


class TextClass(msgspec.Struct, frozen=True):
    """The texts that match exactly these patterns."""

    witness: str
    matched: tuple[Pattern, ...]

    @property
    def shown(self) -> str:
        """The class for people."""
        return class_words(self.matched)


def class_words(matched: Sequence[Pattern]) -> str:
    """A class for people: the text if it is but one, else every pattern that it matches; or none of them."""
    exact = next((one.shown for one in matched if one.exact), None)
    return exact or " and ".join(one.shown for one in matched) or OTHER


def text_classes(patterns: Iterable[Pattern], *, empty: bool = True) -> tuple[tuple[TextClass, ...], bool]:
    """The classes of all texts, or of all but the empty one, and whether all of them were found."""
    machine = Machine(tuple(sorted(set(patterns))), path=False)
    first, text = machine.first()
    found: dict[int, str] = {}
    reached, exhausted = shortest_texts(
        (first, empty),
        text,
        lambda at: ((character, (machine.step(at[0], character), True)) for character in machine.alphabet),
    )
    for (state, counts), so_far in reached:
        if counts:
            found.setdefault(state & machine.ends, so_far)
    classes = (TextClass(witness, machine.matched(ends)) for ends, witness in found.items())
    return tuple(sorted(classes, key=lambda one: (not one.matched, one.witness))), exhausted


def shortest_texts(
    start: _State, text: str, follow: Callable[[_State], Iterable[tuple[str, _State]]]
) -> tuple[list[tuple[_State, str]], bool]:
    """Every state that can be reached, with a shortest text that does; and whether there was room for all of them.

    ``text`` leads to the first one; ``follow`` says which characters lead on from one, and to which.
    """
    queue, seen = [(start, text)], {start}
    exhausted = True
    for state, so_far in queue:
        for character, after in follow(state):
            if after in seen:
                continue
            if len(seen) >= MOST_STATES:
                exhausted = False
                break
            seen.add(after)
            queue.append((after, so_far + character))
    return queue, exhausted


class Machine:
    """All patterns as one integer: bit ``offset + i`` is set when the first ``i`` pieces of a pattern have matched."""

    def __init__(self, patterns: Sequence[Pattern], *, path: bool) -> None:
        self.patterns = patterns
        pieces = {piece for pattern in patterns for piece in pattern.pieces}
        named = {piece for piece in pieces if len(piece) == 1}
        named |= {case for one in pieces if one.startswith(_CASELESS) for case in (one[-1], one[-1].upper())}
        if path or not pieces.isdisjoint((SEGMENT, *_TEMPLATES)):
            named.add("/")  # of segments it is no part
        other = self._other = next((character for character in _OTHERS if character not in named), "\u00b7")
        self._foreign = ""
        if any(piece in _TEMPLATES for pattern in patterns for piece in pattern.pieces):
            self._foreign = next((one for one in _FOREIGN if one not in named), "\u00b8")
        self.alphabet = (other, *sorted({*named, self._foreign} - {""}))
        """One character for all that no pattern names, one more for those that no template takes, and the named."""
        self._path = path
        self._kinds = {one: one for one in self.alphabet}
        self._advance = dict.fromkeys(self.alphabet, 0)
        self._stay = dict.fromkeys(self.alphabet, 0)
        self._skip = self.ends = self._starts = 0
        self._end_bits: list[int] = []
        offset = 0
        for pattern in patterns:
            self._starts |= 1 << offset
            for piece in pattern.pieces:
                offset = self._lay(piece, offset)
            self._end_bits.append(1 << offset)
            self.ends |= 1 << offset
            offset += 1

    def _lay(self, piece: str, offset: int) -> int:
        """Lay down the transitions of one piece; return the offset behind it."""
        bit = 1 << offset
        if len(piece) == 1:
            self._advance[piece] |= bit
            return offset + 1
        if piece.startswith(_CASELESS):
            self._advance[piece[-1]] |= bit
            self._advance[piece[-1].upper()] |= bit
            return offset + 1
        if piece in (ANY, TEMPLATE_REST):
            self._skip |= bit
        for character in self.alphabet:
            if piece == ANY or (piece == TEMPLATE_REST and (character in TEMPLATE_CHARACTERS or character == "/")):
                self._stay[character] |= bit
            elif piece == ONE:
                self._advance[character] |= bit
            elif character in TEMPLATE_CHARACTERS or (piece == SEGMENT and character != "/"):
                # the segment's first character leads on, and whoever is behind it may stay there
                self._advance[character] |= bit
                self._stay[character] |= bit << 1
        if piece in (SEGMENT, TEMPLATE_SEGMENT):
            self._skip |= bit << 1
            return offset + 2
        return offset + 1

    def first(self) -> tuple[int, str]:
        """The state before anything was read, and what a path has read by then."""
        state = self._closed(self._starts)
        return (self.step(state, "/"), "/") if self._path else (state, "")

    def kind(self, character: str) -> str:
        """The character of the alphabet that stands for one."""
        known = self._kinds.get(character)
        if known is None:
            outside = self._foreign and character not in TEMPLATE_CHARACTERS
            known = self._kinds[character] = self._foreign if outside else self._other
        return known

    def step(self, state: int, character: str) -> int:
        """The state after one more character."""
        known = self.kind(character)
        return self._closed(((state & self._advance[known]) << 1) | (state & self._stay[known]))

    def ends_of(self, text: str) -> int:
        """The ends that a whole text reaches."""
        state = self._closed(self._starts)
        for character in text:
            state = self.step(state, character)
        return state & self.ends

    def _closed(self, state: int) -> int:
        while True:
            more = state | ((state & self._skip) << 1)
            if more == state:
                return state
            state = more

    def matched(self, ends: int) -> tuple[Pattern, ...]:
        """The patterns whose end is among these bits."""
        return tuple(pattern for pattern, bit in zip(self.patterns, self._end_bits, strict=True) if ends & bit)
