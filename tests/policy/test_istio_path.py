"""Normalisation of paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.policy.istio_path import Normalization, normalized

BASE, MERGE, DECODE, NONE = "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES", "NONE"
PATHS = st.text("/.%2eEfF5cC\\;ab41^{", max_size=14).map("/{}".format)


@pytest.mark.parametrize(
    ("path", "base", "merge", "decode"),
    [
        # istio.io, "Authorization Policy Normalization" and "Security Best Practices"
        ("/a/../b", "/b", "/b", "/b"),
        ("/a//b", "/a//b", "/a/b", "/a/b"),
        ("/a%2fb", "/a%2fb", "/a%2fb", "/a/b"),
        ("/some%2fdata/%61%62%63", "/some%2fdata/abc", "/some%2fdata/abc", "/some/data/abc"),
        ("/some\\data", "/some/data", "/some/data", "/some/data"),
        ("/some//data///abc", "/some//data///abc", "/some/data/abc", "/some/data/abc"),
        ("/public/./data/abc/../xyz", "/public/data/xyz", "/public/data/xyz", "/public/data/xyz"),
        ("/%2d%2e%5f%7e%41%7a%30", "/-._~Az0", "/-._~Az0", "/-._~Az0"),
        ("/a%5Cb", "/a%5Cb", "/a%5Cb", "/a/b"),
        ("/a%00b", None, None, None),
        # edges, as Envoy 1.40 has them
        ("/", "/", "/", "/"),
        ("/..", "/", "/", "/"),
        ("/../../a", "/a", "/a", "/a"),
        ("/a/.", "/a/", "/a/", "/a/"),
        ("/a/..", "/", "/", "/"),
        ("/a/%2e%2E/b", "/b", "/b", "/b"),
        ("/a/.%2e", "/", "/", "/"),
        ("/a/...", "/a/...", "/a/...", "/a/..."),
        ("/a/..b", "/a/..b", "/a/..b", "/a/..b"),
        ("/a..", "/a..", "/a..", "/a.."),
        ("/a\\..\\b", "/b", "/b", "/b"),
        ("/a%2f..%2fb", "/a%2f..%2fb", "/a%2f..%2fb", "/b"),
        ("/a%5c..%5cb", "/a%5c..%5cb", "/a%5c..%5cb", "/b"),
        ("/a//../b", "/a/b", "/a/b", "/a/b"),
        ("//", "//", "//", "//"),
        ("///", "///", "//", "//"),
        ("//a//", "//a//", "/a/", "/a/"),
        ("/a/..;x=1/b", "/b", "/b", "/b"),
        ("/a/.;/b", "/a/b", "/a/b", "/a/b"),
        ("/a;x/../b", "/b", "/b", "/b"),
        ("/a/;/b", "/a/;/b", "/a/;/b", "/a/;/b"),
        ("/a/.%2e;x/b", "/a/..;x/b", "/a/..;x/b", "/a/..;x/b"),
        ("/%252e%252e/a", "/%252e%252e/a", "/%252e%252e/a", "/%252e%252e/a"),
        ("/%", "/%", "/%", "/%"),
        ("/%4", "/%4", "/%4", "/%4"),
        ("/%zz", "/%zz", "/%zz", "/%zz"),
        ("/%%34A", "/%254A", "/%254A", "/%254A"),
        ("/%4%41", "/%254A", "/%254A", "/%254A"),
        ("/%%30%30", "/%2500", "/%2500", "/%2500"),
        ("/x%/../bcd%61", "/bcda", "/bcda", "/bcda"),
        ('/"<>^`{|}', "/%22%3C%3E%5E%60%7B%7C%7D", "/%22%3C%3E%5E%60%7B%7C%7D", "/%22%3C%3E%5E%60%7B%7C%7D"),
        ("/!$&'()*+,;=:@[]", "/!$&'()*+,;=:@[]", "/!$&'()*+,;=:@[]", "/!$&'()*+,;=:@[]"),
        ("/%c3%A9", "/%c3%A9", "/%c3%A9", "/%c3%A9"),
    ],
)
def test_normalised(path: str, base: str | None, merge: str | None, decode: str | None) -> None:
    """Each mode does what the one before it does, and more."""
    assert (normalized(path, "BASE"), normalized(path, "MERGE_SLASHES")) == (base, merge)
    assert normalized(path, "DECODE_AND_MERGE_SLASHES") == decode
    assert normalized(path, "NONE") == path


@pytest.mark.parametrize("path", ["", "a", "*", "/a#b", "/a b", "/\x7f", "/é", "/a\n", "http://a/b"])
@pytest.mark.parametrize("mode", [NONE, BASE, MERGE, DECODE])
def test_what_is_no_path_is_refused(path: str, mode: Normalization) -> None:
    """Requests that Envoy answers with 400 have no path to match."""
    assert normalized(path, mode) is None


@given(PATHS)
def test_modes_build_on_each_other(path: str) -> None:
    """Merging follows BASE, and a path without escaped slashes is the same decoded or not."""
    base, merged = normalized(path, "BASE"), normalized(path, "MERGE_SLASHES")
    assert (base is None) == (merged is None)
    if base is not None and "//" not in base:
        assert merged == base
    if "%2f" not in path.lower() and "%5c" not in path.lower():
        assert normalized(path, "DECODE_AND_MERGE_SLASHES") == merged


@given(st.text(st.characters(), max_size=30), st.sampled_from([NONE, BASE, MERGE, DECODE]))
def test_no_text_breaks_normalising(path: str, mode: Normalization) -> None:
    """Any text is refused or becomes a path, and what has become one stays it."""
    for text in (path, f"/{path}"):
        found = normalized(text, mode)
        assert found is None or found.startswith("/")
        if found is not None and mode == NONE:
            assert found == text


@given(PATHS)
def test_what_comes_out_is_a_path(path: str) -> None:
    """A normalised path begins with a slash, has no dot segments that are left, and no backslash."""
    for mode in (BASE, MERGE, DECODE):
        found = normalized(path, mode)  # type: ignore[arg-type] # one of the literals
        if found is not None:
            assert found.startswith("/")
            assert "\\" not in found
            assert not {".", ".."} & set(found.split("/"))
