"""Long transfers through short queues: the bursts that meet them are those that acknowledgements let go."""

from __future__ import annotations

from typing import Any

import pytest

from meshsim.network.tcp_dialogue import Turn
from meshsim.network.tcp_packets import Packet
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import DOWN, UP
from meshsim.network.tcp_play import Play
from meshsim.world.wire import Wire
from tests.world.test_tcp import MS, START_MS, Run, S, tiny

BANDWIDTH_BPS = 10_000_000


class Queues:
    """One queue each way, packet by packet: what finds no room beside what waits is dropped."""

    def __init__(self, round_trip_ms: float, queue_bytes: int) -> None:
        self.delay_ns = int(round_trip_ms * MS) // 2
        self.queue_bytes = queue_bytes
        self.free_ns = [0, 0]
        self.drops = 0

    def lost(self, direction: int, now_ns: int) -> bool:
        """Nothing is lost but for want of room."""
        return False

    def arrival_ns(self, direction: int, now_ns: int, size_bytes: int) -> int:
        """Return when it arrives; negative if there is no room."""
        ahead_bytes = max(0, self.free_ns[direction] - now_ns) * BANDWIDTH_BPS // (8 * S)
        if ahead_bytes and ahead_bytes + size_bytes > self.queue_bytes:
            self.drops += 1
            return -1
        self.free_ns[direction] = max(now_ns, self.free_ns[direction]) + size_bytes * 8 * S // BANDWIDTH_BPS
        return self.free_ns[direction] + self.delay_ns


class PacketByPacket(Play):
    """A dialogue through queues."""

    def send(self, direction: int, runs: list[list[Packet]]) -> None:
        """Carry what finds room."""
        for packet in (packet for run in runs for packet in run):
            time_ns = self.path.arrival_ns(direction, self.now_ns, packet.size_bytes)
            if time_ns >= 0:
                self.at(time_ns, self.exchange.arrived, direction, packet)


def download(round_trip_ms: float, queue: str, size: str, **changes: Any) -> Run:
    """One response of this size through a queue at 10 Mbit/s, without TLS."""
    data = tiny(round_trip_ms, mesh__tls={"mode": "DISABLE"}, traffic__0__response=size, **changes)
    data["network"]["links"][0] |= {"bandwidth": f"{BANDWIDTH_BPS} bit/s", "queue": queue}
    return Run(data, set())


@pytest.mark.parametrize("control", ["cubic", "reno"])
@pytest.mark.parametrize("queue_kb", [8, 15, 30, 60, 120])
@pytest.mark.parametrize("round_trip_ms", [1, 10, 20, 40, 100])
def test_a_queue_drops_what_it_drops_packet_by_packet(round_trip_ms: float, queue_kb: int, control: str) -> None:
    """A megabyte takes as long, and loses as many packets, as where each packet is an event of its own."""
    run = download(round_trip_ms, f"{queue_kb} kB", "1 MB", network__tcp={"congestion_control": control})
    (asked_ns, _, asked_bytes), (answered_ns, _, answered_bytes) = run.sent[:2]
    (heard_ns, _), (done_ns, _) = run.delivered[:2]
    path = Queues(round_trip_ms, queue_kb * 1_000)
    turns = (
        Turn(UP, (asked_bytes,), asked_ns - START_MS * MS - int(round_trip_ms * MS)),
        Turn(DOWN, (answered_bytes,), answered_ns - heard_ns),
    )
    play = PacketByPacket(turns, path, TcpParameters(congestion_control=control), (None, None), START_MS * MS)  # type: ignore[arg-type]  # one of two
    play.run()
    assert done_ns - answered_ns == pytest.approx(play.delivered_ns[1] - play.delivered_ns[0], rel=0.002, abs=MS)
    assert run.links[DOWN].drops == pytest.approx(path.drops, abs=1)


def test_a_queue_that_cannot_overflow_needs_no_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all that may be under way finds room, arithmetic carries it: it takes what segments take."""
    looked = []
    write = Wire.write
    monkeypatch.setattr(Wire, "write", lambda wire, transfer: (looked.append(transfer), write(wire, transfer)))
    (by_arithmetic,) = download(20, "4 MiB", "1 MB").tables["requests"]
    assert not looked
    monkeypatch.setattr(Wire, "_settle", lambda wire: None)
    monkeypatch.setattr(Wire, "_opened", lambda wire: False)
    (by_segment,) = download(20, "4 MiB", "1 MB").tables["requests"]
    assert looked
    assert by_arithmetic.latency_ns == pytest.approx(by_segment.latency_ns, rel=0.02)


def test_a_queue_behind_a_fast_link_drops_as_the_first_would() -> None:
    """It makes no difference whether the slow link is the first or the second of a way."""
    near = download(20, "30 kB", "1 MB")
    data = tiny(20, mesh__tls={"mode": "DISABLE"}, traffic__0__response="1 MB")
    nodes, links = data["network"]["nodes"], data["network"]["links"]
    nodes["core"] = {"kind": "edge"}
    nodes["east"], nodes["core"] = nodes["east"], nodes["core"]
    links[0] |= {"bandwidth": f"{BANDWIDTH_BPS} bit/s", "queue": "30 kB", "latency": "9.9 ms"}
    links[0]["name"] = "west--east"
    links[0]["between"] = ["west", "core"]
    links.append({"between": ["core", "east"], "latency": "0.1 ms", "bandwidth": "10 Gbit/s"})
    far = Run(data, set())
    assert far.links[DOWN].drops == pytest.approx(near.links[DOWN].drops, rel=0.1)
    (one,), (other,) = near.tables["requests"], far.tables["requests"]
    assert one.latency_ns == pytest.approx(other.latency_ns, rel=0.01)
