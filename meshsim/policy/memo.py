"""An engine that remembers, because the same question has the same answer."""

from __future__ import annotations

from meshsim.policy.engine import Batching, PolicyEngine
from meshsim.policy.question import Decision, Question
from meshsim.scenario.errors import InvariantViolation

MOST_REMEMBERED = 100_000
"""Answers that are kept; then memory starts anew, since questions with a time in them never end."""
ASKED_AT_ONCE = 1_000
"""Questions with remembered answers that are kept until the engine is asked about them too."""


class Asked:
    """Asks the engine each distinct question once and remembers the answer.

    With ``every_time`` (fidelity ``real``) the engine is asked every time, and an answer that differs from the
    remembered one is an :class:`InvariantViolation`. The remembered answer is given at once and the engine asked later,
    about many questions one after the other, ``confirm`` about those that are left: engines are faster so. One object
    serves one policy version: keep one for each.
    """

    __slots__ = ("_decisions", "_every_time", "_unconfirmed", "engine")

    def __init__(self, engine: PolicyEngine, *, every_time: bool = False) -> None:
        self.engine = engine
        self._every_time = every_time
        self._decisions: dict[Question, Decision] = {}
        self._unconfirmed: list[tuple[Question, Decision]] = []

    @property
    def distinct(self) -> int:
        """Number of distinct questions that are remembered."""
        return len(self._decisions)

    def knows(self, question: Question) -> bool:
        """Whether this question was answered before: the same at every fidelity, so results may depend on it."""
        return question in self._decisions

    def decide(self, question: Question) -> Decision:
        """Answer one question; raises :class:`InvariantViolation` as ``confirm`` does, which it may come to."""
        remembered = self._decisions.get(question)
        if remembered is None:
            if len(self._decisions) >= MOST_REMEMBERED:
                self._decisions.clear()
            remembered = self._decisions[question] = self.engine.decide(question)
        elif self._every_time:
            self._unconfirmed.append((question, remembered))
            if len(self._unconfirmed) >= ASKED_AT_ONCE:
                self.confirm()
        return remembered

    def confirm(self) -> None:
        """Ask the engine about all that was answered from memory since the last time.

        Raises :class:`InvariantViolation` when the engine contradicts itself.
        """
        answered, self._unconfirmed = self._unconfirmed, []
        engine = self.engine
        questions = [question for question, _ in answered]
        answers = engine.decide_all(questions) if isinstance(engine, Batching) else map(engine.decide, questions)
        for (question, remembered), answer in zip(answered, answers, strict=True):
            if answer != remembered:
                raise InvariantViolation(
                    f"policy engine {engine.name}, version {engine.version}, changed its answer: "
                    f"{question} was first {remembered}, now {answer}"
                )
