"""Rules as one workload applies them: what they test, which they are, and why they do not match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from meshsim.policy.istio_conditions import Claims, Condition, Setting, Test, conditions
from meshsim.policy.istio_types import AuthorizationPolicy, Clause, Rule
from meshsim.policy.question import Question

Conditions = tuple[Condition, ...]


class Applied(msgspec.Struct, frozen=True):
    """A rule as it is applied where HTTP is spoken, or where only TCP is seen."""

    number: int
    """Its place among all rules, in the order of the files."""
    name: str
    matches: Test
    sources: tuple[Conditions, ...]
    """Any of these; none of them means any source."""
    operations: tuple[Conditions, ...]
    conditions: Conditions
    """All of these."""
    left_out: str = ""
    """Why it never matches, if it does not."""

    @property
    def reads(self) -> frozenset[str]:
        """Attributes of questions that it depends on."""
        if self.left_out:
            return frozenset()
        found: set[str] = set()
        for condition in self._all():
            found |= condition.reads
        return frozenset(found)

    def _all(self) -> Iterator[Condition]:
        for alternative in (*self.sources, *self.operations, self.conditions):
            yield from alternative

    def why(self, question: Question, claims: Claims) -> str:
        """The first condition that does not hold, with what is wanted and what is there; empty if the rule matches."""
        if self.left_out:
            return self.left_out
        return (
            _unmet(self.sources, "from", question, claims)
            or _unmet(self.operations, "to", question, claims)
            or _unmet((self.conditions,), "when", question, claims)
        )


def applied(policy: AuthorizationPolicy, rule: Rule, number: int, setting: Setting) -> Applied:
    """A rule of a policy in a setting.

    Where HTTP is not spoken, a rule that names something of HTTP is left out of an ALLOW policy as a whole; of other
    policies only that part of it is left out, so that it matches more (Istio: pilot/pkg/security/authz/model).
    """
    alternatives = [[_made(clauses, setting) for clauses in either] for either in (rule.sources, rule.operations)]
    always = _made(rule.conditions, setting)
    if not setting.http:
        everything = [condition for either in (*alternatives, [always]) for one in either for condition in one]
        needs_http = next((condition for condition in everything if condition.http_only), None)
        if needs_http is not None and policy.action == "ALLOW":
            reason = f"{needs_http.words} needs HTTP, which is not spoken on this port; so the rule allows nothing"
            return left_out(number, rule.name, reason)
        alternatives = [[_without_http(one) for one in either] for either in alternatives]
        always = _without_http(always)
    sources, operations = (tuple(either) for either in alternatives)
    matches = _conjunction([*_disjunction(operations), *_disjunction(sources), *(one.test for one in always)])
    return Applied(number, rule.name, matches, sources, operations, always)


def left_out(number: int, name: str, reason: str) -> Applied:
    """A rule that never matches."""
    return Applied(number, name, _never, (), (), (), reason)


def _made(clauses: Sequence[Clause], setting: Setting) -> Conditions:
    return tuple(condition for clause in clauses for condition in conditions(clause, setting))


def _without_http(made: Conditions) -> Conditions:
    return tuple(condition for condition in made if not condition.http_only)


def _never(_question: Question, _claims: Claims) -> bool:
    return False


def _always(_question: Question, _claims: Claims) -> bool:
    return True


def _conjunction(tests: Sequence[Test]) -> Test:
    """All of some tests, in their order."""
    if not tests:
        return _always
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda question, claims: first(question, claims) and second(question, claims)

    def all_hold(question: Question, claims: Claims) -> bool:
        for test in tests:  # noqa: SIM110 - a generator costs as much as a test
            if not test(question, claims):
                return False
        return True

    return all_hold


def _disjunction(alternatives: tuple[Conditions, ...]) -> list[Test]:
    """A test that any of some alternatives holds, where there are any."""
    tests = [_conjunction([condition.test for condition in one]) for one in alternatives]
    if not tests or _always in tests:
        return []
    if len(tests) == 1:
        return tests

    def any_holds(question: Question, claims: Claims) -> bool:
        for test in tests:  # noqa: SIM110 - a generator costs as much as a test
            if test(question, claims):
                return True
        return False

    return [any_holds]


def _unmet(alternatives: tuple[Conditions, ...], part: str, question: Question, claims: Claims) -> str:
    """Why none of some alternatives holds, by the one that comes nearest; empty if one does or there are none."""
    nearest, best = "", -1
    for index, alternative in enumerate(alternatives):
        failed = [one for one in alternative if not one.test(question, claims)]
        if not failed:
            return ""
        held = len(alternative) - len(failed)
        if held > best:
            best = held
            among = f"{part}[{index}]" if len(alternatives) > 1 else part
            found = failed[0].found(question, claims)
            nearest = f"{among}: {failed[0].words}, but found {found or 'none'}"
    return nearest
