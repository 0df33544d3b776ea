"""The engine that remembers, and the choice of engines."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.policy.cedar import CedarEngine
from meshsim.policy.engine import Directory, PolicyEngine, PolicyFile
from meshsim.policy.engines import ENGINES, build_engine
from meshsim.policy.memo import ASKED_AT_ONCE, Asked
from meshsim.policy.question import Decision, Question, RuleAccount
from meshsim.scenario.errors import InvariantViolation, UsageError

A, B = "spiffe://plant.example/sa/a", "spiffe://plant.example/sa/b"
DIRECTORY = Directory(
    services=frozenset({"a", "b"}),
    slices=frozenset({"control"}),
    sites=frozenset({"plant"}),
    trust_domains=frozenset({"plant.example"}),
    workloads={A: "a", B: "b"},
)
POLICIES = """
@id("a-reads") permit (principal in Service::"a", action in Action::"read", resource == Service::"b");
@id("b-writes") permit (principal in Service::"b", action in Action::"write", resource)
when { context.path like "/in/*" };
@id("control") permit (principal, action, resource) when { context.slice == Slice::"control" };
@id("no-plaintext") forbid (principal, action, resource) unless { context.mutual };
@id("off-site") forbid (principal, action, resource) when { context.site != Site::"plant" };
"""
ENGINE = CedarEngine.from_sources([PolicyFile("p.cedar", POLICIES)], DIRECTORY, "deny")

QUESTIONS = st.builds(
    Question,
    principal=st.sampled_from([A, B, "", "spiffe://city.example/sa/a"]),
    source=st.sampled_from(["a", "b", "cars"]),
    destination=st.sampled_from(["a", "b"]),
    method=st.sampled_from(["GET", "POST", "BREW"]),
    path=st.sampled_from(["/", "/in/1", "/out"]),
    slice=st.sampled_from(["control", ""]),
    site=st.sampled_from(["plant", ""]),
    mutual=st.booleans(),
)


class Fickle:
    """An engine that changes its answer each time."""

    name, version, size = "fickle", "0", 1

    def __init__(self) -> None:
        self.asked = 0

    def decide(self, question: Question) -> Decision:
        """Allow every second time."""
        self.asked += 1
        return Decision(self.asked % 2 == 0, "whim")

    def explain(self, _question: Question) -> tuple[RuleAccount, ...]:
        """Give no reason."""
        return ()


QUESTION = Question(A, "a", "b", "GET", "/", "", "plant", True)


@settings(max_examples=50, deadline=None)
@given(st.lists(QUESTIONS, max_size=30), st.booleans())
def test_memory_equals_engine(questions: list[Question], every_time: bool) -> None:
    """Whatever is asked in whatever order, remembered answers are those of a fresh engine."""
    asked = Asked(ENGINE, every_time=every_time)
    assert [asked.decide(q) for q in questions] == [ENGINE.decide(q) for q in questions]
    assert asked.distinct == len(set(questions))


@settings(max_examples=100, deadline=None)
@given(QUESTIONS)
def test_decisions_follow_the_policies(question: Question) -> None:
    """The engine's decisions are those of the policies, written out by hand."""
    read, write = question.method == "GET", question.method == "POST"
    permits = {
        "a-reads": question.principal == A and read and question.destination == "b",
        "b-writes": question.principal == B and write and question.path.startswith("/in/"),
        "control": question.slice == "control",
    }
    forbids = {"no-plaintext": not question.mutual, "off-site": question.site != "plant"}
    forbidden, permitted = ([rule for rule, holds in rules.items() if holds] for rules in (forbids, permits))
    reasons = tuple(forbidden or permitted)
    allowed = not forbidden and bool(permitted)
    assert ENGINE.decide(question) == Decision(allowed, reasons[0] if reasons else "default-deny", reasons)


def test_each_question_is_asked_once() -> None:
    """A remembered question does not reach the engine."""
    engine = Fickle()
    asked = Asked(engine)
    assert not asked.knows(QUESTION)
    assert asked.decide(QUESTION) == asked.decide(QUESTION)
    assert asked.knows(QUESTION)
    assert engine.asked == 1


def test_a_changed_answer_is_a_violation() -> None:
    """At fidelity real the engine is asked again, be it later, and must not contradict itself."""
    asked = Asked(Fickle(), every_time=True)
    assert asked.decide(QUESTION) == asked.decide(QUESTION)
    with pytest.raises(InvariantViolation, match="policy engine fickle, version 0, changed its answer"):
        asked.confirm()


def test_each_question_is_confirmed_once() -> None:
    """At fidelity real the engine is asked as often as anybody asks, and no answer waits for ever."""
    engine = Fickle()
    asked = Asked(engine, every_time=True)
    for count in range(1, 4):
        asked.decide(QUESTION)
        assert engine.asked == 1, count
    with pytest.raises(InvariantViolation):
        asked.confirm()
    asked.confirm()
    assert engine.asked == 2  # at the first that differs all is over
    for _ in range(ASKED_AT_ONCE - 1):
        asked.decide(QUESTION)
    assert engine.asked == 2
    with pytest.raises(InvariantViolation):
        asked.decide(QUESTION)


@settings(max_examples=50, deadline=None)
@given(st.lists(QUESTIONS, max_size=30))
def test_answers_of_a_batch_are_those_of_each(questions: list[Question]) -> None:
    """Cedar answers many questions at once as one by one, in their order, strangers' and repeated ones too."""
    asked = [*questions, *questions[:3]]
    assert ENGINE.decide_all(asked) == [ENGINE.decide(question) for question in asked]


def test_engines_are_built_by_name() -> None:
    """Every named engine can be built and answers to its name."""
    for name in ENGINES:
        engine: PolicyEngine = build_engine(name, [], Directory())
        assert (engine.name, engine.size) == (name, 0)
        assert engine.decide(QUESTION).rule == "default-deny"
    assert build_engine("cedar", [], Directory(), "allow").decide(QUESTION).allowed


@pytest.mark.parametrize(("name", "hint"), [("ceder", "did you mean cedar?"), ("x", "one of cedar")])
def test_unknown_engines_are_refused(name: str, hint: str) -> None:
    """A misspelt engine is the user's mistake, with a hint."""
    with pytest.raises(UsageError, match=hint.replace("?", r"\?")):
        build_engine(name, [], Directory())
