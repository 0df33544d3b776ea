"""Decisions on Istio policies: order of actions, scope, TCP ports, trials, tokens, providers."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.policy.engine import Default, Directory, PolicyFile
from meshsim.policy.engines import build_engine
from meshsim.policy.istio import REFUSED_PATH, IstioEngine
from meshsim.policy.question import DEFAULT_ALLOW, DEFAULT_DENY, EXTRA_ATTRIBUTES, Decision, Question
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.policy import ExtensionProvider, IstioPolicy, Policy
from meshsim.scenario.token_reasons import UNKNOWN_ISSUER, WRONG_AUDIENCE

Json = dict[str, Any]
SLEEP = "spiffe://mesh.example/ns/default/sa/sleep"
DIRECTORY = Directory(
    services=frozenset({"httpbin", "redis", "api"}),
    slices=frozenset({"control"}),
    sites=frozenset({"plant"}),
    trust_domains=frozenset({"mesh.example"}),
    trust_domain="mesh.example",
    namespaces={"httpbin": "foo", "redis": "foo", "api": "bar"},
    labels={"httpbin": {"app": "httpbin", "version": "v1"}, "api": {"app": "api"}},
    ports={"httpbin": {8080: "http"}, "redis": {6379: "tcp"}, "api": {80: "http2", 9000: "tcp", 9443: "https"}},
)


def policy(name: str = "a", action: str = "", namespace: str = "foo", *rules: Json, **more: Any) -> Json:
    """An AuthorizationPolicy with rules; ``annotations`` go to its metadata, the rest to its spec."""
    annotations = more.pop("annotations", {})
    spec = {"rules": list(rules)} | ({"action": action} if action else {}) | more
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": spec,
    }


def tokens(*rules: Json, namespace: str = "foo", name: str = "jwt") -> Json:
    """A RequestAuthentication."""
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"jwtRules": list(rules)},
    }


def engine(*objects: Json, default: Default = "allow", **options: Any) -> IstioEngine:
    """An engine from objects, in one file."""
    text = "\n---\n".join(map(json.dumps, objects))
    return IstioEngine.from_sources([PolicyFile("a.yaml", text)], DIRECTORY, default, IstioPolicy(**options))


def question(**changes: Any) -> Question:
    """A question that most policies here are about, with changes."""
    fields: Json = {
        "principal": SLEEP,
        "source": "sleep",
        "destination": "httpbin",
        "method": "GET",
        "path": "/info/7",
        "slice": "control",
        "site": "plant",
        "mutual": True,
        "port": 8080,
        "host": "httpbin",
    }
    return Question(**(fields | changes))


def rule_id(name: str = "a", index: int = 0, namespace: str = "foo") -> str:
    """The name of a rule."""
    return f"ns[{namespace}]-policy[{name}]-rule[{index}]"


GET: Json = {"to": [{"operation": {"methods": ["GET"]}}]}
POST: Json = {"to": [{"operation": {"methods": ["POST"]}}]}
ALL: Json = {}


@pytest.mark.parametrize(
    ("objects", "allowed", "rule"),
    [
        # istio.io, "Authorization Policy": the rules of evaluation
        ([policy("a", "ALLOW", "foo", GET)], True, rule_id()),
        ([policy("a", "ALLOW", "foo", POST)], False, DEFAULT_DENY),
        ([policy("a", "DENY", "foo", GET)], False, rule_id()),
        ([policy("a", "DENY", "foo", POST)], True, DEFAULT_ALLOW),
        ([policy("a", "", "foo", GET)], True, rule_id()),  # ALLOW is the default
        ([policy("a", "ALLOW", "foo", GET), policy("b", "DENY", "foo", GET)], False, rule_id("b")),
        ([policy("a", "ALLOW", "foo", GET), policy("b", "DENY", "foo", POST)], True, rule_id()),
        ([policy("a", "ALLOW", "foo", POST), policy("b", "ALLOW", "foo", GET)], True, rule_id("b")),
        ([policy("a", "AUDIT", "foo", GET)], True, DEFAULT_ALLOW),
        ([policy("a", "AUDIT", "foo", GET), policy("b", "ALLOW", "foo", POST)], False, DEFAULT_DENY),
        ([policy("a", "ALLOW", "foo")], False, DEFAULT_DENY),  # "allow-nothing": a policy without rules
        ([policy("a", "ALLOW", "foo", ALL)], True, rule_id()),  # "allow-all": an empty rule
        ([policy("a", "DENY", "foo", ALL)], False, rule_id()),
        ([policy("a", "ALLOW", "foo", POST, GET)], True, rule_id(index=1)),
        ([policy("a", "ALLOW", "bar", GET)], True, DEFAULT_ALLOW),  # another namespace
    ],
)
def test_order_of_actions(objects: list[Json], allowed: bool, rule: str) -> None:
    """DENY comes before ALLOW; with an ALLOW policy only what one matches is allowed; AUDIT decides nothing."""
    decision = engine(*objects).decide(question())
    assert (decision.allowed, decision.rule) == (allowed, rule)


def test_every_rule_that_decided_is_a_reason() -> None:
    """Reasons are all rules that match and have the effect, in the order of the files."""
    decision = engine(policy("z", "ALLOW", "foo", GET, POST, ALL), policy("b", "ALLOW", "foo", GET)).decide(question())
    assert decision == Decision(True, rule_id("z"), (rule_id("z"), rule_id("z", 2), rule_id("b")))


def test_audits_are_told_whatever_the_decision() -> None:
    """An AUDIT policy that matches marks requests that are denied too."""
    objects = [policy("a", "AUDIT", "foo", GET), policy("b", "DENY", "foo", GET)]
    assert engine(*objects).decide(question()).audited == (rule_id(),)
    assert engine(objects[0]).decide(question(method="PUT")).audited == ()


@pytest.mark.parametrize(
    ("scope", "here"),
    [
        ({"namespace": "foo"}, {"httpbin", "redis"}),
        ({"namespace": "istio-system"}, {"httpbin", "redis", "api"}),
        ({"namespace": "foo", "selector": {"matchLabels": {"app": "httpbin"}}}, {"httpbin"}),
        ({"namespace": "foo", "selector": {"matchLabels": {"app": "httpbin", "version": "v1"}}}, {"httpbin"}),
        ({"namespace": "foo", "selector": {}}, {"httpbin", "redis"}),
        ({"namespace": "istio-system", "selector": {"matchLabels": {"app": "api"}}}, {"api"}),
        ({"namespace": "foo", "targetRefs": [{"kind": "Service", "group": "", "name": "redis"}]}, set()),
    ],
)
def test_scope(scope: Json, here: set[str]) -> None:
    """A policy holds in its namespace, that of the root everywhere; sidecars leave aside what has references."""
    namespace = scope.pop("namespace")
    denies = engine(policy("a", "DENY", namespace, ALL, **scope))
    ports = {"httpbin": 8080, "redis": 6379, "api": 80}
    assert {
        name for name, port in ports.items() if not denies.decide(question(destination=name, port=port)).allowed
    } == here


def test_the_root_namespace_can_have_another_name() -> None:
    """Which namespace holds for the mesh is a matter of the directory."""
    text = json.dumps(policy("a", "DENY", "mesh-root", ALL))
    directory = msgspec.structs.replace(DIRECTORY, root_namespace="mesh-root")
    found = IstioEngine.from_sources([PolicyFile("a.yaml", text)], directory)
    assert not found.decide(question(destination="api", port=80)).allowed


def test_default_deny_is_a_policy_that_allows_nothing() -> None:
    """With the default deny, what no ALLOW policy matches is denied for every workload."""
    denies = engine(policy("a", "ALLOW", "foo", GET), default="deny")
    assert denies.decide(question()).allowed
    assert denies.decide(question(destination="api", port=80)) == Decision(False, DEFAULT_DENY)
    assert engine(policy("a", "DENY", "foo", POST), default="deny").decide(question()) == Decision(False, DEFAULT_DENY)


# Ports without HTTP

PORT: Json = {"to": [{"operation": {"ports": ["9000"]}}]}
POST_ON_PORT: Json = {"to": [{"operation": {"methods": ["POST"], "ports": ["9000"]}}]}
EITHER: Json = {"to": [{"operation": {"ports": ["9000"]}}, {"operation": {"methods": ["POST"]}}]}
FROM_SLEEP: Json = {"from": [{"source": {"principals": ["mesh.example/ns/default/sa/sleep"]}}]}


@pytest.mark.parametrize(
    ("action", "rule", "allowed"),
    [
        ("DENY", POST, False),  # without the ports, all TCP traffic is denied
        ("DENY", POST_ON_PORT, False),
        ("DENY", {"to": [{"operation": {"methods": ["POST"], "ports": ["80"]}}]}, True),
        ("DENY", {"to": [{"operation": {"notPaths": ["/a"]}}]}, False),
        ("DENY", {"when": [{"key": "request.headers[x]", "values": ["a"]}]}, False),
        ("DENY", {"from": [{"source": {"requestPrincipals": ["*"]}}]}, False),
        ("DENY", {"from": [{"source": {"requestPrincipals": ["*"], "namespaces": ["other"]}}]}, True),
        ("ALLOW", PORT, True),
        ("ALLOW", POST_ON_PORT, False),
        ("ALLOW", EITHER, False),  # the rule as a whole is left out
        ("ALLOW", FROM_SLEEP, True),
        ("ALLOW", FROM_SLEEP | {"when": [{"key": "request.auth.claims[iss]", "values": ["*"]}]}, False),
        ("ALLOW", {"when": [{"key": "source.namespace", "values": ["default"]}]}, True),
        ("ALLOW", {"when": [{"key": "connection.sni", "values": ["*"]}]}, False),
        ("ALLOW", {"when": [{"key": "meshsim.slice", "values": ["control"]}]}, True),
    ],
)
@pytest.mark.parametrize("port", [9000, 9443])
def test_http_attributes_on_tcp_ports(action: str, rule: Json, allowed: bool, port: int) -> None:
    """Of a DENY rule only what is not of HTTP counts; an ALLOW rule with anything of HTTP allows nothing."""
    written = json.loads(json.dumps(rule).replace("9000", str(port)))
    decision = engine(policy("a", action, "bar", written)).decide(question(destination="api", port=port))
    assert decision.allowed is allowed


def test_tcp_ports_are_told_apart_by_port() -> None:
    """Where a service speaks both, the port is read, and decides what its rules mean."""
    both = engine(policy("a", "DENY", "bar", POST))
    assert both.decide(question(destination="api", port=80)).allowed
    assert not both.decide(question(destination="api", port=9000)).allowed
    assert both.reads == {"port"}
    assert engine(policy("a", "DENY", "foo", POST)).reads == {"port"}  # api has no policy, but paths that are refused


# On trial

TRIAL = {"annotations": {"istio.io/dry-run": "true"}}


@pytest.mark.parametrize(
    ("objects", "rule", "dry_run"),
    [
        ([policy("a", "DENY", "foo", GET, **TRIAL)], DEFAULT_ALLOW, rule_id()),
        ([policy("a", "DENY", "foo", POST, **TRIAL)], DEFAULT_ALLOW, ""),
        ([policy("a", "DENY", "foo", GET, annotations={"istio.io/dry-run": "false"})], rule_id(), ""),
        ([policy("a", "ALLOW", "foo", POST, **TRIAL)], DEFAULT_ALLOW, DEFAULT_DENY),
        ([policy("a", "ALLOW", "foo", GET, **TRIAL)], DEFAULT_ALLOW, ""),
        ([policy("a", "ALLOW", "foo", **TRIAL)], DEFAULT_ALLOW, DEFAULT_DENY),
        ([policy("a", "ALLOW", "foo", POST, **TRIAL), policy("b", "ALLOW", "foo", GET)], rule_id("b"), ""),
        ([policy("a", "ALLOW", "foo", GET, **TRIAL), policy("b", "ALLOW", "foo", POST)], DEFAULT_DENY, ""),
        ([policy("a", "ALLOW", "foo", GET), policy("b", "DENY", "foo", GET, **TRIAL)], rule_id(), rule_id("b")),
    ],
)
def test_policies_on_trial(objects: list[Json], rule: str, dry_run: str) -> None:
    """A policy on trial decides nothing; what would be denied if it were in force is told of what is allowed."""
    decision = engine(*objects).decide(question())
    assert (decision.rule, decision.dry_run) == (rule, dry_run)


# Whom CUSTOM policies ask

CEDAR = '@id("no-secrets") forbid (principal, action, resource) when { context.path like "/secret*" };'


def custom(rule: Json, *objects: Json, text: str = "permit (principal, action, resource);" + CEDAR) -> IstioEngine:
    """An engine whose CUSTOM policy asks Cedar about what matches ``rule``."""
    settings = Policy.model_validate(
        {
            "engine": "istio",
            "files": ["a.yaml"],
            "istio": {"extension_providers": {"opa": {"engine": "cedar", "files": ["opa.cedar"]}}},
        }
    )
    objects = (policy("c", "CUSTOM", "foo", rule, provider={"name": "opa"}), *objects)
    files = [PolicyFile("a.yaml", "\n---\n".join(map(json.dumps, objects))), PolicyFile("opa.cedar", text)]
    found = build_engine("istio", files, DIRECTORY, settings.default, settings)
    assert isinstance(found, IstioEngine)
    return found


def test_a_provider_is_asked_first_and_can_only_deny() -> None:
    """What the provider denies is denied whatever comes after; what it allows is up to DENY and ALLOW."""
    asks = custom(GET)
    assert asks.decide(question()).rule == DEFAULT_ALLOW
    denied = asks.decide(question(path="/secret/1"))
    assert denied == Decision(False, rule_id("c"), (rule_id("c"), "opa: no-secrets"))
    assert asks.decide(question(path="/secret/1", method="POST")).allowed  # it is not asked about that
    assert custom(GET, policy("a", "DENY", "foo", GET)).decide(question()).rule == rule_id("a")
    assert custom(GET, policy("a", "ALLOW", "foo", GET)).decide(question(path="/secret")).rule == rule_id("c")


def test_a_provider_sees_the_normalised_path() -> None:
    """External authorization comes after normalisation."""
    assert custom(ALL).decide(question(path="/a/../secret")).rule == rule_id("c")


def test_what_a_provider_denies_is_not_audited() -> None:
    """The filter for audits stands behind the provider's."""
    audit = policy("a", "AUDIT", "foo", ALL)
    assert custom(ALL, audit).decide(question(path="/secret")).audited == ()
    assert custom(ALL, audit).decide(question()).audited == (rule_id("a"),)


def test_mistakes_of_a_provider_are_told_with_the_others() -> None:
    """The files of providers are checked together with the policies."""
    with pytest.raises(ScenarioError) as caught:
        custom({"too": []}, text="permt (principal, action, resource);")
    assert [(one.file, one.line) for one in caught.value.diagnostics] == [("a.yaml", 1), ("opa.cedar", 1)]


def test_providers_with_a_verdict() -> None:
    """A provider may always answer the same; one of HTTP is not asked about TCP."""
    asked = policy("c", "CUSTOM", "bar", ALL, provider={"name": "p"})
    closed = engine(asked, extension_providers={"p": ExtensionProvider(verdict="deny")})
    assert not closed.decide(question(destination="api", port=80)).allowed
    assert not closed.decide(question(destination="api", port=9000)).allowed
    http = engine(asked, extension_providers={"p": ExtensionProvider(verdict="deny", protocol="http")})
    assert not http.decide(question(destination="api", port=80)).allowed
    assert http.decide(question(destination="api", port=9000)).allowed
    assert "is asked about HTTP alone" in http.explain(question(destination="api", port=9000))[0].why
    opened = engine(asked, extension_providers={"p": ExtensionProvider(verdict="allow")})
    assert opened.decide(question(destination="api", port=80)).allowed


# Trust domains


@pytest.mark.parametrize(
    ("written", "principal", "allowed"),
    [
        ("mesh.example/ns/default/sa/sleep", SLEEP, True),
        ("cluster.local/ns/default/sa/sleep", SLEEP, True),
        ("old.example/ns/default/sa/sleep", SLEEP, True),
        ("mesh.example/ns/default/sa/sleep", "spiffe://old.example/ns/default/sa/sleep", True),
        ("*.example/ns/default/sa/sleep", "spiffe://old.example/ns/default/sa/sleep", True),
        ("*.example/ns/default/sa/sleep", "spiffe://other.example/ns/default/sa/sleep", True),
        ("foreign.example/ns/default/sa/sleep", SLEEP, False),
        ("foreign.example/ns/default/sa/sleep", "spiffe://foreign.example/ns/default/sa/sleep", True),
        ("mesh.example/ns/default/sa/sleep", "spiffe://foreign.example/ns/default/sa/sleep", False),
        ("mesh.example/ns/default/*", "spiffe://old.example/ns/default/sa/sleep", False),  # no four parts
        ("*/ns/default/sa/sleep", "spiffe://foreign.example/ns/default/sa/sleep", True),
        ("*", "", False),
        ("*", "spiffe://foreign.example/x", True),
    ],
)
def test_trust_domain_aliases(written: str, principal: str, allowed: bool) -> None:
    """A principal of the mesh's own stands for the same one in each of its trust domains."""
    rule = {"from": [{"source": {"principals": [written]}}]}
    aliased = engine(policy("a", "ALLOW", "foo", rule), trust_domain_aliases=("old.example",))
    assert aliased.decide(question(principal=principal, mutual=bool(principal))).allowed is allowed


# Tokens

ISSUER: Json = {"issuer": "https://i.example"}
WITH_TOKEN: Json = {"from": [{"source": {"requestPrincipals": ["*"]}}]}


def token(**claims: Any) -> str:
    """Claims as questions carry them."""
    return json.dumps({"iss": "https://i.example", "sub": "me"} | claims, sort_keys=True, separators=(",", ":"))


REFUSER = "ns[foo]-requestauthentication[jwt]"


@pytest.mark.parametrize(
    ("objects", "claims", "rule"),
    [
        ([tokens(ISSUER)], "", DEFAULT_ALLOW),  # a missing token is admitted
        ([tokens(ISSUER)], token(), DEFAULT_ALLOW),
        ([tokens(ISSUER)], token(iss="other"), (UNKNOWN_ISSUER, REFUSER)),
        ([tokens(ISSUER, {"issuer": "other"})], token(iss="other"), DEFAULT_ALLOW),
        ([tokens(ISSUER), tokens({"issuer": "other"}, name="b")], token(iss="other"), DEFAULT_ALLOW),
        (
            [tokens(ISSUER | {"audiences": ["shop"]})],
            token(aud="bank"),
            (WRONG_AUDIENCE, REFUSER),
        ),
        ([tokens(ISSUER | {"audiences": ["shop"]})], token(), (WRONG_AUDIENCE, REFUSER)),
        ([tokens(ISSUER | {"audiences": ["shop"]})], token(aud=["bank", "shop"]), DEFAULT_ALLOW),
        ([tokens(ISSUER | {"audiences": ["https://shop/"]})], token(aud="http://shop"), DEFAULT_ALLOW),
        ([tokens({"jwksUri": "https://keys.example/jwks"})], token(iss="anyone"), DEFAULT_ALLOW),
        ([tokens(ISSUER, namespace="bar")], token(iss="other"), DEFAULT_ALLOW),
        (
            [tokens(ISSUER, namespace="istio-system")],
            token(iss="other"),
            (UNKNOWN_ISSUER, "ns[istio-system]-requestauthentication[jwt]"),
        ),
        (
            [tokens(ISSUER), tokens(ISSUER | {"audiences": ["shop"]}, name="b"), tokens({"issuer": "z"}, name="c")],
            token(iss="y"),
            (
                UNKNOWN_ISSUER,
                f"{REFUSER}, ns[foo]-requestauthentication[b], ns[foo]-requestauthentication[c]",
            ),
        ),
        (
            [tokens(ISSUER | {"audiences": ["shop"]}), tokens({"issuer": "z"}, name="c")],
            token(aud="bank"),
            (WRONG_AUDIENCE, REFUSER),
        ),
        ([tokens(ISSUER), policy("a", "ALLOW", "foo", WITH_TOKEN)], "", DEFAULT_DENY),
        ([tokens(ISSUER), policy("a", "ALLOW", "foo", WITH_TOKEN)], token(), rule_id()),
        ([policy("a", "ALLOW", "foo", WITH_TOKEN)], token(), rule_id()),
        ([tokens(), policy("a", "ALLOW", "foo", WITH_TOKEN)], token(), DEFAULT_DENY),  # no rule looks at tokens
    ],
)
def test_tokens(objects: list[Json], claims: str, rule: str | tuple[str, str]) -> None:
    """Tokens of another issuer or audience are refused before policies, saying why and by whom; none is admitted."""
    decision = engine(*objects).decide(question(claims=claims))
    assert (decision.rule, decision.refused_by) == ((rule, "") if isinstance(rule, str) else rule)
    assert decision.status == (401 if decision.rule == UNKNOWN_ISSUER else 403)


def test_tokens_on_tcp_ports_are_not_looked_at() -> None:
    """Where HTTP is not spoken there is no token."""
    checked = engine(tokens(ISSUER, namespace="bar"))
    assert not checked.decide(question(destination="api", port=80, claims=token(iss="other"))).allowed
    assert checked.decide(question(destination="api", port=9000, claims=token(iss="other"))).allowed


def test_space_delimited_claims() -> None:
    """The claims that a rule names, and scope and permission always, are lists of words."""
    rule = {"when": [{"key": "request.auth.claims[groups]", "values": ["staff"]}]}
    plain = engine(tokens(ISSUER), policy("a", "ALLOW", "foo", rule))
    words = engine(tokens(ISSUER | {"spaceDelimitedClaims": ["groups"]}), policy("a", "ALLOW", "foo", rule))
    claims = token(groups="admin staff")
    assert (plain.decide(question(claims=claims)).allowed, words.decide(question(claims=claims)).allowed) == (
        False,
        True,
    )


# The rest


def test_refused_paths_come_before_everything() -> None:
    """A path that Envoy refuses is denied by a rule of that name, on ports with HTTP."""
    allows = engine(policy("a", "ALLOW", "foo", ALL))
    assert allows.decide(question(path="/a%00")) == Decision(False, REFUSED_PATH, (REFUSED_PATH,))
    assert engine(policy("a", "ALLOW", "foo", ALL), path_normalization="NONE").decide(question(path="/a%00")).allowed
    assert allows.decide(question(destination="api", port=9000, path="/a%00")).allowed
    assert {one.why for one in allows.explain(question(path="/a#b"))} == {
        "the path is refused with status 400 before any policy is looked at"
    }


def test_accounts_tell_the_nearest_alternative() -> None:
    """Of alternatives none of which holds, the one that comes nearest is told, with what was wanted and found."""
    rule = {
        "from": [
            {"source": {"principals": ["a/ns/b/sa/c"]}},
            {"source": {"namespaces": ["default"], "ipBlocks": ["10.0.0.0/8"]}},
        ],
        "to": [{"operation": {"methods": ["PUT"]}}],
    }
    (account,) = engine(policy("a", "ALLOW", "foo", rule)).explain(question(source_ip="192.0.2.1"))
    assert (account.effect, account.matched) == ("allow", False)
    assert account.why == "from[1]: ipBlocks [10.0.0.0/8], but found 192.0.2.1"
    (other,) = engine(policy("a", "DENY", "foo", GET)).explain(question(method="PUT"))
    assert other.why == "to: methods [GET], but found PUT"
    (left_out,) = engine(policy("a", "ALLOW", "bar", POST)).explain(question(destination="api", port=9000))
    assert left_out.why.startswith("methods [POST] needs HTTP, which is not spoken on this port")
    assert left_out.place == "a.yaml:1:156"


def test_accounts_tell_why_a_policy_is_for_others() -> None:
    """A rule of a policy for another workload is told with its scope."""
    elsewhere = policy("a", "DENY", "bar", ALL)
    labelled = policy("b", "DENY", "foo", ALL, selector={"matchLabels": {"app": "httpbin"}})
    attached = policy("c", "DENY", "foo", ALL, targetRefs=[{"kind": "Service", "name": "httpbin"}])
    accounts = engine(elsewhere, labelled, attached).explain(question(destination="redis", port=6379))
    assert [one.why for one in accounts] == [
        "it is for the namespace bar; redis is in foo",
        "it is for workloads with app=httpbin; of redis, it has no such label",
        "it is attached to httpbin in foo, not to redis",
    ]
    (here,) = engine(attached).explain(question())
    assert (
        here.why
        == "it is attached to httpbin in foo, and no waypoint serves httpbin: sidecars and ztunnel leave it aside"
    )


@pytest.mark.parametrize(
    ("part", "reads"),
    [
        ({"to": [{"operation": {"paths": ["/a"], "methods": ["GET"]}}]}, set()),
        ({"to": [{"operation": {"hosts": ["a"]}}]}, {"host"}),
        ({"to": [{"operation": {"ports": ["80"]}}]}, {"port"}),
        ({"from": [{"source": {"ipBlocks": ["10.0.0.1"]}}]}, {"source_ip"}),
        ({"from": [{"source": {"remoteIpBlocks": ["10.0.0.1"]}}]}, {"source_ip", "headers"}),
        ({"from": [{"source": {"requestPrincipals": ["*"]}}]}, {"claims"}),
        ({"from": [{"source": {"namespaces": ["a"], "principals": ["b"]}}]}, set()),
        ({"when": [{"key": "request.headers[x]", "values": ["a"]}]}, {"headers"}),
        ({"when": [{"key": "request.headers[Host]", "values": ["a"]}]}, {"host"}),
        ({"when": [{"key": "request.headers[:path]", "values": ["a"]}]}, {"query"}),
        ({"when": [{"key": "connection.sni", "values": ["a"]}]}, {"sni"}),
        ({"when": [{"key": "destination.ip", "notValues": ["10.0.0.1"]}]}, {"destination_ip"}),
        ({"when": [{"key": "meshsim.slice", "values": ["control"]}]}, set()),
        ({"when": [{"key": "meshsim.node", "values": ["a"]}]}, {"node"}),
        ({"when": [{"key": "meshsim.certificate.age", "values": ["< 1 h"]}]}, {"certificate_age_s"}),
        ({"when": [{"key": "meshsim.time", "values": ["08:00-18:00"]}]}, {"time_s"}),
    ],
)
def test_reads(part: Json, reads: set[str]) -> None:
    """The engine reads just what the rules for workloads that there are look at."""
    text = json.dumps(policy("a", "DENY", "foo", part))
    directory = Directory(services=frozenset({"httpbin"}), namespaces={"httpbin": "foo"}, slices=frozenset({"control"}))
    assert IstioEngine.from_sources([PolicyFile("a.yaml", text)], directory).reads == reads


def test_policies_for_nobody_are_not_read() -> None:
    """With ``unmatched: ignore``, a policy that no workload matches costs nothing."""
    away = policy("a", "DENY", "elsewhere", {"to": [{"operation": {"hosts": ["a"]}}]})
    directory = Directory(services=frozenset({"httpbin"}), namespaces={"httpbin": "foo"})
    ignoring = IstioPolicy(unmatched="ignore")
    found = IstioEngine.from_sources([PolicyFile("a.yaml", json.dumps(away))], directory, "allow", ignoring)
    assert (found.reads, found.size) == (frozenset(), 1)


def test_version_is_a_hash_of_what_decides() -> None:
    """The version changes with a text, the default and a setting, and with nothing else."""
    a = policy("a", "DENY", "foo", GET)
    versions = [
        engine(a).version,
        engine(policy("a", "DENY", "foo", POST)).version,
        engine(a, default="deny").version,
        engine(a, path_normalization="NONE").version,
        engine(a, a | {"metadata": {"name": "b", "namespace": "foo"}}).version,
    ]
    assert len(set(versions)) == len(versions)
    assert engine(a).version == versions[0]
    assert len(versions[0]) == 16


OBJECTS = [
    policy("a", "DENY", "foo", {"from": [{"source": {"remoteIpBlocks": ["10.0.0.0/8"]}}]}, GET),
    policy("b", "ALLOW", "foo", {"to": [{"operation": {"hosts": ["httpbin"], "notPaths": ["/x*"]}}]}),
    policy("c", "AUDIT", "foo", {"when": [{"key": "meshsim.certificate.age", "values": ["> 1 min"]}]}),
    policy("d", "DENY", "foo", {"when": [{"key": "request.headers[x]", "values": ["*"]}]}, **TRIAL),
    policy("e", "ALLOW", "bar", GET, {"to": [{"operation": {"ports": ["9000"]}}]}),
]
ENGINE = engine(*OBJECTS)
QUESTIONS = st.builds(
    question,
    principal=st.sampled_from([SLEEP, ""]),
    destination=st.sampled_from(["httpbin", "redis", "api", "unknown"]),
    method=st.sampled_from(["GET", "PUT"]),
    path=st.sampled_from(["/", "/x/1", "/a%00", "/a//b"]),
    host=st.sampled_from(["httpbin", ""]),
    headers=st.sampled_from([(), (("x", "1"),), (("x-forwarded-for", "10.1.1.1"),)]),
    source_ip=st.sampled_from(["10.0.0.1", "192.0.2.1", ""]),
    certificate_age_s=st.sampled_from([-1, 0, 60, 61]),
    query=st.sampled_from(["", "a=b"]),
    sni=st.sampled_from(["", "a"]),
    claims=st.sampled_from(["", token()]),
).flatmap(
    lambda one: st.sampled_from([*DIRECTORY.ports.get(one.destination, [8080])]).map(
        lambda port: msgspec.structs.replace(one, port=port)
    )
)


@settings(max_examples=200, deadline=None)
@given(QUESTIONS)
def test_what_is_not_read_changes_nothing(asked: Question) -> None:
    """A decision is the same when every attribute that is not read is empty."""
    empty = Question("", "", "", "", "", "", "", mutual=False)
    unread = {name: getattr(empty, name) for name in EXTRA_ATTRIBUTES - ENGINE.reads}
    fields = {name: getattr(asked, name) for name in asked.__struct_fields__}
    assert ENGINE.decide(Question(**(fields | unread))) == ENGINE.decide(asked)


@settings(max_examples=200, deadline=None)
@given(QUESTIONS)
def test_accounts_agree_with_the_decision(asked: Question) -> None:
    """The rules that decided are those of their effect that match, and a rule that matches has no reason why not."""
    decision = ENGINE.decide(asked)
    accounts = ENGINE.explain(asked)
    assert all(one.matched == (not one.why) for one in accounts)
    if decision.rule == REFUSED_PATH:
        assert not any(one.matched for one in accounts)
        return
    on_trial = {rule_id("d")}
    effect = "allow" if decision.allowed else "deny"
    by_effect = [one.rule for one in accounts if one.matched and one.effect == effect and one.rule not in on_trial]
    assert decision.reasons == (tuple(by_effect) if decision.rule in by_effect else ())
    assert decision.audited == tuple(one.rule for one in accounts if one.matched and one.effect == "audit")


def test_ports_where_nobody_listens_are_not_guessed() -> None:
    """A question about a port that a service does not listen on is a mistake of whoever asks, not one about HTTP."""
    with pytest.raises(AssertionError, match="asked about port 8080, where nobody listens; expected one of"):
        ENGINE.decide(question(destination="api", port=8080))


def test_workloads_from_outside_of_the_directory() -> None:
    """A service that the directory has not is in the namespace default, and the root's policies hold for it."""
    root = engine(policy("a", "DENY", "istio-system", GET))
    assert not root.decide(question(destination="unknown")).allowed
    assert engine(policy("a", "DENY", "foo", GET)).decide(question(destination="unknown")).allowed
