"""HTTP/1.1 read strictly: cases from RFC 9110 and RFC 9112, and laws of whatever is accepted."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.scenario.headers import Malformed
from meshsim.sidecar import http1
from meshsim.sidecar.http1 import REFUSALS, Reading, Request1, read
from meshsim.sidecar.http1_write import REQUEST_ID, TRACEPARENT, request1, request1_size_bytes
from meshsim.sidecar.malformed import BAD_REQUEST_BODY_BYTES, EXPECTED, bad_request, malformed_request

HOST = b"host: a\r\n"


def get(fields: bytes = b"", body: bytes = b"", line: bytes = b"GET / HTTP/1.1") -> bytes:
    """A request with a Host and these further fields."""
    return line + b"\r\n" + HOST + fields + b"\r\n" + body


ACCEPTED = [
    (get(), "GET", "/", b""),
    (get(b"content-length: 3\r\n", b"abc", b"POST /x?y=%20 HTTP/1.1"), "POST", "/x?y=%20", b"abc"),
    (get(b"Content-Length:0\r\n"), "GET", "/", b""),
    (get(b"content-length: 007\r\n", b"1234567"), "GET", "/", b"1234567"),
    (get(b"transfer-encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n"), "GET", "/", b"abc"),
    (get(b"Transfer-Encoding: CHUNKED\r\n", b"00A\r\n0123456789\r\n0\r\n\r\n"), "GET", "/", b"0123456789"),
    (get(b"transfer-encoding: chunked\r\n", b'1;a;b=c;d="e f"\r\nx\r\n0;z\r\n\r\n'), "GET", "/", b"x"),
    (get(b"transfer-encoding: chunked\r\n", b"0\r\nx-sum: 1\r\n\r\n"), "GET", "/", b""),
    (get(b"x: \t a b \t\r\n"), "GET", "/", b""),
    (get(b"x:\r\n"), "GET", "/", b""),
    (get(b"x: caf\xc3\xa9\r\n"), "GET", "/", b""),
    (get(line=b"OPTIONS * HTTP/1.1"), "OPTIONS", "*", b""),
    (get(line=b"M-SEARCH http://a/b HTTP/1.1"), "M-SEARCH", "http://a/b", b""),
]
REFUSED = [
    # Request line (RFC 9112, section 3)
    (get(line=b"GET  / HTTP/1.1"), http1.BAD_REQUEST_LINE),
    (get(line=b"GET / HTTP/1.1 "), http1.BAD_REQUEST_LINE),
    (get(line=b" GET / HTTP/1.1"), http1.BAD_REQUEST_LINE),
    (get(line=b"GET\t/\tHTTP/1.1"), http1.BAD_REQUEST_LINE),
    (get(line=b"GET /"), http1.BAD_REQUEST_LINE),
    (get(line=b"GET / HTTP/1.0"), http1.BAD_REQUEST_LINE),
    (get(line=b"GET / http/1.1"), http1.BAD_REQUEST_LINE),
    (get(line=b"GET /a b HTTP/1.1"), http1.BAD_REQUEST_LINE),
    (get(line=b"G(T / HTTP/1.1"), http1.BAD_REQUEST_LINE),
    (get(line=b"GET /\x00 HTTP/1.1"), http1.BAD_REQUEST_LINE),
    (b"\r\n" + get(), http1.BAD_REQUEST_LINE),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", http1.BAD_REQUEST_LINE),
    # Connection (RFC 9110, section 7.6.1), as Envoy bounds it
    (get(b"connection: host\r\n"), http1.BAD_CONNECTION),
    (get(b"connection: close, X-Forwarded-For\r\n"), http1.BAD_CONNECTION),
    (get(b"connection: a\r\nconnection: x-forwarded-proto\r\n"), http1.BAD_CONNECTION),
    (get(b"connection: :path\r\n"), http1.BAD_CONNECTION),
    (get(b"connection: a, b, c, d, e, f, g, h, i, j, k\r\n"), http1.BAD_CONNECTION),
    # Ends of lines (section 2.2)
    (b"\n" + get(), http1.BARE_LINE_END),
    (b"GET / HTTP/1.1\nhost: a\n\n", http1.BARE_LINE_END),
    (get(b"x: a\n"), http1.BARE_LINE_END),
    (get(b"x: a\rb: c\r\n"), http1.BARE_LINE_END),
    (get(b"x: a\r\r\n"), http1.BARE_LINE_END),
    # Fields (section 5)
    (get(b"x: a\r\n b\r\n"), http1.FOLDED),
    (get(b"x: a\r\n\tcontent-length: 1\r\n"), http1.FOLDED),
    (b"GET / HTTP/1.1\r\n host: a\r\n\r\n", http1.FOLDED),
    (get(b"content-length : 1\r\n", b"a"), http1.SPACE_BEFORE_COLON),
    (get(b"content-length\t: 1\r\n", b"a"), http1.SPACE_BEFORE_COLON),
    (get(b"no colon\r\n"), http1.BAD_FIELD),
    (get(b": a\r\n"), http1.BAD_FIELD),
    (get(b"x(: a\r\n"), http1.BAD_FIELD),
    (get(b"x: a\x00b\r\n"), http1.BAD_FIELD),
    (get(b"x: a\x7fb\r\n"), http1.BAD_FIELD),
    (get(b"x: a\x0bb\r\n"), http1.BAD_FIELD),
    # Host (section 3.2)
    (b"GET / HTTP/1.1\r\n\r\n", http1.BAD_HOST),
    (get(b"Host: b\r\n"), http1.BAD_HOST),
    (get(HOST), http1.BAD_HOST),
    # Where the body ends (section 6)
    (get(b"content-length: 1\r\ntransfer-encoding: chunked\r\n"), http1.LENGTH_AND_CHUNKED),
    (get(b"transfer-encoding: identity\r\ncontent-length: 1\r\n"), http1.LENGTH_AND_CHUNKED),
    (get(b"content-length: 1\r\ncontent-length: 2\r\n"), http1.TWO_LENGTHS),
    (get(b"content-length: 1\r\ncontent-length: 1\r\n"), http1.TWO_LENGTHS),
    (get(b"content-length: 1, 1\r\n"), http1.TWO_LENGTHS),
    (get(b"content-length: +1\r\n"), http1.BAD_LENGTH),
    (get(b"content-length: -1\r\n"), http1.BAD_LENGTH),
    (get(b"content-length: 0x1\r\n"), http1.BAD_LENGTH),
    (get(b"content-length: 1 1\r\n"), http1.BAD_LENGTH),
    (get(b"content-length: 1_0\r\n"), http1.BAD_LENGTH),
    (get(b"content-length:\r\n"), http1.BAD_LENGTH),
    (get(b"content-length: \xb2\r\n"), http1.BAD_LENGTH),
    (get(b"content-length: 9999999999999999999\r\n"), http1.BAD_LENGTH),
    (get(b"transfer-encoding: xchunked\r\n"), http1.BAD_CODING),
    (get(b"transfer-encoding: gzip, chunked\r\n"), http1.BAD_CODING),
    (get(b"transfer-encoding: chunked, identity\r\n"), http1.BAD_CODING),
    (get(b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"), http1.BAD_CODING),
    (get(b'transfer-encoding: "chunked"\r\n'), http1.BAD_CODING),
    (get(b"transfer-encoding:\r\n"), http1.BAD_CODING),
    # Chunks (section 7.1)
    *(
        (get(b"transfer-encoding: chunked\r\n", chunks), http1.BAD_CHUNK)
        for chunks in (
            b"0x1\r\na\r\n0\r\n\r\n",
            b"+1\r\na\r\n0\r\n\r\n",
            b"-1\r\na\r\n0\r\n\r\n",
            b" 1\r\na\r\n0\r\n\r\n",
            b"1 \r\na\r\n0\r\n\r\n",
            b"1 ;x\r\na\r\n0\r\n\r\n",
            b"1_0\r\na\r\n0\r\n\r\n",
            b"\r\na\r\n0\r\n\r\n",
            b"g\r\na\r\n0\r\n\r\n",
            b"1;\r\na\r\n0\r\n\r\n",
            b"1\r\nab\r\n0\r\n\r\n",
            b"1\r\na0\r\n\r\n",
            b"1000000000000000\r\na\r\n0\r\n\r\n",
        )
    ),
    (get(b"transfer-encoding: chunked\r\n", b"1\na\r\n0\r\n\r\n"), http1.BARE_LINE_END),
    (get(b"transfer-encoding: chunked\r\n", b"1\r\na\n0\r\n\r\n"), http1.BAD_CHUNK),
    (get(b"transfer-encoding: chunked\r\n", b"1;x\ny\r\na\r\n0\r\n\r\n"), http1.BARE_LINE_END),
    (get(b"transfer-encoding: chunked\r\n", b"0\r\nhost: b\r\n\r\n"), http1.BAD_TRAILER),
    (get(b"transfer-encoding: chunked\r\n", b"0\r\ncontent-length: 1\r\n\r\n"), http1.BAD_TRAILER),
    (get(b"transfer-encoding: chunked\r\n", b"0\r\nx: a\r\n b\r\n\r\n"), http1.FOLDED),
    # Size
    (get(b"x: a\r\n" * 100), http1.TOO_LARGE),
    (get(b"x: " + b"a" * 61_440 + b"\r\n"), http1.TOO_LARGE),
]


@pytest.mark.parametrize(("data", "method", "target", "body"), ACCEPTED)
def test_what_is_well_formed_is_read(data: bytes, method: str, target: str, body: bytes) -> None:
    """Each case is one request with this body, also with another right behind it."""
    (request,) = read(data).requests
    assert (request.method, request.target, request.body) == (method, target, body)
    assert read(data + get()) == Reading((request, *read(get()).requests))


@pytest.mark.parametrize(("data", "reason"), REFUSED)
def test_what_is_not_is_refused(data: bytes, reason: str) -> None:
    """Each case is refused for its reason, after the request before it, and nothing behind it is read."""
    assert read(data + get()) == Reading((), b"", reason)
    assert read(get() + data).refused == reason
    assert reason in REFUSALS


def test_every_reason_has_a_case() -> None:
    """No refusal is untested."""
    assert {reason for _, reason in REFUSED} == set(REFUSALS)


@pytest.mark.parametrize("shape", EXPECTED)
@pytest.mark.parametrize("body_bytes", [0, 1, 500])
def test_shapes_are_refused(shape: str, body_bytes: int) -> None:
    """What fleets can send malformed is refused for what it is, whatever the request."""
    data = malformed_request(shape, "POST", "/plan?x=1", "planner", body_bytes)
    assert read(data) == Reading((), b"", EXPECTED[shape])
    assert len(data) > body_bytes


def test_shapes_are_those_of_scenarios() -> None:
    """A scenario can name every shape, and the answer is the length that it says."""
    assert set(EXPECTED) == set(Malformed.__args__)  # type: ignore[attr-defined] # the values of a Literal
    assert len(bad_request(()).partition(b"\r\n\r\n")[2]) == BAD_REQUEST_BODY_BYTES


# Laws


def lenient(data: bytes, *, chunked_first: bool, last_length: bool, lines: Callable[[bytes], bytes]) -> list[bytes]:
    """The bodies that one of many lenient recipients finds, as they are in the world."""
    bodies = []
    data = lines(data)
    while data:
        head, _, data = data.partition(b"\n\n")
        fields = [line.partition(b":") for line in head.split(b"\n")[1:]]
        values = [(name.strip().lower(), value.strip()) for name, _, value in fields]
        lengths = [int(value) for name, value in values if name == b"content-length"] or [0]
        chunked = any(name == b"transfer-encoding" and b"chunked" in value.lower() for name, value in values)
        if not chunked or (not chunked_first and len(lengths) and any(name == b"content-length" for name, _ in values)):
            length = lengths[-1] if last_length else lengths[0]
            body, data = data[:length], data[length:]
        else:
            body = b""
            while size := int((line := data.partition(b"\n"))[0].partition(b";")[0], 16):
                body += line[2][:size]
                data = line[2][size + 1 :]
            data = line[2].partition(b"\n")[2] if line[2].startswith(b"\n") else line[2].partition(b"\n\n")[2]
        bodies.append(body)
    return bodies


BODIES = st.text(st.sampled_from("abc:; 0"), max_size=40).map(str.encode)
TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12).map(str.encode)


@st.composite
def well_formed(draw: st.DrawFn) -> bytes:
    """A request by the grammar, with a length, chunks, or no body."""
    body = draw(BODIES)
    fields = b"".join(
        b"x-%d: %b\r\n" % (number, value) for number, value in enumerate(draw(st.lists(TEXT, max_size=3)))
    )
    if draw(st.booleans()):
        return get(b"%bcontent-length: %d\r\n" % (fields, len(body)), body)
    cut = draw(st.integers(0, len(body)))
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part)
    return get(fields + b"transfer-encoding: chunked\r\n", chunks + b"0\r\n\r\n")


PIECES = [
    *(b"GET / HTTP/1.1\r\n", b"host: a\r\n", b"content-length: 5\r\n", b"content-length: 0\r\n", b"\r\n", b"\n", b"\r"),
    *(
        b"transfer-encoding: chunked\r\n",
        b"5\r\nabcde\r\n",
        b"0\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b"abcde",
        b";x",
        b"x: y\r\n",
    ),
]
ANY = st.binary(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join)


@given(st.lists(well_formed(), min_size=1, max_size=3))
def test_every_recipient_agrees_on_what_is_accepted(requests: list[bytes]) -> None:
    """Recipients that repair differently find the same bodies in what is accepted."""
    data = b"".join(requests)
    reading = read(data)
    assert (len(reading.requests), reading.rest, reading.refused) == (len(requests), b"", "")
    bodies = [request.body for request in reading.requests]
    for chunked_first in (True, False):
        for last_length in (True, False):
            found = lenient(
                data,
                chunked_first=chunked_first,
                last_length=last_length,
                lines=lambda data: data.replace(b"\r\n", b"\n"),
            )
            assert found == bodies


@given(ANY, st.integers(0, 200))
def test_no_bytes_crash_the_reader(data: bytes, cut: int) -> None:
    """Whatever comes, and however it is cut: no crash, and what was read of the beginning stays read."""
    whole, part = read(data), read(data[:cut])
    assert whole.requests[: len(part.requests)] == part.requests
    assert part.refused in ("", whole.refused)
    assert not part.refused or whole.requests == part.requests


@given(ANY)
def test_what_is_accepted_says_one_thing(data: bytes) -> None:
    """An accepted request, written in the plainest way, is read as itself again."""
    for request in read(data).requests:
        plain = Request1(
            request.method,
            request.target,
            tuple(field for field in request.fields if field[0] not in ("content-length", "transfer-encoding")),
            request.body,
        )
        fields = "".join(f"{name}: {value}\r\n" for name, value in plain.fields).encode("latin-1")
        line = f"{plain.method} {plain.target} HTTP/1.1\r\n".encode()
        again = read(line + fields + b"content-length: %d\r\n\r\n" % len(plain.body) + plain.body)
        (found,) = again.requests
        assert (found.method, found.target, found.body) == (plain.method, plain.target, plain.body)
        assert found.fields[:-1] == plain.fields


@given(st.integers(0, 5000), st.booleans())
def test_sizes_are_those_of_the_bytes(body_bytes: int, chunked: bool) -> None:
    """The size of a request that is told beforehand is that of its bytes, with a length or in a chunk."""
    fields = (("x-tenant", "blue"), *((("transfer-encoding", "chunked"),) if chunked else ()))
    line = ("POST", "/a?b=c", "front")
    wire = request1(line, (REQUEST_ID, TRACEPARENT), fields, b"q" * body_bytes)
    assert request1_size_bytes(line, fields, body_bytes) == len(wire)
    assert read(wire).requests[0].body == b"q" * body_bytes


def test_the_size_of_a_vast_body_takes_no_memory() -> None:
    """A body of a terabyte is counted and not made."""
    line, chunked = ("POST", "/", "front"), (("transfer-encoding", "chunked"),)
    tracemalloc.start()
    try:
        sizes = [request1_size_bytes(line, fields, 10**12) for fields in ((), chunked)]
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    framing = len(f"transfer-encoding: chunked\r\n{10**12:x}\r\n\r\n0\r\n\r\n") - len(f"content-length: {10**12}\r\n")
    assert sizes[1] - sizes[0] == framing
