"""The buffer before the air: what finds no room there is lost, and TCP sends it again."""

from __future__ import annotations

from typing import Any

from tests.world.test_tcp import MS, Run, tiny


def upload(buffer: str, size: str = "500 kB") -> Run:
    """One request of this size over an uplink of 10 Mbit/s, from a device of its own."""
    data = tiny(10, mesh__tls={"mode": "DISABLE"}, traffic__0__request=size)
    data["network"]["nodes"]["west"] = {"kind": "gnb"}
    data["network"]["radios"] = {
        "air": {
            "fixed": {"uplink": "5 ms", "downlink": "5 ms"},
            "cells": {"a": "west"},
            "uplink": "10 Mbit/s",
            "rlc_buffer": buffer,
        }
    }
    data["fleets"] = {"clients": {"radio": "air"}}
    return Run(data, set())


def air_rows(run: Run) -> list[Any]:
    """Rows of the cell's uplink."""
    return [row for row in run.tables["links"] if "air/a" in row.link and row.sent_bytes]


def test_a_short_buffer_drops_and_tcp_repairs() -> None:
    """Behind 15 kB some of an upload is dropped, in table `links` too, and all of it arrives; behind 6 MiB nothing."""
    short, usual = upload("15 kB"), upload("6 MiB")
    for run, drops in ((short, True), (usual, False)):
        assert [request.outcome for request in run.tables["requests"]] == ["ok"]
        rows = air_rows(run)
        assert (sum(row.drops for row in rows) > 0) is drops
        assert sum(row.sent_bytes for row in rows) == sum(row.delivered_bytes + row.lost_bytes for row in rows)
    (request,) = usual.tables["requests"]
    least_ns = 500_000 * 8 * 100 * 1500 // 1448  # its bits, and those of headers, at 10 Mbit/s
    assert least_ns < request.latency_ns < least_ns + 100 * MS


def test_the_buffer_bounds_the_wait() -> None:
    """No packet waits longer than the buffer takes to empty: 30 kB are 24 ms at 10 Mbit/s."""
    longest_ns = max(row.longest_ns for row in upload("30 kB", "1 MB").tables["radio"] if row.direction == "up")
    assert 20 * MS < longest_ns - 5 * MS <= 24 * MS
    unbounded_ns = max(row.longest_ns for row in upload("6 MiB", "1 MB").tables["radio"] if row.direction == "up")
    assert unbounded_ns > 500 * MS
