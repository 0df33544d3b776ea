"""Requests in HTTP/1.1 that two recipients may read differently, as somebody sends them who wants just that."""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from meshsim.sidecar import http1
from meshsim.sidecar.received import Fields

if TYPE_CHECKING:
    from meshsim.sidecar.messages import CallTemplate

EXPECTED: Final = MappingProxyType(
    {
        "two-lengths": http1.TWO_LENGTHS,
        "length-and-chunked": http1.LENGTH_AND_CHUNKED,
        "bad-length": http1.BAD_LENGTH,
        "hidden-chunked": http1.BAD_CODING,
        "bad-chunk": http1.BAD_CHUNK,
        "folded-field": http1.FOLDED,
        "bare-line-feed": http1.BARE_LINE_END,
        "bare-carriage-return": http1.BARE_LINE_END,
        "space-before-colon": http1.SPACE_BEFORE_COLON,
    }
)
"""Why each shape is refused."""

BAD_REQUEST_BODY_BYTES: Final = 11


def bad_request(fields: Fields) -> bytes:
    """The answer, as Envoy words it, with the fields that a sidecar adds."""
    own = (("content-length", "11"), ("content-type", "text/plain"), *fields, ("connection", "close"))
    lines = ("HTTP/1.1 400 Bad Request", *(f"{name}: {value}" for name, value in own), "", "Bad Request")
    return "\r\n".join(lines).encode("ascii")


def why_unread(template: CallTemplate) -> str:
    """Why requests of a kind are refused before they are read, one of ``http1.REFUSALS``; empty if they are not."""
    if template.malformed:
        return EXPECTED[template.malformed]
    return http1.BAD_CONNECTION if template.http1 and http1.connection_problem(template.headers) else ""


_SMUGGLED: Final = "GET /smuggled HTTP/1.1\r\nhost: {authority}\r\n\r\n"


@lru_cache(maxsize=1024)
def malformed_request(shape: str, method: str, path: str, authority: str, body_bytes: int) -> bytes:
    """The bytes of a request of one shape, with another request hidden in it where the shape is for that."""
    head = f"{method} {path} HTTP/1.1\r\nhost: {authority}\r\n"
    hidden = _SMUGGLED.format(authority=authority)
    body = hidden + "x" * max(0, body_bytes - len(hidden))
    length = f"content-length: {len(body)}\r\n"
    match shape:
        case "two-lengths":
            text = f"{head}content-length: 0\r\n{length}\r\n{body}"
        case "length-and-chunked":
            chunked = f"0\r\n\r\n{body}"
            text = f"{head}content-length: {len(chunked)}\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"
        case "bad-length":
            text = f"{head}content-length: +{len(body)}\r\n\r\n{body}"
        case "hidden-chunked":
            text = f"{head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{body}"
        case "bad-chunk":
            text = f"{head}transfer-encoding: chunked\r\n\r\n0x{len(body):x}\r\n{body}\r\n0\r\n\r\n"
        case "folded-field":
            text = f"{head}x-note: a\r\n transfer-encoding: chunked\r\n{length}\r\n{body}"
        case "bare-line-feed":
            text = f"{head}x-note: a\n{length}\r\n{body}"
        case "bare-carriage-return":
            text = f"{head}x-note: a\rtransfer-encoding: chunked\r\n{length}\r\n{body}"
        case "space-before-colon":
            text = f"{head}transfer-encoding : chunked\r\n{length}\r\n{body}"
        case _:
            raise AssertionError(f"no shape is called {shape!r}")
    return text.encode()
