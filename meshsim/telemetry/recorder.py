"""The recorder: takes rows, hands them on in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from meshsim.telemetry.rows import TABLES

BATCH_ROWS = 256
"""Rows kept per table before they are handed on. The digest does not depend on it.

Few, so that they are still in the processor's cache when they are read again, and their memory serves the next ones.
"""


class Sink(Protocol):
    """What receives batches of rows, in order, table by table."""

    def write(self, table: str, rows: list[msgspec.Struct]) -> None:
        """Take one batch; the list is the sink's to keep."""


class Recorder:
    """Collects rows per table and flushes a table when its batch is full.

    ``appender(table)`` gives the hot path a plain function that costs one list append and one comparison.
    """

    def __init__(self, sink: Sink, batch_rows: int = BATCH_ROWS) -> None:
        self._sink = sink
        self._batch_rows = batch_rows
        self._rows: dict[str, list[msgspec.Struct]] = {table: [] for table in TABLES}

    def appender(self, table: str) -> Callable[[msgspec.Struct], None]:
        """Return the function that records one row of ``table``."""
        rows, limit, write = self._rows[table], self._batch_rows, self._sink.write
        append = rows.append

        def record(row: msgspec.Struct) -> None:
            append(row)
            if len(rows) >= limit:
                batch = rows.copy()
                rows.clear()
                write(table, batch)

        return record

    def flush(self) -> None:
        """Hand on whatever is left, table by table in the order of the contract."""
        for table, rows in self._rows.items():
            if rows:
                batch = rows.copy()
                rows.clear()
                self._sink.write(table, batch)
