"""Delay budgets on the air, from the scenario to the rows: late is lost where the 5QI says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Data = dict[str, Any]
Simulate = Callable[..., Any]

MS = 1_000_000


def hall(five_qi: int, uplink: str = "4 ms", **slice_: Any) -> Data:
    """Ten requests a second over a fixed radio, in one slice of this 5QI, in plaintext and so as small as can be."""
    return {
        "scenario": "hall",
        "duration": "2 s",
        "network": {
            "nodes": {"gnb": {"kind": "gnb"}, "edge": {"kind": "edge"}},
            "links": [{"between": ["gnb", "edge"], "latency": "0.2 ms", "bandwidth": "10 Gbit/s"}],
            "slices": {"control": {"sst": 2, "sd": "00000A", "five_qi": five_qi} | slice_},
            "radios": {"air": {"fixed": {"uplink": uplink, "downlink": "1 ms"}, "cells": {"cell-1": "gnb"}}},
        },
        "services": {"loop": {"replicas": {"edge": 1}, "work": {"constant": "0.1 ms"}}},
        "fleets": {"robots": {"size": 1, "radio": "air"}},
        "mesh": {"tls": {"mode": "DISABLE"}},
        "traffic": [
            {
                "from": "robots",
                "to": "loop",
                "slice": "control",
                "arrivals": {"constant": "10 /s"},
                "request": "16 B",
                "response": "16 B",
            }
        ],
    }


def air(result: Any) -> dict[str, dict[str, int]]:
    """Packets, late ones, those beyond the promise, and those that count as lost, by direction."""
    names = ("packets", "late", "beyond", "lost")
    return {
        direction: {
            name: sum(getattr(row, name) for row in result.radio if row.direction == direction) for name in names
        }
        for direction in ("up", "down")
    }


def test_core_part_is_taken_off_the_budget(simulate: Simulate) -> None:
    """Of 10 ms the core has 1 ms: 9.1 ms on the air are late, 8.9 ms are not, though both are less than 10 ms."""
    assert air(simulate(hall(83, "9.1 ms")))["up"]["late"] > 0
    assert air(simulate(hall(83, "8.9 ms")))["up"]["late"] == 0


def test_late_is_lost_for_delay_critical_gbr_only(simulate: Simulate) -> None:
    """Every packet of a radio that is too slow counts as lost with 5QI 83, and as late only with 5QI 80."""
    critical, plain = air(simulate(hall(83, "12 ms"))), air(simulate(hall(80, "12 ms")))
    assert critical["up"]["late"] == critical["up"]["lost"] == critical["up"]["packets"] > 20
    assert (plain["up"]["late"], plain["up"]["lost"]) == (plain["up"]["packets"], 0)
    assert critical["down"]["late"] == 0


def test_burst_volume_takes_large_messages_out(simulate: Simulate) -> None:
    """Nothing is promised for more than the 255 B of 5QI 82 at once: late all the same, but not lost."""
    data = hall(82, "12 ms")
    data["traffic"][0]["request"] = "1 kB"
    up = air(simulate(data))["up"]
    assert 0 < up["lost"] < up["late"]
    assert up["late"] - up["lost"] == up["beyond"] == 20


def test_an_operators_own_5qi_is_held_to_its_own_budget(simulate: Simulate) -> None:
    """The budget, its core part and the resource type of a 5QI of one's own are what packets are judged by."""
    own = {
        "resource_type": "Delay-critical GBR",
        "priority": 5,
        "packet_delay_budget": "6 ms",
        "core_network_delay": "2.5 ms",
        "packet_error_rate": 1e-5,
        "max_burst": "1 kB",
    }
    data = hall(200, "4 ms")
    data["network"]["five_qis"] = {"200": own}
    up = air(simulate(data))["up"]
    assert up["lost"] == up["packets"] > 0
    data["network"]["five_qis"]["200"] = own | {"core_network_delay": "1.5 ms"}
    assert air(simulate(data))["up"]["lost"] == 0


@pytest.mark.parametrize("fidelity", ["modelled", "sampled", "real"])
def test_late_packets_can_be_dropped(simulate: Simulate, fidelity: str) -> None:
    """With ``discard_late`` nothing comes through a radio that is always late: no connection, no answer."""
    result = simulate(hall(83, "12 ms", discard_late=True), fidelity=fidelity)
    assert {row.outcome for row in result.requests} <= {"unreachable", "timeout"}
    assert air(result)["up"]["lost"] == air(result)["up"]["packets"] > 0
    lost = [row for row in result.links if row.link == "air/cell-1/control up"]
    assert sum(row.lost_bytes for row in lost) == sum(row.sent_bytes for row in lost)


def test_handshakes_count_too(simulate: Simulate) -> None:
    """With TLS the flights of the handshake are packets of the slice like any others, and exceed the burst volume."""
    data = hall(82)
    plain = air(simulate(data))
    data["mesh"]["tls"] = {"mode": "STRICT"}
    mutual = air(simulate(data))
    assert mutual["up"]["packets"] > plain["up"]["packets"]
    assert mutual["up"]["beyond"] > plain["up"]["beyond"]
