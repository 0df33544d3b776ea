"""Flows with an admitted bit rate at a shared medium."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshsim.network.medium import NEVER, WAITING, SliceQueue
from meshsim.network.rated_flow import ReserveQueue, reserve_of
from meshsim.network.rated_medium import RatedMedium
from meshsim.network.train import Train

MBIT = 1_000_000
MS = 1_000_000
BYTE_NS = 1_000
"""Of a medium of 8 Mbit/s, as all are here."""
CHUNK_BYTES = 500
PPM = 1_000_000


class Cell:
    """A cell of 8 Mbit/s with a slice *video* that has a reserve, and others; keeps what was sent, and when."""

    def __init__(
        self,
        rates_bps: tuple[int, ...],
        *,
        others: dict[str, tuple[int, int]],
        video: tuple[float, int],
        window_ns: int = 2_000 * MS,
    ) -> None:
        rest = SliceQueue("video", round(video[0] * 10_000), video[1])
        self.queues: dict[str, SliceQueue] = {reserve_of("video"): ReserveQueue("reserve", rest), "video": rest}
        self.queues |= {name: SliceQueue(name, share * 10_000, priority) for name, (share, priority) in others.items()}
        self.medium = RatedMedium(8 * MBIT, self.queues, interval_ns=CHUNK_BYTES * BYTE_NS)
        self.flows = [self.medium.new_flow("video", window_ns) for _ in rates_bps]
        for flow, rate_bps in zip(self.flows, rates_bps, strict=True):
            flow.guarantee(rate_bps, 0)
        self.medium.reserve("video", sum(rates_bps) * PPM // (8 * MBIT), 0)
        self.sent: list[tuple[int, str | int, Train]] = []
        self._who: dict[int, tuple[str | int, Train]] = {}
        self.now_ns = 0

    def offer(self, who: str | int, size_bytes: int) -> Train:
        """Offer a train of a slice, or of the flow of that number."""
        train = Train()
        train.load(size_bytes, max(1, size_bytes // 1500), self.now_ns)
        self._who[id(train)] = (who, train)
        if isinstance(who, int):
            sent_ns = self.medium.offer_of(self.flows[who], train, self.now_ns)
        else:
            sent_ns = self.medium.offer(who, train, self.now_ns)
        if sent_ns != WAITING:
            self.sent.append((sent_ns, who, train))
        return train

    def run(self, until_ns: int) -> None:
        """Let time pass."""
        while self.medium.next_ns <= until_ns:
            self.now_ns = self.medium.next_ns
            done = self.medium.advance(self.now_ns)
            if done is not None:
                self.sent.append((self.now_ns, *self._who[id(done)]))
        self.now_ns = until_ns

    def left_bytes(self, number: int) -> int:
        """What still waits of a flow."""
        return sum(one.left_bytes for one in self.flows[number].waiting)

    def sent_bytes(self, who: str | int) -> int:
        """What has been sent whole of a slice, without its flows, or of a flow."""
        return sum(train.size_bytes for _, other, train in self.sent if other == who)


@pytest.mark.parametrize("window_ns", [1, 100 * MS])
@pytest.mark.parametrize(
    ("flow_bps", "rest_bps", "carried_bps"),
    [
        (1_000_000, 8 * MBIT, 1_000_000),  # within its rate
        (2_400_000, 1_600_000, 2_000_000 + 1_000_000 * 0.4 / 2),
        (4_000_000, 6 * MBIT, 2_000_000 + 1_000_000 * 2 / 8),
        (16_000_000, 2 * MBIT, 2_000_000 + 1_000_000 * 14 / 16),
        (2_500_000, 400_000, 2_500_000),  # the rest leaves more than it wants
        (8_000_000, 0, 3_000_000),  # alone in its slice
    ],
)
def test_a_flow_gets_its_rate_and_its_part_of_what_is_left(
    flow_bps: int, rest_bps: int, carried_bps: float, window_ns: int
) -> None:
    """It gets its rate, and of the rest of the slice's guarantee the part that its excess is of all that wants it."""
    # The flow has 2 Mbit/s of 4 that its slice has of 8, another has 1 and is silent; a more important slice wants all
    # of the cell. A tiny averaging window loses no tokens while packets wait for their turn.
    cell = Cell((2 * MBIT, MBIT), others={"control": (50, 1)}, video=(50, 5), window_ns=window_ns)
    offers = [(0, flow_bps, 250), ("video", rest_bps, 250), ("control", 8 * MBIT, 1_000)]
    steps = sorted(
        (number * size_bytes * 8 * 1_000 * MS // rate_bps, str(who), who, size_bytes)
        for who, rate_bps, size_bytes in offers
        if rate_bps
        for number in range(4 * rate_bps // 8 // size_bytes)
    )
    for time_ns, _, who, size_bytes in steps:
        cell.run(time_ns)
        cell.offer(who, size_bytes)
    cell.run(4_000 * MS)
    late = [(who, train.size_bytes) for at_ns, who, train in cell.sent if at_ns > 2_000 * MS]
    assert 4 * sum(size_bytes for who, size_bytes in late if who == 0) == pytest.approx(carried_bps, rel=0.01)
    assert 4 * sum(size_bytes for _, size_bytes in late) == pytest.approx(8 * MBIT, rel=0.001)


RATES = (1 * MBIT, 2 * MBIT)
offers_of = st.lists(
    st.tuples(
        st.integers(0, 30 * MS),
        st.sampled_from([0, 1, "video", "control", "web"]),
        st.sampled_from([60, 499, 500, 1_500, 9_000]),
    ),
    max_size=40,
).map(lambda offers: sorted(offers, key=lambda offer: offer[0]))


def mixed(rates_bps: tuple[int, ...] = RATES, window_ns: int = 2_000 * MS) -> Cell:
    """Two flows in a slice between a more and a less important one."""
    return Cell(rates_bps, others={"control": (30, 1), "web": (0, 9)}, video=(60, 5), window_ns=window_ns)


@given(offers_of)
def test_every_byte_is_sent_once_and_in_order(offers: list[tuple[int, str | int, int]]) -> None:
    """Each flow's and each slice's trains are sent as they came, and the last as soon as any order would allow."""
    cell = mixed()
    trains: dict[str | int, list[Train]] = {who: [] for who in (0, 1, "video", "control", "web")}
    free_ns = 0
    for time_ns, who, size_bytes in offers:
        cell.run(time_ns)
        trains[who].append(cell.offer(who, size_bytes))
        free_ns = max(free_ns, time_ns) + size_bytes * BYTE_NS
        places = cell.queues["video"].waiting
        assert not places or places[0].left_bytes, "what is void does not wait"
        for flow in cell.flows:
            assert sum(place.left_bytes for place in flow.places) == sum(one.left_bytes for one in flow.waiting)
    cell.run(NEVER - 1)
    for who, own in trains.items():
        assert [id(train) for _, other, train in cell.sent if other == who] == [id(train) for train in own]
    assert max((time_ns for time_ns, _, _ in cell.sent), default=0) == free_ns
    queues = cell.queues.values()
    assert sum(queue.sent_bytes for queue in queues) == sum(size_bytes for _, _, size_bytes in offers)
    assert [(queue.delivered_bytes, queue.waiting_bytes(0)) for queue in queues] == [(q.sent_bytes, 0) for q in queues]
    assert [queue.backlog_ns(free_ns) for queue in queues] == [0] * len(queues)
    assert sum(queue.busy_ns for queue in queues) == sum(size_bytes for _, _, size_bytes in offers) * BYTE_NS
    assert not any(flow.waiting or flow.places for flow in cell.flows)


@given(offers_of, st.sampled_from([0, 1]), st.integers(0, 60), st.sampled_from([1, 2_000 * MS]))
def test_a_backlogged_flow_is_served_at_its_rate(
    offers: list[tuple[int, str | int, int]], number: int, after_ms: int, window_ns: int
) -> None:
    """Whatever it and all others offer, what is sent of it lags behind its rate by what it is owed for 14 ms."""
    # The others may be ahead by their tokens of 10 ms, and have a chunk each that is on its way.
    cell = mixed(window_ns=window_ns)
    total_bytes = 100_000
    cell.offer(number, total_bytes)
    for time_ns, who, size_bytes in offers:
        cell.run(time_ns)
        cell.offer(who, size_bytes)
        total_bytes += size_bytes if who == number else 0
    cell.run(cell.now_ns + after_ms * MS)
    owed_bytes = RATES[number] * max(0, cell.now_ns - 14 * MS) // (8 * 1_000 * MS)
    assert total_bytes - cell.left_bytes(number) >= min(total_bytes, owed_bytes) - CHUNK_BYTES


@given(offers_of)
def test_a_flow_without_a_rate_is_one_of_the_rest(offers: list[tuple[int, str | int, int]]) -> None:
    """What was not admitted, or is so no longer, is sent as if it had no queue of its own."""
    cell, plain = mixed((0, 0)), mixed(())
    for time_ns, who, size_bytes in offers:
        cell.run(time_ns)
        cell.offer(who, size_bytes)
        plain.run(time_ns)
        plain.offer("video" if isinstance(who, int) else who, size_bytes)
    cell.run(NEVER - 1)
    plain.run(NEVER - 1)
    names = [(at_ns, "video" if isinstance(who, int) else who, train.size_bytes) for at_ns, who, train in cell.sent]
    assert names == [(at_ns, who, train.size_bytes) for at_ns, who, train in plain.sent]


@given(offers_of, st.sampled_from([0, 1, "video"]), st.integers(0, 40_000))
@example([(0, 0, 500)] * 3, 0, 1_000)
@example([(0, 0, 499), (0, 0, 499), (0, "video", 499)], "video", 600)
@example([(0, 0, 1_500), (0, "video", 1_500)], 0, 500)
@example([(0, "video", 1_500), (0, 0, 1_500)], "video", 500)
@example([(0, "control", 500), (0, "video", 1_500), (0, 0, 500)], "video", 1_200)
def test_what_leaves_takes_no_more_of_the_cell(
    offers: list[tuple[int, str | int, int]], leaving: str | int, leave_us: int
) -> None:
    """A flow, or what is in none, leaves with all that was not sent whole, in order; of a flow it counts nowhere."""
    cell = mixed()
    own: list[Train] = []
    gone: list[Train] | None = None
    for time_ns, who, size_bytes in [*offers, (NEVER - 1, "", 0)]:
        if gone is None and time_ns > leave_us * 1_000:
            cell.run(leave_us * 1_000 - 1)
            cell.now_ns = leave_us * 1_000
            if isinstance(leaving, int):
                gone = cell.medium.withdraw_flow(cell.flows[leaving], cell.now_ns)
            else:
                gone = cell.medium.withdraw(own.__contains__, cell.now_ns)
            assert cell.medium.next_ns >= cell.now_ns
            cell.run(leave_us * 1_000)
            sent = [train for _, who, train in cell.sent if who == leaving]
            assert [id(one) for one in sent + gone] == [id(one) for one in own], "what was sent by now, and the others"
        cell.run(time_ns)
        if size_bytes and (gone is None or who != leaving):
            train = cell.offer(who, size_bytes)
            own += [train] if who == leaving else []
    assert [q.waiting_bytes(0) for q in cell.queues.values()] == [0] * 4
    counted = [train.size_bytes for _, _, train in cell.sent]
    counted += [] if isinstance(leaving, int) else [train.size_bytes for train in gone or ()]
    assert sum(q.sent_bytes for q in cell.queues.values()) == sum(counted)
    assert sum(q.delivered_bytes for q in cell.queues.values()) == sum(counted)
    assert len(cell.sent) == sum(who != leaving for _, who, _ in offers) + len(own) - len(gone or ())
    assert cell.medium.next_ns == NEVER


@pytest.mark.parametrize(
    ("rates_bps", "video_percent", "window_ms", "under_the_rate"),
    [
        ((MBIT, MBIT), 50, 10, 4),  # until the flow's own bucket is empty, of 1250 bytes
        ((MBIT,), 50, 100, 4),  # until the reserve's tokens are used up, of as many
        ((MBIT,), 12.5, 100, 10),  # and on, if the rest of the slice has none
        ((0,), 50, 10, 0),
    ],
)
def test_what_need_not_wait_is_counted_where_it_belongs(
    rates_bps: tuple[int, ...], video_percent: float, window_ms: int, under_the_rate: int
) -> None:
    """In an idle cell packets of 500 bytes, one a millisecond, use up tokens as in a full one."""
    cell = Cell(rates_bps, others={}, video=(video_percent, 5), window_ns=window_ms * MS)
    queues = []
    for number in range(10, 20):
        cell.run(number * MS)
        queues.append(cell.offer(0, 500).queue)
    reserve, rest = cell.queues.values()
    if under_the_rate == 4:  # later it has some now and then
        queues = queues[:5]
    assert queues == [reserve] * under_the_rate + [rest] * (len(queues) - under_the_rate)


@pytest.mark.parametrize(
    ("rates_bps", "sent_bytes"),
    [
        ((MBIT,), 1_250),  # a second flow of the device was refused
        ((2 * MBIT, MBIT), 2_500),  # one more is admitted, and ends
        ((MBIT // 2, MBIT), 1_875),
        ((0, MBIT), 2_500),  # it was lost, and is there anew
    ],
)
def test_a_bucket_is_not_filled_by_asking_again(rates_bps: tuple[int, ...], sent_bytes: int) -> None:
    """Tokens that are used up stay so when the rate is guaranteed again; there are new ones for what is on top."""
    cell = Cell((MBIT,), others={"control": (50, 1)}, video=(50, 5), window_ns=1)
    flow = cell.flows[0]
    assert flow.is_owed(0)
    flow.pay(1_250)
    assert not flow.is_owed(0)
    for rate_bps in rates_bps:
        flow.guarantee(rate_bps, 0)
    flow.pay(sent_bytes - 1_250)
    assert not flow.is_owed(0)
    assert flow.is_owed(BYTE_NS)


def test_flows_share_their_reserve_by_their_rates() -> None:
    """Of two that send as much as they can each has its rate; one that comes late has its own at once."""
    cell = Cell((1 * MBIT, 3 * MBIT), others={"control": (50, 1)}, video=(50, 5))
    for who in ("control", "video", 0):
        cell.offer(who, 3_000_000)
    cell.run(500 * MS)
    assert 3_000_000 - cell.left_bytes(0) == pytest.approx(4 * MBIT // 16, rel=0.02), "as far as its bucket goes"
    cell.offer(1, 3_000_000)
    lefts = [cell.left_bytes(number) for number in (0, 1)]
    cell.run(600 * MS)
    sent = [before - cell.left_bytes(number) for number, before in enumerate(lefts)]
    assert sent == pytest.approx([MBIT // 80, 3 * MBIT // 80], abs=2 * CHUNK_BYTES)
    cell.run(4_500 * MS)
    lefts = [cell.left_bytes(number) for number in (0, 1)]
    cell.run(5_500 * MS)
    sent = [before - cell.left_bytes(number) for number, before in enumerate(lefts)]
    assert sent == pytest.approx([MBIT // 8, 3 * MBIT // 8], abs=2 * CHUNK_BYTES)


def test_a_slice_with_a_reserve_has_one_turn_among_equals() -> None:
    """What is left over is divided by slices: a reserve does not give its slice a second part."""
    cell = Cell((MBIT // 2,), others={"bulk": (0, 5)}, video=(10, 5))
    cell.flows[0].guarantee(8 * MBIT, 0)  # so that both of the slice's queues would borrow all the time
    for who in ("bulk", "video", 0):
        cell.offer(who, 2_000_000)
    cell.run(1_000 * MS)
    assert cell.queues["bulk"].busy_ns == pytest.approx(450 * MS, rel=0.01)


def test_places_given_up_do_not_pile_up() -> None:
    """A flow that is always served under its rate leaves nothing behind among a rest that never comes to send."""
    cell = Cell((4 * MBIT,), others={"control": (50, 1)}, video=(50, 5))
    cell.offer("control", 10_000_000)
    cell.offer("video", 1_000)
    for number in range(1_000):
        cell.run((number + 1) * MS * 3 // 2)
        cell.offer(0, 700)
        assert len(cell.queues["video"].waiting) <= 2 * (1 + len(cell.flows[0].places))
    assert cell.sent_bytes(0) > 600_000


def test_a_reserve_is_kept_from_the_rest_of_its_slice() -> None:
    """What a slice has admitted waits apart: the rest of the slice, overloaded, takes nothing of it."""
    cell = Cell((0,), others={"web": (40, 1)}, video=(60, 5))
    cell.medium.reserve("video", 250_000, 0)
    cell.flows[0].guarantee(2 * MBIT, 0)
    assert [queue.guarantee_ppm for queue in cell.queues.values()] == [250_000, 350_000, 400_000]
    for number in range(1_000):
        cell.run(number * MS)
        for who in ("video", "web"):
            cell.offer(who, 2_000)
        if number % 10 == 0:
            cell.offer(0, 2_000)
    cell.run(1_000 * MS)
    taken_ms = [at_ns // MS - 10 * number for number, at_ns in enumerate(at for at, who, _ in cell.sent if who == 0)]
    assert len(taken_ms) == 100
    assert max(taken_ms) <= 10
    cell.medium.reserve("video", 0, 10**12)
    assert [queue.guarantee_ppm for queue in cell.queues.values()] == [0, 600_000, 400_000]
