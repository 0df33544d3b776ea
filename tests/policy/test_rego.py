"""Decisions of the Rego engine."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import msgspec
import pytest

from meshsim.policy.engine import Default, Directory, PolicyFile
from meshsim.policy.question import EXTRA_ATTRIBUTES, Decision, Question
from meshsim.policy.rego import QUERY, RegoEngine
from tests.policy.questions import FULL, VISION

CAR = "spiffe://plant.example/fleet/cars/1"
DIRECTORY = Directory(
    services=frozenset({"vision", "planner"}),
    fleets=frozenset({"cars"}),
    nodes=frozenset({"edge-1", "gnb-1"}),
    slices=frozenset({"control", "video"}),
    sites=frozenset({"plant"}),
    trust_domains=frozenset({"plant.example"}),
    workloads={VISION: "vision", CAR: "cars", "spiffe://plant.example/ns/plans/sa/planner": "planner"},
    namespaces={"vision": "shop", "planner": "plans"},
    labels={"vision": {"app": "vision"}, "planner": {"tier": "back"}},
)
QUESTION = msgspec.structs.replace(
    FULL,
    path="/plans/7%2F8",
    headers=(("accept", "text/html"), ("x-quoted", 'say "hi" \\ bye')),
    claims=json.dumps({"aud": ["mesh"], "roles": ["admin"], "sub": "mallory"}),
    query="fast=1&fast=2&slow=",
)
HTTP = "input.attributes.request.http"


def engine(*texts: str, default: Default = "deny", query: str = QUERY) -> RegoEngine:
    """An engine from rules in the package of OPA-Envoy, in files called numbered from 0.rego."""
    files = [PolicyFile(f"{i}.rego", f"package envoy.authz\n{text}") for i, text in enumerate(texts)]
    return RegoEngine.from_sources(files, DIRECTORY, default, query)


def allows(rules: str, **changes: object) -> bool:
    """Whether rules allow the usual question, changed."""
    fields = {name: getattr(QUESTION, name) for name in Question.__struct_fields__} | changes
    decision = engine(rules).decide(Question(**fields))
    assert decision.errors == ()
    return decision.allowed


def test_undefined_is_the_default() -> None:
    """Where no rule gives a value, the default of the scenario decides and is named as the rule."""
    rules = 'allow if input.meshsim.slice == "video"'
    assert engine(rules).decide(QUESTION) == Decision(False, "default-deny")
    assert engine(rules, default="allow").decide(QUESTION) == Decision(True, "default-allow")
    assert RegoEngine.from_sources([], DIRECTORY).decide(QUESTION) == Decision(False, "default-deny")


def test_false_is_no_default() -> None:
    """A rule that says false denies, whatever the default of the scenario."""
    rule = "envoy.authz.allow@0.rego:2"
    assert engine("allow := false", default="allow").decide(QUESTION) == Decision(False, rule, (rule,))
    assert engine("default allow := false", default="allow").decide(QUESTION) == Decision(False, rule, (rule,))


def test_rules_are_named_by_place() -> None:
    """A decision names the bodies that made it, in the order of the files, and never the others."""
    first = "default allow := false\nallow if input.meshsim.mutual\nallow if not input.meshsim.mutual"
    decision = engine(first, "\nallow if input.parsed_path[0]").decide(QUESTION)
    names = ("envoy.authz.allow@0.rego:3", "envoy.authz.allow@1.rego:3")
    assert decision == Decision(True, names[0], names)


def test_two_rules_on_one_line_are_told_apart() -> None:
    """Bodies that begin on the same line are named by their columns too."""
    decision = engine("allow := false if not input.meshsim.mutual else := true").decide(QUESTION)
    assert decision.rule == "envoy.authz.allow@0.rego:2:44"


def test_else_counts_when_nothing_before_does() -> None:
    """Of a chain with else the first body that holds decides, though later ones hold too."""
    rules = "allow := true if {C} else := false if {D} else := true"
    for first, second, allowed in (("true", "true", True), ("false", "true", False), ("false", "false", True)):
        assert allows(rules.replace("{C}", first).replace("{D}", second)) is allowed


def test_a_decision_with_a_response() -> None:
    """An object as OPA-Envoy has it says with what a refusal is answered."""
    denied = (
        '{"allowed": false, "http_status": 401, "headers": {"WWW-Authenticate": "Bearer"}, "body": "say \\"who\\""}'
    )
    decision = engine(f"allow := {denied}").decide(QUESTION)
    rule = "envoy.authz.allow@0.rego:2"
    fields = (("www-authenticate", "Bearer"),)
    assert decision == Decision(False, rule, (rule,), status=401, headers=fields, body='say "who"')
    assert engine('allow := {"allowed": true, "headers": {"x-user": "me"}}').decide(QUESTION).allowed


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("allow := input.parsed_path", "expected true, false or an object"),
        ("allow := {input.meshsim.slice: true}", "expected true, false or an object"),
        ('allow := object.union({"allowed": false}, {"x": 1})', "says 'x', which is not simulated"),
        ('allow := object.union({"allowed": false}, {"http_status": 200})', "expected one that refuses"),
        ('allow := object.union({"allowed": false}, {"headers": {"a b": "c"}})', "expected names and texts of HTTP"),
        ('allow := object.union({"allowed": false}, {"headers": {"host": "c"}})', "expected names and texts of HTTP"),
        ('allow := object.union({"allowed": false}, {"body": 5})', "expected text"),
        ("allow := true if input.meshsim.mutual\nallow := false if input.parsed_path[0]", "multiple outputs"),
    ],
)
def test_what_fails_is_denied(rules: str, said: str) -> None:
    """A decision that is none denies whatever the default, and says why."""
    decision = engine(rules, default="allow").decide(QUESTION)
    assert (decision.allowed, decision.rule, decision.reasons) == (False, "default-deny", ())
    assert said in decision.errors[0]


@pytest.mark.parametrize(
    ("condition", "reads"),
    [
        (f'input.attributes.source.principal == "{VISION}"', set()),
        ('input.attributes.destination.principal == "spiffe://plant.example/ns/plans/sa/planner"', set()),
        ('input.attributes.source.address.socketAddress.address == "100.64.0.7"', {"source_ip"}),
        ('input.attributes.destination.address.socketAddress.address == "10.244.1.2"', {"destination_ip"}),
        ("input.attributes.destination.address.socketAddress.portValue == 8080", {"port"}),
        ('input.attributes.request.time == "2026-01-01T10:00:00Z"', {"time_s"}),
        (f'{HTTP}.method == "GET"', set()),
        (f'{HTTP}.path == "/plans/7%2F8?fast=1&fast=2&slow="', {"query"}),
        (f'{HTTP}.host == "planner"', {"host"}),
        (f'{HTTP}.headers.accept == "text/html"', {"headers"}),
        (f'{HTTP}.headers["x-quoted"] == "say \\"hi\\" \\\\ bye"', {"headers"}),
        (f'{HTTP}.headers[":authority"] == "planner"', {"host"}),
        (f'{HTTP}.headers[":method"] == "GET"', set()),
        ('input.parsed_path == ["plans", "7", "8"]', set()),
        ('input.parsed_query.fast == ["1", "2"]', {"query"}),
        ("not input.parsed_body", set()),
        ("not input.truncated_body", set()),
        ('input.version.ext_authz == "v3"', set()),
        ('input.meshsim.source.service == "vision"', set()),
        ('input.meshsim.source.namespace == "shop"', set()),
        ('input.meshsim.source.service_account == "vision"', set()),
        ('input.meshsim.source.trust_domain == "plant.example"', set()),
        ('input.meshsim.source.labels.app == "vision"', set()),
        ('input.meshsim.source.site == "plant"', set()),
        ('input.meshsim.source.node == "gnb-1"', {"source_node"}),
        ('input.meshsim.destination.service == "planner"', set()),
        ('input.meshsim.destination.labels.tier == "back"', set()),
        ('input.meshsim.destination.node == "edge-1"', {"node"}),
        ("input.meshsim.destination.port == 8080", {"port"}),
        ('input.meshsim.slice == "control"', set()),
        ("input.meshsim.mutual", set()),
        ('input.meshsim.tls == {"version": "1.3", "cipher": "TLS_AES_128_GCM_SHA256", "group": "X25519"}', None),
        ("input.meshsim.certificate_age_s == 90", {"certificate_age_s"}),
        ("input.meshsim.time_ns == 1767261600000000000", {"time_s"}),
        ('"admin" in input.meshsim.claims.roles', {"claims"}),
    ],
)
def test_input(condition: str, reads: set[str] | None) -> None:
    """Each place in the input has its value, and its attribute of the question is read."""
    asked = engine(f"allow if {condition}")
    assert asked.reads == ({"tls_version", "cipher", "group"} if reads is None else reads)
    assert asked.decide(QUESTION).allowed


def test_what_is_not_there_is_undefined() -> None:
    """Of a peer without a certificate, and of a request without the rest, nothing is told."""
    bare = Question("", "cars", "planner", "GET", "/", "", "", mutual=False)
    for place in (
        "input.attributes.source.principal",
        "input.meshsim.source.service",
        "input.meshsim.certificate_age_s",
        "input.meshsim.tls.version",
        "input.meshsim.claims.sub",
        "input.meshsim.slice",
        "input.parsed_query.a",
    ):
        assert engine(f"allow if not {place}").decide(bare).allowed, place
        assert not engine(f"allow if {place}").decide(bare).allowed, place


@pytest.mark.parametrize(
    ("rules", "reads"),
    [
        ("import input.attributes.request.http as h\nallow if h.path == h.host", {"query", "host"}),
        ("allow if { r := input.attributes.request; r.http.method }", {"query", "host", "headers", "time_s"}),
        ("allow if input.meshsim.tls[_]", {"tls_version", "cipher", "group"}),
        ("allow if { some name; input.meshsim.tls[name] }", {"tls_version", "cipher", "group"}),
        ("allow if count(input) > 3", EXTRA_ATTRIBUTES),
        ("f(x) := x.meshsim.slice\nallow if f(input)", EXTRA_ATTRIBUTES),
        ("allow if time.now_ns() > 0", {"time_s"}),
        ("allow if { input.meshsim.mutual with input as {} }", EXTRA_ATTRIBUTES),
        ("allow if p\np if q\nq if input.meshsim.destination.port == 1", {"port"}),
        ("import input.meshsim\nallow if meshsim.slice", set()),
    ],
)
def test_reads_are_never_too_few(rules: str, reads: set[str]) -> None:
    """Whatever a name stands for, all that may come from there is read."""
    assert engine(rules).reads == reads


def test_several_files_make_one_policy() -> None:
    """Rules of one package stand in several files, others are called by their path, and data comes from JSON."""
    files = [
        PolicyFile("a.rego", "package envoy.authz\n\nallow if is_admin"),
        PolicyFile(
            "b.rego",
            "package envoy.authz\nimport data.roles as r\nis_admin if data.lib.has(input.meshsim.claims.roles, r.all)",
        ),
        PolicyFile("c.rego", "package lib\nhas(some_of, all_of) if { some one in some_of; one in all_of }"),
        PolicyFile("d.json", '{"roles": {"all": ["root", "admin"]}}'),
    ]
    asked = RegoEngine.from_sources(files, DIRECTORY)
    assert asked.decide(QUESTION).rule == "envoy.authz.allow@a.rego:3"
    assert (asked.size, asked.reads) == (3, {"claims"})


def test_another_query() -> None:
    """The document that decides can be another."""
    files = [PolicyFile("a.rego", "package mesh.access\ndecision := input.meshsim.mutual")]
    decision = RegoEngine.from_sources(files, DIRECTORY, query="data.mesh.access.decision").decide(QUESTION)
    assert (decision.allowed, decision.rule) == (True, "mesh.access.decision@a.rego:2")


def test_version_is_a_hash_of_what_decides() -> None:
    """The version changes with a text, a name, the order, the query and the default, and with nothing else."""
    a, b = "allow := true", "allow := false"
    versions = [engine(a), engine(b), engine(a, "p := 1"), engine("p := 1", a), engine(a, default="allow")]
    versions.append(engine(a + "\nx := true", query="data.envoy.authz.x"))
    assert len({one.version for one in versions}) == len(versions)
    assert engine(a).version == engine(a).version
    assert len(engine(a).version) == 16


def _token(payload: dict[str, object]) -> str:
    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    signed = ".".join(part(json.dumps(one).encode()) for one in ({"alg": "HS256", "typ": "JWT"}, payload))
    return f"{signed}.{part(hmac.new(b'secret', signed.encode(), hashlib.sha256).digest())}"


def test_fields_of_one_name_are_one() -> None:
    """Header fields that stand more than once are joined with commas, as Envoy's request for a decision has them."""
    rule = 'allow if input.attributes.request.http.headers["x-a"] == "1,2"'
    assert allows(rule, headers=(("x-a", "1"), ("x-b", "3"), ("x-a", "2")))
    assert not allows(rule, headers=(("x-a", "1"),))


def test_tokens_are_checked_by_the_time_of_the_question() -> None:
    """A token that policies check themselves expires by the clock of the called node, not of this machine."""
    rules = (
        "token := t if { [_, t] := split(input.attributes.request.http.headers.authorization, ` `) }\n"
        'allow if { [valid, _, t] := io.jwt.decode_verify(token, {"secret": "secret"}); valid; t.sub == "a" }'
    )
    for expires_s, allowed in ((1_767_261_700, True), (1_767_261_500, False)):
        headers = (("authorization", f"Bearer {_token({'sub': 'a', 'exp': expires_s})}"),)
        assert allows(rules, headers=headers) is allowed
    assert engine(rules).reads == {"headers", "time_s"}


@pytest.mark.parametrize(
    "condition",
    [
        'net.cidr_contains("100.64.0.0/10", input.meshsim.source.ip)',
        'not net.cidr_contains("100.64.1.0/24", input.meshsim.source.ip)',
        'net.cidr_contains("10.0.0.0/8", "10.244.0.0/16")',
        'not net.cidr_contains("10.244.0.0/16", "10.0.0.0/8")',
        'net.cidr_contains("0.0.0.0/0", "255.255.255.255")',
        'time.parse_rfc3339_ns("2026-01-01T10:00:00Z") == time.now_ns()',
        "time.clock(time.now_ns()) == [10, 0, 0]",
        "(time.now_ns() / 1000000000) % 86400 == 36000",
        "1000000007 % 1000 == 7",
        "1000000007 % 1000 < 8",
        "7 % 4 % 2 == 1",
        'replace("abc", "", "-") == "-a-b-c-"',
        'replace("abc", "b", "") == "ac"',
        '"\\u00e9" == "é"',
        "regex.match(`^/plans/[0-9]+`, input.attributes.request.http.path)",
        'glob.match("/plans/*", ["/"], "/plans/7")',
        'count([p | some p in input.parsed_path; p != "plans"]) == 2',
        'every p in input.parsed_path { p != "" }',
    ],
)
def test_functions_that_are_mended(condition: str) -> None:
    """What the engine lacks or does otherwise than Open Policy Agent is put right."""
    assert allows(f"allow if {condition}")
