"""A link direction against closed forms, and the laws of its accounts."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.network.impairments import Impairments
from meshsim.network.link import LinkDirection
from meshsim.network.loss import IndependentStrikes
from meshsim.network.train import LOST, Train

MS = 1_000_000
S = 1_000_000_000


def link(loss_ppm: int = 0, **changes: Any) -> LinkDirection:
    """A link of 1 Gbit/s and 2 ms without jitter and loss, changed."""
    if loss_ppm:
        changes["impairments"] = Impairments(loss=IndependentStrikes(loss_ppm / 1_000_000, Random(6)))
    settings: dict[str, Any] = {
        "link": "a--b",
        "source": "a",
        "destination": "b",
        "latency_ns": 2 * MS,
        "bandwidth_bps": 1_000_000_000,
        "jitter_ns": 0,
        "queue_bytes": 1 << 22,
        "random": Random(5),
    }
    return LinkDirection(**settings | changes)


def train(size_bytes: int, segments: int = 1, now_ns: int = 0) -> Train:
    """A train that starts now."""
    made = Train()
    made.load(size_bytes, segments, now_ns)
    return made


def test_one_packet_takes_serialisation_and_propagation() -> None:
    """On an idle link a packet takes its bits over the bandwidth and the latency, to the nanosecond."""
    direction = link()
    packet = train(1500)
    assert direction.enter(packet, 0) == 12_000 + 2 * MS
    assert packet.tail_ns == 12_000 + 2 * MS
    assert direction.leave(packet)
    assert direction.busy_ns == 12_000


def test_first_come_first_served() -> None:
    """Packets that come together are sent one after the other, and a later one finds the link free again."""
    direction = link()
    heads = [direction.enter(train(1500), 0) for _ in range(3)]
    assert heads == [12_000 * (number + 1) + 2 * MS for number in range(3)]
    assert direction.backlog_ns(6_000) == 30_000
    assert direction.waiting_bytes(6_000) == 3_750
    assert direction.enter(train(1500, now_ns=50_000), 50_000) == 62_000 + 2 * MS
    assert direction.backlog_ns(62_000) == direction.waiting_bytes(62_000) == 0


def test_queueing_delay_is_that_of_an_m_d_1_queue() -> None:
    """Poisson packets of one size wait rho / (2 mu (1 - rho)) on average (Pollaczek and Khinchine)."""
    direction, draw = link(), Random(11)
    service_ns, load = 12_000, 0.7
    now_ns, waited_ns, count = 0, 0, 200_000
    for _ in range(count):
        now_ns += round(draw.expovariate(load / service_ns))
        waited_ns += direction.enter(train(1500, now_ns=now_ns), now_ns) - now_ns - service_ns - 2 * MS
    expected_ns = service_ns * load / (2 * (1 - load))
    assert abs(waited_ns / count / expected_ns - 1) < 0.03


def test_train_is_crossed_cut_through() -> None:
    """The head of a train is there after its first segment, the tail after all of it."""
    direction = link()
    ten = train(15_000, 10)
    assert direction.enter(ten, 0) == 12_000 + 2 * MS
    assert ten.tail_ns == 120_000 + 2 * MS


def _cross(links: list[LinkDirection], moved: Train) -> int:
    now_ns = 0
    for direction in links:
        now_ns = direction.enter(moved, now_ns)
    return now_ns


def test_bottleneck_first_middle_or_last() -> None:
    """Over several links a train takes the bottleneck for all, the others for one segment, and every latency."""
    rates = (100_000_000, 1_000_000_000, 10_000_000_000)
    one_ns = {rate: 1500 * 8 * S // rate for rate in rates}
    for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)):
        links = [link(bandwidth_bps=rates[index], latency_ns=(index + 1) * MS) for index in order]
        moved = train(30_000, 20)
        head_ns = _cross(links, moved)
        assert head_ns == sum(one_ns.values()) + 6 * MS
        assert moved.tail_ns == 20 * one_ns[rates[0]] + one_ns[rates[1]] + one_ns[rates[2]] + 6 * MS


def test_tail_waits_when_the_second_link_is_the_slower() -> None:
    """On a fast link before a slow one the train queues before the slow one, and is not sent before it is there."""
    fast, slow = link(bandwidth_bps=10_000_000_000), link(bandwidth_bps=10_000_000)
    moved = train(30_000, 20)
    _cross([fast, slow], moved)
    assert moved.tail_ns == 1_200 + 20 * 1_200_000 + 4 * MS


def test_survivor_of_a_train_is_not_sent_before_it_is_there() -> None:
    """What is left of a train that lost segments reaches no hop before its own tail has reached the one before."""
    slow, lossy = link(bandwidth_bps=1_000_000), link(loss_ppm=700_000)
    for _ in range(200):
        moved = train(6_000, 4)
        head_ns = slow.enter(moved, slow.backlog_ns(0))
        tail_ns = moved.tail_ns
        if lossy.enter(moved, head_ns) != LOST:
            assert moved.tail_ns > tail_ns + 2 * MS


def test_jitter_keeps_order() -> None:
    """Jitter delays by up to its bound and lets nothing overtake."""
    direction = link(jitter_ns=5 * MS)
    delays, last_ns = [], 0
    for number in range(2_000):
        now_ns = number * 100_000
        there_ns = direction.enter(train(100, now_ns=now_ns), now_ns)
        assert there_ns >= last_ns
        delays.append(there_ns - now_ns - 800 - 2 * MS)
        last_ns = there_ns
    assert min(delays) >= 0
    assert max(delays) < 5 * MS
    assert max(delays) > 4 * MS


def test_jitter_is_uniform_when_nothing_could_overtake() -> None:
    """Packets far apart are delayed evenly between nothing and the bound."""
    direction = link(jitter_ns=1 * MS)
    draws = [direction.enter(train(100, now_ns=at), at) - at - 800 - 2 * MS for at in range(0, 20_000 * MS, 5 * MS)]
    assert abs(sum(draws) / len(draws) / (0.5 * MS) - 1) < 0.05
    assert sum(draw < 250_000 for draw in draws) / len(draws) < 0.28


def test_full_queue_drops_exactly() -> None:
    """A packet is dropped when it and what waits, the one being sent included, are more than the queue holds."""
    direction = link(queue_bytes=4_500)
    assert [direction.enter(train(1500), 0) == LOST for _ in range(5)] == [False, False, False, True, True]
    assert (direction.drops, direction.lost_bytes) == (2, 3_000)
    assert direction.enter(train(1500, now_ns=12_000), 12_000) != LOST
    assert direction.drops == 2


def test_full_queue_cuts_a_train_short() -> None:
    """Of a train that does not fit, the segments at its end are dropped, as many as do not fit."""
    direction = link(queue_bytes=6_000)
    direction.enter(train(1500), 0)
    ten = train(15_000, 10)
    assert direction.enter(ten, 0) != LOST
    assert (ten.segments, ten.alive, ten.size_bytes) == (3, [0, 1, 2], 4_500)
    assert direction.waiting_bytes(0) == 6_000


def test_train_at_line_rate_overflows_a_short_queue() -> None:
    """A train whose packets come all at once fills the queue of an idle link by itself, and what is over is dropped."""
    direction = link(queue_bytes=3_000)
    ten = train(15_000, 10)
    assert direction.enter(ten, 0) != LOST
    assert ten.alive == [0, 1]
    assert direction.drops == 8


def test_packet_that_finds_the_link_free_needs_no_queue() -> None:
    """However short the queue, packets as far apart as they take to be sent pass; of closer ones every other one."""
    for apart_ns, alive in ((12_000, None), (11_000, [0, 2, 4])):
        direction = link(queue_bytes=100)
        six = train(9_000, 6)
        six.tail_ns = 5 * apart_ns
        assert direction.enter(six, 0) != LOST
        assert six.alive == alive


@settings(max_examples=200)
@given(
    trains=st.lists(st.tuples(st.integers(0, 300_000), st.integers(1, 40), st.integers(0, 30_000)), max_size=12),
    queue_bytes=st.integers(0, 40_000),
    bandwidth_bps=st.sampled_from((50_000_000, 1_000_000_000)),
)
def test_trains_are_dropped_as_their_packets_would_be(
    trains: list[tuple[int, int, int]], queue_bytes: int, bandwidth_bps: int
) -> None:
    """A train loses the very packets that the link drops when they come one by one at the same instants."""
    together = link(queue_bytes=queue_bytes, bandwidth_bps=bandwidth_bps)
    single = link(queue_bytes=queue_bytes, bandwidth_bps=bandwidth_bps)
    now_ns = 0
    for wait_ns, segments, apart_ns in trains:
        # The next train comes when the one before is sent: how much of it waits is then the same for both.
        now_ns = max(now_ns, single.backlog_ns(0), together.backlog_ns(0)) + wait_ns
        moved = train(1_250 * segments, segments, now_ns)
        moved.tail_ns = now_ns + apart_ns * (segments - 1)
        together.enter(moved, now_ns)
        alive = []
        for number in range(segments):
            at_ns = now_ns + apart_ns * number
            if single.enter(train(1_250, now_ns=at_ns), at_ns) != LOST:
                alive.append(number)
        assert (list(range(segments)) if moved.alive is None else moved.alive) == alive
        now_ns = moved.tail_ns if moved.segments else now_ns


def test_loss_rate_is_the_configured_one() -> None:
    """Of many packets the lost share lies within five standard deviations of the loss rate."""
    loss, count = 0.02, 100_000
    direction = link(loss_ppm=20_000, queue_bytes=1 << 40)
    lost = sum(direction.enter(train(100), 0) == LOST for _ in range(count))
    assert abs(lost - count * loss) < 5 * math.sqrt(count * loss * (1 - loss))
    assert direction.drops == lost
    assert direction.lost_bytes == lost * 100


def test_segments_of_a_train_are_lost_each_on_its_own() -> None:
    """Loss strikes segments independently, so that whole trains of two are lost with the square of the rate."""
    direction = link(loss_ppm=300_000, queue_bytes=1 << 40)
    outcomes = []
    for _ in range(20_000):
        two = train(2_000, 2)
        direction.enter(two, 0)
        outcomes.append(two.alive)
    for outcome, share in ((None, 0.49), ([1], 0.21), ([0], 0.21), ([], 0.09)):
        assert abs(outcomes.count(outcome) / len(outcomes) - share) < 0.02, outcome


def test_cut_loses_what_is_on_the_link() -> None:
    """A cut link loses what is on it and all that comes, counts both as touched, and begins empty when restored."""
    direction = link()
    before, during, after = train(1500), train(3000, 2, 1 * MS), train(1500, now_ns=3 * MS)
    there_ns = direction.enter(before, 0)
    direction.cut()
    assert direction.enter(during, 1 * MS) == LOST
    assert (during.segments, during.alive) == (0, [])
    direction.restore(1_500_000)
    assert there_ns > 1_500_000
    assert not direction.leave(before)
    assert (direction.touched, direction.drops, direction.lost_bytes) == (3, 3, 4_500)
    assert direction.enter(after, 3 * MS) == 5 * MS + 12_000
    assert direction.leave(after)
    assert direction.delivered_bytes == 1_500


def test_surge_delays_by_exactly_its_latency() -> None:
    """A surge adds its delay to every packet and counts them; after it the link is as before."""
    direction = link()
    direction.surge_ns = 7 * MS
    assert direction.enter(train(1500), 0) == 9 * MS + 12_000
    direction.surge_ns = 0
    assert direction.touched == 1
    assert direction.enter(train(1500, now_ns=20 * MS), 20 * MS) == 22 * MS + 12_000


_steps = st.lists(
    st.tuples(
        st.sampled_from(("send", "send", "send", "cut", "restore")),
        st.integers(0, 3 * MS),
        st.integers(1, 30),
        st.integers(60, 1_500),
    ),
    max_size=60,
)


@settings(max_examples=150)
@given(
    steps=_steps,
    loss_ppm=st.sampled_from((0, 10_000, 500_000)),
    jitter_ns=st.sampled_from((0, 4 * MS)),
    queue_bytes=st.sampled_from((2_000, 50_000, 1 << 22)),
    bandwidth_bps=st.sampled_from((1_000_000, 1_000_000_000)),
)
def test_bytes_and_order_are_kept(
    steps: list[tuple[str, int, int, int]], loss_ppm: int, jitter_ns: int, queue_bytes: int, bandwidth_bps: int
) -> None:
    """Whatever happens, each byte is delivered or lost, times are in order, and a tail is not before its head."""
    direction = link(loss_ppm=loss_ppm, jitter_ns=jitter_ns, queue_bytes=queue_bytes, bandwidth_bps=bandwidth_bps)
    now_ns, last_ns, under_way, sent = 0, 0, [], 0
    for step, wait_ns, segments, segment_bytes in steps:
        now_ns += wait_ns
        if step == "cut":
            direction.cut()
        elif step == "restore" and not direction.up:
            direction.restore(now_ns)
            last_ns = now_ns
        elif step == "send":
            moved = train(segments * segment_bytes, segments, now_ns)
            sent += moved.size_bytes
            head_ns = direction.enter(moved, now_ns)
            assert moved.segments == (segments if moved.alive is None else len(moved.alive))
            assert moved.size_bytes == moved.segments * segment_bytes
            if head_ns == LOST:
                assert not moved.segments
                continue
            assert now_ns + direction.latency_ns < head_ns <= moved.tail_ns
            assert moved.tail_ns >= last_ns
            last_ns = moved.tail_ns
            under_way.append(moved)
    for moved in under_way:
        direction.leave(moved)
    assert direction.sent_bytes == sent == direction.delivered_bytes + direction.lost_bytes
