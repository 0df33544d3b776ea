"""Where requests carry tokens: found, put there and taken off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.identity.token_places import (
    BEARER,
    DEFAULT_PLACES,
    Fields,
    Place,
    found,
    joined,
    parameters,
    places_of,
    put,
    taken_off,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Bearer abc", "abc"),
        ("Bearer a.b.c, more", "a.b.c, more"),
        ("Bearer  =ab=", "ab="),
        ("Bearer =", "Bearer ="),
        ("x Bearer abc", "abc"),
        ("Bearer", None),
        ("bearer abc", None),
        ("Basic YTpi", None),
    ],
)
def test_what_presents_a_token(value: str, text: str | None) -> None:
    """What follows on Bearer is one whatever it is, and other schemes present none."""
    headers = (("x-user", "Bearer x"), ("authorization", value))
    assert [one for _, one in found([BEARER], headers, "/")] == ([] if text is None else [text])
    assert not list(found([BEARER], (("x-user", value),), "/"))


def test_the_order_in_which_places_are_looked_at() -> None:
    """Header fields by name and prefix, then parameters, then cookies."""
    places = places_of([("X-B", ""), ("x-a", "t ")], ["q", "p"], ["d", "c"])
    headers = (("x-b", "1"), ("x-a", "t 2"), ("x-a", "t 3"), ("cookie", 'c=4; d="5"; c=6'))
    there = [(place.name, text) for place, text in found(places, headers, "/x?p=%37&q=8&p=9#q=0")]
    assert there == [("x-a", "2"), ("x-a", "3"), ("x-b", "1"), ("p", "7"), ("q", "8"), ("c", "4"), ("d", "5")]
    assert places_of([], [], []) == DEFAULT_PLACES


_PLACES = st.sampled_from(
    [BEARER, Place("header", "x-jwt"), Place("header", "x-jwt", "t="), Place("param", "t"), Place("cookie", "c")]
)
_HEADERS = st.lists(st.sampled_from([("cookie", "a=b"), ("x-other", "1"), ("accept", "*/*")]), unique=True)


@given(_PLACES, _HEADERS, st.sampled_from(["/", "/a?b=c", "/a?b"]))
def test_what_is_put_is_found_and_taken_off(place: Place, headers: list[tuple[str, str]], target: str) -> None:
    """A token that is put at a place is found there, and gone once it is taken off; cookies stay."""
    fields: Fields = tuple(headers)
    with_it = put(place, "aa.bb.cc", fields, target)
    assert [text for _, text in found([place], *with_it)] == ["aa.bb.cc"]
    left = taken_off(place, *with_it)
    if place.kind != "cookie":
        assert not list(found([place], *left))
        assert left[0] == fields
        assert [name for name, _ in parameters(left[1])] == [name for name, _ in parameters(target)]
    else:
        assert left == with_it


def test_two_fields_of_authorization_are_one() -> None:
    """Envoy joins them by a comma, so that neither is a token any more."""
    headers = (("a", "1"), ("authorization", "Bearer x"), ("b", "2"), ("authorization", "Bearer y"))
    assert joined(headers) == (("a", "1"), ("authorization", "Bearer x,Bearer y"), ("b", "2"))
    assert joined(headers[:3]) == headers[:3]
