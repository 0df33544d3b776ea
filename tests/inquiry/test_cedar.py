"""Constants of Cedar policies: what they compare with, and what is not followed."""

from __future__ import annotations

import pytest

from meshsim.inquiry.ask import ask
from meshsim.inquiry.claim_classes import claims
from meshsim.inquiry.constants import Constants, constants_of, merged
from meshsim.inquiry.matrix import compare
from meshsim.inquiry.patterns import prefix
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject, with_engine
from meshsim.policy.engine import PolicyFile

EVERYTHING = "permit (principal, action, resource)"


def read(condition: str) -> Constants:
    """The constants of a policy with one condition."""
    return constants_of("cedar", [PolicyFile("a.cedar", f"{EVERYTHING} when {{ {condition} }};")])


@pytest.mark.parametrize(
    "condition",
    [
        "context.path == context.query",
        '(context.path) == "/a"',
        'context.claims has a && context.claims.a.contains(context.headers["x"])',
        '[context.path, "/b"].contains("/a")',
        '(if context.mutual then context.path else "/b") == "/a"',
        "principal.namespace == resource.namespace",
        "context.claims has level && context.claims.level > -5",
        '(context.headers has "port") && context.headers["port"] == resource.name',
        "((context.host)) == context.query",
        "{h: context.host} == {h: context.query}",
        'context.claims has a && (context.claims.a).contains(context.headers["x"])',
        '(if context.mutual then (context.host) else "b") == "a"',
    ],
)
def test_what_is_not_followed_is_said(condition: str) -> None:
    """Attributes that are compared with each other, and numbers that are computed, make the classes approximate."""
    assert read(condition).approximate


@pytest.mark.parametrize(
    "condition",
    [
        "context.mutual && context.port == 80",
        "principal.name == resource.name",
        'context.headers has "x" && context.headers["x"] like "a*"',
        '["/a", "/b"].contains(context.path)',
        'ip("10.0.0.0/8").isInRange(context.source_ip)',
        '(context.headers has "port") && "b" == context.headers["port"]',
        "(context.mutual)",
    ],
)
def test_what_is_followed(condition: str) -> None:
    """What is compared with constants, or is known of a caller and a port, is exact."""
    assert not read(condition).approximate


def test_identities_of_whom_only_a_part_is_told() -> None:
    """Namespaces and service accounts are parts of SPIFFE IDs; a namespace of what is called is none."""
    patterns = {one.shown for one in read('principal.service_account == "a"').principal_patterns}
    assert patterns == {"spiffe://{*}/ns/{*}/sa/a"}
    scope = 'permit (principal in Namespace::"foo", action, resource in Namespace::"bar");'
    found = constants_of("cedar", [PolicyFile("a.cedar", scope)])
    assert {one.shown for one in found.principal_patterns} == {"spiffe://{*}/ns/foo/sa/{*}"}


def test_lists_behind_words() -> None:
    """A list behind a word of Cedar's holds what is compared, and no name of an attribute."""
    found = read('if ["a"].contains(context.host) then ["b", "c"].contains(context.host) else false')
    assert {one.shown for one in found.texts["host"]} == {"a", "b", "c"}


def test_what_is_read_beside_texts() -> None:
    """Numbers are tried on both sides of a bound, all blocks of a kind of address; a called service names no caller."""
    found = read("context.claims has a && context.claims.a < 5 && context.source_ip.isLoopback()")
    assert found.claims["a",] == {4, 5, 6}
    assert found.addresses == {"127.0.0.0/8", "::1/128"}
    assert not read('resource == Service::"viewer" && principal in Namespace::"office"').workloads


def test_texts_as_they_are_and_in_lists() -> None:
    """A list of one text is told from the text where an engine takes one alone: Cedar, and Istio of a subject."""
    rule = '{when: [{key: "request.auth.claims[NAME]", values: [alice]}]}'
    text = (
        "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: p, namespace: bar}, "
        f"spec: {{rules: [{rule}]}}}}"
    )
    of_istio = {
        name: constants_of("istio", [PolicyFile("a.yaml", text.replace("NAME", name))]) for name in ("sub", "role")
    }
    cedar = read('context.claims has role && context.claims.role == "alice"')
    for found, path, told in (
        (of_istio["sub"], "sub", True),
        (of_istio["role"], "role", False),
        (merged([of_istio["role"], cedar]), "role", True),
    ):
        values = [one.witness for one in claims((path,), found, set()).values]
        assert "alice" in values
        assert (["alice"] in values) is told


def test_sets_of_what_several_policies_name() -> None:
    """Each set of what is named is tried, though every policy names one text; of very many only some are, and said."""
    each = [read(f'context.claims has a && context.claims.a.contains("{name}")') for name in "xyzuv"]
    approximate: set[str] = set()
    values = [one.witness for one in claims(("a",), merged(each[:2]), approximate).values]
    known: list[list[str]] = [[], ["x"], ["x", "y"], ["y"]]
    assert sorted(values[1:]) == sorted([*known, *([*one, "other"] for one in known)])
    assert not approximate
    claims(("a",), merged(each), approximate)
    assert approximate == {"of the sets of values of claim a some are tried, not all"}


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        (
            'context.claims has a && context.claims.a has b && context.claims.a.b == "x"',
            'context.claims has a && (if context.claims.a has b then context.claims.a.b == "x" else true)',
            True,
        ),
        (
            "context.claims has a && context.claims.a has b && context.claims.a.b > 5",
            "context.claims has a && (if context.claims.a has b then context.claims.a.b > 5 else true)",
            "other",
        ),
    ],
)
def test_a_claim_that_is_there_without_what_is_in_it(before: str, after: str, value: object) -> None:
    """A claim can be there while the one in it is not, or is of another type and counts for none."""
    found = merged([read(before), read(after)])
    values = [one.witness for one in claims(("a", "b"), found, set()).values]
    assert value in values


@pytest.mark.parametrize(
    ("before", "after", "source"),
    [
        # the only workload of the namespace is allowed by its name; others of the namespace need not be
        (
            f'{EVERYTHING} when {{ principal is Workload && principal.namespace == "office" }};',
            'permit (principal in Service::"viewer", action, resource);',
            "spiffe://plant.example/ns/office/sa/other",
        ),
        # an identity that is no service account's has a namespace without a name, as the devices have that are kept out
        (
            f"{EVERYTHING};",
            f'{EVERYTHING} unless {{ principal is Workload && principal.namespace == "" }};'
            'permit (principal in Fleet::"robots", action, resource);'
            'permit (principal in Fleet::"rovers", action, resource);',
            "spiffe://plant.example/spire/agent",
        ),
    ],
    ids=["by-name", "no-namespace"],
)
def test_strangers_whom_no_workload_stands_for(plant: Subject, before: str, after: str, source: str) -> None:
    """Where policies name workloads, somebody else stands for those who only have the same kind of identity."""
    assert plant.rebuild is not None
    files = [PolicyFile("p.cedar", text, "p.cedar") for text in (before, after)]
    sides = [with_engine(plant, "p", plant.rebuild([file]), [file]) for file in files]
    request = Request(source=source, destination="vision")
    assert [ask(side, request).decision.allowed for side in sides] == [True, False]
    comparison = compare(sides[0], sides[1])
    assert not comparison.space.approximate
    ends = source.rpartition("/")[0].removeprefix("spiffe://plant.example")
    denied = [flip.caller.spiffe_id for flip in comparison.flips if not (flip.now_allowed or flip.caller.workload)]
    assert any((f"{ends}/" in one) if "/ns/" in ends else ("/ns/" not in one) for one in denied)


def test_texts_that_read_as_patterns_do() -> None:
    """A claim that is empty, or holds a star, is compared as it is, and shown otherwise than a pattern."""
    condition = (
        'context.claims has a && (context.claims.a == "" || context.claims.a == "b*" || context.claims.a like "b*")'
    )
    found = claims(("a",), read(condition), set())
    assert [(one.shown, one.witness) for one in found.values] == [
        ("no claim", None),
        ('"no text"', ""),
        ('"b*"', "b"),
        ('"b\\\\*"', "b*"),
        ('"other"', "other"),
    ]


def test_claims_that_are_matched_in_part() -> None:
    """A beginning of a claim makes classes, as it does of all other texts."""
    found = read('context.claims has role && context.claims.role like "adm*"')
    assert found.claim_texts["role",] == {prefix("adm")}


@pytest.mark.parametrize(
    ("condition", "address"),
    [("isIpv6()", "2001:db8::1"), ("isLoopback()", "127.0.0.1"), ("isMulticast()", "ff02::1")],
)
def test_addresses_by_their_kind(plant: Subject, condition: str, address: str) -> None:
    """Functions that tell addresses apart without a constant flip decisions, and the comparison lists them."""
    sides = []
    for text in (f"{EVERYTHING};", f"{EVERYTHING} unless {{ context.source_ip.{condition} }};"):
        file = PolicyFile("p.cedar", text, "p.cedar")
        assert plant.rebuild is not None
        sides.append(with_engine(plant, "p", plant.rebuild([file]), [file]))
    request = Request(source="robots", destination="planner", source_ip=address)
    assert [ask(side, request).decision.allowed for side in sides] == [True, False]
    comparison = compare(sides[0], sides[1])
    assert not comparison.space.approximate
    assert ("robots", "planner") in {(flip.caller.name, flip.callee.name) for flip in comparison.flips}
