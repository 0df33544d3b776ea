"""Tokens elsewhere than in ``authorization``, told in header fields, and handed on: in a run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from meshsim.identity.tokens import Grant, Issuer
from meshsim.inquiry.odd import odd_in
from meshsim.scenario import token_reasons
from meshsim.scenario.check_tokens import MOST_CLAIM_BYTES
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_text
from tests.world.conftest import TWO_EDGES, Result, Simulate

SCENARIO = (
    TWO_EDGES.replace("duration: 1 s", "duration: 2 s")
    + """\
scenario: token-places
services:
  planner:
    replicas: {edge-2: 1}
    work: {constant: 1 ms}
    request_authentication: {issuers: [desk], required: true}
fleets:
  robots: {node: edge-1, token: {issuer: desk, claims: {role: mover}}}
mesh:
  tokens: {issuers: {desk: {}}}
traffic:
  - {from: robots, to: planner, slice: web, path: "/plans?day=1", arrivals: {constant: 10 /s}}
"""
)
CHAIN = SCENARIO.replace(
    "fleets:\n",
    "  front:\n    replicas: {edge-1: 1}\n    work: {constant: 1 ms}\n    calls: [{to: planner}]\nfleets:\n",
).replace("to: planner, slice", "to: front, slice")


def ends(result: Result) -> set[tuple[str, int]]:
    """How requests ended."""
    return {(row.outcome, row.status) for row in result.requests}


def rules(result: Result, source: str) -> Counter[str]:
    """What decided on a workload's calls."""
    return Counter(row.rule for row in result.decisions if row.source == source)


def same_at_every_fidelity(tmp_path: Path, text: str, policy: str = "", *settings: str) -> Result:
    """Run at fidelities real and modelled, which must come to the same; with a policy in Cedar, if there is one."""
    more = list(settings)
    if policy:
        (tmp_path / "a.cedar").write_text(policy, encoding="utf-8")
        more.append("mesh.policy={files: [a.cedar]}")
    runs = [
        Result(load_text(text, tmp_path / "a.yaml", [*more, f"fidelity={level}"])) for level in ("real", "modelled")
    ]
    assert runs[0].content() == runs[1].content()
    return runs[0]


@pytest.mark.parametrize(
    ("at", "looked", "missed"),
    [
        ("{header: X-Jwt}", "from_headers: [{name: x-jwt}]", "from_headers: [{name: x-other}]"),
        ("{header: x-jwt, prefix: 'Key '}", "from_headers: [{name: x-jwt, prefix: 'Key '}]", "from_params: [x-jwt]"),
        ("{param: t}", "from_params: [t]", "from_params: [u]"),
        ("{param: access_token}", "leeway", "from_cookies: [t]"),
        ("{cookie: session}", "from_cookies: [session]", "from_params: [session]"),
    ],
)
def test_a_token_is_found_where_it_is_looked_for(tmp_path: Path, at: str, looked: str, missed: str) -> None:
    """A token at a place is accepted where it is looked for there, and is as good as none where it is not."""
    text = SCENARIO.replace("role: mover}}", f"role: mover}}, at: {at}}}")
    for rule, ended in ((looked, ("ok", 200)), (missed, ("denied", 401))):
        there = text if rule == "leeway" else text.replace("required: true", f"required: true, {rule}")
        result = same_at_every_fidelity(tmp_path, there)
        assert ends(result) == {ended}
        assert rules(result, "robots") == ({} if ended == ("ok", 200) else {token_reasons.MISSING: 20})


def test_a_place_costs_the_bytes_of_its_name(simulate: Simulate) -> None:
    """A token at another place is as long, and so is its request but for what names the place."""
    sizes = {}
    for at in ("{header: x-jwt}", "{param: t}", "{cookie: t}"):
        text = SCENARIO.replace("role: mover}}", f"role: mover}}, at: {at}}}").replace(
            "required: true", "required: false"
        )
        sizes[at] = max(row.bytes_sent for row in simulate(text).calls)
    plain = max(row.bytes_sent for row in simulate(SCENARIO).calls)
    assert all(abs(size - plain) < 30 for size in sizes.values()), (sizes, plain)


SEES = 'permit (principal, action, resource) when {{ context.headers has "{name}" }};'


@pytest.mark.parametrize(
    ("at", "looked", "forward", "seen"),
    [
        (
            "{header: authorization, prefix: 'Bearer '}",
            "from_headers: [{name: authorization, prefix: 'Bearer '}]",
            False,
            False,
        ),
        (
            "{header: authorization, prefix: 'Bearer '}",
            "from_headers: [{name: authorization, prefix: 'Bearer '}]",
            True,
            True,
        ),
        ("{header: x-jwt}", "from_headers: [{name: x-jwt}]", False, False),
        ("{header: x-jwt}", "from_headers: [{name: x-jwt}]", True, True),
        ("{cookie: a}", "from_cookies: [a]", False, True),
    ],
)
def test_a_token_is_taken_off_unless_it_is_forwarded(
    tmp_path: Path, at: str, looked: str, forward: bool, seen: bool
) -> None:
    """Policies see the field of a token only where it goes on to the workload; Envoy takes no cookies off."""
    text = SCENARIO.replace("role: mover}}", f"role: mover}}, at: {at}}}")
    text = text.replace("required: true", f"required: true, {looked}, forward_original_token: {str(forward).lower()}")
    name = "cookie" if "cookie" in at else "x-jwt" if "x-jwt" in at else "authorization"
    result = same_at_every_fidelity(tmp_path, text, SEES.format(name=name))
    assert ends(result) == {("ok", 200) if seen else ("denied", 403)}


def test_a_parameter_is_taken_off_the_query(tmp_path: Path) -> None:
    """What is left of the query is what policies see of it."""
    text = SCENARIO.replace("role: mover}}", "role: mover}, at: {param: t}}").replace(
        "required: true", "required: true, from_params: [t]"
    )
    policy = 'package envoy.authz\nimport rego.v1\nallow if input.attributes.request.http.path == "/plans?day=1"\n'
    (tmp_path / "a.rego").write_text(policy, encoding="utf-8")
    setting = "mesh.policy={engine: rego, files: [a.rego]}"
    assert ends(same_at_every_fidelity(tmp_path, text, "", setting)) == {("ok", 200)}
    kept = text.replace("from_params: [t]", "from_params: [t], forward_original_token: true")
    assert ends(same_at_every_fidelity(tmp_path, kept, "", setting)) == {("denied", 403)}


TOLD = "output_claims_to_headers: [{header: X-Role, claim: role}], output_payload_to_header: x-payload"
BY_ROLE = """\
permit (principal, action, resource) when {
  context.headers has "x-role" && context.headers["x-role"] == "mover" && context.headers has "x-payload" };
"""


def test_claims_are_told_in_header_fields(tmp_path: Path) -> None:
    """Policies see what an accepted token says in the named fields, which callers cannot set."""
    text = SCENARIO.replace("required: true", f"required: false, {TOLD}")
    assert ends(same_at_every_fidelity(tmp_path, text, BY_ROLE)) == {("ok", 200)}
    forged = "traffic.0.headers={x-role: mover, x-payload: abc}"
    result = same_at_every_fidelity(tmp_path, text, BY_ROLE, "traffic.0.token=none", forged)
    assert ends(result) == {("denied", 403)}
    assert {row.removed for row in result.decisions} == {"x-role x-payload"}
    unread = text.replace(f", {TOLD}", "")
    assert ends(same_at_every_fidelity(tmp_path, unread, BY_ROLE, "traffic.0.token=none", forged)) == {("ok", 200)}


def test_a_token_is_handed_on_where_it_is_forwarded(tmp_path: Path) -> None:
    """A service that puts ``authorization`` on its own calls has it only where its sidecar leaves it."""
    front = "calls: [{to: planner}]\n    forward_headers: [authorization]"
    text = CHAIN.replace("calls: [{to: planner}]", front)
    assert ends(same_at_every_fidelity(tmp_path, text)) == {("ok", 200)}  # nobody looks at the front
    checks = f"{front}\n    request_authentication: {{issuers: [desk], required: true}}"
    taken = CHAIN.replace("calls: [{to: planner}]", checks)
    result = same_at_every_fidelity(tmp_path, taken)
    assert ends(result) == {("failed", 502)}
    assert rules(result, "front") == {token_reasons.MISSING: 20}
    forwarded = taken.replace("[desk], required: true}\nfleets", "[desk], forward_original_token: true}\nfleets")
    assert forwarded != taken
    result = same_at_every_fidelity(tmp_path, forwarded)
    assert ends(result) == {("ok", 200)}
    # The token is judged twice, in the place of a flow's own and in that of one that was handed on.
    bytes_of = {row.source: row.bytes_sent for row in result.calls}
    plain = same_at_every_fidelity(tmp_path, CHAIN.replace("required: true", "required: false"))
    assert bytes_of["front"] - {row.source: row.bytes_sent for row in plain.calls}["front"] > 300


def test_what_a_call_brings_itself_stands_in_place_of_what_is_handed_on(tmp_path: Path) -> None:
    """A service with a token of its own does not send its caller's in the same field."""
    front = (
        "calls: [{to: planner}]\n    forward_headers: [authorization]\n    token: {issuer: desk, claims: {role: front}}"
    )
    text = CHAIN.replace("calls: [{to: planner}]", front)
    policy = (
        'permit (principal, action, resource == Service::"front");\n'
        "permit (principal, action, resource) when {\n"
        '  context.claims has "role" && context.claims.role == "front" };\n'
    )
    assert ends(same_at_every_fidelity(tmp_path, text, policy)) == {("ok", 200)}


def test_cookies_are_handed_on_last(tmp_path: Path) -> None:
    """A cookie with a token in it is put on own calls behind what those bring, where readers of HTTP/2 put it."""
    front = (
        "calls: [{to: planner, headers: {x-b: '1'}}]\n    forward_headers: [cookie]\n"
        "    request_authentication: {issuers: [desk], from_cookies: [session]}"
    )
    text = CHAIN.replace("calls: [{to: planner}]", front).replace(
        "required: true", "required: true, from_cookies: [session]"
    )
    text = text.replace("role: mover}}", "role: mover}, at: {cookie: session}}")
    assert ends(same_at_every_fidelity(tmp_path, text)) == {("ok", 200)}


def test_who_calls_is_no_matter_of_tokens(tmp_path: Path) -> None:
    """X-Forwarded-Client-Cert is handed on where there are tokens as it is where there are none."""
    text = CHAIN.replace(
        "calls: [{to: planner}]", "calls: [{to: planner}]\n    forward_headers: [x-forwarded-client-cert]"
    )
    text = text.replace("\n    request_authentication: {issuers: [desk], required: true}", "")
    plain = text.replace(", token: {issuer: desk, claims: {role: mover}}", "").replace(
        "mesh:\n  tokens: {issuers: {desk: {}}}\n", ""
    )
    said = "mesh.http.client_cert.from_fleets=SANITIZE_SET"
    sent = [
        {row.bytes_sent for row in same_at_every_fidelity(tmp_path, each, "", said).calls if row.source == "front"}
        for each in (text, plain)
    ]
    assert sent[0] == sent[1]


def test_what_is_told_is_handed_on(tmp_path: Path) -> None:
    """A field that a sidecar wrote goes on, one that was forged and removed does not."""
    checks = (
        f"calls: [{{to: planner}}]\n    forward_headers: [x-role, x-payload]\n"
        f"    request_authentication: {{issuers: [desk], {TOLD}}}"
    )
    text = CHAIN.replace("calls: [{to: planner}]", checks).replace("required: true", "required: false")
    policy = 'permit (principal, action, resource == Service::"front");\n' + BY_ROLE
    assert ends(same_at_every_fidelity(tmp_path, text, policy)) == {("ok", 200)}
    forged = "traffic.0.headers={x-role: mover, x-payload: abc}"
    result = same_at_every_fidelity(tmp_path, text, policy, "traffic.0.token=none", forged)
    assert ends(result) == {("failed", 502)}
    assert rules(result, "front") == {"default-deny": 20}


@pytest.mark.parametrize("http_version", ["1.1", "2"])
def test_as_long_claims_as_can_be(tmp_path: Path, http_version: str) -> None:
    """The longest claims that a scenario may write go over either HTTP, and what is told of them is handed on."""
    checks = (
        "calls: [{to: planner}]\n    forward_headers: [authorization, x-role, x-payload]\n"
        f"    request_authentication: {{issuers: [desk], forward_original_token: true, {TOLD}}}"
    )
    text = CHAIN.replace("calls: [{to: planner}]", checks).replace(
        "slice: web", f'slice: web, http_version: "{http_version}"'
    )
    role = "r" * (MOST_CLAIM_BYTES - len('{"role": ""}'))
    assert ends(same_at_every_fidelity(tmp_path, text.replace("role: mover", f"role: {role}"))) == {("ok", 200)}
    with pytest.raises(ScenarioError, match="the claims have 8193 characters as JSON; expected at most 8192"):
        load_text(text.replace("role: mover", f"role: r{role}"), tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("length", "fields", "own", "ended"),
    [(7500, 8, 0, 200), (7500, 9, 0, 502), (5, 32, 62, 200), (5, 32, 63, 502)],
)
def test_what_is_told_can_be_too_much_to_hand_on(
    tmp_path: Path, length: int, fields: int, own: int, ended: int
) -> None:
    """Who puts more than 60 KiB or 100 fields on its calls hears 431 from its own sidecar, as from Envoy by default."""
    names = [f"x-{number}" for number in range(fields)]
    told = ", ".join(f"{{header: {name}, claim: role}}" for name in names)
    checks = (
        f"calls: [{{to: planner, headers: {{{', '.join(f'y-{number}: a' for number in range(own))}}}}}]\n"
        f"    forward_headers: [{', '.join(names)}]\n"
        f"    request_authentication: {{issuers: [desk], output_claims_to_headers: [{told}]}}"
    )
    text = CHAIN.replace("calls: [{to: planner}]", checks).replace("required: true", "required: false")
    text = text.replace("role: mover", f"role: {'r' * length}")
    result = same_at_every_fidelity(tmp_path, text, "", "duration=500 ms")
    assert {row.status for row in result.requests} == {ended}
    calls = {(row.outcome, row.status) for row in result.calls if row.source == "front"}
    assert calls == {("ok", 200) if ended == 200 else ("denied", 431)}


def test_two_good_tokens_of_one_rule_are_both_told(tmp_path: Path) -> None:
    """Envoy adds a field for each (``addCopy`` in authenticator.cc), and both are handed on, last token first."""
    scenario = load_text(CHAIN, tmp_path / "a.yaml").scenario
    iss, begin_s = f"https://desk.{scenario.mesh.trust_domain}", scenario.epoch_ns // 10**9
    issuer = Issuer(name="desk", iss=iss, algorithm="ES256", seed=scenario.seed)
    other = Grant(issuer, "spiffe://a/b", (), '{"role":"lifter"}', 3600, 1800, False, begin_s).token(begin_s)
    checks = (
        "calls: [{to: planner}]\n    forward_headers: [x-role]\n"
        "    request_authentication: {issuers: [desk], from_headers: [{name: x-jwt}, {name: x-other}], "
        "output_claims_to_headers: [{header: x-role, claim: role}]}"
    )
    text = CHAIN.replace("calls: [{to: planner}]", checks).replace("required: true", "required: false")
    text = text.replace("role: mover}}", "role: mover}, at: {header: x-jwt}}")
    text = text.replace("slice: web", f"slice: web, headers: {{x-other: {other.text}}}")
    policy = (
        'permit (principal, action, resource == Service::"front");\npermit (principal, action, resource) when '
        '{ context.headers has "x-role" && context.headers["x-role"] == "lifter,mover" };'
    )
    assert ends(same_at_every_fidelity(tmp_path, text, policy)) == {("ok", 200)}


def test_a_claim_that_no_field_can_hold_is_handed_on_as_it_is_read(tmp_path: Path) -> None:
    """Controls in a claim and spaces around it are there for the sidecar's policies, and go no farther."""
    checks = (
        "calls: [{to: planner}]\n    forward_headers: [x-role]\n"
        "    request_authentication: {issuers: [desk], output_claims_to_headers: [{header: x-role, claim: role}]}"
    )
    text = CHAIN.replace("calls: [{to: planner}]", checks).replace("required: true", "required: false")
    text = text.replace("role: mover", 'role: " a\\r\\nx-b: 1\\u00012\\u007f3"')
    policy = "".join(
        f'permit (principal, action, resource == Service::"{service}") when {{\n'
        f'  context.headers has "x-role" && context.headers["x-role"] == "{value}" }};\n'
        for service, value in (("front", " a\\r\\nx-b: 1\\u{1}2\\u{7f}3"), ("planner", "a  x-b: 1 2 3"))
    )
    assert ends(same_at_every_fidelity(tmp_path, text, policy)) == {("ok", 200)}


ISTIO = """\
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: desk, namespace: default}
spec:
  jwtRules:
    - issuer: "https://desk.mesh.example"
      jwksUri: "https://desk.example/keys"
      fromHeaders: [{name: x-jwt, prefix: "Key "}]
      fromParams: [t]
      outputClaimToHeaders: [{header: x-role, claim: role}]
      forwardOriginalToken: FORWARD
    - {issuer: "https://else.example", jwksUri: "https://else.example/keys"}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: movers, namespace: default}
spec:
  rules:
    - from: [{source: {requestPrincipals: ["*"]}}]
      when: [{key: "request.headers[x-role]", values: [mover]}, {key: "request.headers[x-jwt]", WHICH: ["Key *"]}]
"""


@pytest.mark.parametrize("forward", [False, True])
def test_istios_rules_do_the_same(tmp_path: Path, forward: bool) -> None:
    """fromHeaders, outputClaimToHeaders and forwardOriginalToken of a RequestAuthentication are carried out."""
    which = "values" if forward else "notValues"
    rules_text = ISTIO.replace("FORWARD", str(forward).lower()).replace("WHICH", which)
    (tmp_path / "a.yaml").write_text(rules_text, encoding="utf-8")
    check = "\n    request_authentication: {issuers: [desk], required: true}"
    setting = "mesh.policy={engine: istio, files: [a.yaml]}"
    text = SCENARIO.replace(check, "").replace("role: mover}}", "role: mover}, at: {header: x-jwt, prefix: 'Key '}}")
    assert ends(same_at_every_fidelity(tmp_path, text, "", setting)) == {("ok", 200)}
    for token, status in (("forged", 401), ("none", 403), ("other-issuer", 401)):
        result = same_at_every_fidelity(tmp_path, text, "", setting, f"traffic.0.token={token}")
        assert ends(result) == {("denied", status)}
    elsewhere = text.replace("at: {header: x-jwt, prefix: 'Key '}", "at: {header: authorization, prefix: 'Bearer '}")
    # The other rule finds it there, and knows nobody of that name.
    assert ends(same_at_every_fidelity(tmp_path, elsewhere, "", setting)) == {("denied", 401)}


MANIFESTS = """\
apiVersion: v1
kind: Service
metadata: {name: stock, namespace: default}
spec: {selector: {app: stock}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: stock, namespace: default}
spec:
  selector: {matchLabels: {app: stock}}
  template:
    metadata: {labels: {app: stock}}
    spec: {containers: [{name: main, image: stock}]}
---
"""
SHOP = """\
scenario: shop
duration: 2 s
network:
  nodes: {edge-1: {kind: edge}}
  slices: {web: {sst: 1, five_qi: 9}}
mesh:
  manifests: [shop.yaml]
  tokens: {issuers: {desk: {issuer: "https://desk.mesh.example"}}}
services:
  stock: {work: {constant: 1 ms}, placement: [edge-1]}
fleets:
  users: {node: edge-1, token: {issuer: desk, claims: {role: mover}, at: {param: t}}}
traffic:
  - {from: users, to: stock, slice: web, arrivals: {constant: 5 /s}}
"""


def test_rules_of_manifests_are_carried_out(tmp_path: Path) -> None:
    """A RequestAuthentication among manifests finds a token in a parameter, and tells a claim to its policies."""
    rules_text = ISTIO.replace("FORWARD", "false").replace("WHICH", "notValues")
    (tmp_path / "shop.yaml").write_text(MANIFESTS + rules_text, encoding="utf-8")
    assert ends(same_at_every_fidelity(tmp_path, SHOP)) == {("ok", 200)}
    assert ends(same_at_every_fidelity(tmp_path, SHOP.replace("role: mover", "role: guest"))) == {("denied", 403)}
    forged = "traffic.0.headers={x-role: mover}"
    assert ends(same_at_every_fidelity(tmp_path, SHOP, "", "traffic.0.token=none", forged)) == {("denied", 403)}


def test_an_issuer_that_nobody_is_is_told(tmp_path: Path) -> None:
    """A rule for tokens of a name that no issuer of the mesh has is a warning at its place; other names are not."""
    rules_text = ISTIO.replace("FORWARD", "false").replace("WHICH", "notValues")
    (tmp_path / "shop.yaml").write_text(MANIFESTS + rules_text, encoding="utf-8")
    (told,) = odd_in(load_text(SHOP, tmp_path / "scenario.yaml"))
    assert told.startswith(f"{tmp_path / 'shop.yaml'}:26:7: ns[default]-requestauthentication[desk] accepts tokens of")
    assert "'https://else.example', which none of mesh.tokens.issuers says of itself" in told
    assert "token-unknown-issuer" in told
    known = "mesh.tokens.issuers.else={issuer: https://else.example}"
    used = ["services.stock.token={issuer: else}", known]
    assert odd_in(load_text(SHOP, tmp_path / "scenario.yaml", used)) == ()


def test_a_thief_chooses_where_to_put_it(tmp_path: Path) -> None:
    """A stolen token is where its owner's is, unless the thief puts it elsewhere."""
    text = SCENARIO.replace("role: mover}}", "role: mover}, at: {header: x-jwt}}").replace(
        "required: true", "required: true, binding: ignored, from_headers: [{name: x-jwt}]"
    )
    text = text.replace("fleets:\n", "fleets:\n  thief: {node: edge-2}\n")
    text += "  - {name: stolen, from: thief, to: planner, slice: web, arrivals: {constant: 5 /s}, "
    text += "token: {stolen_from: robots}}\n"
    assert ends(same_at_every_fidelity(tmp_path, text)) == {("ok", 200)}
    other = text.replace("stolen_from: robots", "stolen_from: robots, at: {param: t}")
    result = same_at_every_fidelity(tmp_path, other)
    assert {row.status for row in result.requests if row.source == "stolen"} == {401}
    assert {row.status for row in result.requests if row.source != "stolen"} == {200}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "role: mover}}",
            "role: mover}, at: {}}",
            "the token would be nowhere; expected one of header, param or cookie",
        ),
        ("role: mover}}", "role: mover}, at: {param: a, cookie: b}}", "the token would be at 2 places; expected one"),
        (
            "role: mover}}",
            "role: mover}, at: {param: a, prefix: b}}",
            "a param has nothing before its token; expected no",
        ),
        (
            "role: mover}}",
            "role: mover}, at: {header: Cookie}}",
            "the field 'Cookie' has a meaning of its own; expected",
        ),
        (
            "path: ",
            "token: {stolen_from: robots, at: {header: Cookie}}, path: ",
            "the field 'Cookie' has a meaning of its own; expected",
        ),
        (
            "required: true",
            "output_claims_to_headers: [{header: x-a, claim: sub}, {header: TE, claim: sub}]",
            "the field 'TE' has a meaning of its own; expected another",
        ),
        (
            "required: true",
            "from_headers: [{name: host}]",
            "the field 'host' has a meaning of its own; expected another",
        ),
        ("required: true", "output_payload_to_header: te", "the field 'te' has a meaning of its own; expected another"),
        (
            "required: true",
            "output_claims_to_headers: [{header: Authorization, claim: sub}]",
            "tokens are looked for in 'Authorization', and callers cannot set what is written there, so that none is",
        ),
        (
            "required: true",
            "from_headers: [{name: x-jwt}], output_payload_to_header: X-JWT",
            "tokens are looked for in 'X-JWT', and callers cannot set what is written there",
        ),
        (
            "work: {constant: 1 ms}",
            "work: {constant: 1 ms}\n    forward_headers: [x-a, Host]",
            "'Host' is the request's authority; expected another field",
        ),
        (
            "work: {constant: 1 ms}",
            "work: {constant: 1 ms}\n    forward_headers: [content-length]",
            "'content-length' follows from the size of the body; expected another field",
        ),
        (
            "work: {constant: 1 ms}",
            "work: {constant: 1 ms}\n    forward_headers: [x-a, X-A]",
            "'X-A' and 'x-a' are one field; expected it once",
        ),
        (
            "arrivals: {constant: 10 /s}",
            "headers: {Authorization: Basic a}, arrivals: {constant: 10 /s}",
            "the request's token is in 'Authorization', too; expected another place (the token's 'at'), 'token: none'",
        ),
        (
            "path: ",
            "token: {stolen_from: robots, at: {cookie: s}}, headers: {Cookie: a=b; s=c}, path: ",
            "the request's token is in the cookie 's', too; expected another place",
        ),
        (
            "role: mover}}",
            "role: mover}, at: {param: day}}",
            "the request's token is in the parameter 'day', too; expected another place",
        ),
        (
            'path: "/plans?day=1"',
            'token: {stolen_from: robots, at: {param: day}}, path: "/plans?d%61y=1"',
            "the request's token is in the parameter 'day', too; expected another place",
        ),
        ("required: true", "from_params: ['a b']", "'a b' is no name of a parameter; expected 1 to 64 letters"),
        ("required: true", "from_cookies: [a;]", "'a;' is no name of a cookie; expected 1 to 64 letters, digits"),
    ],
)
def test_places_that_make_no_sense(simulate: Simulate, old: str, new: str, says: str) -> None:
    """What cannot be is told before the run, at its place."""
    with pytest.raises(ScenarioError) as error:
        simulate(SCENARIO.replace(old, new))
    assert any(says in one.message for one in error.value.diagnostics), error.value.diagnostics
    assert all(one.line for one in error.value.diagnostics)


@pytest.mark.parametrize(
    "request_",
    [
        "from: robots, token: none, headers: {Authorization: Basic a}",
        "from: robots, headers: {cookie: s=c}",
        "from: thief, token: {stolen_from: robots, at: {cookie: s}}",
        "from: thief, token: {stolen_from: robots, at: {cookie: s}}, headers: {authorization: Basic a, cookie: t=s}",
    ],
)
def test_a_request_may_say_anything_where_no_token_is(request_: str) -> None:
    """Without a token, or with one elsewhere than its holder has it, nothing stands there twice."""
    text = SCENARIO.replace("fleets:\n", "fleets:\n  thief: {node: edge-1}\n").replace("from: robots", request_)
    if "thief" in request_:
        text = text.replace("role: mover}}", "role: mover}, at: {param: day}}")
        text += "  - {name: own, from: robots, to: planner, slice: web, token: none, arrivals: {constant: 10 /s}}\n"
    else:
        text = text.replace("  thief: {node: edge-1}\n", "")
    load_text(text, Path("a.yaml"))
