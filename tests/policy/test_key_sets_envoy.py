"""Key sets that rules for tokens bring along, against the JWT filter of a real Envoy."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from meshsim.identity.token_check import TokenRules, no_keys
from meshsim.identity.token_flaws import flawed
from meshsim.identity.token_search import TokenSearch
from meshsim.identity.tokens import Grant, Issuer, Token, kid_of, public_key
from meshsim.policy.engine import PolicyFile
from meshsim.policy.istio_authentication import Tokens
from meshsim.policy.istio_read import read_policies
from meshsim.scenario.token_reasons import status_of
from meshsim.world.token_rules import lookups_of
from tests.identity.test_token_reading import JWKS, ODD
from tests.policy.envoy_server import Client, Identities, envoy_binary, free_ports, http_manager, listener, running
from tests.policy.istio_to_envoy import jwt_filter

pytestmark = pytest.mark.skipif(envoy_binary() is None, reason="the package envoy-server is not installed")

Json = dict[str, Any]
NOW_S = int(time.time())
WRITERS = {"ES256": ECAlgorithm, "ES384": ECAlgorithm, "RS256": RSAAlgorithm, "EdDSA": OKPAlgorithm}
ISSUERS = tuple(
    Issuer(name=name.lower(), iss="https://a.example", algorithm=name, seed=3) for name in ("ES256", "RS256", "EdDSA")
)
"""One claim iss, and a key of each type: tokens of all of them are for every rule."""


def jwk(issuer: Issuer, **changes: str | None) -> Json:
    """The public key of an issuer; a change to None takes a member away."""
    key = json.loads(WRITERS[issuer.algorithm].to_jwk(public_key(issuer)))
    key |= {"kid": kid_of(issuer), "alg": issuer.algorithm, **changes}
    return {name: value for name, value in key.items() if value is not None and name != "key_ops"}


def _sets() -> list[list[Json]]:
    found = [[jwk(one) for one in ISSUERS], [jwk(one, kid=None, alg=None) for one in ISSUERS]]
    for one in ISSUERS:
        other = jwk(msgspec.structs.replace(one, seed=4))
        found += [
            [jwk(one)],
            [jwk(one, kid=None)],
            [jwk(one, alg=None)],
            [jwk(one, kid="another")],
            [other],
            [other, jwk(one)],
            [{**other, "kid": "another"}, jwk(one, kid="a third")],
        ]
    found.append([jwk(ISSUERS[1], alg="RS512")])
    found.append([{**jwk(ISSUERS[2], kid=None, alg=None), "crv": "X25519"}, jwk(ISSUERS[0])])
    found.append([{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": kid_of(ISSUERS[0])}])
    return found


class Bench(NamedTuple):
    """A running Envoy, and for each of its ports the same rule here."""

    searches: dict[int, TokenSearch]
    client: Client
    odd: int
    """The port for tokens of joe."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One Envoy with a listener for each key set, stopped after the tests of this module."""
    folder = tmp_path_factory.mktemp("envoy")
    rules = [{"issuer": "https://a.example", "jwks": json.dumps({"keys": keys})} for keys in _sets()]
    rules.append({"issuer": "joe", "jwks": JWKS})
    ports = free_ports(len(rules))
    identities = Identities(folder, ())
    listeners, searches = [], {}
    for number, (port, rule) in enumerate(zip(ports, rules, strict=True)):
        document = {
            "apiVersion": "security.istio.io/v1",
            "kind": "RequestAuthentication",
            "metadata": {"name": f"a{number}", "namespace": "foo"},
            "spec": {"jwtRules": [rule]},
        }
        policies, wrong = read_policies([PolicyFile("a.yaml", json.dumps(document))])
        assert not wrong
        tried = Tokens(policies.authentication).rules
        manager = http_manager([jwt_filter(tried)], {}, {})
        listeners.append(listener(f"l{number}", ("127.0.0.1", port), [manager], identities.transport_socket()))
        searches[port] = TokenSearch(TokenRules((), False, "ignored", 60, lookups_of(tried, ISSUERS)))
    client = Client(identities)
    with running(listeners, [], folder, ports[:1]):
        odd = searches.popitem()[0]
        yield Bench(searches, client, odd)
        client.close()


def _tokens(issuer: Issuer) -> Iterator[tuple[str, Token]]:
    grant = Grant(issuer, "spiffe://a/b", (), "{}", 600, 300, False, NOW_S - 60)
    yield "own", grant.token(NOW_S)
    for flaw in ("forged", "unsigned", "confused", "expired"):
        yield flaw, flawed(grant, flaw, NOW_S, 60)


def test_key_sets_accept_what_envoys_filter_accepts(bench: Bench) -> None:
    """Each key set by kid, algorithm and type of its keys, before tokens of three algorithms, good and flawed ones."""
    counts: Counter[object] = Counter()
    for port, search in bench.searches.items():
        for issuer in ISSUERS:
            for flaw, token in _tokens(issuer):
                headers = (("authorization", f"Bearer {token.text}"),)
                status, _ = bench.client.request(("127.0.0.1", port), "GET", "/", [("host", "a"), *headers])
                # Of its text alone, as the facts know of the first of the issuers that share the claim.
                read = search.look(headers, "/", {}, NOW_S, "", no_keys).verdict
                about = f"{flaw} of {issuer.algorithm}: {read} {search.rules.lookups[0].accepted[0].jwks}"
                assert (status_of(read.reason) if read.reason else 200) == status, about
                if issuer is ISSUERS[0]:
                    known = search.look(headers, "/", {token.text: token}, NOW_S, "", no_keys).verdict
                    assert known.reason == read.reason, about
                counts[status] += 1
                counts[read.reason] += 1
    assert counts[200] > 15, counts
    assert all(counts[f"token-{why}"] > 5 for why in ("unknown-key", "bad-signature", "wrong-algorithm", "expired"))


def test_odd_tokens_are_read_as_envoy_reads_them(bench: Bench) -> None:
    """Each token of the table has the status of its reason: what is expected there is what the real filter says."""
    for name, (text, reason) in ODD.items():
        headers = [("host", "a"), ("authorization", f"Bearer {text}")]
        status, _ = bench.client.request(("127.0.0.1", bench.odd), "GET", "/", headers)
        assert status == (status_of(reason) if reason else 200), name
