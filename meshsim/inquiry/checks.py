"""What no request can have, told before an engine is asked about it."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from meshsim.scenario.errors import UsageError
from meshsim.scenario.headers import FIELDS_OF_THE_MESH, NAME
from meshsim.scenario.pattern_words import refused_text
from meshsim.scenario.tls import Cipher, Group, TlsVersion
from meshsim.scenario.tokens import COOKIE, PARAMETER
from meshsim.scenario.words import expected, show

if TYPE_CHECKING:
    from meshsim.inquiry.request import Request

METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "CONNECT")
"""Request methods of RFC 9110, section 9, and RFC 5789."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A field name (RFC 9110, section 5.1)."""
_PLACES = {"header": NAME, "param": PARAMETER, "cookie": COOKIE}
"""Kind of a place of a token → what its name is."""
_TOKEN_TEXT = re.compile(r"[!-~]+")
_NO_TEXT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
"""What no part of a request holds: control characters but the tabulator, and what is no character at all."""


def check_request(request: Request) -> None:
    """Raise UsageError for all that no request can have, whatever is asked about it."""
    if wrong := [*_of_http(request), *_of_token(request), *_of_connection(request)]:
        raise UsageError(*wrong)


def _of_http(request: Request) -> Iterator[str]:
    if request.method not in METHODS:
        yield f"--method: {show(request.method)} is not known; {expected(request.method, METHODS)}"
    if not request.path.startswith("/"):
        yield f"--path: {show(request.path)} does not begin with a slash; expected one such as '/plans'"
    texts = [("--source", request.source), ("--destination", request.destination), ("--path", request.path)]
    texts += [("--host", request.host or ""), *(("--header", value) for _, value in request.headers)]
    for what, text in texts:
        if found := _NO_TEXT.search(text):
            yield f"{what}: the character U+{ord(found[0]):04X} is in no request; expected text"
    for name, _ in request.headers:
        if not _TOKEN.fullmatch(name):
            yield f"--header: {show(name)} is no name of a header field; expected one such as 'x-tenant'"


def _of_token(request: Request) -> Iterator[str]:
    place = request.token_at
    if place is not None:
        if not re.fullmatch(_PLACES[place.kind], place.name):
            yield f"--token-at: {refused_text(place.name, _PLACES[place.kind])}"
        elif place.kind == "header" and place.name.lower() in (*FIELDS_OF_THE_MESH, "cookie"):
            yield f"--token-at: the field {show(place.name)} has a meaning of its own; expected another one"
        if request.claims is None and request.token is None:
            yield "--token-at: there is no token; expected its claims beside it"
    if request.token is not None and request.claims is not None:
        yield "--token: there are claims of another token; expected a token, or claims of one"
    if request.token is not None and not _TOKEN_TEXT.fullmatch(request.token):
        yield "--token: this is no token; expected its text alone, in one line"
    try:
        json.dumps(request.claims, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError):
        message = "the claims cannot be written as JSON, as a token has them; expected texts, numbers, lists, mappings"
        yield f"--claim: {message}"


def _of_connection(request: Request) -> Iterator[str]:
    if request.source_ip is not None:
        try:
            ipaddress.ip_address(request.source_ip)
        except ValueError:
            yield f"--source-ip: {show(request.source_ip)} is no IP address; expected one such as '10.244.0.2'"
    for what, value, kind in (
        ("--tls-version", request.tls_version, TlsVersion),
        ("--cipher", request.cipher, Cipher),
        ("--group", request.group, Group),
    ):
        if value is not None and value not in get_args(kind):
            yield f"{what}: {show(value)} is not known; {expected(value, get_args(kind))}"
