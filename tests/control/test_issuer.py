"""The queue before an issuer, as playbooks: who passes when, who waits, who is refused."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshsim.control.issuer import Capacity, RateLimit, SigningQueue

S = 1_000_000_000
PER_S = 1_000_000
"""Microhertz of one per second."""


def queue(**changes: Any) -> SigningQueue[str]:
    """A queue without limits that signs two at a time, but for what is changed."""
    settings: dict[str, Any] = {
        "at_a_time": 2,
        "signatures_uhz": None,
        "signatures_per_node_uhz": None,
        "longest_wait_ns": None,
        "queue": 100,
    }
    return SigningQueue(Capacity(**settings | changes))


def test_rate_limit_lets_a_burst_pass_and_spaces_the_rest() -> None:
    """Of requests at one instant one second's worth passes at once, others evenly spaced; a pause fills it again."""
    limit = RateLimit(4 * PER_S)
    assert [limit.reserve(0) for _ in range(6)] == [0, 0, 0, 0, S // 4, S // 2]
    assert limit.earliest_ns(10 * S) == 10 * S
    assert [limit.reserve(10 * S) for _ in range(5)] == [10 * S] * 4 + [10 * S + S // 4]


@given(st.integers(1, 50), st.lists(st.integers(0, S), min_size=1, max_size=80))
def test_rate_limit_is_kept_in_every_second(per_s: int, gaps_ns: list[int]) -> None:
    """In any second that begins with a request no more pass than a burst and a second's worth together."""
    limit, now_ns, passed = RateLimit(per_s * PER_S), 0, []
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        passed.append(limit.reserve(now_ns))
        assert passed[-1] >= now_ns
    assert passed == sorted(passed)
    for start_ns in passed:
        assert sum(start_ns <= instant_ns < start_ns + S for instant_ns in passed) <= 2 * per_s


def test_turns_are_first_come_first_served() -> None:
    """As many are signed at a time as the issuer has cores; the next one's turn comes when one is done."""
    line = queue()
    for job in ("a", "b", "c", "d"):
        assert line.admit("n", 0) == 0
        line.enter(job)
    assert [line.take(), line.take(), line.take()] == ["a", "b", None]
    assert line.waiting == 2
    line.done()
    assert [line.take(), line.take()] == ["c", None]


def test_full_queue_refuses() -> None:
    """What may not wait any more is refused, and has used up nothing; who needs not wait is always let in."""
    line = queue(queue=1)
    for job in ("a", "b", "c"):
        assert line.admit("n", 0) == 0
        line.enter(job)
        line.take()
    assert line.admit("n", 0) is None
    line.done()
    assert line.take() == "c"
    assert line.admit("n", 0) == 0


def test_each_node_has_a_limit_of_its_own() -> None:
    """A node that asks too often waits, and holds up no other node."""
    line = queue(signatures_per_node_uhz=2 * PER_S)
    assert [line.admit("greedy", 0) for _ in range(4)] == [0, 0, S // 2, S]
    assert line.admit("modest", 0) == 0


def test_long_waits_are_refused_at_once() -> None:
    """A request that a limit would hold up for longer than is allowed is refused, and takes nobody's place."""
    line = queue(signatures_uhz=2 * PER_S, longest_wait_ns=S // 2)
    assert [line.admit("n", 0) for _ in range(4)] == [0, 0, S // 2, None]
    assert line.admit("n", S // 2) == S


def test_a_process_that_ends_forgets() -> None:
    """After its end the queue is empty and its limits are fresh."""
    line = queue(signatures_uhz=1 * PER_S)
    assert [line.admit("n", 0) for _ in range(2)] == [0, S]
    line.enter("a")
    line.take()
    line.clear()
    assert (line.waiting, line.take()) == (0, None)
    assert line.admit("n", 0) == 0
