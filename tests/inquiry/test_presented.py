"""Tokens in inquiries: told in header fields, taken off or forwarded, and found where the rules look, as in runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest

from meshsim.identity.tokens import Issuer, signed
from meshsim.inquiry.ask import Verdict, ask
from meshsim.inquiry.matrix import build_matrix, compare
from meshsim.inquiry.other_policies import subject_of_files
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject
from meshsim.inquiry.ways import survey
from meshsim.scenario.loader import load_text
from tests.inquiry.conftest import SCENARIO
from tests.inquiry.test_arrival import ISSUER, POLICY, allowed, plant, shop, tokens_with

TOLD = tokens_with(
    "fromHeaders: [{name: x-jwt}]",
    "forwardOriginalToken: FORWARD",
    "outputClaimToHeaders: [{header: x-group, claim: group}, {header: x-deep, claim: a.b}]",
    "outputPayloadToHeader: x-payload",
)
BY_GROUP = '{when: [{key: "request.headers[x-group]", values: [admin]}]}'


def put(subject: Subject, **request: Any) -> Verdict:
    """Ask whether the front may."""
    return ask(subject, Request(source="front", destination="stock", **request))


@pytest.mark.parametrize("forward", ["false", "true"])
def test_claims_are_told_in_header_fields(tmp_path: Path, forward: str) -> None:
    """Policies see what a token says in the fields of outputClaimToHeaders, and nobody else's word there."""
    subject = shop(tmp_path / "shop", BY_GROUP, TOLD.replace("FORWARD", forward))
    token = {"iss": ISSUER, "aud": "shop", "group": "admin", "a": {"b": 3}}
    verdict = put(subject, claims=token)
    assert verdict.decision.allowed
    seen = dict(verdict.asked.question.headers)
    assert (seen["x-group"], seen["x-deep"]) == ("admin", "3")
    assert jwt.utils.base64url_decode(seen["x-payload"]).startswith(b'{"a')
    assert ("x-jwt" in seen) is (forward == "true")
    assert not put(subject, claims={**token, "group": "guest"}).decision.allowed
    forged = put(subject, headers=(("X-Group", "admin"),))
    assert not forged.decision.allowed
    assert forged.notes == ("header x-group is removed: what tokens say is written into it",)


def test_the_matrix_knows_what_is_told(tmp_path: Path) -> None:
    """Who may call by a header field into which a claim is written may by that claim, and by no header field."""
    subject = shop(tmp_path / "shop", BY_GROUP, TOLD.replace("FORWARD", "false"))
    matrix = build_matrix(subject)
    (words,) = allowed(matrix, "front", "stock")
    assert 'claim group is "admin"' in words
    assert "header x-group" not in words
    assert not matrix.space.approximate


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("x-group", "ad*", "header x-group, which tells claim group, is matched in part"),
        ("x-payload", "ey", "header x-payload tells all claims at once"),
    ],
)
def test_what_claims_cannot_be_tried_for_is_told(tmp_path: Path, key: str, value: str, reason: str) -> None:
    """A matrix says why it is not exact where a policy compares a part of a claim's field, or all claims in one."""
    rule = f'{{when: [{{key: "request.headers[{key}]", values: ["{value}"]}}]}}'
    matrix = build_matrix(shop(tmp_path / "shop", rule, TOLD.replace("FORWARD", "false")))
    assert matrix.space.approximate == (reason,)


def test_other_policies_have_rules_of_their_own(tmp_path: Path) -> None:
    """What a change of a RequestAuthentication tells, and takes from callers, is in the comparison."""
    told = TOLD.replace("FORWARD", "false")
    before = shop(tmp_path / "before", BY_GROUP, told)
    after = tmp_path / "after.yaml"
    after.write_text(told.replace("x-group, claim: group", "x-group, claim: team") + POLICY.replace("RULE", BY_GROUP))
    flips = compare(before, subject_of_files(before, [after])).flips
    mine = [flip for flip in flips if flip.caller.name == "front"]
    assert [flip.now_allowed for flip in mine] == [True, False]
    assert ['"team":"admin"' in flip.witness.claims for flip in mine] == [True, False]
    after.write_text(tokens_with("fromHeaders: [{name: x-jwt}]") + POLICY.replace("RULE", BY_GROUP))
    flips = compare(before, subject_of_files(before, [after])).flips
    opened = [flip for flip in flips if flip.caller.name == "front" and flip.now_allowed]
    assert [dict(flip.witness.headers)["x-group"] for flip in opened] == ["admin"]  # callers' own word counts then


OWN = """\
permit (principal, action, resource) when { context.headers has "x-role" && context.headers["x-role"] == "lift" };
"""


def test_the_scenarios_own_spelling(tmp_path: Path) -> None:
    """request_authentication tells claims to policies that read none, in ask and in the matrix."""
    text = (
        SCENARIO.replace(
            "namespace: plant, tls",
            "namespace: plant, request_authentication: {issuers: [depot], from_params: [t], "
            "output_claims_to_headers: [{header: X-Role, claim: role}]}, tls",
        )
        .replace("scenario: plant\n", "scenario: plant\nseed: 7\n")
        .replace("  policy:", "  tokens: {issuers: {depot: {}}}\n  policy:")
    )
    subject = plant(tmp_path, text, OWN)
    request = {"source": "planner", "destination": "vision"}
    assert ask(subject, Request(**request, claims={"role": "lift"})).decision.allowed
    assert not ask(subject, Request(**request, claims={"role": "move"})).decision.allowed
    assert not ask(subject, Request(**request, headers=(("x-role", "lift"),))).decision.allowed
    words = allowed(build_matrix(subject), "planner", "vision")
    assert len(words) == 1
    assert 'claim role is "lift"' in words[0]

    issuer = Issuer(name="depot", iss="https://depot.plant.example", algorithm="ES256", seed=7)
    claims = {"iss": issuer.iss, "sub": "a", "nbf": subject.epoch_s, "exp": subject.epoch_s + 60, "role": "lift"}
    token = signed(issuer, claims)
    found = ask(subject, Request(**request, path=f"/?t={token.text}&day=1"))
    assert found.decision.allowed
    late = ask(subject, Request(**request, path=f"/?t={token.text}", time_s=subject.epoch_s + 3600))
    assert late.decision.rule == "token-expired"
    elsewhere = ask(subject, Request(**request, headers=(("authorization", f"Bearer {token.text}"),)))
    assert not elsewhere.decision.allowed  # nobody looks there
    assert ask(subject, Request(**request, path="/?t=abc")).decision.rule == "token-malformed"


def test_a_way_does_not_rest_on_a_forged_field(tmp_path: Path) -> None:
    """A first request is not sought in fields that sidecars take from nobody: there is none without a token."""
    text = SCENARIO.replace("engine: cedar, ", "").replace("policy: {files: [plant.cedar]}", POLICY_OF_ISTIO)
    for forged, told in ((True, ""), (False, "outputClaimToHeaders: [{header: x-group, claim: group}]")):
        (tmp_path / "plant.istio").write_text(WAYS.replace("TOLD", told), encoding="utf-8")
        loaded = load_text(text, tmp_path / "plant.yaml")
        way = survey(loaded)("planner", (), "vision", ())
        assert (way is not None) is forged
        assert way is None or way.headers == (("x-group", "admin"),)


POLICY_OF_ISTIO = "policy: {engine: istio, files: [plant.istio]}"
WAYS = """\
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: plant}
spec: {jwtRules: [{issuer: a, jwksUri: "https://a.example/", TOLD}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: groups, namespace: plant}
spec: {rules: [{when: [{key: "request.headers[x-group]", values: [admin]}]}]}
"""
