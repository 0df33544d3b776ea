"""TCP against this host's own: the same dialogue over the same way, the same packets lost."""

from __future__ import annotations

import os
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
MS = 1_000_000
ROUND_TRIP_MS = 80
PHASES = 32
"""Instants at which the model's connections begin: a host's timers may be at any point of their ticks."""
EARLY_MS, LATE_MS = 4.0, 20.0
"""How far a host may be from the model's range: its clock's tick, and what a busy machine adds."""
TRIES = 4
"""A busy machine is late now and then; it is never early, and it never repeats a packet in another round trip."""

SHORT, LONG, LONGER = (250, 900, 80), (250, 12_000, 80), (250, 40_000, 80)
"""Bytes of a hello, of the server's flight, and of the client's last."""
CASES: dict[str, tuple[tuple[int, int, int], list[tuple[str, int]]]] = {
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
}


class Losing(Play):
    """Loses what the harness does: data is counted from 1, and what opens the connection is number 0, -1, ..."""

    def lose(self, lost: set[tuple[str, int]]) -> None:
        """Lose these."""
        self.to_lose = lost
        self.data, self.opening = [0, 0], [1, 1]

    def send(self, direction: int, runs: list[list[Packet]]) -> None:
        """Send what is not to be lost."""
        super().send(direction, [[packet] for run in runs for packet in run if not self._loses(direction, packet)])

    def _loses(self, direction: int, packet: Packet) -> bool:
        if isinstance(packet, Syn | SynAck):
            self.opening[direction] -= 1
            number = self.opening[direction]
        elif isinstance(packet, Data):
            self.data[direction] += 1
            number = self.data[direction]
        else:
            return False
        return (("up", "down")[direction], number) in self.to_lose


def model_ms(name: str, linear_syn_timeouts: int) -> list[float]:
    """When the flight is there, for each phase of the timers."""
    (hello, flight, finish), lost = CASES[name]
    dialogue = (Turn(UP, (hello,)), Turn(DOWN, (flight,)), Turn(UP, (finish,)), Turn(DOWN, (1,)))
    parameters = TcpParameters(linear_syn_timeouts=linear_syn_timeouts)
    never = LossCountdown(0, Random(0))
    times_ms = []
    for phase in range(PHASES):
        path = SteadyPath((ROUND_TRIP_MS * MS // 2, ROUND_TRIP_MS * MS // 2), 10**9, (never, never), Random(0))
        play = Losing(dialogue, path, parameters, (None, None), phase * 33_370_000)
        play.lose(set(lost))
        play.run()
        times_ms.append(play.delivered_ns[1] / MS)
    return times_ms


def host_says(names: list[str]) -> tuple[int, dict[str, float]]:
    """What this host's TCP takes for cases, in milliseconds, and its schedule of SYNs."""
    cases = [{"round_trip_s": ROUND_TRIP_MS / 1000, "sizes": CASES[name][0], "lost": CASES[name][1]} for name in names]
    answer: dict[str, Any] = answer_of(HARNESS, cases, 120)
    times_ms = [1_000 * each["answered_s"] for each in answer["times"]]
    return answer["linear_syn_timeouts"], dict(zip(names, times_ms, strict=True))


def test_model_and_host_agree() -> None:
    """Whatever is lost, this host's flight arrives when the model says, for some phase of the timers."""
    if "MESHSIM_WALL_CLOCK" not in os.environ:
        pytest.skip("measures on the wall clock, which other work disturbs: set MESHSIM_WALL_CLOCK=1 on a calm machine")
    if sys.platform != "linux" or shutil.which("unshare") is None or not Path("/dev/net/tun").exists():
        pytest.skip("needs Linux with unshare and /dev/net/tun")
    left, told = list(CASES), {}
    for _ in range(TRIES):
        linear, found_ms = host_says(left)
        for name, time_ms in found_ms.items():
            expected_ms = model_ms(name, linear)
            if min(expected_ms) - EARLY_MS <= time_ms <= max(expected_ms) + LATE_MS:
                left.remove(name)
            told[name] = f"{name}: {time_ms:.1f} ms, expected {min(expected_ms):.1f} to {max(expected_ms):.1f} ms"
        if not left:
            return
    pytest.fail("\n".join(told[name] for name in left))
