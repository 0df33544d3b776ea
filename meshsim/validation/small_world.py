"""Small worlds for the validation of TCP: clients in the west, a server in the east, one link between them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from meshsim.scenario.loader import load_text
from meshsim.telemetry.recorder import Recorder
from meshsim.telemetry.rows import TABLES
from meshsim.world.world import World

Data = dict[str, Any]
BANDWIDTH_BPS = 10**10
ODD_US = 3_719
"""What is added to gaps between requests, so that they meet every phase of the kernel's timers."""


class Tables:
    """All rows of a run, by table."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Any]] = {table: [] for table in TABLES}

    def write(self, table: str, rows: list[Any]) -> None:
        """Take rows, as a sink."""
        self.rows[table].extend(rows)


def small_world(round_trip_ns: int, requests: int, gap_ms: int, *, west: int = 1, seed: int = 1) -> Data:
    """Return a scenario in which each request makes a new connection, at an instant that has to do with no clock's.

    There are ``west`` nodes, each with a link of its own to the server's; ``requests`` come from each. The gap between
    them is to be longer than nearly all of them take.
    """
    gap_us = 1_000 * gap_ms + ODD_US
    nodes = [f"west-{number}" for number in range(west)]
    link = {"latency": f"{round_trip_ns // 2} ns", "bandwidth": f"{BANDWIDTH_BPS} bit/s"}
    call = {"to": "front", "slice": "web", "request": "0 B", "response": "0 B"}
    return {
        "scenario": "small-world",
        "seed": seed,
        "duration": f"{(2 * requests - 1) * gap_us // 2} us",
        "fidelity": "modelled",
        "network": {
            "nodes": {name: {"kind": "edge", "site": "small"} for name in ("east", *nodes)},
            "links": [{"between": [name, "east"], **link} for name in nodes],
            "slices": {"web": {"sst": 1, "five_qi": 80}},
            "tcp": {},
        },
        "services": {"front": {"replicas": {"east": 1}, "work": {"constant": "0 ms"}}},
        "fleets": {f"clients-{name}": {"node": name} for name in nodes},
        "mesh": {
            "tls": {"groups": ["X25519"], "resumption": False},
            "pool": {"idle_timeout": "1 ms"},
            "resilience": {"request_timeout": "300 s", "connect_timeout": "300 s", "retries": 0},
        },
        "traffic": [
            {"from": f"clients-{name}", **call, "arrivals": {"constant": f"{1_000_000 / gap_us:.6f} /s"}}
            for name in nodes
        ],
    }


def run_world(data: Data) -> dict[str, list[Any]]:
    """Run a scenario and return its rows, by table."""
    tables = Tables()
    World(load_text(json.dumps(data), Path("small-world.yaml")), Recorder(tables)).run()
    return tables.rows


def handshakes_ns(data: Data) -> list[int]:
    """Run a scenario and return how long its handshakes took from the first SYN to established, in their order."""
    return [row.tcp_ns + row.duration_ns for row in run_world(data)["handshakes"] if row.outcome == "established"]


def computing_ns(round_trip_ns: int) -> int:
    """Return what a handshake of small worlds takes beside two round trips when nothing is lost."""
    return handshakes_ns(small_world(round_trip_ns, 1, 60_000))[0] - 2 * (round_trip_ns // 2 * 2)
