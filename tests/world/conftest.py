"""Runs of small scenarios in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshsim.scenario.loader import LoadedScenario, load_scenario, load_text
from meshsim.telemetry.recorder import Recorder
from meshsim.telemetry.rows import TABLES
from meshsim.world.world import Outcome, World

Data = dict[str, Any]

TWO_EDGES = """\
duration: 1 s
network:
  nodes: {edge-1: {kind: edge}, edge-2: {kind: edge}}
  links: [{between: [edge-1, edge-2], latency: 1 ms}]
  slices: {web: {sst: 1, five_qi: 9}}
"""
"""Time and network of a second's run over one link."""


class Result:
    """The tables of one run, and what it says beside them."""

    def __init__(self, loaded: LoadedScenario) -> None:
        self.loaded = loaded
        self.tables: dict[str, list[Any]] = {table: [] for table in TABLES}
        self.world = World(loaded, Recorder(self))
        _forbid_the_past(self.world._state.clock)
        self.outcome: Outcome = self.world.run()

    def write(self, table: str, rows: list[msgspec.Struct]) -> None:
        """Take a batch of rows, as a sink."""
        self.tables[table].extend(rows)

    def __getattr__(self, table: str) -> list[Any]:
        return self.tables[table]

    def content(self) -> bytes:
        """Return all rows as bytes: equal content is an equal digest."""
        return msgspec.msgpack.encode(self.tables)


def _forbid_the_past(clock: Any) -> None:
    """Fail at once when something is set for an instant that is over."""
    set_alarm = clock.at

    def at(time_ns: int, action: Callable[[Any], None], argument: Any = None) -> None:
        assert time_ns >= clock.now_ns, f"{action} was set for {time_ns} ns at {clock.now_ns} ns"
        set_alarm(time_ns, action, argument)

    clock.at = at


Simulate = Callable[..., Result]


@pytest.fixture(scope="session")
def simulate(tmp_path_factory: pytest.TempPathFactory) -> Simulate:
    """A function that runs a scenario given as text or as data; keywords are overrides, ``__`` for a dot."""
    folder = tmp_path_factory.mktemp("scenarios")
    (folder / "mesh.cedar").write_text(
        '@id("most") permit (principal, action, resource);\n'
        '@id("no-deletes") forbid (principal, action == Action::"DELETE", resource);\n'
    )

    (folder / "lax.cedar").write_text('@id("all") permit (principal, action, resource);\n')
    (folder / "delays.csv").write_text(
        "network,direction,p5_ms,p50_ms,p95_ms,p99_ms,p999_ms\n"
        "lab,uplink one-way,1,2,6,20,50\n"
        "lab,downlink one-way,0.5,1,3,10,30\n"
    )
    (folder / "samples.csv").write_text("delay_ms\n1\n7\n2.5\n")
    (folder / "drive.csv").write_text("time_s,round_trip_ms,cell\n0,8,a\n0.4,30,a\n0.9,10.5,b\n1.4,90,b\n1.6,12,a\n")

    def run(scenario: str | Mapping[str, Any], **overrides: object) -> Result:
        text = scenario if isinstance(scenario, str) else json.dumps(scenario)
        pairs = [f"{name.replace('__', '.')}={value}" for name, value in overrides.items()]
        return Result(load_text(text, Path(folder) / "scenario.yaml", pairs))

    return run


@pytest.fixture(scope="session")
def run_shipped() -> Callable[..., Result]:
    """A function that runs a shipped scenario by its name; what follows are overrides."""
    folder = Path(__file__).parents[2] / "scenarios"
    return lambda name, *overrides: Result(load_scenario(folder / f"{name}.yaml", ["fidelity=modelled", *overrides]))


@pytest.fixture
def line() -> Data:
    """A device on a fixed radio, its base station, and one service behind one link: everything by the nanosecond."""
    return {
        "scenario": "line",
        "duration": "1 s",
        "network": {
            "nodes": {"gnb": {"kind": "gnb"}, "edge": {"kind": "edge", "cores": 1}},
            "links": [{"between": ["gnb", "edge"], "latency": "2 ms", "bandwidth": "1 Gbit/s"}],
            "slices": {"web": {"sst": 1, "five_qi": 80, "latency_budget": "30 ms"}},
            "radios": {"air": {"fixed": {"uplink": "3 ms", "downlink": "4 ms"}, "cells": {"cell-1": "gnb"}}},
        },
        "services": {"front": {"replicas": {"edge": 1}, "work": {"constant": "1 ms"}}},
        "fleets": {"phone": {"size": 1, "radio": "air"}},
        "traffic": [{"from": "phone", "to": "front", "slice": "web", "arrivals": {"constant": "2 /s"}}],
    }
