"""The recorder hands every row on, once, in order."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from meshsim.telemetry.recorder import Recorder
from meshsim.telemetry.rows import TABLES, ConfigRow, NodeRow


class _Memory:
    def __init__(self) -> None:
        self.batches: list[tuple[str, list[msgspec.Struct]]] = []

    def write(self, table: str, rows: list[msgspec.Struct]) -> None:
        self.batches.append((table, rows))


@given(number=st.integers(0, 200), batch_rows=st.integers(1, 50))
def test_rows_come_in_order_and_once(number: int, batch_rows: int) -> None:
    """Whatever the batch size, each row arrives once, in order, in batches no larger than asked for."""
    memory = _Memory()
    recorder = Recorder(memory, batch_rows=batch_rows)
    nodes, configs = recorder.appender("nodes"), recorder.appender("configs")
    for index in range(number):
        nodes(NodeRow(index, "edge-a", True, 0, 0, 0, 0))
        configs(ConfigRow(index, 1, "edge-a", "sent", ""))
    recorder.flush()
    for table in ("nodes", "configs"):
        assert [row.t_ns for name, rows in memory.batches if name == table for row in rows] == list(range(number))  # type: ignore[attr-defined]  # both row types have it
    assert all(0 < len(rows) <= batch_rows for _, rows in memory.batches)


def test_nothing_is_handed_on_twice() -> None:
    """A second flush has nothing to give, and a batch once given is the sink's to keep."""
    memory = _Memory()
    recorder = Recorder(memory)
    record = recorder.appender("nodes")
    record(NodeRow(1, "a", True, 0, 0, 0, 0))
    recorder.flush()
    record(NodeRow(2, "a", True, 0, 0, 0, 0))
    recorder.flush()
    recorder.flush()
    assert [[row.t_ns for row in rows] for _, rows in memory.batches] == [[1], [2]]  # type: ignore[attr-defined]  # node rows


def test_tables_of_the_contract() -> None:
    """The tables of the public contract, in its order."""
    assert list(TABLES) == [
        "requests",
        "calls",
        "handshakes",
        "decisions",
        "identities",
        "issuances",
        "bundles",
        "faults",
        "configs",
        "changes",
        "revocations",
        "nodes",
        "links",
        "radio",
        "admissions",
    ]
