"""The table of standardised 5QI values."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import msgspec
import pytest

from meshsim.scenario.fiveqi import FIVE_QI

KINDS = {"GBR": "GBR", "NonGBR": "Non-GBR", "DCGBR": "Delay-critical GBR"}


def test_values_of_the_plant_slice() -> None:
    """5QI 82 (discrete automation) promises 10 ms, one of which is the core network's."""
    row = FIVE_QI[82]
    assert (row.resource_type, row.priority) == ("Delay-critical GBR", 19)
    assert (row.packet_delay_budget_ns, row.core_network_delay_ns) == (10_000_000, 1_000_000)
    assert row.access_network_delay_budget_ns == 9_000_000
    assert (row.packet_error_rate, row.max_burst_bytes, row.averaging_window_ns) == (1e-4, 255, 2_000_000_000)


def test_every_row_is_consistent() -> None:
    """Every row leaves the access network time, and has a burst volume exactly if it is delay-critical."""
    assert list(FIVE_QI) == sorted(FIVE_QI)
    for value, row in FIVE_QI.items():
        assert row.value == value
        assert 0 < row.core_network_delay_ns < row.packet_delay_budget_ns, value
        assert 0 < row.packet_error_rate < 1, value
        assert (row.max_burst_bytes is not None) == (row.resource_type == "Delay-critical GBR"), value
        assert (row.averaging_window_ns is None) == (row.resource_type == "Non-GBR"), value
        assert row.example


@pytest.mark.parametrize(
    ("value", "delay_ms"),
    [(1, 20), (9, 20), (66, 20), (67, 20), (65, 10), (69, 10), (70, 10), (80, 2), (82, 1), (84, 5), (85, 2), (90, 1)],
)
def test_core_network_share(value: int, delay_ms: int) -> None:
    """The core network's part of the budget follows the notes of the standard's table."""
    assert FIVE_QI[value].core_network_delay_ns == delay_ms * 1_000_000


def test_table_cannot_be_changed() -> None:
    """Rows and table are read-only, because every scenario of a process shares them."""
    with pytest.raises(AttributeError):
        FIVE_QI[1].priority = 1  # type: ignore[misc] # the very mistake that is to fail
    with pytest.raises(TypeError):
        FIVE_QI[999] = FIVE_QI[1]  # type: ignore[index] # the very mistake that is to fail
    assert 999 not in FIVE_QI
    assert msgspec.structs.asdict(FIVE_QI[1])["value"] == 1


@pytest.mark.skipif("MESHSIM_REFERENCE" not in os.environ, reason="reference data is not at hand")
def test_table_agrees_with_the_reference() -> None:
    """Every figure is that of the reference transcription."""
    path = Path(os.environ["MESHSIM_REFERENCE"], "fiveqi.csv")
    with path.open(encoding="utf-8", newline="") as lines:
        records = list(csv.DictReader(lines))
    assert {int(record["fiveqi"]) for record in records} == set(FIVE_QI)
    for record in records:
        row = FIVE_QI[int(record["fiveqi"])]
        assert row.resource_type == KINDS[record["resource"]]
        assert row.priority == int(record["priority"])
        assert row.packet_delay_budget_ns == int(record["pdb_ms"]) * 1_000_000
        assert row.packet_error_rate == float(record["per"])
        assert str(row.max_burst_bytes or "") == record["mdbv_bytes"]
        assert str((row.averaging_window_ns or 0) // 1_000_000 or "") == record["avg_window_ms"]
