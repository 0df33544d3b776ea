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

    def appender(self, table: str, *followers: str) -> Callable[[msgspec.Struct], None]:
        """Return the function that records one row of ``table``.

        When its batch is full, what there is of ``followers`` is handed on with it: see ``follower``.
        """
        rows, limit = self._rows[table], self._batch_rows
        append = rows.append

        def record(row: msgspec.Struct) -> None:
            append(row)
            if len(rows) >= limit:
                self._hand_on(table)
                for follower in followers:
                    self._hand_on(follower)

        return record

    def follower(self, table: str) -> Callable[[msgspec.Struct], None]:
        """Return the cheapest function that records one row of ``table``, which looks at no batch.

        For a table that gets hardly more rows than another, whose ``appender`` has it among its ``followers``.
        """
        return self._rows[table].append

    def _hand_on(self, table: str) -> None:
        rows = self._rows[table]
        if rows:
            batch = rows.copy()
            rows.clear()
            self._sink.write(table, batch)

    def flush(self) -> None:
        """Hand on whatever is left, table by table in the order of the contract."""
        for table in self._rows:
            self._hand_on(table)
