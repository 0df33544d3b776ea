"""What a raw path is written with, and what becomes of it while it is read from left to right.

A token is a character or an escape. Of all tokens that patterns take alike and that normalisation treats alike, one
stands for all: so there are few, and still every raw path is, to everybody, like one that is made of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from string import hexdigits
from typing import Final, Literal

import msgspec

from meshsim.inquiry.patterns import Machine
from meshsim.policy.istio_path import BAD_CHARACTER, ESCAPED, UNESCAPED

Kind = Literal["plain", "bare", "decoded", "kept", "nul", "separator", "bad"]
"""A character; a percent sign that begins no escape; an escape that is decoded, or kept; of NUL; what parts segments;
and a character for which the path is refused."""
PLAIN: Final = "plain"
BARE: Final = "bare"
DECODED: Final = "decoded"
KEPT: Final = "kept"
NUL: Final = "nul"
SEPARATOR: Final = "separator"
BAD: Final = "bad"

_ORDER: Final = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_~"
_RAW: Final = (*_ORDER, *(chr(code) for code in range(33, 127) if chr(code) not in f"{_ORDER}%/\\#?"), *"# \té")
"""Characters of paths as they are written, those first that are easily read; a path ends where its query begins."""
_STRUCTURE: Final = frozenset(".;\\/%")

TapeState = int
"""Number of a state of a tape."""
_MOST_STATES: Final = 2_000
"""States of a tape up to which tokens are told apart by what they do to each."""
_PLAIN_END, _SLASH_END, _ROOT, _SLASHES = range(4)


class Token(msgspec.Struct, frozen=True):
    """A piece of a raw path."""

    raw: str
    written: str
    """What normalisation makes of it, as a rule; of what parts segments, the character that it counts for."""
    kind: Kind

    @property
    def hexadecimal(self) -> bool:
        """Whether it goes on with an escape that a percent sign before it began."""
        return self.raw in hexdigits

    @property
    def cost(self) -> int:
        """How unusual it is: witnesses are made of what is cheap."""
        return 1 if self.kind == PLAIN and self.raw != "\\" else 10 * len(self.raw)


class Tape:
    """Machines that read the same text, some of them with the slashes merged; states are numbered as they are met."""

    def __init__(self, views: Sequence[tuple[Machine, bool]]) -> None:
        self.machines = [machine for machine, _ in views]
        self._merging = [merging for _, merging in views]
        self._merges = any(self._merging)
        first = (*(machine.first()[0] for machine in self.machines), _ROOT if self._merges else _PLAIN_END)
        self._states: list[tuple[int, ...]] = [first]
        """What each machine makes of the text so far, and how it ends: with a slash, or of slashes alone."""
        self._numbers = {first: self.start}
        self._steps: list[dict[str, int]] = [{}]
        self._complete = False

    start: Final = 0
    """The state after the first slash."""

    def step(self, state: int, text: str) -> int:
        """The state after more text."""
        for character in text:
            after = self._steps[state].get(character)
            state = self._new(state, character) if after is None else after
        return state

    def _new(self, state: int, character: str) -> int:
        """Number the state after one more character."""
        each = self._after(self._states[state], character)
        after = self._numbers.setdefault(each, len(self._states))
        if after == len(self._states):
            self._states.append(each)
            self._steps.append({})
        self._steps[state][character] = after
        return after

    def effect(self, text: str) -> tuple[int, ...]:
        """Where a text leads from every state: two texts with one effect are alike. Raises OverflowError."""
        if not self._complete:
            characters = {character for machine in self.machines for character in machine.alphabet}
            for state, _ in enumerate(self._states):  # which grows meanwhile
                for character in sorted(characters):
                    self.step(state, character)
                if len(self._states) > _MOST_STATES:
                    raise OverflowError
            self._complete = True
        return tuple(self.step(state, text) for state in range(len(self._states)))

    def _after(self, state: tuple[int, ...], character: str) -> tuple[int, ...]:
        *each, tail = state
        again = character == "/" and tail != _PLAIN_END
        stepped = [
            one if merging and again else machine.step(one, character)
            for one, machine, merging in zip(each, self.machines, self._merging, strict=True)
        ]
        after = _PLAIN_END
        if self._merges and character == "/":
            after = _SLASHES if tail in (_ROOT, _SLASHES) else _SLASH_END
        return (*stepped, after)

    def ends(self, state: int) -> tuple[int, ...]:
        """What each machine has matched if the text ends here; of slashes alone, merging leaves two."""
        *each, tail = self._states[state]
        return tuple(
            machine.ends_of("//") if merging and tail == _SLASHES else one & machine.ends
            for one, machine, merging in zip(each, self.machines, self._merging, strict=True)
        )


def tokens_of(tapes: Sequence[Tape], *, decoding: bool, bad: bool = False, raw: bool = True) -> list[Token]:
    """A token for each that some tape or normalisation tells from others; ``bad``: those too that are refused.

    ``raw``: whether some tape reads the raw path. Where none does, nothing is written with an escape that is decoded
    or behind a backslash that could not be written without, but for dots that are no segment.
    """
    machines = [machine for tape in tapes for machine in tape.machines]
    named = {character for machine in machines for character in machine.alphabet} - {*_RAW, *_STRUCTURE, "?"}
    found: dict[object, Token] = {}
    for token in _every(sorted(named), decoding=decoding):
        if (token.kind != BAD or bad) and (raw or not _another(token)):
            kinds = [tuple(map(machine.kind, text)) for machine in machines for text in (token.raw, token.written)]
            found.setdefault((_shape(token), *kinds), token)
    try:
        return list({(_shape(one), *_effects(tapes, one)): one for one in reversed(found.values())}.values())[::-1]
    except OverflowError:
        return list(found.values())


def _another(token: Token) -> bool:
    """Whether it is but another way to write something."""
    return token.raw == "\\" or (token.kind == DECODED and token.written != ".")


def _shape(token: Token) -> tuple[object, ...]:
    """What normalisation tells one token from another by."""
    single = token.written if len(token.written) == 1 else ""
    digit = bool(single) and single in hexdigits
    return token.kind, token.hexadecimal, digit, single in _STRUCTURE and single, bool(single)


def _effects(tapes: Sequence[Tape], token: Token) -> Iterator[tuple[int, ...]]:
    for tape in tapes:
        yield tape.effect(token.raw)
        yield tape.effect(token.written)


def _every(named: Sequence[str], *, decoding: bool) -> Iterator[Token]:
    for character in (*_RAW, *named):
        if BAD_CHARACTER.search(character):
            yield Token(character, character, BAD)
        else:
            yield Token(character, f"%{ord(character):02X}" if character in ESCAPED else character, PLAIN)
    yield Token("/", "/", SEPARATOR)
    yield Token("\\", "\\", SEPARATOR)
    yield Token("%", "%", BARE)
    for high, low in product(hexdigits, repeat=2):
        raw, meant = f"%{high}{low}", chr(int(high + low, 16))
        if meant == "\0":
            yield Token(raw, raw, NUL)
        elif decoding and meant in "/\\":
            yield Token(raw, meant, SEPARATOR)
        elif meant in UNESCAPED:
            yield Token(raw, meant, DECODED)
        else:
            yield Token(raw, raw, KEPT)


class Held(msgspec.Struct, frozen=True):
    """What of a segment is read and not yet written, since it depends on what follows."""

    text: str = ""
    """A percent sign that begins no escape, alone or with a character behind it."""
    waiting: bool = False
    """Whether that character was an escape, so that a hexadecimal digit behind it would make another one."""
    digits: int = 0
    """Characters behind such a percent sign in the raw path, if they could be digits: 1 for none, 2 for one."""


NOTHING_HELD: Final = Held()


def follow(held: Held, token: Token, *, nested: bool) -> tuple[str, Held] | None:
    """What is written once a token is read, and what is held then; None where the token would be part of an escape.

    A percent sign that begins no escape is encoded where an escape behind it is decoded to what would make it one
    (Chromium's check for nested escapes). ``nested``: whether tokens are such escapes.
    """
    if held.digits == 2 and token.hexadecimal:
        return None
    digits = 1 if token.kind == BARE else 2 if held.digits == 1 and token.hexadecimal else 0
    if not nested:
        return token.written, Held(digits=digits)
    text, done = held.text, ""
    if held.waiting and token.hexadecimal:
        text, done = "", f"%25{text[1]}"
    new = token.written
    if token.kind == BARE:
        return done + text, Held("%", False, digits)
    if token.kind == DECODED and text == "%":
        return done, Held(text + new, new in hexdigits, digits)
    if text == "%" and len(new) == 1:
        return done, Held(text + new, False, digits)
    if token.kind == DECODED and len(text) == 2 and text[1] in hexdigits and new in hexdigits:
        return f"{done}%25{text[1]}{new}", Held(digits=digits)
    return done + text + new, Held(digits=digits)
