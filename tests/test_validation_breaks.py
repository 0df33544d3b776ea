"""Breaks of the model, made on purpose: each must be noticed by the section of the validation that answers for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from meshsim.network import tcp, tcp_loss, tcp_parameters, tcp_probe, tcp_sender, tcp_setup, tcp_timer
from meshsim.network.tcp_parameters import DestinationMemory, TcpParameters
from meshsim.network.tcp_receiver import Receiver
from meshsim.network.tcp_timer import RoundTripEstimate
from meshsim.network.tcp_window import CongestionWindow
from meshsim.scenario.tcp import Tcp
from meshsim.validation import (
    lost_in_flights,
    lost_packet_cases,
    lost_packets,
)
from meshsim.world import world as world_room

MS = 1_000_000
Break = Callable[[pytest.MonkeyPatch], None]


def _default(**changed: int) -> Break:
    """Have TCP's defaults be other ones."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        for module in (lost_packets, lost_packet_cases, lost_in_flights):
            patch.setattr(module, "TcpParameters", partial(TcpParameters, **changed))

    return apply


def _constant(module: object, name: str, value: object) -> Break:
    return lambda patch: patch.setattr(module, name, value)


def _scaled(owner: object, name: str, factor: float) -> Break:
    """Have a function return so much more or less."""
    true = getattr(owner, name)
    return lambda patch: patch.setattr(owner, name, lambda *told: int(true(*told) * factor))


def _synack_of_newest(patch: pytest.MonkeyPatch) -> None:
    """Have repeated SYN-ACKs echo the SYN that came last."""
    true = tcp_setup.SetUp.syn_arrived

    def arrived(self: tcp_setup.SetUp, packet: tcp_setup.Syn) -> None:
        self._syn_echo_ns = packet.sent_ns
        true(self, packet)

    patch.setattr(tcp_setup.SetUp, "syn_arrived", arrived)


def _slow_to_forget(patch: pytest.MonkeyPatch) -> None:
    """Have the timeout's allowance never go down."""
    true = RoundTripEstimate.sample

    def sample(self: RoundTripEstimate, round_trip_ns: int, acknowledged: int, sent: int) -> None:
        allowed_ns = self._allowance_ns
        true(self, round_trip_ns, acknowledged, sent)
        if self._allowance_ns < allowed_ns:
            self.rto_ns += allowed_ns - self._allowance_ns
            self._allowance_ns = allowed_ns

    patch.setattr(RoundTripEstimate, "sample", sample)


def _late_memory(patch: pytest.MonkeyPatch) -> None:
    """Have a destination's round trip follow a shorter one at once."""

    def learn(self: DestinationMemory, smoothed_round_trip_ns: int, now_ns: int) -> None:
        self.round_trip_ns, self._learnt_ns = smoothed_round_trip_ns, now_ns

    patch.setattr(DestinationMemory, "learn", learn)


def _lazy_about_holes(patch: pytest.MonkeyPatch) -> None:
    """Have a receiver wait before it tells of a hole."""
    true = Receiver.receive

    def receive(self: Receiver, start: int, end: int, sent_ns: int, now_ns: int) -> bool:
        beyond = start > self.in_order_bytes
        return true(self, start, end, sent_ns, now_ns) and not beyond

    patch.setattr(Receiver, "receive", receive)


def _slow_start_by_half(patch: pytest.MonkeyPatch) -> None:
    """Have windows grow by half of what was acknowledged."""
    true = CongestionWindow.grow
    patch.setattr(CongestionWindow, "grow", lambda self, delivered, now_ns: true(self, delivered // 2, now_ns))


TCP_BREAKS: dict[str, tuple[str, Break]] = {
    "first timeout of a SYN 1 s to 1.01 s": ("Setting up", _default(initial_rto_ns=1_010 * MS)),
    "repeats of a SYN 6 to 5": ("Setting up", _default(syn_retries=5)),
    "repeats of a SYN-ACK 5 to 4": ("Setting up", _default(synack_retries=4)),
    "linear timeouts of a SYN one fewer": (
        "Setting up",
        lambda patch: patch.setattr(
            tcp_setup, "syn_timeout_ns", lambda told, attempt: told.initial_rto_ns << max(0, attempt - 3)
        ),
    ),
    "headers 52 to 56 bytes": ("Setting up", _constant(tcp, "HEADER_BYTES", 56)),
    "least RTO 200 to 201 ms": ("Timeouts and probes", _default(minimum_rto_ns=201 * MS)),
    "longest RTO 120 to 119 s": ("Timeouts and probes", _default(maximum_rto_ns=119_000 * MS)),
    "RTO without a sample 3 to 2.9 s": ("Timeouts and probes", _default(fallback_rto_ns=2_900 * MS)),
    "timeouts before giving up 15 to 14": ("Timeouts and probes", _default(data_retries=14)),
    "tail loss probe 1 % later": ("Timeouts and probes", _scaled(tcp_sender, "probe_timeout_ns", 1.01)),
    "tail loss probe as for several segments": (
        "Timeouts and probes",
        lambda patch: patch.setattr(
            tcp_sender,
            "probe_timeout_ns",
            lambda parameters, estimate, alone, left_ns: tcp_probe.probe_timeout_ns(
                parameters, estimate, False, left_ns
            ),
        ),
    ),
    "the RTO's allowance never goes down": ("Timeouts and probes", _slow_to_forget),
    "what a destination's round trip was is forgotten at once": ("Timeouts and probes", _late_memory),
    "destinations are remembered for two hours": (
        "Timeouts and probes",
        _constant(tcp_parameters, "MEMORY_LASTS_NS", 7_200_000 * MS),
    ),
    "segments beyond a hole 3 to 2": ("Holes in a flight", _constant(tcp_loss, "REORDERING_SEGMENTS", 2)),
    "RACK's window for reordering doubled": (
        "Holes in a flight",
        _scaled(tcp_loss.Rack, "_reordering_window_ns", 2),
    ),
    "holes are told late": ("Holes in a flight", _lazy_about_holes),
    "initial window 10 to 9": ("Windows and acknowledgements", _default(initial_window=9)),
    "slow start grows by half": ("Windows and acknowledgements", _slow_start_by_half),
    "delayed acknowledgements 40 to 41 ms": ("Windows and acknowledgements", _default(delayed_ack_ns=41 * MS)),
    "acknowledgements that do not wait 16 to 15": ("Windows and acknowledgements", _default(quick_acks=15)),
    "segments of 1440 bytes": ("Windows and acknowledgements", _default(segment_bytes=1440)),
    "a tick of 1 ms": ("Ticks", _default(tick_ns=MS)),
    "first level of the timer wheel 64 ticks": ("Ticks", _constant(tcp_timer, "FIRST_LEVEL_TICKS", 64)),
    "a repeated SYN-ACK echoes the newest SYN": ("Ticks", _synack_of_newest),
}
WORLD_BREAKS: dict[str, tuple[str, object]] = {
    "first timeout of a SYN 1 s to 1.05 s, in worlds": ("initial_rto_ns", 1_050 * MS),
    "least RTO 200 to 205 ms, in worlds": ("minimum_rto_ns", 205 * MS),
    "a tick of 1 ms, in worlds": ("tick_ns", MS),
}


def _failing(seed: int = 1) -> set[str]:
    section = lost_packets.lost_packets(seed)
    return {criterion.text.split(":")[0] for criterion in section.criteria if not criterion.passed}


@pytest.mark.parametrize("name", TCP_BREAKS)
def test_breaks_of_tcp_are_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each constant and rule of TCP, changed by a little, fails the part of the section that is about it."""
    group, apply = TCP_BREAKS[name]
    monkeypatch.setattr(lost_packets, "world_cases", list)
    assert not _failing()
    apply(monkeypatch)
    assert group in _failing()


@pytest.mark.parametrize("name", WORLD_BREAKS)
def test_breaks_of_a_worlds_tcp_are_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A world that takes other constants than it is told to, or than Linux has, is found out."""
    field, value = WORLD_BREAKS[name]
    true = world_room.tcp_parameters

    def wrong(settings: Tcp) -> TcpParameters:
        return true(settings.model_copy(update={field: value}))

    monkeypatch.setattr(world_room, "tcp_parameters", wrong)
    assert _failing() == {"In a world"}


def test_the_document_tells_every_break_of_tcp() -> None:
    """The page on breaks says of each that is kept here that it is, and of no other."""
    page = (Path(__file__).parent.parent / "docs" / "validation-breaks.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (.*?) \| `lost-packets`.* \| yes \|$", page, re.MULTILINE)
    assert sorted(told) == sorted([*TCP_BREAKS, *WORLD_BREAKS])
