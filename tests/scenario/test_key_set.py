"""Key sets in rules for tokens: what is none is told, each by what is wrong with it."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.scenario.key_set import crypto_key, read_key_set


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "is no JSON Web Key Set; expected JSON such as"),
        ("[]", "is no JSON Web Key Set; expected JSON such as"),
        ('{"keys": [1]}', "is no JSON Web Key Set; expected JSON such as"),
        ('{"keys": []}', "holds no key, so that no token could ever be accepted; expected at least one"),
        ('{"keys": [{}]}', "has no kty in key 1; expected EC, RSA, oct or OKP"),
        ('{"keys": [{"kty": "RSB"}]}', "has the kty 'RSB' in key 1; did you mean 'RSA'?"),
        ('{"keys": [{"kty": "RSA", "n": "sw"}]}', "has no e in key 1; expected it of a key with kty RSA"),
        ('{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": 5}]}', "has a kid that is no text in key 1; expected text"),
        (
            '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}',
            "has a key 2 that cannot be read (",
        ),
        ('{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11"}]}', "has a key 1 that cannot be read ("),
        ('{"keys": [{"kty": "OKP", "crv": "Ed448", "x": "11"}]}', "has the crv 'Ed448' in key 1; expected Ed25519"),
        ('{"keys": [{"kty": "OKP", "crv": "X25519", "x": "11"}]}', "holds no key that signs, so that no token could"),
    ],
)
def test_what_is_no_key_set(text: str, said: str) -> None:
    """The message says which key is wrong and what would be right."""
    with pytest.raises(ValueError, match=r"; (expected|did you mean) ") as error:
        read_key_set(text)
    assert str(error.value).startswith(said)


def test_keys_that_sign_nothing_are_left_out() -> None:
    """A key for agreeing on keys stands beside those that sign, as RFC 7517, section 5, has readers pass over it."""
    keys = '{"keys": [{"kty": "OKP", "crv": "X25519", "x": "11"}, {"kty": "oct", "k": "c2VjcmV0"}]}'
    assert [key.kty for key in read_key_set(keys)] == ["oct"]


def test_private_parts_are_left_out() -> None:
    """Of a private key its public half is read, which is all that a signature is checked with."""
    d, x = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"  # RFC 8037, A.1
    (whole,) = read_key_set(f'{{"keys": [{{"kty": "OKP", "crv": "Ed25519", "d": "{d}", "x": "{x}"}}]}}')
    assert not hasattr(crypto_key(whole), "sign")


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_nothing_crashes(data: object) -> None:
    """Whatever stands there is read or refused."""
    for text in (json.dumps(data), json.dumps({"keys": [data]}), json.dumps({"keys": [{"kty": "EC", "crv": data}]})):
        with suppress(ValueError):
            assert read_key_set(text)
