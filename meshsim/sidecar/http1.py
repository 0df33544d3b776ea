"""Requests in HTTP/1.1, read strictly (RFC 9112): whatever is accepted has exactly one reading.

RFC 9112 lets a recipient repair much: bare line feeds (section 2.2), folded fields (5.2), two lengths that agree
(RFC 9110, section 8.6), a length beside chunks (6.3). Two recipients that repair differently disagree where a request
ends, and what one takes for a body is a request to the other: request smuggling. So nothing is repaired here.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from meshsim.sidecar.received import options

TWO_LENGTHS: Final = "two-lengths"
LENGTH_AND_CHUNKED: Final = "length-and-chunked"
BAD_LENGTH: Final = "bad-length"
BAD_CODING: Final = "bad-transfer-coding"
BAD_CHUNK: Final = "bad-chunk"
FOLDED: Final = "folded-field"
BARE_LINE_END: Final = "bare-line-end"
SPACE_BEFORE_COLON: Final = "space-before-colon"
BAD_FIELD: Final = "bad-field"
BAD_REQUEST_LINE: Final = "bad-request-line"
BAD_HOST: Final = "bad-host"
BAD_TRAILER: Final = "bad-trailer"
TOO_LARGE: Final = "fields-too-large"
BAD_CONNECTION: Final = "bad-connection"

REFUSALS: Final = {
    BAD_REQUEST_LINE: "not method, target and HTTP/1.1 with one space between (RFC 9112, section 3)",
    BARE_LINE_END: "a carriage return or line feed on its own (RFC 9112, section 2.2)",
    FOLDED: "a line that goes on the field before it (RFC 9112, section 5.2)",
    SPACE_BEFORE_COLON: "white space between a field's name and its colon (RFC 9112, section 5.1)",
    BAD_FIELD: "a line that is no field, or a value with control characters (RFC 9110, section 5.5)",
    BAD_HOST: "not exactly one Host (RFC 9112, section 3.2)",
    LENGTH_AND_CHUNKED: "Content-Length beside Transfer-Encoding (RFC 9112, section 6.1)",
    TWO_LENGTHS: "more than one Content-Length (RFC 9110, section 8.6)",
    BAD_LENGTH: "a Content-Length that is not decimal digits alone (RFC 9110, section 8.6)",
    BAD_CODING: "a Transfer-Encoding other than chunked (RFC 9112, section 6.1)",
    BAD_CHUNK: "a chunk whose size or end is not as RFC 9112, section 7.1, has it",
    BAD_TRAILER: "a trailer field that would change where the request ends or goes (RFC 9110, section 6.5.1)",
    TOO_LARGE: "more fields than are taken",
    BAD_CONNECTION: "a Connection that names what is not about one hop (Host, X-Forwarded-For …), or too much",
}
"""Every reason to refuse a request, in the order in which they are looked for, and what it means."""

MOST_FIELDS: Final = 100
"""Envoy's default ``max_headers_count``."""
MOST_FIELD_BYTES: Final = 60 * 1024
"""Request line and fields; Envoy's default ``max_request_headers_kb``."""
_CHUNK_DIGITS: Final = 15
MOST_OPTIONS: Final = 10
"""Words in Connection that Envoy takes."""
_END_TO_END: Final = ("host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")

_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) HTTP/1\.1")
_FIELD: Final = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_SPACED: Final = re.compile(_TOKEN + rb"[ \t]+:.*", re.DOTALL)
_EXTENSION: Final = rb"(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb'|"[^"\\\x00-\x1f\x7f]*"))?)*'
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,%d})" % _CHUNK_DIGITS + _EXTENSION)
_NOT_IN_TRAILERS: Final = frozenset(
    {"content-length", "transfer-encoding", "host", "trailer", "te", "connection", "authorization", "cookie"}
)


class Request1(msgspec.Struct, frozen=True):
    """A request as it was read."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    """Names in lower case; trailer fields are checked and dropped."""
    body: bytes


class Reading(msgspec.Struct, frozen=True):
    """What a piece of a connection holds."""

    requests: tuple[Request1, ...]
    rest: bytes = b""
    """The beginning of a request that is not whole yet."""
    refused: str = ""
    """Why the next request is refused, one of ``REFUSALS``; then nothing after it is read. Empty if none is."""


class _Refused(Exception):  # noqa: N818 # no mistake of the program
    """The request is not read."""


def read(data: bytes) -> Reading:
    """Read the requests that stand one after the other in ``data``."""
    requests: list[Request1] = []
    at = 0
    try:
        while at < len(data):
            found = _request(data, at)
            if found is None:
                break
            request, at = found
            requests.append(request)
    except _Refused as refused:
        return Reading(tuple(requests), b"", str(refused))
    return Reading(tuple(requests), data[at:])


def _request(data: bytes, at: int) -> tuple[Request1, int] | None:
    """The request that begins at an offset, and where it ends; None if it is not whole."""
    first = _line(data, at, at)
    if first is None:
        return None
    line, begin = first
    matched = _REQUEST_LINE.fullmatch(line)
    if matched is None:
        raise _Refused(BAD_REQUEST_LINE)
    section = _fields(data, begin, at)
    if section is None:
        return None
    fields, begin = section
    if sum(name == "host" for name, _ in fields) != 1:
        raise _Refused(BAD_HOST)
    if connection_problem(fields):
        raise _Refused(BAD_CONNECTION)
    length = _length(fields)
    body = _chunks(data, begin) if length is None else _counted(data, begin, length)
    if body is None:
        return None
    content, end = body
    return Request1(matched[1].decode(), matched[2].decode(), fields, content), end


def connection_problem(fields: tuple[tuple[str, str], ...]) -> bool:
    """Whether Connection would have a field removed that says where a request comes from or goes to.

    Envoy refuses the same, and more than ten words.
    """
    words = [word for name, value in fields if name == "connection" for word in options(value)]
    return len(words) > MOST_OPTIONS or any(word in _END_TO_END or word.startswith(":") for word in words)


def _line(data: bytes, at: int, begin: int) -> tuple[bytes, int] | None:
    """A line without its CRLF, and where the next one begins; None if it is not whole. ``begin``: of the section."""
    end = data.find(b"\n", at)
    returned = data.find(b"\r", at, len(data) if end < 0 else end)
    if returned >= 0 and returned + 1 < len(data) and data[returned + 1 : returned + 2] != b"\n":
        raise _Refused(BARE_LINE_END)
    if end >= 0 and (returned < 0 or returned != end - 1):
        raise _Refused(BARE_LINE_END)
    if (len(data) if end < 0 else end) - begin > MOST_FIELD_BYTES:
        raise _Refused(TOO_LARGE)
    return None if end < 0 else (data[at : end - 1], end + 1)


def _fields(data: bytes, at: int, begin: int) -> tuple[tuple[tuple[str, str], ...], int] | None:
    """The field lines up to an empty one, and where what follows begins."""
    fields: list[tuple[str, str]] = []
    while True:
        found = _line(data, at, begin)
        if found is None:
            return None
        line, at = found
        if not line:
            return tuple(fields), at
        if line[:1] in b" \t":
            raise _Refused(FOLDED)
        matched = _FIELD.fullmatch(line)
        if matched is None:
            raise _Refused(SPACE_BEFORE_COLON if _SPACED.fullmatch(line) else BAD_FIELD)
        fields.append((matched[1].decode().lower(), matched[2].decode("latin-1")))
        if len(fields) > MOST_FIELDS:
            raise _Refused(TOO_LARGE)


def _length(fields: tuple[tuple[str, str], ...]) -> int | None:
    """The length of the body; None if it comes in chunks."""
    lengths = [value for name, value in fields if name == "content-length"]
    codings = [value for name, value in fields if name == "transfer-encoding"]
    if lengths and codings:
        raise _Refused(LENGTH_AND_CHUNKED)
    if len(lengths) > 1:
        raise _Refused(TWO_LENGTHS)
    if codings:
        if len(codings) > 1 or codings[0].lower() != "chunked":
            raise _Refused(BAD_CODING)
        return None
    if not lengths:
        return 0
    if not _LENGTH.fullmatch(lengths[0]):
        raise _Refused(TWO_LENGTHS if "," in lengths[0] else BAD_LENGTH)
    return int(lengths[0])


def _counted(data: bytes, at: int, length: int) -> tuple[bytes, int] | None:
    return None if len(data) - at < length else (data[at : at + length], at + length)


def _chunks(data: bytes, at: int) -> tuple[bytes, int] | None:
    parts: list[bytes] = []
    while True:
        found = _line(data, at, at)
        if found is None:
            return None
        line, at = found
        matched = _CHUNK_LINE.fullmatch(line)
        if matched is None:
            raise _Refused(BAD_CHUNK)
        size = int(matched[1], 16)
        if size == 0:
            return _trailers(data, at, b"".join(parts))
        end = data[at + size : at + size + 2]
        if not b"\r\n".startswith(end):
            raise _Refused(BAD_CHUNK)
        if len(end) < len(b"\r\n"):
            return None
        parts.append(data[at : at + size])
        at += size + len(end)


def _trailers(data: bytes, at: int, body: bytes) -> tuple[bytes, int] | None:
    section = _fields(data, at, at)
    if section is None:
        return None
    if any(name in _NOT_IN_TRAILERS for name, _ in section[0]):
        raise _Refused(BAD_TRAILER)
    return body, section[1]
