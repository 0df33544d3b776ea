"""Playbooks of the called half: listeners' modes, authentication before delivery, policy."""

from __future__ import annotations

from typing import Any

import pytest

from meshsim.policy.question import Decision
from meshsim.sidecar import events
from meshsim.sidecar.commands import AskPolicy, CloseConnection, Compute, Deliver, HandshakeEnded, Send
from meshsim.sidecar.messages import REFUSAL_BODY_BYTES
from meshsim.sidecar.tls.machine import TlsClient
from meshsim.sidecar.tls.settings import TlsSettings

EPOCH = 1_790_000_000 * 10**9
SERVER = "spiffe://plant.example/ns/default/sa/planner"


def _up_to_finish(stage: Any, book: Any, client_side: Any) -> Any:
    """Let a client connect and shake hands with the sidecar; return the client's last flight, not yet received."""
    client = TlsClient(client_side, frozenset({SERVER}))
    hello = client.start(EPOCH).flights[0]
    book.on(events.ConnectionAccepted(5)).expects().on(events.UnitReceived(5, hello))
    (compute,) = book.takes()
    book.on(events.WorkDone(5, compute.step)).expects((Send, {"connection_id": 5}))
    return client.receive(compute.step.flights[0], EPOCH).flights[0]


def test_requests_are_held_until_the_clients_certificate_is_checked(stage: Any) -> None:
    """Requests that overtake the check of the client's last flight wait, and go on in order once it is accepted."""
    book = stage.sidecar(mode="STRICT")
    finish = _up_to_finish(stage, book, stage.side("cars"))
    book.on(events.UnitReceived(5, finish))
    (compute,) = book.takes()
    book.on(stage.request(5, 1, encrypted=True)).expects().on(stage.request(5, 2, encrypted=True)).expects()
    book.on(events.WorkDone(5, compute.step)).expects(
        Send,
        (HandshakeEnded, {"by": "server", "refused": None, "established__mutual": True}),
        (AskPolicy, {"message__call_id": 1, "question": None}),
        (AskPolicy, {"message__call_id": 2}),
    )
    book.on(stage.request(5, 3, encrypted=True)).expects((AskPolicy, {"message__call_id": 3}))


def test_held_requests_die_with_a_refused_client(stage: Any) -> None:
    """Requests of a client whose certificate is refused are never asked about and never delivered."""
    book = stage.sidecar(mode="STRICT").at(5000)
    finish = _up_to_finish(stage, book, stage.side("cars", ttl_s=1))
    book.on(events.UnitReceived(5, finish))
    (compute,) = book.takes()
    book.on(stage.request(5, 1, encrypted=True)).expects()
    book.on(events.WorkDone(5, compute.step)).expects(
        (Send, {"unit__description": "certificate_expired"}),
        (HandshakeEnded, {"by": "server", "refused__reason": "expired"}),
        CloseConnection,
    )
    book.on(stage.request(5, 2, encrypted=True)).expects()


def test_plaintext_to_a_strict_listener(stage: Any) -> None:
    """A plaintext request to a strict listener is answered with the end of the connection, and nothing else."""
    book = stage.sidecar(mode="STRICT")
    book.on(events.ConnectionAccepted(5)).expects().on(stage.request(5, 1))
    (compute,) = book.takes()
    assert type(compute) is Compute
    book.on(stage.request(5, 2)).expects()
    book.on(events.WorkDone(5, compute.step))
    commands = book.takes()
    assert [type(command) for command in commands][-2:] == [HandshakeEnded, CloseConnection]
    assert commands[-2].refused.reason == "plaintext"
    assert not any(type(command) in (AskPolicy, Deliver) for command in commands)


@pytest.mark.parametrize("mode", ["PERMISSIVE", "DISABLE"])
def test_plaintext_where_it_is_taken(stage: Any, mode: str) -> None:
    """Other listeners take a plaintext request, from nobody in particular, and answer in plaintext."""
    book = stage.sidecar(mode=mode, policy_asked=True)
    book.on(events.ConnectionAccepted(5)).expects()
    book.on(stage.request(5, 1)).expects((AskPolicy, {"question__principal": "", "question__mutual": False}))
    (request,) = (stage.request(5, 1).unit,)
    book.on(events.PolicyAnswered(5, request, Decision(True, "any"))).expects((Deliver, {"message__call_id": 1}))
    book.on(events.ServiceAnswered(5, 1, 1, 200)).expects((Send, {"unit__status": 200, "unit__encrypted": False}))


def test_tls_to_a_permissive_listener(stage: Any) -> None:
    """A permissive listener takes TLS too, and then knows who calls."""
    book = stage.sidecar(mode="PERMISSIVE", policy_asked=True)
    finish = _up_to_finish(stage, book, stage.side("cars"))
    book.on(events.UnitReceived(5, finish))
    (compute,) = book.takes()
    book.on(events.WorkDone(5, compute.step)).expects(Send, HandshakeEnded)
    book.on(stage.request(5, 1, encrypted=True)).expects(
        (
            AskPolicy,
            {
                "question__principal": "spiffe://plant.example/ns/default/sa/cars",
                "question__mutual": True,
                "question__source": "cars",
                "question__destination": "vision",
                "question__site": "depot",
            },
        )
    )


def test_tls_to_a_plaintext_listener(stage: Any) -> None:
    """A listener without TLS closes the connection when it is greeted with a ClientHello."""
    book = stage.sidecar(mode="DISABLE")
    hello = TlsClient(stage.side("cars"), frozenset({SERVER})).start(EPOCH).flights[0]
    book.on(events.ConnectionAccepted(5)).expects()
    book.on(events.UnitReceived(5, hello)).expects((CloseConnection, {"connection_id": 5}))
    book.on(stage.request(5, 1)).expects()


def test_each_port_has_its_mode(stage: Any) -> None:
    """Ports with settings of their own take TLS, plaintext or both as these say, whatever the others do."""
    ports = {9000: TlsSettings(mode="DISABLE"), 9001: TlsSettings(mode="PERMISSIVE")}
    book = stage.sidecar(mode="STRICT", port_tls=ports)
    hello = TlsClient(stage.side("cars"), frozenset({SERVER})).start(EPOCH).flights[0]
    for connection_id, port, takes_tls, takes_plaintext in ((1, 8080, True, False), (3, 9000, False, True)):
        book.on(events.ConnectionAccepted(connection_id, port)).expects()
        book.on(events.UnitReceived(connection_id, hello)).expects(Compute if takes_tls else CloseConnection)
        book.on(events.ConnectionAccepted(connection_id + 1, port)).expects()
        book.on(stage.request(connection_id + 1, 1)).expects(AskPolicy if takes_plaintext else Compute)
    for connection_id, unit, command in (
        (5, events.UnitReceived(5, hello), Compute),
        (6, stage.request(6, 1), AskPolicy),
    ):
        book.on(events.ConnectionAccepted(connection_id, 9001)).expects()
        book.on(unit).expects(command)


def test_a_new_certificate_is_on_every_port(stage: Any) -> None:
    """When a certificate is rotated, listeners with settings of their own have the new one too."""
    ports = {9000: TlsSettings(groups=("P-384",))}
    inbound = stage.sidecar(mode="STRICT", port_tls=ports).sidecar.inbound
    assert inbound.side_of(9000) is inbound.side_of(9000)
    assert (inbound.side_of(9000).svid, inbound.side_of(9000).settings) == (inbound.side.svid, ports[9000])
    assert inbound.side_of(8080) is inbound.side
    inbound.side = stage.side("planner", mode="STRICT", not_before_s=1)
    assert inbound.side_of(9000).svid is inbound.side.svid


def test_denied_request_is_answered_and_never_delivered(stage: Any) -> None:
    """A request that the policy denies is answered with 403 and a short body; the workload does not see it."""
    book = stage.sidecar(policy_asked=True)
    book.on(events.ConnectionAccepted(5)).expects().on(stage.request(5, 1)).expects(AskPolicy)
    request = stage.request(5, 1).unit
    book.on(events.PolicyAnswered(5, request, Decision(False, "default-deny"))).expects(
        (Send, {"unit__status": 403, "unit__body_bytes": REFUSAL_BODY_BYTES, "unit__call_id": 1})
    )


def test_failed_service_answers_briefly(stage: Any) -> None:
    """An error is answered with the short body, not with that of a success."""
    book = stage.sidecar()
    book.on(events.ConnectionAccepted(5)).expects().on(stage.request(5, 1)).expects(AskPolicy)
    book.on(events.PolicyAnswered(5, stage.request(5, 1).unit, None)).expects(Deliver)
    book.on(events.ServiceAnswered(5, 1, 1, 502)).expects(
        (Send, {"unit__status": 502, "unit__body_bytes": REFUSAL_BODY_BYTES})
    )


def test_responses_on_one_connection_get_shorter(stage: Any) -> None:
    """The second response of a connection is smaller: its headers are known to the peer by then."""
    book = stage.sidecar()
    book.on(events.ConnectionAccepted(5)).expects()
    sizes = []
    for call_id in (1, 2):
        book.on(stage.request(5, call_id)).expects(AskPolicy)
        book.on(events.ServiceAnswered(5, call_id, 1, 200))
        sizes.append(book.takes()[0].unit.size_bytes)
    assert sizes[1] < sizes[0]


def test_what_comes_after_the_connection_is_gone(stage: Any) -> None:
    """Answers of policy and workload for a connection that was lost meanwhile lead to nothing."""
    book = stage.sidecar(policy_asked=True)
    book.on(events.ConnectionAccepted(5)).expects().on(stage.request(5, 1)).expects(AskPolicy)
    book.on(events.ConnectionLost(5, "reset")).expects()
    book.on(events.PolicyAnswered(5, stage.request(5, 1).unit, Decision(True, "any"))).expects()
    book.on(events.ServiceAnswered(5, 1, 1, 200)).expects()
    book.on(stage.request(5, 2)).expects()


def test_rotated_listener_serves_its_new_certificate(stage: Any) -> None:
    """After a rotation the next handshake shows the new certificate."""
    book = stage.sidecar(mode="STRICT")
    rotated = stage.side("planner", not_before_s=60)
    book.on(events.IdentityRotated(rotated)).expects()
    hello = TlsClient(stage.side("cars"), frozenset({SERVER})).start(EPOCH).flights[0]
    book.on(events.ConnectionAccepted(5)).expects().on(events.UnitReceived(5, hello))
    (compute,) = book.takes()
    assert compute.step.flights[0].svid == rotated.svid
