"""Well-formed messages in HTTP/1.1 (RFC 9112), as somebody outside of the mesh speaks it, and the answers to them."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import Final

Fields = tuple[tuple[str, str], ...]

REQUEST_ID: Final = "00000000-0000-4000-8000-000000000000"
"""Stands for any id where sizes are computed: all have its length."""
TRACEPARENT: Final = f"00-{'0' * 32}-{'0' * 16}-01"
_LAST_CHUNK: Final = b"0\r\n\r\n"


def request1(line: tuple[str, str, str], ids: tuple[str, str], fields: Fields, body: bytes) -> bytes:
    """A request: method, target and authority; request id and traceparent; the caller's fields; its body.

    With ``transfer-encoding: chunked`` among the fields the body comes in one chunk, else with its length.
    """
    method, target, authority = line
    return _head(f"{method} {target} HTTP/1.1", sent_fields(authority, ids, fields, len(body))) + _framed(fields, body)


def sent_fields(authority: str, ids: tuple[str, str], fields: Fields, body_bytes: int) -> Fields:
    """All fields of a request, in the order in which they are sent."""
    length = () if _is_chunked(fields) else (("content-length", str(body_bytes)),)
    return (("host", authority), ("x-request-id", ids[0]), ("traceparent", ids[1]), *fields, *length)


@lru_cache(maxsize=4096)
def request1_size_bytes(line: tuple[str, str, str], fields: Fields, body_bytes: int) -> int:
    """The size of a request; ids have one length, so it is exact."""
    method, target, authority = line
    head = _head(f"{method} {target} HTTP/1.1", sent_fields(authority, (REQUEST_ID, TRACEPARENT), fields, body_bytes))
    return len(head) + (_chunked_bytes(body_bytes) if _is_chunked(fields) else body_bytes)


def response1(status: int, request_id: str, fields: Fields, body: bytes) -> bytes:
    """A response with a length."""
    known = {one.value: one.phrase for one in HTTPStatus}
    own = (("x-request-id", request_id), *fields, ("content-length", str(len(body))))
    return _head(f"HTTP/1.1 {status} {known.get(status, '')}", own) + body


@lru_cache(maxsize=1024)
def response1_size_bytes(status: int, fields: Fields, body_bytes: int) -> int:
    """The size of a response."""
    return len(response1(status, REQUEST_ID, fields, b"")) - 1 + len(str(body_bytes)) + body_bytes


def _head(first: str, fields: Fields) -> bytes:
    """The lines before a body; a scenario can put nothing but visible ASCII, spaces and tabs into them."""
    lines = (first, *(f"{name}: {value}" for name, value in fields))
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


def _is_chunked(fields: Fields) -> bool:
    return any(name == "transfer-encoding" for name, _ in fields)


def _framed(fields: Fields, body: bytes) -> bytes:
    if not _is_chunked(fields):
        return body
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return chunk + _LAST_CHUNK


def _chunked_bytes(body_bytes: int) -> int:
    """The size of a body in one chunk."""
    chunk = len(f"{body_bytes:x}\r\n\r\n") + body_bytes if body_bytes else 0
    return chunk + len(_LAST_CHUNK)
