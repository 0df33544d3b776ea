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

from typing import TYPE_CHECKING

import msgspec

from meshsim.sidecar.messages import OWN_FIELDS

if TYPE_CHECKING:
    from meshsim.sidecar.http_end import End


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
        self._end = _end("CLIENT")

    def request(self, request: Request) -> tuple[int, bytes]:
        """Encode a request; return its stream and the bytes to send."""
        fields = (
            (":method", request.method),
            (":scheme", "https"),
            (":path", request.path),
            (":authority", request.authority),
            ("x-request-id", request.request_id),
            ("traceparent", request.traceparent),
            *request.headers,
        )
        return self._end.request(fields, request.body)

    def receive(self, wire: bytes) -> list[tuple[int, Response]]:
        """Take in bytes; return the responses that are now complete, by stream."""
        return [(stream_id, _response(fields, body)) for stream_id, fields, body in self._end.receive(wire)]


class H2Server:
    """The server's end of one HTTP/2 connection."""

    def __init__(self) -> None:
        self._end = _end("SERVER")

    def respond(self, stream_id: int, response: Response) -> bytes:
        """Encode the response to the request of a stream; return the bytes to send."""
        fields = ((":status", str(response.status)), ("x-request-id", response.request_id), *response.headers)
        return self._end.respond(stream_id, fields, response.body)

    def receive(self, wire: bytes) -> list[tuple[int, Request]]:
        """Take in bytes; return the requests that are now complete, by stream."""
        return [(stream_id, _request(fields, body)) for stream_id, fields, body in self._end.receive(wire)]


def _request(fields: list[tuple[str, str]], body: bytes) -> Request:
    known = dict(fields)
    return Request(
        method=known[":method"],
        path=known[":path"],
        authority=known[":authority"],
        request_id=known["x-request-id"],
        traceparent=known["traceparent"],
        body=body,
        headers=tuple((name, value) for name, value in fields if name not in OWN_FIELDS),
    )


def _response(fields: list[tuple[str, str]], body: bytes) -> Response:
    known = dict(fields)
    others = tuple((name, value) for name, value in fields if name not in (":status", "x-request-id"))
    return Response(status=int(known[":status"]), request_id=known["x-request-id"], body=body, headers=others)


def _end(role: str) -> End:
    """An end with the library behind it, which is loaded where real bytes are wanted and nowhere else."""
    from ngh2 import Role

    from meshsim.sidecar.http_end import End

    return End(Role[role])
