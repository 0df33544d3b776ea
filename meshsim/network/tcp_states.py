"""What a TCP sender can be in, and what its timer can be for."""

from __future__ import annotations

import enum


class State(enum.Enum):
    """What a sender thinks of the network: Linux's congestion states, without the one for reduced windows."""

    OPEN = enum.auto()
    DISORDER = enum.auto()
    RECOVERY = enum.auto()
    LOSS = enum.auto()


class Timer(enum.Enum):
    """What the one timer of a sender is set for."""

    RETRANSMISSION = enum.auto()
    TAIL_PROBE = enum.auto()
    REORDERING = enum.auto()
