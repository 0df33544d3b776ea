"""Trains on their way over hops, without TCP."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from meshsim.network.access import RadioAccess
from meshsim.network.medium import SharedMedium, SliceQueue
from meshsim.network.promise import AirPromise
from meshsim.network.radio import UPLINK, FixedRadioModel
from meshsim.network.rated_access import RatedAccess
from meshsim.network.rated_flow import ReserveQueue, reserve_of
from meshsim.network.rated_medium import RatedMedium
from meshsim.world.clock import Clock
from meshsim.world.connection import UP, Path, Transfer
from meshsim.world.crossing import Crossing

MS = 1_000_000


class Noting(Crossing):
    """Notes which trains arrive, and when."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.arrived: list[tuple[int, Any]] = []

    def _arrive(self, transfer: Transfer) -> None:
        self.arrived.append((self._clock.now_ns, transfer.unit))

    def _way_now(self, transfer: Transfer) -> Path:
        return transfer.path

    def send(self, hop: RadioAccess, name: str, size_bytes: int) -> None:
        """Send a train of one packet over one hop."""
        connection: Any = SimpleNamespace(slice="web")
        train = Transfer(connection, UP, name, size_bytes, None)
        train.load(size_bytes, 1, self._clock.now_ns)
        self._clock.put(self._launch(train, (hop,)))


def air(rated: bool) -> SharedMedium:
    """A cell of 8 Mbit/s with slots of half a millisecond, with flows that ask for a bit rate or without."""
    web = SliceQueue("web", 1_000_000, 50)
    if not rated:
        return SharedMedium(8_000_000, {"web": web}, interval_ns=MS // 2)
    return RatedMedium(8_000_000, {reserve_of("web"): ReserveQueue("reserve", web), "web": web}, interval_ns=MS // 2)


@pytest.mark.parametrize("rated", [False, True])
@pytest.mark.parametrize("change_ns", [10 * MS - 1, 10 * MS, 10 * MS + 1])
def test_nothing_overtakes_at_a_handover(change_ns: int, rated: bool) -> None:
    """A long train and a short one arrive in order when the device changes cells just as the first has been sent."""
    clock, old, new = Clock(), air(rated), air(rated)
    crossing = Noting(clock)
    kind: Any = RatedAccess if rated else RadioAccess
    hop = kind(UPLINK, FixedRadioModel("a", MS, MS), old, "web", AirPromise(9 * MS, window_ns=100 * MS))
    clock.at(change_ns, lambda _: crossing.change_cell(hop, new))
    crossing.send(hop, "long", 10_000)
    crossing.send(hop, "short", 400)
    clock.run_to_end()
    assert [name for _, name in crossing.arrived] == ["long", "short"]
    last_ns = clock.now_ns - MS - change_ns
    assert last_ns == pytest.approx(10 * MS + 400_000 if change_ns < 10 * MS else 400_000, abs=2)
    assert all(queue.waiting_bytes(0) == 0 for cell in (old, new) for queue in cell.queues.values())


def test_what_waits_for_a_second_handover_keeps_its_order() -> None:
    """What was sent in an interruption enters before what is sent after another has begun, all at the end of that."""
    clock, cells = Clock(), [air(rated=False) for _ in range(3)]
    crossing = Noting(clock)
    hop = RadioAccess(UPLINK, FixedRadioModel("a", MS, MS), cells[0], "web", AirPromise(9 * MS))

    def hand_over(cell: SharedMedium) -> None:
        hop.interrupted_until_ns = clock.now_ns + 40 * MS
        crossing.change_cell(hop, cell)

    for at_ms, cell in ((10, cells[1]), (30, cells[2])):
        clock.at(at_ms * MS, hand_over, cell)
    for at_ms in (5, 20, 40, 60):
        clock.at(at_ms * MS, lambda name: crossing.send(hop, name, 100), f"of {at_ms} ms")
    clock.run_to_end()
    assert crossing.arrived == [
        (6 * MS + 100_000, "of 5 ms"),
        (71 * MS + 100_000, "of 20 ms"),
        (71 * MS + 200_000, "of 40 ms"),
        (71 * MS + 300_000, "of 60 ms"),
    ]
