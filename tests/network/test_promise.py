"""What the air owes a flow, and how it is counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.network.promise import AirPromise, AirTally, Allowance

MS = 1_000_000


@given(
    st.lists(st.tuples(st.integers(0, 9 * MS), st.integers(1, 400)), max_size=60),
    st.integers(1, 1_000),
    st.integers(1, 20 * MS),
)
def test_an_allowance_is_a_sliding_window(steps: list[tuple[int, int]], limit_bytes: int, window_ns: int) -> None:
    """Bytes are allowed if with them no more than the limit was sent in the window that ends now."""
    allowance, sent, now_ns = Allowance(limit_bytes, window_ns), [], 0
    for wait_ns, size_bytes in steps:
        now_ns += wait_ns
        sent.append((now_ns, size_bytes))
        in_window = sum(size for time_ns, size in sent if time_ns > now_ns - window_ns)
        assert allowance.take(size_bytes, now_ns) == (in_window <= limit_bytes)


def test_burst_volume_is_reckoned_within_the_radio_budget() -> None:
    """Two packets of 200 B within 9 ms are more than the 255 B of 5QI 82; 9 ms later there is room again."""
    promise = AirPromise(9 * MS, critical=True, max_burst_bytes=255)
    assert [promise.take(200, time_ns) for time_ns in (0, 8 * MS, 17 * MS)] == [True, False, True]


def test_guaranteed_rate_is_reckoned_over_its_window() -> None:
    """8 kbit/s over 2 s are 2000 bytes, however they are spread; with no rate guaranteed there is none to exceed."""
    promise = AirPromise(9 * MS, window_ns=2_000 * MS)
    assert promise.take(10**9, 0)
    promise.guarantee(8_000)
    assert [promise.take(1_000, second * 500 * MS) for second in range(6)] == [True] * 2 + [False] * 4
    assert promise.take(1_000, 6_000 * MS)
    promise.guarantee(0)
    assert (promise.limited, promise.take(10**9, 6_000 * MS)) == (False, True)


def test_what_was_sent_counts_on_when_the_rate_changes() -> None:
    """A device that asks for a second flow has no room for what it has sent: refused, admitted, or when that ends."""
    promise = AirPromise(9 * MS, window_ns=2_000 * MS)
    promise.guarantee(8_000)
    assert promise.take(2_000, 0)
    promise.guarantee(8_000)
    assert not promise.take(1_000, MS)
    promise.guarantee(16_000)
    assert [promise.take(1_000, time_ns) for time_ns in (2 * MS, 3 * MS)] == [True, False]
    promise.guarantee(8_000)
    assert [promise.take(1, time_ns) for time_ns in (4 * MS, 2_003 * MS)] == [False, True]


@pytest.mark.parametrize(
    ("critical", "discards", "beyond", "lost", "carried"),
    [
        (False, False, False, 0, True),
        (True, False, False, 3, True),
        (True, False, True, 0, True),
        (False, True, False, 3, False),
        (True, True, True, 0, False),
    ],
)
def test_what_a_late_train_counts_as(critical: bool, discards: bool, beyond: bool, lost: int, carried: bool) -> None:
    """Late is lost for delay-critical flows and where the radio drops it, unless it is more than was promised for."""
    tally = AirTally()
    promise = AirPromise(MS, critical=critical, discards=discards)
    assert tally.count(promise, 3, MS + 1, beyond=beyond) is carried
    assert (tally.packets, tally.late, tally.beyond, tally.late_beyond) == (3, 3, 3 * beyond, 3 * beyond)
    assert (tally.lost, tally.longest_ns) == (lost, MS + 1)


def test_exactly_the_budget_is_in_time() -> None:
    """A packet that takes as long as the budget has kept it."""
    tally = AirTally()
    assert tally.count(AirPromise(MS, critical=True, discards=True), 1, MS, beyond=False)
    assert (tally.packets, tally.late, tally.lost) == (1, 0, 0)
