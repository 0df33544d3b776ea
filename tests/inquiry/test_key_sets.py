"""Key sets of rules in inquiries: real tokens are judged by them, and what they refuse of the scenario's is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meshsim.commands.asking import token_text
from meshsim.inquiry.ask import ask
from meshsim.inquiry.placing import TokenPlace
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import subject_of, subject_of_manifests
from meshsim.scenario import token_reasons
from meshsim.scenario.errors import ScenarioError, UsageError
from meshsim.scenario.loader import load_text
from tests.identity.test_key_sets import ENDS_S, EXAMPLES, key_set
from tests.inquiry.test_manifests import write_shop
from tests.world.test_tokens import jwk

RULE = """\
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: joe, namespace: shop}
spec:
  selector: {matchLabels: {app: stock}}
  jwtRules: [{issuer: joe, KEYS}]
"""
REFUSER = "ns[shop]-requestauthentication[joe]"


def put(folder: Path, keys: str, **request: object) -> tuple[str, str, str]:
    """Which rule decides on what the front asks of the stock, who refuses it, and what is noted."""
    subject = subject_of_manifests(write_shop(folder, policy=RULE.replace("KEYS", keys)))
    verdict = ask(subject, Request(source="front", destination="stock", time_s=ENDS_S, **request))  # type: ignore[arg-type]  # as a caller writes it
    return verdict.decision.rule, verdict.decision.refused_by, " ".join(verdict.notes)


@pytest.mark.parametrize("algorithm", EXAMPLES)
def test_real_tokens_are_judged_by_the_keys_of_the_rule(tmp_path: Path, algorithm: str) -> None:
    """A token that somebody has is good where its key is in jwks, and refused where it is not or is not known."""
    token, key = EXAMPLES[algorithm]
    others = [each for name, (_, each) in EXAMPLES.items() if name != algorithm]
    (tmp_path / "token").write_text(f"{token}\n", encoding="ascii")
    text = token_text(tmp_path / "token")
    inside = f"jwks: '{key_set(*others, key)}'"
    assert put(tmp_path / "a", inside, token=text) == ("default-allow", "", "")
    header = (("authorization", f"Bearer {text}"),)
    assert put(tmp_path / "b", inside, headers=header) == ("default-allow", "", "")
    outside = f"jwks: '{key_set(*others)}'"
    assert put(tmp_path / "c", outside, token=text) == (token_reasons.WRONG_ALGORITHM, REFUSER, "")
    fetched = 'jwksUri: "https://joe.example/keys"'
    assert put(tmp_path / "d", fetched, token=text) == (token_reasons.UNKNOWN_KEY, REFUSER, "")


def test_a_token_is_put_where_the_rule_looks(tmp_path: Path) -> None:
    """Unless it is said, the token is where the rule for its issuer looks first; elsewhere nobody sees it."""
    token, key = EXAMPLES["ES256"]
    rule = f"fromParams: [tok], jwks: '{key_set(key)}'"
    assert put(tmp_path / "a", rule, token=token) == ("default-allow", "", "the token is in parameter tok")
    assert put(tmp_path / "b", rule, token=token[:-6] + "AAAAAA") == (
        token_reasons.BAD_SIGNATURE,
        REFUSER,
        "the token is in parameter tok",
    )
    unseen = put(tmp_path / "c", rule, token=token[:-6] + "AAAAAA", token_at=TokenPlace("header", "x-jwt"))
    assert unseen[0] == "default-allow"
    old = subject_of_manifests(write_shop(tmp_path / "d", policy=RULE.replace("KEYS", rule)))
    verdict = ask(old, Request(source="front", destination="stock", token=token))
    assert verdict.decision.rule == token_reasons.EXPIRED
    assert verdict.notes[1] == "the clock says 2026-01-01T00:00:00Z; --time tells another instant"


def test_what_is_no_token(tmp_path: Path) -> None:
    """A file that is not there, or holds more than a token, is a mistake, and so are claims beside a token."""
    with pytest.raises(UsageError, match=r"--token: .*nowhere: there is no such file"):
        token_text(tmp_path / "nowhere")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="holds no token; expected its text alone, in ASCII"):
        token_text(tmp_path / "bytes")
    with pytest.raises(UsageError, match="--token: this is no token; expected its text alone, in one line"):
        put(tmp_path / "a", f"jwks: '{key_set(EXAMPLES['ES256'][1])}'", token="two words")
    with pytest.raises(UsageError, match="--token: there are claims of another token"):
        put(tmp_path / "b", f"jwks: '{key_set(EXAMPLES['ES256'][1])}'", token="a.b.c", claims={"iss": "joe"})


def test_a_key_set_that_is_none_is_a_mistake_at_its_place(tmp_path: Path) -> None:
    """Each rule's key set is read when the rule is."""
    with pytest.raises(ScenarioError) as error:
        put(tmp_path / "a", """jwks: '{"keys": [{"kty": "EC", "crv": "P-256"}]}'""")
    (found,) = error.value.diagnostics
    assert found.message == "'jwks' has no x in key 1; expected it of a key with kty EC (RFC 7518)"
    assert (found.line, found.column) == (6, 34)


SCENARIO = """\
scenario: keys
duration: 1 s
network:
  nodes: {edge-1: {kind: edge}}
  slices: {web: {sst: 1, five_qi: 9}}
services:
  back: {replicas: {edge-1: 1}, work: {constant: 1 ms}}
fleets:
  users: {node: edge-1, token: {issuer: desk}}
traffic: [{from: users, to: back, slice: web, arrivals: {constant: 1 /s}}]
mesh:
  tokens: {issuers: {desk: {MORE}}}
  policy: {engine: istio, files: [a.yaml]}
"""
OWN = RULE.replace("namespace: shop", "namespace: default").replace("app: stock", "app: back")
OWN = OWN.replace("issuer: joe", 'issuer: "https://desk.mesh.example"').replace(
    "  selector: {matchLabels: {app: back}}\n", ""
)


@pytest.mark.parametrize(
    ("seed", "more", "said"),
    [
        (1, "", ""),
        (2, "", "mesh.tokens.issuers.desk is not: by this rule every token of it is refused (token-bad-signature)"),
        (2, "key_in_jwks: true", ""),
        (0, "key_in_jwks: true", "mesh.tokens.issuers.desk.key_in_jwks has no effect: no RequestAuthentication"),
        (0, "", ""),
    ],
)
def test_what_a_key_set_refuses_is_told(tmp_path: Path, seed: int, more: str, said: str) -> None:
    """That the scenario's own tokens are refused by a key set, or that saying they are not does nothing."""
    keys = f"jwks: '{json.dumps({'keys': [jwk(seed)]})}'" if seed else 'jwksUri: "https://a.example"'
    (tmp_path / "a.yaml").write_text(OWN.replace("KEYS", keys), encoding="utf-8")
    warnings = subject_of(load_text(SCENARIO.replace("MORE", more), tmp_path / "s.yaml"), "s").warnings
    assert len(warnings) == bool(said)
    assert all(said in one for one in warnings)
