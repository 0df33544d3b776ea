"""The standardised 5QI values: what a slice's quality-of-service class promises (3GPP TS 23.501, table 5.7.4-1)."""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal, get_args

import msgspec

ResourceType = Literal["GBR", "Non-GBR", "Delay-critical GBR"]

_TABLE = Path(__file__).parent / "data" / "fiveqi.csv"
_RESOURCE_TYPES: dict[str, ResourceType] = {kind: kind for kind in get_args(ResourceType)}
_NS_PER_MS = 1_000_000


class FiveQi(msgspec.Struct, frozen=True, gc=False):
    """One row of the table: the standardised characteristics behind one 5QI value."""

    value: int
    """The 5QI itself."""
    resource_type: ResourceType
    """GBR, Non-GBR, or Delay-critical GBR (for which a packet later than its budget counts as lost)."""
    priority: int
    """Default priority level; the lowest number is served first."""
    packet_delay_budget_ns: int
    """Upper bound between device and the core's user-plane function, held by 98 % of packets (TS 23.501, 5.7.3.4)."""
    packet_error_rate: float
    """Upper bound of the share of packets that the radio side may fail to deliver."""
    max_burst_bytes: int | None
    """Most data to be served within one delay budget; given for Delay-critical GBR only."""
    averaging_window_ns: int | None
    """Window over which the guaranteed bit rate is reckoned; given for both GBR types."""
    core_network_delay_ns: int
    """The part of the delay budget that the core network takes; the rest is the access network's."""
    example: str
    """A service of the kind that the value was made for."""

    @property
    def access_network_delay_budget_ns(self) -> int:
        """What the core network leaves of the delay budget to the radio side."""
        return self.packet_delay_budget_ns - self.core_network_delay_ns


class _Table(Mapping[int, FiveQi]):
    """Read-only view of the shipped table, read at first use so that importing this module costs no file access."""

    def __getitem__(self, value: int) -> FiveQi:
        return _rows()[value]

    def __iter__(self) -> Iterator[int]:
        return iter(_rows())

    def __len__(self) -> int:
        return len(_rows())


FIVE_QI: Mapping[int, FiveQi] = _Table()
"""Every standardised 5QI, keyed by its value, in the table's order."""


@functools.cache
def _rows() -> dict[int, FiveQi]:
    with _TABLE.open(encoding="utf-8", newline="") as lines:
        records = csv.DictReader(line for line in lines if not line.startswith("#"))
        rows = [_row(record) for record in records]
    assert len({row.value for row in rows}) == len(rows), "a 5QI is listed twice"
    return {row.value: row for row in rows}


def _row(record: dict[str, str]) -> FiveQi:
    return FiveQi(
        value=int(record["five_qi"]),
        resource_type=_RESOURCE_TYPES[record["resource_type"]],
        priority=int(record["priority"]),
        packet_delay_budget_ns=int(record["packet_delay_budget_ms"]) * _NS_PER_MS,
        packet_error_rate=float(Decimal(record["packet_error_rate"])),
        max_burst_bytes=int(record["max_burst_bytes"]) if record["max_burst_bytes"] else None,
        averaging_window_ns=int(record["averaging_window_ms"]) * _NS_PER_MS if record["averaging_window_ms"] else None,
        core_network_delay_ns=int(record["core_network_delay_ms"]) * _NS_PER_MS,
        example=record["example"],
    )
