"""Slices at a shared medium."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshsim.network.medium import NEVER, WAITING, SharedMedium, SliceQueue
from meshsim.network.train import Train

MBIT = 1_000_000
MS = 1_000_000


def train(size_bytes: int, now_ns: int = 0) -> Train:
    made = Train()
    made.load(size_bytes, max(1, size_bytes // 1500), now_ns)
    return made


def medium(bandwidth_bps: int, *, isolated: bool = True, **slices: tuple[int, int]) -> SharedMedium:
    queues = {name: SliceQueue(name, share * 10_000, priority) for name, (share, priority) in slices.items()}
    return SharedMedium(bandwidth_bps, queues, interval_ns=MS // 2, isolated=isolated)


def play(at: SharedMedium, offers: list[tuple[int, str, int]]) -> list[tuple[int, str, int]]:
    """Offer trains (time, slice, size), ordered by time; return (time sent, slice, size) in the order of sending."""
    names: dict[int, str] = {}
    sent: list[tuple[int, str, int]] = []
    kept: list[Train] = []

    def advance(until_ns: int) -> None:
        while at.next_ns <= until_ns:
            now_ns = at.next_ns
            done = at.advance(now_ns)
            if done is not None:
                sent.append((now_ns, names[id(done)], done.size_bytes))

    for time_ns, name, size_bytes in offers:
        advance(time_ns)
        one = train(size_bytes, time_ns)
        kept.append(one)
        names[id(one)] = name
        at_once_ns = at.offer(name, one, time_ns)
        if at_once_ns != WAITING:
            sent.append((at_once_ns, name, size_bytes))
    advance(NEVER - 1)
    return sorted(sent)


def test_lone_train_takes_its_serialisation() -> None:
    """A train on an idle medium is sent at the medium's full bandwidth, whatever its slice's guarantee."""
    at = medium(8 * MBIT, video=(10, 5))
    assert play(at, [(0, "video", 400)]) == [(400_000, "video", 400)]
    assert play(medium(8 * MBIT, video=(10, 5)), [(0, "video", 40_000)]) == [(40 * MS, "video", 40_000)]


def test_important_slice_waits_for_one_chunk_at_most() -> None:
    """A long run of one slice is cut at the end of a chunk when a more important slice wants to send."""
    at = medium(8 * MBIT, control=(20, 1), video=(50, 5))
    sent = play(at, [(0, "video", 40_000), (10 * MS + 100, "control", 100)])
    assert sent[0] == (10 * MS + MS // 2 + 100_000, "control", 100)
    assert sent[1] == (40 * MS + 100_000, "video", 40_000)


def test_guarantee_holds_against_more_important_overload() -> None:
    """A slice gets its guarantee even while a more important one offers more than the medium can carry."""
    offers = sorted(
        [(i * MS, "control", 3_000) for i in range(1000)] + [(i * 4 * MS, "video", 1_000) for i in range(250)]
    )
    sent = play(medium(8 * MBIT, control=(50, 1), video=(30, 9)), offers)
    video_bytes = sum(size for time_ns, name, size in sent if name == "video" and time_ns <= 1000 * MS)
    assert video_bytes >= 240_000  # it offers 25 % of the medium, less than its guarantee of 30 %


def test_what_one_slice_leaves_another_borrows() -> None:
    """While the others are silent a slice has the whole medium."""
    sent = play(medium(8 * MBIT, control=(90, 1), video=(10, 9)), [(i, "video", 10_000) for i in range(100)])
    assert sent[-1][0] == 1000 * MS


def test_without_isolation_first_come_is_first_served() -> None:
    """One queue for all: a small train waits for everything that came before it."""
    at = medium(8 * MBIT, isolated=False, control=(20, 1), video=(50, 5))
    sent = play(at, [(0, "video", 40_000), (1, "control", 100)])
    assert sent == [(40 * MS, "video", 40_000), (40 * MS + 100_000, "control", 100)]


offers_of = st.lists(
    st.tuples(
        st.integers(0, 20 * MS),
        st.sampled_from(["control", "video", "rest"]),
        st.sampled_from([60, 499, 500, 1_500, 9_000]),
    ),
    max_size=40,
).map(lambda offers: sorted(offers, key=lambda offer: offer[0]))


@given(offers_of, st.booleans())
def test_every_byte_is_sent_once_and_the_medium_never_idles(offers: list[tuple[int, str, int]], isolated: bool) -> None:
    """What goes in comes out, in order within a slice, and the last when a busy period of any order would end."""
    at = medium(8 * MBIT, isolated=isolated, control=(20, 1), video=(50, 5), rest=(0, 9))
    sent = play(at, offers)
    for name in at.queues:
        assert [size for _, other, size in sent if other == name] == [
            size for _, other, size in offers if other == name
        ]
        assert at.queues[name].sent_bytes == at.queues[name].delivered_bytes
        assert at.queues[name].waiting_bytes(0) == 0
    free_ns = 0
    for time_ns, _, size_bytes in offers:
        free_ns = max(free_ns, time_ns) + size_bytes * 1_000
    assert max((time_ns for time_ns, _, _ in sent), default=0) == free_ns
    assert at.next_ns == NEVER


@given(
    isolated=st.booleans(),
    offers=st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["control", "video"]), st.integers(1, 6_000), st.booleans()),
        min_size=1,
        max_size=20,
    ),
    leave_us=st.integers(0, 40_000),
)
def test_what_leaves_takes_no_more_of_the_medium(
    isolated: bool, offers: list[tuple[int, str, int, bool]], leave_us: int
) -> None:
    """Trains leave that were not sent yet; the others are all sent, and those that left count as let through."""
    at = medium(8 * MBIT, isolated=isolated, control=(20, 1), video=(50, 5))
    leave_ns = leave_us * 1_000
    leaving, sent, left, total_bytes = set(), set(), set(), 0
    trains = []
    steps = sorted([(time * MS, 0, name, size, leaves) for time, name, size, leaves in offers] + [(leave_ns, 1)])
    for step in [*steps, (NEVER - 1, 2)]:
        while at.next_ns <= step[0]:
            done = at.advance(at.next_ns)
            if done is not None:
                assert id(done) not in left
                sent.add(id(done))
        if step[1] == 0:
            _, _, name, size_bytes, leaves = step
            one = train(size_bytes, step[0])
            trains.append(one)
            total_bytes += size_bytes
            if leaves:
                leaving.add(id(one))
            if at.offer(name, one, step[0]) != WAITING:
                sent.add(id(one))
        elif step[1] == 1:
            waiting = leaving - sent
            gone = at.withdraw(lambda one: id(one) in leaving, leave_ns)
            left = {id(one) for one in gone}
            assert left == waiting & {id(one) for one in trains}
            assert [one.tail_ns for one in gone] == sorted(one.tail_ns for one in gone)
    assert sent == {id(one) for one in trains} - left
    queues = at.queues.values()
    assert sum(queue.sent_bytes for queue in queues) == total_bytes
    assert [(queue.delivered_bytes, queue.waiting_bytes(0)) for queue in queues] == [(q.sent_bytes, 0) for q in queues]
    assert at.next_ns == NEVER


@given(isolated=st.booleans())
def test_what_waits_goes_before_what_comes_as_the_medium_falls_free(isolated: bool) -> None:
    """A train that comes at the very instant at which the medium falls free does not overtake what waits for that."""
    at = medium(8 * MBIT, isolated=isolated, control=(20, 1), video=(20, 5))
    first, waits, comes = train(400), train(400), train(400)
    assert at.offer("video", first, 0) == 400_000
    assert at.offer("control", waits, 100_000) == WAITING
    assert at.offer("video", comes, 400_000) == WAITING
    assert at.advance(400_000) is None  # it was awaited then, and has begun with what waited
    assert (at.next_ns, at.advance(800_000)) == (800_000, waits)
    assert (at.next_ns, at.advance(1_200_000)) == (1_200_000, comes)


def test_equals_borrow_in_turn() -> None:
    """Of slices with one priority none has more of what is left over than another, whatever their order."""
    at = medium(8 * MBIT, one=(10, 5), other=(20, 5), last=(10, 6))
    for name in ("one", "other", "last"):
        at.offer(name, train(2_000_000), 0)
    while at.next_ns <= 1000 * MS:
        at.advance(at.next_ns)
    shares = [round(queue.busy_ns / (10 * MS)) for queue in at.queues.values()]
    assert shares == [10 + 30, 20 + 30, 10]
