"""What is left of a request when policy is asked: the called sidecar takes off what it does not believe, as in runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from meshsim.identity.token_check import are_meant
from meshsim.identity.token_places import Fields
from meshsim.identity.token_search import Inspection
from meshsim.inquiry.admission import nobody_behind
from meshsim.inquiry.constants import OTHER_CLAIM, Constants, header
from meshsim.inquiry.placing import ANYWHERE, Carried, Spot, add_places, carry, names_written
from meshsim.inquiry.presented import add_told, at_listener, written_out
from meshsim.inquiry.subject import Callee, Caller, Subject, TokenCheck
from meshsim.policy.istio import IstioEngine
from meshsim.policy.question import Decision, Question, token_refusal
from meshsim.scenario.token_reasons import MISSING, UNKNOWN_ISSUER, WRONG_AUDIENCE
from meshsim.sidecar.received import CLIENT_CERT, end_to_end, received
from meshsim.sidecar.received import Caller as Sender

_OF_TLS = frozenset({"tls_version", "cipher", "group", "certificate_age_s"})
UNKNOWN_HASH = "0" * 64
"""In place of the hash of a certificate that nobody has minted."""


class Arrived(msgspec.Struct, frozen=True):
    """A request as policy sees it."""

    question: Question
    refused: Decision | None = None
    """The decision by which its token is refused before policy is asked; None if it is not."""


def arrived(
    subject: Subject,
    caller: Caller,
    callee: Callee,
    question: Question,
    claims: str | None,
    said: Container[str] | None = None,
    found: Inspection | None = None,
    spot: Spot = ANYWHERE,
    clock_s: int | None = None,
) -> Arrived:
    """What becomes of a question at the called sidecar, which looks at the token and at header fields.

    It has all header fields and the query of the request, and loses what no policy reads.

    ``claims`` are those of the token, None without one. ``said``: the claims of which it is known whether the token has
    them; None: those that it has. Of all others it is taken to have what makes it valid. ``found``: what came of tokens
    that stand in the request. ``spot``: where the token with these claims is. ``clock_s``: when that is, if not at the
    start.
    """
    callee = at_listener(callee, question.port, question.principal)
    headers = believed(subject, caller, callee, question.headers, mutual=question.mutual)
    carried = carry(callee, headers, question.query, claims, said, spot)
    check = callee.token_check
    reason = "" if check is None else refusal(check, None if carried.unseen else claims, said)
    refused = token_refusal(reason) if reason else carried.refused
    if found is None and refused is None:
        refused = _stray(callee, headers, question.query, carried, subject.epoch_s if clock_s is None else clock_s)
    if refused is not None:
        return Arrived(question, refused)
    changed: dict[str, Any] = {}
    if question.claims and (carried.unseen or not looks_at_tokens(subject, callee)):
        changed["claims"] = ""
    after, query = carried.headers, carried.query
    if found is not None:
        after, query = found.headers, found.target.partition("?")[2]
    changed |= {"headers": after if "headers" in _reads(subject) else ()}
    changed |= {"query": query if "query" in _reads(subject) else ""}
    return Arrived(msgspec.structs.replace(question, **changed))


def _stray(callee: Callee, headers: Fields, query: str, carried: Carried, clock_s: int) -> Decision | None:
    """The refusal of what else stands where tokens are looked for: several tokens have all to be good."""
    own = carried.place
    replaced = own.name if own is not None and own.kind == "header" else ""
    others = tuple(field for field in headers if field[0] != replaced)
    if not others and not query:
        return None
    found = written_out(callee, others, f"/?{query}", clock_s, carried.lookup)
    return None if found is None else refusal_of(found)


def refusal_of(found: Inspection) -> Decision | None:
    """The decision on a request whose tokens came to this; None if they are not refused."""
    verdict = found.verdict
    return token_refusal(verdict.reason, verdict.by) if verdict.reason else None


def looks_at_tokens(subject: Subject, callee: Callee) -> bool:
    """Whether anybody checks tokens there; else policies see no claims."""
    if callee.token_check is not None:
        return True
    return isinstance(subject.engine, IstioEngine) and subject.engine.looks_at_tokens(callee.service, callee.version)


def refusal(check: TokenCheck, claims: str | None, said: Container[str] | None = None) -> str:
    """The rule by which ``request_authentication`` refuses a token with these claims; empty if it does not."""
    if claims is None:
        return MISSING if check.required else ""
    found = _parsed(claims)
    known = found if said is None else said
    if "iss" in known and found.get("iss") not in check.issuers:
        return UNKNOWN_ISSUER
    named = found.get("aud", [])
    listed = [str(one) for one in named] if isinstance(named, list) else [str(named)]
    return WRONG_AUDIENCE if check.audiences and "aud" in known and not are_meant(listed, check.audiences) else ""


@lru_cache(maxsize=4096)
def _parsed(claims: str) -> Mapping[str, Any]:
    return dict(json.loads(claims))


def believed(
    subject: Subject, caller: Caller, callee: Callee, headers: Sequence[tuple[str, str]], *, mutual: bool
) -> tuple[tuple[str, str], ...]:
    """The header fields that policy sees: without those that the sidecar removes, with what it writes itself."""
    fields = end_to_end(tuple(headers))
    if subject.header_rules is None:
        return fields
    sender = Sender(not caller.in_mesh, mutual, caller.spiffe_id, UNKNOWN_HASH)
    return received(fields, subject.header_rules, sender, callee.spiffe_id)


def taken_off(
    subject: Subject, caller: Caller, callee: Callee, question: Question, headers: Sequence[tuple[str, str]]
) -> list[str]:
    """What the sidecar does to the header fields of a request, for people."""
    after = believed(subject, caller, callee, headers, mutual=question.mutual)
    kept = {name for name, _ in end_to_end(tuple(headers))}
    words = []
    for name in dict.fromkeys(name for name, _ in headers):
        if name not in kept:
            words.append(f"header {name} is removed: it is about one hop alone")
        elif name == CLIENT_CERT and (name, dict(headers)[name]) not in after:
            side = "from_services" if caller.in_mesh else "from_fleets"
            words.append(f"header {name} is not taken as it is: mesh.http.client_cert.{side}")
        elif callee.token_rules is not None and name in names_written(callee.token_rules):
            words.append(f"header {name} is removed: what tokens say is written into it")
        elif name not in dict(after):
            words.append(f"header {name} is removed: mesh.http.identity_headers")
    written = dict(after).get(CLIENT_CERT, "")
    if UNKNOWN_HASH in written and any(CLIENT_CERT in file.text.lower() for file in subject.files):
        words.append(f"header {CLIENT_CERT} tells of the caller's certificate; its hash is not known without a run")
    return words


def of_mesh(subject: Subject, constants: Constants) -> Constants:
    """The constants of policies, with what the scenario's own settings add to them."""
    add_told(subject, constants)
    add_places(subject, constants)
    if constants.claims and any(callee.token_check and callee.token_check.required for callee in subject.callees):
        constants.add_claims([("iss",)], [OTHER_CLAIM])  # which tells a token from none
    for name, values in (("iss", subject.issuers), ("aud", subject.audiences)):
        listed = any(isinstance(one, tuple) for one in constants.claims.get((name,), ()))
        if (name,) in constants.claims:
            constants.add_claims([(name,)], [(value,) if listed else value for value in values])
    for callee in subject.callees:
        constants.audiences.update(() if callee.token_check is None else callee.token_check.audiences)
    constants.approximate |= set(_of_waypoints(subject))
    rules = subject.header_rules
    if rules is not None and rules.says_who_calls and header(CLIENT_CERT) in constants.texts:
        said = "the hash of a certificate, which {} tells, is not known without a run"
        other = "{} tells who calls, beside what the caller says in it; not all that it can be is tried"
        constants.approximate.add((said if "Hash" in rules.certificate_fields else other).format(CLIENT_CERT))
    return constants


def _of_waypoints(subject: Subject) -> Iterator[str]:
    """What is not as it is asked about where waypoints stand between callers and services."""
    engine = subject.engine
    if not isinstance(engine, IstioEngine):
        return
    parts = [part for one in subject.callees for part in (one.versions or (one,))]
    for callee in parts:
        seen = engine.reads_behind_waypoint(callee.service, callee.version) & _OF_TLS if callee.door else None
        if seen:
            said = f"behind its waypoint, policies for {callee.name} see the TLS connection of the waypoint"
            yield f"{said}; the caller's is asked about ({', '.join(sorted(seen))})"
        yield from filter(None, (nobody_behind(callee, port) for port in callee.ports))
    if not any(callee.waypoint for callee in parts):
        return
    held = Counter(caller.spiffe_id for caller in subject.callers)
    for spiffe_id in sorted(one for one, number in held.items() if number > 1):
        if said := of_both_kinds(subject, spiffe_id):
            yield said


def of_both_kinds(subject: Subject, spiffe_id: str) -> str:
    """What cannot be told of an identity that workloads with sidecars and without have, for people; else empty."""
    if len({caller.proxy for caller in subject.callers if caller.spiffe_id == spiffe_id}) < 2:
        return ""
    return (
        f"{spiffe_id} is the identity of workloads with sidecars and without, and alike to waypoints that some go past"
    )


def notes_of(subjects: Sequence[Subject], constants: Constants) -> list[str]:
    """What policies compare with and cannot see, for people."""
    notes: dict[str, None] = {}
    for subject in subjects:
        if "claims" in _reads(subject) and not any(looks_at_tokens(subject, callee) for callee in subject.callees):
            notes[f"{subject.name}: nobody looks at tokens, so policies see no claims"] = None
        rules = subject.header_rules
        for attribute in sorted(constants.texts) if rules is not None else []:
            name = attribute.removeprefix("header ")
            if rules is not None and name != attribute and rules.is_forged(name):
                notes[f"header {name} is removed from what fleets and strangers send: mesh.http.identity_headers"] = (
                    None
                )
    return list(notes)


def _reads(subject: Subject) -> frozenset[str]:
    return frozenset() if subject.engine is None else subject.engine.reads
