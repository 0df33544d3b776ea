"""Why Rego rules match a question or do not."""

from __future__ import annotations

import pytest

from meshsim.policy.question import RuleAccount
from tests.policy.test_rego import QUESTION, engine


def why(rules: str) -> list[str]:
    """The reasons of the rules of a module, in their order."""
    return [account.why for account in engine(rules).explain(QUESTION)]


def test_each_rule_is_told_with_its_place_and_effect() -> None:
    """Every body of the rule that decides is accounted for in the order of the files, helpers among its conditions."""
    first = 'default allow := false\n\nallow if {\n  is_read\n  input.meshsim.slice == "video"\n}\n'
    first += 'is_read if input.attributes.request.http.method in {"GET", "HEAD"}\n'
    second = (
        'allow := {"allowed": false, "http_status": 401} if not input.meshsim.mutual\nallow if input.meshsim.mutual'
    )
    name = "envoy.authz.allow@"
    assert engine(first, second).explain(QUESTION) == (
        RuleAccount(f"{name}0.rego:2", "0.rego:2:1", "deny", False, f"{name}1.rego:3 matches"),
        RuleAccount(
            *(f"{name}0.rego:4", "0.rego:4:1", "allow", False),
            '`input.meshsim.slice == "video"` does not hold: input.meshsim.slice is "control"',
        ),
        RuleAccount(
            *(f"{name}1.rego:2", "1.rego:2:1", "deny", False),
            "`not input.meshsim.mutual` does not hold: input.meshsim.mutual is true",
        ),
        RuleAccount(f"{name}1.rego:3", "1.rego:3:1", "allow", True, ""),
    )


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("allow if p\np if input.meshsim.slice == `video`", "`p` does not hold"),
        (
            "import input.attributes.request.http as h\nallow if { h.method == `POST`; h.headers.x == `a` }",
            '`h.method == `POST`` does not hold: h.method is "GET"',
        ),
        (
            "import input.attributes.request.http as h\nallow if { h.method == `GET`; h.headers.x == `a` }",
            "`h.headers.x == `a`` does not hold: h.headers.x is undefined",
        ),
        (
            "allow if { some p in input.parsed_path; startswith(p, `x`) }",
            "`startswith(p, `x`)` does not hold",
        ),
        (
            "allow if {\n  x := input.parsed_path[0]\n\n  x ==\n    `a`\n  true\n}",
            "`x == `a`` does not hold",
        ),
        ("allow := input.meshsim.claims.nothing", "its value is not defined"),
        ("allow if every p in input.parsed_path { p == `a` }", "does not hold: input.parsed_path is"),
    ],
)
def test_the_first_condition_that_does_not_hold(rules: str, said: str) -> None:
    """A rule that does not match is told with its first condition that fails, and what was found there."""
    assert said in why(rules)[0]


def test_a_chain_with_else() -> None:
    """Of a chain the bodies behind the one that counts are told apart from those that do not hold."""
    assert why("allow := false if input.meshsim.slice == `video` else := true if true else := false") == [
        '`input.meshsim.slice == `video`` does not hold: input.meshsim.slice is "control"',
        "",
        "a rule before its else matches",
    ]


def test_the_default_is_told() -> None:
    """The default counts when no body holds."""
    accounts = engine("default allow := false\nallow if not input.meshsim.mutual").explain(QUESTION)
    assert [account.matched for account in accounts] == [True, False]


@pytest.mark.parametrize(
    "rules",
    [
        "default allow := false\nallow if input.meshsim.mutual\nallow if { some p in input.parsed_path; p == `x` }",
        "allow := false if input.meshsim.slice == `control` else := true",
        "allow if input.meshsim.slice == `video`",
        "allow if { (input.meshsim.time_ns / 1000000000) % 86400 > 5; replace(`a`, ``, `b`) == `bab` }",
    ],
)
def test_accounts_agree_with_decisions(rules: str) -> None:
    """The rules that matched are those that the decision names."""
    asked = engine(rules)
    matched = {account.rule for account in asked.explain(QUESTION) if account.matched}
    assert matched == set(asked.decide(QUESTION).reasons)
    assert asked.judge(QUESTION) == asked.decide(QUESTION).allowed
