"""One direction of a wired link: a FIFO queue before a serialiser, then propagation with jitter and impairments."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from meshsim.network.impairments import NO_IMPAIRMENTS, Impairments
from meshsim.network.room import BITS_NS, without_room
from meshsim.network.train import COPY, LOST, Train

_NOBODYS: Final = -1
MTU_BYTES: Final = 1500
"""Largest IP packet of Ethernet without jumbo frames."""


class LinkDirection:
    """One way of a link. A link costs no event of its own: its queue is the instant at which it is free again.

    ``epoch`` counts the cuts; a train that entered in an earlier epoch was on the link when it was cut, and is lost.
    """

    __slots__ = (
        "_corrupt",
        "_delay",
        "_duplicate",
        "_free_at_ns",
        "_last_head_ns",
        "_last_tail_ns",
        "_loss",
        "_plain_segments",
        "_random",
        "_reorder",
        "_roomy_ns",
        "_serialisation_ns",
        "_strikes",
        "_surge_ns",
        "bandwidth_bps",
        "busy_ns",
        "delivered_bytes",
        "destination",
        "drops",
        "epoch",
        "jitter_ns",
        "key",
        "latency_ns",
        "link",
        "lost_bytes",
        "mtu_bytes",
        "queue_bytes",
        "sent_bytes",
        "source",
        "touched",
        "up",
    )

    def __init__(
        self,
        link: str,
        source: str,
        destination: str,
        latency_ns: int,
        bandwidth_bps: int,
        jitter_ns: int,
        queue_bytes: int,
        random: Random | None,
        impairments: Impairments = NO_IMPAIRMENTS,
        mtu_bytes: int = MTU_BYTES,
    ) -> None:
        assert random is not None or not jitter_ns, "jitter is drawn"
        self.link = link
        self.key = f"{source}->{destination}"
        self.source = source
        self.destination = destination
        self.latency_ns = latency_ns
        self.bandwidth_bps = bandwidth_bps
        self.jitter_ns = jitter_ns
        self.queue_bytes = queue_bytes
        self.mtu_bytes = mtu_bytes
        self._random = random if jitter_ns else None  # of jitter alone
        self._loss = impairments.loss
        self._delay = impairments.delay
        self._reorder = impairments.reorder
        self._duplicate = impairments.duplicate
        self._corrupt = impairments.corrupt
        self._strikes = any((self._loss, self._duplicate, self._corrupt))
        self.up = True
        self.epoch = 0
        self._surge_ns = 0
        self._roomy_ns = 0
        """How long a packet may wait and be sure of room in the queue."""
        self._plain_segments = _NOBODYS
        """Segments of a train to which nothing may happen but that it waits: 1, or else no train's."""
        self._see_what_is_special()
        self.touched = 0  # packets that a fault on this link dropped or delayed
        self._serialisation_ns: dict[int, int] = {}  # by size: trains come in few
        self._free_at_ns = 0
        self._last_head_ns = 0
        self._last_tail_ns = 0
        """When head and tail of the last train are there, if it was not one segment that left at the link's own pace:
        whatever leaves after that, leaves and arrives later."""
        self.busy_ns = 0
        self.sent_bytes = 0
        self.delivered_bytes = 0
        self.lost_bytes = 0
        self.drops = 0

    def enter(self, train: Train, now_ns: int) -> int:
        """Send ``train``, whose head is here now; return when its head reaches the far end, or ``LOST``.

        ``train.tail_ns`` becomes the instant at which its last segment is there.
        """
        if train.segments != self._plain_segments:
            return self._enter_with_care(train, now_ns)
        start_ns = self._free_at_ns
        if start_ns <= now_ns:
            start_ns = now_ns
        elif start_ns - now_ns > self._roomy_ns:
            return self._enter_with_care(train, now_ns)
        # What nearly every train takes: one segment, and nothing that a link may do to it but carry it.
        size_bytes = train.size_bytes
        self.sent_bytes += size_bytes
        try:
            serialisation_ns = self._serialisation_ns[size_bytes]
        except KeyError:
            serialisation_ns = self._serialise(size_bytes)
        self._free_at_ns = end_ns = start_ns + serialisation_ns
        self.busy_ns += serialisation_ns
        train.epoch = self.epoch
        tail_ns = end_ns + self.latency_ns
        if start_ns < train.tail_ns or tail_ns < self._last_tail_ns:
            return self._follow(train, serialisation_ns, end_ns)
        train.tail_ns = tail_ns
        return tail_ns

    def _follow(self, train: Train, serialisation_ns: int, end_ns: int) -> int:
        """Return when one segment is across that waits for a tail: of its own longer train, or of one before it."""
        tail_ns = max(end_ns, train.tail_ns + serialisation_ns) + self.latency_ns
        self._last_head_ns = max(tail_ns, self._last_head_ns)
        self._last_tail_ns = train.tail_ns = max(tail_ns, self._last_tail_ns)
        return self._last_head_ns

    def _serialise(self, size_bytes: int) -> int:
        """Return how long so many bytes take to leave; remembered, since trains come in few sizes."""
        serialisation_ns = self._serialisation_ns.get(size_bytes)
        if serialisation_ns is None:
            serialisation_ns = self._serialisation_ns[size_bytes] = size_bytes * BITS_NS // self.bandwidth_bps
        return serialisation_ns

    def _enter_with_care(self, train: Train, now_ns: int) -> int:
        """Do the same for any train, in whatever state the link is."""
        size_bytes = train.size_bytes
        self.sent_bytes += size_bytes
        if not self.up:
            self.touched += train.segments
            return self._lose(train, range(train.segments))
        self._drop_over(train, now_ns, self._free_at_ns)
        start_ns = max(self._free_at_ns, now_ns)
        if self._strikes and train.segments and train.copies != COPY:
            self._strike(train)
        segments = train.segments
        if not segments:
            return LOST
        serialisation_ns = self._serialise(train.size_bytes)
        self._free_at_ns = end_ns = start_ns + serialisation_ns
        self.busy_ns += serialisation_ns
        delay_ns = self.latency_ns
        if self._random is not None and train.copies != COPY:
            delay_ns += int(self._random.random() * self.jitter_ns)
        if self._delay is not None and train.copies != COPY:
            delay_ns += self._delay()
        if self._surge_ns:
            delay_ns += self._surge_ns
            self.touched += segments
        if segments == 1:
            # What is left of a longer train may be its tail, which is not here yet.
            if start_ns < train.tail_ns:
                end_ns = train.tail_ns + serialisation_ns
            head_ns = tail_ns = end_ns + delay_ns
        else:
            segment_ns = serialisation_ns // segments
            head_ns = start_ns + segment_ns + delay_ns
            # The tail leaves when all is serialised, but not before it has arrived here and been serialised itself.
            tail_ns = max(end_ns, train.tail_ns + segment_ns) + delay_ns
        if self._reorder is not None and train.copies != COPY and self._reorder.strike(1):
            self._last_head_ns = max(head_ns, self._last_head_ns)
            self._last_tail_ns = max(tail_ns, self._last_tail_ns)
        else:
            # Order is kept: nothing overtakes what was sent before it, unless it is one that may.
            self._last_head_ns = head_ns = max(head_ns, self._last_head_ns)
            self._last_tail_ns = tail_ns = max(tail_ns, self._last_tail_ns)
        train.tail_ns = tail_ns
        train.epoch = self.epoch
        return head_ns

    def leave(self, train: Train) -> bool:
        """Account for a train at the far end; return False if it was lost because the link was cut meanwhile."""
        if train.epoch != self.epoch:
            self.touched += train.segments
            self._lose(train, range(train.segments))
            return False
        self.delivered_bytes += train.size_bytes
        return True

    @property
    def loses(self) -> bool:
        """Whether packets are lost at random."""
        return self._loss is not None

    def strike_acknowledgements(self, packets: int) -> Sequence[int]:
        """Return which of these acknowledgements are lost, which take their time but no place on the link."""
        return () if self._loss is None else self._loss.strike(packets)

    def delay_ns(self, now_ns: int) -> int:
        """Return the delay of something small, without a place in the queue and without jitter."""
        return self.latency_ns + self.surge_ns

    def holds(self, train: Train) -> bool:
        """Say whether the link was not cut since a train entered it."""
        return train.epoch == self.epoch

    @property
    def surge_ns(self) -> int:
        """What faults add to the latency now."""
        return self._surge_ns

    @surge_ns.setter
    def surge_ns(self, surge_ns: int) -> None:
        self._surge_ns = surge_ns
        self._see_what_is_special()

    def _see_what_is_special(self) -> None:
        """Note whether all that a packet meets is a queue, the serialiser and latency, and how long it may wait."""
        changeable = (self.jitter_ns, self._delay, self._reorder, self._strikes, self._surge_ns)
        self._roomy_ns = max(0, self.queue_bytes - self.mtu_bytes) * BITS_NS // self.bandwidth_bps
        self._plain_segments = 1 if self.up and not any(changeable) else _NOBODYS

    def cut(self) -> None:
        """Let nothing pass; what is on the link is lost."""
        self.up = False
        self.epoch += 1
        self._see_what_is_special()

    def restore(self, now_ns: int) -> None:
        """Let everything pass again, with an empty queue."""
        self.up = True
        self._see_what_is_special()
        self.busy_ns -= self.backlog_ns(now_ns)  # what waited when it was cut is not sent any more
        self._free_at_ns = now_ns
        self._last_head_ns = self._last_tail_ns = now_ns

    def waiting_bytes(self, now_ns: int) -> int:
        """Bytes that wait or are being sent now."""
        return max(0, self._free_at_ns - now_ns) * self.bandwidth_bps // BITS_NS

    def backlog_ns(self, now_ns: int) -> int:
        """How long the link is still busy with what it has accepted."""
        return max(0, self._free_at_ns - now_ns)

    def _drop_over(self, train: Train, now_ns: int, free_at_ns: int) -> None:
        """Take out of a train what finds no room in the queue."""
        over = without_room(train, now_ns, free_at_ns, self.bandwidth_bps, self.queue_bytes)
        if over:
            self._lose(train, over)

    def _lose(self, train: Train, positions: Sequence[int]) -> int:
        self.lost_bytes += train.lose(positions)
        self.drops += len(positions)
        return LOST

    def _strike(self, train: Train) -> None:
        """Take lost segments out of a train, then damage and copy some of what is left of it."""
        if self._loss is not None:
            lost = self._loss.strike(train.segments)
            if lost:
                self._lose(train, lost)
        segments = train.segments
        if not segments:
            return
        if self._corrupt is not None:
            damaged = self._corrupt.strike(segments)
            if damaged:
                train.corrupt(damaged)
        if self._duplicate is not None:
            train.copies = len(self._duplicate.strike(segments))
