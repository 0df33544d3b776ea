"""A shared medium that holds admitted bit rates of flows, beside the guarantees of slices."""

from __future__ import annotations

from collections.abc import Callable

from meshsim.network.medium import NEVER, WAITING, SharedMedium, SliceQueue, Waiting
from meshsim.network.rated_flow import Place, RatedFlow, ReserveQueue, reserve_of
from meshsim.network.room import BITS_NS
from meshsim.network.train import Train


class RatedMedium(SharedMedium):
    """One direction of a cell with flows that were admitted with a bit rate."""

    __slots__ = ("_reserves", "_run_flow")

    def __init__(
        self, bandwidth_bps: int, queues: dict[str, SliceQueue], *, interval_ns: int, window_ns: int = 10_000_000
    ) -> None:
        super().__init__(bandwidth_bps, queues, interval_ns=interval_ns, window_ns=window_ns)
        self._reserves = [queue for queue in queues.values() if isinstance(queue, ReserveQueue)]
        self._run_flow: RatedFlow | None = None
        """Of which something is being sent; None if it is another train's."""

    def reserve(self, slice_name: str, reserved_ppm: int, now_ns: int) -> None:
        """Keep this much of a slice's guarantee for its flows with an admitted bit rate; the others have the rest."""
        reserve = self._reserve_queue(slice_name)
        rest = reserve.rest
        whole_ppm = rest.guarantee_ppm + reserve.guarantee_ppm
        for queue, guarantee_ppm in ((reserve, min(reserved_ppm, whole_ppm)), (rest, max(0, whole_ppm - reserved_ppm))):
            queue.has_tokens(self._bandwidth_bps, self._window_ns, now_ns)  # tokens up to now, by the rate up to now
            queue.guarantee_ppm = guarantee_ppm

    def new_flow(self, slice_name: str, window_ns: int) -> RatedFlow:
        """Return a flow with no rate yet, which has a bucket for this window or that of slices, whichever is longer.

        A smaller bucket would run over while the flow waits for its turn, and the flow would have less than its rate.
        """
        return RatedFlow(self._reserve_queue(slice_name), max(window_ns, self._window_ns))

    def _reserve_queue(self, slice_name: str) -> ReserveQueue:
        queue = self.queues[reserve_of(slice_name)]
        assert isinstance(queue, ReserveQueue)
        return queue

    def offer_of(self, flow: RatedFlow, train: Train, now_ns: int) -> int:
        """Take a train of a flow; return what ``offer`` does."""
        reserve, rest = flow.reserve, flow.reserve.rest
        size_bytes = train.size_bytes
        idle = self._run_queue is None and self._busy_until_ns <= now_ns
        if idle and size_bytes <= self._chunk_bytes and not rest.waiting and not self._is_awaited(now_ns):
            queue = self._idle_queue(flow, now_ns)
            if queue is reserve:
                flow.served_to_ns = max(flow.served_to_ns, reserve.served_to_ns)
                flow.pay(size_bytes)
            if not self._run_borrows:
                queue.pay(size_bytes, self._chunk_bytes)
            serialisation_ns = size_bytes * BITS_NS // self._bandwidth_bps
            queue.busy_ns += serialisation_ns
            self._busy_until_ns = queue.sent_until_ns = now_ns + serialisation_ns
            _count(queue, train)
            return self._busy_until_ns
        flow.wait(train)
        if idle:
            self._begin(now_ns)
        elif self._run_queue is not None:
            self._cut(now_ns)
        return WAITING

    def withdraw_flow(self, flow: RatedFlow, now_ns: int) -> list[Train]:
        """Take out what waits of a flow and was not sent whole; return it in its order."""
        running = self._run_queue if self._run_flow is flow else None
        whole = running is not None and self._is_sent(flow.waiting[0], now_ns)
        if running is not None and not whole:
            self._stop(running, now_ns)
        return flow.leave(1 if whole else 0)

    def withdraw(self, leaves: Callable[[Train], bool], now_ns: int) -> list[Train]:
        """Take out trains that are in no flow, as any medium does."""
        trains = super().withdraw(leaves, now_ns)
        self._tidy()
        return trains

    def _tidy(self) -> None:
        for reserve in self._reserves:
            reserve.tidy()

    def _sending(self) -> Waiting | None:
        flow = self._run_flow
        return super()._sending() if flow is None or self._run_queue is None else flow.waiting[0]

    def _end(self, queue: SliceQueue) -> Train | None:
        flow = self._run_flow
        if flow is None:
            return super()._end(queue)
        size_bytes = self._run_bytes
        if not self._run_borrows:
            queue.pay(size_bytes, self._chunk_bytes)
        if queue is flow.reserve:
            flow.pay(size_bytes)
            flow.give_up(size_bytes)
        else:
            flow.use_place(size_bytes)
        queue.busy_ns += size_bytes * BITS_NS // self._bandwidth_bps
        queue.running_since_ns = NEVER
        done = flow.sent(size_bytes)
        if done is not None:
            _count(queue, done)
        return done

    def _begin(self, now_ns: int) -> None:
        self._tidy()
        queue = self._choose(now_ns)
        if queue is None:
            return
        flow = self._run_flow
        if flow is None:
            left_bytes = queue.waiting[0].left_bytes
        elif queue is flow.reserve:
            left_bytes = flow.waiting[0].left_bytes
        else:
            left_bytes = min(flow.waiting[0].left_bytes, queue.waiting[0].left_bytes)
        alone = not any(reserve.flows for reserve in self._reserves) and not any(
            other.waiting for other in self._order if other is not queue
        )
        self._run_queue = queue
        self._run_start_ns = queue.running_since_ns = now_ns
        self._run_bytes = left_bytes if alone else min(left_bytes, self._chunk_bytes)
        self._busy_until_ns = now_ns + self._run_bytes * BITS_NS // self._bandwidth_bps

    def _choose(self, now_ns: int) -> SliceQueue | None:
        borrower: SliceQueue | None = None
        borrowing: RatedFlow | None = None
        self._run_borrows = False
        for queue in self._order:
            if isinstance(queue, ReserveQueue):
                flow = queue.next_flow(now_ns)
                if flow is None:
                    continue
            elif queue.waiting:
                first = queue.waiting[0]
                flow = first.flow if isinstance(first, Place) else None
            else:
                continue
            if queue.has_tokens(self._bandwidth_bps, self._window_ns, now_ns):
                self._run_flow = flow
                return queue
            if borrower is None or (queue.priority == borrower.priority and queue.borrowed < borrower.borrowed):
                borrower, borrowing = queue, flow
        self._run_flow = borrowing
        self._run_borrows = True
        if borrower is not None:
            self._count_borrowed(borrower)
        return borrower

    def _count_borrowed(self, borrower: SliceQueue) -> None:
        """Have a slice's turn be over, whichever of its queues has taken it."""
        self._borrowed = borrower.borrowed = self._borrowed + 1
        for reserve in self._reserves:
            if borrower is reserve or borrower is reserve.rest:
                reserve.borrowed = reserve.rest.borrowed = self._borrowed

    def _idle_queue(self, flow: RatedFlow, now_ns: int) -> SliceQueue:
        """Return the queue from which a flow's train is sent that finds nothing waiting."""
        reserve = flow.reserve
        is_owed = flow.is_owed(now_ns)
        self._run_borrows = False
        if is_owed and reserve.has_tokens(self._bandwidth_bps, self._window_ns, now_ns):
            return reserve
        if reserve.rest.has_tokens(self._bandwidth_bps, self._window_ns, now_ns):
            return reserve.rest
        self._run_borrows = True
        return reserve if is_owed else reserve.rest


def _count(queue: SliceQueue, train: Train) -> None:
    """Count a train where it was sent, or the last of it."""
    train.queue = queue
    queue.sent_bytes += train.size_bytes
    queue.delivered_bytes += train.size_bytes
