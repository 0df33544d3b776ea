"""Several mistakes in one list: each is told on the lines of its own item, and none follows from another's."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_text

PATH = Path(__file__).parent / "data" / "valid.yaml"
VALID = PATH.read_text(encoding="utf-8")
TOP = """\
scenario: many
duration: 60 s
network:
  nodes: {core-1: {kind: core}, edge-1: {kind: edge}, edge-2: {kind: edge}}
  links: [{between: [core-1, edge-1], latency: 1 ms}, {between: [edge-1, edge-2], latency: 1 ms, name: spur}]
  slices: {urllc: {sst: 2, five_qi: 80}}
services: {fleet-mgr: {replicas: {edge-1: 1}, work: {constant: 1 ms}}}
fleets: {agvs: {size: 1, node: edge-2}}
"""
RIGHT = {
    "traffic": "{from: agvs, to: fleet-mgr, slice: urllc, arrivals: {constant: 1 /s}, name: NAME}",
    "faults": "{kind: link-down, name: NAME, target: spur, at: NUMBER2 s, for: 1 s}",
    "expect": "{never: plaintext-on-wire}",
}
ITEMS = {
    "expect": (
        "{slice: urlc}",
        "{never: plaintext-on-wire, slice: urllc}",
        "{service: fleet-mgr, source: first, latency_p95: {at_most: 3 ms}}",
        "{success_rate: 99 %}",
        "{success_rate: {at_least: 99 %}, latency_p99: {}}",
        "{never: plaintext}",
        "{never: plaintext,\n     foo: 1}",
        "{p95: {at_most: 3 ms}}",
        "{recovers: {within: 5 s, success_rate: {at_least: 99 %}}, slice: urllc}",
        "{recovers: {after: quake, within: 5 s, success_rate: {at_most: 99 %}}}",
        "{latency_p99: {at_most: 3 ms},\n     during: nowhere}",
        "{service: fleet-manager, requests: {at_least: -1}}",
        "nonsense",
        "[never]",
        "null",
        "{}",
    ),
    "traffic": (
        "nonsense",
        "{from: agvs}",
        "{from: agvs, to: fleet-mgr, slice: urlc, arrivals: {constant: 1 /s}, name: NAME}",
        "{from: agvs, to: fleet-mgr, slice: urllc, arrivals: {constant: 1}, name: NAME}",
        "{from: agvs, to: fleet-mgr, slice: urllc,\n     arrivals: {}, name: NAME}",
        "{from: agvs, to: fleet-mgr, slice: urllc, arrivals: {constant: 1 /s}, name: NAME, stop: 90 s}",
        "{from: agvs, to: fleet-mgr, slice: urllc, arrivals: {trace: {file: none.csv}}, name: NAME}",
        "{from: agvs, to: fleet-mgr, slice: urllc, arrivals: {constant: 1 /s}, name: NAME, requst: {}}",
    ),
    "faults": (
        "nonsense",
        "{kind: link-down}",
        "{kind: link-dwn, name: NAME, target: spur, at: NUMBER2 s, for: 1 s}",
        "{kind: link-down, name: NAME, target: spurr, at: NUMBER2 s, for: 1 s}",
        "{kind: link-down, name: NAME, target: spur, at: 2, for: 1}",
        "{kind: link-down, name: NAME, target: core-1--edge-1, at: 7NUMBER s,\n     for: 1 s}",
        "{kind: latency-surge, name: NAME, target: core-1--edge-1, at: NUMBER7 s, for: 1 s}",
    ),
}


@cache
def told(key: str, items: tuple[str, ...]) -> tuple[tuple[int, int, str], ...]:
    """(item, line in it, message) of what is said of a scenario whose list ``key`` holds ``items``; item -1 is none."""
    text = TOP
    for name in ("traffic", "faults", "expect"):
        if name == key:
            first = text.count("\n") + 2
        listed = items if name == key else (RIGHT[name],)
        named = [
            item.replace("NAME", f"{name}-{number}" if number else "first").replace("NUMBER", str(number))
            for number, item in enumerate(listed)
        ]
        text += f"{name}:\n" + "".join(f"  - {item}\n" for item in named)
    owners = [(number, line) for number, item in enumerate(items) for line in range(item.count("\n") + 1)]
    try:
        load_text(text, PATH)
    except ScenarioError as error:
        places = [(one.line - first, one.message) for one in error.diagnostics]
        return tuple((*(owners[line] if 0 <= line < len(owners) else (-1, line)), message) for line, message in places)
    return ()


@pytest.mark.parametrize("key", ITEMS)
def test_right_items_are_accepted(key: str) -> None:
    """What stands between the mistakes below has none."""
    assert told(key, (RIGHT[key],)) == ()


def test_expectations() -> None:
    """Each mistake in a list of expectations is told where it is, and the right one in between is left alone."""
    assert told("expect", ITEMS["expect"][:4]) == (
        (0, 0, "no metric is expected; expected one or more, such as latency_p99 or success_rate"),
        (0, 0, "there is no slice 'urlc'; did you mean 'urllc'?"),
        (1, 0, "'never' stands alone; expected no 'slice' beside it"),
        (3, 0, "'success_rate' is '99 %'; expected a mapping with at_most, at_least, such as {at_least: 99 %}"),
    )


def test_what_stands_alone() -> None:
    """A filter beside `recovers` belongs inside it; anything else is not to be there."""
    said = told("expect", ("{recovers: {within: 5 s, success_rate: {at_least: 99 %}}, slice: urllc, seed: 1}",))
    assert [message for _, _, message in said][-2:] == [
        "'recovers' stands alone; expected 'slice' inside it",
        "'recovers' stands alone; expected no 'seed' beside it",
    ]


def test_a_part_of_a_metric() -> None:
    """A metric that lacks its first half is found."""
    assert told("expect", ("{p95: {at_most: 3 ms}}",)) == ((0, 0, "unknown key 'p95'; did you mean 'latency_p95'?"),)


LISTS = st.sampled_from(sorted(ITEMS)).flatmap(
    lambda key: st.tuples(
        st.just(key), st.lists(st.sampled_from((RIGHT[key], *ITEMS[key])), min_size=1, max_size=6).map(tuple)
    )
)


@settings(max_examples=150, deadline=None)
@given(LISTS)
@example(("expect", ITEMS["expect"]))
def test_each_mistake_on_the_lines_of_its_item(case: tuple[str, tuple[str, ...]]) -> None:
    """Of a list is told what is told of each item among right ones: nothing invented, nothing swallowed or moved."""
    key, items = case
    alone = []
    for number, item in enumerate(items):
        others = [RIGHT[key]] * len(items)
        others[number] = item
        said = told(key, tuple(others))
        assert all(place == number for place, _, _ in said)
        alone += said
    assert sorted(told(key, items)) == sorted(alone)


GROUPS = """\
scenario: groups
duration: 1 s
network: {nodes: {edge-1: {kind: edge}, ring: {kind: router}}, slices: {web: {sst: 1, five_qi: 9}}}
services: {back: {replicas: {edge-1: 1}, work: {constant: 1 ms}, request_authentication: {issuers: [desk]}}}
fleets: {users: {node: edge-1, token: {issuer: desk, claims: {iss: x}, TOKEN}}}
traffic: [{from: users, to: back, slice: web, arrivals: {constant: 10 /s}, headers: {Host: a}, FLOW}]
mesh:
  tokens:
    issuers: {desk: {ttl: 5 s, endpoint: {node: ring, margin: 10 s, retry: {base: 20 s, cap: 1 s}, POINT}, ISSUER}}
    leeway: 1500 ms
"""
PLACES = {"TOKEN": "audiences", "FLOW": "name", "POINT": "timeout", "ISSUER": "algorithm"}
"""Places in groups that hold mistakes, and a key that is not written there."""


def _of_groups(place: str, written: str) -> set[str]:
    """What is said of the groups with something more at a place, but for that it is unknown."""
    text = GROUPS
    for each in PLACES:
        text = text.replace(f", {each}", f", {written}" if each == place else "")
    with pytest.raises(ScenarioError) as error:
        load_text(text, PATH)
    said = {one.message for one in error.value.diagnostics}
    return {one for one in said if not one.startswith("unknown key")}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("more", ["qqq: 1", "KEYx: 1"])
def test_an_unknown_key_hides_no_other_mistake(place: str, more: str) -> None:
    """What else stands in its group is held against all else, as without it."""
    alone = _of_groups("", "")
    assert len(alone) == 6
    assert _of_groups(place, more.replace("KEY", PLACES[place])) == alone


@pytest.mark.parametrize(
    ("old", "new", "gone"),
    [
        ("margin: 10 s", "margn: 10 s", "a token lives for 5 s"),
        ("ttl: 5 s", "tttl: 5 s", "a token lives for"),
        ("ttl: 5 s", "qqq: 5 s", "a token lives for"),
        ("cap: 1 s", "capp: 1 s", "the first wait is 20 s"),
        ("node: ring", "nodee: ring", "a router carries no workloads"),
    ],
)
def test_what_a_misspelt_key_was_meant_for_is_not_told_of(old: str, new: str, gone: str) -> None:
    """Of a value that may stand under the unknown key nothing is said, nor of what does not go together with it."""
    alone = _of_groups("", "")
    assert any(one.startswith(gone) for one in alone)
    text = GROUPS.replace(old, new)
    for each in PLACES:
        text = text.replace(f", {each}", "")
    with pytest.raises(ScenarioError) as error:
        load_text(text, PATH)
    said = {one.message for one in error.value.diagnostics}
    assert {one for one in said if not one.startswith("unknown key")} == {
        one for one in alone if not one.startswith(gone)
    }


SIBLINGS = """\
scenario: siblings
duration: 1 s
network:
  nodes: {edge-1: {kind: edge}, edge-2: {kind: edge}}
  links:
    - {between: [edge-1, edge-2], latency: 1 ms, scheduling_interval: 1 ms, slicing: true, reorder: 1 %, jitter: 1 ms}
  slices: {web: {sst: 1, five_qi: 9}}
services:
  back: {replicas: {edge-2: 1}, work: {constant: 1 ms}, ports: {90: {protocol: tcp}, 80: {}}}
fleets: {users: {node: edge-1}}
traffic:
  - {from: users, to: back, slice: web, arrivals: {constant: 10 /s}, headers: {Connection: close}, http_version: "1.1",
     port: 80}
  - {from: users, to: back, slice: web, arrivals: {constant: 10 /s}, name: more, malformed: two-lengths, port: 80}
mesh:
  identity:
    at_start: onboarding
    issuer: {}
    intermediate_ttl: 2 h
    hierarchy: per-site
    revocation: {live: cut, crl: {}, ocsp: {}}
  tls: {signature_schemes: [ed25519], key: ed25519}
  routes: [{to: back, match: [{path: {exact: /a}, ignore_case: true}]}]
"""


@pytest.mark.parametrize(
    "key",
    [
        "slicing", "jitter", "http_version", "issuer", "hierarchy", "crl", "key: ed25519", "path: {exact", "port: 80",
        "links",
    ],
)  # fmt: skip
def test_what_rests_on_a_misspelt_neighbour_is_not_told(key: str) -> None:
    """A value that asks for another beside it is no mistake where that one is misspelt."""
    load_text(SIBLINGS, PATH)
    name, colon, rest = key.partition(":")
    text = SIBLINGS.replace(f"{name}{colon or ':'}{rest}", f"{name}x{colon or ':'}{rest}")
    with pytest.raises(ScenarioError) as error:
        load_text(text, PATH)
    assert [one.message for one in error.value.diagnostics if not one.message.startswith("unknown key")] == []


def test_without_links_nobody_is_said_to_be_out_of_reach() -> None:
    """Links that are no list are the one mistake."""
    text = SIBLINGS.replace("  links:\n    - {between", "  links:\n      {between")
    with pytest.raises(ScenarioError) as error:
        load_text(text, PATH)
    assert len(error.value.diagnostics) == 1


def test_a_misspelt_key_does_not_hide_what_rests_on_another() -> None:
    """What asks for a key that is not there is told where another one is misspelt."""
    text = SIBLINGS.replace(', http_version: "1.1"', ", nmae: first")
    with pytest.raises(ScenarioError) as error:
        load_text(text, PATH)
    assert [one.message.partition(" is ")[0] for one in error.value.diagnostics] == [
        "'Connection'",
        "unknown key 'nmae'; did you mean 'name'?",
    ]
