"""Everything beyond the basics that Cedar policies can speak of: read only if they do, checked before a run."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.policy.cedar import CedarEngine
from meshsim.policy.engine import Directory, PolicyFile
from meshsim.policy.question import EXTRA_ATTRIBUTES, Question
from meshsim.scenario.errors import ScenarioError
from tests.policy.questions import FULL, VISION

DIRECTORY = Directory(
    services=frozenset({"vision", "planner"}),
    fleets=frozenset({"cars"}),
    nodes=frozenset({"edge-1", "gnb-1"}),
    trust_domains=frozenset({"plant.example"}),
    workloads={VISION: "vision"},
    namespaces={"vision": "shop", "planner": "plans"},
    labels={"vision": {"app": "vision"}, "planner": {"app.kubernetes.io/name": "planner", "tier": "back"}},
)
QUESTION = msgspec.structs.replace(
    FULL,
    headers=(("accept", "text/html"), ("x-tenant", "blue")),
    claims=json.dumps({"aud": "mesh", "exp": 17, "realm": {"roles": ["admin"]}, "vip": True, "sub": "mallory"}),
)


def engine(condition: str) -> CedarEngine:
    """An engine with one policy."""
    text = f"permit (principal, action, resource)\nwhen {{ {condition} }};"
    return CedarEngine.from_sources([PolicyFile("a.cedar", text)], DIRECTORY)


@pytest.mark.parametrize(
    ("condition", "reads"),
    [
        ("context.port == 8080", {"port"}),
        ('context.host == "planner"', {"host"}),
        ('context.query like "*fast=1*"', {"query"}),
        ('context.headers has "x-tenant" && context.headers["x-tenant"] == "blue"', {"headers"}),
        ("!(context.headers has cookie)", {"headers"}),
        ('context.node == Node::"edge-1" && context.source_node == Node::"gnb-1"', {"node", "source_node"}),
        ('context.source_ip.isInRange(ip("100.64.0.0/10"))', {"source_ip"}),
        ('context.destination_ip == ip("10.244.1.2")', {"destination_ip"}),
        ('context.tls_version == "1.3" && context.group == "X25519"', {"tls_version", "group"}),
        ('context.cipher like "TLS_AES*"', {"cipher"}),
        ('context has certificate_age && context.certificate_age == duration("90s")', {"certificate_age_s"}),
        ('context.time == datetime("2026-01-01T10:00:00Z")', {"time_s"}),
        ('context.time.toTime() > duration("9h") && context.time.toTime() < duration("11h")', {"time_s"}),
        ('context.claims has aud && context.claims.aud.contains("mesh")', {"claims"}),
        ('context.claims has realm.roles && context.claims.realm.roles.contains("admin")', {"claims"}),
        ("context.claims has exp && context.claims.exp > 3 && 18 > context.claims.exp", {"claims"}),
        ("context.claims has vip && context.claims.vip", {"claims"}),
        ('context.claims has sub && "mallory" == context.claims.sub', {"claims"}),
        ("!(context.claims has admin)", {"claims"}),
        ('resource.labels has tier && resource.labels.tier == "back"', set()),
        ('resource.labels["app.kubernetes.io/name"] == "planner" || true', None),
        ('principal is Workload && principal.labels has app && principal.labels.app == "vision"', set()),
        ('principal in Namespace::"shop" && resource in Namespace::"plans"', set()),
        ('principal is Workload && principal.namespace == "shop" && principal.service_account == "vision"', set()),
        ('resource.namespace == "plans"', set()),
        ('context.path == "/plans" && context.mutual', set()),
        ("(context).port == 8080", EXTRA_ATTRIBUTES),
    ],
)
def test_attributes(condition: str, reads: set[str] | None) -> None:
    """Each attribute can be spoken of, is filled on demand only, and without its test it is refused if it may miss."""
    if reads is None:
        with pytest.raises(ScenarioError, match=r'`resource\.labels has "app\.kubernetes\.io/name"` first'):
            engine(condition)
        return
    asked = engine(condition)
    assert asked.reads == reads
    assert asked.decide(QUESTION).allowed
    blank = {name: Question.__struct_defaults__[number] for number, name in enumerate(Question.__struct_fields__[8:])}
    only = Question(
        *(getattr(QUESTION, name) for name in Question.__struct_fields__[:8]),
        **(blank | {name: getattr(QUESTION, name) for name in reads}),
    )
    assert asked.decide(only) == asked.decide(QUESTION)


@pytest.mark.parametrize(
    ("condition", "column", "said"),
    [
        ('context.headers["x-tenant"] == "a"', 8, 'say `context.headers has "x-tenant"` first'),
        ("context.headers.cookie == context.path", 8, "say `context.headers has cookie` first"),
        ('context.headers has "X-Tenant"', 28, 'header fields come in lower case; write headers["x-tenant"]'),
        ('context.headers has "x tenant"', 28, "no header field has the name 'x tenant'"),
        ('context.claims.realm.roles.contains("x")', 8, "say `context.claims has realm.roles` first"),
        (
            "context.claims has vip && context.claims.vip && context.claims.vip > 3",
            56,
            "is a Bool; expected a Long here",
        ),
        ('context.certificate_age < duration("1h")', 8, "say `context has certificate_age` first"),
        ("resource.labels has teir", 28, "unknown label 'teir'; did you mean 'tier'?"),
        ('principal is Workload && principal.labels.app == "x"', 33, "say `principal.labels has app` first"),
        ('context.time > datetime("noon")', 32, "failed to parse as a datetime"),
        ('context.time > "2026-01-01"', 23, "is a String; expected a datetime here"),
        ('context.source_ip == "10.0.0.1"', 8, "String and ipaddr are not compatible"),
        ('context.source_ip.isInRange("10.0.0.0/8")', 36, "expected an ipaddr here"),
        ('context.tls_vesion == "1.3"', 16, "did you mean `tls_version`?"),
        ('resource in Namespace::"plan"', 31, "unknown namespace 'plan'; did you mean 'plans'?"),
        ('resource == Namespace::"plans"', 17, 'write `resource in Namespace::"plans"`'),
        ('context.node == Node::"edge1"', 30, "unknown node 'edge1'; did you mean 'edge-1'?"),
        ('context.claims has aud && context.claims.aud == "x"', 34, "String and Set<String> are not compatible"),
    ],
)
def test_mistakes(condition: str, column: int, said: str) -> None:
    """A mistake with an attribute is told at its place, with what would be right."""
    with pytest.raises(ScenarioError) as raised:
        engine(condition)
    found = [one for one in raised.value.diagnostics if said in one.message]
    assert [(one.line, one.column) for one in found][:1] == [(2, column)], raised.value.diagnostics


@pytest.mark.parametrize(
    "claims",
    ["", "[]", '{"realm": 5}', '{"realm": {"roles": "admin"}}', '{"realm": {"roles": [1]}}', '{"realm": {}}', "null"],
)
def test_claims_of_another_type_are_missing(claims: str) -> None:
    """A claim that is not what the policy takes it for is no claim, and no error."""
    asked = engine('context.claims has realm.roles && context.claims.realm.roles.contains("root")')
    decision = asked.decide(Question(VISION, "vision", "planner", "GET", "/", "", "", True, claims=claims))
    assert (decision.allowed, decision.errors) == (False, ())


def test_an_absent_certificate_has_no_age() -> None:
    """Without a certificate the age is missing, and not young."""
    asked = engine('context has certificate_age && context.certificate_age < duration("1h")')
    assert asked.decide(QUESTION).allowed
    assert not asked.decide(Question("", "vision", "planner", "GET", "/", "", "", False, certificate_age_s=-1)).allowed


WORDS = (
    *("context", "principal", ".", "headers", "claims", "labels", "has", "[", "]", "x", "(", ")", "==", "&&", "!"),
    *("contains", "like", "3", "true", "is", "Workload", ",", "time", '"x"', '"a\\"b"', '"\u00e9 \x01"'),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), max_size=14),
)
def test_any_soup_of_attributes_is_told_or_taken(words: list[str]) -> None:
    """Whatever stands in a condition, there is an engine or a list of mistakes."""
    with suppress(ScenarioError):
        engine(" ".join(words)).decide(QUESTION)
