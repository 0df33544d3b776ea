"""Values in Istio's policies that are valid and can hardly be meant as they are taken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from meshsim.policy.istio_types import Clause, JwtRule, Policies, RequestAuthentication
from meshsim.policy.istio_values import CLAIMS, HEADERS, is_template
from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.words import show

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
"""Methods of HTTP (RFC 9110, section 9; RFC 5789)."""
_EXPRESSION = re.compile(r"(^|/)\.\*|\.\+|\.\*.|^\^|\$$|\\|\[[^\]]*\][+*?]?|\([^()]*\|[^()]*\)")
"""What looks as if a regular expression were meant: ``/.*``, ``[0-9]+``, ``(a|b)``, ``^`` in front."""
_NEVER = "so it never matches"

Odd = Callable[[str], Iterator[str]]
"""What is odd about a value: how it is taken, and what may be meant."""


def odd_values(policies: Policies) -> Iterator[Diagnostic]:
    """Every value that is taken otherwise than it seems to be meant, and what of rules for tokens is not simulated."""
    for clause in clauses_of(policies):
        yield from _of_clause(clause)
    for authentication in policies.authentication:
        beside = [one for each in policies.authentication if _covers(each, authentication) for one in each.rules]
        for rule in authentication.rules:
            for said in _overwritten(rule, beside):
                yield rule.place.diagnostic(f"{authentication.name} {said}")


def _covers(one: RequestAuthentication, other: RequestAuthentication) -> bool:
    """Whether an object holds wherever another does, so that their rules are together there."""
    wide, narrow = one.scope, other.scope
    if wide.namespace != narrow.namespace or bool(wide.targets) != bool(narrow.targets):
        return False
    named = [{(target.kind, target.name) for target in each.targets} for each in (wide, narrow)]
    return named[0] >= named[1] and wide.selector.items() <= narrow.selector.items()


def _overwritten(rule: JwtRule, beside: Sequence[JwtRule]) -> Iterator[str]:
    """Fields in which a rule looks for tokens and one beside it writes: Envoy first takes off what is there."""
    looked = {name for name, _ in rule.from_headers}
    if not (rule.from_headers or rule.from_params or rule.from_cookies):
        looked = {"authorization"}
    written = {one.output_payload_to_header for one in beside}
    written |= {header for one in beside for header, _ in one.output_claims_to_headers}
    for name in sorted(looked & written):
        yield (
            f"looks for tokens in {show(name)}, into which outputClaimToHeaders or outputPayloadToHeader writes: what "
            "callers put there is taken off before, so that no token is ever found in it; expected another field"
        )


def clauses_of(policies: Policies) -> Iterator[Clause]:
    """Every clause of the rules of authorization."""
    for policy in policies.authorization:
        for rule in policy.rules:
            for alternative in (*rule.sources, *rule.operations, rule.conditions):
                yield from alternative


def _of_clause(clause: Clause) -> Iterator[Diagnostic]:
    odd = _odd(clause.attribute)
    for field, values in ((clause.field, clause.values), (clause.not_field, clause.not_values)):
        for value in values:
            for said in odd(value):
                yield clause.place.diagnostic(f"{field} {show(value)} {said}")


def _odd(attribute: str) -> Odd:
    if attribute.startswith((HEADERS, CLAIMS)):
        pseudo = {f"{HEADERS}[:method]": _method, f"{HEADERS}[:path]": _any_path}
        return pseudo.get(attribute.lower(), _text)
    return _KINDS.get(attribute, _nothing)


def _nothing(_text: str) -> Iterator[str]:
    yield from ()


def _text(text: str) -> Iterator[str]:
    """What holds of any text that is matched as a whole, by prefix or by suffix."""
    body = text.removeprefix("*") if text.startswith("*") else text.removesuffix("*")
    if text != "*" and "*" in body:
        where = "at its end" if text.startswith("*") and body.endswith("*") and body.count("*") == 1 else "in it"
        yield f"has a star {where} that stands for itself: a star is a wildcard at one end alone"
    if _EXPRESSION.search(text):
        yield "looks like a regular expression, but is taken as it is written; expected text, with a star at one end"
    if text != text.strip():
        yield "has white space around it, which is part of the text; expected it without"


def _method(text: str) -> Iterator[str]:
    yield from _text(text)
    bare = text.strip("*").strip()
    if bare != bare.upper() and any(bare.upper() in method for method in METHODS):
        yield f"is not in upper case, as methods are, {_NEVER}; expected {show(text.upper())}"


def _any_path(text: str) -> Iterator[str]:
    yield from () if is_template(text) else _text(text)
    if not text.startswith(("/", "*")):
        yield f"does not begin with a slash, as every path does, {_NEVER}; expected {show('/' + text)}"


def _path(text: str) -> Iterator[str]:
    yield from _any_path(text)
    if "?" in text or "#" in text:
        yield f"holds a query or fragment, which is no part of the path that is compared, {_NEVER}"


def _host(text: str) -> Iterator[str]:
    yield from _text(text)
    if "/" in text:
        yield f"holds a slash, which no host has, {_NEVER}; expected the host alone"


def _namespace(text: str) -> Iterator[str]:
    if text and not text.strip("*"):
        yield "asks for no certain namespace: everybody matches who has the identity of a service account"


def _request_principal(text: str) -> Iterator[str]:
    yield from _text(text)
    if "*" not in text and "/" not in text:
        yield "has no slash between issuer and subject, so it matches no token with a subject; expected ISSUER/SUBJECT"


_KINDS: Mapping[str, Odd] = MappingProxyType(
    {
        ":method": _method,
        ":path": _path,
        ":authority": _host,
        "source.principal": _text,
        "source.namespace": _namespace,
        "request.auth.principal": _request_principal,
        "request.auth.audiences": _text,
        "request.auth.presenter": _text,
        "connection.sni": _text,
    }
)
