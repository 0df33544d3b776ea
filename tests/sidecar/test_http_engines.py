"""Two engines of HTTP/2, libnghttp2 behind our ends and h2 in Python, write alike and read each other."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import HeaderTuple, NeverIndexedHeaderTuple
from hpack.huffman_constants import REQUEST_CODES_LENGTH
from hypothesis import given, settings
from hypothesis import strategies as st
from ngh2 import Role

from meshsim.scenario.errors import InvariantViolation
from meshsim.scenario.headers import FIELDS_OF_THE_MESH, NAME, VALUE, on_the_wire
from meshsim.sidecar.http import H2Client, H2Server, Request, Response
from meshsim.sidecar.http_end import LARGEST_WINDOW_BYTES, End, Fields, field, shared_field
from meshsim.sidecar.http_sizes import (
    FRAME_HEADER_BYTES,
    ID_SLACK_BYTES,
    MAX_FRAME_BYTES,
    answer_body_bytes,
    is_static,
    request_size_bytes,
)
from tests.sidecar.h2_reading import requests_in, responses_in

Message = tuple[int, list[tuple[str, str]], bytes]
SECRETS = ("authorization", "cookie")
"""What libnghttp2 never takes from HPACK's table whole, though it has them with no value."""
STATIC_NAMES = [":method", ":path", ":authority", ":status", "accept", "accept-encoding", *SECRETS, "via"]
VISIBLE = st.text(st.characters(codec="ascii", min_codepoint=0x21, max_codepoint=0x7E), max_size=200)
SHORT_CODES = st.text("abcdefxyz0189-_/.?=%", max_size=200)
NAMES = st.text("abcxyz019-_.~!#$", min_size=1, max_size=20) | st.sampled_from(STATIC_NAMES[4:])
VALUES = VISIBLE | SHORT_CODES | st.sampled_from(["", "gzip, deflate"]) | st.integers(0, 9_000).map("v".__mul__)
BODIES = st.integers(0, 40) | st.integers(0, 60_000) | st.sampled_from([16_383, 16_384, 16_385, 32_768])
TARGET = [(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "vision")]
MESSAGES = st.tuples(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH"]),
    SHORT_CODES | VISIBLE,
    st.text("abcxyz.-09", min_size=1, max_size=80),
    st.dictionaries(NAMES, VALUES, max_size=4),
    BODIES,
    st.sampled_from([200, 204, 304, 403, 404, 503]),
    BODIES,
)


def begun(*, client: bool, checks: bool = True) -> H2Connection:
    """An end of a connection on h2, with its opening to send."""
    connection = H2Connection(
        H2Configuration(
            client_side=client,
            header_encoding=None,
            validate_outbound_headers=checks,
            normalize_outbound_headers=checks,
        )
    )
    values = {
        SettingCodes.INITIAL_WINDOW_SIZE: LARGEST_WINDOW_BYTES,
        SettingCodes.MAX_CONCURRENT_STREAMS: LARGEST_WINDOW_BYTES,
        SettingCodes.ENABLE_PUSH: 0,
    }
    connection.local_settings = Settings(client=client, initial_values=values)
    connection.initiate_connection()
    connection.increment_flow_control_window(LARGEST_WINDOW_BYTES - 65_535)
    return connection


class Ours:
    """One of our ends, with header fields as texts."""

    def __init__(self, role: Role, window_bytes: int = LARGEST_WINDOW_BYTES) -> None:
        self.end = End(role, window_bytes)
        self.authority = ""

    def request(self, fields: Sequence[tuple[str, str]], body: bytes) -> tuple[int, bytes]:
        """Write a request; return its stream and the bytes to send."""
        if not self.authority:
            self.authority = next(value for name, value in fields if name == ":authority")
        return self.end.request(as_sent(fields, self.authority), body)

    def respond(self, stream_id: int, fields: Sequence[tuple[str, str]], body: bytes) -> bytes:
        """Write the response to the request of a stream; return the bytes to send."""
        return self.end.respond(stream_id, as_sent(fields, ""), body)

    def receive(self, wire: bytes) -> list[Message]:
        """Take in bytes; return the messages that are now complete."""
        return [
            (stream_id, [(name.decode(), value.decode()) for name, value in fields], body)
            for stream_id, fields, body in self.end.receive(wire)
        ]


def as_sent(fields: Sequence[tuple[str, str]], authority: str) -> Fields:
    """Header fields as our ends send them; this authority is in HPACK's dynamic table."""
    shared = (":authority", authority)
    return tuple((shared_field if each == shared else field)(*each) for each in fields)


class Other:
    """One end on h2, which checks all that it sends and receives, and knows how the other end begins as ours do."""

    def __init__(self, *, client: bool, checks: bool = True) -> None:
        self.connection = begun(client=client, checks=checks)
        self.opening = begun(client=not client).data_to_send()
        self.connection.receive_data(self.opening)
        self.messages: dict[int, tuple[list[tuple[str, str]], bytearray]] = {}
        self.authority = ""

    def sent(self, stream_id: int, fields: Sequence[tuple[str, str]], body: bytes) -> bytes:
        """The bytes of a message."""
        self.authority = self.authority or dict(fields).get(":authority", "")
        kept = (":authority", self.authority)
        told = [
            (HeaderTuple if field == kept or is_static(*field) else NeverIndexedHeaderTuple)(*field) for field in fields
        ]
        self.connection.send_headers(stream_id, told, end_stream=not body)
        for at in range(0, len(body), MAX_FRAME_BYTES):
            end = at + MAX_FRAME_BYTES
            self.connection.send_data(stream_id, body[at:end], end_stream=end >= len(body))
        return self.connection.data_to_send()

    def received(self, wire: bytes) -> list[Message]:
        """Messages that are complete."""
        complete = []
        assert wire.startswith(self.opening)
        wire, self.opening = wire.removeprefix(self.opening), b""
        for event in self.connection.receive_data(wire):
            match event:
                case events.RequestReceived() | events.ResponseReceived():
                    fields = [(name.decode(), value.decode()) for name, value in event.headers]
                    self.messages[event.stream_id] = (fields, bytearray())
                case events.DataReceived():
                    self.messages[event.stream_id][1].extend(event.data)
                    self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case events.StreamEnded():
                    fields, body = self.messages.pop(event.stream_id)
                    complete.append((event.stream_id, fields, bytes(body)))
                case events.StreamReset() | events.ConnectionTerminated():
                    pytest.fail(f"h2 says {event}")
        return complete


def string_bytes(size: int) -> int:
    """A string in HPACK with its length: an integer with a prefix of seven bits."""
    length, rest = 1, size - 127
    while rest >= 0:
        length, rest = length + 1, (rest >> 7) - 1 if rest >= 128 else -1
    return length + size


def saved_bytes(fields: Sequence[tuple[str, str]]) -> int | None:
    """What plain strings save against Huffman codes where these are longer; None where both are equally long."""
    saved = 0
    for name, value in fields:
        if is_static(name, value):
            continue
        for text in (value,) if name in STATIC_NAMES else (name, value):
            code = (sum(REQUEST_CODES_LENGTH[byte] for byte in text.encode()) + 7) // 8
            if code == len(text):
                return None
            saved += max(0, string_bytes(code) - string_bytes(len(text)))
    return saved


def held_against(ours: bytes, theirs: bytes, fields: Sequence[tuple[str, str]]) -> None:
    """The bytes are the same, but where h2 writes a Huffman code that is longer than the text."""
    saved = saved_bytes(fields)
    if saved is None:
        assert len(ours) <= len(theirs)
    elif saved == 0:
        assert ours == theirs
    else:
        frames = -(-len(theirs) // MAX_FRAME_BYTES)
        assert len(theirs) - len(ours) - saved in {0, *(9 * more for more in range(1, frames))}


@settings(max_examples=60, deadline=None)
@given(st.lists(MESSAGES, min_size=1, max_size=5))
def test_both_write_the_same_and_read_each_other(messages: list[tuple]) -> None:  # type: ignore[type-arg] # as drawn
    """Requests and responses of all sorts are the same bytes from either, and read by the other as they were sent."""
    client, server, h2_client, h2_server = Ours(Role.CLIENT), Ours(Role.SERVER), Other(client=True), Other(client=False)
    for method, path, authority, more, size, status, answer_bytes in messages:
        others = sorted(more.items(), key=lambda field: field[0] == "cookie")  # where h2 puts it
        others = [(name, value or "c" if name in SECRETS else value) for name, value in others]
        fields = [(":method", method), (":scheme", "https"), (":path", f"/{path}"), (":authority", authority), *others]
        body = (bytes(range(256)) * (size // 256 + 1))[:size]
        stream_id, ours = client.request(fields, body)
        theirs = h2_client.sent(stream_id, fields, body)
        held_against(ours, theirs, fields)
        assert h2_server.received(ours) == server.receive(theirs) == [(stream_id, fields, body)]
        fields = [(":status", str(status)), *others]
        body = b"a" * answer_body_bytes(method, status, answer_bytes)
        ours, theirs = server.respond(stream_id, fields, body), h2_server.sent(stream_id, fields, body)
        held_against(ours, theirs, fields)
        assert h2_client.received(ours) == client.receive(theirs) == [(stream_id, fields, body)]


@settings(max_examples=60, deadline=None)
@given(
    fields=st.dictionaries(st.from_regex(NAME, fullmatch=True), st.from_regex(VALUE, fullmatch=True), max_size=4),
    path=st.from_regex(r"^/[!-~]{0,100}$", fullmatch=True),
)
def test_nothing_that_a_scenario_can_write_is_refused(fields: dict[str, str], path: str) -> None:
    """What the patterns of scenarios let through is read as it was sent, by h2 too, which checks it."""
    headers = on_the_wire({name: value for name, value in fields.items() if name.lower() not in FIELDS_OF_THE_MESH})
    request = Request("POST", path, "vision", "0" * 36, f"00-{1:032x}-{1:016x}-01", b"", headers)
    stream_id, wire = H2Client().request(request)
    assert requests_in(H2Server().receive(wire)) == [(stream_id, request)]
    told = (("x-request-id", request.request_id), ("traceparent", request.traceparent), *headers)
    sent = [*TARGET[:2], (":path", path), (":authority", "vision"), *told]
    assert Other(client=False).received(wire) == [(stream_id, sent, b"")]


ODD = {
    "upper case": [*TARGET, ("X-A", "b")],
    "no name": [*TARGET, ("", "b")],
    "space in a name": [*TARGET, ("x a", "b")],
    "space before a value": [*TARGET, ("x-a", " b")],
    "line end in a value": [*TARGET, ("x-a", "b\r\nc: d")],
    "about one hop": [*TARGET, ("connection", "close")],
    "other codings than trailers": [*TARGET, ("te", "gzip")],
    "two paths": [*TARGET, (":path", "/b")],
    "no path": [*TARGET[:2], TARGET[3]],
    "an empty path": [*TARGET[:2], (":path", ""), TARGET[3]],
    "a path behind other fields": [*TARGET[:2], TARGET[3], ("x-a", "b"), TARGET[2]],
    "a pseudo field that there is not": [*TARGET, (":weather", "fine")],
    "a status in a request": [*TARGET, (":status", "200")],
    "another length": [*TARGET, ("content-length", "7")],
}


@pytest.mark.parametrize("fields", ODD.values(), ids=ODD)
def test_both_refuse_what_http2_does_not_allow(fields: list[tuple[str, str]]) -> None:
    """A request that is not well-formed is read by neither engine; here it is our fault, and stops the run."""
    wire = Other(client=True, checks=False).sent(1, fields, b"body")
    with pytest.raises(ProtocolError):
        Other(client=False).received(wire)
    with pytest.raises(InvariantViolation, match="HTTP/2"):
        Ours(Role.SERVER).receive(wire)


def test_a_header_may_be_as_long_as_the_scenario_has_it() -> None:
    """Neither many fields nor long ones, over many frames, are too much for the ends: 90 of 8192 characters."""
    headers = tuple((f"x-{number}", "v" * 8_192) for number in range(90))
    request = Request("GET", "/a", "vision", "0" * 36, f"00-{1:032x}-{1:016x}-01", b"q", headers)
    client, server = H2Client(), H2Server()
    stream_id, wire = client.request(request)
    assert abs(len(wire) - request_size_bytes("GET", "/a", "vision", 1, headers, first=True)) <= ID_SLACK_BYTES
    assert requests_in(server.receive(wire)) == [(stream_id, request)]
    response = Response(200, request.request_id, b"", headers)
    assert responses_in(client.receive(server.respond(stream_id, response))) == [(stream_id, response)]


@pytest.mark.parametrize("value", ["", "c", "k=v; " * 9 + "k=v"])
@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_never_indexed(name: str, value: str) -> None:
    """Long or short or with no value, they stay out of tables, and have their nominal size."""
    client, server = H2Client(), H2Server()
    for first in (True, False):
        request = Request("GET", "/", "vision", "0" * 36, f"00-{1:032x}-{1:016x}-01", b"", ((name, value),))
        nominal = request_size_bytes("GET", "/", "vision", 0, ((name, value),), first=first)
        plain = request_size_bytes("GET", "/", "vision", 0, first=first)
        stream_id, wire = client.request(request)
        without = H2Client() if first else client
        assert len(wire) - len(without.request(msgspec.structs.replace(request, headers=()))[1]) == nominal - plain
        if first:
            assert requests_in(server.receive(wire)) == [(stream_id, request)]


def test_windows_are_opened_without_a_word() -> None:
    """Bodies of many times the window go each way, none more than half of it, and no byte is added."""
    window_bytes = 100_000
    client, server = Ours(Role.CLIENT, window_bytes), Ours(Role.SERVER, window_bytes)
    sizes = [49_999, 1, 50_000, 3, 49_996, 50_000, *[33_334] * 30]
    for number, size in enumerate(sizes):
        frames = -(-size // MAX_FRAME_BYTES) * FRAME_HEADER_BYTES
        stream_id, wire = client.request(TARGET, bytes(size))
        if number:
            assert len(wire) == FRAME_HEADER_BYTES + 4 + frames + size
        assert server.receive(wire) == [(stream_id, TARGET, bytes(size))]
        wire = server.respond(stream_id, [(":status", "200")], bytes(size))
        if number:
            assert len(wire) == FRAME_HEADER_BYTES + 1 + frames + size
        assert client.receive(wire) == [(stream_id, [(":status", "200")], bytes(size))]


def test_time_limits_nothing() -> None:
    """Oddities, which libnghttp2 takes so many of in a second and no more, are all taken: by default 10 000 end it."""
    _, wire = Ours(Role.CLIENT).request(TARGET, b"b")
    data_bytes = FRAME_HEADER_BYTES + 1
    empty = b"\0\0\0\0\0\0\0\0\1"
    server = Ours(Role.SERVER)
    assert server.receive(wire[:-data_bytes] + empty * 20_000) == []
    assert server.receive(wire[-data_bytes:]) == [(1, TARGET, b"b")]


def test_what_breaks_off_is_told() -> None:
    """A reset, an end of the connection, another opening, a body where there is none, and noise: our fault, each."""
    client, server, other = Ours(Role.CLIENT), Ours(Role.SERVER), Other(client=True)
    server.receive(other.sent(1, TARGET, b""))
    other.connection.reset_stream(1)
    with pytest.raises(InvariantViolation, match="StreamReset"):
        server.receive(other.connection.data_to_send())
    other.connection.close_connection()
    with pytest.raises(InvariantViolation, match="GoAway"):
        server.receive(other.connection.data_to_send())
    stream_id, wire = client.request([(":method", "HEAD"), *TARGET[1:]], b"")
    server = Ours(Role.SERVER)
    server.receive(wire)
    with pytest.raises(InvariantViolation, match="broken off"):
        client.receive(server.respond(stream_id, [(":status", "200")], b"b"))
    with pytest.raises(InvariantViolation, match="opened it by"):
        Ours(Role.SERVER).receive(wire[1:])
    server = End(Role.SERVER)
    server.receive(wire)
    with pytest.raises(InvariantViolation, match="an end answers it with"):
        server.receive(b"\0\0\0\4\0\0\0\0\0")  # settings once more, which ask for an answer
    for wrong in (wire + b"\0\0\1\6\0\0\0\0\0a", wire + b"\0\0\4\x08\0\0\0\0\x01\0\0\0\0"):
        with pytest.raises(InvariantViolation):
            Ours(Role.SERVER).receive(wrong)
