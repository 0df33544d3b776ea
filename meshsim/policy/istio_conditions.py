"""From clauses to what decides on them.

A clause becomes up to two conditions: any of its values matches, and none of its not-values does. Where an attribute is
found in a question is told here; how values match it, in :mod:`meshsim.policy.istio_match`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import msgspec

from meshsim.policy.istio_match import (
    SPIFFE,
    Texts,
    addresses,
    forwarded_for,
    header_values,
    hosts,
    namespaces,
    paths,
    request_principals,
    service_accounts,
    texts,
    trust_domains,
)
from meshsim.policy.istio_own import OWN_COMPARED, OWN_KEYS, OWN_TEXTS, own_match
from meshsim.policy.istio_path import Normalization, normalized
from meshsim.policy.istio_trust import with_aliases
from meshsim.policy.istio_types import Clause
from meshsim.policy.istio_values import CLAIMS, HEADERS, METADATA, claim_path, in_brackets
from meshsim.policy.question import EXTRA_ATTRIBUTES, Question
from meshsim.scenario.words import shorten

Claims = Mapping[str, Any]
Test = Callable[[Question, Claims], bool]
Read = Callable[[Question, Claims], str]

FORWARDED_FOR = "x-forwarded-for"


class Setting(msgspec.Struct, frozen=True):
    """What the meaning of a policy depends on beside its text."""

    namespace: str
    """Of the policy."""
    trust_domains: tuple[str, ...]
    """The mesh's own, and its aliases."""
    http: bool
    """Whether HTTP is spoken, or nothing above TCP can be seen."""
    normalization: Normalization
    metadata: Mapping[str, Mapping[str, str | tuple[str, ...]]]
    """What filters say of each request: filter → key → value."""


class Condition(msgspec.Struct, frozen=True):
    """Something that has to hold of a request."""

    words: str
    """As it was written, for people."""
    test: Test
    found: Read
    """What there is of it in a question, for people."""
    http_only: bool
    reads: frozenset[str]
    """Attributes of the question that it depends on."""


class _Attribute(msgspec.Struct, frozen=True):
    """One attribute of Istio's: what values of it match, where it is found."""

    match: Callable[[Sequence[str]], Test]
    found: Read
    http_only: bool = False
    reads: tuple[str, ...] = ()


def conditions(clause: Clause, setting: Setting) -> Iterator[Condition]:
    """The conditions of a clause."""
    attribute = _attribute(clause.attribute, setting)
    forms = ((clause.field, clause.values, False), (clause.not_field, clause.not_values, True))
    for field, values, negated in forms:
        if values:
            test = attribute.match(values)
            yield Condition(
                words=f"{field} {_listed(values)}",
                test=_negation(test) if negated else test,
                found=attribute.found,
                http_only=attribute.http_only,
                reads=EXTRA_ATTRIBUTES.intersection(attribute.reads),
            )


def _listed(values: Sequence[str]) -> str:
    return shorten(f"[{', '.join(values)}]", 80)


def _negation(test: Test) -> Test:
    return lambda question, claims: not test(question, claims)


def _attribute(key: str, setting: Setting) -> _Attribute:
    if key in OWN_KEYS:
        return _own(key)
    if key == f"{HEADERS}[{in_brackets(key)}]":
        return _header(in_brackets(key).lower(), setting)
    if key.startswith(CLAIMS):
        return _claim(claim_path(key))
    if key.startswith(METADATA):
        return _metadata(key, setting)
    return _ATTRIBUTES[key](setting)


def _text(name: str, matcher: Callable[[Sequence[str]], Texts] = texts) -> _Attribute:
    """An attribute of the question that is text."""

    def match(values: Sequence[str]) -> Test:
        matches = matcher(values)
        return lambda question, _claims: matches(getattr(question, name))

    return _Attribute(match, lambda question, _claims: getattr(question, name), reads=(name,))


def _principal(matcher: Callable[[Sequence[str]], Texts]) -> _Attribute:
    """The identity that the peer proved; one that proved none matches nothing."""

    def match(values: Sequence[str]) -> Test:
        matches = matcher(values)
        return lambda question, _claims: matches(question.principal)

    return _Attribute(match, lambda question, _claims: question.principal.removeprefix(SPIFFE))


def _source_principal(setting: Setting) -> _Attribute:
    return _principal(lambda values: texts(with_aliases(values, setting.trust_domains), SPIFFE))


def _source_trust_domain(setting: Setting) -> _Attribute:
    own = setting.trust_domains
    return _principal(
        lambda values: trust_domains([name for value in values for name in (own if value in own else (value,))])
    )


def _path(setting: Setting) -> _Attribute:
    mode = setting.normalization

    def read(question: Question, _claims: Claims) -> str:
        return normalized(question.path, mode) or ""

    def match(values: Sequence[str]) -> Test:
        matches = paths(values)
        return lambda question, _claims: matches(normalized(question.path, mode) or "")

    return _Attribute(match, read, http_only=True)


def _method(_setting: Setting) -> _Attribute:
    def match(values: Sequence[str]) -> Test:
        matches = header_values(values)
        return lambda question, _claims: matches(question.method)

    return _Attribute(match, lambda question, _claims: question.method, http_only=True)


def _host(_setting: Setting) -> _Attribute:
    def match(values: Sequence[str]) -> Test:
        matches = hosts(values)
        return lambda question, _claims: bool(question.host) and matches(question.host)

    return _Attribute(match, lambda question, _claims: question.host, http_only=True, reads=("host",))


def _port(_setting: Setting) -> _Attribute:
    def match(values: Sequence[str]) -> Test:
        ports = frozenset(map(int, values))
        return lambda question, _claims: question.port in ports

    return _Attribute(match, lambda question, _claims: str(question.port), reads=("port",))


def _remote_ip(setting: Setting) -> _Attribute:
    """The client's address: by a header field where HTTP is spoken, else the peer's."""
    if not setting.http:
        return _text("source_ip", addresses)

    def read(question: Question, _claims: Claims) -> str:
        return forwarded_for(",".join(fields(question.headers, FORWARDED_FOR)), question.source_ip)

    def match(values: Sequence[str]) -> Test:
        matches = addresses(values)
        return lambda question, claims: matches(read(question, claims))

    return _Attribute(match, read, reads=("headers", "source_ip"))


def fields(headers: tuple[tuple[str, str], ...], name: str) -> list[str]:
    """The values of the header fields of one name."""
    return [value for key, value in headers if key == name]


def _header(name: str, setting: Setting) -> _Attribute:
    """A header field, of which any value may match: since 1.38, Envoy looks at each by itself (CVE-2026-26308)."""
    pseudo: dict[str, tuple[Callable[[Question], list[str]], tuple[str, ...]]] = {
        ":method": (lambda question: [question.method], ()),
        ":authority": (lambda question: [question.host] if question.host else [], ("host",)),
        ":path": (lambda question: [_target(question, setting.normalization)], ("query",)),
    }
    pseudo["host"] = pseudo[":authority"]  # Envoy knows the one by the name of the other
    values_of, reads = pseudo.get(name, (lambda question: fields(question.headers, name), ("headers",)))

    def match(values: Sequence[str]) -> Test:
        matches = header_values(values)
        return lambda question, _claims: any(map(matches, values_of(question)))

    return _Attribute(match, lambda question, _claims: ", ".join(values_of(question)), http_only=True, reads=reads)


def _target(question: Question, mode: Normalization) -> str:
    path = normalized(question.path, mode) or ""
    return f"{path}?{question.query}" if question.query else path


def _claim(names: tuple[str, ...]) -> _Attribute:
    def value(claims: Any) -> Any:
        for name in names:
            claims = claims.get(name) if isinstance(claims, Mapping) else None
        return claims

    def match(values: Sequence[str]) -> Test:
        matches = texts(values)
        return lambda _question, claims: any_text(value(claims), matches)

    return _Attribute(match, lambda _question, claims: _told(value(claims)), http_only=True, reads=("claims",))


def any_text(value: Any, matches: Texts) -> bool:
    """Whether a value is a text that matches, or a list with one; numbers and truth values never match."""
    if isinstance(value, str):
        return matches(value)
    return isinstance(value, list) and any(isinstance(one, str) and matches(one) for one in value)


def _told(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _request_principal(_setting: Setting) -> _Attribute:
    def match(values: Sequence[str]) -> Test:
        matches = request_principals(values)

        def test(_question: Question, claims: Claims) -> bool:
            issuer, subject = claims.get("iss"), claims.get("sub")
            return isinstance(issuer, str) and isinstance(subject, str) and matches(issuer, subject)

        return test

    def found(_question: Question, claims: Claims) -> str:
        return f"{_told(claims.get('iss'))}/{_told(claims.get('sub'))}" if claims else ""

    return _Attribute(match, found, http_only=True, reads=("claims",))


def _metadata(key: str, setting: Setting) -> _Attribute:
    """What a filter says of each request: the same of each, so that it is known beforehand."""
    name, _, rest = key.removeprefix("experimental.").partition("[")
    said = setting.metadata.get(name, {}).get(rest.removesuffix("]"))

    def match(values: Sequence[str]) -> Test:
        holds = any(_is_said(value, said) for value in values)
        return lambda _question, _claims: holds

    return _Attribute(match, lambda _question, _claims: str(said or ""))


def _is_said(value: str, said: str | tuple[str, ...] | None) -> bool:
    """Whether a value matches what a filter says: a text, or with brackets around it, an entry of a list."""
    if value.startswith("[") and value.endswith("]"):
        return isinstance(said, tuple) and any(map(texts([value.strip("[]")]), said))
    return isinstance(said, str) and texts([value])(said)


def _own(key: str) -> _Attribute:
    if key in OWN_TEXTS:
        return _text(OWN_TEXTS[key])

    def match(values: Sequence[str]) -> Test:
        tests = tuple(own_match(key, value) for value in values)
        return lambda question, _claims: any(test(question) for test in tests)

    name = OWN_COMPARED[key]
    return _Attribute(match, lambda question, _claims: str(getattr(question, name)), reads=(name,))


_ATTRIBUTES: Mapping[str, Callable[[Setting], _Attribute]] = MappingProxyType(
    {
        "source.principal": _source_principal,
        "source.namespace": lambda _setting: _principal(namespaces),
        "source.serviceAccount": lambda setting: _principal(partial(service_accounts, namespace=setting.namespace)),
        "source.trustDomain": _source_trust_domain,
        "source.ip": lambda _setting: _text("source_ip", addresses),
        "remote.ip": _remote_ip,
        "request.auth.principal": _request_principal,
        "request.auth.audiences": lambda _setting: _claim(("aud",)),
        "request.auth.presenter": lambda _setting: _claim(("azp",)),
        ":authority": _host,
        ":method": _method,
        ":path": _path,
        "destination.ip": lambda _setting: _text("destination_ip", addresses),
        "destination.port": _port,
        "connection.sni": lambda _setting: _text("sni"),
    }
)
