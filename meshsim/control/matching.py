"""Which calls a route is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

import msgspec

from meshsim.scenario import regex
from meshsim.scenario.routes import HeaderMatch, RouteMatch, TextMatch
from meshsim.sidecar.messages import CallTemplate


class Caller(msgspec.Struct, frozen=True):
    """Workloads of one kind: a version of a service, or a fleet."""

    workload: str
    """Service or fleet."""
    version: str = ""
    namespace: str = ""
    """Empty for a fleet, which lives outside of Kubernetes."""
    labels: Mapping[str, str] = {}


def matches(match: RouteMatch, template: CallTemplate, caller: Caller) -> bool:
    """Say whether a match describes a call of this kind."""
    return all(_conditions(match, template, caller))


def _conditions(match: RouteMatch, template: CallTemplate, caller: Caller) -> Iterator[bool]:
    path, _, query = template.path.partition("?")
    headers = dict(template.headers)
    yield match.port is None or match.port == template.port
    yield match.source_namespace is None or match.source_namespace == caller.namespace
    yield match.source_labels.items() <= caller.labels.items()
    yield match.path is None or _text(match.path, path, ignore_case=match.ignore_case)
    yield match.method is None or _text(match.method, template.method)
    yield match.authority is None or _text(match.authority, template.authority)
    yield all(_value(wanted, headers.get(name.lower())) for name, wanted in match.headers.items())
    yield not any(_value(wanted, headers.get(name.lower())) for name, wanted in match.without_headers.items())
    if match.query:
        parameters = dict(reversed(parse_qsl(query, keep_blank_values=True)))
        yield all(_value(wanted, parameters.get(name)) for name, wanted in match.query.items())


def _text(wanted: TextMatch | HeaderMatch, text: str, *, ignore_case: bool = False) -> bool:
    if wanted.regex is not None:
        return regex.full_match(wanted.regex, text)
    fold = str.lower if ignore_case else str
    if wanted.exact is not None:
        return fold(text) == fold(wanted.exact)
    return fold(text).startswith(fold(wanted.prefix or ""))


def _value(wanted: HeaderMatch, value: str | None) -> bool:
    return value is not None and (wanted.present is not None or _text(wanted, value))


def rewritten_path(match: RouteMatch | None, path: str, new: str) -> str:
    """Return the path with ``new`` in place of what was matched: of the prefix, or of all of it; the query stays.

    As Envoy's prefix_rewrite does it; what matches any path matches the prefix ``/``.
    """
    plain, mark, query = path.partition("?")
    wanted = match.path if match is not None else None
    prefix = "/" if wanted is None else wanted.prefix
    rest = "" if prefix is None else plain[len(prefix) :]
    return f"{new}{rest}{mark}{query}"
