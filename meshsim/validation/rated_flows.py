"""What a device with a guaranteed bit rate gets of a full cell, by how much it sends."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from meshsim.network.medium import WAITING, SliceQueue
from meshsim.network.rated_flow import ReserveQueue, reserve_of
from meshsim.network.rated_medium import RatedMedium
from meshsim.network.train import Train
from meshsim.validation.clocked_medium import ClockedMedium
from meshsim.world.clock import Clock

if TYPE_CHECKING:
    from meshsim.network.rated_flow import RatedFlow

MS, S = 1_000_000, 1_000_000_000
KBIT = 1_000
CELL_KBPS, SLICE_KBPS = 20_000, 10_000
OWED_KBPS = {"one": 2_000, "other": 3_000}
"""To two devices of the slice; the rest of it has what is left."""
PACKET_BYTES = 1_500
WINDOW_MS = 10
"""Over which rates are averaged: with a short one what was saved up before does not cover up what is missing."""
FROM_MS, TO_MS = 2_000, 10_000
CASES = ((1_800, 20_000), (2_400, 20_000), (4_000, 6_000), (12_000, 5_000), (4_000, 1_000))
"""What one device offers, and what the rest of its slice does, in kbit/s; the other device keeps to its rate."""


def carried_kbps(offered_kbps: float, rest_kbps: float) -> float:
    """Return what the device gets: its rate, and the part that its excess is of all that wants what is left."""
    owed_kbps, left_kbps = OWED_KBPS["one"], SLICE_KBPS - sum(OWED_KBPS.values())
    excess_kbps = max(0.0, offered_kbps - owed_kbps)
    if excess_kbps + rest_kbps <= left_kbps:
        return offered_kbps
    return min(offered_kbps, owed_kbps + left_kbps * excess_kbps / (excess_kbps + rest_kbps))


class FullCell:
    """A cell in which a more important slice wants everything, on the clock."""

    def __init__(self, offered_kbps: dict[str, int]) -> None:
        self._clock = Clock()
        rest = SliceQueue("rest", SLICE_KBPS * 1_000_000 // CELL_KBPS, 20)
        queues = {reserve_of("rest"): ReserveQueue("reserve", rest), "rest": rest, "control": SliceQueue("", 0, 10)}
        self._medium = RatedMedium(CELL_KBPS * KBIT, queues, interval_ns=MS // 2)
        self._medium.reserve("rest", sum(OWED_KBPS.values()) * 1_000_000 // CELL_KBPS, 0)
        self._on_clock = ClockedMedium(self._clock, self._medium, self._sent, TO_MS * MS)
        self._flows: dict[str, RatedFlow] = {}
        for name, owed_kbps in OWED_KBPS.items():
            self._flows[name] = self._medium.new_flow("rest", WINDOW_MS * MS)
            self._flows[name].guarantee(owed_kbps * KBIT, 0)
        self._gaps_ns = {
            name: PACKET_BYTES * 8 * S // (kbps * KBIT)
            for name, kbps in (offered_kbps | {"control": CELL_KBPS}).items()
            if kbps
        }
        self._on_way: dict[str, deque[Train]] = defaultdict(deque)
        self.bytes: dict[str, int] = defaultdict(int)
        """What was sent of each from ``FROM_MS`` on."""
        self.overtaken = 0

    def run(self) -> None:
        """Let ``TO_MS`` pass."""
        for name, gap_ns in self._gaps_ns.items():
            self._clock.at(gap_ns, self._offer, name)
        self._clock.run_to_end()

    def _offer(self, name: str) -> None:
        now_ns = self._clock.now_ns
        if now_ns >= TO_MS * MS:
            return
        self._clock.at(now_ns + self._gaps_ns[name], self._offer, name)
        train = Train()
        train.load(PACKET_BYTES, 1, now_ns)
        train.slice = name
        self._on_way[name].append(train)
        flow = self._flows.get(name)
        sent_ns = (
            self._medium.offer(name, train, now_ns) if flow is None else self._medium.offer_of(flow, train, now_ns)
        )
        if sent_ns != WAITING:
            self._sent(train)
        self._on_clock.watch()

    def _sent(self, train: Train) -> None:
        name = train.slice
        if self._on_way[name][0] is not train:
            self.overtaken += 1
        self._on_way[name].remove(train)
        if self._clock.now_ns >= FROM_MS * MS:
            self.bytes[name] += train.size_bytes


def found_kbps(offered_kbps: int, rest_kbps: int) -> tuple[float, float, int]:
    """Return what the one device got, what the other did, and how many packets overtook another of their device."""
    cell = FullCell({"one": offered_kbps, "other": OWED_KBPS["other"], "rest": rest_kbps})
    cell.run()
    one, other = (8 * cell.bytes[name] / (TO_MS - FROM_MS) for name in OWED_KBPS)
    return one, other, cell.overtaken
