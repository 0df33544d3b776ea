"""TCP against Linux's own: the same dialogue over the same way, the same packets lost or late.

``python -m tests.network.test_linux_tcp`` records anew what data/linux_tcp.csv holds (on Linux).
"""

from __future__ import annotations

import csv
import itertools
import os
import platform
import shutil
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from meshsim.network.tcp_dialogue import Turn
from meshsim.network.tcp_packets import Data, Packet, Syn, SynAck
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import DOWN, UP, LossCountdown, SteadyPath
from meshsim.network.tcp_play import Play
from tests.network.linux_host import answer_of

HARNESS = Path(__file__).parent / "linux_tcp.py"
RECORDED = Path(__file__).parent / "data" / "linux_tcp.csv"
MS = 1_000_000
ROUND_TRIP_MS = 80
PHASES = 32
"""Instants at which the model's connections begin: a host's timers may be at any point of their ticks."""
EARLY_MS, LATE_MS = 4.0, 20.0
"""How far a host may be from the model's range: its clock's tick, and what a busy machine adds."""
TRIES = 4
"""A busy machine is late now and then; it is never early, and it never repeats a packet in another round trip."""

SHORT, LONG, LONGER = (250, 900, 80, 1), (250, 12_000, 80, 1), (250, 40_000, 80, 1)
"""Bytes of a hello, of the server's flight, of the client's last, and of an answer to that."""
TWICE = (250, 41_500, 80, 28_000, 80, 1)
"""Another flight, the longer the smaller a window the first has left."""
THRICE = (250, 40_000, 80, 250_000, 80, 60_000, 80, 1)
"""A window that a loss has left small grows, and then something is sent that takes less time in slow start."""
Packets = list[tuple[str, int] | tuple[str, int, int]]
"""Directions and numbers of packets that are lost, or that come so many milliseconds late."""
CASES: dict[str, tuple[tuple[int, ...], Packets]] = {
    "nothing": (SHORT, []),
    "a SYN": (SHORT, [("up", 0)]),
    "two SYNs": (SHORT, [("up", 0), ("up", -1)]),
    "a SYN-ACK": (SHORT, [("down", 0)]),
    "the hello": (SHORT, [("up", 1)]),
    "the hello twice": (SHORT, [("up", 1), ("up", 2)]),
    "the answer": (SHORT, [("down", 1)]),
    "the answer twice": (SHORT, [("down", 1), ("down", 2)]),
    "nothing of a flight": (LONG, []),
    "its first": (LONG, [("down", 1)]),
    "its third": (LONG, [("down", 3)]),
    "its third and sixth": (LONG, [("down", 3), ("down", 6)]),
    "its third, and that again": (LONG, [("down", 3), ("down", 10)]),
    "its last": (LONG, [("down", 9)]),
    "its last two": (LONG, [("down", 8), ("down", 9)]),
    "nothing of two windows": (LONGER, []),
    "the tenth of two windows": (LONGER, [("down", 10)]),
    "the eleventh of two windows": (LONGER, [("down", 11)]),
    "nothing of two flights": (TWICE, []),
    "the hello, and the last": (SHORT, [("up", 1), ("up", 3)]),
    "the hello, and the last, and that again": (SHORT, [("up", 1), ("up", 3), ("up", 4)]),
    "the eleventh, before another flight": (TWICE, [("down", 11)]),
    "the last, before another flight": (TWICE, [("down", 29)]),
    "the last three, before another flight": (TWICE, [("down", 27), ("down", 28), ("down", 29)]),
    "the third late by a little": (TWICE, [("down", 3, 10)]),
    "the third late by half a round trip": (TWICE, [("down", 3, 40)]),
    "the third late by more than a round trip": (TWICE, [("down", 3, 100)]),
    "the third and fourth late by half a round trip": (TWICE, [("down", 3, 40), ("down", 4, 40)]),
    "the last late by three round trips": (TWICE, [("down", 29, 240)]),
    "all of a window late by four round trips": (TWICE, [("down", number, 320) for number in range(1, 11)]),
    "the fifteenth and a pause later": (THRICE, [("down", 15)]),
}
PAUSES_MS = {"the fifteenth and a pause later": {5: 1000}}
"""By the number of a turn, for how long the server waits with it."""


class Disturbed(Play):
    """Does to packets what the harness does: data is counted from 1, what opens the connection is number 0, -1, ..."""

    def disturb(self, packets: Packets) -> None:
        """Lose these, or keep them for longer."""
        self.late_ms = {(each[0], each[1]): each[2] if len(each) == 3 else None for each in packets}
        self.data, self.opening = [0, 0], [1, 1]

    def send(self, direction: int, runs: list[list[Packet]]) -> None:
        """Send what is not to be lost."""
        for packet in itertools.chain.from_iterable(runs):
            late_ms = self.late_ms.get((("up", "down")[direction], self._number(direction, packet)), 0)
            if late_ms:
                arrival_ns = self.path.arrival_ns(direction, self.now_ns, packet.size_bytes) + late_ms * MS
                self.at(arrival_ns, self.exchange.arrived, direction, packet)
            elif late_ms == 0:
                super().send(direction, [[packet]])

    def _number(self, direction: int, packet: Packet) -> int | None:
        if isinstance(packet, Syn | SynAck):
            self.opening[direction] -= 1
            return self.opening[direction]
        if isinstance(packet, Data):
            self.data[direction] += 1
            return self.data[direction]
        return None


def apart(times_ms: list[float]) -> list[float]:
    """How long after the one before each is: a busy host is late with each."""
    return [time_ms - before_ms for time_ms, before_ms in zip(times_ms, [0.0, *times_ms], strict=False)]


def model_ms(name: str, parameters: TcpParameters) -> list[list[float]]:
    """How long after the one before each of the server's turns is there, for each phase of the timers."""
    sizes, packets = CASES[name]
    pauses_ms = PAUSES_MS.get(name, {})
    dialogue = tuple(
        Turn((UP, DOWN)[index % 2], (size,), pauses_ms.get(index, 0) * MS) for index, size in enumerate(sizes)
    )
    never = LossCountdown(0, Random(0))
    times_ms = []
    for phase in range(PHASES):
        path = SteadyPath((ROUND_TRIP_MS * MS // 2, ROUND_TRIP_MS * MS // 2), 10**9, (never, never), Random(0))
        play = Disturbed(dialogue, path, parameters, (None, None), phase * 33_370_000)
        play.disturb(packets)
        play.run()
        times_ms.append(apart([time_ns / MS for time_ns in play.delivered_ns[1::2]]))
    return [list(each) for each in zip(*times_ms, strict=True)]


def host_says(names: list[str]) -> tuple[TcpParameters, dict[str, list[float]]]:
    """What this host's TCP takes for the server's turns, in milliseconds, and what it is set to."""
    cases: list[dict[str, Any]] = [
        {
            "round_trip_s": ROUND_TRIP_MS / 1000,
            "sizes": sizes,
            "lost": [each for each in packets if len(each) == 2],
            "late": [(each[0], each[1], each[2] / 1000) for each in packets if len(each) == 3],
            "pauses_s": {turn: pause_ms / 1000 for turn, pause_ms in PAUSES_MS.get(name, {}).items()},
        }
        for name, (sizes, packets) in ((name, CASES[name]) for name in names)
    ]
    answer: dict[str, Any] = answer_of(HARNESS, cases, 120)
    times_ms = [apart([1_000 * time_s for time_s in each[1:]]) for each in answer["times"]]
    parameters = TcpParameters(
        linear_syn_timeouts=answer["linear_syn_timeouts"], congestion_control=answer["congestion_control"]
    )
    return parameters, dict(zip(names, times_ms, strict=True))


def miss(name: str, times_ms: list[float], parameters: TcpParameters) -> str:
    """Say how the model misses what Linux took; empty if it does not."""
    ranges_ms = [(min(each_ms), max(each_ms)) for each_ms in model_ms(name, parameters)]
    held = zip(times_ms, ranges_ms, strict=True)
    if all(least_ms - EARLY_MS <= time_ms <= most_ms + LATE_MS for time_ms, (least_ms, most_ms) in held):
        return ""
    ranges = ", ".join(f"{least_ms:.1f} to {most_ms:.1f}" for least_ms, most_ms in ranges_ms)
    return f"{name}: {', '.join(f'{time_ms:.1f}' for time_ms in times_ms)} ms, expected {ranges} ms"


def test_model_agrees_with_recorded_dialogues() -> None:
    """Whatever is lost or late, Linux's turns are there when the model says, for some phase of the timers."""
    with RECORDED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert {row["case"] for row in rows} == set(CASES)
    misses: dict[str, list[str]] = {}
    for row in rows:
        parameters = TcpParameters(
            linear_syn_timeouts=int(row["linear_syn_timeouts"]),
            congestion_control="cubic" if row["congestion_control"] == "cubic" else "reno",
        )
        told = miss(row["case"], [float(time_ms) for time_ms in row["turns_ms"].split()], parameters)
        misses.setdefault(row["case"], []).append(told)
    assert not [told for tries in misses.values() if all(tries) for told in tries]


def test_model_and_host_agree() -> None:
    """The same on this host, now."""
    if "MESHSIM_WALL_CLOCK" not in os.environ:
        pytest.skip("measures on the wall clock, which other work disturbs: set MESHSIM_WALL_CLOCK=1 on a calm machine")
    if sys.platform != "linux" or shutil.which("unshare") is None or not Path("/dev/net/tun").exists():
        pytest.skip("needs Linux with unshare and /dev/net/tun")
    left, told = list(CASES), {}
    for _ in range(TRIES):
        parameters, found_ms = host_says(left)
        told = {name: miss(name, times_ms, parameters) for name, times_ms in found_ms.items()}
        left = [name for name in left if told[name]]
        if not left:
            return
    pytest.fail("\n".join(told[name] for name in left))


def record() -> None:
    """Write what this host's TCP takes."""
    with RECORDED.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# Linux {platform.release().split('-')[0]}, {TRIES} tries; tests/network/linux_tcp.py\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("case", "linear_syn_timeouts", "congestion_control", "turns_ms"))
        for _ in range(TRIES):
            parameters, found_ms = host_says(list(CASES))
            settings = (parameters.linear_syn_timeouts, parameters.congestion_control)
            for name, times_ms in found_ms.items():
                writer.writerow((name, *settings, " ".join(f"{time_ms:.1f}" for time_ms in times_ms)))


if __name__ == "__main__":
    record()
