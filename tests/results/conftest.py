"""Rows and facts for the tests of run folders."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest

from meshsim.results.manifest import RunFacts
from meshsim.telemetry.columns import columns
from meshsim.telemetry.rows import TABLES


def _random_rows(table: str, count: int, seed: int = 1) -> list[msgspec.Struct]:
    draw = random.Random(f"{seed}:{table}")
    make = {
        "int64": lambda: draw.choice([0, -1, draw.getrandbits(20), draw.getrandbits(62)]),
        "bool": lambda: draw.random() < 0.5,
        "string": lambda: draw.choice(["", "edge-a", "gnb-1--edge-a", "Straßenlage", "x" * 300]),
    }
    kinds = [column.type for column in columns(table)]
    return [TABLES[table](*(make[kind]() for kind in kinds)) for _ in range(count)]


@pytest.fixture(name="random_rows")
def random_rows_fixture() -> Callable[..., list[msgspec.Struct]]:
    """``random_rows(table, count, seed=1)``."""
    return _random_rows


@pytest.fixture
def facts() -> RunFacts:
    """What an experiment would state."""
    return RunFacts(
        scenario="hello-mesh",
        seed=7,
        fidelity="sampled",
        cost_profile="default",
        cost_profile_sha256="c" * 64,
        inputs={},
        versions={"meshsim": "0.1.0"},
        host={"wall_s": 1.25},
    )
