"""HTTP/2 between two sidecars: real ends (``http_end``), which must come to the nominal sizes of ``http_sizes``.

A request carries ``:method``, ``:scheme``, ``:path``, ``:authority``, an ``x-request-id`` and a W3C ``traceparent``; a
response carries ``:status`` and the request's id. As proxies do, the ends keep what is different in every message
(path, ids, rare methods and statuses) out of HPACK's dynamic table, so that only the authority of the connection's
first request is in it. The fields that a workload adds stay out of it too: they often carry secrets, and so no size
depends on them.

Both ends grant the largest windows that there are and know that the other does, so flow control never holds anything
back.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec
from ngh2 import Role

from meshsim.sidecar.http_end import End, Field, Fields, Message, field, shared_field, single_field

MOST_KNOWN: Final = 1_024
"""Lines and header fields that are kept as they are written."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request as a real end sends or has received it."""

    method: str
    path: str
    authority: str
    request_id: str
    """A UUID in its usual form."""
    traceparent: str
    """Version, trace id, parent id and flags (W3C Trace Context, section 3.2)."""
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    """Fields of the calling workload, names in lower case."""


class Response(msgspec.Struct, frozen=True, gc=False):
    """A response as a real end sends or has received it."""

    status: int
    request_id: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    """Fields beside these, names in lower case."""


class H2Client:
    """The client's end of one HTTP/2 connection."""

    def __init__(self) -> None:
        self._end = End(Role.CLIENT)
        self._authority = ""
        """That of the first request, which is nearly always that of all."""

    def request(self, request: Request) -> tuple[int, bytes]:
        """Encode a request; return its stream and the bytes to send."""
        if not self._authority:
            self._authority = request.authority
        return self._end.request(request_fields(request, self._authority), request.body)

    def receive(self, wire: bytes) -> list[Message]:
        """Take in bytes; return the responses that are now complete: compare them with ``response_fields``."""
        return self._end.receive(wire)


class H2Server:
    """The server's end of one HTTP/2 connection."""

    def __init__(self) -> None:
        self._end = End(Role.SERVER)

    def respond(self, stream_id: int, response: Response) -> bytes:
        """Encode the response to the request of a stream; return the bytes to send."""
        return self._end.respond(stream_id, response_fields(response), response.body)

    def receive(self, wire: bytes) -> list[Message]:
        """Take in bytes; return the requests that are now complete: compare them with ``request_fields``."""
        return self._end.receive(wire)


def request_fields(request: Request, indexed_authority: str = "") -> Fields:
    """Return the header fields of a request; HPACK's dynamic table has this authority, and nothing else."""
    line = _request_line(request.method, request.path, request.authority, request.authority == indexed_authority)
    identity = single_field("x-request-id", request.request_id)
    return (*line, identity, single_field("traceparent", request.traceparent), *_workloads(request.headers))


def response_fields(response: Response) -> Fields:
    """Return the header fields of a response."""
    identity = single_field("x-request-id", response.request_id)
    return (_status(response.status), identity, *_workloads(response.headers))


@lru_cache(maxsize=MOST_KNOWN)
def _request_line(method: str, path: str, authority: str, indexed: bool) -> Fields:
    parts = ((":method", method), (":scheme", "https"), (":path", path))
    last = shared_field(":authority", authority) if indexed else field(":authority", authority)
    return (*(field(name, value) for name, value in parts), last)


@lru_cache(maxsize=MOST_KNOWN)
def _workloads(headers: tuple[tuple[str, str], ...]) -> Fields:
    return tuple(field(name, value) for name, value in headers)


@lru_cache(maxsize=MOST_KNOWN)
def _status(status: int) -> Field:
    return field(":status", str(status))
