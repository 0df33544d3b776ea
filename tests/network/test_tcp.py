"""TCP's arithmetic against what Linux does, and against measured handshakes under loss."""

from __future__ import annotations

import pytest

from meshsim.network import tcp

MS = 1_000_000
S = 1_000_000_000


def test_segments() -> None:
    """A segment carries 1448 bytes next to 52 of headers in an MTU of 1500; nothing still takes one segment."""
    assert tcp.SEGMENT_BYTES + tcp.HEADER_BYTES == 1500
    sizes = (0, 1, 1_448, 1_449, 14_480, 14_481)
    assert [tcp.segments_of(size) for size in sizes] == [1, 1, 1, 2, 10, 11]
    assert tcp.INITIAL_WINDOW == 10


def test_syn_timeouts() -> None:
    """A SYN is sent again after 1 s, four times more at 1 s, then after twice as long each time, up to 120 s."""
    assert [tcp.syn_timeout_ns(attempt) // S for attempt in range(8)] == [1, 1, 1, 1, 1, 2, 4, 8]
    assert tcp.syn_timeout_ns(20) == 120 * S
    assert tcp.SYN_RETRIES == 6


@pytest.mark.parametrize(("round_trip_ms", "expected_ms"), [(5, 205), (31, 231), (100, 300), (195, 585)])
def test_retransmission_timeout_after_one_sample(round_trip_ms: int, expected_ms: int) -> None:
    """After one sample the timer is R + max(2 R, 200 ms), as the measured ClientHello losses show."""
    assert tcp.retransmission_timeout_ns(round_trip_ms * MS, 0) == expected_ms * MS
    assert tcp.retransmission_timeout_ns(round_trip_ms * MS, 2) == 4 * expected_ms * MS


def test_retransmission_timeout_is_bounded() -> None:
    """However often it doubles, the timer does not pass 120 s."""
    assert tcp.retransmission_timeout_ns(50 * MS, 30) == 120 * S


def test_whole_train_lost_waits_for_the_timer() -> None:
    """When nothing arrived there is no acknowledgement to learn from, whatever was lost."""
    for segments in (1, 3, 10):
        delay_ns = tcp.recovery_delay_ns(31 * MS, segments, segments, tail_lost=True, retries=0)
        assert delay_ns == 231 * MS


def test_hole_is_filled_by_fast_retransmission() -> None:
    """A hole costs a round trip and a quarter and 2 ms at least: 1.25 R and 10 to 14 ms at most as measured."""
    delay_ns = tcp.recovery_delay_ns(100 * MS, 5, 1, tail_lost=False, retries=0)
    assert 125 * MS <= delay_ns <= 139 * MS


def test_lost_tail_waits_for_the_probe() -> None:
    """A lost tail costs the probe's two round trips and one to learn what is missing, and no more than the timer."""
    assert tcp.recovery_delay_ns(20 * MS, 5, 1, tail_lost=True, retries=0) == 62 * MS
    assert tcp.recovery_delay_ns(500 * MS, 5, 1, tail_lost=True, retries=0) == 1500 * MS


def test_second_loss_of_the_same_waits_for_the_timer() -> None:
    """What was sent again and lost again waits for the timer, doubled."""
    assert tcp.recovery_delay_ns(20 * MS, 5, 1, tail_lost=False, retries=1) == 440 * MS
