"""What has come over HTTP/2, read back field by field: apart from how it was written."""

from __future__ import annotations

from meshsim.sidecar.http import Request, Response
from meshsim.sidecar.http_end import Fields, Message
from meshsim.sidecar.messages import OWN_FIELDS


def requests_in(messages: list[Message]) -> list[tuple[int, Request]]:
    """The requests among complete messages, by stream."""
    return [(stream_id, _request(fields, body)) for stream_id, fields, body in messages]


def responses_in(messages: list[Message]) -> list[tuple[int, Response]]:
    """The responses among complete messages, by stream."""
    return [(stream_id, _response(fields, body)) for stream_id, fields, body in messages]


def _request(fields: Fields, body: bytes) -> Request:
    known, headers = _read(fields)
    return Request(
        method=known[":method"],
        path=known[":path"],
        authority=known[":authority"],
        request_id=known["x-request-id"],
        traceparent=known["traceparent"],
        body=body,
        headers=tuple(each for each in headers if each[0] not in OWN_FIELDS),
    )


def _response(fields: Fields, body: bytes) -> Response:
    known, headers = _read(fields)
    others = tuple(each for each in headers if each[0] not in (":status", "x-request-id"))
    return Response(status=int(known[":status"]), request_id=known["x-request-id"], body=body, headers=others)


def _read(fields: Fields) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Fields as texts, by name and in their order."""
    read = [(name.decode(), value.decode()) for name, value in fields]
    return dict(read), read
