"""Who may call whom, how: the real engine asked about every combination of classes; and what another engine flips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from meshsim.inquiry import constants_istio
from meshsim.inquiry.admission import admission
from meshsim.inquiry.arrival import notes_of, of_mesh
from meshsim.inquiry.callers import callers_of
from meshsim.inquiry.constants import Constants, constants_of, merged
from meshsim.inquiry.deciding import LeftOut, decisions_of, left_out_of
from meshsim.inquiry.pairing import Twin, couples_of, twins
from meshsim.inquiry.path_classes import BLIND, RAW
from meshsim.inquiry.placing import add_moved
from meshsim.inquiry.presented import add_checks, add_keys
from meshsim.inquiry.regions import Region, region
from meshsim.inquiry.space import Combination, Space, ports_of, space_of
from meshsim.inquiry.subject import Callee, Caller, Subject, split, versioned
from meshsim.inquiry.uncompared import uncompared
from meshsim.inquiry.usual import Pair, with_own
from meshsim.inquiry.witness import put_to
from meshsim.policy.istio import IstioEngine
from meshsim.policy.question import Decision, Question
from meshsim.scenario.differences import Change
from meshsim.scenario.errors import UsageError

MOST_QUESTIONS = 1_000_000
"""Questions of one matrix, unless the user wants more."""

Progress = Callable[[int, int], None]


class Cell(msgspec.Struct, frozen=True):
    """What one caller may do at one port of a service."""

    caller: Caller
    callee: Callee
    port: int
    allowed: Region
    rules: tuple[str, ...]
    """Rules that allow some of it, in the order in which they were met."""
    questions: int
    """How many were asked; 0 where TLS refuses the caller before any policy."""
    refused: str = ""
    """Why TLS refuses it, for people; empty if it does not."""

    @property
    def extent(self) -> str:
        """``all``, ``some`` or ``none``."""
        boxes = self.allowed.boxes
        return "none" if not boxes else "all" if boxes == ({},) else "some"


class Matrix(msgspec.Struct, frozen=True):
    """The decisions on every question that policies can tell apart."""

    space: Space
    cells: tuple[Cell, ...]
    questions: int
    notes: tuple[str, ...] = ()
    """What policies compare with and cannot see, for people."""


class Flip(msgspec.Struct, frozen=True):
    """What one caller may do at one port by one set of policies and not by the other."""

    caller: Caller
    callee: Callee
    port: int
    now_allowed: bool
    region: Region
    witnesses: tuple[Question, Question]
    """One question that is decided differently, as it is before and after: what it leaves out, each side has."""
    combination: Combination
    """The combination that the witness stands for."""
    before: Decision
    """What decided the witness before."""
    after: Decision
    asks: tuple[tuple[str, ...], tuple[str, ...]]
    """Options of ``meshsim policy ask`` that put the witness to either side, each with its value behind it."""

    @property
    def witness(self) -> Question:
        """The question as it is before."""
        return self.witnesses[0]

    @property
    def ask(self) -> tuple[str, ...]:
        """The options that both have in common."""
        first, second = ([*zip(one[::2], one[1::2], strict=True)] for one in self.asks)
        return tuple(part for pair in first if pair in second for part in pair)


class Comparison(msgspec.Struct, frozen=True):
    """How two sets of policies differ."""

    space: Space
    flips: tuple[Flip, ...]
    """What is newly allowed stands first."""
    questions: int
    only_before: tuple[str, ...]
    """Services that are there before only, and after only: nobody is asked about them."""
    only_after: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What policies compare with and cannot see, for people."""
    left_out: tuple[LeftOut, ...] = ()
    """What is decided differently and not asked about, though the classes are exact."""
    uncompared: tuple[Change, ...] = ()
    """What differs between the scenarios, and no decision rests on."""


class Narrowed(msgspec.Struct, frozen=True):
    """Which part of a matrix is wanted; None is all."""

    source: str | None = None
    """SPIFFE ID of a caller; empty for the one that proves none."""
    destination: str | None = None
    caller: Caller | None = None
    """The caller itself: it gets a row though policies cannot tell it from others."""

    def wants(self, caller: Caller, callee: Callee) -> bool:
        """Whether a pair is in the part."""
        if self.caller is not None and self.caller.workload not in ("", caller.workload):
            return False  # another one with its identity
        return self.source in (None, caller.spiffe_id) and self.destination in (None, callee.name, callee.service)


ALL = Narrowed()


def build_matrix(
    subject: Subject, narrowed: Narrowed = ALL, most: int = MOST_QUESTIONS, progress: Progress | None = None
) -> Matrix:
    """Ask every question; raises UsageError if there are more than ``most``."""
    constants = _constants(subject)
    space = space_of([subject], constants)
    pairs = [
        pair
        for pair in _pairs(
            callers_of([subject], constants, narrowed.caller), space, split(subject.callees, versioned(subject))
        )
        if narrowed.wants(*pair[:2])
    ]
    total = _bounded(len(pairs) * space.size, most)
    combinations = list(space.combinations())
    cells = []
    for done, (caller, callee, port) in enumerate(pairs):
        if progress is not None:
            progress(done * len(combinations), total)
        refused = admission(caller, callee, port).refused
        if refused:
            cells.append(Cell(caller, callee, port, Region(()), (), 0, refused))
            continue
        decisions = decisions_of(subject, space, combinations, (caller, callee, port))
        allowed = region(space.dimensions, [one.allowed for one in decisions])
        rules = tuple(dict.fromkeys(one.rule for one in decisions if one.allowed))
        cells.append(Cell(caller, callee, port, allowed, rules, len(combinations)))
    notes = tuple(notes_of([subject], constants))
    return Matrix(space, tuple(cells), sum(cell.questions for cell in cells), notes)


def compare(
    before: Subject,
    after: Subject,
    narrowed: Narrowed = ALL,
    most: int = MOST_QUESTIONS,
    progress: Progress | None = None,
) -> Comparison:
    """Ask both engines every question that either can tell apart; raises UsageError if there are more than ``most``."""
    kinds = {one.engine.name for one in (before, after) if one.engine is not None}
    constants = merged([_constants(one, alone=len(kinds) == 1) for one in (before, after)])
    add_moved(before, after, constants)
    add_checks(before, after, constants)
    add_keys(before, after, constants)
    engines = before.engine is not None and after.engine is not None
    couples = couples_of(before, after, versioned(before) | versioned(after))
    looks = any(_looks_at_paths(before, one) != _looks_at_paths(after, other) for one, other in couples.each)
    notes = notes_of([before, after], constants)
    if looks and engines:
        constants.paths[BLIND] = set()
    space = space_of([before, after], constants)
    callers = callers_of([before, after], constants, narrowed.caller)
    pairs = [
        twin
        for twin in twins(before, after, callers, couples, space)
        if any(narrowed.wants(twin.caller, side[1]) for side in twin.sides)
    ]
    space = with_own(space, before, after, [twin.sides for twin in pairs])
    total = _bounded(2 * len(pairs) * space.size, most)
    combinations = list(space.combinations())
    flips: list[Flip] = []
    for done, twin in enumerate(pairs):
        if progress is not None:
            progress(2 * done * len(combinations), total)
        one, other = (
            decisions_of(subject, space, combinations, side)
            for subject, side in zip((before, after), twin.sides, strict=True)
        )
        flips += _flips((before, after), space, combinations, twin, (one, other))
    left_out = left_out_of(before, after, space, [twin.sides for twin in pairs]) if looks and not engines else ()
    notes += [f"{one.rule}: {one.what} ({one.pairs} pairs)" for one in left_out]
    return Comparison(
        space=space,
        flips=tuple(sorted(flips, key=lambda flip: not flip.now_allowed)),
        questions=total,
        only_before=couples.only_before,
        only_after=couples.only_after,
        notes=tuple(notes),
        left_out=left_out,
        uncompared=uncompared(before.scenario, after.scenario),
    )


def _flips(
    subjects: tuple[Subject, Subject],
    space: Space,
    combinations: Sequence[Combination],
    twin: Twin,
    decided: tuple[list[Decision], list[Decision]],
) -> Iterator[Flip]:
    for now_allowed in (True, False):
        changed = [
            one.allowed != other.allowed and other.allowed is now_allowed for one, other in zip(*decided, strict=True)
        ]
        if any(changed):
            index = changed.index(True)
            put = [
                put_to(subject, space, side, combinations[index])
                for subject, side in zip(subjects, twin.sides, strict=True)
            ]
            first, second = (one or other for one, other in (put, reversed(put)))
            assert first is not None, "one side has the port"
            assert second is not None, "one side has the port"
            yield Flip(
                twin.caller,
                twin.callee,
                twin.port,
                now_allowed,
                region(space.dimensions, changed),
                (first.question, second.question),
                combinations[index],
                decided[0][index],
                decided[1][index],
                (first.options, second.options),
            )


def _constants(subject: Subject, *, alone: bool = True) -> Constants:
    if subject.engine is None:
        return Constants()
    constants = of_mesh(subject, _read(subject))
    constants.split_targets(alone=alone and subject.engine.name == "rego")
    constants.see_paths(subject.engine.normalization if isinstance(subject.engine, IstioEngine) else RAW)
    return constants


def _read(subject: Subject) -> Constants:
    engine = subject.engine
    if isinstance(engine, IstioEngine):
        asked = {file.name for _, files in engine.provider_files.values() for file in files}
        own = [file for file in subject.files if file.name not in asked]
        return constants_istio.read(own, engine.trust_domains, engine.provider_files)
    return Constants() if engine is None else constants_of(engine.name, subject.files)


def _looks_at_paths(subject: Subject, callee: Callee) -> frozenset[int]:
    """The ports where paths are normalised, and some refused, before policies see them; negative: for some callers."""
    engine = subject.engine
    if not isinstance(engine, IstioEngine):
        return frozenset()
    looked = {port: engine.looks_at_paths(callee.service, callee.version, to) for port, to in callee.targets.items()}
    return frozenset(port if of == "all" else -port for port, of in looked.items() if of)


def _pairs(callers: Sequence[Caller], space: Space, callees: Sequence[Callee]) -> Iterator[Pair]:
    for caller in callers:
        for callee in callees:
            for port in ports_of(callee, space.reads):
                yield caller, callee, port


def _bounded(questions: int, most: int) -> int:
    if questions > most:
        message = f"the policies can tell {questions} questions apart, more than {most}"
        raise UsageError(f"{message}; expected --source or --destination to narrow them down, or a larger --most")
    return questions
