"""Playbooks of routed calls: ways by weight, what is injected, limits of a destination, replicas that are left out."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.sidecar import events
from meshsim.sidecar.commands import (
    BackOff,
    CloseConnection,
    Compute,
    FinishCall,
    HoldCall,
    OpenConnection,
    Send,
    WaitForConnection,
)
from meshsim.sidecar.outlier import Outliers
from meshsim.sidecar.pool_settings import PoolSettings
from meshsim.sidecar.resilience import ResilienceSettings
from meshsim.sidecar.routing import NO_LIMIT, Destination, OutlierSettings, Route, Way, choose_way, drawn

MS = 1_000_000
S = 1_000_000_000
OPENED = (OpenConnection, WaitForConnection)
OUTLIER = OutlierSettings(3, 0, 5, False, 10 * S, 30 * S, 300 * S, 1_000_000, 0)


def destination(key: str = "vision||8080|", *versions: str, **changes: Any) -> Destination:
    """A destination in plaintext with two streams to a connection, changed."""
    made = Destination(
        key=key,
        service="vision",
        versions=frozenset(versions) if versions else None,
        plaintext=None,
        balancing="round_robin",
        locality=True,
        pool=PoolSettings(2, 2, 10 * S),
        max_connections=NO_LIMIT,
        max_requests=NO_LIMIT,
        max_pending=NO_LIMIT,
        connect_timeout_ns=500 * MS,
        outlier=None,
    )
    return msgspec.structs.replace(made, **changes)


def route(stage: Any, *ways: Way, **changes: Any) -> dict[int, Route]:
    """What a sidecar is told of its only kind of call."""
    retries = ResilienceSettings(1, frozenset({"unreachable", "reset"}), 20 * MS, None, 500 * MS)
    made = Route(ways or (Way(destination(), stage.template(), 1),), 2 * S, retries)
    return {0: msgspec.structs.replace(made, **changes)}


def test_a_way_leads_to_its_versions(stage: Any) -> None:
    """Calls go to the replicas of the way's versions alone, and are sent as the way has them."""
    known = (stage.endpoint(1, version="v1"), stage.endpoint(2, version="v2"))
    sent = stage.template(index=7, path="/v2/frames", port=9000, target_port=9001)
    book = stage.sidecar(endpoints=known, routes=route(stage, Way(destination("v2", "v2"), sent, 1)))
    book.on(stage.call(1)).expects((OpenConnection, {"endpoint_id": 2, "port": 9001}), WaitForConnection)
    book.on(events.TcpEstablished(1)).expects((Send, {"unit__template__path": "/v2/frames"}))


def test_a_way_without_replicas_is_unreachable(stage: Any) -> None:
    """A subset that no replica belongs to is tried as often as the route says, and then given up."""
    book = stage.sidecar(routes=route(stage, Way(destination("v9", "v9"), stage.template(), 1)))
    book.on(stage.call(1)).expects((BackOff, {"outcome": "unreachable"}))
    book.due().expects((FinishCall, {"outcome": "unreachable", "status": 503, "attempts": 2}))


def test_a_delay_comes_before_everything(stage: Any) -> None:
    """A call that is held back has no connection opened until its delay is over; its time counts from then."""
    book = stage.sidecar(routes=route(stage, delay_ppm=1_000_000, delay_ns=5 * S, timeout_ns=1 * S))
    book.on(stage.call(1)).expects((HoldCall, {"call_id": 1}))
    book.at(5000).due().expects(*OPENED)
    book.at(5010).on(events.TcpEstablished(1)).expects(Send)
    book.at(6000).due().expects((FinishCall, {"outcome": "timeout", "status": 504}))


def test_a_workload_that_does_not_wait_so_long(stage: Any) -> None:
    """A call with a timeout of its own ends in it, though a route still holds it back."""
    book = stage.sidecar(routes=route(stage, delay_ppm=1_000_000, delay_ns=5 * S))
    book.on(stage.call(1, patient=False, timeout_ns=2 * S)).expects(HoldCall)
    book.at(2000).due().expects((FinishCall, {"outcome": "timeout", "attempts": 0}))
    book.at(5000).due().expects()


def test_an_abort_is_answered_here(stage: Any) -> None:
    """An aborted call ends with the route's status and is never sent; after the delay, where there are both."""
    book = stage.sidecar(routes=route(stage, abort_ppm=1_000_000, abort_status=418))
    book.on(stage.call(1)).expects((FinishCall, {"outcome": "aborted", "status": 418, "attempts": 0}))
    held = route(stage, abort_ppm=1_000_000, abort_status=418, delay_ppm=1_000_000, delay_ns=1 * S)
    book = stage.sidecar(routes=held)
    book.on(stage.call(1)).expects(HoldCall)
    book.at(1000).due().expects((FinishCall, {"outcome": "aborted"}))


def test_no_route_matches(stage: Any) -> None:
    """A call without a way ends as not found."""
    book = stage.sidecar(routes={0: msgspec.structs.replace(route(stage)[0], ways=())})
    book.on(stage.call(1)).expects((FinishCall, {"outcome": "unrouted", "status": 404, "attempts": 0}))


def test_a_route_has_retries_of_its_own(stage: Any) -> None:
    """How often, and after what, is the route's to say."""
    retries = ResilienceSettings(2, frozenset({"failed"}), 20 * MS, None, 500 * MS)
    book = stage.sidecar(retries=0, routes=route(stage, resilience=retries))
    book.on(stage.call(1)).expects(*OPENED).on(events.TcpEstablished(1)).expects(Send)
    book.on(stage.response(1, 1, status=502)).expects((BackOff, {"outcome": "failed"})).due().expects(Send)
    book.on(stage.response(1, 1, attempt=2, status=502)).expects(BackOff).due().expects(Send)
    book.on(stage.response(1, 1, attempt=3, status=502)).expects((FinishCall, {"outcome": "failed", "attempts": 3}))


def test_a_destination_says_whether_tls_is_spoken(stage: Any) -> None:
    """Mutual TLS, or plaintext, by the destination, whatever the sidecar's own mode is."""
    for mode, plaintext, expected in (("DISABLE", False, Compute), ("STRICT", True, Send)):
        way = Way(destination(plaintext=plaintext), stage.template(), 1)
        book = stage.sidecar(mode=mode, routes=route(stage, way))
        book.on(stage.call(1)).expects(*OPENED).on(events.TcpEstablished(1)).expects(expected)


def test_destinations_have_connections_of_their_own(stage: Any) -> None:
    """Two destinations at one replica share no connection: each has its pool, as Envoy's clusters have."""
    one, other = (Way(destination(key), stage.template(), 1) for key in ("one", "other"))
    routes = route(stage, one) | {1: route(stage, other)[0]}
    book = stage.sidecar(routes=routes)
    book.on(stage.call(1)).expects((OpenConnection, {"connection_id": 1}), WaitForConnection)
    book.on(stage.call(2, index=1)).expects((OpenConnection, {"connection_id": 2}), WaitForConnection)
    book.on(stage.call(3)).expects((WaitForConnection, {"connection_id": 1}))


def limited(stage: Any, **changes: Any) -> Any:
    """A sidecar with one stream to a connection and these limits."""
    pool = PoolSettings(1, 10, 10 * S, changes.pop("requests_per_connection", 0))
    return stage.sidecar(routes=route(stage, Way(destination(pool=pool, **changes), stage.template(), 1)))


def test_connections_are_limited_over_all_replicas(stage: Any) -> None:
    """At the limit further calls wait, but a replica without a connection gets one."""
    known = (stage.endpoint(1), stage.endpoint(2))
    pool = PoolSettings(1, 10, 10 * S)
    ways = Way(destination(pool=pool, max_connections=1), stage.template(), 1)
    book = stage.sidecar(endpoints=known, routes=route(stage, ways))
    book.on(stage.call(1)).expects((OpenConnection, {"endpoint_id": 1}), WaitForConnection)
    book.on(stage.call(2)).expects((OpenConnection, {"endpoint_id": 2}), WaitForConnection)
    book.on(stage.call(3)).expects((WaitForConnection, {"call_id": 3, "connection_id": 0}))
    book.on(events.TcpEstablished(1)).expects((Send, {"unit__call_id": 1}))
    book.on(stage.response(1, 1)).expects(FinishCall, (Send, {"unit__call_id": 3, "connection_id": 1}))


def test_requests_that_wait_are_limited(stage: Any) -> None:
    """What comes when as many wait as may ends as an overflow, and is not tried again."""
    book = limited(stage, max_connections=1, max_pending=1)
    book.on(stage.call(1)).expects(*OPENED)
    book.on(stage.call(2)).expects((FinishCall, {"call_id": 2, "outcome": "overflow", "status": 503, "attempts": 1}))
    book.on(events.TcpEstablished(1)).expects(Send)
    book.on(stage.call(3)).expects((WaitForConnection, {"connection_id": 0}))
    book.on(stage.call(4)).expects((FinishCall, {"call_id": 4, "outcome": "overflow"}))
    book.on(stage.response(1, 1)).expects(FinishCall, (Send, {"unit__call_id": 3}))
    book.on(stage.response(1, 3)).expects(FinishCall)
    book.on(stage.call(5)).expects(Send)


def test_requests_in_progress_are_limited(stage: Any) -> None:
    """As many as may be are sent; the next one, be it new or one that waited, overflows."""
    book = limited(stage, max_requests=1)
    book.on(stage.call(1)).expects(*OPENED).on(stage.call(2)).expects(*OPENED)
    book.on(events.TcpEstablished(1)).expects((Send, {"unit__call_id": 1}))
    book.on(events.TcpEstablished(2)).expects((FinishCall, {"call_id": 2, "outcome": "overflow"}))
    book.on(stage.call(3)).expects((FinishCall, {"call_id": 3, "outcome": "overflow"}))
    book.on(stage.response(1, 1)).expects(FinishCall).on(stage.call(4)).expects((Send, {"connection_id": 1}))


def test_a_connection_carries_so_many_requests(stage: Any) -> None:
    """A connection that has carried its number is closed after the last answer; who waits gets a new one."""
    book = limited(stage, max_connections=1, requests_per_connection=2)
    book.on(stage.call(1)).expects(*OPENED).on(events.TcpEstablished(1)).expects(Send)
    book.on(stage.response(1, 1)).expects(FinishCall).on(stage.call(2)).expects((Send, {"connection_id": 1}))
    book.on(stage.call(3)).expects((WaitForConnection, {"connection_id": 0}))
    book.on(stage.response(1, 2)).expects(
        (FinishCall, {"call_id": 2}),
        (CloseConnection, {"connection_id": 1, "reason": "drained"}),
        (OpenConnection, {"connection_id": 2}),
        (WaitForConnection, {"call_id": 3, "connection_id": 2}),
    )
    book.on(events.TcpEstablished(2)).expects((Send, {"unit__call_id": 3}))


def test_a_used_up_connection_is_closed_though_its_last_call_is_given_up(stage: Any) -> None:
    """A call that times out on a connection that carries no more leaves none behind."""
    book = limited(stage, requests_per_connection=1)
    book.on(stage.call(1)).expects(*OPENED).on(events.TcpEstablished(1)).expects(Send)
    book.at(2000).due().expects((FinishCall, {"outcome": "timeout"}), (CloseConnection, {"connection_id": 1}))
    assert not book.sidecar.outbound.upstreams


def test_a_failing_replica_is_left_out_and_comes_back(stage: Any) -> None:
    """After so many failures in a row all calls go to the other replica, until a look finds the time over."""
    known = (stage.endpoint(1), stage.endpoint(2))
    way = Way(destination(outlier=OUTLIER, pool=PoolSettings(9, 1, 600 * S)), stage.template(), 1)
    book = stage.sidecar(endpoints=known, routes=route(stage, way))
    book.on(stage.call(1)).expects(*OPENED).on(stage.call(2)).expects(*OPENED)
    book.on(events.TcpEstablished(1)).expects(Send).on(events.TcpEstablished(2)).expects(Send)
    book.on(stage.response(1, 1, status=502)).expects(FinishCall).on(stage.response(2, 2)).expects(FinishCall)
    for number in (3, 5):
        book.on(stage.call(number)).expects((Send, {"connection_id": 1}))
        book.on(stage.response(1, number, status=502)).expects(FinishCall)
        if number == 3:
            book.on(stage.call(4)).expects((Send, {"connection_id": 2}))
            book.on(stage.response(2, 4)).expects(FinishCall)
    for number in range(6, 10):
        book.on(stage.call(number)).expects((Send, {"connection_id": 2}))
        book.on(stage.response(2, number)).expects(FinishCall)
    book.now_ns = 30 * S
    used = set()
    for number in (10, 11):
        book.on(stage.call(number))
        (send,) = book.takes()
        used.add(send.connection_id)
        book.on(stage.response(send.connection_id, number)).expects(FinishCall)
    assert used == {1, 2}


def failing(settings: OutlierSettings, known: range, times: int, now_ns: int = 0, outliers: Any = None) -> Outliers:
    """What is known after the first endpoint has failed so many times."""
    made: Outliers = outliers or Outliers(settings)
    for _ in range(times):
        made.failed(1, 502, answered=True, known=known, now_ns=now_ns)
    return made


def test_ejections_get_longer_and_shorter_again() -> None:
    """The n-th ejection takes n times as long, and each look that finds the endpoint well takes one off."""
    outliers = failing(OUTLIER, range(1, 3), 3)
    assert outliers.is_ejected(1, 30 * S - 1)
    assert not outliers.is_ejected(1, 30 * S)
    failing(OUTLIER, range(1, 3), 3, 35 * S, outliers)
    assert outliers.is_ejected(1, 95 * S)
    assert not outliers.is_ejected(1, 100 * S)  # 35 + 60 s, and then the next look
    failing(OUTLIER, range(1, 3), 3, 131 * S, outliers)
    assert not outliers.is_ejected(1, 170 * S)  # three looks found it well: it counts as the first time


@pytest.mark.parametrize(
    ("count", "share_ppm", "ejected"),
    [(10, 100_000, True), (9, 100_000, False), (2, 500_000, True), (1, 999_999, False)],
)
def test_only_a_part_is_ejected(count: int, share_ppm: int, ejected: bool) -> None:
    """No more endpoints are left out at a time than the share allows, as Envoy counts it."""
    settings = msgspec.structs.replace(OUTLIER, max_ejected_ppm=share_ppm)
    assert failing(settings, range(1, count + 1), 3).is_ejected(1, S) is ejected


def test_failures_are_counted_apart() -> None:
    """A success ends a row; failures to get an answer count as 5xx, or apart; gateway errors have a count too."""
    outliers = Outliers(OUTLIER)
    for status in (500, 500, 200, 500, 500):
        if status == 200:
            outliers.succeeded(1)
        else:
            outliers.failed(1, status, answered=True, known=(1,), now_ns=0)
    assert not outliers.is_ejected(1, 0)
    outliers.failed(1, 503, answered=False, known=(1,), now_ns=0)
    assert outliers.is_ejected(1, 0)
    split = msgspec.structs.replace(OUTLIER, split_local_origin=True, consecutive_local_origin=2)
    outliers = Outliers(split)
    for answered in (False, True, False, True, True):
        outliers.failed(1, 503, answered=answered, known=(1,), now_ns=0)
    assert outliers.is_ejected(1, 0)  # three answers with an error; never two without one in a row
    gateway = Outliers(msgspec.structs.replace(OUTLIER, consecutive_5xx=0, consecutive_gateway_errors=2))
    for status in (503, 500, 504, 502):
        gateway.failed(1, status, answered=True, known=(1,), now_ns=0)
    assert gateway.is_ejected(1, 0)


def test_with_too_few_left_all_are_used() -> None:
    """Below the healthy share, ejections are passed over."""
    settings = msgspec.structs.replace(OUTLIER, min_healthy_ppm=500_000)
    outliers = failing(settings, range(1, 3), 3)
    assert outliers.usable((1, 2), 0) == frozenset({2})
    for _ in range(3):
        outliers.failed(2, 502, answered=True, known=(1, 2), now_ns=0)
    assert outliers.usable((1, 2), 0) is None
    assert Outliers(OUTLIER).usable((1, 2), 0) is None


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any), st.integers(0, 2**32))
def test_ways_are_taken_by_weight(weights: list[int], seed: int) -> None:
    """A way without weight is never taken; a lone one takes no draw; the others come in proportion."""
    ways = tuple(Way(destination(str(index)), None, weight) for index, weight in enumerate(weights))  # type: ignore[arg-type] # not looked at
    random = Random(seed)
    before = random.getstate()
    taken = Counter(choose_way(ways, random).destination.key for _ in range(2000))
    assert all(weights[int(key)] for key in taken)
    if sum(map(bool, weights)) == 1:
        assert random.getstate() == before
    for key, count in taken.items():
        share = weights[int(key)] / sum(weights)
        assert abs(count - 2000 * share) < 6 * (2000 * share * (1 - share)) ** 0.5 + 1


def test_shares_that_leave_no_choice_take_no_draw() -> None:
    """Nothing is drawn for 0 % and 100 %, so that a route without injections costs no other a draw."""
    random = Random(1)
    before = random.getstate()
    assert not drawn(0, random)
    assert drawn(1_000_000, random)
    assert random.getstate() == before
    assert abs(sum(drawn(250_000, random) for _ in range(4000)) - 1000) < 120
