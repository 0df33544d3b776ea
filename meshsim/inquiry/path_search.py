"""Every way in which a raw path can look to two sides that normalise it differently: a search that misses none.

One side (the observer) reads a text from left to right. The other one (the walker) reads segments, and takes the last
one back at ``..``. What is taken back leaves nothing to the walker but has moved the observer on: that is a detour
(:mod:`meshsim.inquiry.path_detours`). The walker's path is read as what remains of it in the end, and wherever a
segment of that begins, the observer may first have gone by any detour. So no stack is needed, and no depth is a bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final

import msgspec

from meshsim.inquiry.path_tokens import (
    BAD,
    DECODED,
    KEPT,
    NOTHING_HELD,
    NUL,
    SEPARATOR,
    Held,
    Tape,
    TapeState,
    Token,
    follow,
)

if TYPE_CHECKING:
    from meshsim.inquiry.path_detours import DetourFinder

MOST_PLACES = 150_000
"""Places that one search looks at; one that would need more is told as not exhausted."""

SLASH: Final = "/"
TEXT: Final = "text"
_HIDDEN: Final = {"/.": "hidden .", "/..": "hidden .."}
_PARAMETERS: Final = frozenset(_HIDDEN.values())
"""Behind the semicolon of a dot segment: parameters, which the walker leaves out."""
DOTS: Final = {"/.": 1, "/..": 2, "\\.": 1, "\\..": 2, "hidden .": 1, "hidden ..": 2}
"""Shapes of segments that are dots → how many. Behind a slash, and not written as escapes, they may have parameters."""
_DOUBLED: Final = 100
"""What slashes without anything between them cost beside other characters."""


class Corner(msgspec.Struct, frozen=True):
    """Where a segment begins."""

    seen: TapeState
    """What the observer makes of what lies before."""
    after: str = SLASH
    """The slash or backslash before it."""
    first: bool = False
    """Whether it is the first one of what the observer takes for one segment."""


class Place(msgspec.Struct, frozen=True):
    """Within a segment."""

    seen: TapeState
    walked: TapeState | None
    """What the walker makes of what lies before; None: it is no matter."""
    shape: str
    """The slash before it with the dots that it is made of, ``text`` for any other, or that parameters are hidden."""
    held: Held = NOTHING_HELD
    first: bool = False


class Turn(msgspec.Struct, frozen=True):
    """Where a kept segment is behind the walker: the next corner, or the end of the path where there is none."""

    corner: Corner | None
    seen: TapeState
    walked: TapeState | None
    dots: int
    """Of the segment; 0: it is text."""


Route = tuple[int, str]
"""What a text costs, and the text."""


_Row = tuple[Route, str, str, str, Held]
"""What a token does: its route, what the observer and the walker read, the shape and what is held behind it."""


class Steps:
    """What leads on within a segment, for an observer and a walker."""

    def __init__(self, tape: Tape, walker: Tape, tokens: Sequence[Token], *, written: bool) -> None:
        self.tape, self.walker = tape, walker
        self.written = written
        """Whether the observer reads what normalisation writes, of a segment in which the walker finds several."""
        self._nested = any(one.kind == DECODED and one.written != "." for one in tokens)
        self._rows: dict[tuple[str, Held, bool, bool], list[_Row]] = {}
        self._separators = [one for one in tokens if one.kind == SEPARATOR and (len(one.raw) > 1 or not written)]
        self._tokens = [one for one in tokens if one.kind not in (SEPARATOR, BAD)]
        self._hiding = [
            *(one for one in self._tokens if one.kind != NUL or not written),
            *(Token(one.raw, one.raw, KEPT) for one in self._separators if one.written != SLASH),
        ]

    def within(self, at: Place) -> Iterator[tuple[Route, Place]]:
        """Where one more token leads."""
        key = (at.shape, at.held, at.first, at.walked is None)
        rows = self._rows.get(key)
        if rows is None:
            rows = self._rows[key] = list(self._every(at))
        walks = at.walked is not None and at.shape not in _PARAMETERS
        for route, read, text, shape, held in rows:
            walked = self.walker.step(at.walked, text) if walks and at.walked is not None else at.walked
            yield route, Place(self.tape.step(at.seen, read), walked, shape, held, at.first)

    def _every(self, at: Place) -> Iterator[_Row]:
        """What every token does within a segment of the shape."""
        hidden = at.shape in _PARAMETERS
        for token in self._hiding if hidden else self._tokens:
            shape = at.shape if hidden else self._shape(at, token)
            followed = follow(at.held, token, nested=self._nested)
            if shape and followed is not None:
                text, held = followed
                if at.walked is None and not self.written:
                    held = Held(digits=held.digits)  # what is written is no matter
                yield (token.cost, token.raw), text if self.written else token.raw, text, shape, held

    def _shape(self, at: Place, token: Token) -> str:
        """The shape of a segment after one more token; empty if it cannot go on like this."""
        if token.kind == NUL:
            return ""
        shape = at.shape
        if shape in _HIDDEN and token.raw == ";":
            # A walker that keeps the segment finds none there, and an observer of the first one hides it too.
            return "" if at.walked is not None or (self.written and at.first) else _HIDDEN[shape]
        if shape == TEXT or token.written != "." or shape.endswith(".."):
            return TEXT
        return f"{shape if token.kind != DECODED else shape.replace(SLASH, chr(92))}."

    def turns(self, at: Place) -> Iterator[tuple[Route, Turn]]:
        """How the segment can end here."""
        dots = DOTS.get(at.shape, 0)
        if dots and at.walked is not None:
            return
        hidden = at.shape in _PARAMETERS
        kept = None if at.walked is None else self.walker.step(at.walked, at.held.text)
        for token in self._separators:
            if hidden and token.written != SLASH:
                continue
            seen = self.tape.step(at.seen, at.held.text + token.raw if self.written else token.raw)
            cost = 1 if token.raw == SLASH else token.cost
            cost += _DOUBLED if at.shape in ("/", "\\") else 0
            walked = None if kept is None else self.walker.step(kept, SLASH)
            yield (cost, token.raw), Turn(Corner(seen, token.written), seen, walked, dots)
        if not (dots and self.written and at.first):  # such a segment the observer would take back
            seen = self.tape.step(at.seen, at.held.text) if self.written else at.seen
            yield (0, ""), Turn(None, seen, kept, dots)


def refused(steps: Steps, tokens: Sequence[Token]) -> dict[TapeState, str]:
    """What an observer of the raw path sees of those that the walker's side answers with status 400."""
    order = count()
    start = Place(steps.tape.start, None, SLASH)
    # That it is refused is noted where otherwise the first segment is.
    queue: list[tuple[int, int, str, Place]] = [(0, next(order), SLASH, start)]
    done: set[Place] = set()
    found: dict[TapeState, str] = {}
    while queue:
        cost, _, text, at = heappop(queue)
        if at in done:
            continue
        done.add(at)
        onward = [*steps.within(at)]
        for (more, raw), turn in steps.turns(at):
            if turn.corner is not None:
                onward.append(((more, raw), Place(turn.seen, None, turn.corner.after, first=at.first)))
            elif at.first:
                found.setdefault(turn.seen, text)
        for token in tokens:
            if token.kind == BAD or (token.kind == NUL and at.shape not in _PARAMETERS):
                shape = at.shape if at.shape in _PARAMETERS else TEXT
                seen = steps.tape.step(at.seen, token.raw)
                onward.append(((token.cost, token.raw), Place(seen, None, shape, first=True)))
        for (more, raw), after in onward:
            if after not in done:
                heappush(queue, (cost + more, next(order), text + raw, after))
    return found


Found = dict[tuple[TapeState, TapeState], str]
"""What the observer and the walker make of a path → such a path."""


def search(
    steps: Steps,
    starts: Iterable[tuple[Corner, TapeState, str]],
    detours: DetourFinder | None,
) -> tuple[Found, Found, bool]:
    """Paths to every end, and to every corner, that can be reached; and whether there was room to find all of them.

    Starts are corners with what the walker makes of them and a path that leads there; detours from them are taken.
    """
    order = count()
    queue: list[tuple[int, int, str, Place | Turn]] = []
    for corner, walked, text in starts:
        heappush(
            queue, (10 * len(text), next(order), text, Place(corner.seen, walked, corner.after, first=corner.first))
        )
    done: set[Place | Turn] = set()
    ends: Found = {}
    corners: Found = {}
    while queue:
        cost, _, text, at = heappop(queue)
        if at in done:
            continue
        if len(done) >= MOST_PLACES:
            return ends, corners, False
        done.add(at)
        onward: list[tuple[Route, Place | Turn]] = []
        if isinstance(at, Place):
            onward = [*steps.within(at), *steps.turns(at)]
        else:
            assert at.walked is not None, "what the walker does not follow is a detour"
            found = ends if at.corner is None else corners
            found.setdefault((at.seen, at.walked), text)
            if at.corner is not None:
                onward = list(_from(at.corner, at.walked, detours))
        for (more, raw), after in onward:
            if after not in done:
                heappush(queue, (cost + more, next(order), text + raw, after))
    return ends, corners, True


def _from(corner: Corner, walked: TapeState, detours: DetourFinder | None) -> Iterator[tuple[Route, Place | Turn]]:
    if detours is None:
        yield (0, ""), Place(corner.seen, walked, corner.after, first=corner.first)
        return
    for after, text in detours.corners(corner).items():
        yield (10 * len(text), text), Place(after.seen, walked, after.after, first=after.first)
    for seen, text in detours.ends(corner).items():
        yield (10 * len(text), text), Turn(None, seen, walked, 0)
