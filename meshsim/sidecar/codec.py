"""Messages as real bytes: HTTP/2 frames inside TLS records, at fidelity real; requests of some flows in HTTP/1.1.

What a codec decodes must be what the other end's codec was given, and its size must be the nominal one within the
slack of Huffman-coded ids; anything else is an ``InvariantViolation``.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from meshsim.scenario.errors import InvariantViolation
from meshsim.sidecar.http import H2Client, H2Server, Request, Response, request_fields, response_fields
from meshsim.sidecar.http1 import Reading, Request1, read
from meshsim.sidecar.http1_write import request1, response1, sent_fields
from meshsim.sidecar.http_sizes import ID_SLACK_BYTES, request_size_bytes, response_size_bytes
from meshsim.sidecar.malformed import bad_request, malformed_request, why_unread
from meshsim.sidecar.messages import sent
from meshsim.sidecar.tls.records import sealed_size_bytes

if TYPE_CHECKING:
    from meshsim.sidecar.messages import RequestMessage, ResponseMessage
    from meshsim.sidecar.tls.openssl_engine import OpenSslEngine


@lru_cache(maxsize=4096)
def ids_of(call_id: int, attempt: int) -> tuple[str, str]:
    """Return the x-request-id of an attempt, a UUID by form, and its traceparent."""
    digits = hashlib.sha256(f"{call_id}/{attempt}".encode()).hexdigest()
    trace = hashlib.sha256(f"trace/{call_id}/{attempt}".encode()).hexdigest()
    identity = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"
    return identity, f"00-{trace[:32]}-{trace[32:48]}-01"


def _request(message: RequestMessage) -> Request:
    template = message.template
    headers, path = sent(template, message.token, message.carried)
    identity, trace = ids_of(message.call_id, message.attempt)
    body = _body(message.call_id, template.request_bytes)
    return Request(template.method, path, template.authority, identity, trace, body, headers)


def _response(message: ResponseMessage) -> Response:
    identity, _ = ids_of(message.call_id, message.attempt)
    return Response(message.status, identity, _body(message.call_id, message.body_bytes), message.headers)


def _http1(message: RequestMessage) -> bytes:
    """A request in HTTP/1.1, well-formed or not."""
    template = message.template
    if template.malformed:
        line = (template.method, template.path, template.authority)
        return malformed_request(template.malformed, *line, template.request_bytes)
    request = _request(message)
    line = (request.method, request.path, request.authority)
    return request1(line, (request.request_id, request.traceparent), request.headers, request.body)


def _response1(message: ResponseMessage) -> bytes:
    """The answer to a request in HTTP/1.1."""
    if why_unread(message.template):
        return bad_request(message.headers)
    body = _body(message.call_id, message.body_bytes)
    return response1(message.status, ids_of(message.call_id, message.attempt)[0], message.headers, body)


def _body(call_id: int, size_bytes: int) -> bytes:
    """Return a body that tells one call from another."""
    return (call_id.to_bytes(8, "big") * -(-size_bytes // 8))[:size_bytes]


class _Codec:
    def __init__(self, engine: OpenSslEngine | None) -> None:
        self._engine = engine

    def _seal(self, plain: bytes, nominal_bytes: int, what: str) -> bytes:
        if abs(len(plain) - nominal_bytes) > ID_SLACK_BYTES:
            raise InvariantViolation(f"{what} takes {len(plain)} bytes in HTTP/2, nominal are {nominal_bytes}")
        if self._engine is None:
            return plain
        wire = self._engine.seal(plain)
        if len(wire) != sealed_size_bytes(len(plain)):
            raise InvariantViolation(f"{what}: {len(plain)} bytes were sealed into {len(wire)}")
        return wire

    def _open(self, wire: bytes | None, what: str) -> bytes:
        if wire is None:
            raise InvariantViolation(f"{what} came without its bytes")
        return wire if self._engine is None else self._engine.open(wire)


class ClientCodec(_Codec):
    """The client's end of one connection."""

    def __init__(self, engine: OpenSslEngine | None) -> None:
        super().__init__(engine)
        self._http = H2Client()
        self._authority = ""
        """That of the first request."""
        self._streams: dict[int, tuple[int, int]] = {}

    def encode(self, message: RequestMessage) -> RequestMessage:
        """Return the message with its bytes."""
        if message.template.malformed or message.template.http1:
            plain = _http1(message)
            return msgspec.structs.replace(message, wire=self._seal(plain, len(plain), f"request {message.call_id}"))
        request = _request(message)
        stream_id, plain = self._http.request(request)
        self._streams[stream_id] = (message.call_id, message.attempt)
        parts = (request.method, request.path, request.authority, len(request.body), request.headers)
        first, self._authority = not self._authority, self._authority or request.authority
        size_bytes = request_size_bytes(*parts, first=first, renamed=request.authority != self._authority)
        return msgspec.structs.replace(message, wire=self._seal(plain, size_bytes, f"request {message.call_id}"))

    def decode(self, message: ResponseMessage) -> None:
        """Read the bytes of a response; raises InvariantViolation unless they say what the message says."""
        what = f"the response to call {message.call_id}"
        if message.template.malformed or message.template.http1:
            if (received := self._open(message.wire, what)) != (given := _response1(message)):
                raise InvariantViolation(f"{what} was received as {received!r}; sent was {given!r}")
            return
        for stream_id, fields, body in self._http.receive(self._open(message.wire, what)):
            key = self._streams.pop(stream_id)
            expected = _response(message)
            if body != expected.body or fields != response_fields(expected):
                raise InvariantViolation(f"{what} was received as {fields} and {body!r}; sent was {expected}")
            if key != (message.call_id, message.attempt):
                raise InvariantViolation(f"{what} was received for {key}; sent was {expected}")
            return
        raise InvariantViolation(f"{what} is not whole")


class ServerCodec(_Codec):
    """The server's end of one connection."""

    def __init__(self, engine: OpenSslEngine | None) -> None:
        super().__init__(engine)
        self._http = H2Server()
        self._fresh = True
        self._streams: dict[tuple[int, int], int] = {}

    def decode(self, message: RequestMessage) -> None:
        """Read the bytes of a request; raises InvariantViolation unless they say what the message says."""
        what = f"the request of call {message.call_id}"
        if message.template.malformed or message.template.http1:
            self._decode_http1(message, what)
            return
        for stream_id, fields, body in self._http.receive(self._open(message.wire, what)):
            expected = _request(message)
            if body != expected.body or fields != request_fields(expected):
                raise InvariantViolation(f"{what} was received as {fields} and {body!r}; sent was {expected}")
            self._streams[message.call_id, message.attempt] = stream_id
            return
        raise InvariantViolation(f"{what} is not whole")

    def _decode_http1(self, message: RequestMessage, what: str) -> None:
        reading = read(self._open(message.wire, what))
        refused = why_unread(message.template)
        if refused:
            if reading.requests or reading.refused != refused:
                raise InvariantViolation(f"{what} was read as {reading}; expected it to be refused for {refused}")
            return
        given = _request(message)
        ids = (given.request_id, given.traceparent)
        fields = sent_fields(given.authority, ids, given.headers, len(given.body))
        expected = Reading((Request1(given.method, given.path, fields, given.body),), b"")
        if reading != expected:
            raise InvariantViolation(f"{what} was read as {reading}; sent was {expected}")

    def encode(self, message: ResponseMessage) -> ResponseMessage:
        """Return the message with its bytes."""
        if message.template.malformed or message.template.http1:
            plain = _response1(message)
            return msgspec.structs.replace(message, wire=self._seal(plain, len(plain), f"response {message.call_id}"))
        stream_id = self._streams.pop((message.call_id, message.attempt))
        response = _response(message)
        plain = self._http.respond(stream_id, response)
        size_bytes = response_size_bytes(message.status, len(response.body), message.headers, first=self._fresh)
        self._fresh = False
        return msgspec.structs.replace(message, wire=self._seal(plain, size_bytes, f"response {message.call_id}"))
