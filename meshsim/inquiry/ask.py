"""One request answered: whether it is allowed, by which rule, and why the others had no say."""

from __future__ import annotations

import msgspec

from meshsim.inquiry.request import Asked, Request, resolve
from meshsim.inquiry.subject import Subject
from meshsim.policy.question import Decision, RuleAccount

MUTUAL_TLS = "mutual-tls"
"""The rule of a request that TLS refuses before any policy is asked."""
NO_POLICY = "no-policy"
"""The rule of a request that nothing forbids because there is no policy at all."""


class Verdict(msgspec.Struct, frozen=True):
    """The answer to one request."""

    asked: Asked
    decision: Decision
    accounts: tuple[RuleAccount, ...]
    """What became of every rule; empty where no policy was asked."""
    why: str = ""
    """Why no policy was asked, for people; empty if one was."""

    @property
    def place(self) -> str:
        """Where the deciding rule stands; empty for a default."""
        return next((one.place for one in self.accounts if one.rule == self.decision.rule), "")


def ask(subject: Subject, request: Request) -> Verdict:
    """Answer a request; raises UsageError for names that are not there or not clear."""
    asked = resolve(subject, request)
    if asked.refused:
        return Verdict(asked, Decision(False, MUTUAL_TLS), (), asked.refused)
    if subject.engine is None:
        return Verdict(asked, Decision(True, NO_POLICY), (), "the mesh has no policy: whom mutual TLS admits may call")
    return Verdict(asked, subject.engine.decide(asked.question), subject.engine.explain(asked.question))
