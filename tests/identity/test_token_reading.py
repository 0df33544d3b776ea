"""Texts of tokens that are odd, each with what Envoy's JWT filter makes of it (tests/policy holds that against it)."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.identity.key_sets import verify_by
from meshsim.identity.token_check import Lookup, judge_text, verify
from meshsim.identity.token_reading import Reading, read_token
from meshsim.identity.token_search import told
from meshsim.identity.tokens import base64url
from meshsim.scenario import token_reasons
from tests.identity.test_key_sets import key_set, of_joe

SECRET = b"a secret that joe shares"
JWKS = key_set({"kty": "oct", "k": base64url(SECRET)})
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
NOW_S = 1_767_225_600
HEAD: dict[str, Any] = {"alg": "HS256"}
JOE: dict[str, Any] = {"iss": "joe"}


def made(claims: object = JOE, header: object = HEAD) -> str:
    """A token signed with the secret; what is bytes already stands in it as it is."""
    parts = (one if isinstance(one, bytes) else json.dumps(one).encode() for one in (header, claims))
    return sealed(".".join(map(base64url, parts)))


def sealed(body: str) -> str:
    """Header and claims with their signature."""
    return f"{body}.{base64url(hmac.digest(SECRET, body.encode(), hashlib.sha256))}"


def nested(levels: int) -> bytes:
    """Claims in which one is a list of lists of lists."""
    return b'{"iss":"joe","a":' + b"[" * levels + b"]" * levels + b"}"


def loose(text: str) -> str:
    """The same with another bit in its last character, of which two are left over."""
    assert len(text.rpartition(".")[2]) % 4 == 3
    return text[:-1] + ALPHABET[ALPHABET.index(text[-1]) ^ 1]


GOOD = made()
ODD: dict[str, tuple[str, str]] = {
    "good": (GOOD, ""),
    "a dot behind": (f"{GOOD}.", ""),
    "two dots": (GOOD.replace(".", ".."), ""),
    "padded": (f"{GOOD}=", ""),
    "padded too much": (f"{GOOD}==", token_reasons.MALFORMED),
    "a header padded wrongly": (GOOD.replace(".", "=.", 1), token_reasons.MALFORMED),
    "a comma behind": (f"{GOOD},", token_reasons.MALFORMED),
    "bits left over behind the claims": (sealed(loose(GOOD.rpartition(".")[0])), ""),
    "bits left over behind the signature": (loose(GOOD), ""),
    "a character more": (f"{GOOD}A", token_reasons.BAD_SIGNATURE),
    "two parts": (GOOD.rpartition(".")[0], token_reasons.MALFORMED),
    "four parts": (f"{GOOD}.AA", token_reasons.MALFORMED),
    "a header that is a list": (made(header=["alg"]), token_reasons.MALFORMED),
    "claims that are a list": (made(["iss"]), token_reasons.MALFORMED),
    "no algorithm": (made(header={}), token_reasons.WRONG_ALGORITHM),
    "an algorithm that is a number": (made(header={"alg": 5}), token_reasons.WRONG_ALGORITHM),
    "an algorithm in small letters": (made(header={"alg": "hs256"}), token_reasons.WRONG_ALGORITHM),
    "no algorithm of somebody else": (made({"iss": "ann"}, {"alg": "none"}), token_reasons.WRONG_ALGORITHM),
    "a kid that is a number": (made(header={**HEAD, "kid": 5}), token_reasons.MALFORMED),
    "a kid that is nothing": (made(header={**HEAD, "kid": None}), token_reasons.MALFORMED),
    "a sub in the header": (made(header={**HEAD, "sub": 5}), ""),
    "a typ that is a number": (made(header={**HEAD, "typ": 5}), ""),
    "no issuer": (made({}), token_reasons.UNKNOWN_ISSUER),
    "an issuer that is a list": (made({"iss": ["joe"]}), token_reasons.MALFORMED),
    "a sub that is a number": (made({**JOE, "sub": 5}), token_reasons.MALFORMED),
    "a jti that is a number": (made({**JOE, "jti": 5}), token_reasons.MALFORMED),
    "an iat that is text": (made({**JOE, "iat": "5"}), token_reasons.MALFORMED),
    "an audience that is a number": (made({**JOE, "aud": 5}), token_reasons.MALFORMED),
    "an audience among numbers": (made({**JOE, "aud": ["a", 5]}), token_reasons.MALFORMED),
    "an end that is text": (made({**JOE, "exp": "4000000000"}), token_reasons.MALFORMED),
    "an end that is true": (made({**JOE, "exp": True}), token_reasons.MALFORMED),
    "an end that is nothing": (made({**JOE, "exp": None}), token_reasons.MALFORMED),
    "an end before 1970": (made({**JOE, "exp": -1}), token_reasons.MALFORMED),
    "an end at 0, which is none": (made({**JOE, "exp": 0}), ""),
    "an end with a fraction": (made({**JOE, "exp": 1000.9}), token_reasons.EXPIRED),
    "an end that is too far": (made({**JOE, "exp": 2**64 - 1}), token_reasons.MALFORMED),
    "an end that is just not too far": (made({**JOE, "exp": 2**64 - 2048}), ""),
    "an end that is no number": (made(b'{"iss":"joe","exp":NaN}'), token_reasons.MALFORMED),
    "an end that never comes": (made(b'{"iss":"joe","exp":Infinity}'), token_reasons.MALFORMED),
    "a number that no double holds": (made(b'{"iss":"joe","a":1e400}'), token_reasons.MALFORMED),
    "a number of many digits": (made(b'{"iss":"joe","a":' + b"9" * 400 + b"}"), token_reasons.MALFORMED),
    "a claim twice": (made(b'{"iss":"ann","iss":"joe"}'), token_reasons.MALFORMED),
    "a claim twice within one": (made(b'{"iss":"joe","a":{"b":1,"b":2}}'), token_reasons.MALFORMED),
    "a byte order mark": (made(b'\xef\xbb\xbf{"iss":"joe"}'), token_reasons.MALFORMED),
    "UTF-16": (made('{"iss":"joe"}'.encode("utf-16")), token_reasons.MALFORMED),
    "bytes that are no UTF-8": (made(b'{"iss":"joe","a":"\xff"}'), token_reasons.MALFORMED),
    "half a surrogate pair": (made(b'{"iss":"joe","a":"\\ud800"}'), token_reasons.MALFORMED),
    "white space around": (made(b' {"iss":"joe"} '), ""),
    "as deep as it may": (made(nested(99)), ""),
    "too deep": (made(nested(100)), token_reasons.MALFORMED),
    "much too deep": (made(nested(4000)), token_reasons.MALFORMED),
    "a binding that is none": (made({**JOE, "cnf": 5}), ""),
}
"""What is odd → the token, and the reason for which it is refused."""


@pytest.mark.parametrize("name", ODD)
def test_odd_tokens(name: str) -> None:
    """Each is refused for its reason, or accepted with claims that are JSON."""
    text, reason = ODD[name]
    verdict = judge_text(text, of_joe(JWKS), NOW_S, "")
    assert verdict.reason == reason
    if not reason:
        assert json.loads(verdict.claims)["iss"] == "joe"
        assert (
            told(Lookup(payload_header="x-payload"), verdict.claims, text)[0][1]
            == text.replace("..", ".").split(".")[1]
        )


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": ["b64"], "b64": False}, {"b64": False}])
def test_extensions_are_refused(header: dict[str, Any]) -> None:
    """Who does not know what a token says is critical has to refuse it (RFC 7515, section 4.1.11); Envoy does not."""
    assert verify(made(header=HEAD | header), of_joe(JWKS), NOW_S, "") == token_reasons.MALFORMED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["alg", "kid", "typ", "crit", "iss", "aud", "exp", "nbf", "iat", "sub", "jti", "cnf"])


@given(header=st.dictionaries(NAMES, JSON), claims=st.dictionaries(NAMES, JSON), signs=st.booleans())
def test_nothing_crashes(header: dict[str, Any], claims: dict[str, Any], signs: bool) -> None:
    """Whatever headers and claims hold, a token is read or refused, and what is read of it is JSON."""
    text = made(JOE | claims if signs else claims, header | HEAD if signs else header)
    verdict = judge_text(text, of_joe(JWKS), NOW_S, "")
    assert verdict.reason in ("", *token_reasons.REASONS)
    read = read_token(text)
    assert isinstance(read, str) == (verdict.reason in (token_reasons.MALFORMED, token_reasons.WRONG_ALGORITHM))
    if isinstance(read, Reading):
        assert verify_by(JWKS, read) == ("" if read.algorithm == "HS256" else token_reasons.WRONG_ALGORITHM)
        json.loads(json.dumps(dict(read.claims), allow_nan=False))


@given(st.text(st.characters(exclude_categories=())))
def test_no_text_crashes(text: str) -> None:
    """Nor does any text, half surrogate pairs among it."""
    assert verify(f"{GOOD}{text}", of_joe(JWKS), NOW_S, "") in ("", *token_reasons.REASONS)
    assert verify(text, of_joe(JWKS), NOW_S, "") == token_reasons.MALFORMED
