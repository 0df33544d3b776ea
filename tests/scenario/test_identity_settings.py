"""Mistakes about certificates that take more than one line to make."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_text

TEXT = """\
scenario: apart
duration: 1 min
network:
  nodes: {core: {kind: core}, edge: {kind: edge}, alone: {kind: edge}, hop: {kind: router}}
  links: [{between: [core, edge], latency: 1 ms}, {between: [core, hop], latency: 1 ms}]
  slices: {web: {sst: 1, five_qi: 9}}
services: {front: {replicas: {edge: 1}, work: {constant: 1 ms}}}
fleets: {client: {node: core}}
mesh: {identity: {issuer: {node: NODE}}}
traffic: [{from: client, to: front, slice: web, arrivals: {constant: 1 /s}}]
"""


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ("alone", "the issuer on 'alone' cannot reach node 'edge'; expected links that join them"),
        ("hop", "a router carries no workloads; expected a node of kind edge, regional, core or gnb"),
    ],
)
def test_issuer_that_cannot_serve(node: str, says: str) -> None:
    """An issuer on a node that no workload can reach, or that forwards packets and does nothing else, is a mistake."""
    with pytest.raises(ScenarioError) as error:
        load_text(TEXT.replace("NODE", node), Path("apart.yaml"))
    assert [str(one) for one in error.value.diagnostics] == [f"apart.yaml:9:34: {says}"]


REVOKING = TEXT.replace("{issuer: {node: NODE}}", "{revocation: {WAY}}").replace(", alone: {kind: edge}", "")
"""The same without the node that cannot be reached, as it hears of revocations."""


@pytest.mark.parametrize(
    ("way", "begins"),
    [
        ("crl: {valid: 5 s, fetch: 10 s}", ["a list is good for 5 s, can be 60 s old"]),
        ("crl: {valid: 20 s, every: 10 s, fetch: 10 s}", ["a list is good for 20 s, can be 10 s old"]),
        ("crl: {valid: 21 s, every: 10 s, fetch: 10 s}", []),
        ("crl: {valid: 5 s, fetch: 10 s, stale: accept}", []),
        ("ocsp: {valid: 20 s, fetch: 30 s}", ["a response is good for 20 s and is replaced after 30 s"]),
        ("ocsp: {valid: 31 s, fetch: 30 s}", []),
        ("deny_list: true", []),
    ],
)
def test_what_ends_before_the_next_is_there_is_noted(way: str, begins: list[str]) -> None:
    """Lists and responses that leave a gap are no mistake, and are told at their place."""
    notes = load_text(REVOKING.replace("WAY", way), Path("apart.yaml")).notes
    assert len(notes) == len(begins)
    for note, begin in zip(notes, begins, strict=True):
        place, _, message = note.partition(": ")
        assert place.startswith("apart.yaml:9:")
        assert message.startswith(begin)


@pytest.mark.parametrize(("staple", "does"), [("lenient", "sends none"), ("strict", "refuses handshakes")])
def test_the_note_says_what_a_server_does_without_a_response(staple: str, does: str) -> None:
    """What becomes of handshakes in the gap is the setting's matter."""
    way = f"ocsp: {{valid: 20 s, fetch: 30 s, staple: {staple}}}"
    (note,) = load_text(REVOKING.replace("WAY", way), Path("apart.yaml")).notes
    assert f"a server {does} with staple: {staple}" in note
