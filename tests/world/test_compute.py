"""Cores: who shares them waits for the others, and what they cost depends on the CPU and on what it can do itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Data = dict[str, Any]
Simulate = Callable[..., Any]


def node(cores: int, neighbour: str, **edge: Any) -> Data:
    """A service with one request a 10 ms on a node where another one works as well, each millisecond for a while."""
    return {
        "scenario": "node",
        "duration": "3 s",
        "network": {
            "nodes": {"client": {"kind": "edge", "cores": 64}, "edge": {"kind": "edge", "cores": cores} | edge},
            "links": [{"between": ["client", "edge"], "latency": "1 ms", "bandwidth": "10 Gbit/s"}],
            "slices": {"web": {"sst": 1, "five_qi": 9}},
        },
        "services": {
            "quick": {"replicas": {"edge": 1}, "work": {"constant": "0.1 ms"}},
            "heavy": {"replicas": {"edge": 1}, "work": {"constant": neighbour}},
        },
        "fleets": {"callers": {"node": "client"}, "workers": {"node": "client"}},
        "traffic": [
            {"from": "callers", "to": "quick", "slice": "web", "arrivals": {"constant": "97 /s"}, "response": "40 kB"},
            {"from": "workers", "to": "heavy", "slice": "web", "arrivals": {"constant": "100 /s"}},
        ],
    }


def mean_ns(result: Any, part: str) -> float:
    """Mean of a part of latency over the later requests to the quick service."""
    rows = [row for row in result.requests if row.service == "quick" and row.t_intended_ns > 1_000_000_000]
    return sum(getattr(row, part) for row in rows) / len(rows)


def test_services_on_one_node_contend(simulate: Simulate) -> None:
    """On one core a neighbour that works 8 of 10 ms makes others wait; on another core it does not."""
    alone = mean_ns(simulate(node(1, "0 ms"), fidelity="modelled"), "queue_ns")
    beside = mean_ns(simulate(node(1, "8 ms"), fidelity="modelled"), "queue_ns")
    apart = mean_ns(simulate(node(2, "8 ms"), fidelity="modelled"), "queue_ns")
    assert beside > 2_000_000 > 100 * max(alone, 1)
    assert apart < 0.1 * beside


@pytest.mark.parametrize("fidelity", ["modelled", "real"])
def test_aes_in_software_costs_what_it_does(simulate: Simulate, fidelity: str) -> None:
    """Without AES instructions records of 40 kB take longer to seal; with ChaCha20 they do not."""
    times = {}
    for hardware in (True, False):
        for cipher in ("TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"):
            data = node(4, "0 ms", hardware_crypto=hardware)
            data["mesh"] = {"tls": {"ciphers": [cipher]}}
            result = simulate(data, fidelity=fidelity)
            times[hardware, cipher] = mean_ns(result, "crypto_ns")
            assert mean_ns(result, "service_ns") == 100_000
    aes = "TLS_AES_128_GCM_SHA256"
    assert times[False, aes] > 3 * times[True, aes]
    chacha = "TLS_CHACHA20_POLY1305_SHA256"
    assert times[False, chacha] == times[True, chacha]
