"""The reference of run folders is written from the row types."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.telemetry.columns import columns
from meshsim.telemetry.docs import render_markdown
from meshsim.telemetry.rows import ATTRIBUTION, TABLES

DOCS = Path(__file__).parents[2] / "docs" / "results.md"


def test_reference_is_up_to_date() -> None:
    """The committed docs/results.md is what `python -m meshsim.telemetry.docs` prints."""
    assert DOCS.read_text(encoding="utf-8") == render_markdown()


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_documented(table: str) -> None:
    """Each column has a description that ends as a sentence does, and a type that Parquet can hold."""
    for column in columns(table):
        assert column.description.endswith("."), column
        assert column.type in ("int64", "bool", "string")
        assert f"| `{column.name}` | {column.type} |" in render_markdown()


def test_units_follow_from_names() -> None:
    """A name's end says its unit."""
    units = {column.name: column.unit for table in TABLES for column in columns(table)}
    assert units["latency_ns"] == "ns"
    assert units["bytes_sent"] == units["queue_bytes"] == "bytes"
    assert units["utilisation_ppm"] == "ppm"
    assert units["attempts"] == units["outcome"] == ""


def test_requests_carry_the_attribution() -> None:
    """The attribution columns are columns of requests, in their order."""
    assert tuple(column.name for column in columns("requests") if column.name in ATTRIBUTION) == ATTRIBUTION
