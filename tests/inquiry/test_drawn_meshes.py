"""Comparisons of whole meshes that are called exact, against drawn requests that each side is asked about."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.inquiry.ask import ask
from meshsim.inquiry.matrix import Comparison, compare
from meshsim.inquiry.names import find_caller
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject, subject_of_scenario, versioned
from meshsim.scenario.errors import ScenarioError, UsageError
from tests.inquiry import mesh_draws as draws
from tests.inquiry.test_exact import _asked

MOST = 20_000
"""Questions of one comparison."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of both sides are written."""
    return tmp_path_factory.mktemp("meshes")


def read(folder: Path, features: draws.Json) -> Subject:
    """Write a mesh into a folder and read it."""
    folder.mkdir(exist_ok=True)
    for name, text in draws.files_of(features).items():
        (folder / name).write_text(text, encoding="utf-8")
    return subject_of_scenario(folder / "s.yaml")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_every_flip_of_a_mesh_is_listed_and_every_witness_flips(folder: Path, seed: int) -> None:
    """Whatever differs in two meshes: a request that is decided differently is told, and what is told flips."""
    rng = random.Random(seed)
    features = draws.mesh(rng)
    other = draws.changed(rng, features)
    try:
        sides = read(folder / "a", features), read(folder / "b", other)
        comparison = compare(*sides, most=MOST)
    except (ScenarioError, UsageError):
        return  # some features do not go together, and some pairs can be told apart by too much
    said = json.dumps({name: [features[name], other[name]] for name in features if features[name] != other[name]})
    for flip in comparison.flips:
        found = [ask(side, _asked(options)).decision.allowed for side, options in zip(sides, flip.asks, strict=True)]
        assert found == [not flip.now_allowed, flip.now_allowed], (seed, flip.asks, said)
    if comparison.space.approximate:
        return
    for _ in range(60):
        drawn = draws.request(rng)
        version = rng.choice(("v1", "v2"))
        try:
            first, second = (_decided(side, drawn, version) for side in sides)
        except UsageError:
            continue  # a service that one side does not have, or an identity that is not clear
        if first != second:
            assert _is_told(comparison, sides, drawn, version, second), (seed, drawn, version, second, said)


def _decided(side: Subject, drawn: dict[str, Any], version: str) -> bool:
    name = f"b:{version}" if "b" in versioned(side) else "b"
    return ask(side, Request(destination=name, **drawn)).decision.allowed


def _is_told(
    comparison: Comparison, sides: tuple[Subject, Subject], drawn: dict[str, Any], version: str, now_allowed: bool
) -> bool:
    """Whether some flip is of this caller, or of one that stands for it, at this port."""
    callers = [find_caller(side, drawn["source"]) for side in sides]
    ports = (drawn["port"],) if "port" in comparison.space.reads else (8080, 9000)
    return any(
        flip.now_allowed is now_allowed
        and flip.port in ports
        and flip.callee.name in ("b", f"b:{version}")
        and (
            flip.caller.spiffe_id in [one.spiffe_id for one in callers]
            or (flip.caller.workload == "users" == callers[0].workload)
            or not (callers[0].workload or flip.caller.workload)
        )
        for flip in comparison.flips
    )
