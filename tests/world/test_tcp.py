"""TCP in the world: the same as the probe's, packet for packet, and the same with and without arithmetic."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from meshsim.network.tcp_connection import carry
from meshsim.network.tcp_dialogue import Course, Turn
from meshsim.network.tcp_parameters import TcpParameters, tcp_parameters
from meshsim.network.tcp_path import DOWN, UP
from meshsim.probe.case import ProbeCase
from meshsim.probe.script import write_script
from meshsim.scenario.cost_profile import load_cost_profile
from meshsim.scenario.loader import load_text
from meshsim.scenario.tcp import Tcp
from meshsim.telemetry.recorder import Recorder
from meshsim.telemetry.rows import TABLES
from meshsim.validation.published_handshakes import SHORT_FLIGHTS, read_table
from meshsim.world.wire import Fin, Wire
from meshsim.world.world import World

Data = dict[str, Any]
Packets = set[tuple[int, int]]
"""Directions, and numbers counted from 1."""
MS = 1_000_000
S = 1_000_000_000
START_MS = 500
BANDWIDTH_BPS = 10**9
LINUX = TcpParameters()


class Lose:
    """A loss model that strikes the packets it is told to, counted from 1."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self.numbers = set(numbers)
        self.seen = 0

    def strike(self, packets: int) -> Sequence[int]:
        """Which of the next packets are to be lost."""
        self.seen += packets
        first = self.seen - packets + 1
        return [number - first for number in range(first, self.seen + 1) if number in self.numbers]


class Steady:
    """The probe's path for the same link: its delay and bandwidth, the same packets lost before they take a place."""

    def __init__(self, lost: Packets, round_trip_ns: int) -> None:
        self.packets_lost = lost
        self.delay_ns = round_trip_ns // 2
        self.sent = [0, 0]
        self.free_ns = [0, 0]

    def lost(self, direction: int, now_ns: int) -> bool:
        """Whether the packet is to be lost."""
        self.sent[direction] += 1
        return (direction, self.sent[direction]) in self.packets_lost

    def arrival_ns(self, direction: int, now_ns: int, size_bytes: int) -> int:
        """After its bits and the delay."""
        if (direction, self.sent[direction]) in self.packets_lost:
            return 0
        sent_ns = max(now_ns, self.free_ns[direction]) + size_bytes * 8 * S // BANDWIDTH_BPS
        self.free_ns[direction] = sent_ns
        return sent_ns + self.delay_ns


class Run:
    """The tables of a run of a tiny world, and when each unit was sent and delivered."""

    def __init__(self, data: Data, lost: Packets, loss_up: Any = None) -> None:
        self.tables: dict[str, list[Any]] = {table: [] for table in TABLES}
        loaded = load_text(json.dumps(data), Path("tiny.yaml"), ["fidelity=modelled"])
        self.world = world = World(loaded, Recorder(self))
        state = world._state
        self.links = state.links["west--east"]
        for direction, link in enumerate(self.links):
            numbers = {number for way, number in lost if way == direction}
            if lost:
                link._loss, link._strikes = Lose(numbers), True
                link._see_what_is_special()
        if loss_up is not None:
            link = self.links[UP]
            link._loss, link._strikes = loss_up(state.clock), True
            link._see_what_is_special()
        self.sent: list[tuple[int, int, int]] = []
        self.delivered: list[tuple[int, int]] = []
        self.units: list[tuple[int, int, Any]] = []
        dispatch, deliver = state.transport.dispatch, state.transport._deliver

        def sending(transfer: Any) -> Any:
            self.sent.append((state.clock.now_ns, transfer.direction, transfer.unsent_bytes))
            return dispatch(transfer)

        def delivering(transfer: Any) -> Any:
            self.delivered.append((state.clock.now_ns, transfer.direction))
            self.units.append((state.clock.now_ns, transfer.direction, transfer.unit))
            return deliver(transfer)

        state.transport.dispatch = sending  # type: ignore[method-assign]  # to look on
        state.transport._deliver = delivering
        world.run()

    def write(self, table: str, rows: list[Any]) -> None:
        """Take rows, as a sink."""
        self.tables[table].extend(rows)


def tiny(round_trip_ms: float, **changes: Any) -> Data:
    """One client, one server, one link between them, patience without end; one request unless told otherwise."""
    data = {
        "scenario": "tiny",
        "seed": 5,
        "duration": "60 s",
        "network": {
            "nodes": {"west": {"kind": "edge", "cores": 8}, "east": {"kind": "edge", "cores": 8}},
            "links": [{"between": ["west", "east"], "latency": f"{round_trip_ms / 2} ms", "bandwidth": "1 Gbit/s"}],
            "slices": {"web": {"sst": 1, "five_qi": 80}},
        },
        "services": {"front": {"replicas": {"east": 1}, "work": {"constant": "0 ms"}}},
        "fleets": {"clients": {"node": "west"}},
        "mesh": {
            "tls": {"groups": ["X25519"]},
            "resilience": {"request_timeout": "50 s", "connect_timeout": "50 s", "retries": 0},
        },
        "traffic": [
            {
                "from": "clients",
                "to": "front",
                "slice": "web",
                "arrivals": {"constant": "0.01 /s"},
                "start": f"{START_MS} ms",
            }
        ],
    }
    for place, value in changes.items():
        inner: Any = data
        *path, last = place.split("__")
        for name in path:
            inner = inner[int(name)] if isinstance(inner, list) else inner[name]
        inner[last] = value
    return data


def established_ns(round_trip_ms: float, lost: Packets, parameters: TcpParameters = LINUX) -> int:
    """When the probe says that the same handshake is established."""
    case = ProbeCase(int(round_trip_ms * MS), group="X25519", cpu="xeon-6242r", mutual=True)
    script = write_script(case, load_cost_profile("default"))
    path = Steady(lost, int(round_trip_ms * MS))
    course = carry(script.dialogue, path, parameters, (None, None), START_MS * MS)
    return course.delivered_ns[script.finish - 1] + script.dialogue[script.finish].compute_ns


def named(lost: Packets) -> str:
    """A name for packets that are lost."""
    return "-".join(f"{'ud'[direction]}{number}" for direction, number in sorted(lost)) or "none"


PATTERNS: list[Packets] = [
    *({(direction, number)} for number in range(1, 6) for direction in (UP, DOWN)),
    {(UP, 1), (UP, 2)},
    {(UP, 1), (UP, 2), (UP, 3)},
    {(DOWN, 1), (UP, 2)},
    {(DOWN, 1), (DOWN, 2)},
    {(UP, 2), (UP, 3)},
    {(DOWN, 2), (UP, 3)},
    {(UP, 3), (UP, 4)},
    {(UP, 3), (DOWN, 3)},
    {(DOWN, 2), (DOWN, 3)},
    {(DOWN, 3), (DOWN, 4)},
    {(DOWN, 3), (DOWN, 4), (DOWN, 5)},
]


@pytest.mark.parametrize("round_trip_ms", [5.6, 31.2, 200])
@pytest.mark.parametrize(
    "lost", [set(), *PATTERNS], ids=lambda lost: "-".join(f"{'ud'[d]}{n}" for d, n in sorted(lost))
)
def test_handshake_takes_what_the_probe_says(round_trip_ms: float, lost: Packets) -> None:
    """Whichever packets are lost, a handshake is established at the same instant in the world and in the probe."""
    run = Run(tiny(round_trip_ms), lost)
    (row,) = run.tables["handshakes"]
    assert row.outcome == "established"
    # The microsecond is for names of other lengths in certificates.
    assert row.tcp_ns + row.duration_ns == pytest.approx(established_ns(round_trip_ms, lost), abs=1_000)
    (request,) = run.tables["requests"]
    assert request.outcome == "ok"


SETTINGS: Data = {
    "linear_syn_timeouts": 4,
    "initial_rto": "700 ms",
    "minimum_rto": "80 ms",
    "initial_window": 1,
    "delayed_ack": "30 ms",
    "quick_acks": 0,
    "tick": "1 ms",
}
PARAMETERS = TcpParameters(
    linear_syn_timeouts=4,
    initial_rto_ns=700 * MS,
    minimum_rto_ns=80 * MS,
    initial_window=1,
    delayed_ack_ns=30 * MS,
    quick_acks=0,
    tick_ns=MS,
)


@pytest.mark.parametrize("lost", [set(), *PATTERNS], ids=named)
def test_settings_of_a_scenario_are_the_probe_s(lost: Packets) -> None:
    """What network.tcp says is what both do: another schedule, window, patience and clock."""
    run = Run(tiny(31.2, network__tcp=SETTINGS), lost)
    (row,) = run.tables["handshakes"]
    assert row.tcp_ns + row.duration_ns == pytest.approx(established_ns(31.2, lost, PARAMETERS), abs=1_000)


def test_defaults_are_the_same_everywhere() -> None:
    """Scenarios, the probe and its command have one default for everything that TCP is set to."""
    assert tcp_parameters(Tcp()) == TcpParameters() == LINUX
    assert ProbeCase(MS).linear_syn_timeouts == LINUX.linear_syn_timeouts


def exchanged(round_trip_ms: float, request: str, response: str, lost: Packets) -> tuple[Run, Course]:
    """A request and its response without TLS, and the same as a dialogue."""
    data = tiny(
        round_trip_ms, mesh__tls={"mode": "DISABLE"}, traffic__0__request=request, traffic__0__response=response
    )
    run = Run(data, lost)
    (asked_ns, _, asked_bytes), (answered_ns, _, answered_bytes) = run.sent[:2]
    (heard_ns, _), _ = run.delivered[:2]

    def play(compute_ns: int) -> Course:
        turns = (Turn(UP, (asked_bytes,), compute_ns), Turn(DOWN, (answered_bytes,), answered_ns - heard_ns))
        return carry(turns, Steady(lost, int(round_trip_ms * MS)), LINUX, (None, None), START_MS * MS)

    return run, play(asked_ns - START_MS * MS - play(0).connected_ns)


@pytest.mark.parametrize("lost", PATTERNS, ids=named)
def test_exchange_takes_what_a_dialogue_takes(lost: Packets) -> None:
    """Requests and responses of several segments arrive when a dialogue's turns do, whichever packets are lost."""
    run, course = exchanged(31.2, "4 kB", "6 kB", lost)
    times_ns = [time_ns - START_MS * MS for time_ns, _ in run.delivered[:2]]
    assert times_ns == pytest.approx(course.delivered_ns, abs=5_000)


@pytest.mark.parametrize("round_trip_ms", [5.6, 50])
@pytest.mark.parametrize(
    ("request_size", "response_size", "tolerance"),
    [("0 B", "1 KiB", 1e-6), ("13 kB", "13 kB", 1e-6), ("20 kB", "20 kB", 0.01), ("1 kB", "300 kB", 0.01)],
)
def test_windows_open_as_in_a_dialogue(
    round_trip_ms: float, request_size: str, response_size: str, tolerance: float
) -> None:
    """Ten segments go at once and each acknowledgement lets twice as many go: by arithmetic what segments come to."""
    run, course = exchanged(round_trip_ms, request_size, response_size, set())
    times_ns = [time_ns - START_MS * MS for time_ns, _ in run.delivered[:2]]
    assert times_ns == pytest.approx(course.delivered_ns, rel=tolerance)


@pytest.fixture
def always_segments(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function after which connections never return to arithmetic."""

    def switch() -> None:
        monkeypatch.setattr(Wire, "_settle", lambda self: None)
        monkeypatch.setattr(Wire, "_opened", lambda self: False)

    return switch


def test_arithmetic_changes_nothing(always_segments: Callable[[], None]) -> None:
    """Where nothing is lost, requests take as long by arithmetic as with every segment looked at."""
    data = tiny(20, traffic__0__arrivals={"constant": "3 /s"}, duration="20 s")
    by_arithmetic = Run(data, set()).tables["requests"]
    always_segments()
    by_segment = Run(data, set()).tables["requests"]
    assert len(by_arithmetic) == len(by_segment) == 59
    for one, other in zip(by_arithmetic, by_segment, strict=True):
        assert abs(one.latency_ns - other.latency_ns) < 5_000


@pytest.mark.parametrize(("linear", "waited_s"), [(0, 7), (4, 3)], ids=["doubling", "linear"])
def test_schedules_of_syns(linear: int, waited_s: int) -> None:
    """Three lost SYNs cost 1 + 2 + 4 s by the old schedule, and a second each by the new one."""
    run = Run(tiny(20, network__tcp={"linear_syn_timeouts": linear}), {(UP, 1), (UP, 2), (UP, 3)})
    (row,) = run.tables["handshakes"]
    assert waited_s * S < row.tcp_ns < waited_s * S * 9 // 8


def test_flight_past_the_initial_window_costs_a_round_trip() -> None:
    """A server's flight of two segments takes one round trip more where only one may be sent."""
    group = {"mesh__tls": {"groups": ["X25519MLKEM768"]}}
    fits, waits = (
        Run(tiny(50, network__tcp={"initial_window": window}, **group), set()).tables["handshakes"][0]
        for window in (10, 1)
    )
    assert waits.duration_ns - fits.duration_ns == pytest.approx(50 * MS, rel=0.01)


def test_refusal_by_the_server_arrives_late() -> None:
    """The client believes it is connected, sends its request, and hears a round trip later that it was refused."""
    data = tiny(40)
    data["network"]["nodes"]["east"]["clock_skew"] = "2 h"
    run = Run(data, set())
    (handshake,), (request,) = run.tables["handshakes"], run.tables["requests"]
    assert (handshake.outcome, handshake.refused_by) == ("refused", "server")
    # TCP takes one round trip, the client is done after another, and the alert comes back after a third.
    assert handshake.duration_ns >= 60 * MS
    assert request.outcome == "tls-refused"
    assert 0 <= request.t_sent_ns - request.t_intended_ns - 80 * MS <= 5 * MS
    assert 40 * MS <= request.t_done_ns - request.t_sent_ns <= 45 * MS


def test_delay_spike_makes_tcp_send_again_in_vain() -> None:
    """A request that is half a second late was sent twice over the link, and was answered once, after the delay."""
    arrivals = {"constant": "0.2 /s"}
    data = tiny(20, traffic__0__arrivals=arrivals, duration="11 s")
    surge = {"kind": "latency-surge", "target": "west--east", "at": "5.4 s", "for": "200 ms", "add": "500 ms"}
    calm, late = Run(data, set()), Run(data | {"faults": [surge]}, set())
    one, other = (run.tables["requests"][1] for run in (calm, late))
    assert other.outcome == "ok"
    assert other.latency_ns - one.latency_ns == pytest.approx(500 * MS, rel=0.01)
    extra_bytes = late.links[UP].sent_bytes - calm.links[UP].sent_bytes
    request_bytes = calm.tables["calls"][1].bytes_sent + 52
    assert extra_bytes >= request_bytes
    assert late.links[UP].sent_bytes == late.links[UP].delivered_bytes + late.links[UP].lost_bytes


class LoseFrom:
    """A loss model that strikes everything in a stretch of time."""

    def __init__(self, clock: Any, begin_ns: int, end_ns: int) -> None:
        self.clock, self.begin_ns, self.end_ns = clock, begin_ns, end_ns
        self.struck = 0

    def strike(self, packets: int) -> Sequence[int]:
        """All of them, or none."""
        if not self.begin_ns <= self.clock.now_ns < self.end_ns:
            return ()
        self.struck += packets
        return range(packets)


def test_lost_fin_is_sent_again() -> None:
    """A FIN that is lost is sent again after a timeout: then the server hears of it, and closes its end too."""
    data = tiny(20, traffic__0__arrivals={"constant": "0.1 /s"}, mesh__pool={"idle_timeout": "1 s"}, duration="11 s")
    fin_ns = next(time_ns for time_ns, way, size in Run(data, set()).sent if way == UP and size == 0)
    for lost_for_ms, least_ms, most_ms in ((0, 10, 11), (50, 210, 260), (400, 440, 500)):
        losses: list[LoseFrom] = []

        def lose(clock: Any, end_ns: int = fin_ns + lost_for_ms * MS, losses: list[LoseFrom] = losses) -> LoseFrom:
            losses.append(LoseFrom(clock, fin_ns, end_ns))
            return losses[0]

        run = Run(data, set(), lose)
        assert (losses[0].struck > 0) is (lost_for_ms > 0)
        heard_ns, *_ = [time_ns for time_ns, way, unit in run.units if way == UP and type(unit) is Fin]
        assert least_ms * MS <= heard_ns - fin_ns <= most_ms * MS
        assert list(run.world._state.connections) == [2]  # the last request's, which nobody closes any more


COSTS: dict[str, tuple[Packets, float, float]] = {
    # What is lost, and what that costs at least and at most, in milliseconds; timers go off on ticks.
    "a SYN": ({(UP, 1)}, 1000, 1032),
    "two SYNs": ({(UP, 1), (UP, 2)}, 3000, 3064),
    "a SYN-ACK": ({(DOWN, 1)}, 1000, 1032),
    "the ClientHello, after R + max(2 R, 200 ms)": ({(UP, 3)}, 300, 336),
    "the server's flight, after as long": ({(DOWN, 3)}, 300, 336),
    "one of many segments, that RACK finds": ({(DOWN, 5)}, 99.9, 100.1),
    "two of them": ({(DOWN, 5), (DOWN, 8)}, 99.9, 100.1),
    "one before the last, after RACK's patience of a quarter of R": ({(DOWN, 9)}, 125, 143),
}


@pytest.mark.parametrize(("lost", "least_ms", "most_ms"), COSTS.values(), ids=COSTS)
def test_what_losses_cost(lost: Packets, least_ms: float, most_ms: float) -> None:
    """Each loss costs what Linux's constants make of it, whatever the probe says: R is 100 ms."""
    long_flight: Data = {
        "mesh__tls": {"groups": ["X25519MLKEM768"], "key": "ml-dsa-65"},
        "mesh__identity": {"ca_key": "ml-dsa-65"},
    }
    changes = long_flight if min(number for _, number in lost) > 3 else {}
    times_ns = []
    for what in (set[tuple[int, int]](), lost):
        (row,) = Run(tiny(100, **changes), what).tables["handshakes"]
        times_ns.append(row.tcp_ns + row.duration_ns)
    assert least_ms * MS <= times_ns[1] - times_ns[0] <= most_ms * MS


@pytest.mark.parametrize(("again", "round_trips"), [(True, 2), (False, 0)], ids=["restarts", "goes on"])
def test_slow_start_after_an_idle_time(again: bool, round_trips: int) -> None:
    """After a silence the window is the first one again, and a long response takes as many round trips as before."""
    data = tiny(
        100,
        mesh__tls={"mode": "DISABLE"},
        traffic__0__response="90 kB",
        traffic__0__arrivals={"constant": "0.1 /s"},
        duration="19 s",
        network__tcp={"slow_start_after_idle": again},
    )
    first, second = Run(data, set()).tables["requests"]
    assert first.tcp_ns + first.network_ns == pytest.approx((1 + 1 + 2) * 100 * MS, rel=0.02)
    assert second.tcp_ns + second.network_ns == pytest.approx((1 + round_trips) * 100 * MS, rel=0.02)


def test_slow_start_after_an_idle_time_goes_as_far_as_the_window_had_come() -> None:
    """Up to three quarters of what it was before the silence, and not only to where a loss long ago had left it."""
    data = tiny(
        100,
        mesh__tls={"mode": "DISABLE"},
        traffic__0__response="250 kB",
        traffic__0__arrivals={"constant": "0.1 /s"},
        duration="19 s",
        network__tcp={"congestion_control": "reno"},
    )
    lost = {(DOWN, 15)}
    run = Run(data, lost)
    said_ns = [(time_ns - START_MS * MS, size_bytes) for time_ns, _, size_bytes in run.sent[:4]]
    heard_ns = [time_ns - START_MS * MS for time_ns, _ in run.delivered[:4]]
    starts_ns = [said_ns[0][0] - 100 * MS, *(said_ns[turn][0] - heard_ns[turn - 1] for turn in (1, 2, 3))]
    turns = [Turn(turn % 2, (said_ns[turn][1],), starts_ns[turn]) for turn in range(4)]
    parameters = TcpParameters(congestion_control="reno")
    course = carry(tuple(turns), Steady(lost, 100 * MS), parameters, (None, None), START_MS * MS)
    took_ns = heard_ns[3] - heard_ns[2]
    assert took_ns == pytest.approx(course.delivered_ns[3] - course.delivered_ns[2], rel=0.01)
    assert took_ns == pytest.approx(9.5 * 100 * MS, rel=0.01)


def test_reset_of_a_connection_that_the_server_forgot() -> None:
    """A server that crashed and came back answers a request on an old connection with a RST, a round trip later."""
    data = tiny(40, traffic__0__arrivals={"constant": "0.2 /s"}, duration="9 s")
    data["faults"] = [{"kind": "node-crash", "target": "east", "at": "2 s", "for": "1 s"}]
    first, second = Run(data, set()).tables["requests"]
    assert (first.outcome, second.outcome) == ("ok", "reset")
    assert 40 * MS <= second.latency_ns <= 42 * MS


def test_published_medians_in_the_world() -> None:
    """The world's handshakes have the published medians within 2 %, in every cell of 31 ms up to 5 % loss."""
    cells = {
        (cell.round_trip_ms, cell.loss_percent): cell.quantiles_ms["p50_ms"]
        for cell in read_table()
        if cell.family == SHORT_FLIGHTS and cell.round_trip_ms > 30 and cell.loss_percent <= 5
    }
    assert len(cells) >= 5
    for (round_trip_ms, loss_percent), published_ms in cells.items():
        data = tiny(round_trip_ms, traffic__0__arrivals={"constant": "10 /s"}, fleets__clients__size=200)
        data["duration"] = "20 s"
        data["network"]["nodes"]["west"]["memory"] = "64 GiB"
        data["network"]["links"][0]["latency"] = f"{round(round_trip_ms * MS / 2)} ns"
        data["network"]["links"][0]["loss"] = f"{loss_percent} %"
        rows = Run(data, set()).tables["handshakes"]
        times_ms = sorted((row.tcp_ns + row.duration_ns) / MS for row in rows)
        assert times_ms[len(times_ms) // 2] == pytest.approx(published_ms, rel=0.02), (round_trip_ms, loss_percent)
