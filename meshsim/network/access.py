"""Radio access: one device's way over the air of a cell that many share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from meshsim.network.link import MTU_BYTES
from meshsim.network.medium import WAITING, SharedMedium
from meshsim.network.promise import AirPromise
from meshsim.network.radio import RadioModel
from meshsim.network.room import BITS_NS, without_room
from meshsim.network.train import COPY, LOST, NO_LIMIT, Train

INTERRUPTED: Final = WAITING + 1
"""What ``enter`` returns during a handover's interruption: the train has not entered."""


class RadioAccess:
    """One device's radio link, one way, in one slice: the hop that trains cross.

    A train waits for its turn on the air of the serving cell, is sent, and takes the access delay of that instant.
    Order is kept. Nothing enters during a handover's interruption: the carrier waits for ``interrupted_until_ns``. All
    of that counts against the radio part of the delay budget; how it was kept is counted at the cell.

    What waits, waits in the buffer of the flow's RLC entity, which every device has for each slice and direction.
    """

    __slots__ = (
        "_counted",
        "_direction",
        "_last_tail_ns",
        "_model",
        "_slice",
        "_waiting_bytes",
        "buffer_bytes",
        "held",
        "interrupted_until_ns",
        "medium",
        "promise",
    )

    mtu_bytes = MTU_BYTES
    latency_ns = 0  # all of its delay is its model's
    loses = False  # what it loses is lost to whole trains, and not to what is small
    epoch = -1  # no train's: nothing is cut off on the air, nor counted here, and ``leave`` says so
    delivered_bytes = 0

    def __init__(
        self,
        direction: int,
        model: RadioModel,
        medium: SharedMedium,
        slice_name: str,
        promise: AirPromise,
        buffer_bytes: int = NO_LIMIT,
    ) -> None:
        self._direction = direction
        self._model = model
        self._slice = slice_name
        self.promise = promise
        """What this device's packets are owed this way."""
        self.medium = medium
        """Air of the serving cell, this way; another after a handover."""
        self.buffer_bytes = buffer_bytes
        """What may wait or be sent at a time; a packet that finds something there and does not fit is dropped."""
        self._waiting_bytes = 0
        self.interrupted_until_ns = 0
        self.held: deque[Train] = deque()
        """What waits for the end of a handover's interruption; the carrier's to keep."""
        self._last_tail_ns = 0
        self._counted: list[Train] = []
        """What left the last cell unsent, and is not to be counted against the promise once more."""

    def enter(self, train: Train, now_ns: int) -> int:
        """Offer ``train`` to the air; return what ``across`` does, or ``WAITING`` if that is to be asked later.

        ``INTERRUPTED`` until a handover's interruption is over.
        """
        if self.interrupted_until_ns > now_ns:
            return INTERRUPTED
        promise = self.promise
        train.beyond = promise.limited and train.copies != COPY and self._is_beyond(train, now_ns)
        train.queue = self.medium.queues[self._slice]
        if self._waiting_bytes + train.size_bytes > self.buffer_bytes and self._refuse(train, now_ns):
            return LOST
        sent_ns = self._offer(train, now_ns)
        if sent_ns != WAITING:
            return self._cross(train, sent_ns)
        self._waiting_bytes += train.size_bytes
        return WAITING

    def across(self, train: Train, sent_ns: int) -> int:
        """Do as ``enter`` does for a train that had to wait and was sent by ``sent_ns``."""
        self._waiting_bytes -= train.size_bytes
        return self._cross(train, sent_ns)

    def _offer(self, train: Train, now_ns: int) -> int:
        """Have a train wait in the slice's queue, if it has to; return what the medium says."""
        return self.medium.offer(self._slice, train, now_ns)

    def guarantee(self, rate_bps: int, now_ns: int) -> None:
        """Guarantee the device this bit rate in the slice from now on; 0 for none."""
        self.promise.guarantee(rate_bps)

    def change(self, medium: SharedMedium, leaves: Callable[[Train], bool], now_ns: int) -> list[Train]:
        """Go over to another cell's air; return the trains that waited for the last one's, which have to enter anew."""
        trains = self.medium.withdraw(leaves, now_ns)
        self.medium = medium
        return self._take_along(trains)

    def _take_along(self, trains: list[Train]) -> list[Train]:
        """Take note of trains that waited and have to enter anew, and return them."""
        self._waiting_bytes -= sum(train.size_bytes for train in trains)
        if self.promise.limited:
            self._counted = [one for one in self._counted if one in self.held] + trains
        return trains

    def _is_beyond(self, train: Train, now_ns: int) -> bool:
        """Say whether a train exceeds what is promised; it is counted when it is handed to the radio, and only then."""
        for place, one in enumerate(self._counted):
            if one is train:
                del self._counted[place]
                return train.beyond
        return not self.promise.take(train.size_bytes, now_ns)

    def _refuse(self, train: Train, now_ns: int) -> bool:
        """Drop what finds no room in the buffer; say whether that is all of the train."""
        bandwidth_bps = self.medium.bandwidth_bps
        free_at_ns = now_ns + self._waiting_bytes * BITS_NS // bandwidth_bps
        # As if it had the whole cell while the train arrives: the most that can have left by then.
        train.queue.refuse(train, without_room(train, now_ns, free_at_ns, bandwidth_bps, self.buffer_bytes))
        return not train.segments

    def _cross(self, train: Train, sent_ns: int) -> int:
        """Return when a train is across that was sent by ``sent_ns``, or ``LOST`` (by the air, or as too late).

        ``train.radio_ns`` grows by its time here. A train is late if its last packet is, and lost as a whole.
        """
        tail_in_ns = train.tail_ns
        # On the downlink the tail may still be on its way here: it is not on the air before.
        tail_ns = max(sent_ns, tail_in_ns)
        if train.copies != COPY:
            delay_ns = self._model.delay_ns(self._direction, sent_ns)
            if delay_ns == LOST:
                train.queue.air.count_lost(train.segments, beyond=train.beyond)
                train.queue.lose(train)
                return LOST
            tail_ns += delay_ns
        if tail_ns < self._last_tail_ns:
            tail_ns = self._last_tail_ns
        self._last_tail_ns = tail_ns
        took_ns = tail_ns - tail_in_ns
        if train.copies != COPY:
            queue = train.queue
            if not queue.air.count(self.promise, train.segments, took_ns, beyond=train.beyond):
                queue.lose(train)
                return LOST
        train.tail_ns = tail_ns
        train.radio_ns += took_ns
        return tail_ns

    def holds(self, train: Train) -> bool:
        """Return True, as ``leave`` does."""
        return True

    def leave(self, train: Train) -> bool:
        """Return True: what happens to a train on the air has happened when it is ``across``."""
        return True

    @property
    def bandwidth_bps(self) -> int:
        """Bandwidth of the serving cell, this way."""
        return self.medium.bandwidth_bps

    def delay_ns(self, now_ns: int) -> int:
        """Return the access delay of something small that enters now, without a place in the queue.

        It gets through: of acknowledgements the next one says what the one before did. It too waits for the end of a
        handover's interruption.
        """
        begin_ns = max(now_ns, self.interrupted_until_ns)
        while (delay_ns := self._model.delay_ns(self._direction, begin_ns)) == LOST:
            pass
        return begin_ns - now_ns + delay_ns
