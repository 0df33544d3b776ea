"""Decisions of the Cedar engine."""

from __future__ import annotations

import pytest

from meshsim.policy.cedar import CedarEngine, schema_text
from meshsim.policy.engine import Default, Directory, PolicyFile, trust_domain_of
from meshsim.policy.question import Decision, Question

VISION = "spiffe://plant.example/ns/plant/sa/vision"
CAR = "spiffe://plant.example/fleet/cars/1"

DIRECTORY = Directory(
    services=frozenset({"vision", "planner", "alerting"}),
    fleets=frozenset({"cars"}),
    slices=frozenset({"control", "video"}),
    sites=frozenset({"plant", "depot"}),
    trust_domains=frozenset({"plant.example", "city.example"}),
    workloads={VISION: "vision", CAR: "cars"},
)


def engine(*texts: str, default: Default = "deny") -> CedarEngine:
    """An engine from policy texts, in files called numbered from 0.cedar."""
    return CedarEngine.from_sources([PolicyFile(f"{i}.cedar", t) for i, t in enumerate(texts)], DIRECTORY, default)


def question(**changes: object) -> Question:
    """A question that most policies here allow, with changes."""
    fields: dict[str, object] = {
        "principal": VISION,
        "source": "vision",
        "destination": "planner",
        "method": "GET",
        "path": "/plans/7",
        "slice": "control",
        "site": "plant",
        "mutual": True,
    }
    return Question(**(fields | changes))  # type: ignore[arg-type]  # the fields are those of Question


def allows(policies: str, **changes: object) -> bool:
    """Whether the policies allow the usual question, changed."""
    return engine(policies).decide(question(**changes)).allowed


def test_default_deny() -> None:
    """Without a policy that has a say, the default denies and is named as the rule."""
    assert engine().decide(question()) == Decision(False, "default-deny")
    other = 'permit (principal, action, resource == Service::"alerting");'
    assert engine(other).decide(question()) == Decision(False, "default-deny")


def test_default_allow() -> None:
    """With the default allow, only a forbid denies."""
    forbids = '@id("no-alerts") forbid (principal, action, resource == Service::"alerting");'
    assert engine(forbids, default="allow").decide(question()) == Decision(True, "default-allow")
    denied = engine(forbids, default="allow").decide(question(destination="alerting"))
    assert denied == Decision(False, "no-alerts", ("no-alerts",))


def test_permit_names_its_rule() -> None:
    """A permit allows, and its @id is the rule."""
    decision = engine('@id("any") permit (principal, action, resource);').decide(question())
    assert decision == Decision(True, "any", ("any",))


def test_unnamed_rules_are_named_by_file_and_position() -> None:
    """A policy without @id is called file#n, and the first in the order of the files is the rule."""
    one = 'permit (principal, action, resource == Service::"alerting");\npermit (principal, action, resource);'
    decision = engine(one, "permit (principal, action, resource);").decide(question())
    assert decision == Decision(True, "0.cedar#2", ("0.cedar#2", "1.cedar#1"))


def test_reasons_keep_the_order_of_the_files_past_ten_policies() -> None:
    """Reasons are in the order of the files, not in the alphabetical order of the engine's own names."""
    decision = engine("permit (principal, action, resource);" * 12).decide(question())
    assert decision.reasons == tuple(f"0.cedar#{n}" for n in range(1, 13))


def test_forbid_overrides_permit() -> None:
    """One forbid outweighs any permit, and is the only reason."""
    policies = '@id("all") permit (principal, action, resource); @id("never") forbid (principal, action, resource);'
    assert engine(policies).decide(question()) == Decision(False, "never", ("never",))


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/plans/7", True), ("/plans/", True), ("/plans", False), ("/plan/7", False), ("/x/plans/7", False)],
)
def test_like_matches_a_path_prefix(path: str, allowed: bool) -> None:
    """A pattern that ends in a star matches a prefix of the path."""
    policies = 'permit (principal, action, resource) when { context.path like "/plans/*" };'
    assert allows(policies, path=path) is allowed


def test_like_stars_may_stand_anywhere_and_be_escaped() -> None:
    r"""A star matches within the path, and \* matches a star."""
    assert allows('permit (principal, action, resource) when { context.path like "/*/7" };')
    assert not allows(r'permit (principal, action, resource) when { context.path like "/\*/7" };')
    assert allows(r'permit (principal, action, resource) when { context.path like "/\*/7" };', path="/*/7")


def test_fields_of_one_name_are_one() -> None:
    """Header fields that stand more than once are joined with commas (RFC 9110, section 5.3)."""
    rule = 'permit (principal, action, resource) when { context.headers has x && context.headers["x"] == "1,2" };'
    assert allows(rule, headers=(("x", "1"), ("y", "3"), ("x", "2")))
    assert not allows(rule, headers=(("x", "1"),))


def test_slice_in_a_condition() -> None:
    """A policy can be limited to a network slice."""
    policies = 'permit (principal, action, resource) when { context.slice == Slice::"control" };'
    assert allows(policies)
    assert not allows(policies, slice="video")
    assert not allows(policies, slice="")


def test_site_in_a_condition() -> None:
    """A policy can be limited to the sites of a set."""
    policies = 'permit (principal, action, resource) when { context.site in [Site::"plant", Site::"depot"] };'
    assert allows(policies, site="depot")
    assert not allows(policies, site="moon")


@pytest.mark.parametrize(
    ("method", "read"), [("GET", True), ("HEAD", True), ("POST", False), ("DELETE", False), ("BREW", False)]
)
def test_methods_are_in_groups(method: str, read: bool) -> None:
    """The safe methods of RFC 9110 are in "read", the others in "write", both in "call", an unknown one in none."""
    assert allows('permit (principal, action in Action::"read", resource);', method=method) is read
    writes = allows('permit (principal, action in Action::"write", resource);', method=method)
    assert writes is (not read and method != "BREW")
    assert allows('permit (principal, action in Action::"call", resource);', method=method) is (method != "BREW")
    assert allows('permit (principal, action == Action::"GET", resource);', method=method) is (method == "GET")


def test_principals_are_in_services_fleets_and_trust_domains() -> None:
    """An identity is in the service or fleet that it was issued to, and in its trust domain."""
    vision = 'permit (principal in Service::"vision", action, resource);'
    assert allows(vision)
    assert not allows(vision, principal=CAR)
    assert allows('permit (principal in Fleet::"cars", action, resource);', principal=CAR)
    domain = 'permit (principal in TrustDomain::"plant.example", action, resource);'
    assert allows(domain, principal=CAR)
    assert not allows(domain, principal="spiffe://city.example/sa/light")


def test_the_proven_identity_decides_and_not_the_source() -> None:
    """A caller that proves another's identity, or none, is judged by what it proved."""
    vision = 'permit (principal in Service::"vision", action, resource);'
    assert not allows(vision, principal=CAR, source="vision")
    assert not allows(vision, principal="", source="vision", mutual=False)
    assert allows(vision, principal=VISION, source="planner")


def test_strangers_have_an_identity_but_no_service() -> None:
    """An identity from outside the directory is known by its SPIFFE ID and its trust domain."""
    stranger = "spiffe://city.example/sa/light"
    assert allows(f'permit (principal == Workload::"{stranger}", action, resource);', principal=stranger)
    assert allows(
        'permit (principal is Workload, action, resource) when { principal.spiffe_id like "spiffe://city.example/*" && '
        'principal.trust_domain == "city.example" && principal.name == "" };',
        principal=stranger,
    )


def test_the_unauthenticated_can_be_told_apart() -> None:
    """A peer without an identity is a principal of its own type."""
    policies = "permit (principal, action, resource) unless { principal is Unauthenticated };"
    assert allows(policies)
    assert not allows(policies, principal="", mutual=False)


def test_mutual_is_a_fact_of_the_connection() -> None:
    """A policy can demand mutual TLS whoever calls."""
    policies = "permit (principal, action, resource) when { context.mutual };"
    assert allows(policies)
    assert not allows(policies, mutual=False)


def test_attributes_of_both_ends() -> None:
    """Names of principal and resource can be compared."""
    policies = "permit (principal is Workload, action, resource) when { principal.name == resource.name };"
    assert not allows(policies)
    assert allows(policies, destination="vision")


def test_a_policy_that_fails_has_no_say_and_is_told() -> None:
    """An evaluation error (here an overflow) leaves the policy out of the decision, and the decision says so."""
    overflow = '@id("overflow") permit (principal, action, resource) when { 9223372036854775807 + 1 > 0 };'
    decision = engine(overflow).decide(question())
    assert (decision.allowed, decision.rule, decision.reasons) == (False, "default-deny", ())
    assert decision.errors[0].startswith("overflow: ")
    assert "overflow" in decision.errors[0].partition(": ")[2]


def test_version_is_a_hash_of_what_decides() -> None:
    """The version changes with a text, a name, the order and the default, and with nothing else."""
    a, b = "permit (principal, action, resource);", "forbid (principal, action, resource);"
    versions = [engine(a), engine(b), engine(a, b), engine(b, a), engine(a, default="allow"), engine()]
    assert len({e.version for e in versions}) == len(versions)
    assert engine(a).version == engine(a).version
    shown = CedarEngine.from_sources([PolicyFile("0.cedar", a, "/elsewhere/0.cedar")], DIRECTORY, "deny")
    assert shown.version == engine(a).version
    assert len(engine(a).version) == 16


def test_size_counts_policies() -> None:
    """The size, by which a decision's cost is charged, is the number of policies in all files."""
    assert (
        engine("permit (principal, action, resource);" * 3, "// one here\nforbid (principal, action, resource);").size
        == 4
    )


def test_schema_explains_itself_with_a_policy_that_works() -> None:
    """The example in the schema's opening comment is accepted and allows what it says."""
    comment = [line.removeprefix("//").strip() for line in schema_text().splitlines() if line.startswith("//")]
    start = next(i for i, line in enumerate(comment) if line.startswith("permit"))
    assert allows(" ".join(comment[start : start + 2]))


def test_trust_domain_of_a_spiffe_id() -> None:
    """The trust domain is the authority of the URI."""
    assert trust_domain_of("spiffe://plant.example/ns/a/sa/b") == "plant.example"
