"""Which packets of a link are struck: independently of each other, or in bursts.

A model is asked about packets in the order in which they are sent. It draws how many go by until its state changes,
rather than once for each packet: the same distribution, at the price of one draw for each packet that is struck.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Protocol

_NOTHING = ()
_FOREVER = 1 << 62


class LossModel(Protocol):
    """What decides which packets are lost."""

    def strike(self, packets: int) -> Sequence[int]:
        """Return which of the next ``packets`` (one or more) are struck, counted from 0 in ascending order."""


def geometric(probability: float, random: Random) -> int:
    """Draw the number of the first success in independent trials: 1 or more, with mean 1 / ``probability``."""
    if probability >= 1:
        return 1
    if probability <= 0:
        return _FOREVER
    return 1 + math.floor(math.log(1 - random.random()) / math.log1p(-probability))


class IndependentStrikes:
    """Strikes each packet with the same probability, whatever happened to the others."""

    __slots__ = ("_probability", "_random", "_spare")

    def __init__(self, probability: float, random: Random) -> None:
        assert 0 < probability <= 1, probability
        self._probability = probability
        self._random = random
        self._spare = geometric(probability, random) - 1
        """Packets that get through before the next that is struck."""

    def strike(self, packets: int) -> Sequence[int]:
        """Return which of the next ``packets`` are struck."""
        position = self._spare
        if position >= packets:
            self._spare = position - packets
            return _NOTHING
        struck = []
        while position < packets:
            struck.append(position)
            position += geometric(self._probability, self._random)
        self._spare = position - packets
        return struck


class GilbertElliottLoss:
    """Loss in bursts: a good state in which nothing is lost and a bad one in which everything is.

    A Markov chain with a step for each packet (Gilbert 1960; Elliott 1963). Bursts of lost packets have a geometric
    length with mean ``mean_burst_packets``; the chain starts in its stationary distribution, so that the share
    ``average`` is lost from the first packet on. Needs ``average`` <= b / (b + 1) with b the mean burst: even bursts
    that are one packet apart lose no more.
    """

    __slots__ = ("_bad", "_leave_bad", "_leave_good", "_left", "_random")

    def __init__(self, average: float, mean_burst_packets: float, random: Random) -> None:
        assert 0 < average < 1 <= mean_burst_packets, (average, mean_burst_packets)
        self._leave_bad = 1 / mean_burst_packets
        self._leave_good = average * self._leave_bad / (1 - average)
        assert self._leave_good <= 1 + 1e-9, "losses are too many for bursts of this length"
        self._random = random
        self._bad = random.random() < average
        self._left = self._draw()
        """Packets for which the state still lasts."""

    def _draw(self) -> int:
        return geometric(self._leave_bad if self._bad else self._leave_good, self._random)

    def strike(self, packets: int) -> Sequence[int]:
        """Return which of the next ``packets`` are lost."""
        if self._left > packets and not self._bad:
            self._left -= packets
            return _NOTHING
        lost: list[int] = []
        position = 0
        while position < packets:
            taken = min(packets - position, self._left)
            if self._bad:
                lost += range(position, position + taken)
            position += taken
            self._left -= taken
            if not self._left:
                self._bad = not self._bad
                self._left = self._draw()
        return lost
