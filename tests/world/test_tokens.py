"""Tokens in a run: who gets in with which, and that certificates may be replaced meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from jwt.algorithms import ECAlgorithm

from meshsim.identity.tokens import Issuer, kid_of, public_key
from meshsim.policy.engine import Directory
from meshsim.scenario import token_reasons
from meshsim.scenario.errors import InvariantViolation
from meshsim.scenario.loader import load_text
from meshsim.world import tokens
from meshsim.world.directory import directory_of
from meshsim.world.state import State
from tests.world.conftest import TWO_EDGES, Result, Simulate

SCENARIO = (
    TWO_EDGES.replace("duration: 1 s", "duration: 20 s")
    + """\
scenario: tokens
services:
  planner:
    replicas: {edge-2: 1}
    work: {constant: 1 ms}
    request_authentication: {issuers: [desk], audiences: [plans], required: true}
fleets:
  robots: {node: edge-1, token: {issuer: desk, audiences: [plans], bound: true}}
  thief: {node: edge-1, token: {issuer: desk, audiences: [plans], bound: true}}
mesh:
  tokens: {issuers: {desk: {ttl: 6 s}}, leeway: 1 s}
traffic:
  - {name: honest, from: robots, to: planner, slice: web, arrivals: {constant: 10 /s}}
  - {name: other, from: thief, to: planner, slice: web, arrivals: {constant: 10 /s}}
"""
)


def outcomes(result: Result, flow: str) -> Counter[tuple[str, int]]:
    """How often the requests of a flow ended with which outcome and status."""
    return Counter((row.outcome, row.status) for row in result.requests if row.source == flow)


def rules(result: Result, source: str) -> set[str]:
    """The rules that decided on a workload's calls."""
    return {row.rule for row in result.decisions if row.source == source}


@pytest.mark.parametrize(
    ("token", "rule"),
    [
        ("{stolen_from: robots}", token_reasons.OTHER_CERTIFICATE),
        ("none", token_reasons.MISSING),
        ("forged", token_reasons.BAD_SIGNATURE),
        ("expired", token_reasons.EXPIRED),
        ("early", token_reasons.NOT_YET_VALID),
        ("unsigned", token_reasons.WRONG_ALGORITHM),
        ("confused", token_reasons.WRONG_ALGORITHM),
        ("other-audience", token_reasons.WRONG_AUDIENCE),
        ("other-issuer", token_reasons.UNKNOWN_ISSUER),
    ],
)
@pytest.mark.parametrize("fidelity", ["real", "modelled"])
def test_bad_tokens_are_refused_and_told_apart(simulate: Simulate, fidelity: str, token: str, rule: str) -> None:
    """Each bad token ends in 401 with its own reason, while honest requests go on."""
    result = simulate(SCENARIO, fidelity=fidelity, traffic__1__token=token, duration="2 s")
    assert set(outcomes(result, "honest")) == {("ok", 200)}
    assert set(outcomes(result, "other")) == {("denied", 403 if token == "other-audience" else 401)}
    assert rules(result, "thief") == {rule}
    assert {row.engine for row in result.decisions} == {"jwt"}


@pytest.mark.parametrize("fidelity", ["real", "sampled", "modelled"])
@pytest.mark.parametrize("required", ["true", "false"])
@pytest.mark.parametrize(
    ("value", "rule"), [("Bearer abc", token_reasons.MALFORMED), ("Basic YTpi", token_reasons.MISSING)]
)
def test_no_token_and_what_is_none(simulate: Simulate, fidelity: str, required: str, value: str, rule: str) -> None:
    """What follows on Bearer and is no JWT is refused, required or not; another scheme is as good as nothing."""
    scenario = SCENARIO.replace("required: true", f"required: {required}")
    settings = {"traffic__1__token": "none", "traffic__1__headers": f"{{authorization: {value}}}"}
    result = simulate(scenario, fidelity=fidelity, duration="1 s", **settings)
    refused = rule == token_reasons.MALFORMED or required == "true"
    assert set(outcomes(result, "other")) == {("denied", 401) if refused else ("ok", 200)}
    assert rules(result, "thief") == ({rule} if refused else set())


def test_istio_refuses_what_is_no_token_without_issuers_of_the_mesh(tmp_path: Path) -> None:
    """A RequestAuthentication looks at what stands after Bearer in a mesh that has no tokens of its own, too."""
    (tmp_path / "a.yaml").write_text(AUTHENTICATION.partition("---")[0], encoding="utf-8")
    text = "\n".join(line for line in SCENARIO.splitlines() if "tokens: {" not in line and "request_auth" not in line)
    text = text.replace(", token: {issuer: desk, audiences: [plans], bound: true}", "")
    settings = ["mesh.policy={engine: istio, files: [a.yaml]}", "duration=1 s", "fidelity=real"]
    header = "traffic.1.headers={authorization: Bearer abc}"
    result = Result(load_text(text.replace("mesh:\n", ""), tmp_path / "b.yaml", [*settings, header]))
    assert set(outcomes(result, "honest")) == {("ok", 200)}
    assert rules(result, "thief") == {token_reasons.MALFORMED}


def test_tokens_are_renewed_and_certificates_replaced(simulate: Simulate) -> None:
    """A bound token is renewed in time and goes with the certificate of its connection, over a rotation too."""
    result = simulate(
        SCENARIO, fidelity="real", mesh__identity="{svid_ttl: 12 s, rotate_at: 50 %}", mesh__pool="{idle_timeout: 3 s}"
    )
    assert Counter(row.event for row in result.identities)["rotated"] >= 3
    assert outcomes(result, "honest") == {("ok", 200): 200}
    assert outcomes(result, "other") == {("ok", 200): 200}


def test_a_resumed_connection_shows_the_certificate_that_it_began_with(simulate: Simulate) -> None:
    """Where a session is resumed, the token is held against the certificate of the full handshake before it."""
    result = simulate(SCENARIO, fidelity="real", mesh__pool="{idle_timeout: 20 ms}", duration="2 s")
    assert any(row.resumed for row in result.handshakes)
    assert set(outcomes(result, "honest")) == {("ok", 200)}


def test_a_clock_that_is_wrong_refuses_good_tokens(simulate: Simulate) -> None:
    """A called node whose clock is slow by more than the leeway finds tokens not yet valid."""
    slow = SCENARIO.replace("edge-2: {kind: edge}", "edge-2: {kind: edge, clock_skew: -4 s}")
    assert rules(simulate(slow, duration="2 s"), "robots") == {token_reasons.NOT_YET_VALID}


def test_tokens_cost_bytes_and_time(simulate: Simulate) -> None:
    """A request with a token is larger by it, and the check of its signature is charged as cryptography."""
    with_tokens = simulate(SCENARIO, duration="2 s")
    without = simulate(
        SCENARIO,
        duration="2 s",
        traffic__0__token="none",
        traffic__1__token="none",
        services__planner__request_authentication="{issuers: [desk]}",
    )
    sent = [sum(row.bytes_sent for row in result.calls) / len(result.calls) for result in (with_tokens, without)]
    assert 300 < sent[0] - sent[1] < 1000
    crypto = [sum(row.crypto_ns for row in result.requests) / len(result.requests) for result in (with_tokens, without)]
    check_ns = with_tokens.world._state.machines["edge-2"].costs.operation_ns("ecdsa-p256.verify")
    assert crypto[0] - crypto[1] > check_ns


BY_CLAIM = {
    "cedar": 'permit (principal, action, resource) when { context.claims has role && context.claims.role == "mover" };',
    "rego": 'package envoy.authz\nimport rego.v1\nallow if input.meshsim.claims.role == "mover"\n',
    "istio": (
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: movers, namespace: default}\n"
        "spec: {rules: [{when: [{key: 'request.auth.claims[role]', values: [mover]}]}]}\n"
    ),
}


@pytest.mark.parametrize("engine", BY_CLAIM)
def test_claims_reach_policies(tmp_path: Path, engine: str) -> None:
    """What an accepted token says can be asked for, in each engine; another token is another question."""
    scenario = SCENARIO.replace("bound: true}}\n  thief", "bound: true, claims: {role: mover}}}\n  thief")
    (tmp_path / "a.policy").write_text(BY_CLAIM[engine], encoding="utf-8")
    settings = [f"mesh.policy={{engine: {engine}, files: [a.policy]}}", "duration=8 s"]
    result = Result(load_text(scenario, tmp_path / "a.yaml", settings))
    assert set(outcomes(result, "honest")) == {("ok", 200)}
    assert set(outcomes(result, "other")) == {("denied", 403)}


def test_a_token_that_nobody_checks_is_a_header_field(tmp_path: Path) -> None:
    """Policies see ``authorization`` where the service looks at no token, and do not where it was checked."""
    policy = "permit (principal, action, resource) when { context.headers has authorization };"
    (tmp_path / "a.cedar").write_text(policy, encoding="utf-8")
    check = "\n    request_authentication: {issuers: [desk], audiences: [plans], required: true}"
    settings = ["mesh.policy={files: [a.cedar]}", "duration=2 s", "traffic.1.token=none", "fidelity=real"]
    unchecked = Result(load_text(SCENARIO.replace(check, ""), tmp_path / "a.yaml", settings))
    assert set(outcomes(unchecked, "honest")) == {("ok", 200)}
    assert set(outcomes(unchecked, "other")) == {("denied", 403)}
    checked = Result(load_text(SCENARIO, tmp_path / "a.yaml", settings))
    assert set(outcomes(checked, "honest")) == {("denied", 403)}


EVERYBODY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: everybody, namespace: default}
spec: {rules: [{}]}
"""
AUTHENTICATION = """\
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: desk, namespace: default}
spec:
  jwtRules:
    - {issuer: "https://desk.mesh.example", audiences: ["https://plans/"], jwksUri: "https://desk.example/keys"}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: tokens, namespace: default}
spec: {rules: [{from: [{source: {requestPrincipals: ["*"]}}]}]}
"""


@pytest.mark.parametrize(
    ("token", "ending", "rule"),
    [
        ("own", ("ok", 200), "ns[default]-policy[tokens]-rule[0]"),
        ("{stolen_from: robots}", ("ok", 200), "ns[default]-policy[tokens]-rule[0]"),
        ("none", ("denied", 403), "default-deny"),
        ("forged", ("denied", 401), token_reasons.BAD_SIGNATURE),
        ("expired", ("denied", 401), token_reasons.EXPIRED),
        ("other-issuer", ("denied", 401), token_reasons.UNKNOWN_ISSUER),
        ("other-audience", ("denied", 403), token_reasons.WRONG_AUDIENCE),
    ],
)
def test_istios_own_objects_are_carried_out(tmp_path: Path, token: str, ending: tuple[str, int], rule: str) -> None:
    """A RequestAuthentication among the policies has real tokens checked, binds none, and lets missing ones in."""
    (tmp_path / "a.yaml").write_text(AUTHENTICATION, encoding="utf-8")
    check = "\n    request_authentication: {issuers: [desk], audiences: [plans], required: true}"
    settings = ["mesh.policy={engine: istio, files: [a.yaml]}", "fidelity=real", f"traffic.1.token={token}"]
    loaded = load_text(SCENARIO.replace(check, ""), tmp_path / "b.yaml", [*settings, "duration=2 s"])
    result = Result(loaded)
    assert set(outcomes(result, "honest")) == {("ok", 200)}
    assert set(outcomes(result, "other")) == {ending}
    assert rules(result, "thief") == {rule}
    refuser = "ns[default]-requestauthentication[desk]" if rule in token_reasons.REASONS else ""
    assert {row.refused_by for row in result.decisions if row.source == "thief"} == {refuser}


CHECK = "request_authentication: {issuers: [desk], required: false}"


@pytest.mark.parametrize(("served", "made"), [("", 0), (f", waypoint: gate, {CHECK}", 1)])
def test_who_goes_past_waypoints_is_looked_up_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: str, made: int
) -> None:
    """However many services look at tokens, all names of a mesh are gathered once for them, and never without one."""
    gathered: list[int] = []

    def gather(state: State) -> Directory:
        gathered.append(len(list(state.hosts())))
        return directory_of(state)

    monkeypatch.setattr(tokens, "directory_of", gather)
    (tmp_path / "a.yaml").write_text(AUTHENTICATION, encoding="utf-8")
    more = [f"services.{name}={{replicas: {{edge-2: 1}}, work: {{constant: 1 ms}}{served}}}" for name in ("one", "two")]
    more += ["services.planner.calls=[{to: one}, {to: two}]", "duration=100 ms", "fidelity=modelled"]
    more += [f"services.planner.waypoint={'gate' if served else 'null'}", f"mesh.ambient={str(bool(served)).lower()}"]
    result = Result(load_text(SCENARIO, tmp_path / "b.yaml", ["mesh.policy={engine: istio, files: [a.yaml]}", *more]))
    assert result.requests
    assert gathered == [5] * made, "all hosts are there: two devices and three replicas"


def test_istios_objects_come_and_go_while_a_run_goes_on(tmp_path: Path) -> None:
    """A RequestAuthentication that a change brings has tokens checked from its push on, until another takes it away."""
    (tmp_path / "with.yaml").write_text(AUTHENTICATION, encoding="utf-8")
    (tmp_path / "none.yaml").write_text(EVERYBODY, encoding="utf-8")
    check = "\n    request_authentication: {issuers: [desk], audiences: [plans], required: true}"
    changes = "changes: [{at: 1 s, policy: {files: [with.yaml]}}, {at: 3 s, policy: {files: [none.yaml]}}]\n"
    settings = ["mesh.policy={engine: istio, files: [none.yaml]}", "traffic.1.token=forged", "duration=4 s"]
    settings += ["mesh.control.debounce=0 ms"]
    text = SCENARIO.replace(check, "") + changes
    real, modelled = (
        Result(load_text(text, tmp_path / "b.yaml", [*settings, f"fidelity={level}"])) for level in ("real", "modelled")
    )
    assert real.content() == modelled.content()
    seconds: dict[int, set[int]] = {}
    for row in real.requests:
        if row.source == "other" and row.t_intended_ns % 1_000_000_000 > 100_000_000:
            seconds.setdefault(row.t_intended_ns // 1_000_000_000, set()).add(row.status)
    assert seconds == {0: {200}, 1: {401}, 2: {401}, 3: {200}}
    assert {row.rule for row in real.decisions if row.engine == "jwt"} == {token_reasons.BAD_SIGNATURE}


def jwk(seed: int, **changes: str) -> dict[str, str]:
    """The public key of the desk of a scenario with this seed."""
    issuer = Issuer(name="desk", iss="https://desk.mesh.example", algorithm="ES256", seed=seed)
    return json.loads(ECAlgorithm.to_jwk(public_key(issuer))) | {"kid": kid_of(issuer), **changes}


@pytest.mark.parametrize(
    ("keys", "more", "rule"),
    [
        ([jwk(1)], "", ""),
        ([jwk(2), jwk(1)], "", ""),
        ([jwk(2)], "", token_reasons.BAD_SIGNATURE),
        ([jwk(2, kid="another")], "", token_reasons.UNKNOWN_KEY),
        ([jwk(2, kid="another")], ", key_in_jwks: true", ""),
        ([{"kty": "oct", "k": "c2VjcmV0LXNlY3JldA"}], "", token_reasons.WRONG_ALGORITHM),
    ],
)
def test_a_key_set_of_a_rule_is_what_signatures_are_checked_with(
    tmp_path: Path, keys: list[dict[str, str]], more: str, rule: str
) -> None:
    """A rule's jwks refuses what the scenario's issuer signs with a key that is not in it, unless it counts as one."""
    uri = 'jwksUri: "https://desk.example/keys"'
    jwks = json.dumps({"keys": keys})
    (tmp_path / "a.yaml").write_text(AUTHENTICATION.replace(uri, f"jwks: '{jwks}'"), encoding="utf-8")
    check = "\n    request_authentication: {issuers: [desk], audiences: [plans], required: true}"
    text = SCENARIO.replace(check, "").replace("{ttl: 6 s}", f"{{ttl: 6 s{more}}}")
    settings = ["mesh.policy={engine: istio, files: [a.yaml]}", "traffic.1.token=forged", "duration=2 s"]
    runs = [
        Result(load_text(text, tmp_path / "b.yaml", [*settings, f"fidelity={level}"])) for level in ("real", "modelled")
    ]
    assert runs[0].content() == runs[1].content()
    assert set(outcomes(runs[0], "honest")) == {("denied", 401) if rule else ("ok", 200)}
    assert rules(runs[0], "robots") == {rule or "ns[default]-policy[tokens]-rule[0]"}
    assert set(outcomes(runs[0], "other")) == {("denied", 401)}
    refused = {row.refused_by for row in runs[0].decisions if not row.allowed}
    assert refused == {"ns[default]-requestauthentication[desk]"}


@pytest.mark.parametrize("fidelity", ["real", "sampled"])
def test_a_wrong_prediction_stops_the_run(simulate: Simulate, monkeypatch: pytest.MonkeyPatch, fidelity: str) -> None:
    """When PyJWT comes to something else than the model, that is never a mere warning."""
    monkeypatch.setattr(tokens, "verify", lambda *_: token_reasons.BAD_SIGNATURE)
    with pytest.raises(InvariantViolation, match="the model says 'accepted', PyJWT 'token-bad-signature'"):
        simulate(SCENARIO, fidelity=fidelity, duration="1 s")


def test_a_refused_token_is_no_wrong_decision(simulate: Simulate) -> None:
    """No policy decided it: it is not held against policies that change, and no authorizer is asked about it."""
    changed = SCENARIO.replace("mesh:\n", "mesh:\n  policy: {files: [mesh.cedar], authorizer: {node: edge-1}}\n")
    changed += "changes: [{at: 500 ms, policy: {files: [mesh.cedar]}}]\n"
    result = simulate(changed, traffic__1__token="forged", duration="2 s")
    assert set(outcomes(result, "other")) == {("denied", 401)}
    assert rules(result, "thief") == {token_reasons.BAD_SIGNATURE}
    assert {row.wrongly for row in result.decisions} == {""}
    asked = {row.source: row.policy_ns > 2_000_000 for row in result.requests if row.t_intended_ns > 0}
    assert asked == {"honest": True, "other": False}
