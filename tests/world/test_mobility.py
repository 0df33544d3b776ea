"""Devices that move: handovers, new addresses, services that follow."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import pytest

Convoy = Callable[..., Any]


@pytest.fixture(scope="module")
def convoy(run_shipped: Callable[..., Any]) -> Convoy:
    """A function that runs the convoy with overrides."""
    return lambda *overrides: run_shipped("follow-me", *overrides)


def test_handovers_are_those_of_the_trace(convoy: Convoy) -> None:
    """Every device is at the base station of the trace's cell, from the instant at which the trace changes it."""
    run = convoy()
    trace = run.loaded.radio_traces["n78-arterial"]
    cells = run.loaded.scenario.network.radios["n78-arterial"].cells
    for call in run.calls:
        index = bisect_right(trace.times_ns, call.t_end_ns) - 1
        assert call.source_node == cells[trace.cells[index]]


def test_a_new_address_breaks_connections_and_tickets_mend_them(convoy: Convoy) -> None:
    """With a new address at each handover every device connects again, resumed where it knows the server."""
    breaking, keeping = convoy(), convoy("network.radios.n78-arterial.handover_changes_address=false")
    cars = [row for row in breaking.handshakes if row.client.startswith("convoy/")]
    assert len(cars) > len([row for row in keeping.handshakes if row.client.startswith("convoy/")])
    assert [row.outcome for row in cars] == ["established"] * len(cars)
    assert sum(row.resumed for row in cars) >= 3 * 6  # three of the four handovers lead to a known server
    assert {row.outcome for row in breaking.requests} == {"ok"}


def test_a_service_follows_and_nothing_is_lost(convoy: Convoy) -> None:
    """The replica moves once, all sidecars hear of it, and every request is answered before, during and after."""
    run = convoy()
    moves = {(row.version, row.reason) for row in run.configs if row.reason != "start"}
    assert moves == {(2, "co-driver moved from edge-west to edge-east")}
    hosts = {row.proxy for row in run.configs}
    assert {row.proxy for row in run.configs if row.version == 2 and row.event == "acked"} == hosts
    served = [row.destination_node for row in sorted(run.calls, key=lambda row: row.t_start_ns)]
    assert served.index("edge-east") > served.index("edge-west")
    assert "edge-west" not in served[-100:]
    assert {row.outcome for row in run.requests} == {"ok"}


def road(**fleet: Any) -> dict[str, Any]:
    """Cars on a New Radio link that pass three cells of 100 m, each with an edge of its own, at 20 m/s."""
    path = {"through": [{"cell": cell, "length": "100 m"} for cell in ("west", "middle", "east")], "speed": "20 m/s"}
    return {
        "scenario": "road",
        "duration": "30 s",
        "network": {
            "nodes": {
                **{f"gnb-{cell}": {"kind": "gnb", "site": cell} for cell in ("west", "middle", "east")},
                **{f"edge-{cell}": {"kind": "edge", "site": cell} for cell in ("west", "east")},
            },
            "links": [
                {"between": ["gnb-west", "edge-west"], "latency": "0.2 ms"},
                {"between": ["gnb-middle", "edge-west"], "latency": "2 ms"},
                {"between": ["gnb-east", "edge-east"], "latency": "0.2 ms"},
                {"between": ["edge-west", "edge-east"], "latency": "3 ms"},
            ],
            "slices": {"v2x": {"sst": 4, "five_qi": 79}},
            "radios": {"air": {"nr": {}, "cells": {cell: f"gnb-{cell}" for cell in ("west", "middle", "east")}}},
        },
        "services": {"guide": {"replicas": {"edge-west": 1, "edge-east": 1}, "work": {"constant": "0.2 ms"}}},
        "fleets": {"cars": {"size": 4, "radio": "air", "path": path | fleet}},
        "traffic": [{"from": "cars", "to": "guide", "slice": "v2x", "arrivals": {"constant": "40 /s"}}],
    }


def test_paths_lead_over_cells(simulate: Callable[..., Any]) -> None:
    """Every request leaves from the base station of the stretch that its car is on, there and back."""
    run = simulate(road(spread=False), fidelity="modelled")
    lap = ["west", "middle", "east", "east", "middle", "west"]
    for call in run.calls:
        assert call.source_node == f"gnb-{lap[call.t_end_ns // 5_000_000_000 % 6]}", call


def test_spread_cars_are_everywhere(simulate: Callable[..., Any]) -> None:
    """Spread over the way, cars are in all cells at once; at one place they are all in one."""
    for spread, cells in ((True, {"west", "middle", "east"}), (False, {"west"})):
        run = simulate(road(spread=spread), fidelity="modelled")
        early = {call.source_node for call in run.calls if call.t_end_ns < 2_000_000_000}
        assert early == {f"gnb-{cell}" for cell in cells}


@pytest.mark.parametrize("fidelity", ["modelled", "real"])
def test_a_new_address_at_every_border_is_a_storm(simulate: Callable[..., Any], fidelity: str) -> None:
    """Cars that come to a cell together and get new addresses shake hands together, right behind the border."""
    data = road(spread=False)
    data["network"]["radios"]["air"] |= {"handover_changes_address": True, "handover_interruption": "30 ms"}
    run = simulate(data, fidelity=fidelity)
    storms = [row.t_start_ns / 1e9 for row in run.handshakes if row.outcome == "established"]
    # Borders at 5, 10, 20 and 25 s (at 15 s they turn, in the same cell); each car sends every 100 ms.
    for border_s in (5, 10, 20, 25):
        assert sum(border_s + 0.03 <= time_s < border_s + 0.3 for time_s in storms) == 4
    assert len(storms) == 4 + 4 * 4
    assert {row.outcome for row in run.requests} == {"ok"}


def test_a_service_follows_a_path(simulate: Callable[..., Any]) -> None:
    """With `follow` the replica is at the edge that the cars are near, without any measured drive."""
    data = road(spread=False)
    data["services"]["guide"] = {
        "replicas": {"edge-west": 1},
        "work": {"constant": "0.2 ms"},
        "follow": {"fleet": "cars", "among": ["edge-west", "edge-east"], "every": "1 s"},
    }
    run = simulate(data, fidelity="modelled")
    served = {row.destination_node for row in run.calls if 13e9 < row.t_start_ns < 15e9}
    assert served == {"edge-east"}
    assert {row.destination_node for row in run.calls if row.t_start_ns < 9e9} == {"edge-west"}
    assert {row.outcome for row in run.requests} == {"ok"}


@pytest.mark.parametrize("slicing", [True, False])
def test_what_waits_for_the_air_goes_along(simulate: Callable[..., Any], slicing: bool) -> None:
    """A packet that waits in a crowded cell when its car leaves goes by the next one, once the handover is over."""
    data = road(spread=False)
    data["sample_every"] = "100 ms"
    data["fleets"]["cars"]["size"] = 1
    radio = {"fixed": {"uplink": "3 ms", "downlink": "3 ms"}, "uplink": "1 Mbit/s", "handover_interruption": "40 ms"}
    data["network"]["radios"]["air"] = {"cells": data["network"]["radios"]["air"]["cells"], "slicing": slicing} | radio
    data["duration"] = "6 s"
    crowd = {"through": [{"cell": "west", "length": "100 km"}, {"cell": "middle", "length": "1 m"}], "speed": "36 km/h"}
    data["fleets"]["crowd"] = {"size": 20, "radio": "air", "path": crowd | {"spread": False}}
    data["mesh"] = {"tls": {"mode": "DISABLE"}, "resilience": {"request_timeout": "60 s"}}
    data["traffic"][0]["arrivals"] = {"constant": "1 /s"}
    videos = {"name": "videos", "from": "crowd", "request": "12 kB", "arrivals": {"constant": "80 /s"}, "start": "3 s"}
    data["traffic"].append(data["traffic"][0] | videos)
    run = simulate(data, fidelity="modelled")
    (last,) = (row for row in run.requests if row.source == "cars" and 3.9e9 < row.t_intended_ns < 4.5e9)
    assert 5.04e9 < last.t_done_ns < 5.08e9
    (waiting,) = (row for row in run.links if row.link == "air/west/v2x up" and row.t_ns == 5_000_000_000)
    assert waiting.queue_bytes > 60_000, "half a second's worth, or more, was before it"
    onward = {row.t_ns: row.sent_bytes for row in run.links if row.link == "gnb-middle->edge-west"}
    packets = 1 + 3 + 1  # it, its probe and two timeouts, as it waits for a second, and the next request
    assert [onward[t_ms * 1_000_000] for t_ms in (5_000, 5_100)] == [0, 674 * packets]


def test_acknowledgements_wait_for_the_end_of_a_handover(simulate: Callable[..., Any]) -> None:
    """A window that arrives in an interruption is acknowledged after it: the next comes a whole round trip later."""
    data = road(spread=False)
    cells = data["network"]["radios"]["air"]["cells"]
    fixed = {"uplink": "10 ms", "downlink": "10 ms"}
    data["network"]["radios"]["air"] = {"cells": cells, "fixed": fixed, "handover_interruption": "500 ms"}
    data["fleets"]["cars"]["size"] = 1
    data["duration"] = "5.1 s"
    data["mesh"] = {"tls": {"mode": "DISABLE"}}
    # Half of it is the first window, ten segments, on the air at the border and there during the interruption.
    data["traffic"][0] |= {"arrivals": {"constant": "1 /s"}, "start": "0.985 s", "response": "28 kB"}
    (row,) = (row for row in simulate(data, fidelity="modelled").requests if 4.9e9 < row.t_intended_ns < 5e9)
    round_trip_ns = 20_000_000 + 2 * 2_000_000
    assert 5.5e9 + round_trip_ns < row.t_done_ns < 5.5e9 + round_trip_ns + 2_000_000
