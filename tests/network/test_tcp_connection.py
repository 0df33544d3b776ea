"""TCP at segment level: what Linux does when this or that packet is lost, late or repeated."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshsim.network import tcp
from meshsim.network.tcp_connection import Carrier, carry
from meshsim.network.tcp_dialogue import Course, Dialogue, Turn
from meshsim.network.tcp_parameters import DestinationMemory, TcpParameters
from meshsim.network.tcp_path import DOWN, UP, LossCountdown, SteadyPath
from meshsim.network.tcp_receiver import Receiver
from meshsim.network.tcp_sender import Sender, State, Timer
from meshsim.network.tcp_timer import RoundTripEstimate, expiry_ns

MS = tcp.MS
ROUND_TRIP_NS = 30 * MS
LINUX = TcpParameters()
PAIRS = TcpParameters(aggregated_segments=2)
TICK_MS = 4
HANDSHAKE = (Turn(UP, (250,)), Turn(DOWN, (900,)))
TWO_SEGMENTS = (Turn(UP, (250,)), Turn(DOWN, (2_000,)))


class Scripted:
    """A path with a fixed delay that loses the packets it is told to, and delays others."""

    def __init__(
        self,
        lost: set[tuple[int, int]] = frozenset(),  # type: ignore[assignment]  # an empty set that nobody changes
        late_ns: dict[tuple[int, int], int] | None = None,
        round_trip_ns: int = ROUND_TRIP_NS,
    ) -> None:
        self.lost_packets = lost
        self.late_ns = late_ns or {}
        self.delay_ns = round_trip_ns // 2
        self.sent = [0, 0]

    def lost(self, direction: int, now_ns: int) -> bool:
        """Whether the packet, counted from 1 in its direction, is to be lost."""
        self.sent[direction] += 1
        return (direction, self.sent[direction]) in self.lost_packets

    def arrival_ns(self, direction: int, now_ns: int, size_bytes: int) -> int:
        """After the fixed delay, or later."""
        return now_ns + self.delay_ns + self.late_ns.get((direction, self.sent[direction]), 0)


def run(dialogue: Dialogue, *lost: tuple[int, int], parameters: TcpParameters = LINUX) -> Course:
    """Carry a dialogue over a path that loses these packets."""
    return carry(dialogue, Scripted(set(lost)), parameters)


def done_ms(course: Course) -> float:
    """When the last turn was delivered, in milliseconds."""
    return course.delivered_ns[-1] / MS


def late(undisturbed_ms: float, *timeouts_ms: int) -> object:
    """What is expected of a handshake that waits for timers: each rounded up, and up to an eighth of it late."""
    least = undisturbed_ms + sum(timeouts_ms)
    most = undisturbed_ms + sum(
        2 * TICK_MS + timeout * (8 / 7 if timeout > 63 * TICK_MS else 1) for timeout in timeouts_ms
    )
    return pytest.approx((least + most) / 2, abs=(most - least) / 2)


def test_undisturbed_handshake_takes_two_round_trips() -> None:
    """Connection set-up is one round trip, a question and its answer another."""
    course = run(HANDSHAKE)
    assert course.connected_ns == ROUND_TRIP_NS
    assert course.delivered_ns == (45 * MS, 60 * MS)
    assert course.retransmissions == 0


@pytest.mark.parametrize(
    ("linear", "waits_s"), [(0, (1, 2, 4, 8, 16, 32)), (4, (1, 1, 1, 1, 1, 2))], ids=["doubling", "linear"]
)
def test_syn_schedule(linear: int, waits_s: tuple[int, ...]) -> None:
    """A SYN is repeated after the waits of the old and the new schedule."""
    parameters = TcpParameters(linear_syn_timeouts=linear)
    for losses in range(1, 7):
        course = run(HANDSHAKE, *((UP, number) for number in range(1, losses + 1)), parameters=parameters)
        assert course.connected_ns / MS == late(30, *(1_000 * wait for wait in waits_s[:losses]))


@pytest.mark.parametrize(("linear", "repetitions"), [(0, 6), (4, 10)])
def test_connect_gives_up(linear: int, repetitions: int) -> None:
    """After tcp_syn_retries repetitions beside the linear ones (tcp_write_timeout of Linux 6.5), connect fails."""
    parameters = TcpParameters(linear_syn_timeouts=linear)
    course = run(HANDSHAKE, *((UP, number) for number in range(1, 20)), parameters=parameters)
    assert course.failure == "connection timed out"
    assert course.connected_ns == -1
    assert course.retransmissions == repetitions


def test_server_repeats_its_syn_ack() -> None:
    """When a SYN-ACK and the client's next SYN are lost, the server's own timer saves the connection."""
    course = run(HANDSHAKE, (DOWN, 1), (UP, 2))
    assert course.connected_ns / MS == late(30, 1_000)
    textbook = run(HANDSHAKE, (DOWN, 1), (UP, 2), parameters=TcpParameters(synack_retries=0))
    assert textbook.connected_ns / MS == late(30, 3_000)


def test_lost_hello_costs_a_retransmission_timeout() -> None:
    """A lost one-segment ClientHello is sent again after R + 200 ms: TLP's 2 R + 200 ms is later than the RTO."""
    assert done_ms(run(HANDSHAKE, (UP, 3))) == late(60, 230)


def test_lost_answer_costs_a_retransmission_timeout() -> None:
    """A lost one-segment server flight too."""
    assert done_ms(run(HANDSHAKE, (DOWN, 3))) == late(60, 230)


def test_remembered_round_trip_leaves_it_to_the_probe() -> None:
    """A destination remembered with a long round trip makes the RTO long, and so the tail loss probe comes first."""
    memory = DestinationMemory()
    memory.learn(500 * MS, 0)
    course = carry(HANDSHAKE, Scripted({(UP, 3)}), LINUX, (memory, None))
    assert done_ms(course) == late(60, 260)
    assert memory.round_trip_ns == pytest.approx(500 * MS - 470 * MS / 8, rel=0.01)


def test_repeated_syn_falsifies_the_memory() -> None:
    """A SYN-ACK that answers a repeated SYN echoes the first: the client takes and remembers a second's round trip."""
    memory = DestinationMemory()
    carry(HANDSHAKE, Scripted({(DOWN, 1)}), LINUX, (memory, None))
    assert memory.round_trip_ns > 500 * MS


def test_lost_tail_costs_a_probe() -> None:
    """Of two segments the last is lost: the first is acknowledged, and from then on it takes the RTO, R + 200 ms."""
    assert done_ms(run(TWO_SEGMENTS, (DOWN, 4))) == late(60 + 30, 230)


def test_lost_flight_of_two_is_found_by_the_probe() -> None:
    """Both segments are lost: after 2 R the probe sends the last again, and a round trip later follows the first."""
    assert done_ms(run(TWO_SEGMENTS, (DOWN, 3), parameters=PAIRS)) == late(60 + 30, 60 + 2 * TICK_MS)


def test_ambiguous_echo_leaves_it_to_the_timeout() -> None:
    """A probe's echo that came faster than any round trip before may be the original's, so only the RTO helps."""
    # The first acknowledgement of the server's SYN-ACK is late, and so the shortest round trip known too long.
    path = Scripted({(DOWN, 3)}, late_ns={(UP, 2): MS, (UP, 3): MS})
    assert done_ms(carry(TWO_SEGMENTS, path, PAIRS)) > 60 + 60 + 200


def test_hole_costs_a_round_trip_and_a_quarter() -> None:
    """With a segment or two beyond the hole, RACK waits a quarter of a round trip before it sends the hole again."""
    dialogue = (Turn(UP, (250,)), Turn(DOWN, (3 * 1_448,)))
    assert done_ms(run(dialogue, (DOWN, 4))) == late(60 + 30, 2 * TICK_MS + 8)


def test_three_segments_beyond_a_hole_need_no_patience() -> None:
    """Three selectively acknowledged segments count as a loss at once."""
    dialogue = (Turn(UP, (250,)), Turn(DOWN, (5 * 1_448,)))
    assert done_ms(run(dialogue, (DOWN, 4))) == pytest.approx(60 + 30, abs=0.5)


@pytest.mark.parametrize(("segments", "round_trips"), [(10, 2), (11, 3), (30, 3), (31, 4)])
def test_initial_window(segments: int, round_trips: int) -> None:
    """Ten segments fit into the first round trip, twenty more into the next."""
    dialogue = (Turn(UP, (250,)), Turn(DOWN, (segments * 1_448,)))
    assert done_ms(run(dialogue)) == pytest.approx(30 * round_trips, abs=0.1)


def test_delay_spike_is_found_to_be_spurious() -> None:
    """An answer half a second late is sent again in vain; the echoed timestamp tells, and the window is as before."""
    path = Scripted(late_ns={(DOWN, 3): 500 * MS})
    dialogue = (*HANDSHAKE, Turn(UP, (80,)), Turn(DOWN, (10 * 1_448,)))
    course = carry(dialogue, path, LINUX)
    assert course.retransmissions >= 1
    # The ten segments of the last turn still fit into one round trip.
    assert course.delivered_ns[3] - course.delivered_ns[1] == ROUND_TRIP_NS


def test_connection_breaks_when_nothing_gets_through() -> None:
    """A sender gives up after its retries, and says so."""
    parameters = TcpParameters(data_retries=3)
    course = run(HANDSHAKE, *((UP, number) for number in range(3, 40)), parameters=parameters)
    assert course.failure == "no acknowledgement"
    assert course.delivered_ns == ()


def test_third_packet_of_set_up_may_be_lost() -> None:
    """The ClientHello's acknowledgement stands in for the one that was lost."""
    assert done_ms(run(HANDSHAKE, (UP, 2))) == 60


@pytest.mark.parametrize(
    ("timeout_ms", "least_ms", "most_ms"),
    [(232, 232, 236), (264, 264, 296), (1_000, 1_000, 1_032), (4_000, 4_000, 4_256)],
)
def test_timers_expire_on_ticks(timeout_ms: int, least_ms: int, most_ms: int) -> None:
    """At 250 ticks a second short timers are up to a tick late, and longer ones up to eight and 64 ticks."""
    late = [expiry_ns(now_ns, timeout_ms * MS, 4 * MS) - now_ns for now_ns in range(0, 1_024 * MS, 777_777)]
    assert least_ms * MS <= min(late) < least_ms * MS + 2 * MS
    assert most_ms * MS - 2 * MS < max(late) <= most_ms * MS


@given(now_ns=st.integers(0, 10**15), timeout_ns=st.integers(1, 10**12), tick_ns=st.integers(1, 10**7))
def test_timers_are_never_early(now_ns: int, timeout_ns: int, tick_ns: int) -> None:
    """A timer goes off no earlier than asked, and within an eighth and two ticks of it."""
    assert expiry_ns(now_ns, timeout_ns, 0) == now_ns + timeout_ns  # no ticks: exact
    late_ns = expiry_ns(now_ns, timeout_ns, tick_ns) - now_ns
    assert timeout_ns <= late_ns <= timeout_ns + timeout_ns // 7 + 2 * tick_ns


def test_estimate_follows_rfc_6298() -> None:
    """The first sample gives R + max(2 R, 200 ms); steady samples let the allowance sink to the floor."""
    estimate = RoundTripEstimate(LINUX)
    estimate.sample(200 * MS, 0, 0)
    assert estimate.rto_ns == 600 * MS
    for number in range(1, 60):
        estimate.sample(200 * MS, number, number)
    assert 400 * MS <= estimate.rto_ns < 410 * MS


def test_idle_window_shrinks() -> None:
    """After an idle time a window beyond the initial one is halved for each timeout that passed."""
    sender = Sender(LINUX, RoundTripEstimate(LINUX))
    sender.estimate.sample(30 * MS, 0, 0)
    sender.write(40 * 1_448, 0)
    sender.acknowledged(10 * 1_448, (), 0, 30 * MS)
    sender.acknowledged(30 * 1_448, (), 30 * MS, 60 * MS)
    sender.acknowledged(40 * 1_448, (), 60 * MS, 90 * MS)
    assert sender.window.segments > 20
    runs = sender.write(100 * 1_448, 10 * tcp.S)
    assert sum(map(len, runs)) == 10


def test_window_halves_in_recovery_and_returns_to_open() -> None:
    """A hole reduces the window to CUBIC's share, and recovery ends when all that was out is acknowledged."""
    sender = Sender(LINUX, RoundTripEstimate(LINUX))
    sender.estimate.sample(30 * MS, 0, 0)
    sender.estimate.shortest(30 * MS)
    sender.write(10 * 1_448, 0)
    runs = sender.acknowledged(0, ((1_448, 5 * 1_448),), -1, 30 * MS)
    assert sender.state is State.RECOVERY
    assert [[segment.start for segment in run] for run in runs] == [[0]]
    sender.acknowledged(10 * 1_448, (), 30 * MS, 60 * MS)
    assert sender.state is State.OPEN
    assert sender.window.segments == 7
    assert sender.timer is None


def test_probe_is_sent_once() -> None:
    """After a tail loss probe comes the retransmission timeout, not another probe."""
    sender = Sender(LINUX, RoundTripEstimate(LINUX))
    sender.estimate.sample(30 * MS, 0, 0)
    sender.write(2 * 1_448, 0)
    assert sender.timer is Timer.TAIL_PROBE
    probe = sender.timer_expired(sender.timer_ns)
    assert [segment.start for run in probe for segment in run] == [1_448]
    assert sender.timer is Timer.RETRANSMISSION


@pytest.mark.parametrize("every_ms", [10, 50, 200, 1_000])
def test_new_data_does_not_put_the_timeout_off(every_ms: int) -> None:
    """While nothing gets through, the first timeout comes an RTO after the probe, however often there is new data."""
    sender = Sender(LINUX, RoundTripEstimate(LINUX))
    sender.estimate.sample(10 * MS, 0, 0)
    rto_ns, now_ns = sender.estimate.rto_ns, 0
    sender.write(100, 0)
    while sender.state is not State.LOSS:
        now_ns += every_ms * MS
        while sender.timer_ns <= now_ns and sender.state is not State.LOSS:
            timed_out_ns = sender.timer_ns
            sender.timer_expired(timed_out_ns)
        sender.write(100, now_ns)
    probe_ns = 2 * 10 * MS + LINUX.minimum_rto_ns
    assert timed_out_ns <= probe_ns + rto_ns + 10 * TICK_MS * MS


def test_probe_is_new_data_where_there_is_some() -> None:
    """A tail loss probe sends what the window kept back (RFC 8985, section 7.3)."""
    sender = Sender(LINUX, RoundTripEstimate(LINUX))
    sender.estimate.sample(30 * MS, 0, 0)
    sender.write(20 * 1_448, 0)
    assert sender.timer is Timer.TAIL_PROBE
    probe = sender.timer_expired(sender.timer_ns)
    assert [segment.start for run in probe for segment in run] == [10 * 1_448]
    assert sender.sent_bytes == 11 * 1_448


@pytest.mark.parametrize(("closed", "timeouts"), [(False, 5), (True, 3)])
def test_a_closed_connection_is_given_up_earlier(closed: bool, timeouts: int) -> None:
    """Data that nobody acknowledges is repeated ``data_retries`` times, a FIN ``orphan_retries`` times."""
    sender = Sender(TcpParameters(data_retries=4, orphan_retries=2), RoundTripEstimate(LINUX))
    sender.estimate.sample(30 * MS, 0, 0)
    sender.finish(0) if closed else sender.write(1_448, 0)
    expired = 0
    while not sender.gave_up:
        expired += sender.timer is Timer.RETRANSMISSION
        sender.timer_expired(sender.timer_ns)
    assert expired == timeouts


def test_receiver_acknowledges_early_data_at_once_and_later_data_late() -> None:
    """The first segments are acknowledged at once; once the ends converse, a lone segment's acknowledgement waits."""
    receiver = Receiver(LINUX)
    assert receiver.receive(0, 100, 0, MS)
    receiver.acknowledgement_sent()
    receiver.data_sent(2 * MS)
    assert not receiver.receive(100, 200, 3 * MS, 4 * MS)
    assert receiver.timer_ns >= 44 * MS
    assert receiver.receive(200, 2_000, 5 * MS, 6 * MS)


def test_receiver_tells_of_islands() -> None:
    """Segments beyond a hole are reported, the newest first, until the hole is filled."""
    receiver = Receiver(LINUX)
    assert receiver.receive(100, 200, 0, 0)
    assert receiver.receive(300, 400, 0, 0)
    assert receiver.sacks == ((300, 400), (100, 200))
    assert receiver.receive(0, 100, 0, 0)
    assert receiver.in_order_bytes == 200
    assert receiver.receive(200, 300, 0, 0)
    assert (receiver.in_order_bytes, receiver.sacks) == (400, ())


TURNS = st.lists(
    st.builds(
        Turn,
        st.sampled_from((UP, DOWN)),
        st.lists(st.integers(1, 40_000), min_size=1, max_size=3).map(tuple),
        st.integers(0, 300 * MS),
    ),
    min_size=1,
    max_size=5,
)


# A turn that was due after another of its end was said twice, once on its own and once when that one had arrived.
@example(
    turns=[
        Turn(DOWN, (2_092, 1, 66), 100_715_704),
        Turn(DOWN, (1_448,), 149_754_990),
        Turn(UP, (1_988,)),
        Turn(UP, (233,)),
    ],
    loss=0.0,
    seed=963,
    round_trip_ms=1,
    aggregated=1,
    noise=False,
)
# A selective acknowledgement gave a sample of many minutes, and the timeout grew beyond its maximum.
@example(
    turns=[
        Turn(UP, (1_764, 1_448)),
        Turn(DOWN, (38_699, 13_235, 531), 40_492_952),
        Turn(DOWN, (1, 1_448, 1), 280_893_984),
        Turn(DOWN, (1_448,), 297_787_564),
        Turn(UP, (26_813, 1_449)),
    ],
    loss=0.45,
    seed=954,
    round_trip_ms=1,
    aggregated=1,
    noise=True,
)
@given(
    turns=TURNS,
    loss=st.sampled_from((0.0, 0.02, 0.2, 0.45)),
    seed=st.integers(0, 1_000),
    round_trip_ms=st.integers(1, 300),
    aggregated=st.integers(1, 2),
    noise=st.booleans(),
)
def test_every_dialogue_ends(
    turns: list[Turn], loss: float, seed: int, round_trip_ms: int, aggregated: int, noise: bool
) -> None:
    """Whatever is lost, all turns are delivered in order or the connection says why not, the same way each time."""
    dialogue = (Turn(UP, (200,)), *turns)
    parameters = TcpParameters(aggregated_segments=aggregated)

    def once() -> Course:
        half_ns = round_trip_ms * MS // 2
        losses = (LossCountdown(loss, Random(seed)), LossCountdown(loss, Random(seed + 1)))
        path = SteadyPath((half_ns, half_ns), 10**8, losses, Random(seed + 2), 50_000 if noise else 0)
        return carry(dialogue, path, parameters, (DestinationMemory(), DestinationMemory()), seed * MS)

    course = once()
    assert course == once()
    if not course.failure:
        assert len(course.delivered_ns) == len(dialogue)
        assert list(course.delivered_ns) == sorted(course.delivered_ns)
        assert all(first <= last for first, last in zip(course.first_byte_ns, course.delivered_ns, strict=True))
        least_ns = round_trip_ms * MS // 2 - 50_000
        assert course.delivered_ns[0] >= course.connected_ns + least_ns
    if not loss:
        assert not course.failure


@given(loss=st.sampled_from((0.01, 0.1)), seed=st.integers(0, 200))
def test_shortcut_is_no_different(loss: float, seed: int) -> None:
    """A carrier that plays only what is disturbed comes to the same as playing every connection in full."""

    def path() -> SteadyPath:
        losses = (LossCountdown(loss, Random(seed)), LossCountdown(loss, Random(seed + 1)))
        return SteadyPath((15 * MS, 15 * MS), 10**9, losses, Random(seed))

    dialogue = (*TWO_SEGMENTS, Turn(UP, (80,)))
    short, full = path(), path()
    memories = DestinationMemory(), DestinationMemory()
    carrier = Carrier(short, TcpParameters(), (memories[0], None))
    for number in range(20):
        full.reset()
        start_ns = number * 10 * tcp.S + seed * MS
        played = carry(dialogue, full, TcpParameters(), (memories[1], None), start_ns)
        assert carrier.carry(dialogue, start_ns) == played
        assert memories[0].round_trip_ns == memories[1].round_trip_ns


def test_loss_is_as_frequent_as_asked() -> None:
    """The countdown to the next loss gives independent losses of the probability asked for."""
    losses = LossCountdown(0.05, Random(1))
    drawn = [losses.lost() for _ in range(40_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(0.05, abs=0.004)
    pairs = sum(first and second for first, second in pairwise(drawn))
    assert pairs / len(drawn) == pytest.approx(0.0025, abs=0.001)
    assert all(LossCountdown(1.0, Random(1)).lost() for _ in range(10))
    assert not any(LossCountdown(0.0, Random(1)).lost() for _ in range(10))


def test_delayed_acknowledgement() -> None:
    """A new connection acknowledges at once; in a conversation one segment waits 40 ms, and a second ends that."""
    receiver = Receiver(LINUX)
    assert receiver.receive(0, 100, 0, 0)
    receiver.acknowledgement_sent()
    receiver.data_sent(1 * MS)
    assert not receiver.receive(100, 200, 2 * MS, 2 * MS)
    assert 42 * MS <= receiver.timer_ns <= 42 * MS + 2 * TICK_MS * MS
    assert receiver.receive(200, 200 + LINUX.segment_bytes, 3 * MS, 3 * MS)
