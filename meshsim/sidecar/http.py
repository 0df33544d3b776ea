"""HTTP/2 between two sidecars: real ends on ``h2``, which must come to the nominal sizes of ``http_sizes``.

A request carries ``:method``, ``:scheme``, ``:path``, ``:authority``, an ``x-request-id`` and a W3C ``traceparent``; a
response carries ``:status`` and the request's id. As proxies do, the ends keep what is different in every message
(path, ids, rare methods and statuses) out of HPACK's dynamic table, so that only the authority is in it. The fields
that a workload adds stay out of it too: they often carry secrets, and so no size depends on what went before.

Both ends grant the largest windows that there are and know that the other does, so flow control never holds anything
back.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meshsim.sidecar.http_sizes import MAX_FRAME_BYTES, STATIC_METHODS, STATIC_STATUSES
from meshsim.sidecar.messages import OWN_FIELDS

if TYPE_CHECKING:
    from h2.connection import H2Connection

LARGEST_WINDOW_BYTES: Final = 2**31 - 1
INITIAL_WINDOW_BYTES: Final = 65_535


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


class _H2End:
    """What a client and a server have in common."""

    def __init__(self, *, client: bool) -> None:
        self._connection = connection = _connection(client=client)
        # Both ends know how the other begins and act on it beforehand; when it comes, it must be just that.
        self._expected_opening = _opening(client=not client)
        connection.receive_data(self._expected_opening)
        self._messages: dict[int, tuple[list[tuple[str, str]], list[bytes]]] = {}

    def _fields(self, *fields: tuple[str, str, bool]) -> list[Any]:
        from hpack import HeaderTuple, NeverIndexedHeaderTuple

        return [(HeaderTuple if indexed else NeverIndexedHeaderTuple)(name, value) for name, value, indexed in fields]

    def _send(self, stream_id: int, fields: list[Any], body: bytes) -> bytes:
        connection = self._connection
        connection.send_headers(stream_id, fields, end_stream=not body)
        for start in range(0, len(body), MAX_FRAME_BYTES):
            end = start + MAX_FRAME_BYTES
            connection.send_data(stream_id, body[start:end], end_stream=end >= len(body))
        return connection.data_to_send()

    def _receive(self, wire: bytes) -> list[tuple[int, list[tuple[str, str]], bytes]]:
        """Take in bytes; return the messages that are now complete: stream, header fields, body."""
        from h2 import events

        opening = self._expected_opening
        if opening:
            taken = wire[: len(opening)]
            assert opening.startswith(taken), "the other end opened the connection in an unexpected way"
            self._expected_opening = opening[len(taken) :]
            wire = wire[len(taken) :]
        complete = []
        for event in self._connection.receive_data(wire):
            match event:
                case events.RequestReceived() | events.ResponseReceived():
                    assert event.stream_id is not None
                    assert event.headers is not None
                    fields = [(_text(name), _text(value)) for name, value in event.headers]
                    self._messages[event.stream_id] = (fields, [])
                case events.DataReceived():
                    assert event.stream_id is not None
                    self._messages[event.stream_id][1].append(bytes(event.data or b""))
                    self._connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
                case events.StreamEnded():
                    assert event.stream_id is not None
                    fields, body = self._messages.pop(event.stream_id)
                    complete.append((event.stream_id, fields, b"".join(body)))
        return complete


class H2Client(_H2End):
    """The client's end of one HTTP/2 connection."""

    def __init__(self) -> None:
        super().__init__(client=True)

    def request(self, request: Request) -> tuple[int, bytes]:
        """Encode a request; return its stream and the bytes to send."""
        stream_id = self._connection.get_next_available_stream_id()
        fields = self._fields(
            (":method", request.method, request.method in STATIC_METHODS),
            (":scheme", "https", True),
            (":path", request.path, False),
            (":authority", request.authority, True),
            ("x-request-id", request.request_id, False),
            ("traceparent", request.traceparent, False),
            *((name, value, False) for name, value in request.headers),
        )
        return stream_id, self._send(stream_id, fields, request.body)

    def receive(self, wire: bytes) -> list[tuple[int, Response]]:
        """Take in bytes; return the responses that are now complete, by stream."""
        return [(stream_id, _response(fields, body)) for stream_id, fields, body in self._receive(wire)]


class H2Server(_H2End):
    """The server's end of one HTTP/2 connection."""

    def __init__(self) -> None:
        super().__init__(client=False)

    def respond(self, stream_id: int, response: Response) -> bytes:
        """Encode the response to the request of a stream; return the bytes to send."""
        fields = self._fields(
            (":status", str(response.status), response.status in STATIC_STATUSES),
            ("x-request-id", response.request_id, False),
            *((name, value, False) for name, value in response.headers),
        )
        return self._send(stream_id, fields, response.body)

    def receive(self, wire: bytes) -> list[tuple[int, Request]]:
        """Take in bytes; return the requests that are now complete, by stream."""
        return [(stream_id, _request(fields, body)) for stream_id, fields, body in self._receive(wire)]


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


def _connection(*, client: bool) -> H2Connection:
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.settings import SettingCodes, Settings

    from meshsim.sidecar.hpack_tables import RememberingEncoder, decoder

    # What is sent is well-formed by construction, and the receiving end looks at every field: once is enough.
    configuration = H2Configuration(
        client_side=client,
        header_encoding=None,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
    )
    connection = H2Connection(configuration)
    connection.encoder, connection.decoder = RememberingEncoder(), decoder()
    connection.decoder.max_header_list_size = connection.DEFAULT_MAX_HEADER_LIST_SIZE
    values = {
        SettingCodes.INITIAL_WINDOW_SIZE: LARGEST_WINDOW_BYTES,
        SettingCodes.MAX_CONCURRENT_STREAMS: LARGEST_WINDOW_BYTES,
        SettingCodes.ENABLE_PUSH: 0,
    }
    connection.local_settings = Settings(client=client, initial_values=values)
    connection.initiate_connection()
    connection.increment_flow_control_window(LARGEST_WINDOW_BYTES - INITIAL_WINDOW_BYTES)
    return connection


@lru_cache(maxsize=2)
def _opening(*, client: bool) -> bytes:
    """Return what an end sends at once: the magic (a client), its settings, its window."""
    return _connection(client=client).data_to_send()


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
