"""Slices as an operator sees them: identities, guarantees with borrowing, strict priority, reserves, error rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

Data = dict[str, Any]
Simulate = Callable[..., Any]

S = 1_000_000_000
ROOM_BPS = 20_000_000


def cell(slices: Data, offered: dict[str, str], **radio: Any) -> Data:
    """One cell of 20 Mbit/s: each slice has a fleet that sends requests of 20 kB at some rate for four seconds."""
    return {
        "scenario": "cell",
        "duration": "4 s",
        "sample_every": "500 ms",
        "network": {
            "nodes": {"gnb": {"kind": "gnb"}, "edge": {"kind": "edge", "cores": 64, "memory": "64 GiB"}},
            "links": [{"between": ["gnb", "edge"], "latency": "0.2 ms", "bandwidth": "10 Gbit/s"}],
            "slices": slices,
            "radios": {
                "air": {"fixed": {"uplink": "1 ms", "downlink": "1 ms"}, "cells": {"c": "gnb"}, "uplink": "20 Mbit/s"}
                | radio
            },
        },
        "services": {"ingest": {"replicas": {"edge": 1}, "work": {"constant": "0 ms"}}},
        "fleets": {f"of-{name}": {"size": 4, "radio": "air"} for name in slices},
        "mesh": {"tls": {"mode": "DISABLE"}, "resilience": {"request_timeout": "10 s"}},
        "traffic": [
            {
                "from": f"of-{name}",
                "to": "ingest",
                "slice": name,
                "arrivals": {"constant": offered[name]},
                "request": "20 kB",
                "response": "10 B",
            }
            for name in slices
        ],
    }


def shares(result: Any, from_s: int, to_s: int) -> dict[str, float]:
    """What part of the uplink's bits each slice has got over the seconds of a window."""
    got: Counter[str] = Counter()
    for row in result.links:
        if row.link.endswith(" up") and from_s * S < row.t_ns <= to_s * S:
            got[row.link.split("/")[2].removesuffix(" up").removesuffix(" guaranteed")] += row.delivered_bytes
    return {name: 8 * size_bytes / (to_s - from_s) / ROOM_BPS for name, size_bytes in got.items()}


@pytest.mark.parametrize("fidelity", ["modelled", "real"])
def test_guarantees_hold_and_what_is_left_is_borrowed(simulate: Simulate, fidelity: str) -> None:
    """With both overloaded each slice gets its share; while one is silent the other has the whole cell."""
    slices = {"video": {"sst": 1, "five_qi": 7, "share": "70 %"}, "bulk": {"sst": 3, "five_qi": 9, "share": "30 %"}}
    data = cell(slices, {"video": "200 /s", "bulk": "200 /s"})
    data["traffic"][0]["start"] = "2 s"
    result = simulate(data, fidelity=fidelity)
    assert shares(result, 1, 2) == {"bulk": pytest.approx(1, abs=0.02), "video": 0}
    assert shares(result, 3, 4) == pytest.approx({"video": 0.7, "bulk": 0.3}, abs=0.02)


def test_priority_is_strict_beyond_the_guarantees(simulate: Simulate) -> None:
    """What nobody is guaranteed goes to the more important slice alone, whatever the 5QI's own priorities say."""
    little = {"share": "1 %"}
    slices = {
        "first": {"sst": 1, "five_qi": 9, "priority": 5} | little,
        "last": {"sst": 2, "five_qi": 7} | little,
    }
    result = simulate(cell(slices, {"first": "200 /s", "last": "200 /s"}), fidelity="modelled")
    assert shares(result, 1, 4) == pytest.approx({"first": 0.99, "last": 0.01}, abs=0.01)
    slices["first"]["priority"] = 127
    turned = simulate(cell(slices, {"first": "200 /s", "last": "200 /s"}), fidelity="modelled")
    assert shares(turned, 1, 4) == pytest.approx({"first": 0.01, "last": 0.99}, abs=0.01)


def test_priority_of_an_operators_own_5qi(simulate: Simulate) -> None:
    """Without a priority of its own a slice has that of its 5QI, also of one that the operator has made."""
    own = {"resource_type": "Non-GBR", "priority": 3, "packet_delay_budget": "50 ms", "packet_error_rate": 1e-3}
    slices = {
        "usual": {"sst": 1, "five_qi": 5, "share": "1 %"},
        "own": {"sst": 2, "five_qi": 200, "share": "1 %"},
    }
    data = cell(slices, {"usual": "200 /s", "own": "200 /s"})
    data["network"]["five_qis"] = {"200": own}
    assert shares(simulate(data, fidelity="modelled"), 1, 4)["own"] > 0.95


def test_a_guaranteed_bit_rate_is_a_reserve(simulate: Simulate) -> None:
    """A slice with a bit rate gets it against a more important slice that offers ten times the cell."""
    slices = {
        "live": {"sst": 1, "five_qi": 4, "guaranteed": "6 Mbit/s"},
        "flood": {"sst": 2, "five_qi": 5},
    }
    result = simulate(cell(slices, {"live": "30 /s", "flood": "1250 /s"}), fidelity="modelled")
    assert shares(result, 1, 4)["live"] == pytest.approx(30 * 20_000 * 8 / ROOM_BPS, rel=0.06)
    live = [row for row in result.requests if row.slice == "live" and row.t_intended_ns < 3 * S]
    assert {row.outcome for row in live} == {"ok"}
    assert max(row.latency_ns for row in live) < 0.1 * S


def test_one_type_of_slice_twice_is_told_apart_by_sd(simulate: Simulate) -> None:
    """Two slices of one SST with different SDs are scheduled apart, and rows name each."""
    slices = {
        "a": {"sst": 1, "sd": "000001", "five_qi": 9, "share": "60 %"},
        "b": {"sst": 1, "sd": "00000B", "five_qi": 9, "share": "40 %"},
    }
    result = simulate(cell(slices, {"a": "200 /s", "b": "200 /s"}), fidelity="modelled")
    assert shares(result, 1, 4) == pytest.approx({"a": 0.6, "b": 0.4}, abs=0.02)
    assert {row.slice for row in result.requests} == {row.slice for row in result.radio} == {"a", "b"}


def lossy(rlc: str, retransmissions: int) -> Data:
    """A New Radio link whose blocks fail with 20 %, for small requests."""
    nr = {"block_error_rate": "20 %", "harq_retransmissions": retransmissions, "rlc": rlc, "pattern": "FDD"}
    data = cell({"web": {"sst": 1, "five_qi": 9}}, {"web": "100 /s"})
    radio = data["network"]["radios"]["air"]
    del radio["fixed"]
    radio["nr"] = nr
    data["traffic"][0] |= {"request": "100 B"}
    return data


@pytest.mark.parametrize("fidelity", ["modelled", "sampled", "real"])
def test_error_rate_of_a_radio_that_does_not_retransmit(simulate: Simulate, fidelity: str) -> None:
    """Without RLC's retransmission the share of lost packets is the block error rate's power, and TCP mends it."""
    result = simulate(lossy("unacknowledged", 1), fidelity=fidelity)
    packets, lost = sum(row.packets for row in result.radio), sum(row.lost for row in result.radio)
    assert packets > 600
    assert lost / packets == pytest.approx(0.04, abs=0.025)
    assert {row.outcome for row in result.requests} == {"ok"}
    waited = [row.tcp_ns for row in result.requests if row.tcp_ns > 150_000_000]
    assert waited, "a lost packet is a timeout of TCP"


def test_loss_becomes_delay_with_acknowledgement(simulate: Simulate) -> None:
    """With RLC's retransmission nothing is lost, and what had failed twice took 35 ms longer at least."""
    result = simulate(lossy("acknowledged", 1), fidelity="modelled")
    assert sum(row.lost for row in result.radio) == 0
    assert max(row.longest_ns for row in result.radio) > 35_000_000
    assert max(row.tcp_ns for row in result.requests if row.attempts == 1 and row.request_id > 20) < 60_000_000
