"""Key sets against the examples of RFC 7515, and predictions against PyJWT."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from meshsim.identity.key_sets import standing
from meshsim.identity.token_check import Accepted, TokenRules, judge, judge_text, verify
from meshsim.identity.token_flaws import flawed
from meshsim.identity.tokens import Grant, Issuer, kid_of, public_key
from meshsim.scenario import token_reasons

PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
ENDS_S = 1_300_819_380
HS256 = f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
RS256 = (
    f"eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5Y"
    "Kt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZR"
    "mB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywl"
    "VmtVrBp0igcN_IoypGlUPQGe77Rw"
)
ES256 = (
    f"eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6N"
    "U1Q"
)
EXAMPLES: dict[str, tuple[str, dict[str, str]]] = {
    "HS256": (
        HS256,
        {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
    ),
    "RS256": (
        RS256,
        {
            "kty": "RSA",
            "e": "AQAB",
            "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT"
            "-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2"
            "R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9"
            "gb54h4FRWyuXpoQ",
        },
    ),
    "ES256": (
        ES256,
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        },
    ),
}
"""Algorithm → the token and the key of RFC 7515, appendices A.1 to A.3."""
NOBODY = Issuer(name="", iss="joe", algorithm="", seed=0)


def key_set(*keys: dict[str, Any]) -> str:
    """The text of a key set."""
    return json.dumps({"keys": keys})


def of_joe(jwks: str) -> TokenRules:
    """Rules that accept the tokens of joe, of whom nothing is known but a key set."""
    return TokenRules((Accepted(NOBODY, (), jwks, has_key=False),), False, "ignored", 60)


@pytest.mark.parametrize("algorithm", EXAMPLES)
def test_the_examples_of_rfc_7515(algorithm: str) -> None:
    """Each token is accepted by its key, alone or among others, until it ends, and by the key of none of the others."""
    token, own = EXAMPLES[algorithm]
    others = [key for name, (_, key) in EXAMPLES.items() if name != algorithm]
    for jwks in (key_set(own), key_set(*others, own)):
        verdict = judge_text(token, of_joe(jwks), ENDS_S, "")
        assert json.loads(verdict.claims) == {"iss": "joe", "exp": ENDS_S, "http://example.com/is_root": True}
        assert verify(token, of_joe(jwks), ENDS_S + 60, "") == token_reasons.EXPIRED
    assert verify(token, of_joe(key_set(*others)), ENDS_S, "") == token_reasons.WRONG_ALGORITHM
    assert verify(token, of_joe(key_set({**own, "alg": "PS512"})), ENDS_S, "") == token_reasons.UNKNOWN_KEY
    assert verify(token[:-8] + "AAAAAAAA", of_joe(key_set(own)), ENDS_S, "") == token_reasons.BAD_SIGNATURE
    assert verify(token, of_joe(""), ENDS_S, "") == token_reasons.UNKNOWN_KEY


def test_any_issuer() -> None:
    """A rule without an issuer takes tokens of anybody whom its key set knows, and of nobody else."""
    token, own = EXAMPLES["ES256"]
    anybody = Issuer(name="", iss="", algorithm="", seed=0)
    rules = TokenRules((Accepted(anybody, (), key_set(own), has_key=False),), False, "ignored", 60)
    assert verify(token, rules, ENDS_S, "") == ""
    named = TokenRules((Accepted(Issuer("", "ann", "", 0), (), key_set(own), has_key=False),), False, "ignored", 60)
    assert verify(token, named, ENDS_S, "") == token_reasons.UNKNOWN_ISSUER


DESK = Issuer(name="desk", iss="https://desk.example", algorithm="ES256", seed=5)


def jwk(seed: int, kid: str, alg: str) -> dict[str, Any]:
    """A key of the desk, or of one with another seed."""
    key = json.loads(ECAlgorithm.to_jwk(public_key(Issuer("desk", DESK.iss, "ES256", seed))))
    return {name: value for name, value in (key | {"kid": kid, "alg": alg}).items() if value}


KEYS = st.builds(
    jwk, st.sampled_from((5, 6)), st.sampled_from(("", "x", kid_of(DESK))), st.sampled_from(("", "ES256", "RS256"))
)
SECRET = {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}


@given(
    keys=st.lists(st.one_of(KEYS, st.just(SECRET)), min_size=1, max_size=4),
    flaw=st.sampled_from(("own", "forged", "unsigned", "confused", "expired")),
    has_key=st.booleans(),
)
def test_the_prediction_is_what_pyjwt_finds(keys: list[dict[str, Any]], flaw: str, has_key: bool) -> None:
    """Of tokens of a known issuer before any key set, whether its own key counts as one of the set or not."""
    grant = Grant(DESK, "spiffe://a/b", (), "{}", 600, 300, False, 1_767_225_600)
    token = grant.token(1_767_225_610) if flaw == "own" else flawed(grant, flaw, 1_767_225_610, 60)
    rules = TokenRules((Accepted(DESK, (), key_set(*keys), has_key),), False, "ignored", 60)
    predicted = judge(token, rules, 1_767_225_610, "").reason
    assert predicted == verify(token.text, rules, 1_767_225_610, "")
    if flaw == "own":
        assert predicted == ("" if has_key else standing(DESK, "ES256", key_set(*keys)))
