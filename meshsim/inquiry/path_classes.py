"""Paths that policies cannot tell apart, though sidecars normalise them first, and one side of a comparison otherwise.

Where all see the same of a path, or one merges slashes and the other does not, classes are exact: the search goes over
all texts that normalisation leaves as they are, and follows what merging makes of them. Other pairs of modes are tried
with paths that are one thing to the one and another to the other; what that may miss is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from itertools import product

import msgspec

from meshsim.inquiry.patterns import Machine, Pattern, class_words, shortest_texts
from meshsim.policy.istio_path import CANONICAL_PATH, Context, normalized, settled_after

RAW = "RAW"
"""The mode of engines that are asked about paths as they are written."""
BLIND = "BLIND"
"""The mode of a side that sees no paths, so that it refuses none either: one without HTTP."""
APPROXIMATE = "paths are normalised in different ways ({}); paths that are made to differ are tried, not all"
_ORDER = (RAW, "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES")
_MOST_PAIRED = 60
"""Paths of which each pair is made into one that is the first to one side and the second to the other."""
_NO_DIGIT = "~"
"""A character that follows a percent sign without making an escape of it."""
_REFUSED = -1
"""In place of what a path matches that is answered with status 400."""
_REFUSED_PATHS = ("/%00", "/#")
"""Paths that are, but for the first one where nothing is normalised."""

Key = tuple[int, ...]
"""What a path matches, as each mode has it."""
_State = tuple[int, int, bool, bool, Context]
"""What patterns make of a path, and of it with slashes merged; whether it ends with a slash, and is nothing else."""


class PathClass(msgspec.Struct, frozen=True):
    """Paths that are alike to everybody."""

    shown: str
    witness: str
    matched: tuple[str, ...]
    """The patterns that it matches, as they are shown."""


class PathClasses:
    """The classes of all paths under some modes of normalisation."""

    def __init__(self, patterns: Iterable[Pattern], modes: Set[str]) -> None:
        self._modes = tuple(mode for mode in _ORDER if mode in modes) or (RAW,)
        self._blind = BLIND in modes
        self._machine = Machine(tuple(sorted(set(patterns))), path=True)
        self.exhausted = True
        """Whether the search looked at everything that it set out to."""
        mixed = len(self._modes) > 1 and not set(self._modes) <= {"BASE", "MERGE_SLASHES"}
        self.approximate = APPROXIMATE.format(", ".join(self._modes)) if mixed and self._machine.patterns else ""
        found: dict[Key, str] = {}
        for path in (
            *(self._mixed() if mixed else self._searched(self._modes)),
            *(_REFUSED_PATHS if self._blind else ()),
        ):
            found.setdefault(self._key(path), path)
        each = [self._class(key, witness) for key, witness in found.items()]
        self.classes = tuple(sorted(each, key=lambda one: (not one.matched, one.witness)))

    def of(self, path: str) -> str:
        """The class of a path, as it is shown."""
        return self._class(self._key(path), path).shown

    def _seen(self, path: str, mode: str) -> str | None:
        return path if mode == RAW else normalized(path, mode)

    def _key(self, path: str) -> Key:
        seen = [self._seen(path, mode) for mode in self._modes]
        return tuple(_REFUSED if one is None else self._machine.ends_of(one) for one in seen)

    def _class(self, key: Key, witness: str) -> PathClass:
        if len(set(key)) == 1 and key[0] != _REFUSED:
            matched = self._machine.matched(key[0])
            return PathClass(class_words(matched), witness, tuple(one.shown for one in matched))
        words = [
            f"{'refused' if ends == _REFUSED else class_words(self._machine.matched(ends))} by {mode}"
            for ends, mode in zip(key, self._modes, strict=True)
        ]
        shown = f"what is {' and '.join(words)}"
        return PathClass(shown, witness, (shown,))

    def _searched(self, modes: tuple[str, ...]) -> Iterator[str]:
        """A path of each class that these modes leave as they are; those without two slashes together first."""
        doubled = "BASE" in modes or not {"MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"} & set(modes)
        for doubles in (False, True) if doubled else (False,):
            found, exhausted = _search(self._machine, modes, doubles=doubles)
            self.exhausted &= exhausted
            yield from found
        if not doubled or "MERGE_SLASHES" in modes:
            yield "//"  # which merging leaves alone

    def _mixed(self) -> Iterator[str]:
        """Paths of each class of each mode, and paths that are of one class to one and of another to the other."""
        plain = list(dict.fromkeys(path for mode in self._modes for path in self._searched((mode,))))
        yield from plain
        yield from _REFUSED_PATHS
        some = plain[:_MOST_PAIRED]
        for path in some:
            yield from _disguised(path)
        for one, other in product(some, some):
            yield from _both(one, other)


def _search(machine: Machine, modes: tuple[str, ...], *, doubles: bool) -> tuple[list[str], bool]:
    """Shortest paths of all classes, and whether there was room to find all of them."""
    canonical = not {RAW, "NONE"} & set(modes)
    alphabet = [one for one in (*machine.alphabet, _NO_DIGIT) if not canonical or one in CANONICAL_PATH]
    decoding = "DECODE_AND_MERGE_SLASHES" in modes

    def follow(at: _State) -> Iterator[tuple[str, _State]]:
        state, merged, slash, only_slashes, context = at
        for character in alphabet:
            again = slash and character == "/"
            after = settled_after(context, character, decoding=decoding) if canonical else context
            if after is not None and (doubles or not again):
                one = machine.step(state, character)
                other = merged if again else machine.step(merged, character)
                yield character, (one, other, character == "/", only_slashes and character == "/", after)

    state, text = machine.first()
    reached, exhausted = shortest_texts((state, state, True, True, ("", "")), text, follow)
    found: dict[tuple[int, int], str] = {}
    two_slashes = machine.ends_of("//") if "MERGE_SLASHES" in modes else 0
    for (state, merged, _, only_slashes, context), path in reached:
        if not canonical or settled_after(context, "/", decoding=decoding) is not None:
            second = two_slashes if only_slashes and len(path) > 1 else merged & machine.ends
            found.setdefault((state & machine.ends, second), path)
    return list(found.values()), exhausted


def _disguised(path: str) -> Iterator[str]:
    """A path with more slashes, dot segments and escapes than it needs."""
    yield f"/{path}"
    yield f"/.{path}"
    yield f"/x/..{path}"
    yield path.replace("/", "//")
    for slash in ("%2F", "\\", "%5C"):
        yield f"/{path[1:].replace('/', slash)}"
        yield f"/x{slash}..{path}"
        yield f"/{slash}{path[1:]}"
    for index in range(1, len(path)):
        if path[index].isalnum():
            yield f"{path[:index]}%{ord(path[index]):02X}{path[index + 1 :]}"
            break


def _both(one: str, other: str) -> Iterator[str]:
    """Paths that are the one to who does not resolve them as far, and the other to who does."""
    depth = one.count("/") + 1
    folder, of_other = one[: one.rfind("/") + 1], other[: other.rfind("/") + 1]
    yield f"{one}{'/..' * depth}{other}"
    for slash in ("%2F", "%5C"):
        up = f"..{slash}" * depth
        yield f"{one}{f'{slash}..' * depth}{other.replace('/', slash)}"
        yield f"{one}{f'{slash}..' * depth}{other}"
        for last in (one[len(folder) :], other[len(of_other) :]):
            yield f"{folder}{up}{of_other[1:].replace('/', slash)}x/../{last}"
