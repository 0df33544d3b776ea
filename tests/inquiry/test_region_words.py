"""Regions in words."""

from __future__ import annotations

from itertools import product

import pytest

from meshsim.inquiry.classes import Dimension, Value
from meshsim.inquiry.path_classes import PathClasses
from meshsim.inquiry.patterns import exactly, prefix
from meshsim.inquiry.region_words import region_words
from meshsim.inquiry.regions import region

METHODS = Dimension("method", (Value("GET", "GET"), Value("HEAD, OPTIONS, TRACE", "HEAD"), Value("POST", "POST")))
PATHS = Dimension(
    "path",
    tuple(
        Value(one.shown, one.witness, one.matched)
        for one in PathClasses({"BASE": [prefix("/plans/"), prefix("/plans/a"), exactly("/plans/a/secret")]}).classes
    ),
)
SLICES = Dimension("slice", (Value("control", "control"), Value("video", "video"), Value("any other", "other")))
TENANT = Dimension(
    "header x-tenant", (Value("missing", None), Value("blue", "blue", ("blue",)), Value("any other", ""))
)
GROUPS = Dimension(
    "claim groups",
    (Value("no claim", None), Value('["a", "b"]', ["a", "b"]), Value('["a"]', ["a"]), Value('["other"]', ["other"])),
)
AGES = Dimension("certificate_age_s", tuple(Value(f"{age} s", age) for age in (0, 3599, 3600, 3601)))


def said(inside: object, *dimensions: Dimension) -> list[str]:
    """What is said of the combinations for which a function of their witnesses holds."""
    assert callable(inside)
    combinations = product(*(dimension.values for dimension in dimensions))
    holds = [inside(*(value.witness for value in one)) for one in combinations]
    return region_words(region(dimensions, holds), dimensions)


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        (lambda method, path: method == "POST" and path.startswith("/plans/"), "POST /plans/*"),
        (lambda method, path: path.startswith("/plans/"), "any method, /plans/*"),
        (lambda method, path: method == "POST", "POST any path"),
        (lambda method, path: method in ("GET", "HEAD"), "GET, HEAD, OPTIONS or TRACE, any path"),
        (lambda method, path: not path.startswith("/plans/a"), "any method, any path but /plans/a*"),
        (
            lambda method, path: path.startswith("/plans/a") and path != "/plans/a/secret",
            "any method, /plans/a* but not /plans/a/secret",
        ),
        (lambda method, path: path == "/plans/a/secret", "any method, /plans/a/secret"),
        (lambda method, path: path != "/plans/a/secret", "any method, any path but /plans/a/secret"),
    ],
)
def test_methods_and_paths(inside: object, words: str) -> None:
    """Patterns stand for all their classes, and what is left out is named where that is shorter."""
    methods = Dimension("method", (*METHODS.values[:2], Value("POST, PUT, PATCH, DELETE, CONNECT", "POST")))
    if words.startswith("POST"):
        methods = METHODS
    assert said(inside, methods, PATHS) == [words]


@pytest.mark.parametrize(
    ("dimension", "inside", "words"),
    [
        (SLICES, lambda slice_: slice_ == "control", "any request when slice is control"),
        (SLICES, lambda slice_: slice_ != "control", "any request when slice is any slice but control"),
        (TENANT, lambda value: value is None, "any request when there is no header x-tenant"),
        (TENANT, lambda value: value is not None, "any request when there is a header x-tenant"),
        (TENANT, lambda value: value == "blue", "any request when header x-tenant is blue"),
        (
            TENANT,
            lambda value: value in (None, "blue"),
            "any request when there is no header x-tenant or header x-tenant is blue",
        ),
        (GROUPS, lambda value: value is not None and "a" in value, 'any request when claim groups holds "a"'),
        (GROUPS, lambda value: value == ["a"], 'any request when claim groups is ["a"]'),
        (GROUPS, lambda value: value is not None, "any request when there is a claim groups"),
        (AGES, lambda age: age < 3600, "any request when certificate age is at most 3599 s"),
        (AGES, lambda age: age >= 3600, "any request when certificate age is at least 3600 s"),
        (AGES, lambda age: age == 3600, "any request when certificate age is 3600 s"),
    ],
)
def test_conditions(dimension: Dimension, inside: object, words: str) -> None:
    """Each kind of attribute has its own words."""
    assert said(inside, dimension) == [words]


ISSUER = Dimension("claim iss", (Value("no claim", None), Value("a", "a"), Value("any other", "b")))


def test_a_request_without_a_token_is_called_that() -> None:
    """Every token has an issuer, so that no claim and no issuer is no token."""
    assert said(lambda iss, groups: (iss, groups) == (None, None), ISSUER, GROUPS) == ["any request without a token"]
    assert said(
        lambda path, iss, groups, slice_: (path, iss, groups, slice_) == ("/plans/a/secret", None, None, "video"),
        *(PATHS, ISSUER, GROUPS, SLICES),
    ) == ["any method, /plans/a/secret without a token when slice is video"]
    assert said(lambda groups: groups is None, GROUPS) == ["any request when there is no claim groups"]


def test_whole_and_several_conditions() -> None:
    """Nothing but everything is said of all requests; conditions are joined."""
    assert said(lambda _slice, _tenant: True, SLICES, TENANT) == ["everything"]
    assert said(lambda slice_, tenant: (slice_, tenant) == ("video", "blue"), SLICES, TENANT) == [
        "any request when slice is video and header x-tenant is blue"
    ]
