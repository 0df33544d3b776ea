"""Tokens of other trust domains: believed by the keys in the bundle that a verifier has, and no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshsim.scenario import token_reasons
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_text
from tests.world.test_federation import Data, mesh, outcomes, partner

__all__ = ["mesh"]
S = 1_000_000_000


@pytest.fixture
def tokens(mesh: Data) -> Data:
    """The clients' tokens are signed by the desk of plant.example; the broker of partner.example asks for them."""
    mesh["mesh"]["tokens"] = {"issuers": {"desk": {"trust_domain": "plant.example", "ttl": "4 s"}}, "leeway": "1 s"}
    mesh["fleets"]["client"]["token"] = {"issuer": "desk", "audiences": ["broker"]}
    mesh["services"]["broker"]["request_authentication"] = {
        "issuers": ["desk"],
        "audiences": ["broker"],
        "required": True,
    }
    return mesh


def rotated(tokens: Data) -> None:
    """Have the plant's authority, and with it the desk's key, be replaced at 35 s; it is in the bundle from 32 s on.

    Certificates of before stay in use, so that it is the tokens that are refused.
    """
    tokens["mesh"]["identity"] |= {
        "ca_ttl": "1 h",
        "ca_age": "10 min",
        "ca_rotation": {"prepare": "2958 s", "activate": "2955 s"},
    }


def refusals(result: Any) -> list[tuple[int, str]]:
    """Second and rule of each refused request."""
    return [(row.t_ns // S, row.rule) for row in result.decisions if not row.allowed]


def test_fetched_tokens_of_another_trust_domain(simulate: Any, tokens: Data) -> None:
    """An endpoint signs with the key of its trust domain's authority: the new one's from its activation on."""
    rotated(tokens)
    tokens["mesh"]["tokens"]["issuers"]["desk"]["endpoint"] = {"margin": "1 s"}
    for hint, believed in (("2 s", True), ("1 h", False)):
        tokens["mesh"]["federation"]["endpoint"] = {"refresh_hint": hint}
        runs = [simulate(tokens, fidelity=level) for level in ("modelled", "real")]
        assert runs[0].content() == runs[1].content()
        assert all(row.outcome == "done" for row in runs[0].issuances if row.purpose == "token")
        late = {(second >= 35, rule) for second, rule in refusals(runs[0])}
        assert late == (set() if believed else {(True, token_reasons.UNKNOWN_KEY)})


@pytest.mark.parametrize("fidelity", ["modelled", "real"])
def test_a_token_of_another_trust_domain(simulate: Any, tokens: Data, fidelity: str) -> None:
    """The broker has the desk's key from the bundle of plant.example, and lets its tokens in."""
    result = simulate(tokens, fidelity=fidelity)
    assert set(outcomes(result)) == {"ok"}
    sizes = {row.size_bytes for row in result.bundles if row.trust_domain == "partner.example"}
    others = {row.size_bytes for row in result.bundles if row.trust_domain == "plant.example"}
    # A certificate and a key of 164 characters more, with its comma.
    (size_bytes,), (other_bytes,) = sizes, others
    assert 100 < size_bytes - other_bytes < 200


def test_a_key_that_nobody_has_heard_of(simulate: Any, tokens: Data) -> None:
    """Tokens signed with the next key are refused until the bundle that has it is fetched, and then accepted."""
    rotated(tokens)
    result = simulate(tokens, fidelity="real")
    found = refusals(result)
    assert {rule for _, rule in found} == {token_reasons.UNKNOWN_KEY}
    # It signs from 35 s on, the next token of a holder is due at 36 s; the bundle is fetched from 40 s on.
    assert {second for second, _ in found} == {36, 37, 38, 39, 40}
    assert set(outcomes(result, 41)) == {"ok"}


def test_forged_is_not_unknown(simulate: Any, tokens: Data) -> None:
    """A token that names a key in the bundle and is signed with another one is forged, and told apart."""
    tokens["traffic"][0]["token"] = "forged"
    result = simulate(tokens)
    assert {rule for _, rule in refusals(result)} == {token_reasons.BAD_SIGNATURE}


def test_a_bundle_that_has_no_keys(simulate: Any, tokens: Data) -> None:
    """An empty bundle takes away the keys of tokens with the authorities."""
    tokens["mesh"]["tls"]["mode"] = "DISABLE"
    tokens["mesh"]["federation"]["endpoint"]["profile"] = "https_web"
    tokens["faults"] = [
        {"kind": "bundle-endpoint", "target": "plant.example", "serves": "empty", "at": "15 s", "for": "10 s"}
    ]
    result = simulate(tokens, fidelity="modelled")
    assert {rule for _, rule in refusals(result)} == {token_reasons.UNKNOWN_KEY}
    assert {second for second, _ in refusals(result)} <= set(range(20, 31))


@pytest.mark.parametrize(
    ("issuer", "told"),
    [
        ({"trust_domain": "nowhere.example"}, "there is no trust domain 'nowhere.example';"),
        ({"trust_domain": "plant.example", "algorithm": "EdDSA"}, "JWT-SVIDs are not signed with EdDSA; expected"),
    ],
)
def test_mistakes_are_told(tokens: Data, tmp_path: Path, issuer: Data, told: str) -> None:
    """Trust domains that are not there, and algorithms that JWT-SVIDs do not have, are mistakes of the scenario."""
    tokens["mesh"]["tokens"]["issuers"]["desk"] = issuer
    with pytest.raises(ScenarioError) as caught:
        load_text(json.dumps(tokens), tmp_path / "scenario.yaml", [])
    assert told in str(caught.value)


def test_the_other_way_round(simulate: Any, tokens: Data) -> None:
    """A verifier that does not fetch the issuer's bundle has no key of it, whatever it makes of certificates."""
    tokens["mesh"]["tls"]["mode"] = "DISABLE"
    partner(tokens)["trusts"] = []
    result = simulate(tokens)
    assert {rule for _, rule in refusals(result)} == {token_reasons.UNKNOWN_KEY}
