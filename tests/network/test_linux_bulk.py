"""Bulk transfers through a slow link with a short queue, against Linux: recorded, and on this host on request.

``python -m tests.network.test_linux_bulk`` records anew what data/linux_bulk.csv holds (as root, on Linux).
"""

from __future__ import annotations

import csv
import itertools
import os
import platform
import shutil
import sys
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from meshsim.network.tcp_dialogue import Turn
from meshsim.network.tcp_packets import Data, Packet
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import DOWN, UP
from meshsim.network.tcp_play import Play
from tests.network.linux_host import answer_of

HARNESS = Path(__file__).parent / "linux_bulk.py"
RECORDED = Path(__file__).parent / "data" / "linux_bulk.csv"
MS, S = 1_000_000, 1_000_000_000
TRIES = 5
FACTS = ("control", "round_trip_ms", "bandwidth_bps", "queue_bytes", "size_bytes")
CASES = [
    dict(zip(FACTS, each, strict=True))
    for each in itertools.product(
        ("reno", "cubic"), (10, 40, 100), (5_000_000, 20_000_000), (15_000, 40_000, 100_000), (300_000, 1_000_000)
    )
]
NEAR, FAR = (0.05, 8), (0.1, 40)
"""How far the model may be from the range of Linux: of its median time, and packets that found no room."""
FAR_SHARE = 0.1
"""Of the cases, that may be further than near. Where a second loss comes in the midst of repairs, one packet more or
less decides how many follow."""


class SlowLink:
    """The harness's link: a queue of so many bytes, so many bits a second, half a round trip each way."""

    def __init__(self, round_trip_ms: float, bandwidth_bps: int, queue_bytes: int) -> None:
        self.half_ns = int(round_trip_ms * MS) // 2
        self.bandwidth_bps, self.queue_bytes = bandwidth_bps, queue_bytes
        self.free_ns = self.drops = 0

    def lost(self, direction: int, now_ns: int) -> bool:
        """Nothing is lost but for want of room."""
        return False

    def arrival_ns(self, direction: int, now_ns: int, size_bytes: int) -> int:
        """Return when it arrives; negative if there is no room."""
        if direction == DOWN or size_bytes < 100:
            return now_ns + self.half_ns
        waiting_bytes = max(0, self.free_ns - now_ns) * self.bandwidth_bps // (8 * S)
        if waiting_bytes and waiting_bytes + size_bytes > self.queue_bytes:
            self.drops += 1
            return -1
        self.free_ns = max(self.free_ns, now_ns) + size_bytes * 8 * S // self.bandwidth_bps
        return self.free_ns + self.half_ns


class Dropping(Play):
    """A dialogue over a slow link."""

    def send(self, direction: int, runs: list[list[Packet]]) -> None:
        """Carry what finds room."""
        for packet in (packet for run in runs for packet in run):
            size_bytes = packet.size_bytes if isinstance(packet, Data) else 0
            time_ns = self.path.arrival_ns(direction, self.now_ns, size_bytes)
            if time_ns >= 0:
                self.at(time_ns, self.exchange.arrived, direction, packet)


def model_says(case: dict[str, Any]) -> tuple[float, int]:
    """What the model takes, in milliseconds, and how many packets it drops."""
    link = SlowLink(case["round_trip_ms"], case["bandwidth_bps"], case["queue_bytes"])
    talk = (Turn(UP, (100,)), Turn(DOWN, (1,))) * 2
    dialogue = (*talk, Turn(UP, (case["size_bytes"],)), Turn(DOWN, (1,)))
    play = Dropping(dialogue, link, TcpParameters(congestion_control=case["control"]), (None, None), 0)
    play.run()
    return (play.delivered_ns[-1] - play.delivered_ns[-3]) / MS, link.drops


def host_says(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What this host's TCP takes, and drops."""
    answer: list[dict[str, Any]] = answer_of(HARNESS, cases, 300, as_root=True)
    return answer


@cache
def recorded() -> list[dict[str, Any]]:
    """What Linux took, case by case: its least, median and most."""
    with RECORDED.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [{key: value if key == "control" else float(value) for key, value in row.items()} for row in rows]


def misses(case: dict[str, Any], tolerance: tuple[float, int]) -> str:
    """Say how the model misses what Linux took; empty if it does not."""
    time_ms, drops = model_says({key: case[key] if key == "control" else int(case[key]) for key in FACTS})
    slack_ms, slack_drops = tolerance[0] * case["time_median_ms"], tolerance[1]
    if (
        case["time_least_ms"] - slack_ms <= time_ms <= case["time_most_ms"] + slack_ms
        and case["drops_least"] - slack_drops <= drops <= case["drops_most"] + slack_drops
    ):
        return ""
    return f"{case}: the model says {time_ms:.1f} ms, {drops} dropped"


def test_model_agrees_with_recorded_transfers() -> None:
    """Through whatever queue, a transfer takes as long as Linux's, and as many packets find no room."""
    cases = recorded()
    assert len(cases) == len(CASES)
    missed = [miss for case in cases if (miss := misses(case, NEAR))]
    assert len(missed) <= FAR_SHARE * len(cases), "\n".join(missed)
    far_off = [miss for case in cases if (miss := misses(case, FAR))]
    assert not far_off


def test_model_and_host_agree() -> None:
    """The same on this host, now."""
    if "MESHSIM_WALL_CLOCK" not in os.environ:
        pytest.skip("measures on the wall clock, which other work disturbs: set MESHSIM_WALL_CLOCK=1 on a calm machine")
    if sys.platform != "linux" or shutil.which("unshare") is None or not Path("/dev/net/tun").exists():
        pytest.skip("needs Linux with unshare and /dev/net/tun")
    cases = [case for case in CASES if case["size_bytes"] == 300_000]
    left = [case | summary([found]) for case, found in zip(cases, host_says(cases), strict=True)]
    for _ in range(TRIES):
        left = [case for case in left if misses(case, FAR)]
        if not left:
            return
        cases = [{key: case[key] for key in FACTS} for case in left]
        left = [case | summary([found]) for case, found in zip(cases, host_says(cases), strict=True)]
    pytest.fail("\n".join(misses(case, FAR) for case in left))


def summary(found: list[dict[str, Any]]) -> dict[str, float]:
    """The least, the median and the most of tries."""
    row: dict[str, float] = {}
    for what, unit in (("time_ms", "_ms"), ("drops", "")):
        values = sorted(each[what] for each in found)
        name = what.removesuffix("_ms")
        for of, value in (("least", values[0]), ("median", median(values)), ("most", values[-1])):
            row[f"{name}_{of}{unit}"] = round(value, 1)
    return row


def record() -> None:
    """Write what this host's TCP takes."""
    tries = [host_says(CASES) for _ in range(TRIES)]
    rows = [case | summary([found[number] for found in tries]) for number, case in enumerate(CASES)]
    with RECORDED.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# Linux {platform.release().split('-')[0]}, {TRIES} tries; tests/network/linux_bulk.py\n")
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    record()
