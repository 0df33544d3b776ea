"""Breaks of radios, cells, links and long transfers, made on purpose: the validation must notice each."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from meshsim.network import tcp_loss
from meshsim.network.link import LinkDirection
from meshsim.network.nr import NrRadioModel
from meshsim.network.tcp_control import Reno
from meshsim.network.train import Train
from meshsim.scenario import nr as scenario_nr
from meshsim.scenario.nr import NrRadio
from meshsim.validation import closed_form, periodic_losses, promises, queues, radio_by_hand
from meshsim.world import admission, sources
from meshsim.world.hosts import Device
from tests.test_validation_rates import RATE_BREAKS

Break = Callable[[pytest.MonkeyPatch], None]


def _constant(module: object, name: str, value: object) -> Break:
    return lambda patch: patch.setattr(module, name, value)


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


def _link(head_ns: int, free_ns: int) -> Break:
    """Have links deliver what they carry so much later, and be free so much later."""
    true = LinkDirection.enter

    def enter(self: LinkDirection, train: Train, now_ns: int) -> int:
        there_ns = true(self, train, now_ns)
        self._free_at_ns += free_ns
        return there_ns + head_ns

    return lambda patch: patch.setattr(LinkDirection, "enter", enter)


LINK_BREAKS: dict[str, Break] = {
    "links deliver 1 ns late": _link(1, 0),
    "links are free 1 ns late": _link(0, 1),
    "links are free 1 ns early": _link(0, -1),
}


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


@pytest.mark.parametrize("name", LINK_BREAKS)
def test_breaks_of_links_are_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Packets over links in a row take what Lindley's recursion says, and not a nanosecond more or less."""
    monkeypatch.setattr(queues, "PACKETS", 400)
    monkeypatch.setattr(queues, "WARM_UP", 100)
    run = 1, [8_000_000, 16_000_000, 8_000_000], 2e6
    assert queues._packet_by_packet(*run).passed
    LINK_BREAKS[name](monkeypatch)
    assert not queues._packet_by_packet(*run).passed


@pytest.mark.parametrize(
    ("apart", "passed"),
    [([0.5, -1.4, 1.0] * 3, True), ([1.2] * 9, True), ([1.4] * 9, False), ([-1.0, -1.6, -1.4] * 3, False)],
)
def test_small_errors_add_up_over_cells(apart: list[float], passed: bool) -> None:
    """Errors of all cells one way, each within what chance allows, are too much together."""
    assert max(map(abs, apart)) < 2
    assert closed_form.together(apart).passed is passed


def test_the_document_tells_every_other_break() -> None:
    """The page on breaks says of each that is kept here that it is, and of no other."""
    page = (Path(__file__).parent.parent / "docs" / "validation-breaks.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (.*?) \| (?!`lost-packets`).* \| yes \|$", page, re.MULTILINE)
    assert sorted(told) == sorted([*RADIO_BREAKS, *PROMISE_BREAKS, *RATE_BREAKS, *BULK_BREAKS, *LINK_BREAKS])
