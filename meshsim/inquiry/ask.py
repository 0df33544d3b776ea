"""One request answered: whether it is allowed, by which rule, and why the others had no say."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from meshsim.identity.token_check import REASONS, status_of
from meshsim.identity.token_search import Inspection
from meshsim.inquiry.arrival import arrived, believed, looks_at_tokens, taken_off
from meshsim.inquiry.placing import spot_of, told_places
from meshsim.inquiry.presented import written_out
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
    notes: tuple[str, ...] = ()
    """What the called sidecar took off the request, so that policy did not see it, for people."""

    @property
    def place(self) -> str:
        """Where the deciding rule stands; empty for a default."""
        return next((one.place for one in self.accounts if one.rule == self.decision.rule), "")


def ask(subject: Subject, request: Request) -> Verdict:
    """Answer a request; raises UsageError for names that are not there or not clear."""
    asked = resolve(subject, request)
    if asked.refused:
        return Verdict(asked, Decision(False, MUTUAL_TLS), (), asked.refused)
    claims = None if request.claims is None else json.dumps(request.claims)
    question = asked.question
    found = _written_token(subject, request, asked)
    if found is not None:
        if found.verdict.reason:
            return _refused(asked, found.verdict.reason)
        claims = found.verdict.claims
        if subject.engine is not None and "claims" in subject.engine.reads:
            question = msgspec.structs.replace(question, claims=claims)
    spot = spot_of(request.token_at, asked.callee)
    came = arrived(subject, asked.caller, asked.callee, question, claims, found=found, spot=spot)
    notes = tuple(_notes(subject, asked, request))
    if came.refused:
        return _refused(asked, came.refused, notes)
    if subject.engine is None:
        why = "the mesh has no policy: whom mutual TLS admits may call"
        return Verdict(asked, Decision(True, NO_POLICY), (), why, notes)
    seen = msgspec.structs.replace(asked, question=came.question)
    return Verdict(seen, subject.engine.decide(came.question), subject.engine.explain(came.question), "", notes)


def _refused(asked: Asked, reason: str, notes: tuple[str, ...] = ()) -> Verdict:
    return Verdict(asked, Decision(False, reason, status=status_of(reason)), (), REASONS[reason], notes)


def _written_token(subject: Subject, request: Request, asked: Asked) -> Inspection | None:
    """What comes of tokens that stand in the request, if any do; claims stand for one that is valid."""
    if request.claims is not None:
        return None
    fields = tuple((name.lower(), value) for name, value in request.headers)
    headers = believed(subject, asked.caller, asked.callee, fields, mutual=asked.question.mutual)
    clock_s = subject.epoch_s if request.time_s is None else request.time_s
    return written_out(asked.callee, headers, request.path, clock_s)


def _notes(subject: Subject, asked: Asked, request: Request) -> Iterator[str]:
    if request.claims and not looks_at_tokens(subject, asked.callee):
        yield f"the claims are not seen: nobody looks at tokens at {asked.callee.name}"
    elif request.claims:
        yield from told_places(asked.callee, request.claims, spot_of(request.token_at, asked.callee))
    fields = tuple((name.lower(), value) for name, value in request.headers)
    yield from taken_off(subject, asked.caller, asked.callee, asked.question, fields)
