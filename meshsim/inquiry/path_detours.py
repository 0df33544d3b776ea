"""Detours: what a raw path can hold that leaves nothing to the side that takes segments back at ``..``.

A detour is a sequence of ``./`` and of ``segment/ detour ../``: balanced, like brackets. From which corner of the
observer one leads to which is found as summaries of pushdown systems are: by rounds, until nothing is new.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count

import msgspec

from meshsim.inquiry.path_search import Corner, Place, Steps
from meshsim.inquiry.path_tokens import TapeState

TEXT, ONE_DOT, TWO_DOTS = range(3)
Fallen = tuple[str, int]
"""A text, and how often it takes back what lies below where it begins."""
Texts = dict[int, str]
"""Number of a corner → a text that leads there."""


class _Blind(msgspec.Struct, frozen=True):
    """Where one segment leads from a corner, whatever the walker makes of it, by the dots that it is."""

    corners: tuple[Texts, Texts, Texts]
    ends: tuple[dict[TapeState, str], dict[TapeState, str], dict[TapeState, str]]


class DetourFinder:
    """Finds where detours lead from corners."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._corners: list[Corner] = []
        self._numbers: dict[Corner, int] = {}
        self._blind: list[_Blind] = []
        self._there: list[Texts] = []
        """From each corner: where detours lead."""
        self._back: list[Texts] = []
        """Where a detour leads that ends with the segment before the corner taken back."""
        self._over: list[Texts] = []
        """Where one segment that is taken back leads, detours within it included."""
        self._settled = 0
        self._ends: dict[int, dict[TapeState, str]] = {}

    def corners(self, corner: Corner) -> dict[Corner, str]:
        """Where detours lead from a corner, with a text each; the corner itself is among them."""
        number = self._known(corner)
        return {self._corners[one]: text for one, text in self._there[number].items()}

    def ends(self, corner: Corner) -> dict[TapeState, str]:
        """What is seen of paths that end with a detour from a corner."""
        number = self._known(corner)
        if number not in self._ends:
            found: dict[TapeState, str] = {}
            for one, text in sorted(self._there[number].items(), key=lambda item: len(item[1])):
                blind = self._blind[one]
                for seen, more in blind.ends[ONE_DOT].items():
                    found.setdefault(seen, text + more)
                for inner, into in blind.corners[TEXT].items():
                    for last, around in self._there[inner].items():
                        for seen, more in self._blind[last].ends[TWO_DOTS].items():
                            found.setdefault(seen, text + into + around + more)
            self._ends[number] = found
        return self._ends[number]

    def at_floor(self, corner: Corner) -> tuple[dict[Corner, Fallen], dict[TapeState, Fallen]]:
        """The same, where nothing kept lies below the corner, so that ``..`` leads on: corners and ends."""
        fallen: dict[int, Fallen] = {self._known(corner): ("", 0)}
        queue = list(fallen)
        ends: dict[TapeState, Fallen] = {}
        for number in queue:
            begun, times = fallen[number]
            for through, text in self._there[number].items():
                blind = self._blind[through]
                fallen.setdefault(through, (begun + text, times))
                for after, more in blind.corners[TWO_DOTS].items():
                    if after not in fallen:
                        fallen[after] = begun + text + more, times + 1
                        queue.append(after)
                for seen, more in blind.ends[TWO_DOTS].items():
                    ends.setdefault(seen, (begun + text + more, times + 1))
            for seen, more in self.ends(self._corners[number]).items():
                ends.setdefault(seen, (begun + more, times))
        return {self._corners[one]: route for one, route in fallen.items()}, ends

    def _known(self, corner: Corner) -> int:
        number = self._number(corner)
        self._settle()
        return number

    def _number(self, corner: Corner) -> int:
        number = self._numbers.get(corner)
        if number is None:
            number = self._numbers[corner] = len(self._corners)
            self._corners.append(corner)
        return number

    def _settle(self) -> None:
        """Look at the corners that are new, and go round until nothing more is found."""
        if self._settled == len(self._corners):
            return
        self._ends.clear()
        while self._settled < len(self._corners):
            number = self._settled
            self._settled += 1
            self._blind.append(self._look(self._corners[number]))
            self._there.append({number: ""})
            self._back.append({})
            self._over.append({})
        while self._round():
            pass

    def _round(self) -> bool:
        grown = False
        for number in range(len(self._corners)):
            back, there = self._back[number], self._there[number]
            for one, text in there.items():
                new = self._blind[one].corners[TWO_DOTS].keys() - back.keys()
                back |= {each: text + self._blind[one].corners[TWO_DOTS][each] for each in sorted(new)}
                grown |= bool(new)
        for number in range(len(self._corners)):
            over = self._over[number]
            for one, text in self._blind[number].corners[TEXT].items():
                new = self._back[one].keys() - over.keys()
                over |= {each: text + self._back[one][each] for each in sorted(new)}
                grown |= bool(new)
        for there in self._there:
            queue = list(there)
            for one in queue:
                for onward in (self._blind[one].corners[ONE_DOT], self._over[one]):
                    more = sorted(onward.keys() - there.keys())
                    there |= {each: there[one] + onward[each] for each in more}
                    queue += more
                    grown |= bool(more)
        return grown

    def _look(self, corner: Corner) -> _Blind:
        """Go through all segments that can follow a corner."""
        order = count()
        start = Place(corner.seen, None, corner.after, first=corner.first)
        queue: list[tuple[int, int, str, Place]] = [(0, next(order), "", start)]
        done: set[Place] = set()
        found = _Blind(({}, {}, {}), ({}, {}, {}))
        while queue:
            cost, _, text, at = heappop(queue)
            if at in done:
                continue
            done.add(at)
            for (more, raw), after in self._steps.within(at):
                if after not in done:
                    heappush(queue, (cost + more, next(order), text + raw, after))
            for (_, raw), turn in self._steps.turns(at):
                if turn.corner is None:
                    found.ends[turn.dots].setdefault(turn.seen, text)
                else:
                    found.corners[turn.dots].setdefault(self._number(turn.corner), text + raw)
        return found
