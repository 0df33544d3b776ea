"""Signed tokens: made from a seed, judged by prediction and by PyJWT alike."""

from __future__ import annotations

import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.identity.token_check import ABSENT, Accepted, TokenRules, are_meant, judge, judge_text, verify
from meshsim.identity.token_flaws import flawed
from meshsim.identity.tokens import Grant, Issuer, Token, base64url, public_pem, thumbprint_of
from meshsim.scenario import token_reasons

BEGIN_S = 1_767_225_600
OWN, OTHER = thumbprint_of(b"own certificate"), thumbprint_of(b"another certificate")
ISSUERS = {
    algorithm: Issuer(name=algorithm.lower(), iss=f"https://{algorithm}.example", algorithm=algorithm, seed=7)
    for algorithm in ("ES256", "ES384", "EdDSA", "RS256")
}
FLAWS = {
    "forged": token_reasons.BAD_SIGNATURE,
    "expired": token_reasons.EXPIRED,
    "early": token_reasons.NOT_YET_VALID,
    "unsigned": token_reasons.WRONG_ALGORITHM,
    "confused": token_reasons.WRONG_ALGORITHM,
    "other-audience": token_reasons.WRONG_AUDIENCE,
    "other-issuer": token_reasons.UNKNOWN_ISSUER,
}


def grant(algorithm: str = "ES256", *, bound: bool = True, audiences: tuple[str, ...] = ("plans", "maps")) -> Grant:
    """A grant to a robot."""
    return Grant(
        issuer=ISSUERS[algorithm],
        subject="spiffe://plant.example/fleet/robots/0",
        audiences=audiences,
        more='{"groups":["movers"]}',
        ttl_s=300,
        renew_s=150,
        bound=bound,
        begin_s=BEGIN_S,
    )


def rules(*, required: bool = False, binding: str = "checked", audiences: tuple[str, ...] = ("plans",)) -> TokenRules:
    """What a planner accepts."""
    accepted = tuple(Accepted(issuer, audiences) for issuer in ISSUERS.values())
    return TokenRules(accepted, required=required, binding=binding, leeway_s=60)


@pytest.mark.parametrize("algorithm", ISSUERS)
def test_a_token_is_a_jwt(algorithm: str) -> None:
    """PyJWT reads every token as what its facts say, with the issuer's public key."""
    token = grant(algorithm).token(BEGIN_S + 10, OWN)
    claims = jwt.decode(
        token.text,
        public_pem(ISSUERS[algorithm]),
        algorithms=[algorithm],
        options={"verify_exp": False},
        audience="maps",
    )
    assert claims == json.loads(token.claims)
    assert claims["groups"] == ["movers"]
    assert claims["cnf"] == {"x5t#S256": OWN}
    assert judge(token, rules(), BEGIN_S + 10, OWN).reason == verify(token.text, rules(), BEGIN_S + 10, OWN) == ""


def test_tokens_follow_from_the_seed() -> None:
    """The same grant has the same token at the same time, the next one after a renewal, and another seed other ones."""
    one = grant()
    assert one.token(BEGIN_S + 149).text == one.token(BEGIN_S).text != one.token(BEGIN_S + 150).text
    other = Issuer(name="es256", iss="https://ES256.example", algorithm="ES256", seed=8)
    assert public_pem(other) != public_pem(ISSUERS["ES256"])


@pytest.mark.parametrize("algorithm", ISSUERS)
@pytest.mark.parametrize("flaw", FLAWS)
def test_flaws_are_told_apart(algorithm: str, flaw: str) -> None:
    """Each flaw has its own reason, by prediction and by PyJWT."""
    token = flawed(grant(algorithm), flaw, BEGIN_S + 10, 60, OWN)
    assert judge(token, rules(), BEGIN_S + 10, OWN).reason == FLAWS[flaw]
    assert verify(token.text, rules(), BEGIN_S + 10, OWN) == FLAWS[flaw]


def test_a_stolen_token_is_told_apart() -> None:
    """A bound token with another certificate, or with none, is refused as stolen, unless nobody looks."""
    token = grant().token(BEGIN_S, OWN)
    for presented in (OTHER, ""):
        assert judge(token, rules(), BEGIN_S, presented).reason == token_reasons.OTHER_CERTIFICATE
        assert verify(token.text, rules(), BEGIN_S, presented) == token_reasons.OTHER_CERTIFICATE
        assert judge(token, rules(binding="ignored"), BEGIN_S, presented).reason == ""
    loose = grant(bound=False).token(BEGIN_S, OWN)
    assert judge(loose, rules(), BEGIN_S, OTHER).reason == ""
    assert judge(loose, rules(binding="required"), BEGIN_S, OTHER).reason == token_reasons.NOT_BOUND


def test_requests_without_a_token() -> None:
    """No token is no mistake, unless one is required; and then policies see no claims."""
    assert judge(None, rules(), BEGIN_S, OWN) == ABSENT
    assert judge(None, rules(required=True), BEGIN_S, OWN).reason == token_reasons.MISSING


def test_a_text_is_judged_as_its_token() -> None:
    """Of a text nothing is known beforehand, and it comes to what the facts of its token come to."""
    tokens = [grant().token(BEGIN_S, OWN), *(flawed(grant(), flaw, BEGIN_S, 60, OWN) for flaw in FLAWS)]
    for token in tokens:
        predicted = judge(token, rules(), BEGIN_S, OWN)
        found = judge_text(token.text, rules(), BEGIN_S, OWN)
        assert (found.reason, found.algorithm) == (predicted.reason, predicted.algorithm)
        assert json.loads(found.claims or "0") == json.loads(predicted.claims or "0")
    for required in (False, True):
        assert judge_text("abc", rules(required=required), BEGIN_S, OWN).reason == token_reasons.MALFORMED


@pytest.mark.parametrize(
    ("after_s", "reason"),
    [(-61, token_reasons.NOT_YET_VALID), (-60, ""), (0, ""), (359, ""), (360, token_reasons.EXPIRED)],
)
def test_the_leeway_has_its_edges(after_s: int, reason: str) -> None:
    """A token counts from its nbf less the leeway to just before its exp plus the leeway."""
    token = grant().token(BEGIN_S, OWN)
    assert judge(token, rules(), BEGIN_S + after_s, OWN).reason == reason
    assert verify(token.text, rules(), BEGIN_S + after_s, OWN) == reason


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("https://shop/", True),
        ("http://shop", True),
        ("shop//", False),
        ("http://https://shop", False),
        ("Shop", False),
    ],
)
def test_audiences_are_compared_as_envoy_does(said: str, meant: bool) -> None:
    """One scheme in front does not count, nor does one slash behind."""
    assert are_meant([said], ["shop"]) is are_meant(["shop"], [said]) is meant


@given(st.text(st.characters(codec="ascii"), max_size=60) | st.binary(max_size=40).map(base64url))
def test_no_text_crashes_the_verifier(text: str) -> None:
    """Whatever is presented as a token, the verifier has a reason."""
    assert verify(text, rules(), BEGIN_S, OWN) in (token_reasons.MALFORMED, token_reasons.UNKNOWN_ISSUER)


@given(
    algorithm=st.sampled_from(["ES256", "EdDSA"]),
    flaw=st.sampled_from(["", *FLAWS]),
    bound=st.booleans(),
    binding=st.sampled_from(["ignored", "checked", "required"]),
    audiences=st.sampled_from([(), ("plans",), ("maps", "x"), ("y",)]),
    meant_for=st.sampled_from([(), ("plans",), ("maps",)]),
    after_s=st.integers(-200, 600),
    presented=st.sampled_from([OWN, OTHER, ""]),
)
def test_prediction_is_what_pyjwt_finds(
    algorithm: str,
    flaw: str,
    bound: bool,
    binding: str,
    audiences: tuple[str, ...],
    meant_for: tuple[str, ...],
    after_s: int,
    presented: str,
) -> None:
    """For any token and any verifier, both come to the same."""
    held = grant(algorithm, bound=bound, audiences=meant_for)
    token: Token = flawed(held, flaw, BEGIN_S, 60, OWN) if flaw else held.token(BEGIN_S, OWN)
    accepted = rules(binding=binding, audiences=audiences)
    verdict = judge(token, accepted, BEGIN_S + after_s, presented)
    assert verdict.reason == verify(token.text, accepted, BEGIN_S + after_s, presented)
    assert verdict.reason == "" or verdict.reason in token_reasons.REASONS
    assert bool(verdict.claims) == (verdict.reason == "")
