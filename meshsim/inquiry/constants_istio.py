"""The constants of Istio policies: the values of their clauses, which have their attributes beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from itertools import combinations
from typing import Any, Final

from meshsim.inquiry.checks import METHODS
from meshsim.inquiry.constants import Constants, header
from meshsim.inquiry.patterns import ANY, ONE, TEMPLATE_REST, TEMPLATE_SEGMENT, Pattern, exactly, prefix, suffix
from meshsim.policy.engine import PolicyFile
from meshsim.policy.istio_match import SPIFFE
from meshsim.policy.istio_own import OWN_COMPARED, OWN_TEXTS, bounds_s
from meshsim.policy.istio_read import read_policies
from meshsim.policy.istio_types import Clause
from meshsim.policy.istio_values import CLAIMS, HEADERS, claim_path, in_brackets, is_template

_CLAIMS_OF: Final = {"request.auth.audiences": ("aud",), "request.auth.presenter": ("azp",)}
_MOST_IN_LISTS: Final = 3
"""Values of a claim of which every list is tried."""
_OPERATORS: Final = {"{*}": [TEMPLATE_SEGMENT], "{**}": [TEMPLATE_REST]}


def read(files: Sequence[PolicyFile]) -> Constants:
    """Read the constants of policies that the engine has accepted."""
    constants = Constants()
    policies = read_policies(files)[0]
    for token in (rule for one in policies.authentication for rule in one.rules):
        # What is accepted decides, whatever policies say of it.
        constants.add_claims([("iss",)], {token.issuer or "other", "other"})
        if token.audiences:
            constants.add_claims([("aud",)], {*token.audiences, "other"})
    for policy in policies.authorization:
        if policy.action == "CUSTOM":
            constants.approximate.add("CUSTOM policies ask others, and what those look at is not followed")
        for rule in policy.rules:
            for clauses in (*rule.sources, *rule.operations, rule.conditions):
                for clause in clauses:
                    _read(clause, constants)
    for path, values in constants.claims.items():
        if path not in (("iss",), ("sub",)):
            values |= _lists(path, values, constants)
    return constants


def _lists(path: tuple[str, ...], values: Set[Any], constants: Constants) -> set[tuple[str, ...]]:
    """Lists of values that a claim may be: any of their texts may match, so two rules can both be content."""
    texts = sorted(values - {"other"})
    if len(texts) > _MOST_IN_LISTS:
        constants.approximate.add(f"of the lists of values of claim {'.'.join(path)} some are tried, not all")
        return {tuple(texts)}
    return {chosen for size in range(2, len(texts) + 1) for chosen in combinations(texts, size)}


def _read(clause: Clause, constants: Constants) -> None:
    key, values = clause.attribute, (*clause.values, *clause.not_values)
    name = in_brackets(key).lower() if key.startswith(HEADERS) else ""
    if key == ":method" or name == ":method":
        constants.names |= {method for method in METHODS for value in values if _is_like(method, value)}
    elif key == ":path":
        constants.add_text(["path"], map(_path, values))
    elif key == ":authority" or name in (":authority", "host"):
        constants.add_text(["host"], (_pattern(value.lower()) for value in values))
    elif name == ":path":
        constants.add_text(["path", "query"], map(_pattern, values))
        constants.approximate.add("policies look at path and query together; they are tried one by one")
    elif name:
        constants.add_text([header(name)], map(_pattern, values))
    elif key in _CLAIMS_OF or key.startswith(CLAIMS):
        constants.add_claims([_CLAIMS_OF.get(key) or claim_path(key)], _texts(values))
    elif key == "request.auth.principal":
        constants.add_claims([("iss",)], _texts(value.rpartition("/")[0] or value for value in values))
        constants.add_claims([("sub",)], _texts(value.rpartition("/")[2] for value in values))
    elif key in ("source.namespace", "source.serviceAccount"):
        constants.identities = True
    elif key == "source.principal":
        constants.identities = True
        constants.principals |= {SPIFFE + value for value in values if "*" not in value}
    elif key in ("source.ip", "remote.ip"):
        constants.addresses.update(values)
    else:
        _read_own(key, values, constants)


def _read_own(key: str, values: Sequence[str], constants: Constants) -> None:
    """Keys that Istio has not."""
    if key in OWN_COMPARED:
        constants.add_numbers([OWN_COMPARED[key]], (bound for value in values for bound in bounds_s(key, value)))
    elif key.startswith("meshsim.tls."):
        constants.add_text([OWN_TEXTS[key]], map(_pattern, values))
    elif key in OWN_TEXTS:
        constants.names |= {value for value in values if "*" not in value}
        if any("*" in value and value != "*" for value in values):
            constants.approximate.add(f"{key} is matched in part; only names that are written out are tried")


def _is_like(text: str, value: str) -> bool:
    return text.startswith(value[:-1]) if value.endswith("*") else text.endswith(value.removeprefix("*"))


def _pattern(value: str) -> Pattern:
    """Exact, prefix, suffix, or anything that is not empty."""
    if value == "*":
        return Pattern((ONE, ANY))
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


def _texts(values: Iterable[str]) -> set[str]:
    """Texts that patterns tell apart, and one that none of them names."""
    found = {"other"}
    for value in values:
        if value == "*":
            continue  # any other will do
        plain = value.strip("*")
        found.add(plain if "*" not in value else f"{plain}x" if value.endswith("*") else f"x{plain}")
    return found - {""}
