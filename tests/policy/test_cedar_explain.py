"""Why Cedar policies match a question or do not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from meshsim.policy.question import Question, RuleAccount
from tests.policy.test_cedar import CAR, VISION, engine, question
from tests.policy.test_memo import ENGINE, QUESTIONS

SCOPE = "permit (principal, action, resource)"


def why(policy: str, **changes: object) -> str:
    """The reason why a policy does not match the usual question, changed."""
    (account,) = engine(policy).explain(question(**changes))
    assert not account.matched
    return account.why


def test_each_rule_is_told_with_its_place_and_effect() -> None:
    """Every policy is accounted for in the order of the files, those that match without a reason."""
    forbid = 'forbid (principal, action, resource)\nwhen { context.slice == Slice::"video" };'
    first = f'{SCOPE};\n\n  @id("no-videos")\n{forbid}'
    assert engine(first, f"{SCOPE};").explain(question()) == (
        RuleAccount("0.cedar#1", "0.cedar:1:1", "allow", True, ""),
        RuleAccount(
            "no-videos", "0.cedar:3:3", "deny", False, '`when { context.slice == Slice::"video" }` does not hold'
        ),
        RuleAccount("1.cedar#1", "1.cedar:1:1", "allow", True, ""),
    )


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (
            'permit (principal in Fleet::"cars", action, resource);',
            f'`principal in Fleet::"cars"`: the principal is {VISION}',
        ),
        (f'permit (principal == Workload::"{CAR}", action, resource);', f"the principal is {VISION}"),
        ('permit (principal, action in Action::"write", resource,);', '`action in Action::"write"`: the action is GET'),
        (
            'permit (principal, action in [Action::"PUT", Action::"POST"], resource);',
            '`action in [Action::"PUT", Action::"POST"]`: the action is GET',
        ),
        ('permit (principal, action, resource == Service::"vision");', "the resource is planner"),
        (
            f'{SCOPE} when {{ {{a: [")", "}}"]}}.a.contains("}}") }} unless\n  {{ context.mutual }};',
            "`unless { context.mutual }` does not hold",
        ),
        (f"{SCOPE} when {{ 9223372036854775807 + 1 > 0 }};", "it failed: "),
    ],
)
def test_the_first_part_that_does_not_hold_is_the_reason(policy: str, said: str) -> None:
    """The scope is looked at from left to right, then the conditions."""
    assert said in why(policy)


def test_a_peer_without_identity_is_named_so() -> None:
    """What is wanted of the principal is told against what the peer proved."""
    assert why("permit (principal is Workload, action, resource);", principal="").endswith("is unauthenticated")


@settings(max_examples=50, deadline=None)
@given(QUESTIONS)
def test_accounts_agree_with_the_decision(question: Question) -> None:
    """The rules that made the decision are those of its effect that matched."""
    decision = ENGINE.decide(question)
    accounts = ENGINE.explain(question)
    effect = "allow" if decision.allowed else "deny"
    assert decision.reasons == tuple(one.rule for one in accounts if one.matched and one.effect == effect)
    assert all(one.matched == (not one.why) for one in accounts)
