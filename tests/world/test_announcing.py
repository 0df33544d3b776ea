"""When the control plane pushes: after a while without changes, or after the longest that it waits."""

from __future__ import annotations

from typing import Any

import pytest

from meshsim.control.resources import endpoints_size_bytes
from meshsim.network.tcp import HEADER_BYTES
from meshsim.world.build import endpoint_of

Data = dict[str, Any]
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


def cut_off(start: str, seconds: str, **control: object) -> Data:
    """A service and its clients on one side of a link that is cut, the control plane on the other."""
    return {
        "scenario": "cut-off",
        "duration": "12 s",
        "fidelity": "modelled",
        "network": {
            "nodes": {"heart": {"kind": "core"}, "edge": {"kind": "edge"}},
            "links": [{"name": "trunk", "between": ["heart", "edge"], "latency": "1 ms"}],
            "slices": {"web": {"sst": 1, "five_qi": 9}},
            "reroute_after": "10 ms",
        },
        "services": {
            "front": {"replicas": {"edge": 1}, "work": {"constant": "1 ms"}},
            "far": {"replicas": {"heart": 1}, "work": {"constant": "1 ms"}},
        },
        "fleets": {"client": {"node": "edge"}, "office": {"node": "heart"}},
        "mesh": {"control": control},
        "traffic": [
            {"from": "client", "to": "front", "slice": "web", "arrivals": {"constant": "50 /s"}},
            {"from": "office", "to": "far", "slice": "web", "arrivals": {"constant": "50 /s"}},
        ],
        "faults": [{"kind": "link-down", "target": "trunk", "at": start, "for": seconds}],
    }


def heard(result: Any, proxy: str) -> list[tuple[int, str]]:
    """What a fleet was told after the start, with the tenth of a second in which it was."""
    rows = [row for row in result.configs if row.event == "acked" and row.version > 1]
    return [(row.t_ns // (S // 10), row.reason) for row in rows if row.proxy.startswith(proxy)]


def test_a_proxy_behind_a_cut_hears_what_is_current_after_it(simulate: Any) -> None:
    """What it was to hear is lost with its stream; once its node is known to be back it is told what holds then."""
    result = simulate(cut_off("2 s", "4500 ms"))
    # Noticed 1.1 s after the cut; the repair is noticed 1.1 s after it, too.
    assert heard(result, "office") == [(31, "edge is unhealthy"), (76, "edge is healthy again")]
    assert heard(result, "client") == [(76, "edge is healthy again")]
    assert {row.outcome for row in result.requests if row.source == "client"} == {"ok"}


def test_news_on_a_link_that_is_cut_are_lost(simulate: Any) -> None:
    """A push that is on the link when it is cut does not arrive, and the proxy gets what is current by the next."""
    data = cut_off("3 s", "500 ms", failure_detection="1 s", debounce="0 s")
    data["network"]["links"][0]["latency"] = "20 ms"
    data["network"]["nodes"]["third"] = {"kind": "edge"}
    data["network"]["links"].append({"between": ["third", "heart"], "latency": "1 ms"})
    data["services"]["front"]["replicas"]["third"] = 1
    # Noticed at 2.99 s, ten milliseconds before the cut: what is pushed then is half way. At 4 s the control plane
    # looks again, for the sake of the cut that is over by then.
    data["faults"].insert(0, {"kind": "node-crash", "target": "third", "at": "1990 ms", "for": "6 s"})
    result = simulate(data)
    told = [row for row in result.configs if row.proxy == "client/0" and row.version == 2]
    assert [row.event for row in told] == ["sent", "stale", "acked"]
    assert [row.t_ns // MS for row in told] == [2990, 3010, 4020]
    assert told[1].sent_bytes > 0
    assert [row.event for row in result.configs if row.proxy == "office/0" and row.version == 2] == ["sent", "acked"]


def test_who_has_the_version_before_is_told_what_changed(simulate: Any) -> None:
    """A push has the services that are elsewhere than before, and to who has missed a version all of them."""
    data = cut_off("5 s", "4 s", failure_detection="1 s", debounce="0 s")
    data["network"]["nodes"]["third"] = {"kind": "edge"}
    data["network"]["links"].append({"between": ["third", "heart"], "latency": "1 ms"})
    data["services"]["front"]["replicas"]["third"] = 1
    data["faults"].append({"kind": "node-crash", "target": "third", "at": "1 s", "for": "9 s"})
    result = simulate(data)
    left = {
        "front": (endpoint_of(result.world._state.replicas[0]),),
        "far": (endpoint_of(result.world._state.replicas[2]),),
    }
    sent = {row.version: row.sent_bytes for row in result.configs if row.event == "acked" and row.proxy == "client/0"}
    # Version 3 said that edge is unhealthy, and did not come there.
    assert sent[2] == endpoints_size_bytes(left, frozenset(), ["front"], 2) + HEADER_BYTES
    assert sent[4] == endpoints_size_bytes(left, frozenset(), ["front", "far"], 4) + HEADER_BYTES


def test_news_that_newer_ones_have_overtaken_are_not_taken(simulate: Any) -> None:
    """What a lost packet held up comes after the next announcement, and nobody goes back to it."""
    data = cut_off("500 ms", "10 ms", failure_detection="100 ms", debounce="0 s")
    data["network"]["links"][0]["loss"] = "30 %"
    data["fleets"]["client"]["size"] = 8
    for name in ("third", "fourth"):
        data["network"]["nodes"][name] = {"kind": "edge"}
        data["network"]["links"].append({"between": [name, "heart"], "latency": "1 ms"})
        data["services"]["front"]["replicas"][name] = 1
    crashes = [("third", "2 s"), ("fourth", "2300 ms")]
    data["faults"] += [{"kind": "node-crash", "target": name, "at": at, "for": "9 s"} for name, at in crashes]
    result = simulate(data)
    late = 0
    for proxy in {row.proxy for row in result.configs}:
        rows = [row for row in result.configs if row.proxy == proxy and row.kind == "endpoints"]
        acked = [row.version for row in rows if row.event == "acked"]
        assert acked == sorted(acked)
        late += any(row.event == "stale" and row.sent_bytes and row.version < max(acked) for row in rows)
    assert late
