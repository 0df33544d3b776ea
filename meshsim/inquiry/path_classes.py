"""Paths that policies cannot tell apart, though sidecars normalise them first, and one side of a comparison otherwise.

The classes are over pairs: what the path is to the one side, and what it is to the other. They are exact for every pair
of modes. Either one side reads the raw path, or both take segments back alike; then one search finds every pair. Or one
decodes escaped slashes and the other does not. Then whatever stands before the last slash that both see can be
anything to the one and anything else to the other: parameters of a dot segment hold a path that only the one side that
decodes sees. So the search begins there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from meshsim.inquiry.path_detours import DetourFinder
from meshsim.inquiry.path_search import SLASH, Corner, Found, Steps, refused, search
from meshsim.inquiry.path_tokens import BAD, Tape, TapeState, Token, tokens_of
from meshsim.inquiry.patterns import Machine, Pattern, class_words, shortest_texts
from meshsim.policy.istio_path import normalized

RAW: Final = "RAW"
"""The mode of engines that are asked about paths as they are written."""
BLIND: Final = "BLIND"
"""The mode of a side that sees no paths, so that it refuses none either: one without HTTP."""
_DECODING: Final = "DECODE_AND_MERGE_SLASHES"
_MERGING: Final = ("MERGE_SLASHES", _DECODING)
_ORDER: Final = (RAW, "NONE", "BASE", "MERGE_SLASHES", _DECODING)
_UNCHANGED: Final = (RAW, "NONE")
_ESCAPED_SLASH: Final = re.compile("%2f|%5c", re.IGNORECASE)
_REFUSED: Final = -1
"""In place of what a path matches that is answered with status 400."""
_REFUSED_PATHS: Final = ("/%00", "/#")
"""Paths that are, but for the first one where nothing is normalised."""

Start = tuple[Corner, TapeState, str]
Key = tuple[int, ...]
"""What a path matches, as each mode has it."""


def refused_path(mode: str) -> str:
    """A path that is answered with status 400 where paths are normalised so."""
    return next(one for one in _REFUSED_PATHS if normalized(one, mode) is None)


class PathClass(msgspec.Struct, frozen=True):
    """Paths that are alike to everybody."""

    shown: str
    witness: str
    matched: tuple[str, ...]
    """The patterns that it matches, as they are shown; of several modes, each with the mode by which it does."""


class PathClasses:
    """The classes of all paths, as one or two sides see them: mode of normalisation → patterns that are compared."""

    def __init__(self, views: Mapping[str, Iterable[Pattern]]) -> None:
        self._modes = tuple(mode for mode in _ORDER if mode in views) or (RAW,)
        assert len(self._modes) <= 2, "two sides are compared"
        self._machines = [Machine(tuple(sorted(set(views.get(mode, ())))), path=True) for mode in self._modes]
        self.exhausted = True
        """Whether there was room to find all of them."""
        found: dict[Key, str] = {}
        for path in (*self._searched(), *(_REFUSED_PATHS if BLIND in views else ())):
            key = self._key(path)
            if BLIND in views or set(key) != {_REFUSED}:
                found.setdefault(key, path)
        each = [self._class(key, witness) for key, witness in found.items()]
        self.classes = tuple(sorted(each, key=lambda one: (not one.matched, one.witness)))

    def of(self, path: str) -> str:
        """The class of a path, as it is shown."""
        return self._class(self._key(path), path).shown

    def _key(self, path: str) -> Key:
        seen = [path if mode == RAW else normalized(path, mode) for mode in self._modes]
        return tuple(
            _REFUSED if one is None else machine.ends_of(one) for one, machine in zip(seen, self._machines, strict=True)
        )

    def _class(self, key: Key, witness: str) -> PathClass:
        each = [
            None if ends == _REFUSED else machine.matched(ends)
            for ends, machine in zip(key, self._machines, strict=True)
        ]
        if each[0] is not None and all(one == each[0] for one in each):
            return PathClass(class_words(each[0]), witness, tuple(one.shown for one in each[0]))
        said = [
            (["refused"] if one is None else [pattern.shown for pattern in one], mode)
            for one, mode in zip(each, self._modes, strict=True)
        ]
        words = [
            f"{'refused' if one is None else class_words(one)} by {mode}"
            for one, mode in zip(each, self._modes, strict=True)
        ]
        matched = tuple(f"{pattern} by {mode}" for patterns, mode in said for pattern in patterns)
        return PathClass(f"what is {' and '.join(words)}", witness, matched)

    def _searched(self) -> Iterator[str]:
        """A path of each class, the plainest ones first."""
        by_mode = dict(zip(self._modes, self._machines, strict=True))
        unchanged = [one for one in self._modes if one in _UNCHANGED]
        changed = [one for one in self._modes if one not in _UNCHANGED]
        observer = Tape([(by_mode[one], False) for one in unchanged])
        walkers = [(by_mode[one], one in _MERGING) for one in changed]
        if _DECODING in changed and len(changed) == 2:
            yield from self._decoding(Tape(walkers[:1]), Tape(walkers[1:]))
        elif changed:
            yield from self._walked(observer, Tape(walkers), decoding=_DECODING in changed, bad=RAW in unchanged)
        else:
            yield from _unchanged(observer, tokens_of([observer], decoding=False, bad=RAW in unchanged))

    def _ends(self, steps: Steps, starts: Iterable[Start], detours: DetourFinder | None = None) -> tuple[Found, Found]:
        ends, corners, exhausted = search(steps, starts, detours)
        self.exhausted &= exhausted
        return ends, corners

    def _walked(self, observer: Tape, walker: Tape, *, decoding: bool, bad: bool) -> Iterator[str]:
        """One side reads the raw path, if there are two; the other one takes segments back."""
        tokens = tokens_of([observer, walker], decoding=decoding, bad=bad, raw=bool(observer.machines))
        steps = Steps(observer, walker, tokens, written=False)
        root = Corner(observer.start)
        if not observer.machines:
            yield from self._ends(steps, [(root, walker.start, SLASH)])[0].values()
            return
        detours = DetourFinder(steps)
        corners, ends = detours.at_floor(root)
        starts = [(corner, walker.start, SLASH + text) for corner, (text, _) in corners.items()]
        yield from self._ends(steps, starts, detours)[0].values()
        yield from (SLASH + text for text, _ in ends.values())
        yield from refused(steps, tokens).values()

    def _decoding(self, other: Tape, decoding: Tape) -> Iterator[str]:
        """One side decodes escaped slashes, the other one does not."""
        folders, paths = self._alone(other, decoding=False)
        hidden_folders, hidden_paths = self._alone(decoding, decoding=True)
        ended = {other.ends(state): text for state, text in reversed(folders.items())}
        yield from paths.values()
        yield from (_hiding(folder, path) for folder in ended.values() for path in hidden_paths.values())
        yield from (f"/x%2F.;%00/..{path}" for path in hidden_paths.values())
        yield from (f"/.;%2F%00{path}" for path in paths.values())
        steps = Steps(other, decoding, tokens_of([other, decoding], decoding=True, raw=False), written=True)
        detours = DetourFinder(steps)
        plain, _ = detours.at_floor(Corner(other.start, first=True))
        starts = [(corner, decoding.start, SLASH + text) for corner, (text, _) in plain.items()]
        for seen, folder in folders.items():
            corners, ends = detours.at_floor(Corner(seen, first=True))
            for walked, hidden in hidden_folders.items():
                # Whatever is taken back of the hidden folder has been put there before.
                for corner, (text, times) in corners.items():
                    begun = _hiding(folder, hidden + "a/" * times)[:-3]
                    starts.append((corner, walked, f"{begun}{SLASH}{text}"))
                for text, times in ends.values():
                    yield f"{_hiding(folder, hidden + 'a/' * times)[:-3]}{SLASH}{text}"
        yield from self._ends(steps, starts, detours)[0].values()

    def _alone(self, walker: Tape, *, decoding: bool) -> tuple[dict[TapeState, str], dict[tuple[int, ...], str]]:
        """A folder for each state of a walker behind a slash, and a path for each of its classes."""
        nobody = Tape([])
        steps = Steps(nobody, walker, tokens_of([walker], decoding=decoding, raw=False), written=False)
        ends, corners = self._ends(steps, [(Corner(nobody.start), walker.start, SLASH)])
        folders = {walker.start: SLASH} | {walked: text for (_, walked), text in corners.items()}
        paths: dict[tuple[int, ...], str] = {}
        for (_, walked), text in ends.items():
            paths.setdefault(walker.ends(walked), text)
        return folders, paths


def _hiding(folder: str, path: str) -> str:
    """What is the folder to who does not decode escaped slashes, and the path to who does."""
    up = folder.count(SLASH) + len(_ESCAPED_SLASH.findall(folder))
    return f"{folder}.;%2F{'..%2F' * up}{path[1:].replace(SLASH, '%2F').replace(chr(92), '%5C')}"


def _unchanged(tape: Tape, tokens: Iterable[Token]) -> Iterator[str]:
    """A path for all that can be seen of raw paths, and for all that can of those that hold a bad character."""
    characters = [one for one in tokens if len(one.raw) == 1]
    start = (tape.start, False)

    def follow(at: tuple[TapeState, bool]) -> Iterator[tuple[str, tuple[TapeState, bool]]]:
        for one in characters:
            yield one.raw, (tape.step(at[0], one.raw), at[1] or one.kind == BAD)

    return (text for _, text in shortest_texts(start, SLASH, follow)[0])
