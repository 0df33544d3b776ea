"""The state tables: complete, and without a way out of a refusal."""

from __future__ import annotations

from typing import Any

import pytest

from meshsim.sidecar.tls.machine import TlsClient, TlsServer
from meshsim.sidecar.tls.operations import (
    CLIENT_SECRET,
    CLIENT_SHARE,
    DESCRIPTIONS,
    OPERATIONS,
    SERVER_SECRET,
)
from meshsim.sidecar.tls.settings import GROUPS, TlsSettings
from meshsim.sidecar.tls.sizes import CLIENT_SHARE_BYTES, SERVER_SHARE_BYTES
from meshsim.sidecar.tls.states import CLIENT_TRANSITIONS, SERVER_TRANSITIONS, Event, State


@pytest.mark.parametrize(
    ("table", "start"), [(CLIENT_TRANSITIONS, State.IDLE), (SERVER_TRANSITIONS, State.WAIT_CLIENT_HELLO)]
)
def test_every_state_is_reached_and_only_a_refusal_is_final(table: Any, start: State) -> None:
    """From the start every state of a table can be reached, and REFUSED alone has no way on."""
    reached, frontier = {start}, [start]
    while frontier:
        state = frontier.pop()
        following = {to for (origin, _), to in table.items() if origin is state} - reached
        reached |= following
        frontier += sorted(following, key=lambda each: each.value)
    assert reached == {origin for origin, _ in table} | set(table.values())
    assert {state for state in reached if not any(origin is state for origin, _ in table)} == {State.REFUSED}
    assert all((state, Event.REFUSE) in table for state in reached - {State.REFUSED, State.IDLE})


def test_a_refused_end_hears_nothing(mesh: Any) -> None:
    """An end that has given up does nothing more, whatever still arrives."""
    case = mesh.case(expected_peers=frozenset())
    client, server = TlsClient(case.client, case.expected_peers), TlsServer(case.server)
    hello = client.start(case.client_clock_ns).flights[0]
    answer = server.receive(hello, case.server_clock_ns).flights[0]
    assert client.receive(answer, case.client_clock_ns).refused is not None
    for step in (client.receive(answer, case.client_clock_ns), client.closed(case.client_clock_ns)):
        assert (step.flights, step.operations, step.refused) == ((), (), None)


def test_a_flight_out_of_turn_is_our_mistake(mesh: Any) -> None:
    """Starting twice, or a flight that the other end cannot send, fails an assertion."""
    case = mesh.case()
    client = TlsClient(case.client, case.expected_peers)
    hello = client.start(case.client_clock_ns).flights[0]
    with pytest.raises(AssertionError, match="send ClientHello"):
        client.start(case.client_clock_ns)
    with pytest.raises(AssertionError, match="never sends ClientHello"):
        client.receive(hello, case.client_clock_ns)


def test_operations_are_named_once_and_cover_every_group() -> None:
    """Each group has its operations at both ends and its sizes, and each of their names is published."""
    for table in (CLIENT_SHARE, CLIENT_SECRET, SERVER_SECRET):
        assert set(table) == set(GROUPS)
        assert {name for done in table.values() for name, _ in done} <= set(OPERATIONS)
    assert set(CLIENT_SHARE_BYTES) == set(SERVER_SHARE_BYTES) == set(GROUPS)
    assert tuple(DESCRIPTIONS) == OPERATIONS
    assert len(set(OPERATIONS)) == len(OPERATIONS)


@pytest.mark.parametrize(
    "mistake",
    [
        {"min_version": "1.3", "max_version": "1.2"},
        {"min_version": "1.1"},
        {"groups": ()},
        {"groups": ("X25519", "X25519")},
        {"groups": ("P-521",)},
        {"ciphers": ("TLS_NULL",)},
        {"mode": "MAYBE"},
        {"ticket_lifetime_ns": -1},
        {"signature_schemes": ("rsa_pkcs1_md5",)},
        {"signature_schemes": ("ed25519", "ed25519")},
        {"signature_schemes": ("ed25519",), "min_version": "1.2"},
    ],
)
def test_impossible_settings(mistake: dict[str, Any]) -> None:
    """Settings that scenario checks let through by mistake fail an assertion."""
    with pytest.raises(AssertionError):
        TlsSettings(**mistake)
