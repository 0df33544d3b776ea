"""Flows with an admitted bit rate: a queue for each device, and a bucket of tokens for its rate.

The packets of a device's flow wait in one queue, in their order, and each has a *place* among the rest of its slice, as
if nothing were guaranteed. As long as the bucket has tokens the flow is also served under the *reserve* of its slice,
whatever waits among the rest; for what is sent so it gives up the last of its places. So a flow gets its rate however
much it offers, and on top of that, of what is left for the rest of its slice, the part that falls to what it sends
beyond the rate. Both ways the oldest packet goes first: none overtakes another.

Flows that want the reserve at once have it by their rates (start-time fair queueing, Goyal et al. 1996): each gets its
own, and what one leaves unused the others have, as far as their buckets go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from meshsim.network.medium import SliceQueue, Waiting
from meshsim.network.room import BITS_NS
from meshsim.network.train import Train


def reserve_of(slice_name: str) -> str:
    """Return the name of the queue from which a slice's flows with an admitted bit rate are served under it."""
    return f"{slice_name} guaranteed"


class ReserveQueue(SliceQueue):
    """The part of a slice's guarantee that is kept for flows with an admitted bit rate; packets wait in the flows."""

    __slots__ = ("_voids", "flows", "rest", "served_to_ns")

    def __init__(self, key: str, rest: SliceQueue) -> None:
        super().__init__(key, 0, rest.priority)
        self.air = rest.air  # packets are counted by slice, however they are sent
        self.rest: Final = rest
        """The slice's other queue, where all of its packets have a place."""
        self.flows: list[RatedFlow] = []
        """Those of which something waits, in the order in which they began to."""
        self.served_to_ns = 0
        """How far the flow served last had come before, in time that its rate takes for what it was given."""
        self._voids = 0

    def next_flow(self, now_ns: int) -> RatedFlow | None:
        """Return the flow to serve next under its rate, if any may be."""
        chosen: RatedFlow | None = None
        for flow in self.flows:
            if (chosen is None or flow.served_to_ns < chosen.served_to_ns) and flow.is_owed(now_ns):
                chosen = flow
        return chosen

    def void(self) -> None:
        """Count a place that has nothing left."""
        self._voids += 1

    def tidy(self) -> None:
        """Take void places away: all before the first that is none, and the others when they are more than half."""
        waiting = self.rest.waiting
        while waiting and not waiting[0].left_bytes:
            waiting.popleft()
            self._voids -= 1
        if 2 * self._voids > len(waiting):
            self.rest.waiting = deque(one for one in waiting if one.left_bytes)
            self._voids = 0


class Place(Waiting):
    """A flow's place among the rest of its slice, for so many bytes; what is sent when its turn comes is the oldest."""

    __slots__ = ("flow",)

    def __init__(self, train: Train, flow: RatedFlow) -> None:
        super().__init__(train)
        self.flow: Final = flow

    def goes(self, leaves: Callable[[Train], bool]) -> bool:
        """Return False: it goes with its flow."""
        return False


class RatedFlow:
    """What one device sends in one slice over one cell, one way, and the bit rate that it was admitted with."""

    __slots__ = ("_filled_at_ns", "_rate_bps", "_tokens", "_window_ns", "places", "reserve", "served_to_ns", "waiting")

    def __init__(self, reserve: ReserveQueue, window_ns: int) -> None:
        self.reserve: Final = reserve
        self._window_ns = window_ns
        self._rate_bps = 0
        self._tokens = 0  # bytes x BITS_NS
        self._filled_at_ns = 0
        self.served_to_ns = 0
        self.waiting: deque[Waiting] = deque()
        """Its trains, the oldest first."""
        self.places: deque[Place] = deque()
        """Of as many bytes as wait."""

    def guarantee(self, rate_bps: int, now_ns: int) -> None:
        """Guarantee this bit rate from now on; tokens of one averaging window are there, and are never more.

        Of a rate that was guaranteed before, those are there that are left.
        """
        self.is_owed(now_ns)  # tokens up to now, by the rate up to now
        more_bps = max(0, rate_bps - self._rate_bps)
        self._rate_bps = rate_bps
        self._tokens = min(self._tokens + more_bps * self._window_ns, rate_bps * self._window_ns)

    def is_owed(self, now_ns: int) -> bool:
        """Say whether it may be served under its rate."""
        rate_bps = self._rate_bps
        self._tokens = min(self._tokens + rate_bps * (now_ns - self._filled_at_ns), rate_bps * self._window_ns)
        self._filled_at_ns = now_ns
        return self._tokens > 0

    def wait(self, train: Train) -> None:
        """Have a train wait, and take a place for it."""
        reserve, place = self.reserve, Place(train, self)
        if not self.waiting:
            reserve.flows.append(self)
            self.served_to_ns = max(self.served_to_ns, reserve.served_to_ns)
        self.waiting.append(Waiting(train))
        self.places.append(place)
        reserve.rest.line_up(place)

    def pay(self, size_bytes: int) -> None:
        """Take the tokens of bytes that were sent under the rate: never more than a chunk beyond those there were."""
        self._tokens -= size_bytes * BITS_NS
        self.reserve.served_to_ns = self.served_to_ns
        if self._rate_bps:  # else it was lost while they were sent
            self.served_to_ns += size_bytes * BITS_NS // self._rate_bps

    def sent(self, size_bytes: int) -> Train | None:
        """Take bytes off the oldest train; return it if that was all of it."""
        first = self.waiting[0]
        first.left_bytes -= size_bytes
        if first.left_bytes:
            return None
        self.waiting.popleft()
        if not self.waiting:
            self.reserve.flows.remove(self)
        return first.train

    def give_up(self, size_bytes: int) -> None:
        """Give up so much of the last places."""
        self.reserve.rest.sent(size_bytes)
        while size_bytes:
            last = self.places[-1]
            less_bytes = min(size_bytes, last.left_bytes)
            last.left_bytes -= less_bytes
            size_bytes -= less_bytes
            if not last.left_bytes:
                self.places.pop()
                self.reserve.void()
        self.reserve.tidy()

    def use_place(self, size_bytes: int) -> None:
        """Take so much off the first place, whose turn it was."""
        first = self.places[0]
        first.left_bytes -= size_bytes
        self.reserve.rest.sent(size_bytes)
        if not first.left_bytes:
            self.places.popleft()
            self.reserve.void()
            self.reserve.tidy()

    def leave(self, kept: int) -> list[Train]:
        """Take out all trains but so many of the oldest; return them."""
        gone = [self.waiting.pop() for _ in range(len(self.waiting) - kept)]
        self.give_up(sum(one.left_bytes for one in gone))
        if gone and not self.waiting:
            self.reserve.flows.remove(self)
        return [one.train for one in reversed(gone)]
