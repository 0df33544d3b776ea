"""Whatever stands in a file of cases or on a command line: an answer or a mistake that is told, never anything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshsim.commands.asking import claims_of, pairs
from meshsim.inquiry.ask import ask
from meshsim.inquiry.cases import EXPECTED_KEYS, FIELDS, TOP_KEYS, read_cases
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject
from meshsim.inquiry.trial import try_cases
from meshsim.scenario.errors import ScenarioError, UsageError

SLOW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(), max_size=8)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXT,
    st.sampled_from(["robots", "planner", "vision", "GET", "/plans/7", "control", "90 min", "10.0.0.1", "1.3"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
CASE = {"source": "robots", "destination": "planner", "path": "/plans/7", "expect": "allow"}


def tried(plant: Subject, folder: Path, text: str) -> None:
    """Read and try a file; its mistakes have places in it."""
    file = folder / "cases.yaml"
    file.write_text(text, encoding="utf-8", errors="replace")
    try:
        try_cases(plant, read_cases(file).cases)
    except ScenarioError as error:
        for one in error.diagnostics:
            assert one.file == str(file)
            assert one.message
            assert "\n" not in one.message


@SLOW
@given(text=st.text(max_size=80) | st.text("{}[]:,-#&*!|>'\"%@`\t\n ab01?<=~\\", max_size=60))
def test_any_text(plant: Subject, tmp_path: Path, text: str) -> None:
    """Any text is read as cases or told."""
    tried(plant, tmp_path, text)
    tried(plant, tmp_path, f"cases:\n  - {{source: robots, destination: planner, expect: deny, path: {text}}}\n")


@SLOW
@given(
    case=st.dictionaries(st.sampled_from([*EXPECTED_KEYS, *FIELDS]) | st.text(max_size=4), VALUES, max_size=4),
    top=st.dictionaries(st.sampled_from(TOP_KEYS), VALUES, max_size=1),
    defaults=st.dictionaries(st.sampled_from(sorted(FIELDS)), VALUES, max_size=2),
)
def test_any_values(
    plant: Subject, tmp_path: Path, case: dict[str, Any], top: dict[str, Any], defaults: dict[str, Any]
) -> None:
    """Any values under known keys are tried or told."""
    tried(plant, tmp_path, json.dumps({"defaults": defaults, "cases": [{**CASE, **case}], **top}))


@SLOW
@given(
    source=TEXT | TEXT.map("spiffe://plant.example/".__add__) | st.just("planner"),
    destination=TEXT | st.just("vision"),
    path=TEXT.map("/".__add__),
    host=TEXT,
    header=TEXT | TEXT.map("x-a=".__add__),
    claim=TEXT | TEXT.map("a=".__add__) | st.sampled_from(["a=NaN", "a=1e999", 'a="\\ud800"', "a=[[[", "a={}"]),
    other=TEXT | st.sampled_from(["1.3", "X25519", "10.0.0.1", "control", "hall"]),
    option=st.sampled_from(["slice", "site", "node", "source_node", "source_ip", "tls_version", "cipher", "group"]),
)
def test_any_question(
    plant: Subject,
    source: str,
    destination: str,
    path: str,
    host: str,
    header: str,
    claim: str,
    other: str,
    option: str,
) -> None:
    """Any question on the command line is answered or refused in a line."""
    said = ""
    try:
        headers, claims = tuple(pairs([header], "--header")), claims_of([claim])
        request = Request(source=source, destination=destination, path=path, host=host, headers=headers, claims=claims)
        assert ask(plant, msgspec.structs.replace(request, **{option: other})).decision.rule
    except UsageError as error:
        said = str(error)
    assert not said or any(word in said for word in ("; expected ", "; did you mean ", "is no SPIFFE ID"))
