"""Breaks of the model, made on purpose: each must be noticed by the section of the validation that answers for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from meshsim.network import tcp, tcp_loss, tcp_parameters, tcp_probe, tcp_sender, tcp_setup, tcp_timer
from meshsim.network.nr import NrRadioModel
from meshsim.network.tcp_control import Reno
from meshsim.network.tcp_parameters import DestinationMemory, TcpParameters
from meshsim.network.tcp_receiver import Receiver
from meshsim.network.tcp_timer import RoundTripEstimate
from meshsim.network.tcp_window import CongestionWindow
from meshsim.scenario import nr as scenario_nr
from meshsim.scenario.nr import NrRadio
from meshsim.scenario.tcp import Tcp
from meshsim.validation import (
    lost_in_flights,
    lost_packet_cases,
    lost_packets,
    periodic_losses,
    promises,
    radio_by_hand,
)
from meshsim.world import admission, sources
from meshsim.world import world as world_room
from meshsim.world.hosts import Device
from tests.test_validation_rates import RATE_BREAKS

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


def _radio(**changed: object) -> Break:
    """Have New Radio's defaults be other ones."""
    settings = SimpleNamespace(model_validate=lambda told: NrRadio.model_validate({**changed, **told}))
    return lambda patch: patch.setattr(radio_by_hand, "NrRadio", settings)


def _radio_without(name: str) -> Break:
    """Have a radio link forget one of its times."""
    true = NrRadioModel.__init__

    def begin(self: NrRadioModel, *told: object) -> None:
        true(self, *told)  # type: ignore[arg-type]  # passed on as they came
        setattr(self, name, 0)

    return lambda patch: patch.setattr(NrRadioModel, "__init__", begin)


RADIO_BREAKS: dict[str, Break] = {
    "HARQ's round trip 8 to 9 slots": _radio(harq_round_trip=9),
    "HARQ's repetitions 3 to 4": _radio(harq_retransmissions=4),
    "block error rate 10 to 10.1 %": _radio(block_error_rate="10.1 %"),
    "RLC's retransmission 35 to 36 ms": _radio(rlc_retransmission="36 ms"),
    "scheduling requests every 10 to 8 slots": _radio(scheduling_request_period=8),
    "special slots with 9 symbols down": _radio(special_downlink_symbols=9),
    "special slots with 1 symbol up": _radio(special_uplink_symbols=1),
    "special slots with 3 symbols up": _radio(special_uplink_symbols=3),
    "N2 12 to 13 symbols": _constant(scenario_nr, "PREPARATION_SYMBOLS", (10, 13, 23, 36)),
    "K2 3 to 4 slots at 120 kHz": _constant(scenario_nr, "GRANT_DELAY_SLOTS", (1, 1, 2, 4)),
    "no processing in the base station": _radio_without("_gnb_ns"),
    "no processing in the device": _radio_without("_device_ns"),
}


def _admits_more(patch: pytest.MonkeyPatch) -> None:
    """Have cells think that they have 1 % more to guarantee."""
    true = admission._Book.__init__

    def begin(self: admission._Book, limits_bps: tuple[int, int]) -> None:
        true(self, (limits_bps[0] * 101 // 100, limits_bps[1] * 101 // 100))

    patch.setattr(admission._Book, "__init__", begin)


def _asks_once(patch: pytest.MonkeyPatch) -> None:
    """Have devices not ask at the cells that they come to."""
    patch.setattr(admission.Admission, "arrived", lambda self, device: None)


def _keeps_reserves(patch: pytest.MonkeyPatch) -> None:
    """Have cells keep what they reserved for a device that has left."""
    patch.setattr(admission.Admission, "_release", lambda self, device, flow: None)


def _longer_interruption(patch: pytest.MonkeyPatch) -> None:
    """Have interruptions take a microsecond more."""
    true = sources.Mobility._handover

    def handover(self: sources.Mobility, device: Device) -> None:
        true(self, device)
        for ways in device.access.values():
            for way in ways:
                way.interrupted_until_ns += 1_000

    patch.setattr(sources.Mobility, "_handover", handover)


def _uninterrupted_downlink(patch: pytest.MonkeyPatch) -> None:
    """Have interruptions be on the uplink alone."""
    true = sources.Mobility._handover

    def handover(self: sources.Mobility, device: Device) -> None:
        true(self, device)
        for _, downlink in device.access.values():
            downlink.interrupted_until_ns = 0

    patch.setattr(sources.Mobility, "_handover", handover)


PROMISE_BREAKS: dict[str, Break] = {
    "cells guarantee 1 % more than they have": _admits_more,
    "devices do not ask at the next cell": _asks_once,
    "cells keep what they reserved for who has left": _keeps_reserves,
    "interruptions take 1 µs more": _longer_interruption,
    "interruptions are on the uplink alone": _uninterrupted_downlink,
}


def _reno(numerator: int, denominator: int, more: int) -> Break:
    """Have Reno leave another part of its window after a loss, and grow by one in so many segments more."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(Reno, "reduced", lambda self, segments: max(segments * numerator // denominator, 2))
        patch.setattr(Reno, "acknowledgements", lambda self, segments, delivered, now_ns: segments + more)

    return apply


def _slow_repair(patch: pytest.MonkeyPatch) -> None:
    """Have a sender in recovery send one segment fewer than it may."""
    true = tcp_loss.RateReduction.window
    patch.setattr(
        tcp_loss.RateReduction,
        "window",
        lambda self, delivered, in_flight, safe: max(1, true(self, delivered, in_flight, safe) - 1),
    )


BULK_BREAKS: dict[str, Break] = {
    "Reno leaves 0.55 of a window": _reno(11, 20, 0),
    "Reno leaves 0.45 of a window": _reno(9, 20, 0),
    "Reno grows by one in a window and a segment": _reno(1, 2, 1),
    "recovery sends one segment too few": _slow_repair,
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


@pytest.mark.parametrize("name", RADIO_BREAKS)
def test_breaks_of_new_radio_are_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each constant of New Radio, changed by a little, makes a packet take what it should not."""

    def wrong() -> list[str]:
        return [text for text, *times_ms in radio_by_hand.radio_cases() if abs(times_ms[0] - times_ms[1]) > 1e-5]

    assert not wrong()
    RADIO_BREAKS[name](monkeypatch)
    assert wrong()


@pytest.mark.parametrize("name", PROMISE_BREAKS)
def test_breaks_of_promises_are_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Admission and handover that are wrong by a little are found out."""
    monkeypatch.setattr(promises, "CASES", ())  # bit rates are another matter
    monkeypatch.setattr(promises, "CROSSINGS", 14)
    PROMISE_BREAKS[name](monkeypatch)
    assert not promises.promises(1).passed


def test_promises_that_are_cut_short_still_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer crossings, as above, nothing else fails."""
    monkeypatch.setattr(promises, "CASES", ())
    monkeypatch.setattr(promises, "CROSSINGS", 14)
    assert promises.promises(1).passed


@pytest.mark.parametrize("name", BULK_BREAKS)
def test_breaks_of_long_transfers_are_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Sawteeth whose losses come after equal numbers of packets take other times with a slightly other Reno."""
    monkeypatch.setattr(periodic_losses, "TOPS", (20, 30))
    assert periodic_losses.periodic_losses()[0].passed
    BULK_BREAKS[name](monkeypatch)
    assert not periodic_losses.periodic_losses()[0].passed


def test_the_document_tells_every_break() -> None:
    """The page on breaks says of each that is kept here that it is, and of no other."""
    page = (Path(__file__).parent.parent / "docs" / "validation-breaks.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (.*?) \| .* \| yes \|$", page, re.MULTILINE)
    kept = [*TCP_BREAKS, *WORLD_BREAKS, *RADIO_BREAKS, *PROMISE_BREAKS, *RATE_BREAKS, *BULK_BREAKS]
    assert sorted(told) == sorted(kept)
