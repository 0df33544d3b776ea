"""The laws that hold for any scenario, checked on random small ones."""

from __future__ import annotations

import copy
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from meshsim.telemetry.outcomes import REQUEST_OUTCOMES
from meshsim.telemetry.rows import ATTRIBUTION
from meshsim.world import accounts, state
from meshsim.world.clock import Clock

Data = dict[str, Any]
Simulate = Callable[..., Any]
NODES = ("n0", "n1", "n2", "n3", "n4")
EPOCH = "2026-01-01T00:00:00Z"

_durations = st.sampled_from(("1 us", "200 us", "3 ms", "20 ms"))
# A failing scenario is small as it comes; making it smaller would take minutes for each law that it breaks.
_all = settings(phases=[Phase.explicit, Phase.generate], suppress_health_check=[HealthCheck.too_slow])
_laws = settings(_all, max_examples=25)
_some = settings(_all, max_examples=12)
_few = settings(_all, max_examples=8)


_impairments: st.SearchStrategy[Data] = st.sampled_from(
    (
        {},
        {},
        {"delay": {"lognormal": {"median": "1 ms", "p99": "20 ms"}}, "reorder": "20 %"},
        {"loss": {"gilbert_elliott": {"average": "3 %", "mean_burst": 4}}, "duplicate": "5 %"},
        {"corrupt": "1 %", "mtu": "576 B"},
    )
)


@st.composite
def networks(draw: st.DrawFn) -> Data:
    """Draw a connected network; the first and third nodes are base stations."""
    count = draw(st.integers(2, 5))
    nodes = {}
    for index, name in enumerate(NODES[:count]):
        node: Data = {"kind": "gnb" if index in (0, 2) else "edge", "cores": draw(st.integers(1, 2))}
        if index > 1 and draw(st.booleans()):
            node |= {"cpu": "cortex-a72", "clock_skew": draw(st.sampled_from(("-90 s", "-3 s", "5 s", "2 h")))}
        nodes[name] = node
    # A base station forwards nothing for others: what joins the rest is a tree over the other nodes.
    joints = [[node for node in range(index) if node not in (0, 2)] or [0] for index in range(1, count)]
    pairs = {(NODES[draw(st.sampled_from(near))], NODES[index]) for index, near in enumerate(joints, 1)}
    pairs |= set(draw(st.lists(st.sampled_from(list(itertools.combinations(NODES[:count], 2))), max_size=2)))
    links: list[Data] = [
        {
            "between": list(pair),
            "latency": draw(_durations),
            "bandwidth": draw(st.sampled_from(("1 Mbit/s", "100 Mbit/s", "10 Gbit/s"))),
            "jitter": draw(st.sampled_from(("0 ms", "0 ms", "2 ms"))),
            "loss": draw(st.sampled_from(("0 %", "0 %", "2 %", "25 %"))),
            "queue": draw(st.sampled_from(("4 MiB", "4 MiB", "5 kB"))),
        }
        | draw(_impairments)
        for pair in sorted(pairs)
    ]
    return {"nodes": nodes, "links": links, "reroute_after": draw(st.sampled_from(("0 ms", "50 ms")))}


@st.composite
def services(draw: st.DrawFn, nodes: list[str]) -> Data:
    """Draw a call graph: each service but the first is called by an earlier one."""
    count = draw(st.integers(1, 5))
    steps: dict[int, list[Data]] = defaultdict(list)
    for index in range(1, count):
        call: Data = {"to": f"s{index}", "response": draw(st.sampled_from(("0 B", "1 kB", "40 kB")))}
        if draw(st.booleans()):
            call["optional"] = True
        if draw(st.booleans()):
            call["probability"] = "60 %"
        if draw(st.booleans()):
            call["timeout"] = draw(st.sampled_from(("5 ms", "60 ms")))
        if draw(st.integers(0, 3)) == 0:
            call["method"] = "DELETE"
        steps[draw(st.integers(0, index - 1))].append(call)
    found: Data = {}
    for index in range(count):
        calls = steps[index]
        together = len(calls) > 1 and draw(st.booleans())
        places = draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=2, unique=True))
        found[f"s{index}"] = {
            "replicas": {place: draw(st.integers(1, 2)) for place in places},
            "work": draw(
                st.sampled_from(({"exponential": "1 ms"}, {"constant": "0 ms"}, {"uniform": ["1 ms", "9 ms"]}))
            ),
            "calls": [{"parallel": calls}] if together else calls,
        }
        if draw(st.integers(0, 4)) == 0:
            found[f"s{index}"]["tls"] = {"mode": draw(st.sampled_from(("DISABLE", "PERMISSIVE")))}
    return found


@st.composite
def meshes(draw: st.DrawFn) -> Data:
    """Draw settings of the mesh, tight ones among them."""
    mesh: Data = {
        "tls": {
            "groups": draw(st.sampled_from((["X25519"], ["X25519MLKEM768", "X25519"]))),
            "mode": draw(st.sampled_from(("STRICT", "STRICT", "STRICT", "PERMISSIVE", "DISABLE"))),
            "resumption": draw(st.booleans()),
        },
        "identity": draw(
            st.sampled_from(
                (
                    {},
                    {"svid_ttl": "2 s", "backdate": "1 s", "rotate_at": "50 %"},
                    {"svid_ttl": "2 s", "backdate": "1 s", "rotate_at": "100 %"},
                    {"svid_ttl": "1 s", "backdate": "0 s", "issuer": {"timeout": "300 ms", "retry": {"base": "50 ms"}}},
                    {
                        "svid_ttl": "2 s",
                        "backdate": "1 s",
                        "rotate_jitter": "20 %",
                        "at_start": "onboarding",
                        "renew_within": "100 ms",
                        "ca_ttl": "4 s",
                        "ca_rotation": {"prepare": "2 s", "activate": "1 s"},
                        "issuer": {
                            "cores": 1,
                            "queue": 2,
                            "timeout": "200 ms",
                            "retry": {"base": "20 ms", "cap": "100 ms"},
                            "node_attestation": {"failure": "20 %", "time": "10 ms"},
                            "workload_attestation": {"failure": "20 %", "work": "2 ms"},
                        },
                    },
                )
            )
        ),
        "resilience": draw(
            st.sampled_from(
                (
                    {},
                    {"retries": 0},
                    {
                        "retries": 3,
                        "request_timeout": "400 ms",
                        "attempt_timeout": "60 ms",
                        "connect_timeout": "80 ms",
                        "backoff": "5 ms",
                        "retry_on": ["unreachable", "reset", "timeout", "tls-refused", "failed"],
                    },
                    {"request_timeout": "30 ms", "connect_timeout": "1 s"},
                )
            )
        ),
        "pool": draw(
            st.sampled_from(
                (
                    {},
                    {"streams_per_connection": 1, "max_connections": 1},
                    {"streams_per_connection": 2, "max_connections": 2, "idle_timeout": "30 ms"},
                )
            )
        ),
        "load_balancing": {
            "policy": draw(st.sampled_from(("least_request", "round_robin"))),
            "locality": draw(st.booleans()),
        },
        "control": {"failure_detection": "100 ms", "debounce": "10 ms"},
    }
    if draw(st.booleans()):
        mesh["policy"] = {"files": ["mesh.cedar"], "cache": draw(st.booleans())}
    return mesh


@st.composite
def fleets(draw: st.DrawFn, data: Data) -> None:
    """Draw one or two fleets with their flows into a scenario."""
    network = data["network"]
    data["fleets"], data["traffic"] = {}, []
    cells = {"a": "n0", "b": "n2" if "n2" in network["nodes"] else "n0"}
    for name in ("cars", "cameras")[: draw(st.integers(1, 2))]:
        kind = draw(st.sampled_from(("fixed", "quantiles", "trace", "node")))
        fleet: Data = {"size": draw(st.integers(1, 3))}
        if kind == "node":
            fleet["node"] = draw(st.sampled_from(sorted(network["nodes"])))
        else:
            fleet["radio"] = f"air-{name}"
            radio: Data = {
                "fixed": {"fixed": {"uplink": "3 ms", "downlink": "1 ms"}, "cells": cells},
                "quantiles": {"quantiles": {"file": "delays.csv", "network": "lab"}, "cells": {"a": "n0"}},
                "trace": {
                    "trace": {"file": "drive.csv"},
                    "cells": cells,
                    "handover_interruption": "30 ms",
                },
            }[kind]
            network.setdefault("radios", {})[f"air-{name}"] = radio | {"uplink": "20 Mbit/s"}
        data["fleets"][name] = fleet
        arrivals = draw(st.sampled_from(({"poisson": "40 /s"}, {"constant": "25 /s"}, {"poisson": "8 /s"})))
        data["traffic"].append(
            {
                "from": name,
                "to": "s0",
                "slice": draw(st.sampled_from(sorted(network["slices"]))),
                "arrivals": arrivals,
                "request": draw(st.sampled_from(("100 B", "6 kB", "30 kB"))),
                "response": draw(st.sampled_from(("100 B", "6 kB", "30 kB"))),
            }
        )
        flow = data["traffic"][-1]
        if kind == "trace" and flow["slice"] == "video" and draw(st.booleans()):
            flow["guaranteed"] = {"uplink": draw(st.sampled_from(("100 kbit/s", "3 Mbit/s"))), "downlink": "10 kbit/s"}
        if kind != "node" and draw(st.integers(0, 3)) == 0:
            network["slices"][flow["slice"]]["discard_late"] = True


@st.composite
def faults(draw: st.DrawFn, network: Data) -> list[Data]:
    """Draw up to two faults, each on a target of its own."""
    links = [f"{one}--{other}" for one, other in (link["between"] for link in network["links"])]
    found = []
    for target in draw(st.lists(st.sampled_from([*links, *network["nodes"]]), max_size=2, unique=True)):
        kind = "node-crash" if target in network["nodes"] else draw(st.sampled_from(("link-down", "latency-surge")))
        start_ms = draw(st.integers(1, 30)) * 50
        fault: Data = {"kind": kind, "target": target, "at": f"{start_ms} ms", "for": draw(_lasting)}
        found.append(fault | ({"add": "40 ms"} if kind == "latency-surge" else {}))
    return found


_lasting = st.sampled_from(("100 ms", "300 ms", "1 s"))


@st.composite
def scenarios(draw: st.DrawFn) -> Data:
    """Draw a small scenario of about three seconds."""
    network = draw(networks())
    network["slices"] = {"web": {"sst": 1, "five_qi": 80}, "video": {"sst": 2, "five_qi": 82, "share": "30 %"}}
    data: Data = {
        "scenario": "law",
        "seed": draw(st.integers(0, 3)),
        "duration": "3 s",
        "sample_every": "250 ms",
        "network": network,
        "services": draw(services(sorted(network["nodes"]))),
        "mesh": draw(meshes()),
    }
    draw(fleets(data))
    used = {flow["slice"] for flow in data["traffic"]}
    network["slices"] = {name: entry for name, entry in network["slices"].items() if name in used}
    data["faults"] = draw(faults(network))
    return data


def test_parts_are_named_as_their_columns() -> None:
    """The places of an account's parts are in the order of the columns that they become."""
    places = [getattr(accounts, name.removesuffix("_ns").upper()) for name in ATTRIBUTION]
    assert places == list(range(len(ATTRIBUTION)))


@_laws
@given(data=scenarios())
def test_accounts_close(simulate: Simulate, data: Data) -> None:
    """The parts of every request sum to its latency, none is negative, and each request has one outcome."""
    result = simulate(data, fidelity="modelled")
    numbers = []
    for row in result.requests:
        parts = [getattr(row, part) for part in ATTRIBUTION]
        assert sum(parts) == row.latency_ns == row.t_done_ns - row.t_intended_ns, row
        assert min(parts) >= 0, row
        assert row.outcome in REQUEST_OUTCOMES, row
        assert (row.outcome == "ok") == (row.status == 200), row
        assert row.t_sent_ns == -1 or row.t_intended_ns <= row.t_sent_ns <= row.t_done_ns, row
        numbers.append(row.request_id)
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


class _Tallying(Clock):
    """A clock that remembers the place in the order of each alarm that goes off."""

    def __init__(self) -> None:
        super().__init__()
        self.gone_off: list[int] = []

    def run_to_end(self) -> None:
        """Let everything happen, alarm by alarm."""
        while self._alarms:
            self.gone_off.append(self._alarms[0][1])
            self.step()


@_laws
@given(data=scenarios())
def test_no_alarm_is_dropped(simulate: Simulate, data: Data) -> None:
    """Every alarm that anybody made goes off once: none that an action returns is dropped on its way to the clock."""
    clocks: list[_Tallying] = []

    def clock() -> _Tallying:
        clocks.append(_Tallying())
        return clocks[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "Clock", clock)
        assert simulate(data, fidelity="modelled").requests
    (used,) = clocks
    assert sorted(place for place in used.gone_off if place > 0) == list(range(1, used.order + 1))


@_laws
@given(data=scenarios())
def test_every_arrival_is_a_request(simulate: Simulate, data: Data) -> None:
    """What the users ask for does not depend on how they are answered: the arrivals are those of an empty network."""
    arrivals = _arrivals(simulate(data, fidelity="modelled"))
    quiet = copy.deepcopy(data)
    quiet["faults"] = []
    quiet["mesh"] = {"tls": {"mode": "DISABLE"}}
    for link in quiet["network"]["links"]:
        link |= {"loss": "0 %", "jitter": "0 ms", "latency": "0 ms"}
    assert arrivals == _arrivals(simulate(quiet, fidelity="modelled"))


def _arrivals(result: Any) -> dict[str, list[tuple[int, str]]]:
    """When which device of each flow meant to send."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in sorted(result.requests, key=lambda row: row.request_id):
        found[row.source].append((row.t_intended_ns, row.client))
    return found


@_laws
@given(data=scenarios())
def test_calls_end_once_within_their_parents(simulate: Simulate, data: Data) -> None:
    """Each call has one row and lies within its parent's time, unless the parent was given up or killed."""
    result = simulate(data, fidelity="modelled")
    calls = {row.call_id: row for row in result.calls}
    assert len(calls) == len(result.calls)
    assert sorted(calls) == list(range(1, len(calls) + 1))
    roots = {row.request_id: row for row in result.calls if row.parent_id == 0}
    assert len(roots) == len(result.requests)
    for request in result.requests:
        root = roots[request.request_id]
        ends = (root.t_start_ns, root.t_end_ns, root.outcome, root.status, root.retries + 1)
        told = (request.t_intended_ns, request.t_done_ns, request.outcome, request.status, request.attempts)
        assert ends == told
    for call in result.calls:
        assert call.t_start_ns <= call.t_end_ns
        assert call.outcome in REQUEST_OUTCOMES
        if call.parent_id:
            parent = calls[call.parent_id]
            assert parent.request_id == call.request_id
            assert parent.t_start_ns <= call.t_start_ns
            answered = parent.status in (200, 502) and parent.retries == 0
            assert call.t_end_ns <= parent.t_end_ns or not answered, (parent, call)
            assert not call.critical or (parent.critical and call.t_end_ns <= parent.t_end_ns), (parent, call)


@_laws
@given(data=scenarios())
def test_bytes_are_delivered_or_lost(simulate: Simulate, data: Data) -> None:
    """What was offered to each link and cell over the whole run is what came through and what was lost."""
    result = simulate(data, fidelity="modelled")
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for row in result.links:
        totals[row.link].update(sent=row.sent_bytes, delivered=row.delivered_bytes, lost=row.lost_bytes)
        assert min(row.sent_bytes, row.delivered_bytes, row.lost_bytes, row.drops, row.queue_bytes) >= 0
        assert 0 <= row.utilisation_ppm <= 1_000_000, row
    for link, total in totals.items():
        assert total["sent"] == total["delivered"] + total["lost"], (link, total)
    for row in result.nodes:
        assert 0 <= row.utilisation_ppm <= 1_000_000, row


@_laws
@given(data=scenarios())
def test_handshakes_have_one_row(simulate: Simulate, data: Data) -> None:
    """Each connection has at most one handshake, and its times, sizes and outcome agree with each other."""
    result = simulate(data, fidelity="modelled")
    connections = [row.connection_id for row in result.handshakes]
    assert len(set(connections)) == len(connections)
    for row in result.handshakes:
        assert row.outcome in ("established", "refused", "broken"), row
        assert row.duration_ns >= 0, row
        assert row.tcp_ns >= 0, row
        if row.outcome == "established":
            assert row.round_trips >= 1, row
            assert row.mutual, row
            assert (row.version, row.alert, row.reason) == ("1.3", "", ""), row
            assert row.bytes_sent > 0, row
            assert row.bytes_received > 0, row
            assert row.cpu_client_ns > 0, row
            assert row.cpu_server_ns > 0, row
        else:
            assert row.reason, row


@_laws
@given(data=scenarios())
def test_policy_decides_before_delivery(simulate: Simulate, data: Data) -> None:
    """A denied call was denied by its last decision, reached no service, and nothing was delivered undecided."""
    result = simulate(data, fidelity="modelled")
    decided = defaultdict(list)
    for row in result.decisions:
        decided[row.call_id].append(row)
    calls = {row.call_id: row for row in result.calls}
    if "policy" not in data["mesh"]:
        assert not decided
    for call_id, decisions in decided.items():
        call = calls[call_id]
        assert all((row.source, row.destination) == (call.source, call.destination) for row in decisions)
        assert all(row.allowed == (row.method != "DELETE") for row in decisions)
        assert all(row.rule == ("most" if row.allowed else "no-deletes") for row in decisions)
    made = {row.parent_id for row in result.calls}
    for call in result.calls:
        if call.method == "DELETE":
            assert call.outcome != "ok" or not decided
            assert call.call_id not in made or not decided
        if call.outcome == "denied":
            assert not decided[call.call_id][-1].allowed
        if call.outcome == "ok" and "policy" in data["mesh"]:
            assert any(row.allowed for row in decided[call.call_id])


@_some
@given(data=scenarios())
def test_fidelities_and_repetitions_agree(simulate: Simulate, data: Data) -> None:
    """The same scenario gives the same bytes at every fidelity and when it is run again in one process."""
    modelled = simulate(data, fidelity="modelled")
    assert simulate(data, fidelity="modelled").content() == modelled.content()
    for fidelity in ("sampled", "real"):
        result = simulate(data, fidelity=fidelity)
        for table, rows in modelled.tables.items():
            assert result.tables[table] == rows, (fidelity, table)
        assert result.content() == modelled.content()


@_few
@given(data=scenarios())
def test_another_seed_is_another_run(simulate: Simulate, data: Data) -> None:
    """A changed seed changes the content of the tables."""
    seed = data["seed"] + 7
    assert simulate(data, fidelity="modelled").content() != simulate(data, fidelity="modelled", seed=seed).content()


@_few
@given(data=scenarios())
def test_additions_shift_nobody(simulate: Simulate, data: Data) -> None:
    """Adding a fault, a service or a fleet leaves the arrivals of the flows that were there as they were."""
    before = _arrivals(simulate(data, fidelity="modelled"))
    more = copy.deepcopy(data)
    more["services"] = {"extra": {"replicas": {"n1": 2}, "work": {"exponential": "1 ms"}}, **more["services"]}
    more["services"]["s0"]["calls"] = [{"to": "extra"}, *more["services"]["s0"]["calls"]]
    more["fleets"] = {"newcomers": {"node": "n0", "size": 2}, **more["fleets"]}
    slice_name = next(iter(more["network"]["slices"]))
    flow = {"from": "newcomers", "to": "s0", "slice": slice_name, "arrivals": {"poisson": "20 /s"}}
    more["traffic"] = [flow, *more["traffic"]]
    if not more["faults"]:
        more["faults"] = [{"kind": "node-crash", "target": "n1", "at": "1 s", "for": "500 ms"}]
    after = _arrivals(simulate(more, fidelity="modelled"))
    del after["newcomers"]
    assert after == before
