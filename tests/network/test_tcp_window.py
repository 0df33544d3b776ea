"""How many segments may be under way."""

from __future__ import annotations

import pytest

from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_window import after_idle


@pytest.mark.parametrize(
    ("segments", "timeouts", "left"),
    [(64, 1.0, 64), (64, 1.1, 32), (64, 2.1, 16), (64, 3.1, 10), (64, 99, 10), (6, 99, 6)],
)
def test_an_idle_window_is_halved_for_each_timeout(segments: int, timeouts: float, left: int) -> None:
    """Down to the initial window; a smaller one stays, and all stay where the kernel is told not to."""
    idle_ns = int(timeouts * 1_000_000)
    assert after_idle(segments, TcpParameters(), idle_ns, 1_000_000) == left
    assert after_idle(segments, TcpParameters(slow_start_after_idle=False), idle_ns, 1_000_000) == segments
