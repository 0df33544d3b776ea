"""The parts of a sidecar by themselves: balancer, timers, back-off, and that every command is carried out."""

from __future__ import annotations

from random import Random
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.sidecar import commands, events
from meshsim.sidecar.balancer import Balancer
from meshsim.sidecar.endpoint import Endpoint
from meshsim.sidecar.proxy import HANDLERS
from meshsim.sidecar.resilience import STATUS, ResilienceSettings, backoff_ns, outcome_of_status
from meshsim.sidecar.timers import NEVER, Timers
from meshsim.telemetry.outcomes import REQUEST_OUTCOMES
from meshsim.world.driver import Driver
from meshsim.world.handshakes import Handshakes
from meshsim.world.state import State


def endpoint(number: int, node: str = "b", site: str = "plant") -> Endpoint:
    """A replica of vision."""
    return Endpoint(number, "vision", node, site, "spiffe://plant.example/ns/default/sa/vision")


def balancer(policy: Any, *endpoints: Endpoint, locality: bool = True, **distances: int | None) -> Balancer:
    """A balancer on node a of site plant that knows these endpoints; other nodes are 5 away unless given."""
    made = Balancer(
        policy,
        locality=locality,
        distance_ns=lambda one, other: 0 if one == other else distances.get(other, 5),
        node="a",
        site="plant",
    )
    made.update({"vision": endpoints})
    return made


def chosen(made: Balancer, times: int, tried: frozenset[int] = frozenset()) -> list[int | None]:
    """Whom it chooses, so many times."""
    found = [made.choose("vision", tried) for _ in range(times)]
    return [None if one is None else one.endpoint_id for one in found]


def test_nearest_means_node_then_site_then_latency() -> None:
    """The same node beats the same site, the same site beats a lower latency, and a lower latency a higher one."""
    own, near, far = endpoint(1, "a"), endpoint(2, "b"), endpoint(3, "c", "depot")
    assert chosen(balancer("round_robin", far, near, own, c=1, b=9), 2) == [1, 1]
    assert chosen(balancer("round_robin", far, near, c=1, b=9), 2) == [2, 2]
    other = endpoint(4, "d", "depot")
    assert chosen(balancer("round_robin", far, other, c=3, d=2), 2) == [4, 4]


def test_round_robin_takes_turns() -> None:
    """Equally near endpoints are taken in turn."""
    assert chosen(balancer("round_robin", endpoint(1), endpoint(2), endpoint(3)), 7) == [1, 2, 3, 1, 2, 3, 1]


def test_without_locality_all_that_can_be_reached_take_turns() -> None:
    """Without locality distance does not matter, but a way there does."""
    three = (endpoint(1, "a"), endpoint(2, "b"), endpoint(3, "c", "depot"))
    assert chosen(balancer("round_robin", *three, locality=False, c=None), 4) == [1, 2, 1, 2]


def test_least_request_takes_the_least_busy() -> None:
    """The endpoint with the fewest requests in progress is chosen; ties go in turn."""
    made = balancer("least_request", endpoint(1), endpoint(2), endpoint(3))
    assert chosen(made, 3) == [1, 2, 3]
    made.active.update({1: 2, 2: 1, 3: 2})
    assert chosen(made, 3) == [2, 2, 2]


def test_tried_endpoints_come_last() -> None:
    """What was tried is avoided, even for something farther away, as long as there is anything else."""
    made = balancer("round_robin", endpoint(1, "a"), endpoint(2, "c", "depot"))
    assert chosen(made, 1, frozenset({1})) == [2]
    assert chosen(made, 1, frozenset({1, 2})) == [1]


def test_unreachable_endpoints_come_last() -> None:
    """An endpoint without a way to it is chosen only when there is no other."""
    made = balancer("round_robin", endpoint(1, "b"), endpoint(2, "c", "depot"), b=None)
    assert chosen(made, 2) == [2, 2]
    assert chosen(balancer("round_robin", endpoint(1, "b"), b=None), 1) == [1]


def test_service_that_is_not_known() -> None:
    """A service without endpoints, or that nobody announced, has none to choose."""
    assert chosen(balancer("round_robin"), 1) == [None]
    assert balancer("round_robin").choose("planner", frozenset()) is None


@given(
    added=st.lists(st.tuples(st.integers(0, 50), st.sampled_from((None, 10, 30))), max_size=40),
    step_ns=st.integers(1, 20),
)
def test_timers_come_due_in_order(added: list[tuple[int, int | None]], step_ns: int) -> None:
    """Everything that is due is carried out once, in the order of instants and then of setting."""
    timers, ran = Timers(), []

    def note(argument: object, now_ns: int, found: list[Any]) -> None:
        found.append(argument)

    expected, now_ns = [], 0
    for order, (due_ns, length_ns) in enumerate(added):
        if length_ns is None:
            timers.add(due_ns, note, (due_ns, order))
            expected.append((due_ns, order))
        else:
            timers.add_after(0, length_ns, note, (length_ns, order))
            expected.append((length_ns, order))
    expected.sort()
    assert timers.next_ns == (expected[0][0] if expected else NEVER)
    while timers.next_ns != NEVER:
        now_ns += step_ns
        timers.run(now_ns, ran)
        assert ran == [entry for entry in expected if entry[0] <= now_ns]
    assert ran == expected


def test_back_off_is_uniform_up_to_its_bound() -> None:
    """The wait before the third retry is uniform between nothing and seven times the base."""
    settings = ResilienceSettings(3, frozenset(), 1_000_000, None, 1)
    random = Random(2)
    waits = [backoff_ns(settings, 3, random) for _ in range(20_000)]
    assert 0 <= min(waits) < 50_000
    assert 6_950_000 < max(waits) < 7_000_000
    assert abs(sum(waits) / len(waits) / 3_500_000 - 1) < 0.02


def test_outcomes_have_a_status() -> None:
    """Every outcome that a sidecar gives has its status, and each status of a response one outcome."""
    elsewhere = {"aborted", "not-admitted"}  # a route says the status; no sidecar was asked
    assert {*STATUS, *elsewhere} == set(REQUEST_OUTCOMES)
    assert [outcome_of_status(status) for status in (200, 400, 401, 403, 502)] == ["ok", *["denied"] * 3, "failed"]
    for outcome in ("ok", "denied", "failed"):
        assert outcome_of_status(STATUS[outcome]) == outcome


class _Nothing:
    def __getattr__(self, name: str) -> Any:
        return _Nothing()

    def __call__(self, *_: object) -> Any:
        return _Nothing()


@pytest.fixture
def driver() -> Driver:
    nothing: Any = _Nothing()
    state: State = nothing
    handshakes: Handshakes = nothing
    return Driver(state, handshakes)


def test_driver_knows_every_command(driver: Driver) -> None:
    """Every type of command is carried out by the driver, and nothing else."""
    assert set(driver._carry_out) == set(get_args(commands.Command))


def test_sidecar_knows_every_event() -> None:
    """Every type of event is handled by a sidecar, and nothing else."""
    assert set(HANDLERS) == set(get_args(events.Event))
