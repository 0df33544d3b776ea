"""Settings of a 5G New Radio link: when a device and its base station may send, and what a failed block costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from meshsim.scenario.fields import MS, Duration, Model, Share

FDD = "FDD"
"""The pattern of a carrier whose uplink and downlink have frequencies of their own: every slot is both."""

SLOTS_PER_PATTERN_MOST = 160
"""20 ms of the shortest slots: the longest pattern, of two halves (3GPP TS 38.213, clause 11.1)."""

SYMBOLS_PER_SLOT = 14
"""With the normal cyclic prefix (3GPP TS 38.211, table 4.3.2-1)."""

PREPARATION_SYMBOLS = (10, 12, 23, 36)
"""N2 by numerology: symbols a device needs to prepare uplink data (3GPP TS 38.214, table 6.4-1, capability 1)."""

GRANT_DELAY_SLOTS = (1, 1, 2, 3)
"""The default of K2 by numerology (3GPP TS 38.214, table 6.1.2.1.1-4, value j)."""

SPECIAL_DOWNLINK_SYMBOLS, SPECIAL_UPLINK_SYMBOLS = 10, 2
"""A usual split of the special slot; two of its symbols are the guard."""

SCHEDULING_REQUEST_PERIOD_SLOTS = 10

RLC_RETRANSMISSION_NS = 35 * MS

SCHEDULING_REQUEST_PERIODS = (1, 2, 4, 5, 8, 10, 16, 20, 40, 80, 160, 320, 640)
"""Periods in slots of the information element SchedulingRequestResourceConfig (3GPP TS 38.331, clause 6.3.2)."""

CONFIGURED_GRANT_PERIODS = (
    *(1, 2, 4, 5, 8, 10, 16, 20, 32, 40, 64, 80, 128, 160, 256, 320, 512, 640, 1024, 1280, 2560, 5120),
)
"""Periods in slots of the information element ConfiguredGrantConfig (3GPP TS 38.331, clause 6.3.2)."""


class NrRadio(Model):
    """A 5G New Radio link by its parameters: a packet waits for its slot, and a lost block becomes a delay.

    The defaults are those of a public network in mid band: 30 kHz, DDDSU, uplink data on request.
    """

    numerology: int = Field(default=1, ge=0, le=3)
    """Subcarrier spacing is 15 kHz times 2 to this power, a slot 1 ms divided by it (TS 38.211). Default: 1."""
    pattern: Annotated[str, Field(max_length=SLOTS_PER_PATTERN_MOST)] = "DDDSU"
    """Slots in turn: D downlink, U uplink, S special (downlink, guard, uplink); or FDD, always both. Default: DDDSU."""
    special_downlink_symbols: int | None = Field(default=None, ge=0, le=13)
    """Downlink symbols at the start of a special slot; data needs 4 (TS 38.214, table 5.1.2.1-1). Default: 10."""
    special_uplink_symbols: int | None = Field(default=None, ge=0, le=13)
    """Uplink symbols at its end; they carry requests and acknowledgements, not data. Default: 2."""
    scheduling_request_period: int | None = None
    """Slots between a device's occasions to ask for uplink (TS 38.331). Default: 10 without a configured grant."""
    configured_grant_period: int | None = None
    """Slots between occasions at which a device may send uplink data unasked (TS 38.331). Default: it has to ask."""
    grant_delay_slots: int | None = Field(default=None, ge=0, le=32, alias="grant_delay")
    """K2: slots from the grant to the data it grants (TS 38.214, 6.1.2.1), enough for the device's processing. Default:
    1, 1, 2 or 3 by numerology, or as many as the processing takes."""
    device_processing_ns: Duration | None = Field(default=None, alias="device_processing")
    """Time in the device before it sends, and after it received. Default: N2 symbols (TS 38.214, table 6.4-1)."""
    gnb_processing_ns: Duration | None = Field(default=None, alias="gnb_processing")
    """Time in the base station before it sends or grants, and after it received. Default: as in the device."""
    block_error_rate_ppm: Share = Field(default=100_000, le=900_000, alias="block_error_rate")
    """Share of transmissions that fail, each independently (10 %: CQI aims at it, TS 38.214 5.2.2.1). Default: 10 %."""
    harq_round_trip_slots: int = Field(default=8, ge=1, le=64, alias="harq_round_trip")
    """Slots from a failed transmission to the earliest repetition: K1, two processings, a grant. Default: 8."""
    harq_retransmissions: int = Field(default=3, ge=0, le=31)
    """Repetitions by HARQ, after which it is RLC's to decide. Default: 3."""
    rlc: Literal["acknowledged", "unacknowledged"] = "acknowledged"
    """RLC's mode (TS 38.322): acknowledged sends a packet anew that HARQ gave up, so that loss becomes delay;
    unacknowledged loses it. Default: acknowledged."""
    rlc_retransmission_ns: Duration | None = Field(default=None, alias="rlc_retransmission")
    """From HARQ's last failure to RLC's retransmission (t-Reassembly of TS 38.331, 9.2.1). Default: 35 ms."""

    @field_validator("pattern")
    @classmethod
    def _pattern(cls, pattern: str) -> str:
        if pattern == FDD:
            return pattern
        shown = f"pattern {pattern[:24]!r}"
        strange = next((letter for letter in pattern if letter not in "DSU"), None)
        if strange is not None:
            raise ValueError(f"{shown} has the letter {strange!r}; expected D, S and U, such as 'DDDSU', or 'FDD'")
        for letter, name in (("D", "downlink"), ("U", "uplink")):
            if letter not in pattern:
                raise ValueError(f"{shown} has no {name} slot; expected at least one {letter}, such as 'DDDSU'")
        if "DU" in pattern + pattern[0]:
            raise ValueError(f"{shown} goes from D to U without a guard; expected an S between them, such as 'DDDSU'")
        return pattern

    @field_validator("scheduling_request_period")
    @classmethod
    def _request_period(cls, period: int | None) -> int | None:
        return _one_of("scheduling_request_period", period, SCHEDULING_REQUEST_PERIODS)

    @field_validator("configured_grant_period")
    @classmethod
    def _grant_period(cls, period: int | None) -> int | None:
        return _one_of("configured_grant_period", period, CONFIGURED_GRANT_PERIODS)

    @property
    def slot_ns(self) -> int:
        """Length of a slot (3GPP TS 38.211, table 4.3.2-1)."""
        return MS >> self.numerology

    @property
    def duplex_pattern(self) -> str:
        """The pattern with one letter a slot, B for a slot that is both."""
        return "B" if self.pattern == FDD else self.pattern

    @property
    def processing_ns(self) -> tuple[int, int]:
        """Processing in the device and in the base station; the standard's evaluation takes them to be equal.

        Source of the equality: 3GPP TR 37.910, clause 5.7.1.1 (user plane latency).
        """
        default_ns = PREPARATION_SYMBOLS[self.numerology] * self.slot_ns // SYMBOLS_PER_SLOT
        device_ns = default_ns if self.device_processing_ns is None else self.device_processing_ns
        return device_ns, device_ns if self.gnb_processing_ns is None else self.gnb_processing_ns

    @property
    def special_symbols(self) -> tuple[int, int]:
        """Downlink and uplink symbols of a special slot."""
        downlink, uplink = self.special_downlink_symbols, self.special_uplink_symbols
        return (
            SPECIAL_DOWNLINK_SYMBOLS if downlink is None else downlink,
            SPECIAL_UPLINK_SYMBOLS if uplink is None else uplink,
        )

    @property
    def request_period_slots(self) -> int:
        """Slots between occasions for a scheduling request."""
        return self.scheduling_request_period or SCHEDULING_REQUEST_PERIOD_SLOTS

    @property
    def recovery_ns(self) -> int | None:
        """From HARQ's last failure to RLC's retransmission; None if there is none."""
        if self.rlc == "unacknowledged":
            return None
        return RLC_RETRANSMISSION_NS if self.rlc_retransmission_ns is None else self.rlc_retransmission_ns

    @property
    def k2_slots(self) -> int:
        """Slots from a grant to the data it grants."""
        if self.grant_delay_slots is not None:
            return self.grant_delay_slots
        return max(GRANT_DELAY_SLOTS[self.numerology], self.k2_least_slots)

    @property
    def k2_least_slots(self) -> int:
        """The least K2 that leaves a device its processing: grants for less are not expected (TS 38.214, 6.4)."""
        return -(-self.processing_ns[0] // self.slot_ns)


def _one_of(key: str, period: int | None, known: tuple[int, ...]) -> int | None:
    if period is None or period in known:
        return period
    near = sorted(sorted(known, key=lambda one: abs(one - period))[:4])
    raise ValueError(f"{key} is {str(period)[:12]} slots, which TS 38.331 has not; expected one such as {near}")
