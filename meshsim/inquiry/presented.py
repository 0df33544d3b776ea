"""Tokens in inquiries: what the rules of a called service make of one that is told by its claims, or written out."""

from __future__ import annotations

import msgspec

from meshsim.identity.token_check import Keys, Lookup, TokenRules
from meshsim.identity.token_places import Fields
from meshsim.identity.token_search import Inspection
from meshsim.inquiry.constants import Constants, header
from meshsim.inquiry.subject import Callee, Subject
from meshsim.policy.istio import IstioEngine
from meshsim.scenario.tokens import LEEWAY_NS
from meshsim.scenario.units import NS_PER_S
from meshsim.sidecar.gate import search_of
from meshsim.world.tokens import lookups_of


def written_out(
    callee: Callee, headers: Fields, target: str, clock_s: int, by: Lookup | None = None
) -> Inspection | None:
    """What becomes of the tokens that stand in a request; None if none are where it is looked, or rule ``by`` looks."""
    rules = callee.token_rules
    if rules is None:
        return None
    if by is not None:
        rules = msgspec.structs.replace(rules, accepted=by.accepted, lookups=(by,))
    keys: Keys = callee.token_keys
    found = search_of(rules).look(headers, target, {}, clock_s, "", keys)
    return found if found.checked else None


def by_its_engine(subject: Subject) -> Subject:
    """A subject whose services check tokens by the policies that it has now, where they have no rules of their own."""
    engine = subject.engine
    if not isinstance(engine, IstioEngine):
        return subject
    known = [part.token_rules for one in subject.callees for part in (one, *one.versions) if part.token_rules]
    issuers = tuple(dict.fromkeys(one.issuer for rules in known for one in rules.accepted))

    def of(callee: Callee) -> Callee:
        rules = callee.token_rules
        if callee.token_check is None:
            lookups = lookups_of(engine.token_rules(callee.service, callee.version), issuers)
            accepted = tuple(each for lookup in lookups for each in lookup.accepted)
            rules = TokenRules(accepted, False, "ignored", LEEWAY_NS // NS_PER_S, lookups) if lookups else None
        return msgspec.structs.replace(callee, token_rules=rules, versions=tuple(map(of, callee.versions)))

    return msgspec.structs.replace(subject, callees=tuple(map(of, subject.callees)))


def add_told(subject: Subject, constants: Constants) -> None:
    """Add the values of claims that policies compare by the header fields into which they are written."""
    for callee in (part for one in subject.callees for part in (one, *one.versions)):
        for lookup in () if callee.token_rules is None else callee.token_rules.looked:
            for name, claim in lookup.claim_headers:
                patterns = constants.texts.get(header(name), ())
                values = {"".join(one.pieces) for one in patterns if one.exact}
                if patterns:
                    constants.told = True
                    constants.add_claims([tuple(claim.split("."))], {*values, "other"})
                if any(not one.exact for one in patterns):
                    constants.approximate.add(f"header {name}, which tells claim {claim}, is matched in part")
            if lookup.payload_header and header(lookup.payload_header) in constants.texts:
                constants.approximate.add(f"header {lookup.payload_header} tells all claims at once")
