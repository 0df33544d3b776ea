"""The same token gets the same answer in a run and in an inquiry: decision, reason, and who refuses it."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import jwt

from meshsim.identity.token_places import Place, put
from meshsim.inquiry.ask import Verdict, ask
from meshsim.inquiry.cases import read_cases
from meshsim.inquiry.matrix import compare
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject, subject_of
from meshsim.inquiry.trial import try_cases
from meshsim.scenario import token_reasons
from meshsim.scenario.loader import LoadedScenario, load_text
from meshsim.scenario.traffic import Fleet
from tests.world.conftest import Result

ISSUERS = ("alpha", "beta", "gamma")
FLAWS = (
    "own",
    "own",
    "malformed",
    "forged",
    "expired",
    "early",
    "unsigned",
    "confused",
    "other-audience",
    "other-issuer",
    "none",
)
PLACES = ("{header: authorization, prefix: 'Bearer '}", "{header: x-jwt}", "{param: t}", "{cookie: session}")
LOOKED = (
    "",
    "",
    "fromHeaders: [{name: x-jwt}]",
    "fromParams: [t]",
    "fromCookies: [session]",
    'fromHeaders: [{name: authorization, prefix: "Bearer "}, {name: x-jwt}]',
)
HEAD = """\
scenario: refusals
duration: 1 s
fidelity: modelled
network:
  nodes: {edge-1: {kind: edge}, edge-2: {kind: edge}}
  links: [{between: [edge-1, edge-2], latency: 1 ms}]
  slices: {web: {sst: 1, five_qi: 9}}
mesh:
  tokens: {issuers: {alpha: {}, beta: {algorithm: EdDSA}, gamma: {}}}
  policy: {engine: istio, files: [a.yaml]}
"""
OWN = {
    "own": "request_authentication: {issuers: [alpha], audiences: [a], required: true, binding: required}",
    "both": "request_authentication: {issuers: [alpha, beta], audiences: [a, b], required: true}",
    "tcp": "ports: {9000: {protocol: tcp}}",
}


class Played(NamedTuple):
    """A run and what inquiries go by, of one scenario."""

    loaded: LoadedScenario
    result: Result
    subject: Subject


def _rules(rng: random.Random, namespace: str, name: str) -> str:
    rules = []
    for _ in range(rng.choice((1, 1, 2))):
        audiences = rng.choice(("[]", "[a]", "[b]", "[a, b]"))
        looked = rng.choice(LOOKED)
        issuer = rng.choice(("alpha", "alpha", *ISSUERS, "nobody"))
        rules.append(
            f'{{issuer: "https://{issuer}.mesh.example", audiences: {audiences}{", " if looked else ""}{looked}}}'
        )
    return (
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\nspec: {{jwtRules: [{', '.join(rules)}]}}\n---\n"
    )


def _played(folder: Path, seed: int) -> Played:
    """A scenario with drawn rules at its services, and callers with drawn tokens in drawn places."""
    rng = random.Random(seed)
    services, policies, fleets, flows = "services:\n", "", "fleets:\n", "traffic:\n"
    called = [*(f"s{number}" for number in range(5)), *OWN]
    for name in called:
        services += f"  {name}: {{namespace: n-{name}, replicas: {{edge-2: 1}}, work: {{constant: 1 ms}}"
        services += f", {OWN[name]}" if name in OWN else ""
        services += "}\n"
        if name != "own":
            for number in range(rng.choice((1, 1, 2))):
                policies += _rules(rng, f"n-{name}", f"r{number}")
    for number, flaw in enumerate((*FLAWS, *FLAWS)):
        audiences = rng.choice(("[a]", "[b]", "[c]", "[a, c]"))
        issuer, place = rng.choice(("alpha", *ISSUERS)), rng.choice((*PLACES[:1] * 4, *PLACES))
        token = f"issuer: {issuer}, audiences: {audiences}, at: {place}"
        fleets += f"  f{number}: {{node: edge-1, token: {{{token}, bound: {rng.choice(('true', 'false'))}}}}}\n"
        shown = "none, headers: {authorization: Bearer abc}" if flaw == "malformed" else flaw
        for name in called:
            flow = f"name: f{number}-{name}, from: f{number}, to: {name}, slice: web, arrivals: {{constant: 2 /s}}"
            flows += f"  - {{{flow}, token: {shown}}}\n"
    (folder / "a.yaml").write_text(policies, encoding="utf-8")
    loaded = load_text(f"{HEAD}{services}{fleets}{flows}", folder / "b.yaml")
    return Played(loaded, Result(loaded), subject_of(loaded, "b"))


def _of_run(played: Played) -> dict[tuple[str, str], tuple[bool, str, str, int]]:
    statuses = {(row.source, row.destination): row.status for row in played.result.calls}
    found = {}
    for row in played.result.decisions:
        pair = row.source, row.destination
        status = 0 if row.allowed else statuses[pair]
        answer = (row.allowed, row.rule, row.refused_by, status)
        assert found.setdefault(pair, answer) == answer
    return found


def _answer(verdict: Verdict) -> tuple[bool, str, str, int]:
    decision = verdict.decision
    if decision.refused_by:
        assert verdict.place.rpartition(":")[0].rpartition(":")[0].endswith("a.yaml")
    return decision.allowed, decision.rule, decision.refused_by, 0 if decision.allowed else decision.status


def _text(played: Played, fleet: str) -> str:
    """The token that the devices of a fleet send, in a run over plaintext connections or to who looks at no binding."""
    hosts = played.result.world._state.devices[fleet]
    wallet = played.result.world._state.tokens.wallet(hosts[0])  # type: ignore[union-attr]  # there are tokens
    if wallet is None:
        return ""
    flaw = next(flow.token for flow in played.loaded.scenario.traffic if flow.source == fleet)
    token = wallet.present(str(flaw), played.loaded.scenario.epoch_ns, None)
    assert token is not None
    return token.text


def _place(fleet: Fleet) -> Place:
    assert fleet.token is not None
    at = fleet.token.at
    assert at is not None
    kind = "header" if at.header else "param" if at.param else "cookie"
    return Place(kind, at.header or at.param or at.cookie or "", at.prefix)


def test_ask_answers_as_the_run_decides(tmp_path: Path) -> None:
    """Tokens of every kind, at drawn places before drawn rules: written out, and told by their claims."""
    counts: Counter[str] = Counter()
    for seed in range(6):
        counts += _compared(_played(tmp_path, seed))
    assert counts["by claims"] > 100
    wanted = set(token_reasons.REASONS) - {token_reasons.UNKNOWN_KEY, token_reasons.OTHER_CERTIFICATE}
    assert all(counts[reason] > 1 for reason in wanted), counts
    assert counts["default-allow"] > 200


def _compared(played: Played) -> Counter[str]:
    """How often which rule decided, in the run as in inquiries."""
    decided = _of_run(played)
    counts: Counter[str] = Counter()
    malformed = {flow.source for flow in played.loaded.scenario.traffic if flow.headers}
    for name, fleet in played.loaded.scenario.fleets.items():
        flaw = next(flow.token for flow in played.loaded.scenario.traffic if flow.source == name)
        text, place = _text(played, name), _place(fleet)
        headers: tuple[tuple[str, str], ...] = ()
        target = "/"
        if name in malformed:
            headers = (("authorization", "Bearer abc"),)
        elif text:
            headers, target = put(place, quote(text) if place.kind == "param" else text, headers, target)
        for service in played.loaded.scenario.services:
            asked: dict[str, Any] = {"source": f"{name}/0", "destination": service}
            found = decided[name, service]
            if service == "own" and found[0] and fleet.token is not None and fleet.token.bound:
                continue  # whose certificate a token is bound to is not known without a run
            about = f"{name} with {flaw} at {place} to {service}: {text}"
            assert _answer(ask(played.subject, Request(**asked, headers=headers, path=target))) == found, about
            counts[found[1]] += 1
            if flaw in ("own", "other-audience", "none") and name not in malformed:
                claims = jwt.decode(text, options={"verify_signature": False}) if text else None
                if service == "own" and found[1] in (token_reasons.NOT_BOUND, token_reasons.OTHER_CERTIFICATE):
                    continue  # claims stand for a token that is valid there
                by_claims = ask(played.subject, Request(**asked, claims=claims, token_at=place if claims else None))
                assert _answer(by_claims) == found, about
                counts["by claims"] += not found[0]
    return counts


FRONT = """\
scenario: refusals
duration: 1 s
network:
  nodes: {edge-1: {kind: edge}}
  slices: {web: {sst: 1, five_qi: 9}}
services:
  back: {replicas: {edge-1: 1}, work: {constant: 1 ms}}
fleets:
  users: {node: edge-1, token: {issuer: alpha, audiences: [a]}}
traffic: [{from: users, to: back, slice: web, arrivals: {constant: 1 /s}}]
mesh:
  tokens: {issuers: {alpha: {}}}
  policy: {engine: istio, files: [FILE]}
"""
RULE = """\
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: NAME, namespace: default}
spec: {jwtRules: [{issuer: "https://alpha.mesh.example", audiences: [AUDIENCE]}]}
"""


def test_test_and_matrix_say_the_same(tmp_path: Path) -> None:
    """A case may name the reason or who refuses; a flip tells both, as ask does about its witness."""
    (tmp_path / "a.yaml").write_text(RULE.replace("NAME", "new").replace("AUDIENCE", "a"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(RULE.replace("NAME", "old").replace("AUDIENCE", "b"), encoding="utf-8")
    after, before = (
        subject_of(load_text(FRONT.replace("FILE", f"{one}.yaml"), tmp_path / "s.yaml"), one) for one in "ab"
    )
    name = "ns[default]-requestauthentication[new]"
    cases = tmp_path / "cases.yaml"
    request = 'source: users, destination: back, claims: {iss: "https://alpha.mesh.example", aud: c}'
    lines = [f"  - {{{request}, expect: deny, rule: '{rule}'}}\n" for rule in (token_reasons.WRONG_AUDIENCE, name)]
    cases.write_text("cases:\n" + "".join(lines), encoding="utf-8")
    assert [one.passed for one in try_cases(after, read_cases(cases).cases).tried] == [True, True]
    flips = compare(before, after).flips
    assert {flip.now_allowed for flip in flips} == {True, False}
    for flip in flips:
        denied = flip.before if flip.now_allowed else flip.after
        assert denied.rule == token_reasons.WRONG_AUDIENCE
        assert denied.refused_by == name.replace("new", "old" if flip.now_allowed else "new")
