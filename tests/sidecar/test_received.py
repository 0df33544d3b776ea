"""Header fields as they are handed on: hop-by-hop ones gone, forged ones gone, the caller's certificate told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.sidecar.received import CLIENT_CERT, Caller, Fields, HeaderRules, as_read, end_to_end, received, removed

OWN = "spiffe://mesh.example/service/planner"
PEER = "spiffe://mesh.example/fleet/robots/0"
FORGED = (CLIENT_CERT, "URI=spiffe://mesh.example/service/admin")
SAID = (CLIENT_CERT, f"By={OWN};URI={PEER}")


def rules(mode: str, *identity_headers: str) -> HeaderRules:
    """The same mode for all callers."""
    return HeaderRules(mode, mode, ("By", "URI"), identity_headers)


def caller(*, outside: bool = True, mutual: bool = True) -> Caller:
    """A robot."""
    return Caller(outside, mutual, PEER if mutual else "", "ab" if mutual else "")


@pytest.mark.parametrize(
    ("mode", "mutual", "found"),
    [
        ("SANITIZE", True, ()),
        ("SANITIZE", False, ()),
        ("SANITIZE_SET", True, (SAID,)),
        ("SANITIZE_SET", False, ()),
        ("FORWARD_ONLY", True, (FORGED,)),
        ("FORWARD_ONLY", False, ()),
        ("APPEND_FORWARD", True, ((CLIENT_CERT, f"{FORGED[1]},{SAID[1]}"),)),
        ("APPEND_FORWARD", False, ()),
        ("ALWAYS_FORWARD_ONLY", True, (FORGED,)),
        ("ALWAYS_FORWARD_ONLY", False, (FORGED,)),
    ],
)
@pytest.mark.parametrize("outside", [True, False])
def test_client_cert_modes(mode: str, mutual: bool, found: Fields, outside: bool) -> None:
    """Each mode does what Envoy's manual says of it, with and without a client's certificate."""
    assert received((FORGED,), rules(mode), caller(outside=outside, mutual=mutual), OWN) == found


def test_certificate_fields_are_chosen() -> None:
    """What is told of the certificate is what the rules name, in Envoy's order."""
    whole = HeaderRules("SANITIZE_SET", "SANITIZE", ("URI", "Subject", "Hash", "By"), ())
    assert received((), whole, caller(), OWN) == ((CLIENT_CERT, f'By={OWN};Hash=ab;Subject="";URI={PEER}'),)


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        ((), ("x-user-id", "x-user", "x-tenant")),
        (("x-user-id",), ("x-user", "x-tenant")),
        (("x-user*",), ("x-tenant",)),
        (("x-*",), ()),
        (("user",), ("x-user-id", "x-user", "x-tenant")),
    ],
)
def test_identity_headers_of_fleets_are_removed(patterns: tuple[str, ...], left: tuple[str, ...]) -> None:
    """Only fleets are kept from setting them; a star stands for any rest."""
    fields = tuple((name, "1") for name in ("x-user-id", "x-user", "x-tenant"))
    mesh = rules("SANITIZE", *patterns)
    assert tuple(name for name, _ in received(fields, mesh, caller(), OWN)) == left
    assert received(fields, mesh, caller(outside=False), OWN) == fields


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ((("connection", "close"), ("x-a", "1")), ("x-a",)),
        ((("connection", "X-A, keep-alive"), ("keep-alive", "5"), ("x-a", "1"), ("x-b", "1")), ("x-b",)),
        ((("x-a", "1"), ("connection", "x-b"), ("connection", "x-a"), ("x-b", "1")), ()),
        ((("te", "gzip"), ("upgrade", "h2c"), ("proxy-connection", "close"), ("trailer", "x")), ("trailer",)),
        ((("te", "gzip, trailers"), ("connection", "te")), ("te",)),
        ((("transfer-encoding", "chunked"), ("content-length", "1")), ("content-length",)),
        ((("connection", ""), ("x-a", "1")), ("x-a",)),
    ],
)
def test_hop_by_hop_fields_end_here(fields: Fields, left: tuple[str, ...]) -> None:
    """Connection, what it names, and the fields that RFC 9110, section 7.6.1, names go no farther."""
    assert tuple(name for name, _ in end_to_end(fields)) == left


NAMES = st.sampled_from([CLIENT_CERT, "connection", "x-user-id", "x-a", "te"])
VALUES = st.sampled_from(["x-a", "a, b", "", "trailers", "URI=spiffe://mesh.example/service/admin"])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.sampled_from(["SANITIZE", "SANITIZE_SET"]), st.booleans())
def test_nothing_forged_comes_through(fields: list[tuple[str, str]], mode: str, mutual: bool) -> None:
    """Whatever a fleet sends, a sidecar that sanitises tells its workload of the caller what was proved, or nothing."""
    found = received(tuple(fields), rules(mode, "x-user-*"), caller(mutual=mutual), OWN)
    told = [field for field in found if field[0] == CLIENT_CERT]
    assert told == ([SAID] if mode == "SANITIZE_SET" and mutual else [])
    assert not {"connection", "x-user-id"}.intersection(name for name, _ in found)
    assert {value for name, value in found if name == "te"} <= {"trailers"}


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        ((("x-a", "1"), ("x-b", "2")), (("x-b", "2"),), "x-a"),
        ((FORGED,), (SAID,), CLIENT_CERT),
        ((FORGED,), ((CLIENT_CERT, f"{FORGED[1]},{SAID[1]}"),), ""),
        ((("te", "gzip, trailers"),), (("te", "trailers"),), "te"),
        ((("te", "trailers"),), (("te", "trailers"),), ""),
        ((("x-a", "1"),), (("x-a", "12"),), "x-a"),
    ],
)
def test_what_was_removed_is_named(before: Fields, after: Fields, names: str) -> None:
    """A field is gone where nothing or less of it is left, and not where a sidecar put its own word behind."""
    assert removed(before, after) == names


@pytest.mark.parametrize(
    ("written", "read"), [("a b\tc", "a b\tc"), (" \ta ", "a"), ("a\r\nb\0c\n", "a  b c"), ("M\u00fc", "M\u00fc")]
)
def test_what_no_field_can_hold_is_read_as_spaces(written: str, read: str) -> None:
    """Line ends and NUL come to spaces, and those around a value are no part of it (RFC 9110, section 5.5)."""
    assert as_read(written) == read
