"""Tokens in inquiries: what the rules of a called service make of one that is told by its claims, or written out."""

from __future__ import annotations

import msgspec

from meshsim.identity.token_check import Keys, Lookup
from meshsim.identity.token_places import Fields
from meshsim.identity.token_search import Inspection
from meshsim.inquiry.constants import OTHER_CLAIM, Constants, header
from meshsim.inquiry.names import listed
from meshsim.inquiry.subject import Callee, Subject
from meshsim.policy.istio import IstioEngine
from meshsim.sidecar.gate import search_of


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


def at_listener(callee: Callee, port: int, principal: str) -> Callee:
    """A service as a caller finds one of its listeners: where HTTP is not spoken, no rule of Istio looks at tokens.

    Nobody looks at those of callers that go past the waypoint that would. The port may be 0, of questions in which it
    is left out: then all its listeners are of one kind.
    """
    rules = callee.token_rules
    if rules is not None and principal in rules.past:
        return msgspec.structs.replace(callee, token_rules=None, token_check=None)
    blind = rules is not None and (port in rules.blind if port else rules.blind >= set(callee.targets.values()))
    return msgspec.structs.replace(callee, token_rules=None) if blind else callee


def by_its_engine(subject: Subject) -> Subject:
    """A subject whose services check tokens by the policies that it has now, where they have no rules of their own."""
    engine, rules_by = subject.engine, subject.token_rules_by
    if not isinstance(engine, IstioEngine) or rules_by is None:
        return subject

    def of(callee: Callee) -> Callee:
        rules = callee.token_rules
        if callee.token_check is None:
            rules = rules_by(engine, callee.service, callee.version)
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
                    constants.add_claims([tuple(claim.split("."))], {*values, OTHER_CLAIM})
                if any(not one.exact for one in patterns):
                    constants.approximate.add(f"header {name}, which tells claim {claim}, is matched in part")
            if lookup.payload_header and header(lookup.payload_header) in constants.texts:
                constants.approximate.add(f"header {lookup.payload_header} tells all claims at once")


def add_checks(before: Subject, after: Subject, constants: Constants) -> None:
    """Add the tokens that one of two subjects alone accepts, by what services say themselves, whatever policies read.

    A service that is not in both is not asked about. Where some callers go past a waypoint, they may do so on one side.
    """
    earlier, later = ({one.name: one for one in subject.callees} for subject in (before, after))
    for name in sorted(earlier.keys() & later.keys()):
        both = (earlier[name], later[name])
        checks = [one.token_check for one in both if one.token_check is not None]
        by_waypoint = any(one.token_rules is not None and one.token_rules.past for one in both)
        if both[0].token_check == both[1].token_check and not (checks and by_waypoint):
            continue
        constants.told = True
        constants.add_claims([("iss",)], [OTHER_CLAIM, *(one for check in checks for one in check.issuers)])
        if audiences := {one for check in checks for one in check.audiences}:
            constants.audiences |= audiences
            constants.add_claims([("aud",)], [OTHER_CLAIM, *audiences])
        if len({check.binding for check in checks}) > 1:
            said = f"{name} binds tokens to certificates in another way"
            constants.approximate.add(f"{said}; tokens are asked about that are bound as both want it")


def add_keys(before: Subject, after: Subject, constants: Constants) -> None:
    """Say of whose tokens two subjects check the signatures with other keys: those asked with are genuine to both."""
    earlier, later = ({one.name: one for one in _parts(subject)} for subject in (before, after))
    services: dict[str, list[str]] = {}
    for name in sorted(earlier.keys() & later.keys()):
        each = [_keys(side[name]) for side in (earlier, later)]
        for issuer in each[0].keys() & each[1].keys():
            if each[0][issuer] != each[1][issuer]:
                services.setdefault(issuer, []).append(name)
    for issuer, names in services.items():
        said = f"tokens of {issuer or 'any issuer'} are believed by other keys at {listed(names)}"
        constants.approximate.add(f"{said}; those asked about are genuine to both")


def _parts(subject: Subject) -> list[Callee]:
    return [part for one in subject.callees for part in (one, *one.versions)]


def _keys(callee: Callee) -> dict[str, set[tuple[str, str, str, str]]]:
    """The keys by which a service believes tokens, by what those say in ``iss``: key sets, and issuers of the mesh."""
    found: dict[str, set[tuple[str, str, str, str]]] = {}
    for lookup in () if callee.token_rules is None else callee.token_rules.looked:
        for one in lookup.accepted:
            who = (one.issuer.name, one.issuer.algorithm, one.issuer.trust_domain) if one.has_key else ("", "", "")
            found.setdefault(one.issuer.iss, set()).add((one.jwks, *who))
    return found
