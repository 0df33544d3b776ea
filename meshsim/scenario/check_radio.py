"""Checks of parametric radios and of an operator's own 5QIs: values that do not go together."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario.findings import Finding
from meshsim.scenario.fiveqi import FIVE_QI
from meshsim.scenario.model import Scenario
from meshsim.scenario.nr import FDD, SYMBOLS_PER_SLOT, NrRadio
from meshsim.scenario.positions import Path
from meshsim.scenario.qos import OPERATOR_SPECIFIC, CustomFiveQi
from meshsim.scenario.units import format_duration

_MS = 1_000_000
_SYSTEM_PERIOD_NS = 20 * _MS


def check_new_radios(scenario: Scenario) -> Iterator[Finding]:
    """Patterns that do not fit into time, and settings that would say nothing."""
    for name, radio in scenario.network.radios.items():
        if radio.nr is not None:
            yield from _check_new_radio(radio.nr, ("network", "radios", name, "nr"))


def _check_new_radio(nr: NrRadio, path: Path) -> Iterator[Finding]:
    special = [
        (key, value)
        for key, value in (
            ("special_downlink_symbols", nr.special_downlink_symbols),
            ("special_uplink_symbols", nr.special_uplink_symbols),
        )
        if value is not None
    ]
    if nr.pattern == FDD or "S" not in nr.pattern:
        for key, _ in special:
            message = f"the pattern {nr.pattern[:24]!r} has no special slot to split; expected no {key}, or an S in it"
            yield Finding((*path, key), message, at_key=True)
    elif sum(nr.special_symbols) >= SYMBOLS_PER_SLOT:
        downlink, uplink = nr.special_symbols
        message = (
            f"a special slot with {downlink} downlink and {uplink} uplink symbols has no guard; expected 13 or less"
        )
        yield Finding((*path, special[0][0] if special else "pattern"), message, at_key=True)
    period_ns = len(nr.pattern) * nr.slot_ns
    if nr.pattern != FDD and _SYSTEM_PERIOD_NS % period_ns:
        message = f"the pattern lasts {format_duration(period_ns)}; expected a part of 20 ms (TS 38.213, clause 11.1)"
        yield Finding((*path, "pattern"), message)
    if nr.configured_grant_period is not None:
        for key, value in (
            ("scheduling_request_period", nr.scheduling_request_period),
            ("grant_delay", nr.grant_delay_slots),
        ):
            if value is not None:
                message = f"a device with a configured grant does not ask; expected no {key}, or no configured grant"
                yield Finding((*path, key), message, at_key=True)
    elif nr.k2_slots < nr.k2_least_slots:
        message = (
            f"the device takes {format_duration(nr.processing_ns[0])} to prepare what it is granted, longer than "
            f"{nr.k2_slots} slots; expected at least {nr.k2_least_slots}, or less device_processing"
        )
        yield Finding((*path, "grant_delay"), message)
    if nr.rlc == "unacknowledged" and nr.rlc_retransmission_ns is not None:
        message = "RLC retransmits nothing in its unacknowledged mode; expected no rlc_retransmission, or another rlc"
        yield Finding((*path, "rlc_retransmission"), message, at_key=True)


def check_five_qis(scenario: Scenario) -> Iterator[Finding]:
    """Values that are not the operator's to define, and characteristics that do not go together."""
    for key, entry in scenario.network.five_qis.items():
        path: Path = ("network", "five_qis", key)
        first, last = OPERATOR_SPECIFIC[0], OPERATOR_SPECIFIC[-1]
        if int(key) in FIVE_QI:
            message = (
                f"5QI {key} is standardised (TS 23.501 table 5.7.4-1); expected one of your own, {first} to {last}"
            )
            yield Finding(path, message, at_key=True)
        elif int(key) not in OPERATOR_SPECIFIC:
            message = f"5QI {key} is not an operator's own; expected {first} to {last} (TS 24.501 table 9.11.4.12.1)"
            yield Finding(path, message, at_key=True)
        yield from _check_characteristics(entry, path)


def _check_characteristics(entry: CustomFiveQi, path: Path) -> Iterator[Finding]:
    critical = entry.resource_type == "Delay-critical GBR"
    if critical and entry.max_burst_bytes is None:
        yield Finding(path, "a Delay-critical GBR 5QI has no max_burst; expected one, such as '255 B'", at_key=True)
    if not critical and entry.max_burst_bytes is not None:
        message = f"{entry.resource_type} has no burst volume; expected no max_burst, or Delay-critical GBR"
        yield Finding((*path, "max_burst"), message, at_key=True)
    if entry.resource_type == "Non-GBR" and entry.averaging_window_ns is not None:
        message = "Non-GBR has no bit rate to average; expected no averaging_window, or another resource_type"
        yield Finding((*path, "averaging_window"), message, at_key=True)
    if entry.core_network_delay_ns >= entry.packet_delay_budget_ns:
        message = (
            f"the core network takes {format_duration(entry.core_network_delay_ns)} of a budget of "
            f"{format_duration(entry.packet_delay_budget_ns)}; expected core_network_delay to leave the radio a part"
        )
        yield Finding((*path, "packet_delay_budget"), message)
