"""An engine that remembers, because the same question has the same answer."""

from __future__ import annotations

from meshsim.policy.engine import PolicyEngine
from meshsim.policy.question import Decision, Question
from meshsim.scenario.errors import InvariantViolation

MOST_REMEMBERED = 100_000
"""Answers that are kept; then memory starts anew, since questions with a time in them never end."""


class Asked:
    """Asks the engine each distinct question once and remembers the answer.

    With ``every_time`` (fidelity ``real``) the engine is asked every time, and an answer that differs from the
    remembered one is an :class:`InvariantViolation`. One object serves one policy version: keep one for each.
    """

    __slots__ = ("_decisions", "_every_time", "engine")

    def __init__(self, engine: PolicyEngine, *, every_time: bool = False) -> None:
        self.engine = engine
        self._every_time = every_time
        self._decisions: dict[Question, Decision] = {}

    @property
    def distinct(self) -> int:
        """Number of distinct questions that are remembered."""
        return len(self._decisions)

    def knows(self, question: Question) -> bool:
        """Whether this question was answered before: the same at every fidelity, so results may depend on it."""
        return question in self._decisions

    def decide(self, question: Question) -> Decision:
        """Answer one question; raises :class:`InvariantViolation` when the engine contradicts itself."""
        remembered = self._decisions.get(question)
        if remembered is None:
            if len(self._decisions) >= MOST_REMEMBERED:
                self._decisions.clear()
            remembered = self._decisions[question] = self.engine.decide(question)
        elif self._every_time:
            answer = self.engine.decide(question)
            if answer != remembered:
                raise InvariantViolation(
                    f"policy engine {self.engine.name}, version {self.engine.version}, changed its answer: "
                    f"{question} was first {remembered}, now {answer}"
                )
        return remembered
