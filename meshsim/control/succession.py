"""Authorities that take each other's place: when the next is prepared, when it signs, when the old one is forgotten.

Each authority has a *term*, numbered from 1. Nothing here keeps time: ``look`` is told when it is, as late as it may be
(an issuer that was down looks when it is back), and says what is to be done.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Deed = Literal["prepared", "activated", "retired"]


class Plan(msgspec.Struct, frozen=True):
    """How authorities replace each other."""

    prepare_ns: int
    """How long before its end the next one is made, and trusted from then on."""
    activate_ns: int
    """How long before its end the next one signs."""
    overlap: bool
    """Whether both are trusted for a while; without it the next one is made, signs and replaces the old one at once."""


class Term(msgspec.Struct, frozen=True):
    """One authority: from when to when it is valid, in simulated time by the issuer's clock."""

    number: int
    begin_ns: int
    end_ns: int


class Step(msgspec.Struct, frozen=True):
    """Something that is to be done about an authority."""

    deed: Deed
    term: Term


class Succession:
    """The authorities of one trust domain in time."""

    def __init__(self, first: Term, backdate_ns: int, plan: Plan | None) -> None:
        self._life_ns = first.end_ns - first.begin_ns
        self._backdate_ns = backdate_ns
        self._plan = plan
        self.active = first
        """The one that signs."""
        self._next: Term | None = None
        self._former: list[Term] = []
        """Those that are trusted although they do not sign any more."""
        self._count = first.number

    @property
    def trusted(self) -> tuple[Term, ...]:
        """Whose certificates are believed, by number."""
        terms = [*self._former, self.active, *([self._next] if self._next else [])]
        return tuple(sorted(terms, key=lambda term: term.number))

    def due_ns(self) -> int | None:
        """Return when there is something to do next; None if there never is."""
        dues = [term.end_ns for term in self._former]
        plan = self._plan
        if plan is not None:
            before_ns = plan.prepare_ns if plan.overlap and self._next is None else plan.activate_ns
            dues.append(self.active.end_ns - before_ns)
        return min(dues, default=None)

    def look(self, now_ns: int) -> list[Step]:
        """Do what is due by now; return it, in order."""
        steps: list[Step] = []
        plan = self._plan
        while plan is not None:  # what was prepared before a long absence may be due to be replaced itself
            if plan.overlap and self._next is None and now_ns >= self.active.end_ns - plan.prepare_ns:
                self._next = self._make(now_ns)
                steps.append(Step("prepared", self._next))
            if now_ns < self.active.end_ns - plan.activate_ns:
                break
            steps += self._activate(self._next or self._make(now_ns), keep=plan.overlap)
        for term in [term for term in self._former if term.end_ns <= now_ns]:
            steps.append(self._retire(term))
        return steps

    def replace(self, now_ns: int, *, overlap: bool) -> list[Step]:
        """Have a new authority sign from now on, whatever was planned; without ``overlap`` no other is trusted."""
        return self._activate(self._make(now_ns), keep=overlap)

    def forget(self, numbers: frozenset[int]) -> list[Step]:
        """Trust these authorities no more, as far as they still are, and do not sign."""
        return [self._retire(term) for term in list(self._former) if term.number in numbers]

    def _make(self, now_ns: int) -> Term:
        self._count += 1
        begin_ns = now_ns - self._backdate_ns
        return Term(self._count, begin_ns, begin_ns + self._life_ns)

    def _activate(self, term: Term, *, keep: bool) -> list[Step]:
        steps = [Step("activated", term)]
        self._former.append(self.active)
        prepared, self._next = self._next, None
        if prepared is not None and prepared != term:
            self._former.append(prepared)  # overtaken: it never signs
        self.active = term
        return steps if keep else steps + [self._retire(term) for term in list(self._former)]

    def _retire(self, term: Term) -> Step:
        self._former.remove(term)
        return Step("retired", term)
