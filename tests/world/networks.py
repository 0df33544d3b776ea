"""Networks that several tests build on."""

from __future__ import annotations

from typing import Any


def triangle_network(cores: int) -> dict[str, Any]:
    """Three nodes: from a to c it takes 2 ms by b, and 10 ms directly."""
    return {
        "nodes": {name: {"kind": "edge", "cores": cores} for name in "abc"},
        "links": [
            {"between": ["a", "b"], "latency": "1 ms"},
            {"between": ["b", "c"], "latency": "1 ms"},
            {"between": ["a", "c"], "latency": "10 ms"},
        ],
        "slices": {"web": {"sst": 1, "five_qi": 80}},
        "reroute_after": "50 ms",
    }
