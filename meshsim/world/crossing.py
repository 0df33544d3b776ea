"""Trains on their way: over each hop, with copies, waits for a medium, and the arrival of single packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.network.access import INTERRUPTED
from meshsim.network.medium import NEVER, SharedMedium
from meshsim.network.train import COPY, LOST, NO_LIMIT, Train, spread_ns
from meshsim.world.connection import UP, Path, Transfer

if TYPE_CHECKING:
    from meshsim.network.access import RadioAccess
    from meshsim.world.alarms import Alarm, Alarms


class Copy:
    """What a duplicated packet brings: nothing new, so the receiver drops it."""

    __slots__ = ()


class Crossing:
    """Takes transfers over the hops of their paths."""

    def __init__(self, clock: Alarms) -> None:
        self.clock = self._clock = clock
        # Methods that alarms call: to take one from the object makes a new one each time.
        self._when_crossed = self._cross
        self._when_arrived = self._arrive

    # What becomes of a transfer

    def _arrive(self, transfer: Transfer) -> Alarm | None:
        raise AssertionError("whoever sends says what to do with what arrives")

    def _lost(self, transfer: Transfer) -> None:
        raise AssertionError("whoever sends says what to do with what is lost")

    def _doubt(self, transfer: Transfer) -> None:
        raise AssertionError("whoever sends says what to do with what is late")

    def _watch_for_delay(self, transfer: Transfer) -> None:
        raise AssertionError("whoever sends says what to do with what waits")

    def _way_now(self, transfer: Transfer) -> Path | None:
        raise AssertionError("whoever sends knows the way")

    # On the way

    def _launch(self, transfer: Transfer, path: Path) -> Alarm | None:
        """Send a train that is loaded; return what follows from that, as an action may."""
        clock = self._clock
        transfer.launched_ns = transfer.head_ns = now_ns = clock.now_ns
        transfer.path = path
        transfer.hop = 0
        if path:
            return self._enter(transfer)
        clock.order = order = clock.order + 1
        return now_ns, order, self._when_arrived, transfer

    def _cross(self, transfer: Transfer) -> Alarm | None:
        """Leave the hop that was crossed last and enter the next."""
        path, index = transfer.path, transfer.hop
        left = path[index - 1]
        if left.epoch == transfer.epoch:
            left.delivered_bytes += transfer.size_bytes  # what ``leave`` does
        elif not left.leave(transfer):
            self._lost(transfer)
            return None
        # As in ``_enter``, once more in this place: a call for each hop of each message counts.
        clock = self._clock
        head_ns = path[index].enter(transfer, clock.now_ns)
        if head_ns > transfer.limit_ns or transfer.copies > 0:
            return self._entered(transfer, head_ns)
        transfer.hop = index = index + 1
        if index < len(path):
            clock.order = order = clock.order + 1
            return head_ns, order, self._when_crossed, transfer
        transfer.head_ns = head_ns
        if transfer.packets is not None:
            self._spread(transfer)
        clock.order = order = clock.order + 1
        return transfer.tail_ns, order, self._when_arrived, transfer

    def _enter(self, transfer: Transfer) -> Alarm | None:
        """Enter the next hop."""
        path, index = transfer.path, transfer.hop
        clock = self._clock
        head_ns = path[index].enter(transfer, clock.now_ns)
        if head_ns > transfer.limit_ns or transfer.copies > 0:
            return self._entered(transfer, head_ns)
        transfer.hop = index = index + 1
        if index < len(path):
            clock.order = order = clock.order + 1
            return head_ns, order, self._when_crossed, transfer
        transfer.head_ns = head_ns
        if transfer.packets is not None:
            self._spread(transfer)
        clock.order = order = clock.order + 1
        return transfer.tail_ns, order, self._when_arrived, transfer

    def _entered(self, transfer: Transfer, head_ns: int) -> Alarm | None:
        """Go on after any hop, which said when the head is across, or that it is lost or waits."""
        clock, index = self._clock, transfer.hop
        hop = transfer.path[index]
        following: Alarm | None = None
        if head_ns <= NO_LIMIT:
            if head_ns > transfer.limit_ns:
                self._doubt(transfer)
            transfer.hop = index + 1
            if index + 1 == len(transfer.path):
                transfer.head_ns = head_ns
                if transfer.packets is not None:
                    self._spread(transfer)
                clock.order = order = clock.order + 1
                following = transfer.tail_ns, order, self._when_arrived, transfer
            else:
                clock.order = order = clock.order + 1
                following = head_ns, order, self._when_crossed, transfer
        elif head_ns == INTERRUPTED:
            until_ns = hop.interrupted_until_ns  # type: ignore[union-attr] # only radio has handovers
            if until_ns > transfer.limit_ns:
                self._doubt(transfer)
            hop.held.append(transfer)  # type: ignore[union-attr] # see above
            clock.at(until_ns, self._enter_held, hop)
        elif head_ns == LOST:
            self._lost(transfer)
        else:
            self._watch(hop.medium)  # type: ignore[union-attr] # only hops with a medium have trains wait
            if transfer.limit_ns != NO_LIMIT:
                self._watch_for_delay(transfer)
        if transfer.copies > 0:
            self._enter_copy(transfer, index)
        return following

    def _enter_held(self, access: RadioAccess) -> Alarm | None:
        """Have the train enter the air that has waited longest for the end of a handover, or wait for the next one's.

        It need not be the one that the alarm was set for: what came after a second handover waits for the same end.
        """
        until_ns = access.interrupted_until_ns
        if until_ns <= self._clock.now_ns:
            return self._enter_anew(access.held.popleft())
        for train in access.held:
            if until_ns > train.limit_ns:
                assert isinstance(train, Transfer)
                self._doubt(train)
        self._clock.at(until_ns, self._enter_held, access)
        return None

    def _enter_anew(self, train: Train) -> Alarm | None:
        """Enter the air after a handover; what goes up goes on from the base station that serves the device now."""
        assert isinstance(train, Transfer)
        if train.hop == 0:
            path = self._way_now(train)
            if path is None:
                self._lost(train)
                return None
            train.path = path
        return self._enter(train)

    def _spread(self, train: Transfer) -> None:
        """Have all packets but the last arrive on their own."""
        packets, wire = train.packets, train.connection.wire
        assert packets is not None and wire is not None
        before_ns, wire.tails_ns[train.direction] = wire.tails_ns[train.direction], train.tail_ns
        if train.segments == 1 or train.head_ns == train.tail_ns:
            return
        alive = range(len(packets)) if train.alive is None else train.alive
        sizes_bytes = [packets[number].size_bytes for number in alive]
        times_ns = spread_ns(train.head_ns, train.tail_ns, sizes_bytes, before_ns)
        now_ns = self._clock.now_ns
        for number, time_ns in zip(alive[:-1], times_ns, strict=False):
            self._clock.at(max(now_ns, time_ns), self._arrive_early, (train, number))

    def _enter_copy(self, transfer: Transfer, index: int) -> None:
        """Send segments once more behind their originals; the copy goes all the way and takes its bandwidth."""
        copy = Transfer(transfer.connection, transfer.direction, Copy(), 0, None)
        copy.control = True
        copy.load(transfer.size_bytes * transfer.copies // transfer.segments, transfer.copies, self._clock.now_ns)
        copy.copies = COPY
        copy.path = transfer.path
        copy.hop = index
        transfer.copies = 0
        self._clock.put(self._enter(copy))

    def _watch(self, medium: SharedMedium) -> None:
        """Call ``advance`` when a medium wants it: earlier than promised if a run was cut."""
        due_ns = medium.next_ns
        if due_ns < medium.wake_ns:
            medium.wake_ns = due_ns
            self._clock.at(due_ns, self._advance, (medium, due_ns))

    def change_cell(self, access: RadioAccess, medium: SharedMedium) -> None:
        """Have a device's packets take another cell's air, those too that have waited for the last one's."""
        before, now_ns = access.medium, self._clock.now_ns
        if before.wake_ns <= now_ns:  # what it has sent whole at this very instant goes before all that leaves it
            self._advance((before, before.wake_ns))
        for train in access.change(medium, lambda train: _hop_of(train) is access, now_ns):
            self._clock.put(self._enter_anew(train))
        self._watch(before)

    def _advance(self, wake: tuple[SharedMedium, int]) -> None:
        medium, due_ns = wake
        if medium.wake_ns != due_ns:
            return
        medium.wake_ns = NEVER
        transfer = medium.advance(due_ns)
        if transfer is not None:
            assert isinstance(transfer, Transfer)
            head_ns = transfer.path[transfer.hop].across(transfer, due_ns)  # type: ignore[union-attr] # it waited there
            if head_ns == LOST:
                self._lost(transfer)
            else:
                self._leave_medium(transfer, head_ns)
        self._watch(medium)

    def _leave_medium(self, transfer: Transfer, head_ns: int) -> None:
        """Go on, as after a hop where there was no need to wait."""
        if head_ns > transfer.limit_ns:
            self._doubt(transfer)
        transfer.hop += 1
        if transfer.hop == len(transfer.path):
            transfer.head_ns = head_ns
            if transfer.packets is not None:
                self._spread(transfer)
            self._clock.at(transfer.tail_ns, self._arrive, transfer)
        else:
            self._clock.at(head_ns, self._cross, transfer)

    def _arrive_early(self, arrival: tuple[Transfer, int]) -> None:
        train, number = arrival
        connection = train.connection
        receiver = connection.server if train.direction == UP else connection.client
        if train.path[-1].holds(train) and receiver.machine.up and connection.wire is not None:
            connection.wire.arrive_early(train, number)


def _hop_of(train: Train) -> object:
    assert isinstance(train, Transfer)
    return train.path[train.hop]
