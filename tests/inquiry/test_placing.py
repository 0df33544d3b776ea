"""Where a claimed token is: each place that a rule names is tried, and is what a written-out token there comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshsim.identity.tokens import Issuer, signed
from meshsim.inquiry.ask import ask
from meshsim.inquiry.cases import read_cases
from meshsim.inquiry.matrix import Matrix, build_matrix, compare
from meshsim.inquiry.placing import place_of
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject
from meshsim.inquiry.trial import try_cases
from meshsim.scenario.errors import ScenarioError, UsageError
from tests.inquiry.conftest import SCENARIO
from tests.inquiry.test_arrival import ISSUER, allowed, shop, tokens_with
from tests.inquiry.test_arrival import plant as planted

RULES = tokens_with(
    'fromHeaders: [{name: x-jwt, prefix: "Key "}]',
    "fromParams: [tok]",
    "fromCookies: [sess]",
    "forwardOriginalToken: true",
)
HAS_TOKEN = '{when: [{key: "request.headers[x-jwt]", values: ["*"]}]}'
CLAIMS = {"iss": ISSUER, "aud": "shop"}
PLACES = {"header": "x-jwt", "param": "tok", "cookie": "sess"}


def witnesses(matrix: Matrix, header: str | None) -> dict[str, bool]:
    """Whether the front may call the stock with a valid token, by the token's place, with or without that header."""
    cell = next(one for one in matrix.cells if (one.caller.name, one.callee.name) == ("front", "stock"))
    names = [one.name for one in matrix.space.dimensions]
    found = {}
    for one in matrix.space.combinations():
        said = {name: value.witness for name, value in zip(names, one, strict=True)}
        if (said["header x-jwt"] is None) is (header is None) and (said["claim aud"], said["claim iss"]) == (
            "shop",
            ISSUER,
        ):
            shown = {name: value.shown for name, value in zip(names, one, strict=True)}
            inside = any(all(shown[name] in part for name, part in box.items()) for box in cell.allowed.boxes)
            assert found.setdefault(said["token_at"], inside) is inside
    return found


def test_places_that_policies_can_tell_apart_are_classes(tmp_path: Path) -> None:
    """A policy on the field of a token holds for one that is there, and for none in a parameter or cookie."""
    subject = shop(tmp_path / "shop", HAS_TOKEN, RULES)
    matrix = build_matrix(subject)
    assert not matrix.space.approximate
    assert witnesses(matrix, None) == {"header x-jwt after 'Key'": True, "another place": False}
    words = allowed(matrix, "front", "stock")
    assert any("the token is in header x-jwt" in one and "no header x-jwt" not in one for one in words)
    assert not any("no header x-jwt" in one for one in words)
    for kind, name in PLACES.items():
        request = Request(source="front", destination="stock", claims=CLAIMS, token_at=place_of(kind, name, ""))
        assert ask(subject, request).decision.allowed is (kind == "header")


def test_a_token_in_a_cookie_is_a_cookie(tmp_path: Path) -> None:
    """Where the token is in a cookie, nothing is said of there being no such field."""
    rule = '{when: [{key: "request.headers[cookie]", values: ["*"]}]}'
    words = allowed(build_matrix(shop(tmp_path / "shop", rule, RULES)), "front", "stock")
    (in_cookie,) = (one for one in words if "the token is in cookie sess" in one)
    assert "header cookie" not in in_cookie
    assert any("there is a header cookie" in one for one in words)


def test_the_answer_says_where_the_token_was_put(tmp_path: Path) -> None:
    """Ask tells the place it took and the others, and of a place where nobody looks that the token counts for none."""
    subject = shop(tmp_path / "shop", HAS_TOKEN, RULES)
    verdict = ask(subject, Request(source="front", destination="stock", claims=CLAIMS))
    others = "it is looked for in parameter tok, cookie sess too"
    assert verdict.notes == (f"the token is in header x-jwt after 'Key'; {others}",)
    elsewhere = Request(source="front", destination="stock", claims=CLAIMS, token_at=place_of("param", "x", ""))
    verdict = ask(subject, elsewhere)
    assert verdict.asked.question.claims == ""
    assert "nobody looks for a token in parameter x, so it counts for none" in verdict.notes[0]


def test_the_text_of_a_token_is_not_known(tmp_path: Path) -> None:
    """Policies that compare what a token's text may decide make the matrix inexact, with the reason."""
    part = HAS_TOKEN.replace('"*"', '"*abc"')
    (reason,) = build_matrix(shop(tmp_path / "part", part, RULES)).space.approximate
    assert reason == "header x-jwt holds the token of header x-jwt after 'Key', whose text is not known"
    for known in ('"Key *"', '"blue"'):
        assert not build_matrix(shop(tmp_path / known[1:4], HAS_TOKEN.replace('"*"', known), RULES)).space.approximate


def test_moved_places_flip(tmp_path: Path) -> None:
    """A rule that looks elsewhere lets in tokens that are there, and no longer those where it looked before."""
    any_token = '{from: [{source: {requestPrincipals: ["*"]}}]}'
    before = shop(tmp_path / "before", any_token, RULES)
    after = shop(tmp_path / "after", any_token, RULES.replace("[tok]", "[other]"))
    comparison = compare(before, after)
    flips = [flip for flip in comparison.flips if flip.caller.name == "front"]
    assert [(one.now_allowed, comparison.space.token_at(one.combination)) for one in flips] == [
        (True, "parameter other"),
        (False, "parameter tok"),
    ]
    assert not compare(before, before).flips


CEDAR = """\
@id("field")
permit (principal, action, resource) when { context.path == "/field" && context.headers has "x-jwt" };
@id("query")
permit (principal, action, resource) when { context.path == "/query" && context.query like "*tok=*" };
@id("cookie")
permit (principal, action, resource) when { context.path == "/cookie" && context.headers has "cookie" };
"""


@pytest.mark.parametrize("forward", ["true", "false"])
@pytest.mark.parametrize("required", ["true", "false"])
def test_a_claimed_token_is_what_a_written_one_is(tmp_path: Path, forward: str, required: str) -> None:
    """At every place, and where nobody looks, a claimed token comes to what a signed one there comes to."""
    subject = own(tmp_path, f"required: {required}, forward_original_token: {forward}")
    issuer = Issuer(name="depot", iss="https://depot.plant.example", algorithm="ES256", seed=7)
    facts = {"iss": issuer.iss, "sub": "a", "nbf": subject.epoch_s, "exp": subject.epoch_s + 60}
    text = signed(issuer, facts).text
    written: dict[tuple[str, str], dict[str, Any]] = {
        ("header", "x-jwt"): {"headers": (("x-jwt", text),)},
        ("header", "x-other"): {"headers": (("x-other", text),)},
        ("param", "tok"): {"query": f"?tok={text}"},
        ("cookie", "sess"): {"headers": (("cookie", f"sess={text}"),)},
    }
    answers = set()
    for path in ("/field", "/query", "/cookie", "/none"):
        for (kind, name), said in written.items():
            where: dict[str, Any] = {"source": "planner", "destination": "vision", "path": path}
            claimed = ask(subject, Request(**where, claims=facts, token_at=place_of(kind, name, "")))
            query = str(said.get("query", ""))
            real = ask(subject, Request(**{**where, "path": path + query}, headers=said.get("headers", ())))
            assert claimed.decision.rule == real.decision.rule, (path, kind, name)
            answers.add(real.decision.rule)
    assert answers >= {"cookie", "default-deny"}
    assert ("field" in answers) is (forward == "true")
    assert ("token-missing" in answers) is (required == "true")


def test_text_where_tokens_are_looked_for_is_refused(tmp_path: Path) -> None:
    """The matrix lets nobody in by a field whose text is judged as a token, as a run does not."""
    matrix = build_matrix(own(tmp_path, "required: false, forward_original_token: true"))
    words = [one for one in allowed(matrix, "planner", "vision") if "/field" in one]
    assert words
    assert all("the token is in header x-jwt" in one for one in words)


@pytest.mark.parametrize("rule", ["{}", HAS_TOKEN])
@pytest.mark.parametrize("kind", PLACES)
def test_text_beside_a_claimed_token_is_judged_whatever_policies_read(tmp_path: Path, rule: str, kind: str) -> None:
    """A second token that is none is refused at another place, though no policy compares what it stands in."""
    subject = shop(tmp_path / "shop", rule, RULES)
    there = {"header": ("x-jwt", "Key abc"), "cookie": ("cookie", "sess=abc")}
    request = Request(
        source="front",
        destination="stock",
        claims=CLAIMS,
        token_at=place_of("cookie", "sess", "") if kind == "header" else place_of("header", "x-jwt", ""),
        path="/?tok=abc" if kind == "param" else "/",
        headers=(there[kind],) if kind in there else (),
    )
    assert ask(subject, request).decision.rule == "token-malformed"


def own(folder: Path, more: str) -> Subject:
    """The plant, whose vision looks for tokens in three places."""
    check = f"{{issuers: [depot], from_headers: [{{name: x-jwt}}], from_params: [tok], from_cookies: [sess], {more}}}"
    text = (
        SCENARIO.replace("namespace: plant, tls", f"namespace: plant, request_authentication: {check}, tls")
        .replace("scenario: plant\n", "scenario: plant\nseed: 7\n")
        .replace("  policy:", "  tokens: {issuers: {depot: {}}}\n  policy:")
    )
    return planted(folder, text, CEDAR)


def test_places_that_are_none_are_mistakes(tmp_path: Path, plant: Subject) -> None:
    """A place of no kind, a token without claims, and text in a case are told where they stand."""
    with pytest.raises(
        UsageError, match="--token-at: 'foo=x' is no place of a token; expected header, param or cookie"
    ):
        place_of("foo", "x", "--token-at")
    for kind, name, message in (
        ("header", "a b", "'a b' is no name of a header field; expected one such as 'x-tenant'"),
        ("header", "Host", "the field 'host' has a meaning of its own"),
        ("header", "cookie", "the field 'cookie' has a meaning of its own"),
        ("param", "a&b", "'a&b' is no name of a parameter"),
        ("cookie", "a=b", "'a=b' is no name of a cookie"),
        ("cookie", "a\n", r"'a\\n' is no name of a cookie"),
    ):
        request = Request(source="robots", destination="planner", claims={}, token_at=place_of(kind, name, ""))
        with pytest.raises(UsageError, match=f"--token-at: {message}"):
            ask(plant, request)
    file = tmp_path / "a.yaml"
    for said, message in (("{foo: x}", "'foo=x' is no place of a token"), ("x", "'x' is no place of a token")):
        file.write_text(f"cases: [{{source: robots, destination: planner, expect: deny, token_at: {said}}}]\n")
        with pytest.raises(ScenarioError, match=rf"a\.yaml:1:.*{message}"):
            read_cases(file)
    file.write_text("cases: [{source: robots, destination: planner, expect: deny, token_at: {header: x}}]\n")
    with pytest.raises(
        ScenarioError, match=r"a\.yaml:1:72: token_at: there is no token; expected its claims beside it"
    ):
        try_cases(plant, read_cases(file).cases)
