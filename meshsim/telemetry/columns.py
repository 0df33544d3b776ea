"""The columns of each table, read off its row type: the one place that knows which type a column has."""

from __future__ import annotations

from functools import cache
from typing import Annotated, get_args, get_origin, get_type_hints

import msgspec

from meshsim.telemetry.later import LATER
from meshsim.telemetry.rows import TABLES

UNITS = {"_ns": "ns", "_bytes": "bytes", "_ppm": "ppm", "_bps": "bit/s"}
"""What the end of a column's name says about its unit."""

_BYTES = frozenset({"bytes_sent", "bytes_received"})


class Column(msgspec.Struct, frozen=True):
    """One column: ``type`` is ``int64``, ``bool`` or ``string``; ``unit`` is empty for counts, names and flags.

    ``later``: it came later than others, and counts in hashes only where it says something.
    """

    name: str
    type: str
    unit: str
    description: str
    later: bool = False


@cache
def columns(table: str) -> tuple[Column, ...]:
    """Return the columns of ``table`` in the order of the contract; KeyError if there is no such table."""
    row_type = TABLES[table]
    hints = get_type_hints(row_type, include_extras=True)
    return tuple(_column(name, hints[name]) for name in row_type.__struct_fields__)


def _column(name: str, hint: object) -> Column:
    description, later = "", False
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        metas = [meta for meta in extras if isinstance(meta, msgspec.Meta)]
        description = next((meta.description for meta in metas if meta.description), "")
        later = any(meta.extra == LATER for meta in metas)
    kind = {int: "int64", bool: "bool", str: "string"}.get(hint)  # type: ignore[call-overload]  # any object may be asked for
    assert kind is not None, f"column {name} is {hint!r}: rows hold integers, booleans and strings only"
    unit = "bytes" if name in _BYTES else next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
    return Column(name, kind, unit, description, later)
