"""Where requests carry tokens: found, put there, and taken off as Envoy's JWT filter does (extractor.cc).

A place is a header field with what stands before the token in it, a parameter of the query, or a cookie. Header fields
are looked at first, then parameters, then cookies, each in the order of their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal
from urllib.parse import unquote

import msgspec

Fields = tuple[tuple[str, str], ...]
"""Header fields, names in lower case."""


class Place(msgspec.Struct, frozen=True):
    """Where a request carries a token."""

    kind: Literal["header", "param", "cookie"]
    name: str
    """In lower case, of a header field."""
    prefix: str = ""
    """What stands before the token in a header field; empty: the field is the token."""


BEARER: Final = Place("header", "authorization", "Bearer ")
"""RFC 6750, section 2.1."""
DEFAULT_PLACES: Final = (BEARER, Place("param", "access_token"))
"""Where a token is looked for unless places are named (RFC 6750, sections 2.1 and 2.3)."""
_ORDER: Final = ("header", "param", "cookie")
_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def places_of(headers: Iterable[tuple[str, str]], params: Iterable[str], cookies: Iterable[str]) -> tuple[Place, ...]:
    """The places that rules name: header fields with their prefixes, parameters, cookies; the usual ones for none."""
    named = [Place("header", name.lower(), prefix) for name, prefix in headers]
    named += [Place("param", name) for name in params] + [Place("cookie", name) for name in cookies]
    return tuple(named) or DEFAULT_PLACES


def joined(headers: Fields) -> Fields:
    """The fields as Envoy keeps them: several ``authorization`` are one, with commas (RFC 9110, section 5.3)."""
    values = [value for name, value in headers if name == BEARER.name]
    if len(values) < 2:
        return headers
    at = next(index for index, (name, _) in enumerate(headers) if name == BEARER.name)
    others = tuple(field for field in headers[at:] if field[0] != BEARER.name)
    return (*headers[:at], (BEARER.name, ",".join(values)), *others)


def found(places: Iterable[Place], headers: Fields, target: str) -> Iterator[tuple[Place, str]]:
    """What stands at these places of a request, in the order in which it is looked for."""
    for place in sorted(set(places), key=lambda one: (_ORDER.index(one.kind), one.name + one.prefix)):
        if place.kind == "header":
            for name, value in headers:
                text = _after(value, place.prefix) if name == place.name else None
                if text is not None:
                    yield place, text
        else:
            pairs = _cookies(headers) if place.kind == "cookie" else parameters(target)
            value_of = next((value for name, value in pairs if name == place.name), None)
            if value_of is not None:
                yield place, value_of


def _after(value: str, prefix: str) -> str | None:
    """What follows on the prefix, wherever that is, from the first character that a JWT may have; None without it."""
    if not prefix:
        return value
    at = value.find(prefix)
    if at < 0:
        return None
    rest = at + len(prefix)
    begin = next((index for index in range(rest, len(value)) if value[index] in _CHARACTERS), None)
    return value if begin is None else value[begin:]


def parameters(target: str) -> list[tuple[str, str]]:
    """The parameters of a request target's query, decoded."""
    _, _, query = target.partition("#")[0].partition("?")
    pairs = (part.partition("=") for part in query.split("&") if part)
    return [(unquote(name), unquote(value)) for name, _, value in pairs]


def _cookies(headers: Fields) -> list[tuple[str, str]]:
    pairs = []
    for name, value in headers:
        if name == "cookie":
            for one in value.split(";"):
                key, equals, text = one.lstrip(" ").partition("=")
                if equals:
                    quoted = len(text) >= 2 and text[0] == text[-1] == '"'
                    pairs.append((key, text[1:-1] if quoted else text))
    return pairs


def taken_off(place: Place, headers: Fields, target: str) -> tuple[Fields, str]:
    """A request without the token at a place: without the field or parameter; cookies stay as they are."""
    if place.kind == "header":
        return tuple(field for field in headers if field[0] != place.name), target
    if place.kind == "param":
        path = target.partition("?")[0]
        left = sorted((pair for pair in parameters(target) if pair[0] != place.name), key=lambda pair: pair[0])
        query = "&".join(f"{name}={value}" for name, value in left)
        return headers, f"{path}?{query}" if query else path
    return headers, target


def put(place: Place, text: str, headers: Fields, target: str) -> tuple[Fields, str]:
    """A request with a token at a place: a field before all others, a parameter after them, or one more cookie."""
    if place.kind == "header":
        return ((place.name, place.prefix + text), *headers), target
    if place.kind == "param":
        return headers, f"{target}{'&' if '?' in target else '?'}{place.name}={text}"
    others = tuple(field for field in headers if field[0] != "cookie")
    before = "; ".join(value for name, value in headers if name == "cookie")
    cookie = f"{place.name}={text}"
    return (*others, ("cookie", f"{before}; {cookie}" if before else cookie)), target
