"""Comparisons of meshes that differ in more than policies: what each side makes of a request, asked one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from meshsim.commands.matrices import narrowed
from meshsim.inquiry.ask import ask
from meshsim.inquiry.matrix import Comparison, build_matrix, compare
from meshsim.inquiry.names import find_caller
from meshsim.inquiry.present import comparison_document
from meshsim.inquiry.region_words import region_words
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject, subject_of_scenario
from meshsim.scenario.errors import UsageError
from tests.inquiry.test_exact import KEYS, _asked

SCENARIO = """\
scenario: yard
duration: 1 s
network:
  nodes: {desk: {kind: edge, site: hall}, shop: {kind: edge, site: office}}
  links: [{between: [desk, shop], latency: 1 ms}]
  slices: {web: {sst: 1, five_qi: 9}}
services:
  front: {namespace: yard, replicas: {desk: 1}, work: {constant: 1 ms}, calls: [{to: back}]}
  back: {namespace: yard, replicas: {shop: 1}, work: {constant: 1 ms}}
fleets: {users: {node: desk}}
mesh:
  policy: {engine: istio, files: [p.yaml], default: allow}
traffic: [{from: users, to: front, slice: web, arrivals: {constant: 10 /s}}]
"""
OBJECT = "{{apiVersion: security.istio.io/v1, kind: {}, metadata: {{name: p, namespace: yard}}, spec: {}}}"
NOTHING = OBJECT.format("AuthorizationPolicy", "{rules: [{}]}")


Sides = Callable[..., tuple[Subject, Subject]]


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    """A function that reads the yard with two sets of settings, and one policy."""

    def of(before: list[str], after: list[str], policy: str = NOTHING) -> tuple[Subject, Subject]:
        (tmp_path / "p.yaml").write_text(policy, encoding="utf-8")
        (tmp_path / "s.yaml").write_text(SCENARIO, encoding="utf-8")
        return subject_of_scenario(tmp_path / "s.yaml", before), subject_of_scenario(tmp_path / "s.yaml", after)

    return of


def told(comparison: Comparison, source: str, destination: str) -> set[bool]:
    """How the decisions on a caller at a service flip; the comparison has to be exact."""
    assert not comparison.space.approximate
    mine = (flip for flip in comparison.flips if (flip.caller.name, flip.callee.service) == (source, destination))
    return {flip.now_allowed for flip in mine}


def allowed(each: tuple[Subject, Subject], **request: object) -> list[bool]:
    """What each side says to a request."""
    return [ask(side, Request(**request)).decision.allowed for side in each]  # type: ignore[arg-type]  # as callers write it


def check_witnesses(each: tuple[Subject, Subject], comparison: Comparison) -> None:
    """Ask each side what stands below each flip."""
    assert comparison.flips
    for flip in comparison.flips:
        found = [ask(side, _asked(options)).decision.allowed for side, options in zip(each, flip.asks, strict=True)]
        assert found == [not flip.now_allowed, flip.now_allowed], flip.asks


def test_each_side_knows_who_carries_what_a_caller_sends(sides: Sides) -> None:
    """What sidecars are told of a service holds for no ztunnel: a caller that gets one speaks TLS again."""
    each = sides(
        ["mesh.destinations={back: {tls: plaintext}}", "fleets.users.dataplane=ambient"],
        [
            "mesh.destinations={back: {tls: plaintext}}",
            "fleets.users.dataplane=ambient",
            "services.front.dataplane=ambient",
        ],
    )
    assert allowed(each, source="front", destination="back") == [False, True]
    comparison = compare(*each)
    assert told(comparison, "front", "back") == {True}
    check_witnesses(each, comparison)


def test_tokens_of_who_no_longer_goes_past_a_waypoint(sides: Sides) -> None:
    """A caller that gets a ztunnel goes through the waypoint, where its token is looked at, though no rule changed."""
    served = [
        "mesh.ambient=true",
        "services.back.waypoint=yard/door",
        "mesh.waypoints={yard/door: {replicas: {shop: 1}}}",
        "services.back.request_authentication={issuers: [desk]}",
        "mesh.tokens={issuers: {desk: {}}}",
        "fleets.users.token={issuer: desk}",
        "mesh.policy=null",
    ]
    each = sides([*served, "services.front.dataplane=sidecar"], served)
    assert allowed(each, source="front", destination="back", claims={"iss": "nobody"}) == [True, False]
    comparison = compare(*each)
    assert told(comparison, "front", "back") == {False}
    check_witnesses(each, comparison)


def test_waypoints_are_callers_like_no_others(sides: Sides) -> None:
    """Whoever has the identity of a waypoint goes past it, and so past what is attached to it."""
    attached = "{targetRefs: [{kind: Service, name: back}], action: DENY, rules: [{}]}"
    served = ["mesh.ambient=true", "services.back.waypoint=door"]
    subject = sides(served, served, OBJECT.format("AuthorizationPolicy", attached))[0]
    cells = {one.caller.name: one.extent for one in build_matrix(subject).cells if one.callee.name == "back"}
    assert [cells[name] for name in ("the waypoint yard/door", "a stranger in the mesh", "front")] == [
        "all",
        "none",
        "none",
    ]
    assert ask(subject, Request(source="spiffe://mesh.example/ns/yard/sa/door", destination="back")).decision.allowed
    placed = [*served, "mesh.policy=null", "mesh.waypoints={yard/door: {replicas: {shop: 1}}}"]
    rows = [
        {cell.caller.name for cell in build_matrix(one).cells} for one in sides([*served, "mesh.policy=null"], placed)
    ]
    assert ["the waypoint yard/door" in names for names in rows] == [False, True]


def test_an_identity_of_sidecars_and_ztunnels_is_not_exact(sides: Sides) -> None:
    """Who goes past a waypoint is told by identity, so that one of both kinds is named, in comparisons and answers."""
    shared = [
        "services.front.service_account=same",
        "services.front.dataplane=sidecar",
        "services.back.service_account=same",
    ]
    subject = sides(["mesh.ambient=true", "services.back.waypoint=door", *shared], [])[0]
    (said,) = compare(subject, subject).space.approximate
    assert said.startswith(
        "spiffe://mesh.example/ns/yard/sa/same is the identity of workloads with sidecars and without"
    )
    assert ask(subject, Request(source="front", destination="back")).notes == (said,)
    assert ask(subject, Request(source="users", destination="back")).notes == ()


def test_a_waypoint_that_speaks_plaintext_is_not_exact(sides: Sides) -> None:
    """Behind it ztunnel sees nobody's identity, which is named in comparisons, and in answers to who goes through."""
    served = ["mesh.ambient=true", "services.back.waypoint=door", "mesh.waypoints={yard/door: {replicas: {shop: 1}}}"]
    told_so = [
        "mesh.tls.mode=PERMISSIVE",
        "mesh.destinations={back: {tls: plaintext}}",
        "fleets.users.dataplane=sidecar",
    ]
    subject, encrypted = sides([*served, *told_so], served)
    (said,) = compare(subject, subject).space.approximate
    assert said.startswith("the waypoint of back speaks plaintext to port 8080")
    assert ask(subject, Request(source="front", destination="back")).notes == (said,)
    assert ask(subject, Request(source="users", destination="back")).notes == ()
    assert not compare(encrypted, encrypted).space.approximate


def rule(key: str, value: str) -> str:
    """A policy that allows what fulfils one condition."""
    return OBJECT.format("AuthorizationPolicy", f'{{rules: [{{when: [{{key: "{key}", values: ["{value}"]}}]}}]}}')


@pytest.mark.parametrize(
    ("key", "value", "before", "after"),
    [
        ("meshsim.tls.group", "X25519", "mesh.tls.groups=[X25519]", "mesh.tls.groups=[P-256]"),
        (
            "meshsim.tls.cipher",
            "TLS_AES_128*",
            "mesh.tls.ciphers=[TLS_AES_128_GCM_SHA256]",
            "mesh.tls.ciphers=[TLS_AES_256_GCM_SHA384]",
        ),
        ("meshsim.site", "hall", "seed=1", "services.front.replicas={shop: 1}"),
        ("meshsim.source.node", "desk", "seed=1", "services.front.replicas={shop: 1}"),
        ("meshsim.node", "shop", "seed=1", "services.back.replicas={desk: 1}"),
        ("source.ip", "10.244.0.0/24", "seed=1", "services.front.replicas={shop: 1}"),
        ("meshsim.time", "< 2026-02-01T00:00:00Z", "seed=1", "epoch=2026-03-01T00:00:00Z"),
        (
            "request.headers[host]",
            "back.example",
            "services.front.calls=[{to: back, authority: back.example}]",
            "seed=1",
        ),
    ],
)
def test_what_a_request_leaves_out_can_change(sides: Sides, key: str, value: str, before: str, after: str) -> None:
    """What a handshake comes to and where callers and replicas are is each side's own, and flips what hangs on it."""
    each = sides([before], [after], rule(key, value))
    assert allowed(each, source="front", destination="back") == [True, False]
    comparison = compare(*each)
    assert told(comparison, "front", "back") == {False}
    check_witnesses(each, comparison)
    (flip,) = (flip for flip in comparison.flips if (flip.caller.name, flip.callee.name) == ("front", "back"))
    assert all("as each side has it" in words for words in region_words(flip.region, comparison.space.dimensions))
    assert flip.asks[0] == flip.asks[1] == flip.ask  # neither names what it leaves out
    assert not compare(each[0], each[0]).flips


def test_what_a_request_leaves_out_beside_other_changes(sides: Sides) -> None:
    """A caller that moves and speaks plaintext still moves; of one that is gone, or is refused, nothing is said."""
    hall = rule("meshsim.site", "hall")
    each = sides(["mesh.tls.mode=PERMISSIVE"], ["mesh.tls.mode=DISABLE", "services.front.replicas={shop: 1}"], hall)
    comparison = compare(*each)
    assert comparison.space.own == {"site"}
    assert told(comparison, "front", "back") == {False}
    assert compare(*sides([], ["services.front.service_account=other"], hall)).space.own == frozenset()
    groups = ["mesh.tls.groups=[X25519]", "services.back.tls={groups: [P-256]}"]
    each = sides(groups[:1], groups, rule("meshsim.tls.group", "X25519"))
    assert compare(*each).space.own == {"group"}  # of strangers, who speak as the port likes it
    assert compare(*each, narrowed(each[0], "front", "back")).space.own == frozenset()


def test_services_that_share_an_identity_are_callers_of_their_own(sides: Sides) -> None:
    """Each has its own TLS settings; a name of a service is nobody's account, one of several accounts is not clear."""
    shared = ["services.front.service_account=back", "services.back.service_account=back"]
    each = sides(shared, [*shared, "services.front.tls={mode: DISABLE}"])
    assert allowed(each, source="front", destination="back") == [True, False]
    assert allowed(each, source="back", destination="front") == [True, False]
    comparison = compare(*each)
    assert [told(comparison, one, other) for one, other in (("front", "back"), ("back", "back"))] == [{False}, set()]
    check_witnesses(each, comparison)
    assert {cell.caller.name for cell in build_matrix(each[0]).cells} >= {"front", "back"}
    narrow = narrowed(each[0], "front", "back")
    assert [cell.caller.name for cell in build_matrix(each[0], narrow).cells] == ["front"]
    assert {flip.caller.name for flip in compare(*each, narrow).flips} == {"front"}
    both = sides(shared, ["services.front.service_account=same", "services.back.service_account=same"])[1]
    with pytest.raises(UsageError, match=r"'same' can be yard/front, yard/back; expected more of the name"):
        find_caller(both, "same")


def test_versions_of_one_side_stand_beside_the_whole_of_the_other(sides: Sides) -> None:
    """A service that gets versions of which one takes no plaintext is no other service, and no port of it is new."""
    versions = (
        "services.back.versions={old: {replicas: {shop: 1}, tls: {mode: PERMISSIVE}}, new: {replicas: {shop: 1}}}"
    )
    each = sides(["mesh.tls.mode=STRICT"], ["services.back.replicas=null", versions])
    for one, other, now_allowed in ((*each, True), (*reversed(each), False)):
        comparison = compare(one, other)
        assert (comparison.only_before, comparison.only_after) == ((), ())
        assert {(flip.caller.name, flip.callee.name, flip.now_allowed) for flip in comparison.flips} == {
            ("anyone", "back:old", now_allowed)
        }
        check_witnesses((one, other), comparison)


def test_versions_are_compared_by_their_names(sides: Sides) -> None:
    """A version stands beside the one that is called as it is; one that the other side does not have is named."""
    version = (
        "services.back.versions={{old: {{replicas: {{shop: 1}}, tls: {{mode: {}}}}}, {}: {{replicas: {{shop: 1}}}}}}"
    )
    settings = [
        ["services.back.replicas=null", version.format(*one)] for one in (("PERMISSIVE", "new"), ("STRICT", "newer"))
    ]
    comparison = compare(*sides(*settings))
    assert (comparison.only_before, comparison.only_after) == (("back:new",), ("back:newer",))
    assert [(flip.caller.name, flip.callee.name, flip.now_allowed) for flip in comparison.flips] == [
        ("anyone", "back:old", False)
    ]


def test_plaintext_on_one_side_is_asked_about_without_tls(sides: Sides) -> None:
    """The command for a side on which the caller speaks plaintext names no group, and the other one does."""
    each = sides(["mesh.tls.mode=PERMISSIVE"], ["mesh.tls.mode=DISABLE"], rule("meshsim.tls.group", "P-384"))
    comparison = compare(*each)
    assert told(comparison, "front", "back") == {False}
    check_witnesses(each, comparison)
    (flip,) = (flip for flip in comparison.flips if (flip.caller.name, flip.callee.name) == ("front", "back"))
    assert ["--group" in one for one in flip.asks] == [True, False]
    assert "--group" not in flip.ask


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["mesh.resilience.retries=5"], ["mesh.resilience.retries"]),
        (["mesh.routes=[{to: back, abort: {status: 503, share: 10 %}}]"], ["mesh.routes.0"]),
        (["mesh.destinations={back: {pool: {max_requests: 1}}}"], ["mesh.destinations.back.pool"]),
        (["mesh.destinations={back: {tls: auto}}"], []),
        (["mesh.policy.istio.extension_providers={far: {verdict: deny}}"], []),
        (["mesh.identity.svid_ttl=5 min", "seed=7"], ["mesh.identity.svid_ttl", "seed"]),
        (["faults=[{kind: node-crash, target: shop, at: 500 ms, for: 100 ms}]"], ["faults.0"]),
        (["changes=[{at: 500 ms, workloads: {back: {mode: PERMISSIVE}}}]"], ["changes.0"]),
        (["mesh.tls.resumption=false", "mesh.tls.groups=[P-256]"], ["mesh.tls.resumption"]),
        (["mesh.trust_domain=other.example", "services.front.labels={app: front}"], []),
        (["description=Another", "duration=3 s"], ["duration"]),
    ],
)
def test_what_no_decision_rests_on_is_told(sides: Sides, more: list[str], said: list[str]) -> None:
    """Retries, routes, faults and the like are not compared, and told by name; what decides is, and is not told."""
    comparison = compare(*sides([], more))
    assert [one.path for one in comparison.uncompared] == said
    assert comparison_document(comparison)["not_compared"] == [
        msgspec.to_builtins(one) for one in comparison.uncompared
    ]


def tokens(keys: str) -> str:
    """A rule for tokens with these keys."""
    return OBJECT.format("RequestAuthentication", f"{{jwtRules: [{{issuer: joe, {keys}}}]}}")


def test_other_keys_are_not_exact(sides: Sides, tmp_path: Path) -> None:
    """Tokens are genuine to both sides, so that other keys of an issuer are named as what is not asked about."""
    (tmp_path / "q.yaml").write_text(tokens("jwksUri: 'https://joe.example'"), encoding="utf-8")
    each = sides([], ["mesh.policy.files=[q.yaml]"], tokens(f"jwks: '{KEYS}'"))
    (said,) = compare(*each).space.approximate
    assert said == "tokens of joe are believed by other keys at back, front; those asked about are genuine to both"
    assert not compare(each[0], each[0]).space.approximate
    desk = tokens(f"jwks: '{KEYS}'").replace("joe", "https://desk.mesh.example")
    held = "fleets.users.token={issuer: desk}"
    issuers = [[held, f"mesh.tokens={{issuers: {{desk: {{{more}}}}}}}"] for more in ("", "key_in_jwks: true")]
    (said,) = compare(*sides(*issuers, desk)).space.approximate
    assert said.startswith("tokens of https://desk.mesh.example are believed by other keys")


def test_a_token_for_nobody_is_asked_about_as_one(sides: Sides) -> None:
    """An audience that a service wants is taken to be right where a command leaves it out: a witness says none."""
    served = ["mesh.tokens={issuers: {desk: {}}}", "fleets.users.token={issuer: desk}"]
    check = "services.back.request_authentication={issuers: [desk]MORE}"
    each = sides([*served, check.replace("MORE", "")], [*served, check.replace("MORE", ", audiences: [shop]")])
    comparison = compare(*each)
    assert told(comparison, "front", "back") == {False}
    check_witnesses(each, comparison)
