"""Reno where every N-th packet is lost: a sawtooth without chance, whose length is known to the round trip."""

from __future__ import annotations

from itertools import pairwise
from statistics import fmean

from meshsim.network import tcp
from meshsim.network.tcp_connection import carry
from meshsim.network.tcp_dialogue import Turn
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import UP
from meshsim.validation.claims import Claim, at_most

ROUND_TRIP_NS = 50 * tcp.MS
TOPS = (12, 20, 30, 40, 50)
"""Windows, in segments, at which a packet is lost."""
WARM_UP, MEASURED = 6, 20
"""Losses that are waited for, and those whose distances count."""
TOLERANCE_ROUNDS = 0.001


class _Periodic:
    """A path without serialisation that loses every N-th packet up."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._sent = 0
        self.losses_ns: list[int] = []

    def lost(self, direction: int, now_ns: int) -> bool:
        """Count a packet."""
        if direction != UP:
            return False
        self._sent += 1
        if self._sent % self._period:
            return False
        self.losses_ns.append(now_ns)
        return True

    def arrival_ns(self, direction: int, now_ns: int, size_bytes: int) -> int:
        """Half a round trip later."""
        return now_ns + ROUND_TRIP_NS // 2


def packets(top: int) -> int:
    """Return after how many packets the window is at its top again: half of it twice, then one more each round trip."""
    return round(top // 2 + sum(range(top // 2, top + 1)))


def rounds(top: int) -> int:
    """Return in how many round trips: one of repair, and one for each window from half of the top up to it."""
    return 1 + top - top // 2 + 1


def found_rounds(top: int) -> float:
    """Return how many the model takes, on average."""
    period = packets(top)
    path = _Periodic(period)
    parameters = TcpParameters(congestion_control="reno", maximum_window=4 * top, tick_ns=0)
    size_bytes = (WARM_UP + MEASURED + 1) * period * tcp.SEGMENT_BYTES
    carry((Turn(UP, (size_bytes,)),), path, parameters)
    steady_ns = path.losses_ns[WARM_UP : WARM_UP + MEASURED + 1]
    return fmean(later - earlier for earlier, later in pairwise(steady_ns)) / ROUND_TRIP_NS


def periodic_losses() -> tuple[Claim, list[tuple[str, ...]]]:
    """Compare every top."""
    rows: list[tuple[str, ...]] = []
    worst = 0.0
    for top in TOPS:
        found = found_rounds(top)
        worst = max(worst, abs(found - rounds(top)))
        rows.append((f"{packets(top)}", f"{top}", f"{rounds(top)}", f"{found:.3f}"))
    text = "Round trips of a sawtooth where losses come after equal numbers of packets: worst difference"
    return at_most(text, TOLERANCE_ROUNDS, round(worst, 4), "round trips"), rows
