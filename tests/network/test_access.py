"""Radio access: the air of a cell, and one device's way over it."""

from __future__ import annotations

import pytest

from meshsim.network.access import RadioAccess
from meshsim.network.medium import WAITING, SharedMedium, SliceQueue
from meshsim.network.promise import AirPromise
from meshsim.network.radio import DOWNLINK, UPLINK, FixedRadioModel, TraceRadioModel
from meshsim.network.rated_access import RatedAccess
from meshsim.network.rated_flow import ReserveQueue, reserve_of
from meshsim.network.rated_medium import RatedMedium
from meshsim.network.train import COPY, LOST, Train

MS = MBIT = 1_000_000


def train(size_bytes: int, segments: int = 1, now_ns: int = 0) -> Train:
    """A train of this size."""
    made = Train()
    made.load(size_bytes, segments, now_ns)
    return made


def air(bandwidth_bps: int) -> SharedMedium:
    """A cell with two slices."""
    queues = {name: SliceQueue(name, 500_000, 50) for name in ("web", "rest")}
    return SharedMedium(bandwidth_bps, queues, interval_ns=MS // 2)


def access(cell: SharedMedium, uplink_ns: int = 3 * MS, slice_name: str = "web") -> RadioAccess:
    """An uplink into a cell."""
    return RadioAccess(UPLINK, FixedRadioModel("cell-1", uplink_ns, 4 * MS), cell, slice_name, AirPromise(9 * MS))


def test_a_chunk_is_sent_at_once_then_delayed() -> None:
    """A train of one chunk takes its bits over the cell's bandwidth and then the access delay, all of it radio time."""
    moved = train(500)
    assert access(air(8_000_000)).enter(moved, 0) == MS // 2 + 3 * MS
    assert moved.tail_ns == moved.radio_ns == MS // 2 + 3 * MS


def test_a_long_train_waits_for_the_medium_to_name_it() -> None:
    """A train of many chunks is across when the medium has sent it and the access delay is over."""
    cell = air(8_000_000)
    hop, moved = access(cell), train(10_000, 7)
    assert hop.enter(moved, 0) == WAITING
    assert cell.next_ns == 10 * MS
    assert cell.advance(10 * MS) is moved
    assert hop.across(moved, 10 * MS) == 13 * MS
    assert moved.radio_ns == 13 * MS


def test_devices_share_the_air() -> None:
    """Devices in one cell queue behind each other, whatever their slices."""
    cell = air(8_000_000)
    first, second = train(500), train(500)
    access(cell).enter(first, 0)
    hop = access(cell, slice_name="rest")
    assert hop.enter(second, 0) == WAITING
    assert cell.advance(MS // 2) is None
    assert cell.advance(MS) is second
    assert hop.across(second, MS) == 4 * MS


def test_order_is_kept_when_the_delay_falls() -> None:
    """A train that enters when the access delay is shorter arrives no earlier than the one before it."""
    model = TraceRadioModel((0, 100 * MS, 200 * MS), (180 * MS, 2 * MS, 2 * MS), ("a",) * 3, 0)
    hop = RadioAccess(UPLINK, model, air(1_000_000_000), "web", AirPromise(9 * MS))
    first, second = train(125), train(125, now_ns=100 * MS)
    hop.enter(first, 50 * MS)
    hop.enter(second, 100 * MS)
    assert first.tail_ns == second.tail_ns == 140 * MS + 1_000
    assert second.radio_ns == 40 * MS + 1_000


def test_tail_is_not_on_the_air_before_it_is_there() -> None:
    """On the downlink a train that still arrives is sent as it comes: its tail follows that of the wired link."""
    moved = train(12_500, 10)
    moved.tail_ns = 8 * MS
    hop = RadioAccess(DOWNLINK, FixedRadioModel("a", 0, 4 * MS), air(1_000_000_000), "web", AirPromise(9 * MS))
    assert hop.enter(moved, 2 * MS) == 8 * MS + 4 * MS
    assert moved.radio_ns == 4 * MS


def test_queueing_counts_against_the_radio_budget() -> None:
    """Time on the air is waiting, sending and access delay; the cell counts who was late, and copies are nobody's."""
    cell = air(8_000_000)
    hop = access(cell)
    first, second, copy = train(2_000), train(7_000, 5), train(500)
    copy.copies = COPY
    hop.enter(first, 0)
    hop.enter(second, 0)
    for now_ns in (2 * MS, 9 * MS):
        sent = cell.advance(now_ns)
        assert sent is not None
        hop.across(sent, now_ns)
    hop.enter(copy, 20 * MS)
    tally = cell.queues["web"].air
    assert (first.radio_ns, second.radio_ns) == (5 * MS, 12 * MS)
    assert (tally.packets, tally.late, tally.longest_ns) == (6, 5, 12 * MS)


def test_a_late_train_is_dropped_if_the_radio_drops_them() -> None:
    """What is later than its budget is lost behind the air, and the cell's bytes still add up."""
    cell = air(8_000_000)
    promise = AirPromise(3 * MS, discards=True)
    hop = RadioAccess(UPLINK, FixedRadioModel("cell-1", 3 * MS, 4 * MS), cell, "web", promise)
    moved = train(500)
    assert hop.enter(moved, 0) == LOST
    queue = cell.queues["web"]
    assert (moved.segments, moved.alive) == (0, [])
    assert (queue.sent_bytes, queue.delivered_bytes, queue.lost_bytes, queue.drops) == (500, 0, 500, 1)


def narrow(buffer_bytes: int) -> tuple[SharedMedium, RadioAccess]:
    """An uplink of 8 Mbit/s with so large an RLC buffer: a packet of 1000 bytes is sent in a millisecond."""
    cell = air(8_000_000)
    promise = AirPromise(9 * MS)
    return cell, RadioAccess(UPLINK, FixedRadioModel("cell-1", 0, 0), cell, "web", promise, buffer_bytes)


def test_a_full_buffer_drops_what_does_not_fit() -> None:
    """Of ten packets that come at once into a buffer of four the last six are dropped, and counted at the cell."""
    cell, hop = narrow(4_000)
    moved = train(10_000, 10)
    assert hop.enter(moved, 0) == WAITING
    assert moved.alive == [0, 1, 2, 3]
    queue = cell.queues["web"]
    assert (queue.drops, queue.lost_bytes, queue.sent_bytes) == (6, 6_000, 10_000)
    assert hop.enter(train(1_000), MS // 2) == LOST
    assert queue.drops == 7


def test_a_buffer_has_room_again_when_something_was_sent() -> None:
    """What was sent leaves its place to others, of its own device and slice alone."""
    cell, hop = narrow(4_000)
    first = train(4_000, 4)
    hop.enter(first, 0)
    other = RadioAccess(UPLINK, FixedRadioModel("cell-1", 0, 0), cell, "rest", AirPromise(9 * MS), 4_000)
    assert other.enter(train(4_000, 4), 0) == WAITING
    while cell.advance(cell.next_ns) is not first:
        pass
    hop.across(first, cell.next_ns)
    later = train(4_000, 4)
    assert hop.enter(later, cell.next_ns) == WAITING
    assert later.alive is None
    assert cell.queues["web"].drops == 0


def test_a_lone_packet_needs_no_buffer() -> None:
    """A packet that finds nothing of its flow waiting is never dropped, however large it is."""
    _, hop = narrow(1_500)
    assert hop.enter(train(9_000), 0) == WAITING


@pytest.mark.parametrize("rated", [False, True])
def test_what_goes_along_to_another_cell_is_counted_once(rated: bool) -> None:
    """A burst that the promise allows is within it after handovers, too; what comes on top then is beyond it."""
    promise = AirPromise(20 * MS, max_burst_bytes=1_000)
    model = FixedRadioModel("a", MS, MS)
    cells = [air(MBIT) for _ in range(3)]
    hop = RadioAccess(UPLINK, model, cells[0], "web", promise)
    if rated:
        web = [SliceQueue("web", 1_000_000, 9) for _ in cells]
        queues = [{reserve_of("web"): ReserveQueue("reserve", one), "web": one} for one in web]
        rated_cells = [RatedMedium(MBIT, one, interval_ns=500_000) for one in queues]
        cells, hop = [*rated_cells], RatedAccess(UPLINK, model, rated_cells[0], "web", promise)
    trains = [train(500), train(500)]
    assert [hop.enter(one, 0) for one in trains] == [WAITING] * 2
    first, second = hop.change(cells[1], lambda _: True, MS)
    hop.enter(first, MS)
    hop.held.append(second)  # it waits for the end of an interruption, in which the next one begins
    for one in (*hop.change(cells[2], lambda _: True, 2 * MS), hop.held.popleft()):
        hop.enter(one, 2 * MS)
    assert [one.beyond for one in trains] == [False, False]
    more = train(500)
    hop.enter(more, 3 * MS)
    assert more.beyond


def test_what_waited_for_a_handover_is_all_there() -> None:
    """A train whose packets came during an interruption finds the room that it would find if they came at its end."""
    _, hop = narrow(6_000)
    assert hop.enter(train(4_000, 4), 1000 * MS) == WAITING
    moved = train(4_000, 4)  # since the instant 0
    assert hop.enter(moved, 1000 * MS) == WAITING
    assert moved.alive == [0, 1]
