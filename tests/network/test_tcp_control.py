"""Congestion control: CUBIC and HyStart by RFC 9438 and RFC 9406, Reno by RFC 5681."""

from __future__ import annotations

import pytest

from meshsim.network.tcp_control import Cubic, Reno
from meshsim.network.tcp_loss import RateReduction
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_window import CongestionWindow

MS, S = 1_000_000, 1_000_000_000


def grown(control: str, segments: int, round_trip_ns: int, until_ns: int) -> list[tuple[int, int]]:
    """After a loss with so many segments: when each round trip ends, and the window then."""
    window = CongestionWindow(TcpParameters(congestion_control=control))  # type: ignore[arg-type]  # one of two
    window.segments = segments
    window.reduce()
    window.segments = window.threshold
    now_ns, seen = 0, []
    while now_ns < until_ns:
        for _ in range(window.segments):
            window.regrow(1, now_ns)
            now_ns += round_trip_ns // window.segments
        seen.append((now_ns, window.segments))
    return seen


def test_cubic_grows_by_its_cubic_function() -> None:
    """Over a long round trip the window is 0.4 (t - K)³ + Wmax at every instant, to a round trip's growth."""
    segments, round_trip_ns = 1_000, 100 * MS
    knee_s = (segments * 0.3 / 0.4) ** (1 / 3)
    for now_ns, window in grown("cubic", segments, round_trip_ns, 14 * S):
        low, high = (segments + 0.4 * (now_ns / S + late_s - knee_s) ** 3 for late_s in (-0.15, 0.05))
        assert low - 2 <= window <= high + 2, (now_ns / S, window)


def test_cubic_is_no_slower_than_reno_s_equal() -> None:
    """Over a short round trip CUBIC adds 3 (1 - 0.7) / (1 + 0.7) segments a round trip, as Reno at its beta would."""
    seen = grown("cubic", 40, 10 * MS, 400 * MS)
    assert seen[-1][1] - 28 == pytest.approx(0.53 * len(seen), abs=2)


def test_reno_adds_one_segment_a_round_trip() -> None:
    """Half after a loss, then one more for each round trip."""
    seen = grown("reno", 40, 10 * MS, 100 * MS)
    assert [window for _, window in seen] == [20 + number for number in range(1, len(seen) + 1)]


def test_a_second_loss_makes_room() -> None:
    """Fast convergence: who loses at less than the time before takes less than that as the most there is."""
    control = Cubic()
    assert control.reduced(100) == 70
    assert control.reduced(80) == 56
    # Its plateau is now 80 (1 + 0.7) / 2 = 68: from 56 it is there after cbrt(12 / 0.4) s.
    segments, now_ns = 56, 0
    plateau_ns = int((12 / 0.4) ** (1 / 3) * S)
    assert control.acknowledgements(segments, 1, now_ns) < 100 * segments
    assert control.acknowledgements(68, 1, plateau_ns) > 20


def rounds(window: CongestionWindow, round_trips_ns: list[int], spacing_ns: int) -> int:
    """Slow start over so many rounds; return the window at which it ends, 0 if it does not."""
    now_ns = acknowledged = 0
    for round_trip_ns in round_trips_ns:
        sent, now_ns = acknowledged + window.segments, now_ns + round_trip_ns
        for number in range(window.segments):
            acknowledged += 1
            window.round_trip(round_trip_ns, acknowledged, sent + 2 * number, now_ns + number * spacing_ns)
            if window.threshold <= window.segments:
                return window.segments
            window.used(window.segments)
            window.grow(1, now_ns)
    return 0


@pytest.mark.parametrize(
    ("round_trips_ms", "spacing_ms", "ends"),
    [
        ([100] * 6, 0.0, False),
        ([100, 100, 100, 110, 110], 0.0, False),  # an eighth of 100 ms is more
        ([100, 100, 100, 113, 113], 0.0, True),
        ([20, 20, 20, 23.9, 23.9], 0.0, False),  # 4 ms at least
        ([20, 20, 20, 24.1, 24.1], 0.0, True),
        ([20, 20, 20, 20], 1.2, True),  # a train of more than half a round trip
        ([20, 20, 20, 20], 2.1, False),  # acknowledgements too far apart for a train
    ],
)
def test_hystart_ends_slow_start(round_trips_ms: list[float], spacing_ms: float, ends: bool) -> None:
    """Where round trips become an eighth longer, or acknowledgements last half a round trip."""
    times_ns = [int(each * MS) for each in round_trips_ms]
    end = rounds(CongestionWindow(TcpParameters()), times_ns, int(spacing_ms * MS))
    assert (end >= 16) is ends
    assert not rounds(CongestionWindow(TcpParameters(congestion_control="reno")), times_ns, int(spacing_ms * MS))


def test_a_timeout_forgets_what_was_lost_at() -> None:
    """After a timeout CUBIC knows of no plateau and grows by at least a twentieth a round trip."""
    control = Cubic()
    control.reduced(1_000)
    control.timed_out()
    assert control.acknowledgements(500, 1, S) == 20
    assert Reno().acknowledgements(500, 1, S) == 500


def test_time_stands_still_while_nothing_is_sent() -> None:
    """After a pause CUBIC goes on where it was."""
    paused, straight = Cubic(), Cubic()
    for control in (paused, straight):
        control.reduced(1_000)
        control.acknowledgements(700, 1, 0)
    paused.resumed(60 * S, 61 * S)
    assert paused.acknowledgements(701, 1, 61 * S) == straight.acknowledgements(701, 1, S)


def test_recovery_sends_in_proportion_to_what_arrives() -> None:
    """What is sent for the first time counts as what is sent again: seven segments for ten that arrive (RFC 6937)."""
    reduction, sent = RateReduction(40, 28), 0
    for arrived in range(1, 11):
        room = reduction.window(1, 36, safe=False) - 36
        sent += max(0, room)
        reduction.sent(max(0, room))
        assert sent == max(1, -(-28 * arrived // 40))
