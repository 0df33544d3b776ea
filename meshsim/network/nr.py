"""A 5G New Radio link from its parameters: the wait for a slot, the grant, HARQ and RLC, all by the instant.

Time is divided into slots that begin at multiples of the slot's length since the start of the run; the pattern repeats
from there. A packet that gets ready in a slot can leave in the next one at the earliest; a request can still make the
uplink symbols at the end of a special slot that has begun.

- Downlink: base station's processing; the next downlink slot (or special slot with room for data); its length; device's
  processing.
- Uplink on request: device's processing; the next occasion for a scheduling request at which there is uplink; base
  station's processing; the next downlink slot for the grant; K2 slots, and on to an uplink slot; its length; base
  station's processing. The grant is large enough: there is no second one.
- Uplink with a configured grant: device's processing, the next occasion, its length, base station's processing.
- A transmission fails with the block error rate, each independently. HARQ repeats it a round trip later, in the next
  slot of its direction. After the last repetition RLC finds the gap and sends anew: a loss becomes a delay. In RLC's
  unacknowledged mode the packet is lost instead.

What is not here: queueing for the cell's bandwidth and a train's serialisation (the radio hop adds them), beams,
measurement gaps, radio link failure after RLC's last retransmission.
"""

from __future__ import annotations

from random import Random

from meshsim.network.radio import UPLINK, FixedRadioModel
from meshsim.network.train import LOST
from meshsim.scenario.nr import SYMBOLS_PER_SLOT, NrRadio

DATA_SYMBOLS_LEAST = 4
"""One symbol of control and three of data (PDSCH mapping type A, 3GPP TS 38.214, table 5.1.2.1-1)."""


class NrRadioModel(FixedRadioModel):
    """One device's New Radio link in one cell.

    Without block errors nothing is drawn: the delay is a function of the instant. ``offset_slots`` moves the device's
    occasions for requests or configured grants, as base stations spread them over their devices.
    """

    def __init__(self, cell: str, settings: NrRadio, random: Random, offset_slots: int = 0) -> None:
        super().__init__(cell, 0, 0)
        self._random = random
        self._slot_ns = settings.slot_ns
        self._device_ns, self._gnb_ns = settings.processing_ns
        self._error_rate = settings.block_error_rate_ppm / 1_000_000
        self._harq_slots = settings.harq_round_trip_slots
        self._harq_retransmissions = settings.harq_retransmissions
        self._rlc_ns = settings.recovery_ns
        self._k2_slots = settings.k2_slots
        self._configured = settings.configured_grant_period is not None
        self._period_slots = settings.configured_grant_period or settings.request_period_slots
        self._offset_slots = offset_slots % self._period_slots
        pattern = settings.duplex_pattern
        downlink, uplink = settings.special_symbols
        self._pattern_slots = len(pattern)
        self._waits_up = _waits(pattern, "UB")
        self._waits_down = _waits(pattern, "DBS" if downlink >= DATA_SYMBOLS_LEAST else "DB")
        self._waits_request = _waits(pattern, "UBS" if uplink else "UB")
        symbols_ns = (SYMBOLS_PER_SLOT - uplink) * self._slot_ns // SYMBOLS_PER_SLOT
        self._begins_ns = tuple(symbols_ns if letter == "S" else 0 for letter in pattern)
        """When a device sends in a slot at the earliest: its uplink symbols."""
        self._waits_grant = _waits(pattern, "DBS" if downlink else "DB")
        special_ns = downlink * self._slot_ns // SYMBOLS_PER_SLOT
        self._lengths_down_ns = tuple(special_ns if letter == "S" else self._slot_ns for letter in pattern)

    def delay_ns(self, direction: int, now_ns: int) -> int:
        """Return the delay of a packet that is handed to the radio now, or ``LOST``; draws if blocks may fail."""
        return self._uplink_ns(now_ns) if direction == UPLINK else self._downlink_ns(now_ns)

    def _downlink_ns(self, now_ns: int) -> int:
        slot = self._next(self._waits_down, now_ns + self._gnb_ns)
        slot = self._delivered(slot, self._waits_down)
        if slot == LOST:
            return LOST
        length_ns = self._lengths_down_ns[slot % self._pattern_slots]
        return slot * self._slot_ns + length_ns + self._device_ns - now_ns

    def _uplink_ns(self, now_ns: int) -> int:
        ready_ns = now_ns + self._device_ns
        if self._configured:
            slot = self._occasion(ready_ns, self._waits_up)
        else:
            request = self._occasion(ready_ns, self._waits_request)
            grant = self._next(self._waits_grant, (request + 1) * self._slot_ns + self._gnb_ns)
            slot = grant + self._k2_slots
            slot += self._waits_up[slot % self._pattern_slots]
        slot = self._delivered(slot, self._waits_up)
        if slot == LOST:
            return LOST
        return (slot + 1) * self._slot_ns + self._gnb_ns - now_ns

    def _next(self, waits: tuple[int, ...], ready_ns: int) -> int:
        """The first slot of a kind that begins at or after an instant."""
        slot = -(-ready_ns // self._slot_ns)
        return slot + waits[slot % self._pattern_slots]

    def _occasion(self, ready_ns: int, waits: tuple[int, ...]) -> int:
        """The first occasion at or after an instant: every period, moved on to a slot with uplink."""
        now = ready_ns // self._slot_ns
        base = now - (now - self._offset_slots) % self._period_slots
        while True:
            phase = base % self._pattern_slots
            slot = base + waits[phase]
            if slot * self._slot_ns + self._begins_ns[(phase + waits[phase]) % self._pattern_slots] >= ready_ns:
                return slot
            base += self._period_slots

    def _delivered(self, slot: int, waits: tuple[int, ...]) -> int:
        """The slot in which a packet that is first sent in ``slot`` gets through, or ``LOST``."""
        error_rate = self._error_rate
        if not error_rate:
            return slot
        draw = self._random.random
        failures = 0
        while draw() < error_rate:
            failures += 1
            if failures <= self._harq_retransmissions:
                slot += self._harq_slots
                slot += waits[slot % self._pattern_slots]
            elif self._rlc_ns is None:
                return LOST
            else:
                failures = 0
                slot = self._next(waits, (slot + 1) * self._slot_ns + self._rlc_ns)
        return slot


def _waits(pattern: str, letters: str) -> tuple[int, ...]:
    """For each slot of a repeating pattern, the slots until the next one with one of ``letters``; 0 if it has one."""
    size = len(pattern)
    return tuple(next(wait for wait in range(size) if pattern[(slot + wait) % size] in letters) for slot in range(size))
