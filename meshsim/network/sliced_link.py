"""One direction of a wired link whose bandwidth slices share by guarantee and priority."""

from __future__ import annotations

from random import Random

from meshsim.network.impairments import NO_IMPAIRMENTS, Impairments
from meshsim.network.link import MTU_BYTES, LinkDirection
from meshsim.network.medium import WAITING, SharedMedium
from meshsim.network.room import BITS_NS
from meshsim.network.train import COPY, LOST, Train


class SlicedLinkDirection(LinkDirection):
    """A link direction that schedules slices instead of serving first come, first served.

    Latency, jitter and other impairments are the link's. Each slice has a queue of its own, as long as the link's.
    """

    __slots__ = ("medium",)

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
        medium: SharedMedium,
        impairments: Impairments = NO_IMPAIRMENTS,
        mtu_bytes: int = MTU_BYTES,
    ) -> None:
        super().__init__(
            link, source, destination, latency_ns, bandwidth_bps, jitter_ns, queue_bytes, random, impairments, mtu_bytes
        )
        self.medium = medium

    def enter(self, train: Train, now_ns: int) -> int:
        """Offer ``train``; return when its head is at the far end, ``LOST``, or ``WAITING``."""
        self.sent_bytes += train.size_bytes
        if not self.up:
            self.touched += train.segments
            return self._lose(train, range(train.segments))
        waiting_bytes = self.medium.queues[train.slice].waiting_bytes(now_ns)
        # As if the slice had the whole link while the train arrives: the most that can have left by then.
        self._drop_over(train, now_ns, now_ns + waiting_bytes * BITS_NS // self.bandwidth_bps)
        if self._strikes and train.segments and train.copies != COPY:
            self._strike(train)
        if not train.segments:
            return LOST
        train.epoch = self.epoch
        sent_ns = self.medium.offer(train.slice, train, now_ns)
        return WAITING if sent_ns == WAITING else self.across(train, sent_ns)

    def across(self, train: Train, sent_ns: int) -> int:
        """Return when a train sent by ``sent_ns`` is at the far end; ``LOST`` if the link was cut meanwhile."""
        if train.epoch != self.epoch:
            self.touched += train.segments
            return self._lose(train, range(train.segments))
        delay_ns = self.latency_ns
        original = train.copies != COPY
        if self._random is not None and original:
            delay_ns += int(self._random.random() * self.jitter_ns)
        if self._delay is not None and original:
            delay_ns += self._delay()
        if self.surge_ns:
            delay_ns += self.surge_ns
            self.touched += train.segments
        tail_ns = max(sent_ns, train.tail_ns) + delay_ns
        overtakes = self._reorder is not None and original and bool(self._reorder.strike(1))
        if tail_ns >= self._last_tail_ns:
            self._last_tail_ns = tail_ns
        elif not overtakes:
            tail_ns = self._last_tail_ns
        train.tail_ns = tail_ns
        return tail_ns

    def waiting_bytes(self, now_ns: int) -> int:
        """Bytes of all slices that wait or are being sent."""
        return sum(queue.waiting_bytes(now_ns) for queue in self.medium.queues.values())

    def backlog_ns(self, now_ns: int) -> int:
        """What ``busy_ns`` counts less than its slices have sent, as a negative backlog: it counts nothing itself."""
        return self.busy_ns - sum(q.busy_ns - q.backlog_ns(now_ns) for q in self.medium.queues.values())
