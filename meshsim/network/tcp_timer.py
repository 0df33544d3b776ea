"""Linux's clockwork: timers that expire on ticks, and the estimate of the round trip that they are set from."""

from __future__ import annotations

from meshsim.network.tcp_parameters import TcpParameters

WHEEL_LEVELS = 8
FIRST_LEVEL_TICKS = 63
"""Ticks that the timer wheel's first level spans; each level above spans eight times as many, eight times coarser."""


def whole_ticks_ns(timeout_ns: int, tick_ns: int) -> int:
    """Return a timeout rounded up to ticks; as it is where there are none."""
    if not tick_ns:
        return timeout_ns
    return -(-timeout_ns // tick_ns) * tick_ns


def expiry_ns(now_ns: int, timeout_ns: int, tick_ns: int) -> int:
    """Return when a timer set now goes off: never early, on a tick, and the later the coarser.

    The wheel has levels of 64 slots; below 63 ticks a slot is one tick, below 504 it is eight, and so on (Linux,
    kernel/time/timer.c). So 1 s at 250 ticks a second takes 1000 to 1032 ms. Without ticks a timer is exact.
    """
    if not tick_ns:
        return now_ns + timeout_ns
    expires = now_ns // tick_ns - (-timeout_ns // tick_ns)
    ticks = expires - now_ns // tick_ns
    slot, span = 1, FIRST_LEVEL_TICKS
    for _ in range(WHEEL_LEVELS):
        if ticks < span:
            break
        slot, span = slot * 8, span * 8
    return (expires + slot) // slot * slot * tick_ns


class RoundTripEstimate:
    """The smoothed round trip, its variation, and the retransmission timeout: RFC 6298 with Linux's floor.

    Linux keeps four mean deviations as the allowance, at least 200 ms; it raises it at once, and lowers it once a round
    trip.
    """

    __slots__ = (
        "_allowance_ns",
        "_deviation_ns",
        "_largest_ns",
        "_lower_after",
        "_maximum_rto_ns",
        "_minimum_rto_ns",
        "_tick_ns",
        "minimum_ns",
        "rto_ns",
        "smoothed_ns",
    )

    def __init__(self, parameters: TcpParameters) -> None:
        self.smoothed_ns = 0
        self.minimum_ns = -1
        """Shortest sample; -1 before the first."""
        self.rto_ns = parameters.initial_rto_ns
        self._deviation_ns = 0
        self._allowance_ns = 0
        self._largest_ns = 0
        self._lower_after = 0
        self._minimum_rto_ns = parameters.minimum_rto_ns
        self._maximum_rto_ns = parameters.maximum_rto_ns
        self._tick_ns = parameters.tick_ns

    def sample(self, round_trip_ns: int, acknowledged: int, sent: int) -> None:
        """Take a sample; ``acknowledged`` and ``sent`` are sequence numbers that tell one round trip from the next."""
        if self.smoothed_ns == 0:
            self.smoothed_ns = round_trip_ns
            self._deviation_ns = 2 * round_trip_ns
            self._allowance_ns = self._largest_ns = max(self._deviation_ns, self._minimum_rto_ns)
            self._lower_after = sent
        else:
            self._follow(round_trip_ns - self.smoothed_ns, acknowledged, sent)
        # A sample may be longer than any timeout: a selective acknowledgement that came after many, all others lost.
        rto_ns = whole_ticks_ns(self.smoothed_ns + self._allowance_ns, self._tick_ns)
        self.rto_ns = min(rto_ns, self._maximum_rto_ns)

    def _follow(self, error_ns: int, acknowledged: int, sent: int) -> None:
        self.smoothed_ns += error_ns // 8
        change_ns = abs(error_ns) - self._deviation_ns // 4
        # A round trip that got shorter by a lot says little about how much longer the next may be.
        self._deviation_ns += change_ns // 8 if error_ns < 0 < change_ns else change_ns
        if self._deviation_ns > self._largest_ns:
            self._largest_ns = self._deviation_ns
            self._allowance_ns = max(self._allowance_ns, self._largest_ns)
        if acknowledged > self._lower_after:
            if self._largest_ns < self._allowance_ns:
                self._allowance_ns -= (self._allowance_ns - self._largest_ns) // 4
            self._lower_after = sent
            self._largest_ns = self._minimum_rto_ns

    def shortest(self, round_trip_ns: int) -> None:
        """Take note of a round trip of a segment that was sent once."""
        if self.minimum_ns < 0 or round_trip_ns < self.minimum_ns:
            self.minimum_ns = round_trip_ns

    def seed(self, remembered_ns: int, fallback_rto_ns: int) -> None:
        """Set the first timeout after connection set-up: from an earlier connection if its round trip was longer."""
        if remembered_ns > self.smoothed_ns:
            tick_ns = self._tick_ns or 1
            whole_ns = remembered_ns // tick_ns * tick_ns
            self.rto_ns = min(whole_ns + max(2 * whole_ns, self._minimum_rto_ns), self._maximum_rto_ns)
        elif self.smoothed_ns == 0:
            self.rto_ns = self._allowance_ns = self._largest_ns = self._deviation_ns = fallback_rto_ns
