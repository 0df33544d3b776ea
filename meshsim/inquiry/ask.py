"""One request answered: whether it is allowed, by which rule, and why the others had no say."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from meshsim.identity.token_places import Fields
from meshsim.identity.token_search import Inspection
from meshsim.inquiry.admission import nobody_behind
from meshsim.inquiry.arrival import arrived, believed, looks_at_tokens, of_both_kinds, refusal_of, taken_off
from meshsim.inquiry.carrying import carrying, clock_note
from meshsim.inquiry.placing import spot_of, told_places
from meshsim.inquiry.presented import at_listener, written_out
from meshsim.inquiry.request import Asked, Request, resolve
from meshsim.inquiry.subject import Callee, Subject
from meshsim.policy.istio import IstioEngine
from meshsim.policy.question import Decision, RuleAccount
from meshsim.scenario.ports import HTTP
from meshsim.scenario.token_reasons import REASONS, UNKNOWN_ISSUER

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
    refuser: str = ""
    """Where the RequestAuthentication stands that refuses the token; empty if none does."""

    @property
    def status(self) -> int | None:
        """HTTP status of the answer; None where there is none: TLS refuses, or the caller's connection is closed."""
        if self.decision.allowed:
            return 200
        return None if self.decision.rule == MUTUAL_TLS or self._is_closed() else self.decision.status

    def _is_closed(self) -> bool:
        return self.decision.closes and is_unanswered(self.asked)

    @property
    def place(self) -> str:
        """Where the deciding rule stands, or what refuses the token; empty for a default."""
        return self.refuser or next((one.place for one in self.accounts if one.rule == self.decision.rule), "")


def ask(subject: Subject, request: Request) -> Verdict:
    """Answer a request; raises UsageError for names that are not there or not clear."""
    asked = resolve(subject, request)
    if asked.refused:
        return Verdict(asked, Decision(False, MUTUAL_TLS), (), asked.refused)
    request, placed = carrying(request, _listener(asked))
    claims = None if request.claims is None else json.dumps(request.claims)
    question = asked.question
    found = _written_token(subject, request, asked)
    if found is not None:
        refusal = refusal_of(found)
        if refusal is not None:
            told = (placed, clock_note(refusal.rule, _clock_s(subject, request)))
            return _refused(subject, asked, refusal, tuple(filter(None, told)))
        claims = found.verdict.claims
        if subject.engine is not None and "claims" in subject.engine.reads:
            question = msgspec.structs.replace(question, claims=claims)
    spot, (_, _, query) = spot_of(request.token_at, asked.callee), request.path.partition("?")
    whole = msgspec.structs.replace(question, headers=_fields(request), query=query)
    came = arrived(
        subject, asked.caller, asked.callee, whole, claims, found=found, spot=spot, clock_s=_clock_s(subject, request)
    )
    notes = tuple(filter(None, (placed, *_notes(subject, asked, request))))
    if came.refused is not None:
        return _refused(subject, asked, came.refused, notes + _issuer_note(subject, asked, request, came.refused))
    if subject.engine is None:
        why = "the mesh has no policy: whom mutual TLS admits may call"
        return Verdict(asked, Decision(True, NO_POLICY), (), why, notes)
    seen = msgspec.structs.replace(asked, question=came.question)
    decision, accounts = subject.engine.decide(came.question), subject.engine.explain(came.question)
    if decision.refused_by:
        notes += _issuer_note(subject, asked, request, decision)
        return msgspec.structs.replace(_refused(subject, seen, decision, notes), accounts=accounts)
    if decision.closes:
        notes += (_closing_note(asked, decision),)
    return Verdict(seen, decision, accounts, "", notes)


def _closing_note(asked: Asked, decision: Decision) -> str:
    """Who closes the connection in place of an answer, and what the caller hears of it, for people."""
    if decision.behind:
        return f"ztunnel refuses it behind the waypoint, which answers {decision.status}: its connection is closed"
    if asked.callee.ports[asked.port] not in HTTP:
        closed = f"port {asked.port} speaks no HTTP: the connection is closed, and there is no answer"
    else:
        closed = "ztunnel closes the connection, and there is no answer"
    if is_unanswered(asked):
        return f"{closed}; the caller sees a connection that is reset"
    return f"{closed}; the caller's sidecar or gateway makes {decision.status} of that (flag UC)"


def is_unanswered(asked: Asked) -> bool:
    """Whether the caller hears of a connection that is closed as that, since none of its proxies reads HTTP there."""
    if not asked.caller.workload:  # a stranger, of whose proxy nothing is known
        return asked.callee.ports[asked.port] not in HTTP
    return (asked.callee.service, asked.port) in asked.caller.unanswered


def _refused(subject: Subject, asked: Asked, decision: Decision, notes: tuple[str, ...] = ()) -> Verdict:
    engine, place = subject.engine, ""
    if isinstance(engine, IstioEngine):
        named = (one for one in engine.policies.authentication if one.name in decision.reasons)
        place = next((f"{one.place.file}:{one.place.line}:{one.place.column}" for one in named), "")
    return Verdict(asked, decision, (), REASONS[decision.rule], notes, place)


def _issuer_note(subject: Subject, asked: Asked, request: Request, refusal: Decision) -> tuple[str, ...]:
    """What is missing from claims that are refused for their issuer, for people; nothing where they name one."""
    if refusal.rule != UNKNOWN_ISSUER or request.claims is None or "iss" in request.claims:
        return ()
    engine, callee = subject.engine, asked.callee
    rules = engine.token_rules(callee.service, callee.version) if isinstance(engine, IstioEngine) else ()
    accepted = [*(callee.token_check.issuers if callee.token_check else ()), *(one.issuer for one in rules)]
    named = next(filter(None, accepted), "ISSUER")
    return (f"the claims name no issuer; --claim iss={named} does",)


def _written_token(subject: Subject, request: Request, asked: Asked) -> Inspection | None:
    """What comes of tokens that stand in the request, if any do; claims stand for one that is valid."""
    if request.claims is not None:
        return None
    headers = believed(subject, asked.caller, asked.callee, _fields(request), mutual=asked.question.mutual)
    return written_out(_listener(asked), headers, request.path, _clock_s(subject, request))


def _goes_past(asked: Asked) -> bool:
    door, rules = asked.callee.door, asked.callee.token_rules
    past = (door.past if door is not None else frozenset()) | (rules.past if rules is not None else frozenset())
    return asked.question.principal in past


def _listener(asked: Asked) -> Callee:
    """The called service as the caller finds it at that port."""
    return at_listener(asked.callee, asked.callee.targets[asked.port], asked.question.principal)


def _fields(request: Request) -> Fields:
    return tuple((name.lower(), value) for name, value in request.headers)


def _clock_s(subject: Subject, request: Request) -> int:
    return subject.epoch_s if request.time_s is None else request.time_s


def _notes(subject: Subject, asked: Asked, request: Request) -> Iterator[str]:
    if not _goes_past(asked) and (said := nobody_behind(asked.callee, asked.port)):
        yield said
    if asked.callee.waypoint and (said := of_both_kinds(subject, asked.caller.spiffe_id)):
        yield said
    if request.claims and not looks_at_tokens(subject, asked.callee):
        yield f"the claims are not seen: nobody looks at tokens at {asked.callee.name}"
    elif request.claims and _goes_past(asked):
        yield f"the claims are not seen: the caller goes past the waypoint of {asked.callee.name}, which would look"
    elif request.claims and _listener(asked) is not asked.callee:
        yield f"the claims are not seen: port {asked.port} speaks no HTTP, in which tokens are looked for"
    elif request.claims:
        yield from told_places(asked.callee, request.claims, spot_of(request.token_at, asked.callee))
    yield from taken_off(subject, asked.caller, asked.callee, asked.question, _fields(request))
