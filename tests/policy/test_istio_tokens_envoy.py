"""Where Istio's rules look for tokens, and what they do with them, against the JWT filter of a real Envoy."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from jwt.algorithms import ECAlgorithm

from meshsim.identity.token_check import Lookup, TokenRules, no_keys
from meshsim.identity.token_places import Fields, Place, put
from meshsim.identity.token_search import Inspection, TokenSearch
from meshsim.identity.tokens import Issuer, Token, kid_of, public_key, signed
from meshsim.policy.engine import PolicyFile
from meshsim.policy.istio_authentication import Tokens
from meshsim.policy.istio_odd import odd_values
from meshsim.policy.istio_read import read_policies
from meshsim.policy.istio_types import Policies
from meshsim.scenario import token_reasons
from meshsim.scenario.token_reasons import status_of
from meshsim.world.token_rules import lookups_of
from tests.policy.envoy_server import Client, Identities, envoy_binary, free_ports, http_manager, listener, running
from tests.policy.istio_to_envoy import jwt_filter

pytestmark = pytest.mark.skipif(envoy_binary() is None, reason="the package envoy-server is not installed")

Json = dict[str, Any]
ISSUERS = tuple(
    Issuer(name=name, iss=f"https://{name}.example", algorithm="ES256", seed=3) for name in ("alpha", "beta", "gamma")
)
KEYS = json.dumps(
    {
        "keys": [
            json.loads(ECAlgorithm.to_jwk(public_key(one))) | {"kid": kid_of(one), "alg": "ES256"} for one in ISSUERS
        ]
    }
)
HEADERS = ("authorization", "x-jwt", "x-other")
OUTPUTS = ("x-payload", "x-sub", "x-role", "x-number", "x-deep", "x-list")
SHOWN = (*HEADERS, *OUTPUTS, "cookie")
ANSWER = {
    "details": "%RESPONSE_CODE_DETAILS%",
    "path": "%REQ(:path)%",
    "claims": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:payload)%",
    **{name: f"%REQ({name})%" for name in SHOWN},
}
LISTENERS, REQUESTS = 30, 60
PLACES = (
    Place("header", "authorization", "Bearer "),
    Place("header", "x-jwt"),
    Place("header", "x-jwt", "JWT="),
    Place("header", "x-other", "tok "),
    Place("param", "access_token"),
    Place("param", "t"),
    Place("cookie", "session"),
    Place("cookie", "a"),
)
NOW_S = int(time.time())
OVERWRITTEN: list[Json] = [
    {"issuer": ISSUERS[0].iss, "jwks": KEYS, "fromHeaders": [{"name": "X-JWT"}, {"name": "x-other"}]},
    {"issuer": ISSUERS[1].iss, "jwks": KEYS, "outputClaimToHeaders": [{"header": "x-jwt", "claim": "sub"}]},
]
"""The second rule writes into a field in which the first one looks."""


class Bench(NamedTuple):
    """A running Envoy, and for each of its ports the same rules here."""

    searches: dict[int, TokenSearch]
    client: Client
    overwritten: int
    """Port of the rules that write where they look."""


def _rule(rng: random.Random, issuer: str) -> Json:
    rule: Json = {"issuer": issuer, "jwks": KEYS}
    if rng.random() < 0.7:
        places = rng.sample(PLACES, rng.choice((1, 1, 2, 3)))
        headers = [{"name": p.name, **({"prefix": p.prefix} if p.prefix else {})} for p in places if p.kind == "header"]
        rule |= {"fromHeaders": headers} if headers else {}
        for kind, key in (("param", "fromParams"), ("cookie", "fromCookies")):
            names = [place.name for place in places if place.kind == kind]
            rule |= {key: names} if names else {}
    if rng.random() < 0.3:
        rule["audiences"] = rng.choice((["shop"], ["https://shop/", "bank"]))
    if rng.random() < 0.4:
        rule["forwardOriginalToken"] = True
    if rng.random() < 0.4:
        rule["outputPayloadToHeader"] = "X-Payload"
    if rng.random() < 0.6:
        pairs = [
            ("x-sub", "sub"),
            ("x-role", "role"),
            ("x-number", "number"),
            ("x-deep", "deep.er"),
            ("x-list", "list"),
        ]
        rule["outputClaimToHeaders"] = [
            {"header": header, "claim": claim} for header, claim in rng.sample(pairs, rng.choice((1, 2, 5)))
        ]
    return rule


def _token(rng: random.Random, iss: str) -> Token:
    issuer = next(one for one in ISSUERS if one.iss == iss)
    claims: Json = {"iss": issuer.iss, "sub": rng.choice(("ann", "bob")), "nbf": NOW_S - 500, "exp": NOW_S + 5000}
    if rng.random() < 0.12:
        claims["exp"] = NOW_S - 200
    if rng.random() < 0.5:
        claims["aud"] = rng.choice(("shop", ["http://shop", "x"], "else"))
    more = {
        "role": rng.choice(("admin", True, False, "")),
        "number": rng.choice((5, 0, -3, 2.5, 1e21, 10**15, 18446744073709551615)),
        "deep": rng.choice(({"er": "found"}, {"er": {}}, "flat")),
        "list": rng.choice((["a"], None, "b", [1, "\u00fc", 2.5, True, None, []], {"a": {"c": '<&>"/'}})),
    }
    claims |= {name: value for name, value in more.items() if rng.random() < 0.6}
    return signed(issuer, claims)


def _policies(name: str, rules: list[Json]) -> Policies:
    document = {
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": name, "namespace": "foo"},
        "spec": {"jwtRules": rules},
    }
    policies, wrong = read_policies([PolicyFile("a.yaml", json.dumps(document))])
    assert not wrong
    return policies


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One Envoy with a listener for each set of rules, stopped after the tests of this module."""
    folder = tmp_path_factory.mktemp("envoy")
    rng = random.Random(99)
    ports = free_ports(LISTENERS + 1)
    identities = Identities(folder, ())
    listeners, searches = [], {}
    for number, port in enumerate(ports):
        count = 1 if number % 3 == 0 else rng.choice((2, 3))
        rules = [_rule(rng, rng.choice(ISSUERS).iss) for _ in range(count)] if number < LISTENERS else OVERWRITTEN
        tried = Tokens(_policies(f"a{number}", rules).authentication).rules
        manager = http_manager([jwt_filter(tried)], {}, ANSWER)
        listeners.append(
            listener(
                f"l{number}",
                ("127.0.0.1", port),
                [manager],
                identities.transport_socket(),
            )
        )
        searches[port] = TokenSearch(TokenRules((), False, "ignored", 60, lookups_of(tried, ISSUERS)))
    client = Client(identities)
    with running(listeners, [], folder, ports[:1]):
        yield Bench(searches, client, ports[-1])
        client.close()


def _request(rng: random.Random, lookups: tuple[Lookup, ...]) -> tuple[Fields, str, dict[str, Token]]:
    headers: Fields = ()
    if rng.random() < 0.3:
        headers += (("cookie", rng.choice(("a=1; b=2", 'session="x"', "z"))),)
    if rng.random() < 0.3:
        headers = ((rng.choice(OUTPUTS), "forged"), *headers)
    if rng.random() < 0.15:
        headers = (
            (rng.choice(HEADERS), rng.choice(("Basic YTpi", "Bearer !!", "tok", "Bearer a.b.c", "x JWT=q"))),
            *headers,
        )
    target = rng.choice(("/a", "/a?b=2%203&a=1&b=x", "/a?t=", "/a?%74=1", "/a?z&y=", "/"))
    known = {}
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        lookup = rng.choice(lookups)
        token = _token(rng, lookup.issuer if rng.random() < 0.8 else rng.choice(ISSUERS).iss)
        known[token.text] = token
        text = token.text
        kind = rng.random()
        if kind < 0.08:
            text = text[:-4] + "AAAA"
        elif kind < 0.12:
            text = "no.token.here"
        elif kind < 0.15:
            text += ",x"
        place = rng.choice(lookup.places if rng.random() < 0.8 else PLACES)
        if place.kind == "param":
            text = quote(text)
        elif place.kind == "header":
            text = text.strip()
        headers, target = put(place, text, headers, target)
    return headers, target, known


SAID = {
    "Jwt_is_expired": token_reasons.EXPIRED,
    "Audiences_in_Jwt_are_not_allowed": token_reasons.WRONG_AUDIENCE,
    "Jwt_issuer_is_not_configured": token_reasons.UNKNOWN_ISSUER,
    "Jwt_verification_fails": token_reasons.BAD_SIGNATURE,
    **dict.fromkeys(
        (
            "Jwt_header_is_an_invalid_Base64url_encoded",
            "Jwt_header_is_an_invalid_JSON",
            "Jwt_is_not_in_the_form_of_Header.Payload.Signature_with_two_dots_and_3_sections",
            "Jwt_signature_is_an_invalid_Base64url_encoded",
        ),
        token_reasons.MALFORMED,
    ),
}
"""What Envoy says of a token that it refuses, and the word for that here."""


def _ours(found: Inspection) -> Json:
    verdict = found.verdict
    if verdict.reason:
        return {"status": status_of(verdict.reason), "reason": verdict.reason}
    shown = {name: next((value for key, value in found.headers if key == name), None) for name in SHOWN}  # as %REQ has
    return {
        "status": 200,
        "path": found.target,
        "claims": verdict.claims or None,
        **shown,
    }


def _theirs(status: int, answer: Json) -> Json:
    if status != 200:
        said = answer["details"].removeprefix("jwt_authn_access_denied{").removesuffix("}")
        return {"status": status, "reason": SAID[said]}
    claims = answer["claims"]
    return {
        "status": 200,
        "path": answer["path"],
        "claims": None if claims is None else claims,
        **{name: answer[name] for name in SHOWN},
    }


def test_tokens_are_found_and_taken_off_as_envoy_does(bench: Bench) -> None:
    """Thousands of requests with tokens in all kinds of places end alike: same reason, or same fields and path left."""
    rng = random.Random(4)
    counts: Counter[object] = Counter()
    for port, search in bench.searches.items():
        for _ in range(REQUESTS):
            headers, target, known = _request(rng, search.rules.lookups)
            found = search.look(headers, target, known, NOW_S, "", no_keys)
            status, answer = bench.client.request(("127.0.0.1", port), "GET", target, [("host", "a"), *headers])
            ours, theirs = _ours(found), _theirs(status, answer)
            for side in (ours, theirs):
                if side.get("claims"):
                    side["claims"] = _doubles(side["claims"])
            about = f"{search.rules.lookups}\n{headers} {target}\n{found.verdict}\n{answer}"
            assert ours == theirs, about
            counts[status] += 1
            counts[found.verdict.reason] += 1
            counts["two judged"] += len(found.checked) > 1
            counts["with claims"] += bool(found.verdict.claims)
            counts["path changed"] += found.target != target
            counts["written"] += any(name in OUTPUTS and value != "forged" for name, value in found.headers)
    assert all(counts[kind] > 60 for kind in (200, 401, "two judged", "with claims", "path changed", "written")), counts
    assert all(counts[reason] > 5 for reason in (*SAID.values(), token_reasons.WRONG_AUDIENCE)), counts


def test_where_a_rule_writes_none_finds_a_token(bench: Bench) -> None:
    """Envoy takes off what callers put into fields that rules write: a token there is none, as the note says."""
    (note,) = [one.message for one in odd_values(_policies("a", OVERWRITTEN)) if "looks for" in one.message]
    assert "looks for tokens in 'x-jwt'" in note
    text = "no.token.here"
    for name, status in (("x-jwt", 200), ("x-other", 401)):
        found, _ = bench.client.request(("127.0.0.1", bench.overwritten), "GET", "/", [("host", "a"), (name, text)])
        assert found == status
        look = bench.searches[bench.overwritten].look(((name, text),), "/", {}, NOW_S, "", no_keys)
        assert bool(look.verdict.reason) == (status == 401)


def _doubles(claims: object) -> object:
    """Claims as Envoy keeps them: all numbers as doubles."""
    whole = json.loads(claims) if isinstance(claims, str) else claims
    return json.loads(json.dumps(whole), parse_int=float)
