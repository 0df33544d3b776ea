"""Ways between two hosts, as a connection at segment level sees them: what is lost, and when the rest arrives."""

from __future__ import annotations

import math
from random import Random
from typing import Protocol

from meshsim.network import tcp

UP, DOWN = 0, 1
"""Directions: from client to server, and back."""


class Path(Protocol):
    """What a connection asks of the network. Times are integer nanoseconds, and never fall from call to call."""

    def lost(self, direction: int, now_ns: int) -> bool:
        """Return whether what is sent now is lost; asked once for each packet, or aggregate of packets."""

    def arrival_ns(self, direction: int, now_ns: int, size_bytes: int) -> int:
        """Return when a packet that is sent now, headers included, has arrived whole."""


class LossCountdown:
    """Independent loss, drawn as the number of packets that get through before the next loss: a draw for each loss."""

    __slots__ = ("_log_survival", "_random", "spare")

    def __init__(self, probability: float, random: Random) -> None:
        assert 0 <= probability <= 1, probability
        self._random = random
        self._log_survival = math.log1p(-probability) if probability < 1 else -math.inf
        self.spare = self._draw()

    def _draw(self) -> float:
        if self._log_survival == 0:
            return math.inf
        return math.floor(math.log(1 - self._random.random()) / self._log_survival)

    def lost(self) -> bool:
        """Return whether the next packet is lost."""
        if self.spare:
            self.spare -= 1
            return False
        self.spare = self._draw()
        return True


class SteadyPath:
    """A path with a fixed delay and bandwidth each way and independent loss; order is kept.

    ``noise_ns`` is how much, at most, hosts add to or take from a packet's delay, uniformly: no two packets of a real
    network take the same time, which decides ties in the sender's comparisons of round trips.
    """

    def __init__(
        self,
        delays_ns: tuple[int, int],
        bandwidth_bps: int,
        losses: tuple[LossCountdown, LossCountdown],
        random: Random,
        noise_ns: int = 0,
    ) -> None:
        assert min(delays_ns) >= noise_ns >= 0 < bandwidth_bps, (delays_ns, noise_ns, bandwidth_bps)
        self.delays_ns = delays_ns
        self.bandwidth_bps = bandwidth_bps
        self._losses = losses
        self._random = random
        self._noise_ns = noise_ns
        self._free_ns = [0, 0]
        self._latest_ns = [0, 0]

    def lost(self, direction: int, now_ns: int) -> bool:
        """Return whether what is sent now is lost."""
        return self._losses[direction].lost()

    def arrival_ns(self, direction: int, now_ns: int, size_bytes: int) -> int:
        """Return when a packet that is sent now has arrived whole."""
        sent_ns = max(now_ns, self._free_ns[direction]) + -(-size_bytes * 8 * tcp.S // self.bandwidth_bps)
        self._free_ns[direction] = sent_ns
        arrival_ns = sent_ns + self.delays_ns[direction]
        if self._noise_ns:
            arrival_ns += round((2 * self._random.random() - 1) * self._noise_ns)
        self._latest_ns[direction] = max(self._latest_ns[direction], arrival_ns)
        return self._latest_ns[direction]

    def spare(self, packets: tuple[int, int]) -> bool:
        """Return whether the next ``packets`` each way all get through; if so, take them as sent."""
        if any(loss.spare < count for loss, count in zip(self._losses, packets, strict=True)):
            return False
        for loss, count in zip(self._losses, packets, strict=True):
            loss.spare -= count
        return True

    def lossless(self) -> SteadyPath:
        """Return an idle path like this one, without loss and noise."""
        never = LossCountdown(0, self._random)
        return SteadyPath(self.delays_ns, self.bandwidth_bps, (never, never), self._random)

    def reset(self) -> None:
        """Make the path idle for a connection that starts at another time; losses go on as they were."""
        self._free_ns = [0, 0]
        self._latest_ns = [0, 0]
