"""Samples of nodes and links at even intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.network.link import LinkDirection
from meshsim.telemetry.radio_rows import RadioRow
from meshsim.telemetry.rows import LinkRow, NodeRow

if TYPE_CHECKING:
    from meshsim.network.medium import SliceQueue
    from meshsim.world.state import State

PPM = 1_000_000


class _Last:
    """What a meter showed at the last sample."""

    __slots__ = ("delivered_bytes", "drops", "lost_bytes", "sent_bytes", "worked_ns")

    def __init__(self) -> None:
        self.worked_ns = 0
        self.sent_bytes = 0
        self.delivered_bytes = 0
        self.lost_bytes = 0
        self.drops = 0


def _has_rested(link: LinkDirection, before: _Last) -> bool:
    """Say whether a link had nothing to do since the last sample: among many links, most have."""
    return (
        link.busy_ns == before.worked_ns
        and link.sent_bytes == before.sent_bytes
        and link.delivered_bytes == before.delivered_bytes
        and link.lost_bytes == before.lost_bytes
    )


class Meters:
    """Writes a row for each node and each link direction at the end of every interval, and one last time."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._clock = state.clock
        self._interval_ns = state.scenario.sampling_interval_ns
        self._last_ns = 0
        self._record_node = state.recorder.appender("nodes")
        self._record_link = state.recorder.appender("links")
        self._links: list[LinkDirection | SliceQueue] = [
            *(direction for pair in state.links.values() for direction in pair),
            *(queue for pair in state.cells.values() for air in pair for queue in air.queues.values()),
        ]
        self._before = [_Last() for _ in self._links]
        self._record_air = state.recorder.appender("radio")
        self._air = [
            (f"{radio}/{cell}", name, direction, queue.air)
            for (radio, cell), pair in state.cells.items()
            for direction, medium in zip(("up", "down"), pair, strict=True)
            for name, queue in medium.queues.items()
            if name in state.scenario.network.slices
        ]
        self._oom_kills = dict.fromkeys(state.machines, 0)

    def begin(self) -> None:
        """Set the first sample."""
        self._clock.at(self._interval_ns, self._tick)

    def _tick(self, _: None) -> None:
        self.sample()
        if not self._state.over:
            self._clock.at(self._clock.now_ns + self._interval_ns, self._tick)

    def finish(self) -> None:
        """Write a last sample if anything happened since the one before."""
        now_ns = self._clock.now_ns
        moved = any(
            (link.sent_bytes, link.delivered_bytes, link.lost_bytes)
            != (before.sent_bytes, before.delivered_bytes, before.lost_bytes)
            for link, before in zip(self._links, self._before, strict=True)
        )
        worked = any(machine.worked_by_ns(now_ns) != machine.worked_ns for machine in self._state.machines.values())
        killed = any(self._oom_kills[name] != machine.oom_kills for name, machine in self._state.machines.items())
        if moved or worked or killed:
            self.sample()

    def sample(self) -> None:
        """Write a row for each node and link, for the time since the last sample; nothing if no time has passed."""
        now_ns = self._clock.now_ns
        elapsed_ns = now_ns - self._last_ns
        if elapsed_ns == 0:
            return
        self._last_ns = now_ns
        for machine in self._state.machines.values():
            worked_ns = machine.worked_by_ns(now_ns)
            available_ns = elapsed_ns * sum(cores.count for cores in machine.all_cores)
            self._record_node(
                NodeRow(
                    now_ns,
                    machine.name,
                    machine.up,
                    (worked_ns - machine.worked_ns) * PPM // available_ns,
                    sum(cores.waiting(now_ns) for cores in machine.all_cores),
                    machine.memory_bytes if machine.up else 0,
                    machine.oom_kills - self._oom_kills[machine.name],
                )
            )
            self._oom_kills[machine.name] = machine.oom_kills
            machine.worked_ns = worked_ns
        for link, before in zip(self._links, self._before, strict=True):
            if type(link) is LinkDirection and _has_rested(link, before):
                self._record_link(LinkRow(now_ns, link.key, link.up, 0, 0, 0, 0, 0, 0))
                continue
            worked_ns = link.busy_ns - link.backlog_ns(now_ns)
            self._record_link(
                LinkRow(
                    now_ns,
                    link.key,
                    link.up,
                    max(0, worked_ns - before.worked_ns) * PPM // elapsed_ns,
                    link.waiting_bytes(now_ns),
                    link.sent_bytes - before.sent_bytes,
                    link.delivered_bytes - before.delivered_bytes,
                    link.lost_bytes - before.lost_bytes,
                    link.drops - before.drops,
                )
            )
            before.worked_ns = worked_ns
            before.sent_bytes = link.sent_bytes
            before.delivered_bytes = link.delivered_bytes
            before.lost_bytes = link.lost_bytes
            before.drops = link.drops
        self._sample_air(now_ns)

    def _sample_air(self, now_ns: int) -> None:
        """Write a row for each slice and direction of each cell in which packets were sent, and begin anew."""
        for cell, slice_name, direction, air in self._air:
            if air.packets:
                counts = (air.packets, air.late, air.beyond, air.late_beyond, air.lost)
                self._record_air(RadioRow(now_ns, cell, slice_name, direction, *counts, air.longest_ns))
                air.clear()
