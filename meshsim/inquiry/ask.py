"""One request answered: whether it is allowed, by which rule, and why the others had no say."""

from __future__ import annotations

import msgspec

from meshsim.identity.token_check import REASONS, bearer_text, judge_text, status_of
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
    refusal = _refused_token(subject, request, asked)
    if refusal:
        return Verdict(asked, Decision(False, refusal, status=status_of(refusal)), (), REASONS[refusal])
    if subject.engine is None:
        return Verdict(asked, Decision(True, NO_POLICY), (), "the mesh has no policy: whom mutual TLS admits may call")
    return Verdict(asked, subject.engine.decide(asked.question), subject.engine.explain(asked.question))


def _refused_token(subject: Subject, request: Request, asked: Asked) -> str:
    """Why the token is refused that stands among the header fields; claims stand for one that is valid."""
    rules = asked.callee.token_rules
    text = bearer_text((name.lower(), value) for name, value in request.headers)
    if rules is None or text is None or request.claims is not None:
        return ""
    clock_s = subject.epoch_s if request.time_s is None else request.time_s
    return judge_text(text, rules, clock_s, "").reason
