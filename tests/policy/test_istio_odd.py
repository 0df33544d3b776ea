"""Values of Istio's policies that are valid and can hardly be meant: told, never refused."""

from __future__ import annotations

import pytest

from meshsim.policy.engine import Directory, PolicyFile
from meshsim.policy.istio import IstioEngine
from meshsim.policy.istio_odd import odd_values
from meshsim.policy.istio_read import read_policies
from meshsim.policy.question import Question

POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a, namespace: plant}
spec: {rules: [{%s}]}
"""
DIRECTORY = Directory(services=frozenset({"planner"}), namespaces={"planner": "plant"})


def told(rule: str) -> list[str]:
    """What is said of a rule, which the engine takes."""
    file = PolicyFile("a.yaml", POLICY % rule)
    IstioEngine.from_sources([file], DIRECTORY)
    return [one.message for one in odd_values(read_policies([file])[0])]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("to: [{operation: {methods: [get]}}]", "methods 'get' is not in upper case, as methods are, so it never"),
        ("to: [{operation: {notMethods: ['Po*']}}]", "notMethods 'Po*' is not in upper case"),
        ("to: [{operation: {paths: ['/a/*/b']}}]", "paths '/a/*/b' has a star in it that stands for itself"),
        ("to: [{operation: {paths: ['*a*']}}]", "paths '*a*' has a star at its end that stands for itself"),
        ("to: [{operation: {paths: ['/a/.*']}}]", "paths '/a/.*' looks like a regular expression"),
        ("to: [{operation: {paths: ['^/a']}}]", "paths '^/a' looks like a regular expression"),
        ("to: [{operation: {paths: ['/v[0-9]+/x']}}]", "paths '/v[0-9]+/x' looks like a regular expression"),
        ("to: [{operation: {paths: ['/(a|b)']}}]", "paths '/(a|b)' looks like a regular expression"),
        ("to: [{operation: {paths: ['plans/x']}}]", "paths 'plans/x' does not begin with a slash"),
        ("to: [{operation: {paths: ['/a?x=1']}}]", "paths '/a?x=1' holds a query or fragment"),
        ("to: [{operation: {hosts: ['http://a.example']}}]", "hosts 'http://a.example' holds a slash"),
        ("to: [{operation: {hosts: ['a.example ']}}]", "hosts 'a.example ' has white space around it"),
        ("from: [{source: {namespaces: ['*']}}]", "namespaces '*' asks for no certain namespace"),
        ("from: [{source: {requestPrincipals: [alice]}}]", "requestPrincipals 'alice' has no slash"),
        ("from: [{source: {principals: ['a.example/ns/*/sa/x*']}}]", "principals 'a.example/ns/*/sa/x*' has a star in"),
        ("when: [{key: 'request.headers[x-a]', values: ['a.*b']}]", "request.headers[x-a] 'a.*b' has a star in it"),
        ("when: [{key: 'request.headers[:method]', values: [put]}]", "request.headers[:method] 'put' is not in upper"),
    ],
)
def test_odd_values_are_told(rule: str, said: str) -> None:
    """Each is told with how it is taken, though the policy is valid."""
    assert any(message.startswith(said) for message in told(rule)), told(rule)


@pytest.mark.parametrize(
    "rule",
    [
        "to: [{operation: {methods: [GET, '*', 'P*'], paths: ['/a', '/a/*', '*/b', '*', '/{*}/b', '/a.b/{**}']}}]",
        "to: [{operation: {hosts: ['a.example', '*.example', 'a.*', 'a.example:*'], notPaths: ['/x.*', '/a+b(c)']}}]",
        "from: [{source: {principals: ['*', '*/sa/cat', 'plant.example/ns/*'], namespaces: ['ey*', 'a*b']}}]",
        "from: [{source: {requestPrincipals: ['*', 'https://a.example/*', '*/alice', 'i/s']}}]",
        "when: [{key: 'request.headers[x-a]', values: ['*', 'a b', 'a*']}, {key: source.ip, values: [10.0.0.0/8]}]",
    ],
)
def test_usual_values_are_not(rule: str) -> None:
    """What people write and mean is not told."""
    assert told(rule) == []


@pytest.mark.parametrize(
    ("rule", "question"),
    [
        ("to: [{operation: {methods: [get]}}]", {"method": "GET"}),
        ("to: [{operation: {paths: ['/a/*/b']}}]", {"path": "/a/x/b"}),
        ("to: [{operation: {paths: ['*a*']}}]", {"path": "/xax"}),
        ("to: [{operation: {paths: ['/a/.*']}}]", {"path": "/a/x"}),
        ("to: [{operation: {paths: ['plans']}}]", {"path": "/plans"}),
    ],
)
def test_what_is_told_is_true(rule: str, question: dict[str, str]) -> None:
    """The engine does not match what such a value seems to mean."""
    engine = IstioEngine.from_sources([PolicyFile("a.yaml", POLICY % rule)], DIRECTORY)
    asked = {"method": "GET", "path": "/", **question}
    assert not engine.decide(Question("", "x", "planner", asked["method"], asked["path"], "", "", False)).allowed


TOKENS = """\
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: t, namespace: plant}
spec: {jwtRules: [{issuer: "https://a.example", %s}]}
"""


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        ("", True),  # of the whole namespace
        ("selector: {matchLabels: {app: a}}, ", True),
        ("selector: {matchLabels: {app: a, version: v1}}, ", False),
        ("selector: {matchLabels: {app: b}}, ", False),
        ("targetRefs: [{kind: Service, name: a}], ", False),
    ],
)
def test_fields_that_another_object_writes_are_told(scope: str, found: bool) -> None:
    """The rules of all objects for a workload are tried together, so that one may take off what another looks for."""
    looks = TOKENS.replace("spec: {", "spec: {selector: {matchLabels: {app: a}}, ") % "fromHeaders: [{name: x-jwt}]"
    writes = (
        TOKENS.replace("name: t", "name: u").replace("spec: {", f"spec: {{{scope}") % "outputPayloadToHeader: X-JWT"
    )
    told = odd_values(read_policies([PolicyFile("a.yaml", looks), PolicyFile("b.yaml", writes)])[0])
    begin = "ns[plant]-requestauthentication[t] looks for tokens in 'x-jwt', into which outputClaimToHeaders or"
    assert [one.message.startswith(begin) for one in told] == [True] * found


@pytest.mark.parametrize(
    "rule",
    [
        "audiences: [a], jwksUri: https://a.example/keys, timeout: 5s, spaceDelimitedClaims: [roles]",
        "fromHeaders: [{name: x-jwt}, {name: Authorization, prefix: 'Bearer '}]",
        "forwardOriginalToken: true",
        "fromHeaders: [{name: x-jwt}]",
        "fromParams: [t], fromCookies: [c]",
        "outputPayloadToHeader: x-payload",
        "outputClaimToHeaders: [{header: x-sub, claim: sub}]",
    ],
)
def test_what_rules_for_tokens_usually_ask_is_not(rule: str) -> None:
    """Keys that are carried out, or that only say where keys come from, are not told."""
    assert not list(odd_values(read_policies([PolicyFile("a.yaml", TOKENS % rule)])[0]))
