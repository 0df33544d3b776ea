"""How values of Istio policies match: texts, identities, addresses, templates, tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.policy import istio_match as match
from meshsim.policy.istio_trust import with_aliases

A = "spiffe://td.example/ns/foo/sa/bar"


@pytest.mark.parametrize(
    ("value", "matched", "unmatched"),
    [
        ("abc", ["abc"], ["ab", "abcd", "xabc", "ABC", ""]),
        ("abc*", ["abc", "abcd", "abc*"], ["ab", "xabc", ""]),
        ("*abc", ["abc", "xabc", "*abc"], ["abcx", ""]),
        ("*", ["a", "*", " "], ["", "a\nb"]),
        ("*abc*", ["abc*", "xabc*"], ["abc", "xabcx"]),
        ("a*c", ["a*c"], ["abc"]),
        ("**", ["*", "a*"], ["a"]),
    ],
)
def test_texts(value: str, matched: list[str], unmatched: list[str]) -> None:
    """A star stands at one end and means any text there; alone, any text that is not empty (istio.io, "Rule")."""
    matches = match.texts([value])
    assert [text for text in (*matched, *unmatched) if matches(text)] == matched


@pytest.mark.parametrize(
    ("value", "matched", "unmatched"),
    [
        ("td.example/ns/foo/sa/bar", [A], [f"{A}x", "", "spiffe://td-example/ns/foo/sa/bar"]),
        ("td.example/ns/foo/*", [A], ["spiffe://td.example/ns/foo-2/sa/bar"]),
        ("*/sa/bar", [A, "spiffe://x/sa/bar"], [f"{A}x"]),
        ("*.example/ns/foo/sa/bar", [A, "spiffe://tdXexample/ns/foo/sa/bar"], ["spiffe://example/ns/foo/sa/bar"]),
        ("*", [A, "spiffe://x/y"], [""]),
        ("*foo*", ["spiffe://x/foooo", "spiffe://x/fo"], [A, "spiffe://x/foobar"]),
        ("*bar", [A, "spiffe://bar"], []),
    ],
)
def test_principals(value: str, matched: list[str], unmatched: list[str]) -> None:
    """Principals leave out the scheme; what follows a leading star is a regular expression, dots and stars included."""
    matches = match.texts([value], match.SPIFFE)
    assert [text for text in (*matched, *unmatched) if matches(text)] == matched


@pytest.mark.parametrize(
    ("matcher", "value", "matched", "unmatched"),
    [
        (
            match.namespaces,
            "foo",
            [A, "spiffe://td/x/ns/foo/y"],
            ["spiffe://td/ns/foo", "spiffe://td/ns/foo2/sa/b", ""],
        ),
        (match.namespaces, "fo*", [A, "spiffe://td/ns/foo2/sa/b", "spiffe://td/ns/fo/sa/b"], ["spiffe://td/ns/f/sa/b"]),
        (match.namespaces, "*", [A], ["spiffe://td/fleet/cars/1", ""]),
        (match.namespaces, "f.o", [A, "spiffe://td/ns/f.o/sa/b"], []),
        (match.trust_domains, "td.example", [A], ["spiffe://other/ns/foo/sa/bar", "spiffe://td.example", ""]),
        (match.trust_domains, "*.example", [A, "spiffe://x.example/a"], ["spiffe://x/a.example/b"]),
    ],
)
def test_identities(
    matcher: Callable[[Sequence[str]], match.Texts], value: str, matched: list[str], unmatched: list[str]
) -> None:
    """Namespaces and trust domains are found within the SPIFFE ID."""
    matches = matcher([value])
    assert [text for text in (*matched, *unmatched) if matches(text)] == matched


@pytest.mark.parametrize(
    ("value", "matched", "unmatched"),
    [
        ("bar", ["spiffe://td/ns/own/sa/bar"], [A, "spiffe://td/ns/own/sa/bar2"]),
        ("foo/bar", [A, f"{A}/x", "spiffe://td/ns/foo/k/v/sa/bar"], [f"{A}x", ""]),
        ("foo/b.r", [A, "spiffe://td/ns/foo/sa/b.r"], []),
    ],
)
def test_service_accounts(value: str, matched: list[str], unmatched: list[str]) -> None:
    """An account without a namespace is of the policy's own; other parts may stand between and behind."""
    matches = match.service_accounts([value], "own")
    assert [text for text in (*matched, *unmatched) if matches(text)] == matched


@pytest.mark.parametrize(
    ("value", "matched", "unmatched"),
    [
        ("10.1.2.3", ["10.1.2.3"], ["10.1.2.4", "", "x", "::ffff:10.1.2.3"]),
        ("10.1.0.0/16", ["10.1.0.0", "10.1.255.255"], ["10.0.255.255", "10.2.0.0"]),
        ("10.1.2.3/16", ["10.1.9.9"], ["10.2.0.0"]),  # bits behind the prefix do not count
        ("0.0.0.0/0", ["1.2.3.4"], ["::1"]),
        ("2001:db8::/32", ["2001:db8::1", "2001:0db8:0::2"], ["2001:db9::1", "10.1.2.3"]),
        ("::1", ["::1", "0:0:0:0:0:0:0:1"], ["::2"]),
    ],
)
def test_addresses(value: str, matched: list[str], unmatched: list[str]) -> None:
    """Single addresses and blocks, each family by itself."""
    matches = match.addresses([value])
    assert [text for text in (*matched, *unmatched) if matches(text)] == matched


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("", "10.0.0.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 192.0.2.2", "192.0.2.2"),
        ("192.0.2.1,192.0.2.2 ", "192.0.2.2"),
        ("192.0.2.1, unknown", "10.0.0.1"),
        ("192.0.2.1:80", "10.0.0.1"),
        ("::1", "::1"),
    ],
)
def test_forwarded_for(header: str, address: str) -> None:
    """The last address counts, since a sidecar trusts no hop; what is none leaves the peer's."""
    assert match.forwarded_for(header, "10.0.0.1") == address


@pytest.mark.parametrize(
    ("value", "matched", "unmatched"),
    [
        ("example.com", ["example.com", "EXAMPLE.com"], ["example.com:80", "a.example.com"]),
        ("*.Example.com", ["a.example.COM", ".example.com"], ["example.com"]),
        ("example*", ["Example.com", "example"], ["anexample"]),
        ("*", ["anything", ""], []),
    ],
)
def test_hosts(value: str, matched: list[str], unmatched: list[str]) -> None:
    """Hosts match whatever their case; a star alone is any host."""
    matches = match.hosts([value])
    assert [text for text in (*matched, *unmatched) if matches(text)] == matched


@pytest.mark.parametrize(
    ("value", "matched", "unmatched"),
    [
        # istio.io, "Operation": examples of path templates
        ("/foo/{*}", ["/foo/bar"], ["/foo/bar/baz", "/foo/", "/foo"]),
        ("/foo/{**}/", ["/foo/bar/", "/foo/bar/baz.txt/", "/foo//"], ["/foo/bar"]),
        ("/foo/{*}/bar/{**}", ["/foo/buzz/bar/", "/foo/buzz/bar/baz"], ["/foo/bar/baz", "/foo/buzz/bar"]),
        ("/*/baz/{*}", ["/*/baz/x"], ["/a/baz/x"]),
        ("/{**}", ["/", "/a", "/a/b"], [""]),
        ("/a.b/{*}", ["/a.b/c"], ["/axb/c"]),
        ("/a+b(c)/{*}", ["/a+b(c)/d"], ["/aab(c)/d"]),
        ("/{*}", ["/a=b", "/a*b", "/a%2Fb", "/~"], ["/a b", '/a"b', "/é", "/"]),
        ("/info*", ["/info", "/info/x"], ["/inf"]),
        ("*/info", ["/info", "/x/info"], ["/info/"]),
        ("*", ["/"], [""]),
    ],
)
def test_paths(value: str, matched: list[str], unmatched: list[str]) -> None:
    """Paths match as texts do; in templates {*} is one segment and {**} any number, with the characters Envoy takes."""
    matches = match.paths([value])
    assert [text for text in (*matched, *unmatched) if matches(text)] == matched


@pytest.mark.parametrize(
    ("value", "matched", "unmatched"),
    [
        ("https://i/me", [("https://i", "me")], [("https://i", "you"), ("https:/", "i/me"), ("", "")]),
        ("*", [("i", "me")], [("i", ""), ("", "me")]),
        ("https://i/*", [("https://i", "me")], [("https://i", ""), ("https://j", "me")]),
        ("*/me", [("i", "me")], [("i", "mee"), ("", "me")]),
        ("*.example/me", [("a.example", "me")], [("a.example", "you"), ("a", "me")]),
        ("https://i/m*", [("https://i", "me"), ("https://i", "m")], [("https://i", "you")]),
        ("https*", [("https://i", "me")], [("https://i", ""), ("http://i", "me")]),
        ("*me", [("i", "me"), ("i", "some")], [("", "me"), ("i", "mee")]),
        ("issuer", [("issuer", "")], [("issuer", "me")]),
        ("*/", [("i", "")], [("i", "me"), ("", "")]),
    ],
)
def test_request_principals(value: str, matched: list[tuple[str, str]], unmatched: list[tuple[str, str]]) -> None:
    """Issuer and subject are told apart at the last slash; a star at one end of the whole is of one of them."""
    matches = match.request_principals([value])
    assert [pair for pair in (*matched, *unmatched) if matches(*pair)] == matched


@pytest.mark.parametrize(
    ("principals", "aliases"),
    [
        # pilot/pkg/security/trustdomain: the examples of its documentation and their edges
        (["td2/ns/foo/sa/bar"], ["td2/ns/foo/sa/bar", "td1/ns/foo/sa/bar"]),
        (["td1/ns/foo/sa/bar"], ["td2/ns/foo/sa/bar", "td1/ns/foo/sa/bar"]),
        (["cluster.local/ns/foo/sa/bar"], ["td2/ns/foo/sa/bar", "td1/ns/foo/sa/bar"]),
        (["td3/ns/foo/sa/bar"], ["td3/ns/foo/sa/bar"]),
        (["*/ns/foo/sa/bar"], ["*/ns/foo/sa/bar"]),
        (["*1/ns/foo/sa/bar"], ["td2/ns/foo/sa/bar", "*1/ns/foo/sa/bar"]),
        (["td*/ns/foo/sa/bar"], ["td2/ns/foo/sa/bar", "td1/ns/foo/sa/bar"]),
        (["td1/ns/foo/*"], ["td1/ns/foo/*"]),
        (["*"], ["*"]),
        (["sa/bar", "td1/ns/a/sa/b"], ["sa/bar", "td2/ns/a/sa/b", "td1/ns/a/sa/b"]),
    ],
)
def test_aliases(principals: list[str], aliases: list[str]) -> None:
    """Only whole principals of a trust domain of the mesh have aliases."""
    assert with_aliases(principals, ("td2", "td1")) == aliases


@given(st.lists(st.text("ab*/.", max_size=5), min_size=1, max_size=4), st.text("ab/.", max_size=6))
def test_several_values_match_if_one_does(values: list[str], text: str) -> None:
    """A list of values is the disjunction of its values."""
    assert match.texts(values)(text) is any(match.texts([value])(text) for value in values)
