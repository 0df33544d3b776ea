"""Arrow arrays made from buffers are those that Arrow makes itself."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from meshsim.results.arrays import array_of, arrow_of, arrow_of_codes

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(values=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=40))
def test_strings(values: list[str]) -> None:
    """Any text, repeated or empty, comes out as it went in."""
    distinct = list(dict.fromkeys(values))
    numbers = np.array([distinct.index(value) for value in values], dtype=np.int32)
    assert arrow_of_codes(numbers, distinct).equals(pa.array(values, type=pa.string()))


@given(values=st.lists(INT64, max_size=40), begin=st.integers(0, 40))
def test_integers(values: list[int], begin: int) -> None:
    """Integers go both ways, parts of an array too."""
    arrow = arrow_of(np.array(values, dtype=np.int64))
    assert arrow.equals(pa.array(values, type=pa.int64()))
    assert array_of(arrow.slice(begin)).tolist() == values[begin:]


@given(values=st.lists(st.booleans(), max_size=40), begin=st.integers(0, 40))
def test_booleans(values: list[bool], begin: int) -> None:
    """Booleans, packed into bits, go both ways, parts of an array too."""
    arrow = arrow_of(np.array(values, dtype=np.bool_))
    assert arrow.equals(pa.array(values, type=pa.bool_()))
    assert array_of(arrow.slice(begin)).tolist() == values[begin:]


def test_pandas_is_not_loaded() -> None:
    """Writing tables and reading columns back leave pandas alone."""
    code = """
import sys, tempfile
from pathlib import Path
from meshsim.analysis.reading import read_columns
from meshsim.results.tables import ParquetSink
from meshsim.telemetry.rows import DecisionRow
with tempfile.TemporaryDirectory() as folder:
    sink = ParquetSink(Path(folder))
    row = DecisionRow(1, 2, "cedar", "v1", "a", "b", "GET", "/", True, "rule", False)
    sink.write("decisions", [row])
    sink.close()
    read_columns(Path(folder), "decisions", ["engine", "allowed", "call_id"])
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
