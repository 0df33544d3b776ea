"""What the meters read off a shared medium."""

from __future__ import annotations

from meshsim.network.medium import NEVER, WAITING, SharedMedium, SliceQueue
from meshsim.network.train import Train

MS = 1_000_000


def train(size_bytes: int) -> Train:
    """A train that starts at once."""
    made = Train()
    made.load(size_bytes, max(1, size_bytes // 1500), 0)
    return made


def test_time_worked_grows_with_time() -> None:
    """A run counts while it lasts and no more, also in the middle, so that no interval is more than fully used."""
    queue = SliceQueue("web", 1_000_000, 1)
    medium = SharedMedium(8_000_000, {"web": queue}, interval_ns=MS // 2)
    assert medium.offer("web", train(30_000), 0) == WAITING
    assert [queue.busy_ns - queue.backlog_ns(at * MS) for at in (0, 1, 17, 30)] == [0, 1 * MS, 17 * MS, 30 * MS]
    assert medium.advance(30 * MS) is not None
    assert medium.next_ns == NEVER
    assert [queue.busy_ns - queue.backlog_ns(at * MS) for at in (30, 90)] == [30 * MS, 30 * MS]


def test_train_that_found_the_medium_idle_counts_as_it_is_sent() -> None:
    """A train that need not wait is counted while it is sent, not all at its beginning."""
    queue = SliceQueue("web", 1_000_000, 1)
    medium = SharedMedium(8_000_000, {"web": queue}, interval_ns=MS // 2)
    assert medium.offer("web", train(400), 0) == 400_000
    assert [queue.busy_ns - queue.backlog_ns(at) for at in (0, 100_000, 400_000, MS)] == [0, 100_000, 400_000, 400_000]
