"""When the control plane pushes: after a while without changes, or after the longest that it waits."""

from __future__ import annotations

from typing import Any

import pytest

MS = 1_000_000
S = 1_000_000_000


@pytest.mark.parametrize(
    ("longest", "pushes"),
    [
        (None, {2: 1_300, 3: 1_500}),
        ("10 s", {2: 1_800}),
        ("500 ms", {2: 1_600}),
    ],
)
def test_changes_are_gathered(simulate: Any, longest: str | None, pushes: dict[int, int]) -> None:
    """Three nodes that fail one after the other are one push or several, by how long the control plane waits."""
    control: dict[str, Any] = {"node": "a", "failure_detection": "100 ms", "debounce": "300 ms"}
    if longest is not None:
        control["debounce_max"] = longest
    else:
        control["debounce"] = "200 ms"
    nodes = ("b", "c", "d")
    faults = [
        {"kind": "node-crash", "target": node, "at": f"{1000 + 200 * index} ms", "for": "30 s"}
        for index, node in enumerate(nodes)
    ]
    result = simulate(
        {
            "scenario": "gathering",
            "duration": "40 s",
            "fidelity": "modelled",
            "network": {
                "nodes": {name: {"kind": "edge"} for name in ("a", *nodes)},
                "links": [{"between": ["a", node], "latency": "1 ms"} for node in nodes],
                "slices": {"web": {"sst": 1, "five_qi": 9}},
                "reroute_after": "10 ms",
            },
            "services": {"front": {"replicas": dict.fromkeys(nodes, 1) | {"a": 1}, "work": {"constant": "1 ms"}}},
            "fleets": {"client": {"node": "a"}},
            "mesh": {
                "control": control,
                "load_balancing": {"locality": False},
                "resilience": {"connect_timeout": "100 ms", "request_timeout": "1 s"},
            },
            "traffic": [{"from": "client", "to": "front", "slice": "web", "arrivals": {"constant": "20 /s"}}],
            "faults": faults,
        }
    )
    sent = {row.version: row.t_ns // MS for row in result.configs if row.event == "sent" and row.t_ns < 5 * S}
    assert sent == {1: 0} | pushes


def test_old_news_of_health_arrives_first_after_a_cut(simulate: Any) -> None:
    """What a proxy behind a cut was to hear reaches it after the repair: until it hears more its side is unhealthy."""
    result = simulate(
        {
            "scenario": "cut-off",
            "duration": "12 s",
            "fidelity": "modelled",
            "network": {
                "nodes": {"heart": {"kind": "core"}, "edge": {"kind": "edge"}},
                "links": [{"name": "trunk", "between": ["heart", "edge"], "latency": "1 ms"}],
                "slices": {"web": {"sst": 1, "five_qi": 9}},
                "reroute_after": "10 ms",
            },
            "services": {"front": {"replicas": {"edge": 1}, "work": {"constant": "1 ms"}}},
            "fleets": {"client": {"node": "edge"}},
            "traffic": [{"from": "client", "to": "front", "slice": "web", "arrivals": {"constant": "50 /s"}}],
            "faults": [{"kind": "link-down", "target": "trunk", "at": "2 s", "for": "4500 ms"}],
        }
    )
    heard = [
        (row.t_ns // (S // 10), row.reason)
        for row in result.configs
        if row.event == "acked" and row.proxy.startswith("client") and row.version > 1
    ]
    # Noticed 1.1 s after the cut and tried each second from then on; the repair is noticed 1.1 s after it, too.
    assert heard == [(71, "edge is unhealthy"), (76, "edge is healthy again")]
    failed = [row for row in result.requests if row.outcome != "ok"]
    assert {row.outcome for row in failed} == {"unreachable"}
    assert failed[0].t_sent_ns > 7 * S
    assert failed[-1].t_sent_ns < 7_700 * MS
