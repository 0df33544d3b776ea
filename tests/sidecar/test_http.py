"""HTTP/2 between sidecars: real ends carry what was sent, in the nominal number of bytes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.sidecar.http import H2Client, H2Server, Request, Response
from meshsim.sidecar.http_sizes import ID_SLACK_BYTES, answer_body_bytes, request_size_bytes, response_size_bytes
from tests.sidecar.h2_reading import requests_in, responses_in

UUIDS = st.uuids(version=4)
PATHS = st.text("abcdefxyz0189-_/.?=&%~", max_size=300).map(lambda text: "/" + text)
FIELD_NAMES = st.one_of(
    st.sampled_from(["authorization", "x-tenant", "accept", "accept-encoding", "user-agent", "via", "x_y!"]),
    st.text("abcxyz019-_.~!#$", min_size=1, max_size=20),
)
FIELD_VALUES = st.one_of(
    st.sampled_from(["", "gzip, deflate", "Bearer a.b-c"]),
    st.text(st.characters(codec="ascii", min_codepoint=0x21, max_codepoint=0x7E), max_size=200),
)
FIELDS = st.dictionaries(FIELD_NAMES, FIELD_VALUES, max_size=5).map(lambda fields: tuple(fields.items()))
BODIES = st.one_of(st.integers(0, 40), st.integers(0, 60_000))
AUTHORITIES = st.text("abcxyz.-09", min_size=1, max_size=80)
EXCHANGES = st.tuples(
    AUTHORITIES,
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]),
    PATHS,
    UUIDS,
    UUIDS,
    BODIES,
    FIELDS,
    st.sampled_from([200, 204, 304, 403, 404, 429, 500, 503, 504]),
    BODIES,
)


@settings(max_examples=60, deadline=None)
@given(exchanges=st.lists(EXCHANGES, min_size=1, max_size=6), sole=st.booleans())
def test_real_ends_carry_what_was_sent_in_nominal_size(exchanges: list[tuple], sole: bool) -> None:  # type: ignore[type-arg] # the base class is generic only in its stubs
    """Whatever is exchanged on a connection arrives as it was sent, and is as long as predicted but for its ids."""
    client, server = H2Client(), H2Server()
    begun = exchanges[0][0]
    for index, (named, method, path, identity, trace, size, headers, status, response_bytes) in enumerate(exchanges):
        authority = begun if sole else named
        request = Request(
            method=method,
            path=path,
            authority=authority,
            request_id=str(identity),
            traceparent=f"00-{trace.hex}-{identity.hex[:16]}-01",
            body=b"q" * size,
            headers=headers,
        )
        stream_id, wire = client.request(request)
        line = (method, path, authority, size, headers)
        nominal = request_size_bytes(*line, first=index == 0, renamed=authority != begun)
        assert abs(len(wire) - nominal) <= ID_SLACK_BYTES
        assert requests_in(server.receive(wire)) == [(stream_id, request)]
        response_bytes = answer_body_bytes(method, status, response_bytes)
        response = Response(status=status, request_id=request.request_id, body=b"a" * response_bytes)
        wire = server.respond(stream_id, response)
        nominal = response_size_bytes(status, response_bytes, first=index == 0)
        assert abs(len(wire) - nominal) <= ID_SLACK_BYTES
        assert responses_in(client.receive(wire)) == [(stream_id, response)]


def exchange(number: int, body_bytes: int = 10) -> Request:
    identity = f"00000000-0000-4000-8000-{number:012d}"
    return Request("POST", "/detect", "vision", identity, f"00-{number:032x}-{number:016x}-01", b"x" * body_bytes)


def test_streams_interleave() -> None:
    """Several requests travel before the first response, which may come in any order and in pieces."""
    client, server = H2Client(), H2Server()
    sent = [client.request(exchange(number)) for number in range(3)]
    wire = b"".join(wire for _, wire in sent)
    received = [each for at in range(0, len(wire), 7) for each in requests_in(server.receive(wire[at : at + 7]))]
    assert received == [(stream_id, exchange(number)) for number, (stream_id, _) in enumerate(sent)]
    for stream_id, request in reversed(received):
        response = Response(200, request.request_id, b"")
        assert responses_in(client.receive(server.respond(stream_id, response))) == [(stream_id, response)]


def test_a_large_body_is_not_held_back() -> None:
    """A body beyond HTTP/2's initial window goes out at once, also in a connection's first message."""
    client, server = H2Client(), H2Server()
    stream_id, wire = client.request(exchange(1, 1_000_000))
    assert len(wire) > 1_000_000
    assert requests_in(server.receive(wire)) == [(stream_id, exchange(1, 1_000_000))]


def test_sizes_of_bodies() -> None:
    """A body costs itself and nine bytes for each frame of 16384; none costs nothing."""
    empty = request_size_bytes("GET", "/a", "b", 0, first=False)
    assert request_size_bytes("GET", "/a", "b", 1, first=False) == empty + 10
    assert request_size_bytes("GET", "/a", "b", 16_384, first=False) == empty + 16_384 + 9
    assert request_size_bytes("GET", "/a", "b", 16_385, first=False) == empty + 16_385 + 18


def test_sizes_of_fields() -> None:
    """A field costs its name and value, one whose name HPACK knows its index and value, one it knows whole a byte."""
    plain = request_size_bytes("GET", "/a", "b", 0, first=False)

    def cost(name: str, value: str) -> int:
        return request_size_bytes("GET", "/a", "b", 0, ((name, value),), first=False) - plain

    assert cost("aaaaaaaa", "11111111") == 1 + 6 + 6
    assert cost("cookie", "11111111") == 2 + 6
    assert cost("accept-encoding", "gzip, deflate") == 1
    assert cost("cookie", "{{{{{{{{") == 2 + 9  # a brace's code has 15 bits: it is sent as it is
