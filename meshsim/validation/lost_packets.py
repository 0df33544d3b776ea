"""TCP to the nanosecond: what it costs to lose certain packets, reckoned by hand from RFCs and Linux's constants."""

from __future__ import annotations

from itertools import groupby

from meshsim.network.tcp_connection import carry
from meshsim.network.tcp_parameters import DestinationMemory, TcpParameters
from meshsim.validation.by_hand import ACK, BYTE_MS, FLIGHT, HALF_MS, HELLO, MS, NEVER_MS, Case
from meshsim.validation.lost_packet_cases import all_cases
from meshsim.validation.section import Criterion, Section
from meshsim.validation.world_lost_packets import WORLD, world_cases

ROUNDING_MS = 1e-5
"""10 ns: smoothed round trips are whole nanoseconds at each step."""

ABOUT = f"""\
A path of {HALF_MS:g} ms each way, or of a round trip as is said, on which a byte takes 1 µs, so that every byte of a
header shows; a ClientHello of {HELLO - ACK} bytes, a server's flight of {FLIGHT - ACK} or of full segments. Nothing is
left to chance: which packets are lost is written down, and the time from the first SYN until the last message has come
is reckoned by hand from what RFCs and Linux say. A SYN's timer doubles from 1 s, and so does a SYN-ACK's; RTO is
S + max(2 S, 200 ms) after one sample S (RFC 6298 with Linux's floor), doubles, and ends at 120 s; a probe comes after
2 S, or 2 S + 200 ms for a single segment, never later than RTO (RFC 8985, 7.2); a hole is repaired when three segments
beyond it have arrived, or a quarter of the shortest round trip later (6.2); an acknowledgement waits for 40 ms after
the first 16. Timers are exact but where *Ticks* are told, and in worlds. Means under random loss would have to be known
to a thousandth to show what this shows. In a world the link is cut for a microsecond while the packet is on it.

[What was broken on purpose, and which check noticed](validation-breaks.md)."""


class _Path:
    """A path that loses the packets that it is told to."""

    def __init__(self, half_ms: float, lost: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
        self._half_ns = round(half_ms * MS)
        self._lost = lost
        self._sent = [0, 0]
        self._free_ns = [0, 0]

    def lost(self, direction: int, now_ns: int) -> bool:
        """Count a packet."""
        self._sent[direction] += 1
        return self._sent[direction] in self._lost[direction]

    def arrival_ns(self, direction: int, now_ns: int, size_bytes: int) -> int:
        """Send it behind what was sent before."""
        self._free_ns[direction] = max(now_ns, self._free_ns[direction]) + round(size_bytes * BYTE_MS * MS)
        return self._free_ns[direction] + self._half_ns


def took_ms(case: Case) -> float:
    """Return what the model comes to."""
    memory = DestinationMemory()
    for round_trip_ms in case.remembered_ms:
        memory.learn(round(round_trip_ms * MS), 0)
    parameters = case.parameters or TcpParameters(tick_ns=0)
    path = _Path(case.half_ms, (case.up, case.down))
    course = carry(case.dialogue, path, parameters, (memory, None), round(case.start_ms * MS))
    return NEVER_MS if course.failure else course.delivered_ns[-1] / MS


def lost_packets(seed: int = 1) -> Section:
    """Hold every case against what was reckoned by hand; the seed has no part in it."""
    rows: list[tuple[str, ...]] = []
    criteria: list[Criterion] = []
    probed = [(case.group, case.text, case.wanted_ms, took_ms(case)) for case in all_cases()]
    worlds = [(WORLD, *case) for case in world_cases()]
    for group, cases in groupby([*probed, *worlds], lambda case: case[0]):
        wrong: list[str] = []
        count = 0
        for _, text, wanted_ms, found_ms in cases:
            count += 1
            if abs(found_ms - wanted_ms) > ROUNDING_MS:
                wrong.append(text)
            rows.append((group, text, _shown(wanted_ms), _shown(found_ms)))
        found = f"{len(wrong)} of {count} differ: {', '.join(wrong)}" if wrong else f"all {count} agree"
        criteria.append(Criterion(f"{group}: every case takes what it should, to 10 ns.", found, not wrong))
    return Section(
        title="TCP to the nanosecond: certain packets lost",
        about=ABOUT,
        columns=("", "case", "by hand (ms)", "found (ms)"),
        rows=tuple(rows),
        criteria=tuple(criteria),
    )


def _shown(time_ms: float) -> str:
    return "never" if time_ms == NEVER_MS else f"{time_ms:.4f}"
