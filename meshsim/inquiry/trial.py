"""Cases tried against policies, and which rules they exercise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from meshsim.inquiry.ask import MUTUAL_TLS, NO_POLICY, Verdict, ask
from meshsim.inquiry.cases import Case
from meshsim.inquiry.subject import Subject
from meshsim.policy.istio import REFUSED_PATH, IstioEngine
from meshsim.policy.question import DEFAULT_ALLOW, DEFAULT_DENY
from meshsim.scenario.errors import Diagnostic, ScenarioError, UsageError
from meshsim.scenario.token_reasons import REASONS
from meshsim.scenario.words import expected, show

_DEFAULTS = (DEFAULT_ALLOW, DEFAULT_DENY, MUTUAL_TLS, NO_POLICY)


class Tried(msgspec.Struct, frozen=True):
    """One case and what came of it."""

    case: Case
    verdict: Verdict

    @property
    def passed(self) -> bool:
        """Whether the answer is the wanted one, by the wanted rule if one is named."""
        decision = self.verdict.decision
        decided = (decision.rule, *decision.reasons)
        return decision.allowed == self.case.allowed and (self.case.rule is None or self.case.rule in decided)

    @property
    def wanted(self) -> str:
        """What the case expects, for people."""
        return _words(self.case.allowed, self.case.rule)

    @property
    def found(self) -> str:
        """What came of it, for people."""
        return _words(self.verdict.decision.allowed, self.verdict.decision.words)


class Covered(msgspec.Struct, frozen=True):
    """How far cases exercise one rule."""

    rule: str
    place: str
    matched: int
    """Cases that it matched."""
    decided: int
    """Cases that it decided, alone or with others."""
    decides: bool = True
    """Whether it can: rules that only ask for an audit, or are on trial, cannot."""

    @property
    def covered(self) -> bool:
        """Whether some case exercises it: it decided one, or matched one if it cannot decide any."""
        return self.decided > 0 if self.decides else self.matched > 0


class Trial(msgspec.Struct, frozen=True):
    """All cases of one subject."""

    subject: Subject
    tried: tuple[Tried, ...]
    coverage: tuple[Covered, ...]
    """Of each rule, in the order of the files."""


def try_cases(subject: Subject, cases: Iterable[Case]) -> Trial:
    """Try cases; raises ScenarioError with every case whose names are not there, at its place."""
    tried: list[Tried] = []
    mistakes: list[Diagnostic] = []
    for case in cases:
        try:
            one = Tried(case, ask(subject, case.request))
        except UsageError as error:
            mistakes += [_told(case, mistake) for mistake in error.mistakes]
            continue
        tried.append(one)
        mistakes += _unknown_rule(subject, one)
    if mistakes:
        raise ScenarioError(mistakes)
    return Trial(subject, tuple(tried), _coverage(subject, tried))


def _told(case: Case, message: str) -> Diagnostic:
    """A mistake in a request, which is told by the name of its option, at the key of the case that it is about."""
    option, colon, rest = message.partition(": ")
    name = option.removeprefix("--").replace("-", "_")
    name = {"header": "headers", "claim": "claims"}.get(name, name)
    if not colon or name not in case.places:
        return case.place.diagnostic(message.removeprefix("--"))
    return case.places[name].diagnostic(f"{name}: {rest}")


def _unknown_rule(subject: Subject, tried: Tried) -> Iterator[Diagnostic]:
    """The mistake in a rule that nothing here is called; what a provider says beside its own name is not known."""
    rule, decision = tried.case.rule, tried.verdict.decision
    if rule is None or rule in (decision.rule, *decision.reasons) or ": " in rule:
        return
    engine = subject.engine
    accounts = () if engine is None else engine.explain(tried.verdict.asked.question)
    known = [*dict.fromkeys(one.rule for one in accounts), *_DEFAULTS]
    if isinstance(engine, IstioEngine):
        known += [REFUSED_PATH, *(one.name for one in engine.policies.authentication)]
    if rule not in (*known, *REASONS, *(one.rpartition("@")[0] for one in known)):
        yield tried.case.rule_place.diagnostic(f"unknown rule {show(rule)}; {expected(rule, known)}")


def _coverage(subject: Subject, tried: Sequence[Tried]) -> tuple[Covered, ...]:
    if subject.engine is None or not tried:
        return ()
    # Any question tells which rules there are, also where no case got as far as a policy.
    rules = {one.rule: one for one in subject.engine.explain(tried[0].verdict.asked.question)}
    matched = dict.fromkeys(rules, 0)
    decided: dict[str, int] = {}
    for one in tried:
        decision = one.verdict.decision
        for account in one.verdict.accounts:
            matched[account.rule] += account.matched
        for rule in dict.fromkeys((decision.rule, *decision.reasons)):
            decided[rule] = decided.get(rule, 0) + 1
    return tuple(
        Covered(rule, one.place, matched[rule], decided.get(rule, 0), one.decides) for rule, one in rules.items()
    )


def _words(allowed: bool, rule: str | None) -> str:
    return ("allowed" if allowed else "denied") + (f" by {rule}" if rule else "")
