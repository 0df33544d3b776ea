"""Flows that ask for a bit rate: who is admitted where, why others are not, and what that is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

Data = dict[str, Any]
Simulate = Callable[..., Any]

MS = 1_000_000


def drive(size: int, rate: str = "2 Mbit/s", **flow: Any) -> Data:
    """Cars that all drive the same way over two cells; each asks for a bit rate of 10 Mbit/s that the slice has."""
    return {
        "scenario": "drive",
        "duration": "3 s",
        "network": {
            "nodes": {"n0": {"kind": "gnb"}, "n1": {"kind": "gnb"}, "edge": {"kind": "edge"}},
            "links": [
                {"between": ["n0", "edge"], "latency": "0.2 ms"},
                {"between": ["n1", "edge"], "latency": "0.2 ms"},
            ],
            "slices": {"live": {"sst": 1, "five_qi": 4, "guaranteed": "10 Mbit/s"}},
            "radios": {"air": {"trace": {"file": "drive.csv"}, "cells": {"a": "n0", "b": "n1"}, "uplink": "50 Mbit/s"}},
        },
        "services": {"ingest": {"replicas": {"edge": 1}, "work": {"constant": "0.1 ms"}}},
        "fleets": {"cars": {"size": size, "radio": "air"}},
        "traffic": [
            {
                "name": "feed",
                "from": "cars",
                "to": "ingest",
                "slice": "live",
                "arrivals": {"constant": "50 /s"},
                "guaranteed": {"uplink": rate},
            }
            | flow
        ],
    }


def test_cells_admit_what_their_slice_is_guaranteed(simulate: Simulate) -> None:
    """Of seven cars that ask for 2 of 10 Mbit/s, no cell ever holds more than five; refusals say what was left."""
    result = simulate(drive(7), network__radios__air__trace__spread=False)
    at_start = [row for row in result.admissions if row.cause == "start"]
    assert [row.admitted for row in at_start] == [True] * 5 + [False] * 2
    assert at_start[5].reason == ("uplink: asked for 2 Mbit/s, 0 bit/s left of 10 Mbit/s guaranteed to live")
    assert (at_start[4].uplink_free_bps, at_start[5].uplink_free_bps) == (2_000_000, 0)
    assert {row.cause for row in result.admissions} == {"start", "handover"}


def test_the_old_cell_gives_back_what_the_new_one_may_refuse(simulate: Simulate) -> None:
    """At every instant the cars admitted to a cell are five or fewer, whoever came first."""
    result = simulate(drive(9))
    held: dict[str, str] = {}
    for row in result.admissions:
        held.pop(row.client, None)
        if row.admitted:
            held[row.client] = row.cell
        assert max(Counter(held.values()).values()) <= 5
    refused = [row for row in result.admissions if not row.admitted]
    assert any(row.cause == "handover" for row in refused)
    assert any(row.admitted and row.cause == "handover" for row in result.admissions)


@pytest.mark.parametrize("fidelity", ["modelled", "real"])
def test_refused_devices_do_not_send(simulate: Simulate, fidelity: str) -> None:
    """A request of a device that its cell has refused ends at once as not-admitted; all others are answered."""
    result = simulate(drive(7), fidelity=fidelity, network__radios__air__trace__spread=False)
    admitted: dict[str, bool] = {}
    answers = [(row.t_ns, 0, row) for row in result.admissions]
    answers += [(row.t_intended_ns, 1, row) for row in result.requests]
    answers.sort(key=lambda item: item[:2])
    for _, kind, row in answers:
        if kind == 0:
            admitted[row.client] = row.admitted
        else:
            assert row.outcome == ("ok" if admitted[row.client] else "not-admitted")
            assert admitted[row.client] or (row.latency_ns, row.status, row.t_sent_ns) == (0, 503, -1)
    assert Counter(row.outcome for row in result.requests)["not-admitted"] > 20


def test_a_flow_that_ends_gives_its_air_back(simulate: Simulate) -> None:
    """What one flow has reserved until it stops, another that starts then can have."""
    data = drive(5, stop="1 s")
    data["traffic"].append(data["traffic"][0] | {"name": "later", "start": "1 s", "stop": "2 s"})
    data["traffic"].append(data["traffic"][0] | {"name": "beside", "start": "1.5 s", "stop": "2 s"})
    result = simulate(data, network__radios__air__trace__spread=False)
    starts = [row for row in result.admissions if row.cause == "start"]
    assert {(row.source, row.admitted) for row in starts} == {("feed", True), ("later", True), ("beside", False)}


@pytest.mark.parametrize("first", [0, 1])
def test_what_starts_finds_what_is_given_back_then(simulate: Simulate, first: int) -> None:
    """A flow that ends gives its air back to one that starts at that instant, whichever stands first in the file."""
    data = drive(5, stop="1 s")
    data["traffic"].append(data["traffic"][0] | {"name": "later", "start": "1 s", "stop": "2 s"})
    if first:
        data["traffic"].reverse()
    rows = simulate(data, fidelity="modelled", network__radios__air__trace__spread=False).admissions
    assert {row.source for row in rows} == {"feed", "later"}
    assert all(row.admitted for row in rows if row.cause == "start")


def test_devices_that_swap_cells_are_both_admitted(simulate: Simulate) -> None:
    """Of devices that change cells at one instant none asks before all have given back what they had."""
    data = drive(2, rate="6 Mbit/s")
    radio = data["network"]["radios"]["air"]
    del radio["trace"]
    radio["fixed"] = {"uplink": "1 ms", "downlink": "1 ms"}
    stretches = [{"cell": cell, "length": "10 m"} for cell in ("a", "b")]
    data["fleets"]["cars"]["path"] = {"through": stretches, "speed": "10 m/s", "at_end": "again"}
    result = simulate(data, fidelity="modelled")
    assert [(row.t_ns, row.client, row.cell, row.admitted) for row in result.admissions if row.t_ns <= 1_000 * MS] == [
        (0, "cars/0", "air/a", True),
        (0, "cars/1", "air/b", True),
        (1_000 * MS, "cars/0", "air/b", True),
        (1_000 * MS, "cars/1", "air/a", True),
    ]
    assert {row.outcome for row in result.requests} == {"ok"}


def crowd(**overrides: Any) -> Data:
    """One cell, one slice: two cameras with a guaranteed bit rate, and a fleet in the same slice that floods it."""
    return {
        "scenario": "crowd",
        "duration": "4 s",
        "network": {
            "nodes": {"gnb": {"kind": "gnb"}, "edge": {"kind": "edge", "cores": 16}},
            "links": [{"between": ["gnb", "edge"], "latency": "0.2 ms", "bandwidth": "10 Gbit/s"}],
            "slices": {"live": {"sst": 1, "five_qi": 4, "share": "50 %"}, "web": {"sst": 3, "five_qi": 9}},
            "radios": {
                "air": {"fixed": {"uplink": "1 ms", "downlink": "1 ms"}, "cells": {"c": "gnb"}, "uplink": "20 Mbit/s"}
            },
        },
        "services": {"ingest": {"replicas": {"edge": 1}, "work": {"constant": "0.1 ms"}}},
        "fleets": {"cameras": {"size": 2, "radio": "air"}, "phones": {"size": 4, "radio": "air"}},
        "traffic": [
            {
                "from": "cameras",
                "to": "ingest",
                "slice": "live",
                "arrivals": {"constant": "40 /s"},
                "request": "2 kB",
                "guaranteed": {"uplink": "1 Mbit/s"},
            },
            *(
                {
                    "name": f"flood-{name}",
                    "from": "phones",
                    "to": "ingest",
                    "slice": name,
                    "arrivals": {"poisson": "200 /s"},
                    "request": "20 kB",
                    "start": "2 s",
                }
                for name in ("live", "web")
            ),
        ],
        "mesh": {"resilience": {"request_timeout": "1 s"}},
    } | overrides


def slowest_ms(result: Any, from_s: int, to_s: int) -> float:
    """The slowest of the cameras' requests that were meant for a window."""
    rows = [row for row in result.requests if row.source == "cameras"]
    chosen = [row.latency_ns for row in rows if from_s <= row.t_intended_ns / 1e9 < to_s]
    return max(chosen) / MS


def test_admitted_flows_keep_their_air_from_their_own_slice(simulate: Simulate) -> None:
    """A guaranteed bit rate holds against a flood in the same slice; without it the flood takes the cameras down."""
    guaranteed = simulate(crowd(), fidelity="modelled")
    data = crowd()
    del data["traffic"][0]["guaranteed"]
    plain = simulate(data, fidelity="modelled")
    assert slowest_ms(guaranteed, 2, 4) < slowest_ms(guaranteed, 1, 2) + 2
    assert slowest_ms(plain, 2, 4) > 100
    reserve = [row for row in guaranteed.links if row.link == "air/c/live guaranteed up"]
    assert sum(row.delivered_bytes for row in reserve) > 100_000


def test_what_exceeds_the_rate_is_promised_nothing(simulate: Simulate) -> None:
    """A flow that sends ten times its guaranteed bit rate waits with the others for what is beyond."""
    data = crowd()
    data["traffic"][0]["guaranteed"] = {"uplink": "32 kbit/s"}
    result = simulate(data, fidelity="modelled")
    up = [row for row in result.radio if (row.slice, row.direction) == ("live", "up") and row.t_ns <= 2_000 * MS]
    packets, beyond = sum(row.packets for row in up), sum(row.beyond for row in up)
    assert 0.8 * packets < beyond < packets
    assert slowest_ms(result, 2, 4) > 100


@pytest.mark.parametrize("way", ["uplink", "downlink"])
def test_a_device_that_exceeds_its_rate_keeps_it(simulate: Simulate, way: str) -> None:
    """Of 4 Mbit/s in a flooded slice the guaranteed 2 come through, and not much more; requests keep their order."""
    data = crowd()
    own = {"resource_type": "GBR", "priority": 50, "packet_delay_budget": "300 ms", "packet_error_rate": 1e-3}
    data["network"]["five_qis"] = {"200": own | {"averaging_window": "100 ms"}}
    data["network"]["slices"]["live"] |= {"five_qi": 200, "share": "20 %"}
    data["network"]["slices"]["web"]["priority"] = 1
    data["network"]["radios"]["air"]["downlink"] = "20 Mbit/s"
    data["mesh"]["resilience"]["request_timeout"] = "30 s"
    data["fleets"]["cameras"]["size"] = 1
    flow, *floods = data["traffic"]
    flow |= {"arrivals": {"constant": "200 /s"}, "guaranteed": {way: "2 Mbit/s"}}
    for entry in data["traffic"]:
        size = "2500 B" if entry is flow else "20 kB"
        entry |= {"request": size, "response": "10 B"} if way == "uplink" else {"request": "10 B", "response": size}
    for entry in floods:
        entry |= {"arrivals": {"poisson": "100 /s"}, "start": "0 s"}
    result = simulate(data, fidelity="modelled")
    done_ns = [row.t_done_ns for row in result.requests if row.source == "cameras"]
    assert done_ns == sorted(done_ns)
    assert 2 <= 8 * 2_500 * sum(2_000 <= time_ns / MS < 4_000 for time_ns in done_ns) / 2e6 < 3
