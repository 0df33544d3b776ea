"""Constants of Cedar policies: what they compare with, and what is not followed."""

from __future__ import annotations

import pytest

from meshsim.inquiry.ask import ask
from meshsim.inquiry.claim_classes import claims
from meshsim.inquiry.constants import Constants, constants_of
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
    comparison = compare(*sides)
    assert not comparison.space.approximate
    assert ("robots", "planner") in {(flip.caller.name, flip.callee.name) for flip in comparison.flips}
