"""Runs under equivalent policies in three languages."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from meshsim.policy.cedar import CedarEngine
from meshsim.policy.question import Decision, Question
from meshsim.scenario.errors import InvariantViolation
from meshsim.scenario.loader import load_text
from tests.policy.abstract_policies import Condition, Rule, cedar, istio, rego
from tests.world.conftest import Result

Data = dict[str, Any]

RULES = [
    Rule(True, "", (Condition("method", "is", ("GET",), False), Condition("path", "prefix", ("/a",), False))),
    Rule(True, "", (Condition("slice", "is", ("web",), False), Condition("header x-tenant", "is", ("blue",), False))),
    Rule(True, "", (Condition("age", "less", ("12",), False), Condition("node", "is", ("edge",), False))),
    Rule(False, "", (Condition("path", "suffix", ("/secret",), False),)),
    Rule(False, "", (Condition("tls_version", "is", ("1.3",), True),)),
]


def test_engines_and_fidelities_agree(line: Data, tmp_path: Path) -> None:
    """Every engine has the same content at every fidelity, and all engines allow the same calls."""
    line["duration"] = "4 s"
    line["services"]["front"]["calls"] = [{"to": "back", "path": "/b/secret", "optional": True}]
    line["services"]["back"] = {"replicas": {"edge": 1}, "work": {"constant": "1 ms"}}
    flow = line["traffic"][0]
    paths = {"allowed": "/a/1", "secret": "/a/secret", "tenant": "/c", "young": "/d"}
    line["traffic"] = [flow | {"name": name, "path": path} for name, path in paths.items()]
    line["traffic"][2]["headers"] = {"x-tenant": "blue"}
    line["traffic"][3]["method"] = "PUT"
    decisions = {}
    for name, render in (("cedar", cedar), ("rego", rego), ("istio", istio)):
        file = render(RULES)
        (tmp_path / file.name).write_text(file.text)
        line["mesh"] = {"policy": {"engine": name, "files": [file.name], "default": "deny"}}
        contents = set()
        for fidelity in ("real", "sampled", "modelled"):
            line["fidelity"] = fidelity
            result = Result(load_text(json.dumps(line), tmp_path / "scenario.yaml", []))
            contents.add(result.content())
        assert len(contents) == 1, name
        decisions[name] = sorted((row.path, row.source, row.call_id, row.allowed) for row in result.decisions)
    calls = [{(path, allowed) for path, _, _, allowed in each} for each in decisions.values()]
    assert calls[0] == calls[1] == calls[2]
    assert calls[0] == {
        *(("/a/1", True), ("/a/secret", False), ("/b/secret", False)),
        *(("/c", True), ("/d", True), ("/d", False)),
    }
    assert len({len(each) for each in decisions.values()}) == 1


def test_a_real_engine_is_asked_about_every_decision(
    line: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At fidelity real engines answer every question, those of policies on trial too, and none may change its mind."""
    for name in ("mesh", "trial"):
        (tmp_path / f"{name}.cedar").write_text(cedar(RULES).text)
    policy = {"engine": "cedar", "files": ["mesh.cedar"], "default": "deny", "shadow": {"files": ["trial.cedar"]}}
    line["mesh"] = {"policy": policy}
    line["fidelity"] = "real"
    line["traffic"][0]["arrivals"] = {"constant": "100 /s"}
    asked: Counter[str] = Counter()
    decide, decide_all = CedarEngine.decide, CedarEngine.decide_all

    def one(engine: CedarEngine, question: Question) -> Decision:
        asked[engine.version] += 1
        return decide(engine, question)

    def all_of_them(engine: CedarEngine, questions: Sequence[Question]) -> list[Decision]:
        asked[engine.version] += len(questions)
        return decide_all(engine, questions)

    monkeypatch.setattr(CedarEngine, "decide", one)
    monkeypatch.setattr(CedarEngine, "decide_all", all_of_them)
    loaded = load_text(json.dumps(line), tmp_path / "scenario.yaml", [])
    decisions = len(Result(loaded).decisions)
    assert decisions > 50
    assert sorted(asked.values()) == [decisions, decisions]
    for version in asked:

        def fickle(engine: CedarEngine, questions: Sequence[Question], fickle: str = version) -> list[Decision]:
            answers = decide_all(engine, questions)
            return [*answers[:-1], Decision(True, "another")] if answers and engine.version == fickle else answers

        monkeypatch.setattr(CedarEngine, "decide_all", fickle)
        with pytest.raises(InvariantViolation, match=f"version {version}, changed its answer"):
            Result(loaded)
