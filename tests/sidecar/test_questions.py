"""Playbooks of questions: filled with what the policy engine reads, and with nothing else."""

from __future__ import annotations

from typing import Any

from meshsim.policy.question import EXTRA_ATTRIBUTES, Question
from meshsim.sidecar import events
from meshsim.sidecar.commands import AskPolicy
from meshsim.sidecar.tls.machine import TlsClient

EPOCH_S = 1_790_000_000
EPOCH = EPOCH_S * 10**9
SERVER = "spiffe://plant.example/ns/default/sa/planner"
HEADERS = (("x-tenant", "blue"),)


def _connected(stage: Any, book: Any, client_side: Any) -> Any:
    """Let a client with this side connect to port 9443 from 100.64.0.7 and be accepted."""
    client = TlsClient(client_side, frozenset({SERVER}))
    book.on(events.ConnectionAccepted(5, 9443, "100.64.0.7")).expects()
    flight = client.start(EPOCH + book.now_ns).flights[0]
    for _ in range(2):
        book.on(events.UnitReceived(5, flight))
        (compute,) = book.takes()
        book.on(events.WorkDone(5, compute.step)).takes()
        flights = client.receive(compute.step.flights[0], EPOCH + book.now_ns).flights
        flight = flights[0] if flights else None
    return book


def _asked(stage: Any, book: Any, **changes: Any) -> Question:
    """The question about a request that arrives now."""
    book.on(stage.request(5, 1, encrypted=book.sidecar.inbound.mode_of(8080) == "STRICT", **changes))
    (command,) = book.takes()
    assert type(command) is AskPolicy
    assert command.question is not None
    return command.question


def test_nothing_extra_is_filled_unread(stage: Any) -> None:
    """For an engine that reads nothing extra, all that differs in the rest is one question, at any time."""
    book = _connected(stage, stage.sidecar(mode="STRICT", policy_asked=True), stage.side("cars"))
    first = _asked(stage, book, headers=HEADERS)
    assert first == Question(first.principal, "cars", "vision", "GET", "/frames", "control", "depot", mutual=True)
    assert _asked(stage, book.at(5000)) is first


def test_everything_is_filled_when_read(stage: Any) -> None:
    """Whatever the engine reads has its value, read off the connection, the request and the node's own clock."""
    book = stage.sidecar(mode="STRICT", policy_asked=True, policy_reads=EXTRA_ATTRIBUTES)
    _connected(stage, book.at(1500), stage.side("cars", not_before_s=-30))
    question = _asked(stage, book.at(2500), path="/frames?fast=1", headers=HEADERS)
    assert question == Question(
        principal="spiffe://plant.example/ns/default/sa/cars",
        source="cars",
        destination="vision",
        method="GET",
        path="/frames",
        slice="control",
        site="depot",
        mutual=True,
        port=9443,
        host="vision",
        headers=HEADERS,
        claims="",
        node="a",
        source_node="gnb-1",
        source_ip="100.64.0.7",
        tls_version="1.3",
        cipher="TLS_AES_256_GCM_SHA384",
        group="X25519",
        certificate_age_s=32,
        time_s=EPOCH_S + 2,
        query="fast=1",
        destination_ip="10.244.0.2",
        sni="outbound_.8080_._.planner.default.svc.cluster.local",  # the service's port; 9443 is the container's
    )


def test_plaintext_has_no_connection_attributes(stage: Any) -> None:
    """On plaintext there is no TLS to speak of, and no certificate with an age."""
    book = stage.sidecar(mode="PERMISSIVE", policy_asked=True, policy_reads=EXTRA_ATTRIBUTES)
    book.on(events.ConnectionAccepted(5, 8080, "100.64.0.7")).expects()
    question = _asked(stage, book)
    assert (question.tls_version, question.cipher, question.group, question.certificate_age_s) == ("", "", "", -1)
    assert (question.port, question.time_s) == (8080, EPOCH_S)


def test_questions_with_a_time_are_of_one_second(stage: Any) -> None:
    """Within a second of the node's clock it is one question, and from the next on another one."""
    book = stage.sidecar(mode="PERMISSIVE", policy_asked=True, policy_reads=frozenset({"time_s"}))
    book.on(events.ConnectionAccepted(5, 8080)).expects()
    first = _asked(stage, book.at(100))
    assert _asked(stage, book.at(999)) is first
    second = _asked(stage, book.at(1000))
    assert (first.time_s, second.time_s) == (EPOCH_S, EPOCH_S + 1)
    assert (second.port, second.host) == (0, "")


def test_each_node_of_a_caller_has_its_question(stage: Any) -> None:
    """A device that moves on within a site is asked about anew where policies read its node."""
    book = stage.sidecar(mode="PERMISSIVE", policy_asked=True, policy_reads=frozenset({"source_node"}))
    book.on(events.ConnectionAccepted(5, 8080)).expects()
    first = _asked(stage, book)
    moved = stage.request(5, 2, node="gnb-2")
    (command,) = book.on(moved).takes()
    assert (first.source_node, command.question.source_node) == ("gnb-1", "gnb-2")
