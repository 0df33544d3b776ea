"""Rows of the tests' own."""

from __future__ import annotations

from typing import Any

from meshsim.telemetry.columns import columns
from meshsim.telemetry.rows import TABLES


def row(row_type: Any, **values: Any) -> Any:
    """A row with these values; every other column is zero, false or empty."""
    table = next(name for name, kind in TABLES.items() if kind is row_type)
    blank = {"int64": 0, "bool": False, "string": ""}
    return row_type(**{column.name: blank[column.type] for column in columns(table)} | values)
