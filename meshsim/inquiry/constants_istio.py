"""The constants of Istio policies: the values of their clauses, which have their attributes beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from meshsim.inquiry.checks import METHODS
from meshsim.inquiry.constants import ANY_CASE_HOST, OTHER_CLAIM, Constants, constants_of, header, merged
from meshsim.inquiry.patterns import ANY, ONE, TEMPLATE_REST, TEMPLATE_SEGMENT, Pattern, exactly, prefix, suffix
from meshsim.policy.engine import PolicyFile
from meshsim.policy.istio_authentication import SPACE_DELIMITED
from meshsim.policy.istio_match import SPIFFE, lowered
from meshsim.policy.istio_own import OWN_COMPARED, OWN_TEXTS, TIME, bounds_s, is_part_of_day
from meshsim.policy.istio_read import read_policies
from meshsim.policy.istio_trust import with_aliases
from meshsim.policy.istio_types import Clause
from meshsim.policy.istio_values import CLAIMS, HEADERS, claim_path, in_brackets, is_template

_CLAIMS_OF: Final = {"request.auth.audiences": ("aud",), "request.auth.presenter": ("azp",)}
_OPERATORS: Final = {"{*}": [TEMPLATE_SEGMENT], "{**}": [TEMPLATE_REST]}
_ANYTHING: Final = Pattern((ONE, ANY))
"""What is not empty."""

Providers = Mapping[str, tuple[str, Sequence[PolicyFile]]]
"""Extension providers that are engines: name → engine and its files."""


def read(
    files: Sequence[PolicyFile], trust_domains: Sequence[str] = (), providers: Providers | None = None
) -> Constants:
    """Read the constants of policies that the engine has accepted, and of the providers that they ask.

    ``trust_domains``: the mesh's own and its aliases, which principals in one of them stand for.
    """
    constants = Constants()
    policies = read_policies(files)[0]
    asked: dict[str, None] = {}
    for token in (rule for one in policies.authentication for rule in one.rules):
        # What is accepted decides, whatever policies say of it.
        constants.add_claims([("iss",)], {token.issuer or OTHER_CLAIM, OTHER_CLAIM})
        if token.audiences:
            constants.audiences.update(token.audiences)
            constants.add_claims([("aud",)], {*token.audiences, OTHER_CLAIM})
        constants.split_claims |= {(name,) for name in token.space_delimited_claims if name not in SPACE_DELIMITED}
    for policy in policies.authorization:
        if policy.action == "CUSTOM":
            asked[policy.provider] = None
        for rule in policy.rules:
            for clauses in (*rule.sources, *rule.operations, rule.conditions):
                for clause in clauses:
                    _Reader(constants, policy.scope.namespace, trust_domains).clause(clause)
    constants.split_claims |= {(name,) for name in SPACE_DELIMITED if (name,) in constants.claim_texts}
    return merged([constants, *(constants_of(*providers[one]) for one in asked if providers and one in providers)])


class _Reader:
    """Reads the clauses of one policy."""

    def __init__(self, constants: Constants, namespace: str, trust_domains: Sequence[str]) -> None:
        self._constants = constants
        self._namespace = namespace
        self._trust_domains = trust_domains

    def clause(self, clause: Clause) -> None:
        """Read the constants of a clause."""
        constants = self._constants
        key, values = clause.attribute, (*clause.values, *clause.not_values)
        name = in_brackets(key).lower() if key.startswith(HEADERS) else ""
        if key == ":method" or name == ":method":
            constants.names |= {method for method in METHODS for value in values if _is_like(method, value)}
        elif key == ":path":
            constants.add_text(["path"], map(_path, values))
        elif key == ":authority":
            constants.add_text([ANY_CASE_HOST], (_pattern(lowered(value)) for value in values))
        elif name in (":authority", "host"):
            constants.add_text(["host"], map(_pattern, values))
        elif name == ":path":
            for pattern in map(_pattern, values):
                constants.add_target(pattern)
        elif name:
            constants.add_text([header(name)], map(_pattern, values))
            constants.several.add(header(name))
        elif key in _CLAIMS_OF or key.startswith(CLAIMS):
            path = _CLAIMS_OF.get(key) or claim_path(key)
            constants.claim_texts.setdefault(path, set()).update(map(_pattern, values))
            if path != ("iss",):  # which is no list in a token that somebody accepts
                constants.listed_claims.add(path)
        elif key == "request.auth.principal":
            for value in values:
                issuer, subject = _request_principal(value)
                constants.claim_texts.setdefault(("iss",), set()).add(issuer)
                constants.claim_texts.setdefault(("sub",), set()).add(subject)
        elif key == "destination.ip":
            constants.called_addresses.update(values)
        elif key in ("source.ip", "remote.ip"):
            constants.addresses.update(values)
            constants.peer_addresses |= key == "source.ip"
            constants.told_addresses |= key == "remote.ip"
        elif not self._principals(key, values):
            self._own(key, values)

    def _principals(self, key: str, values: Sequence[str]) -> bool:
        """Read what identities are compared with, if they are."""
        constants = self._constants
        found: list[Pattern] = []
        if key == "source.principal":
            aliased = with_aliases(values, self._trust_domains)
            constants.principals |= {SPIFFE + value for value in values if "*" not in value}
            found = [_principal(value) for value in aliased]
        elif key == "source.namespace":
            found = [Pattern((ANY, *"/ns/", *_expression(value), "/", ANY)) for value in values]
        elif key == "source.serviceAccount":
            for value in values:
                owner, slash, name = value.partition("/")
                owner, name = (owner, name) if slash else (self._namespace, value)
                for above in ((), (ONE, ANY, "/")):
                    for below in ((), ("/", ONE, ANY)):
                        begun = (*SPIFFE, ONE, ANY, *"/ns/", *_expression(owner), "/", *above)
                        found.append(Pattern((*begun, *"sa/", *_expression(name), *below)))
        elif key == "source.trustDomain":
            constants.identities = True
            return True
        if found:
            constants.identities = True
            constants.principal_patterns.update(found)
        return bool(found)

    def _own(self, key: str, values: Sequence[str]) -> None:
        """Keys that Istio has not."""
        constants = self._constants
        if key in OWN_COMPARED:
            days = [value for value in values if key == TIME and is_part_of_day(value)]
            constants.day_times |= {bound for value in days for bound in bounds_s(key, value)}
            bounds = (bound for value in values if value not in days for bound in bounds_s(key, value))
            constants.add_numbers([OWN_COMPARED[key]], bounds)
        elif key.startswith("meshsim.tls."):
            constants.add_text([OWN_TEXTS[key]], map(_pattern, values))
        elif key in OWN_TEXTS:
            constants.names |= {value for value in values if "*" not in value}
            constants.name_patterns |= {value for value in values if "*" in value}


def _is_like(text: str, value: str) -> bool:
    return text.startswith(value[:-1]) if value.endswith("*") else text.endswith(value.removeprefix("*"))


def _pattern(value: str) -> Pattern:
    """Exact, prefix, suffix, or anything that is not empty."""
    if value == "*":
        return _ANYTHING
    if value.startswith("*"):
        return suffix(value[1:])
    return prefix(value[:-1]) if value.endswith("*") else exactly(value)


def _path(value: str) -> Pattern:
    if not is_template(value):
        return _pattern(value)
    pieces: list[str] = []
    for index, segment in enumerate(value.split("/")):
        pieces += ["/"] if index else []
        pieces += _OPERATORS.get(segment, list(segment))
    return Pattern(tuple(pieces))


def _expression(text: str) -> tuple[str, ...]:
    """A text in which a dot is any character, and a star any number of them."""
    return tuple({".": ONE, "*": ANY}.get(character, character) for character in text)


def _principal(value: str) -> Pattern:
    """What a principal's SPIFFE ID matches; what follows a leading star is part of an expression."""
    if value == "*":
        return _ANYTHING
    if value.startswith("*"):
        return Pattern((*SPIFFE, ANY, *_expression(value[1:])))
    return prefix(SPIFFE + value[:-1]) if value.endswith("*") else exactly(SPIFFE + value)


def _request_principal(value: str) -> tuple[Pattern, Pattern]:
    """What issuer and subject match, which the last slash parts; a star stands at one end of the whole."""
    issuer, slash, subject = value.rpartition("/")
    if value == "*":
        return _ANYTHING, _ANYTHING
    if value.startswith("*"):
        if not slash:
            return _ANYTHING, suffix(value[1:])
        return _ANYTHING if issuer == "*" else suffix(issuer[1:]), exactly(subject)
    if value.endswith("*"):
        if not slash:
            return prefix(value[:-1]), _ANYTHING
        return exactly(issuer), _ANYTHING if subject == "*" else prefix(subject[:-1])
    return (exactly(issuer), exactly(subject)) if slash else (exactly(value), exactly(""))
