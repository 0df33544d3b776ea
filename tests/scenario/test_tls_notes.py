"""What `check` and `run` tell of ends that can never agree on TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.scenario.loader import load_text

SCENARIO = """\
scenario: apart
duration: 1 s
network:
  nodes: {edge-1: {kind: edge}}
  slices: {web: {sst: 1, five_qi: 9}}
services:
  front: {replicas: {edge-1: 1}, work: {constant: 1 ms}OF_FRONT}
fleets:
  users: {node: edge-1OF_USERS}
mesh:
  tls: {OF_MESH}
traffic:
  - {from: users, to: front, slice: web, arrivals: {constant: 10 /s}}
"""


@pytest.mark.parametrize(
    ("of_front", "of_users", "of_mesh", "place", "what"),
    [
        (", tls: {groups: [P-384]}", "", "groups: [X25519]", "7:72", "no key exchange group in common"),
        ("", ", tls: {groups: [P-384]}", "groups: [X25519]", "9:39", "no key exchange group in common"),
        (", tls: {groups: [P-256]}", ", tls: {groups: [P-384]}", "groups: [X25519]", "9:39", "(P-384 against P-256)"),
        (
            ", tls: {ciphers: [TLS_AES_256_GCM_SHA384]}",
            "",
            "ciphers: [TLS_AES_128_GCM_SHA256]",
            "7:73",
            "no cipher suite in common",
        ),
    ],
)
def test_ends_that_never_agree(of_front: str, of_users: str, of_mesh: str, place: str, what: str) -> None:
    """The note stands at the setting that differs from the mesh's, whichever end's it is."""
    text = SCENARIO.replace("OF_FRONT", of_front).replace("OF_USERS", of_users).replace("OF_MESH", of_mesh)
    (note,) = load_text(text, Path("a.yaml")).notes
    assert note.startswith(f"a.yaml:{place}: 'users' and port 8080 of 'front' have")
    assert what in note


def test_ends_that_agree_get_no_note() -> None:
    """One group in common is enough."""
    text = SCENARIO.replace("OF_FRONT", ", tls: {groups: [P-384, X25519]}").replace("OF_USERS", "")
    assert load_text(text.replace("OF_MESH", "groups: [X25519]"), Path("a.yaml")).notes == ()
