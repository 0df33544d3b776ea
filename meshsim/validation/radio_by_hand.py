"""New Radio at certain instants: what a packet waits for, slot by slot, reckoned by hand from the standard's tables."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple

from meshsim.network.nr import NrRadioModel
from meshsim.network.radio import DOWNLINK, UPLINK
from meshsim.scenario.nr import NrRadio

MS = 1_000_000
ROUNDING_MS = 1e-5
"""10 ns: symbols are no whole nanoseconds."""
SLOT_MS = (1.0, 0.5, 0.25, 0.125)
N2_MS = (10 / 14, 12 / 14 / 2, 23 / 14 / 4, 36 / 14 / 8)
"""What devices, and base stations, take to prepare, by numerology (TS 38.214, table 6.4-1, capability 1)."""
SPECIAL_MS = 10 / 14 / 2
"""Downlink symbols of a special slot at 30 kHz."""
NO_ERRORS: Mapping[str, Any] = {"block_error_rate": "0 %"}
PASSES, FAILS = 0.1001, 0.0999
"""Draws about the share of blocks that fail by default, 10 %."""


class RadioCase(NamedTuple):
    """One packet."""

    text: str
    settings: Mapping[str, Any]
    direction: int
    sent_ms: float
    wanted_ms: float
    """When it has arrived."""
    draws: tuple[float, ...] = ()


class _Draws(Random):
    """Gives what it is told to, one after the other."""

    def __init__(self, draws: tuple[float, ...]) -> None:
        super().__init__(0)
        self._draws = list(draws)

    def random(self) -> float:
        """Return the next, and when there is none what lets a block pass."""
        return self._draws.pop(0) if self._draws else 1.0


def _always_both() -> list[RadioCase]:
    """FDD, a tenth of a slot after one began: the slots in which data goes, by numerology.

    Downlink in the first one that the base station is ready for. Uplink asks in slot 10, which ends with slot 11's
    beginning; the grant is in the first slot that the base station is ready for, and K2 slots later comes the data.
    """
    cases = []
    for numerology, down, grant, k2 in ((0, 1, 12, 1), (1, 1, 12, 1), (2, 2, 13, 2), (3, 3, 14, 3)):
        slot_ms, prepare_ms = SLOT_MS[numerology], N2_MS[numerology]
        settings = {**NO_ERRORS, "pattern": "FDD", "numerology": numerology}
        name = f"{15 << numerology} kHz, FDD"
        for direction, slot, way in ((DOWNLINK, down, "downlink"), (UPLINK, grant + k2, "uplink on request")):
            wanted_ms = (slot + 1) * slot_ms + prepare_ms
            cases.append(RadioCase(f"{way}, {name}", settings, direction, slot_ms / 10, wanted_ms))
    grant_every = {**NO_ERRORS, "pattern": "FDD", "configured_grant_period": 4}
    text = "uplink with a configured grant, 30 kHz, FDD, every 4 slots"
    cases.append(RadioCase(text, grant_every, UPLINK, 0.05, 5 * SLOT_MS[1] + N2_MS[1]))
    # A device that takes 0.7 ms needs a K2 of 2; the request in slot 10, the grant in 12.
    slow = {**NO_ERRORS, "pattern": "FDD", "device_processing": "0.7 ms", "gnb_processing": "0.2 ms"}
    text = "uplink on request, 30 kHz, FDD: processing of 0.7 and 0.2 ms"
    cases.append(RadioCase(text, slow, UPLINK, 0.05, 15 * SLOT_MS[1] + 0.2))
    return cases


def _in_turn() -> list[RadioCase]:
    """DDDSU at 30 kHz, the default: of five slots the fourth is special, the fifth uplink; requests in every second."""
    slot_ms, prepare_ms = SLOT_MS[1], N2_MS[1]
    name = "30 kHz, DDDSU"
    cases = [
        RadioCase(f"downlink, {name}: slot 1", NO_ERRORS, DOWNLINK, 0.0, 2 * slot_ms + prepare_ms),
        RadioCase(f"downlink, {name}: special slot", NO_ERRORS, DOWNLINK, 0.9, 3 * slot_ms + SPECIAL_MS + prepare_ms),
        RadioCase(f"downlink, {name}: not slot 4", NO_ERRORS, DOWNLINK, 1.2, 6 * slot_ms + prepare_ms),
        # A request in slot 3; the base station has it at slot 4 and is ready in slot 5; K2 is 1, and on to slot 9.
        RadioCase(f"uplink, {name}: slots 3, 5, 9", NO_ERRORS, UPLINK, 0.0, 10 * slot_ms + prepare_ms),
        # Symbols 12 and 13 of slot 3 begin at 1.9286 ms: ready at 1.91 it is in time, at 1.9386 it asks in slot 13.
        RadioCase(f"uplink, {name}: in time for slot 3", NO_ERRORS, UPLINK, 1.4814, 10 * slot_ms + prepare_ms),
        RadioCase(f"uplink, {name}: slots 13, 15, 19", NO_ERRORS, UPLINK, 1.51, 20 * slot_ms + prepare_ms),
    ]
    # The device takes 0.2 ms, the base station 0.7: down in slot 2; up a request in slot 3, the grant in slot 6.
    unlike = {**NO_ERRORS, "device_processing": "0.2 ms", "gnb_processing": "0.7 ms"}
    for direction, wanted_ms, text in (
        (DOWNLINK, 3 * slot_ms + 0.2, "downlink"),
        (UPLINK, 10 * slot_ms + 0.7, "uplink"),
    ):
        text += f", {name}: processing of 0.2 and 0.7 ms"
        cases.append(RadioCase(text, unlike, direction, 0.0, wanted_ms))
    # HARQ comes back 8 slots later: slots 1, 9 (uplink, so 10), 18 (special), 26; RLC 35 ms after the end of slot 26.
    for draws, ends_ms, text in (
        ((PASSES,), 2 * slot_ms, f"a draw of {PASSES} passes"),
        ((FAILS, 1), 11 * slot_ms, f"a draw of {FAILS} fails"),
        ((0, 0, 1), 18 * slot_ms + SPECIAL_MS, "two failures"),
        ((0, 0, 0, 1), 27 * slot_ms, "three failures"),
        ((0, 0, 0, 0, 1), 98 * slot_ms, "four failures: RLC, slot 97"),
    ):
        cases.append(RadioCase(f"downlink, {name}: {text}", {}, DOWNLINK, 0.0, ends_ms + prepare_ms, draws))
    # Uplink in slot 9, then 17 is none, so 19.
    text = f"uplink, {name}: a failure, slot 19"
    cases.append(RadioCase(text, {}, UPLINK, 0.0, 20 * slot_ms + prepare_ms, (0, 1)))
    return cases


def radio_cases() -> list[tuple[str, float, float]]:
    """Return what each case is, what its packet should take, and what it takes, in milliseconds."""
    found = []
    for case in [*_always_both(), *_in_turn()]:
        model = NrRadioModel("cell", NrRadio.model_validate(dict(case.settings)), _Draws(case.draws))
        took_ms = model.delay_ns(case.direction, round(case.sent_ms * MS)) / MS
        found.append((case.text, case.wanted_ms - case.sent_ms, took_ms))
    return found
