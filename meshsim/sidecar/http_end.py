"""One end of an HTTP/2 connection on libnghttp2 (through ``ngh2``): messages of header fields and a body, and bytes.

Both ends are ours and know how the other behaves, so what HTTP/2 needs answers for is settled beforehand: an end takes
in the other's settings before they come, and whoever has sent a lot grants itself the window that the other end opens
at the same point. On the wire are an opening in each direction and messages, which is what ``http_sizes`` counts.

Anything that an end would say of itself (a reset, an error) means that something was sent that HTTP/2 does not
allow: an ``InvariantViolation``.

libnghttp2 reads the clock in one place, where it limits how many resets and oddities it takes a second. Its allowance
is the largest number there is and never grows, so that no time matters.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from ngh2 import (
    Configuration,
    Connection,
    DataReceived,
    Event,
    NeverIndexedHeader,
    NGH2Error,
    RequestReceived,
    ResponseReceived,
    Role,
    Setting,
    SettingsAcknowledged,
    SettingsReceived,
    StreamClosed,
    WindowUpdated,
)

from meshsim.scenario.errors import InvariantViolation
from meshsim.sidecar.http_sizes import FRAME_HEADER_BYTES, MAX_FRAME_BYTES, WINDOW_UPDATE_BYTES, is_static

LARGEST_WINDOW_BYTES: Final = 2**31 - 1

Field = tuple[bytes, bytes] | NeverIndexedHeader
Fields = tuple[Field, ...]
"""Header fields as an end sends and receives them."""
Message = tuple[int, Fields, bytes]
"""A stream, header fields and a body."""

_NO_LIMIT: Final = 2**24
"""Larger than any header block: how large requests may get is the scenario's to say, and no engine's."""
_EVERY_EVENT: Final = (2**64 - 1, 0)
"""So many at once, and none that time brings."""
_CONFIGURATION: Final = Configuration(
    max_send_header_block_length=_NO_LIMIT,
    max_inbound_header_list_size=_NO_LIMIT,
    max_inbound_header_count=_NO_LIMIT,
    max_continuations=_NO_LIMIT // MAX_FRAME_BYTES,
    stream_reset_rate_limit=_EVERY_EVENT,
    glitch_rate_limit=_EVERY_EVENT,
)
_TABLE_SIZE: Final[dict[int, int]] = {Setting.HEADER_TABLE_SIZE: 4_096}
_WINDOW_UPDATE: Final = 8
"""Type of a frame (RFC 9113, section 6.9)."""
_QUIET: Final = frozenset((SettingsAcknowledged, SettingsReceived, WindowUpdated))
"""What is part of any connection, and known beforehand."""


class End:
    """One end of a connection; both have the same window for the connection and for each stream.

    It is opened again whenever half of it is used, so a body that fits in the other half is never held back.
    """

    def __init__(self, role: Role, window_bytes: int = LARGEST_WINDOW_BYTES) -> None:
        self._connection = connection = _begun(role, _TABLE_SIZE | _settings(window_bytes), window_bytes)
        opening = connection.data_to_send()
        # It acts on how the other begins beforehand; when that comes, it must be just that.
        other = Role.SERVER if role is Role.CLIENT else Role.CLIENT
        self._expected = _opening(other, window_bytes)
        connection.receive_data(_known_opening(other, window_bytes))
        connection.events()
        self._unsent = opening + connection.data_to_send()
        self._renewed_at_bytes = (window_bytes + 1) // 2
        self._not_renewed_bytes = 0
        self._messages: dict[int, tuple[Fields, list[bytes]]] = {}

    def request(self, fields: Fields, body: bytes) -> tuple[int, bytes]:
        """Write a request; return its stream and the bytes to send."""
        stream_id = self._connection.send_request(fields, end_stream=not body)
        return stream_id, self._sent(stream_id, body)

    def respond(self, stream_id: int, fields: Fields, body: bytes) -> bytes:
        """Write the response to the request of a stream; return the bytes to send."""
        self._connection.send_response(stream_id, fields, end_stream=not body)
        return self._sent(stream_id, body)

    def receive(self, wire: bytes) -> list[Message]:
        """Take in bytes; return the messages that are now complete."""
        expected = self._expected
        if expected:
            taken = wire[: len(expected)]
            if not expected.startswith(taken):
                raise InvariantViolation(f"the other end of a connection opened it by {taken!r}, not {expected!r}")
            self._expected = expected[len(taken) :]
            wire = wire[len(taken) :]
        connection = self._connection
        try:
            connection.receive_data(wire)
            said = connection.data_to_send() if connection.want_write else b""
        except NGH2Error as error:
            raise InvariantViolation(f"what arrived is no HTTP/2: {error}") from error
        complete = self._complete(connection.events())
        _check_windows_alone(said)
        return complete

    def _complete(self, events: Iterable[Event]) -> list[Message]:
        complete: list[Message] = []
        messages = self._messages
        for event in events:
            kind = type(event)  # none of them has a kind below it
            if kind is DataReceived:
                assert isinstance(event, DataReceived)
                fields, body = messages[event.stream_id]
                body.append(event.data)
            elif kind is RequestReceived or kind is ResponseReceived:
                assert isinstance(event, RequestReceived | ResponseReceived)
                fields, body = messages[event.stream_id] = event.headers, []
            else:
                _check_quiet(event)
                continue
            if event.end_stream:
                del messages[event.stream_id]
                complete.append((event.stream_id, fields, body[0] if len(body) == 1 else b"".join(body)))
        return complete

    def _sent(self, stream_id: int, body: bytes) -> bytes:
        """Return the bytes of a message whose header fields are queued, with what has to go out before it."""
        connection = self._connection
        if body:
            connection.send_data(stream_id, body, end_stream=True)
        wire = connection.data_to_send()
        for event in connection.events():
            _check_quiet(event)
        if self._unsent:
            wire, self._unsent = self._unsent + wire, b""
        self._not_renewed_bytes += len(body)
        if self._not_renewed_bytes >= self._renewed_at_bytes:
            connection.receive_data(_window_update(self._not_renewed_bytes))
            self._not_renewed_bytes = 0
        return wire


def field(name: str, value: str) -> Field:
    """Return a header field as it is sent: what HPACK's own table does not have stays out of the dynamic one."""
    return shared_field(name, value) if is_static(name, value) else single_field(name, value)


def single_field(name: str, value: str) -> Field:
    """Return a header field that is another one each time, or a secret."""
    return NeverIndexedHeader(name.encode(), value.encode())


def shared_field(name: str, value: str) -> Field:
    """Return a header field that is the same in nearly all messages of a connection."""
    return name.encode(), value.encode()


def _check_quiet(event: Event) -> None:
    """Whatever is not part of an exchange that goes well is our fault, or that of an engine."""
    if isinstance(event, StreamClosed):
        if event.error_code or event.local_error:
            reason = event.local_error or f"error {event.error_code}"
            raise InvariantViolation(f"stream {event.stream_id} of an HTTP/2 connection was broken off: {reason}")
    elif type(event) not in _QUIET:
        raise InvariantViolation(f"an HTTP/2 connection went another way than ours do: {event}")


def _check_windows_alone(said: bytes) -> None:
    """What an end says of itself is about windows, which the other end has opened on its side already, or an error."""
    for at in range(0, len(said), WINDOW_UPDATE_BYTES):
        if said[at + 3] != _WINDOW_UPDATE:
            raise InvariantViolation(f"what arrived is not allowed in HTTP/2: an end answers it with {said[at:]!r}")


def _window_update(increment_bytes: int) -> bytes:
    """A frame that opens a connection's window (RFC 9113, section 6.9)."""
    payload = increment_bytes.to_bytes(4, "big")
    return (
        (WINDOW_UPDATE_BYTES - FRAME_HEADER_BYTES).to_bytes(3, "big") + bytes((_WINDOW_UPDATE, 0)) + bytes(4) + payload
    )


def _begun(role: Role, settings: dict[int, int], window_bytes: int) -> Connection:
    connection = Connection(role, _CONFIGURATION)
    connection.initiate_connection(settings)
    connection.set_local_window_size(window_bytes)
    return connection


def _settings(window_bytes: int) -> dict[int, int]:
    return {
        Setting.ENABLE_PUSH: 0,
        Setting.INITIAL_WINDOW_SIZE: window_bytes,
        Setting.MAX_FRAME_SIZE: MAX_FRAME_BYTES,
        Setting.ENABLE_CONNECT_PROTOCOL: 0,
        Setting.MAX_CONCURRENT_STREAMS: 2**31 - 1,
    }


@lru_cache(maxsize=8)
def _opening(role: Role, window_bytes: int) -> bytes:
    """Return what an end sends at once: the magic (a client), its settings, its window."""
    return _begun(role, _TABLE_SIZE | _settings(window_bytes), window_bytes).data_to_send()


@lru_cache(maxsize=8)
def _known_opening(role: Role, window_bytes: int) -> bytes:
    """Return the same without the size of HPACK's table, which is what it is anyway.

    Told of it, libnghttp2 would say so in its first header block (RFC 7541, section 6.3), in three more bytes.
    """
    return _begun(role, _settings(window_bytes), window_bytes).data_to_send()
