"""What engines are asked in a whole run, with everything that a policy can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from meshsim.policy.engine import Default, Directory, PolicyEngine, PolicyFile
from meshsim.policy.engines import ENGINES
from meshsim.policy.question import EXTRA_ATTRIBUTES, Decision, Question
from meshsim.scenario.policy import Policy
from meshsim.world.addresses import Addresses

Data = dict[str, Any]
EPOCH_S = 1_767_225_600


class Reader:
    """Reads everything, remembers what it was asked, and allows what it is asked in even seconds."""

    name, version, size = "cedar", "0", 1

    def __init__(self, reads: frozenset[str]) -> None:
        self.reads = reads
        self.asked: list[Question] = []

    def decide(self, question: Question) -> Decision:
        """Allow in even seconds."""
        self.asked.append(question)
        return Decision(question.time_s % 2 == 0, "even")

    def explain(self, question: Question) -> tuple[()]:
        """There are no rules."""
        return ()


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    """The engine that every scenario gets."""
    engine = Reader(EXTRA_ATTRIBUTES)

    def build(
        files: Sequence[PolicyFile], directory: Directory, default: Default, settings: Policy | None
    ) -> PolicyEngine:
        return engine

    monkeypatch.setitem(ENGINES, "cedar", build)  # type: ignore[arg-type] # the table is a plain dict
    return engine


def _with_calls(line: Data) -> Data:
    line["duration"] = "4 s"
    line["network"]["nodes"]["edge"]["clock_skew"] = "-1500 ms"
    line["services"]["front"]["calls"] = [{"to": "back", "path": "/b?x=1", "headers": {"X-Tenant": "blue"}}]
    line["services"]["back"] = {"replicas": {"edge": 2}, "work": {"constant": "1 ms"}}
    line["traffic"][0]["headers"] = {"cookie": "a=1", "Accept": "text/html"}
    line["mesh"] = {"policy": {"files": ["mesh.cedar"]}}
    return line


def test_what_is_asked_in_a_run(simulate: Any, line: Data, reader: Reader) -> None:
    """Replicas and devices have addresses, nodes and clocks of their own, and calls carry their fields."""
    result = simulate(_with_calls(line))
    first, second = reader.asked[:2]
    assert (first.source_ip, first.destination_ip, first.source_node, first.node) == (
        "100.64.0.1",
        "10.244.1.2",
        "gnb",
        "edge",
    )
    assert first.headers == (("accept", "text/html"), ("cookie", "a=1"))
    assert (first.time_s, first.certificate_age_s) == (EPOCH_S - 2, 8)
    assert (first.tls_version, first.group, first.port, first.host) == ("1.3", "X25519", 8080, "front")
    assert (second.source_ip, second.destination_ip, second.source_node) == ("10.244.1.2", "10.244.1.3", "edge")
    assert (second.path, second.query, second.headers) == ("/b", "x=1", (("x-tenant", "blue"),))
    seconds = {(row.t_ns - 1_500_000_000) // 10**9 % 2: row.allowed for row in result.decisions}
    assert seconds == {0: True, 1: False}


def test_each_fidelity_asks_the_same(simulate: Any, line: Data, reader: Reader) -> None:
    """At every fidelity the content is the same, with fields carried for real and time in questions."""
    scenario = _with_calls(line)
    contents = {simulate(scenario, fidelity=level).content() for level in ("real", "sampled", "modelled")}
    assert len(contents) == 1


def test_decisions_of_earlier_seconds_are_not_in_the_cache(simulate: Any, line: Data, reader: Reader) -> None:
    """Where policies read a clock, a sidecar's cache helps within one second."""
    line["traffic"][0]["arrivals"] = {"constant": "4 /s"}
    line["mesh"] = {"policy": {"files": ["mesh.cedar"], "cache": True}}
    cached = [row.cached for row in simulate(line).decisions]
    assert cached == [False, True, True, True]
    cached = [row.cached for row in simulate(line, duration="2 s").decisions]
    assert cached == [False, True, True, True] * 2


def test_fields_make_requests_longer(simulate: Any, line: Data) -> None:
    """A field is charged with its size on the wire."""
    plain = simulate(line).calls
    line["traffic"][0]["headers"] = {"x-a": "b" * 1000}
    longer = simulate(line).calls
    assert longer[0].bytes_sent - plain[0].bytes_sent == 1 + 4 + 3 + 750


def _addresses(simulate: Any, line: Data) -> tuple[Any, Addresses]:
    state = simulate(line).world._state
    return state, Addresses(state)


def test_addresses_are_by_node_and_number(simulate: Any, line: Data) -> None:
    """Each node has blocks of its own, and a fleet on a node takes the numbers after the replicas there."""
    line["services"]["front"]["replicas"] = {"edge": 300}
    line["network"]["nodes"]["edge"]["memory"] = "64 GiB"
    line["network"]["nodes"]["last"] = {"kind": "edge"}
    line["network"]["links"].append({"between": ["edge", "last"], "latency": "1 ms"})
    line["fleets"]["clients"] = {"size": 2, "node": "edge"}
    line["fleets"]["others"] = {"node": "last"}
    for fleet in ("clients", "others"):
        line["traffic"].append({"from": fleet, "to": "front", "slice": "web", "arrivals": {"constant": "1 /s"}})
    state, addresses = _addresses(simulate, line)
    of = {host.name: addresses.of(host) for host in state.hosts()}
    assert of["front/0"] == "10.244.1.2"
    assert of["front/252"] == "10.244.1.254"
    assert of["front/253"] == "10.244.2.2"
    assert (of["clients/0"], of["clients/1"]) == ("10.244.2.49", "10.244.2.50")
    assert of["others/0"] == "10.244.3.2"
    assert of["phone/0"] == "100.64.0.1"
    assert len(set(of.values())) == len(of)


def test_a_handover_can_change_the_address(simulate: Any, line: Data) -> None:
    """A device that gets another address gets one that no other has."""
    line["network"]["nodes"]["gnb-2"] = {"kind": "gnb"}
    line["network"]["links"].append({"between": ["gnb-2", "edge"], "latency": "1 ms"})
    air = line["network"]["radios"]["air"] = {"trace": {"file": "drive.csv"}, "cells": {"a": "gnb", "b": "gnb-2"}}
    line["fleets"]["phone"]["size"] = 3
    state, addresses = _addresses(simulate, line)
    assert [addresses.of(device) for device in state.devices["phone"]] == [f"100.64.0.{n}" for n in (1, 2, 3)]
    air["handover_changes_address"] = True
    state, addresses = _addresses(simulate, line)
    moves = [device.moves for device in state.devices["phone"]]
    assert sorted(set(moves)) == [0, 1]
    now = [addresses.of(device) for device in state.devices["phone"]]
    assert now == [f"100.64.0.{1 + number + 3 * moved}" for number, moved in enumerate(moves)]
