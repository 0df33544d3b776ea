"""Playbooks of the calling half: pools, retries, timeouts, and TLS as far as calls feel it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshsim.identity.tokens import Grant, Issuer
from meshsim.sidecar import events
from meshsim.sidecar.commands import (
    BackOff,
    CloseConnection,
    Compute,
    FinishCall,
    HandshakeEnded,
    OpenConnection,
    Send,
    WaitForConnection,
)
from meshsim.sidecar.tls.flights import ClientFinish, ClientHello
from meshsim.sidecar.tls.machine import TlsServer
from meshsim.sidecar.tls.outcome import PEER_REFUSED
from meshsim.sidecar.wallet import OWN, Entry, Wallet

OPENED = (OpenConnection, WaitForConnection)
EPOCH = 1_790_000_000 * 10**9


def test_first_call_opens_a_connection_and_waits(stage: Any) -> None:
    """A call without a connection has one opened, waits for it, and is sent when it is there."""
    book = stage.sidecar()
    book.on(stage.call(7)).expects(
        (OpenConnection, {"connection_id": 1, "endpoint_id": 1, "slice": "control"}),
        (WaitForConnection, {"call_id": 7, "connection_id": 1}),
    )
    book.at(10).on(events.TcpEstablished(1)).expects(
        (Send, {"connection_id": 1, "unit__call_id": 7, "unit__attempt": 1, "unit__encrypted": False})
    )
    book.at(30).on(stage.response(1, 7)).expects(
        (FinishCall, {"call_id": 7, "outcome": "ok", "status": 200, "attempts": 1})
    )


def test_connection_is_used_again(stage: Any) -> None:
    """A second call goes out at once on the connection of the first, in fewer bytes: its headers are known."""
    book = stage.sidecar()
    book.on(stage.call(1)).expects(*OPENED).on(events.TcpEstablished(1))
    (first,) = book.takes()
    book.on(stage.response(1, 1)).expects(FinishCall).at(50).on(stage.call(2))
    (second,) = book.takes()
    assert second.connection_id == 1
    assert second.unit.size_bytes < first.unit.size_bytes


def test_a_call_without_its_token_is_answered_here(stage: Any) -> None:
    """It ends with 401 and is not tried again, it counts for no replica, and its connection serves the next call."""
    at_hand_s: list[int | None] = [None]
    issuer = Issuer("desk", "https://desk.plant.example", "ES256", 7)
    grant = Grant(issuer, "planner", (), "{}", ttl_s=60, renew_s=30, bound=False, begin_s=0)
    wallet = Wallet({OWN: Entry(grant, at_hand_s=lambda _: at_hand_s[0], needed=True)}, 0, lambda _: "")
    book = stage.sidecar(wallet=wallet)
    book.on(stage.call(1, token=OWN)).expects(*OPENED)
    none = (FinishCall, {"outcome": "no-token", "status": 401, "attempts": 1})
    book.on(events.TcpEstablished(1)).expects(none)
    book.at(10).on(stage.call(2, token=OWN)).expects(none)
    assert set(book.sidecar.outbound._balancer.active.values()) == {0}
    at_hand_s[0] = EPOCH // 10**9
    book.at(20).on(stage.call(3, token=OWN)).expects(
        (Send, {"connection_id": 1, "unit__token": grant.made(at_hand_s[0])})
    )


def test_ports_have_connections_of_their_own(stage: Any) -> None:
    """A call to another port of the same replica opens another connection, which knows its port."""
    book = stage.sidecar()
    book.on(stage.call(1)).expects((OpenConnection, {"connection_id": 1, "port": 8080}), WaitForConnection)
    book.on(stage.call(2, index=2, port=9000)).expects(
        (OpenConnection, {"connection_id": 2, "endpoint_id": 1, "port": 9000}),
        (WaitForConnection, {"connection_id": 2}),
    )
    book.on(stage.call(3, index=2, port=9000)).expects((WaitForConnection, {"connection_id": 2}))


def test_streams_limit_then_connections_limit_then_wait(stage: Any) -> None:
    """Calls fill the streams of one connection, then have another opened up to the limit, then wait for a stream."""
    book = stage.sidecar()
    book.on(stage.call(1)).expects(*OPENED)
    book.on(stage.call(2)).expects((WaitForConnection, {"connection_id": 1}))
    book.on(stage.call(3)).expects((OpenConnection, {"connection_id": 2}), (WaitForConnection, {"connection_id": 2}))
    book.on(stage.call(4)).expects((WaitForConnection, {"connection_id": 2}))
    book.on(stage.call(5)).expects((WaitForConnection, {"call_id": 5, "connection_id": 0}))
    book.on(events.TcpEstablished(1)).expects((Send, {"unit__call_id": 1}), (Send, {"unit__call_id": 2}))
    book.on(events.TcpEstablished(2)).expects((Send, {"unit__call_id": 3}), (Send, {"unit__call_id": 4}))
    book.on(stage.response(2, 4)).expects(
        (FinishCall, {"call_id": 4}), (Send, {"connection_id": 2, "unit__call_id": 5})
    )


def test_stream_of_a_timed_out_call_goes_to_the_next_that_waits(stage: Any) -> None:
    """A call that is given up frees its stream for one that waits, though no response ever came."""
    book = stage.sidecar(streams_per_connection=1, max_connections=1)
    book.on(stage.call(1)).expects(*OPENED).at(1).on(events.TcpEstablished(1)).expects(Send)
    book.at(500).on(stage.call(2)).expects((WaitForConnection, {"connection_id": 0}))
    book.at(600).on(stage.call(3)).expects((WaitForConnection, {"connection_id": 0}))
    book.at(2000).due().expects(
        (FinishCall, {"call_id": 1, "outcome": "timeout"}), (Send, {"connection_id": 1, "unit__call_id": 2})
    )
    book.at(2100).on(stage.response(1, 1)).expects()
    book.at(2200).on(stage.response(1, 2)).expects((FinishCall, {"call_id": 2}), (Send, {"unit__call_id": 3}))


def test_stream_of_a_timed_out_attempt_goes_to_the_next_that_waits(stage: Any) -> None:
    """The same holds for an attempt that is given up."""
    book = stage.sidecar(streams_per_connection=1, max_connections=1, attempt_timeout_ns=100_000_000)
    book.on(stage.call(1)).expects(*OPENED).at(1).on(events.TcpEstablished(1)).expects(Send)
    book.at(50).on(stage.call(2)).expects(WaitForConnection)
    book.due().expects((FinishCall, {"call_id": 1, "outcome": "timeout"}), (Send, {"unit__call_id": 2}))


def test_devices_keep_slices_apart(stage: Any) -> None:
    """A sidecar that keeps pools per slice opens a connection for each slice to the same endpoint."""
    book = stage.sidecar(pool_per_slice=True)
    book.on(stage.call(1)).expects((OpenConnection, {"slice": "control"}), WaitForConnection)
    book.on(stage.call(2, index=2, slice="video")).expects((OpenConnection, {"slice": "video"}), WaitForConnection)


def test_lost_connection_is_retried_on_another_endpoint(stage: Any) -> None:
    """When a connection breaks, its calls back off and try another endpoint."""
    book = stage.sidecar(endpoints=(stage.endpoint(1), stage.endpoint(2)))
    book.on(stage.call(7)).expects((OpenConnection, {"endpoint_id": 1}), WaitForConnection)
    book.at(5).on(events.TcpEstablished(1)).expects(Send)
    book.at(9).on(events.ConnectionLost(1, "reset")).expects((BackOff, {"attempt": 1, "outcome": "reset"}))
    assert 9_000_000 <= book.sidecar.timers.next_ns <= 29_000_000
    book.due().expects((OpenConnection, {"connection_id": 2, "endpoint_id": 2}), WaitForConnection)
    book.on(events.TcpEstablished(2)).expects((Send, {"connection_id": 2, "unit__attempt": 2}))
    book.on(stage.response(2, 7, attempt=2)).expects((FinishCall, {"outcome": "ok", "attempts": 2}))


def test_a_retry_goes_further_away_than_first_attempts(stage: Any) -> None:
    """Where one endpoint is nearest, it has all first attempts; a retry goes to another, and the next call does not."""
    book = stage.sidecar(endpoints=(stage.endpoint(1), stage.endpoint(2, node="far", site="depot")))
    book.on(stage.call(1)).expects((OpenConnection, {"endpoint_id": 1}), WaitForConnection)
    book.at(5).on(events.TcpEstablished(1)).expects(Send)
    book.at(9).on(events.ConnectionLost(1, "reset")).expects(BackOff)
    book.due().expects((OpenConnection, {"connection_id": 2, "endpoint_id": 2}), WaitForConnection)
    book.on(stage.call(2)).expects((OpenConnection, {"connection_id": 3, "endpoint_id": 1}), WaitForConnection)
    moved = {"vision": (stage.endpoint(2, node="far", site="depot"),)}
    book.on(events.EndpointsChanged(2, moved)).expects(CloseConnection, BackOff)
    book.on(stage.call(3)).expects((WaitForConnection, {"connection_id": 2}))


def test_retries_run_out(stage: Any) -> None:
    """After the last attempt the call ends with the outcome of that attempt."""
    book = stage.sidecar()
    book.on(stage.call(7)).expects(*OPENED).at(3).on(events.ConnectionLost(1, "refused"))
    book.expects((BackOff, {"outcome": "unreachable"})).due().expects(*OPENED)
    book.on(events.ConnectionLost(2, "refused"))
    book.expects((FinishCall, {"outcome": "unreachable", "status": 503, "attempts": 2, "response": None}))


def test_back_off_grows_and_is_bounded(stage: Any) -> None:
    """The n-th wait is at most the base times 2^n - 1, and ten times the base at most."""
    longest = [0] * 5
    for call_id in range(300):
        book = stage.sidecar(retries=5)
        for _ in range(call_id % 7):
            book.sidecar.outbound._random.random()
        book.on(stage.call(1, timeout_ns=10**12)).expects(*OPENED)
        for retry in range(5):
            book.on(events.ConnectionLost(retry + 1, "refused")).expects(BackOff)
            longest[retry] = max(longest[retry], book.sidecar.timers.next_ns - book.now_ns)
            book.due().expects(*OPENED)
    assert all(wait <= bound * 20_000_000 for wait, bound in zip(longest, (1, 3, 7, 10, 10), strict=True))
    assert longest[0] < longest[1] < longest[2]


def test_service_without_endpoints_is_unreachable(stage: Any) -> None:
    """A call to a service that has no endpoint backs off, and finds one that was announced meanwhile."""
    book = stage.sidecar(endpoints=())
    book.on(stage.call(7)).expects((BackOff, {"outcome": "unreachable"}))
    book.on(events.EndpointsChanged(2, {"vision": (stage.endpoint(4),)})).expects()
    book.due().expects((OpenConnection, {"endpoint_id": 4}), WaitForConnection)
    assert book.sidecar.config_version == 2


def test_call_timeout(stage: Any) -> None:
    """At its deadline a call ends with a timeout, and what is answered to it later is dropped."""
    book = stage.sidecar()
    book.on(stage.call(7)).expects(*OPENED).at(1).on(events.TcpEstablished(1)).expects(Send)
    book.at(2000).due().expects((FinishCall, {"outcome": "timeout", "status": 504, "response": None}))
    book.at(2001).on(stage.response(1, 7)).expects()


def test_call_times_out_while_it_waits(stage: Any) -> None:
    """A call whose deadline comes before its connection ends with a timeout and is not sent after all."""
    book = stage.sidecar(connect_timeout_ns=10**10)
    book.on(stage.call(7)).expects(*OPENED)
    book.at(2000).due().expects((FinishCall, {"outcome": "timeout"}))
    book.at(2100).on(events.TcpEstablished(1)).expects()


def test_call_times_out_while_it_backs_off(stage: Any) -> None:
    """A deadline in the middle of a back-off ends the call; the retry does not happen."""
    book = stage.sidecar(backoff_ns=10**11)
    book.on(stage.call(7)).expects(*OPENED).on(events.ConnectionLost(1, "refused")).expects(BackOff)
    book.at(2000).due().expects((FinishCall, {"outcome": "timeout", "attempts": 1}))
    book.due().expects()
    assert not book.sidecar.outbound._calls


def test_attempt_timeout_retries_and_drops_the_late_response(stage: Any) -> None:
    """An attempt that takes too long is given up and tried again; the late response to the first is dropped."""
    book = stage.sidecar(
        attempt_timeout_ns=100_000_000,
        retry_on=frozenset({"timeout"}),
        endpoints=(stage.endpoint(1), stage.endpoint(2)),
    )
    book.on(stage.call(7)).expects(*OPENED).at(1).on(events.TcpEstablished(1)).expects(Send)
    book.at(100).due().expects((BackOff, {"outcome": "timeout"})).due()
    book.expects((OpenConnection, {"endpoint_id": 2}), WaitForConnection)
    book.on(events.TcpEstablished(2)).expects((Send, {"unit__attempt": 2}))
    book.on(stage.response(1, 7, attempt=1)).expects()
    book.on(stage.response(2, 7, attempt=2)).expects((FinishCall, {"outcome": "ok", "attempts": 2}))


def test_late_response_on_the_same_connection_is_dropped(stage: Any) -> None:
    """A late response to the first attempt does not answer the second, though both went over one connection."""
    book = stage.sidecar(attempt_timeout_ns=100_000_000, retry_on=frozenset({"timeout"}))
    book.on(stage.call(7)).expects(*OPENED).at(1).on(events.TcpEstablished(1)).expects(Send)
    book.at(100).due().expects(BackOff).due().expects((Send, {"connection_id": 1, "unit__attempt": 2}))
    book.on(stage.response(1, 7, attempt=1)).expects()
    book.on(stage.response(1, 7, attempt=2)).expects(FinishCall)


def test_connect_timeout(stage: Any) -> None:
    """A connection that is not ready in time is closed, and its calls go on as after any failure."""
    book = stage.sidecar()
    book.on(stage.call(7)).expects(*OPENED).at(500).due()
    book.expects((CloseConnection, {"connection_id": 1}), (BackOff, {"outcome": "unreachable"}))
    book.on(events.TcpEstablished(1)).expects()


def test_failed_response_is_retried_when_asked_for(stage: Any) -> None:
    """A response with an error is tried again if the settings say so, else it is the outcome."""
    for retry_on, expected in (
        ({"failed"}, (BackOff, {"outcome": "failed"})),
        ((), (FinishCall, {"outcome": "failed"})),
    ):
        book = stage.sidecar(retry_on=frozenset(retry_on))
        book.on(stage.call(7)).expects(*OPENED).on(events.TcpEstablished(1)).expects(Send)
        book.on(stage.response(1, 7, status=502)).expects(expected)


def test_denial_is_final(stage: Any) -> None:
    """A 403 ends a call as denied."""
    book = stage.sidecar()
    book.on(stage.call(7)).expects(*OPENED).on(events.TcpEstablished(1)).expects(Send)
    book.on(stage.response(1, 7, status=403)).expects((FinishCall, {"outcome": "denied", "status": 403}))


def test_idle_connection_is_closed(stage: Any) -> None:
    """A connection is closed when it has been unused for the idle timeout, counted from its last response."""
    book = stage.sidecar(idle_timeout_ns=3 * 10**9)
    book.on(stage.call(1, timeout_ns=10**9)).expects(*OPENED).on(events.TcpEstablished(1)).expects(Send)
    book.at(400).on(stage.response(1, 1)).expects(FinishCall)
    book.at(3400).due().expects((CloseConnection, {"connection_id": 1, "reason": "idle"}))
    book.on(stage.call(2)).expects((OpenConnection, {"connection_id": 2}), WaitForConnection)


def test_busy_connection_is_not_idle(stage: Any) -> None:
    """A connection with a request in progress stays open however long that takes."""
    book = stage.sidecar(idle_timeout_ns=10**9)
    book.on(stage.call(1, timeout_ns=10**11)).expects(*OPENED).on(events.TcpEstablished(1)).expects(Send)
    for _ in range(5):
        book.due().expects()
    assert book.now_ns >= 4 * 10**9


def test_removed_endpoint_loses_its_connections(stage: Any) -> None:
    """Connections to an endpoint that is no longer announced are closed; their calls go elsewhere."""
    book = stage.sidecar(endpoints=(stage.endpoint(1), stage.endpoint(2)))
    book.on(stage.call(7)).expects((OpenConnection, {"endpoint_id": 1}), WaitForConnection)
    book.on(events.TcpEstablished(1)).expects(Send)
    book.on(events.EndpointsChanged(2, {"vision": (stage.endpoint(2),)}))
    book.expects((CloseConnection, {"connection_id": 1, "reason": "endpoint removed"}), (BackOff, {"outcome": "reset"}))
    book.due().expects((OpenConnection, {"endpoint_id": 2}), WaitForConnection)


def test_new_location_changes_the_ranking(stage: Any) -> None:
    """After a move the endpoint that is now the nearest gets the calls; connections to the other one stay."""
    far = {("a", "b"): 5, ("a", "c"): 9, ("d", "b"): 9, ("d", "c"): 5}
    endpoints = (stage.endpoint(1, "b", "north"), stage.endpoint(2, "c", "south"))
    book = stage.sidecar(endpoints=endpoints, distance_ns=lambda one, other: far[one, other])
    book.on(stage.call(1)).expects((OpenConnection, {"endpoint_id": 1}), WaitForConnection)
    book.on(events.TcpEstablished(1)).expects((Send, {"unit__site": "plant"}))
    book.on(events.LocationChanged("d", "shore")).expects()
    book.on(stage.call(2)).expects((OpenConnection, {"endpoint_id": 2}), WaitForConnection)
    book.on(events.TcpEstablished(2)).expects((Send, {"unit__site": "shore"}))
    book.on(stage.response(1, 1)).expects(FinishCall)


# TLS


def handshake(stage: Any, book: Any, server_side: Any, *calls: int) -> tuple[TlsServer, Any]:
    """Bring the sidecar's newest connection up to its last flight; return the server's end and that flight."""
    server = TlsServer(server_side)
    upstream = list(book.sidecar.outbound.upstreams)[-1]
    book.on(events.TcpEstablished(upstream))
    (compute,) = book.takes()
    book.on(events.WorkDone(upstream, compute.step)).expects((Send, {"connection_id": upstream}))
    (hello,) = compute.step.flights
    assert type(hello) is ClientHello
    (answer,) = server.receive(hello, EPOCH + book.now_ns).flights
    book.on(events.UnitReceived(upstream, answer))
    (compute,) = book.takes()
    book.on(events.WorkDone(upstream, compute.step))
    (finish,) = compute.step.flights
    sends = [(Send, {"unit__call_id": call, "unit__encrypted": True}) for call in calls]
    book.expects((Send, {"unit": finish}), (HandshakeEnded, {"by": "client", "refused": None}), *sends)
    assert type(finish) is ClientFinish
    return server, finish


def test_requests_follow_the_clients_last_flight(stage: Any) -> None:
    """In TLS 1.3 the client sends its requests right behind its last flight, encrypted."""
    book = stage.sidecar(mode="STRICT")
    book.on(stage.call(7)).expects(*OPENED)
    handshake(stage, book, stage.side("vision"), 7)
    book.on(stage.response(1, 7, encrypted=True)).expects((FinishCall, {"outcome": "ok"}))


@pytest.mark.parametrize("of_service", [False, True])
def test_ticket_is_offered_to_the_same_endpoint(of_service: bool, stage: Any) -> None:
    """A connection offers the ticket of an earlier one to the same endpoint, or to any, if one is kept of a service."""
    book = stage.sidecar(
        mode="STRICT",
        streams_per_connection=1,
        endpoints=(stage.endpoint(1), stage.endpoint(2)),
        max_connections=3,
        ticket_per_service=of_service,
    )
    book.on(stage.call(1)).expects(*OPENED)
    server, finish = handshake(stage, book, stage.side("vision"), 1)
    (tickets,) = server.receive(finish, EPOCH).flights
    book.on(events.UnitReceived(1, tickets))
    (compute,) = book.takes()
    book.on(events.WorkDone(1, compute.step)).expects()
    for call_id, connection_id, endpoint_id, offered in ((2, 2, 2, of_service), (3, 3, 1, True)):
        book.on(stage.call(call_id)).expects((OpenConnection, {"endpoint_id": endpoint_id}), WaitForConnection)
        book.on(events.TcpEstablished(connection_id))
        (compute,) = book.takes()
        assert (compute.step.flights[0].ticket is not None) == offered


@pytest.mark.parametrize("as_envoy", [False, True])
def test_a_ticket_of_a_former_identity_is_not_kept_where_sessions_go_with_it(as_envoy: bool, stage: Any) -> None:
    """A ticket that comes after a rotation, over a connection from before, is of no use where sessions are Envoy's."""
    first = stage.side("planner", mode="STRICT", as_envoy=as_envoy)
    book = stage.sidecar(side=first, streams_per_connection=1)
    book.on(stage.call(1)).expects(*OPENED)
    server, finish = handshake(stage, book, stage.side("vision"), 1)
    renewed = stage.side("planner", not_before_s=60, mode="STRICT", as_envoy=as_envoy)
    book.on(events.IdentityRotated(msgspec.structs.replace(renewed, ticket_key="planner#1/2"))).expects()
    (tickets,) = server.receive(finish, EPOCH).flights
    book.on(events.UnitReceived(1, tickets))
    (compute,) = book.takes()
    book.on(events.WorkDone(1, compute.step)).expects()
    book.on(stage.call(2)).expects(*OPENED).on(events.TcpEstablished(2))
    (compute,) = book.takes()
    assert (compute.step.flights[0].ticket is None) == as_envoy


def test_late_refusal_reaches_a_client_that_believes_it_is_established(stage: Any) -> None:
    """The server's alert comes after the request was sent: the call ends as refused by TLS, and is not a reset."""
    book = stage.sidecar(mode="STRICT", retries=0, side=stage.side("planner", ttl_s=1))
    book.at(0).on(stage.call(7)).expects(*OPENED)
    server, finish = handshake(stage, book, stage.side("vision"), 7)
    refusal = server.receive(finish, EPOCH + 5 * 10**9)
    assert refusal.refused is not None
    assert (refusal.refused.alert, refusal.refused.by) == ("certificate_expired", "server")
    book.on(events.UnitReceived(1, refusal.flights[0]))
    (compute,) = book.takes()
    book.on(events.WorkDone(1, compute.step)).expects(
        (HandshakeEnded, {"by": "client", "refused__reason": PEER_REFUSED}),
        CloseConnection,
        (FinishCall, {"call_id": 7, "outcome": "tls-refused", "status": 503}),
    )


def test_end_of_the_connection_behind_an_alert_is_a_refusal(stage: Any) -> None:
    """When the connection ends while the alert is still being read, the outcome is the refusal all the same."""
    book = stage.sidecar(mode="STRICT", retries=0, side=stage.side("planner", ttl_s=1))
    book.on(stage.call(7)).expects(*OPENED)
    server, finish = handshake(stage, book, stage.side("vision"), 7)
    refusal = server.receive(finish, EPOCH + 5 * 10**9)
    book.on(events.UnitReceived(1, refusal.flights[0])).expects(Compute)
    book.on(events.ConnectionLost(1, "expired")).expects((FinishCall, {"outcome": "tls-refused"}))


def test_client_refuses_the_wrong_service(stage: Any) -> None:
    """A server with another SPIFFE ID than the endpoint's is refused with an alert, and nothing is sent to it."""
    book = stage.sidecar(mode="STRICT", retries=0)
    book.on(stage.call(7)).expects(*OPENED).on(events.TcpEstablished(1))
    (compute,) = book.takes()
    book.on(events.WorkDone(1, compute.step)).expects(Send)
    (answer,) = TlsServer(stage.side("impostor")).receive(compute.step.flights[0], EPOCH).flights
    book.on(events.UnitReceived(1, answer))
    (compute,) = book.takes()
    book.on(events.WorkDone(1, compute.step)).expects(
        (Send, {"unit__description": "bad_certificate"}),
        (HandshakeEnded, {"by": "client", "refused__reason": "unexpected SPIFFE ID"}),
        CloseConnection,
        (FinishCall, {"outcome": "tls-refused"}),
    )


@pytest.mark.parametrize("mode", ["STRICT", "PERMISSIVE"])
def test_new_identity_is_for_new_connections(stage: Any, mode: str) -> None:
    """After a rotation connections that are there go on, and the next one is opened with the new certificate."""
    book = stage.sidecar(mode=mode, streams_per_connection=1)
    book.on(stage.call(1)).expects(*OPENED)
    handshake(stage, book, stage.side("vision"), 1)
    rotated = stage.side("planner", not_before_s=60, mode=mode)
    book.on(events.IdentityRotated(rotated)).expects()
    book.on(stage.response(1, 1, encrypted=True)).expects(FinishCall)
    book.on(stage.call(2)).expects((Send, {"connection_id": 1})).on(stage.call(3)).expects(*OPENED)
    _, finish = handshake(stage, book, stage.side("vision"), 3)
    assert finish.svid == rotated.svid
