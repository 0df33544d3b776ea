"""Scenario models of radios: how devices reach their base stations."""

from __future__ import annotations

from pydantic import Field, model_validator

from meshsim.scenario.fields import MS, Bandwidth, Duration, Model, Name, Size
from meshsim.scenario.nr import NrRadio


class TraceRadio(Model):
    """Round trips and serving cells replayed from a measurement."""

    file: str
    """CSV with columns time_s, round_trip_ms and cell, beside the scenario file."""
    spread: bool = True
    """Whether the devices of a fleet start at different points of the trace, evenly spaced. Default: true."""


class QuantileRadio(Model):
    """One-way delays drawn from measured quantiles, linear between them."""

    file: str
    """CSV with columns network, direction, p5_ms, p50_ms, p95_ms, p99_ms, p999_ms, beside the scenario file."""
    network: str
    """Which network of the file."""


class FixedRadio(Model):
    """Constant one-way delays, for tutorials and closed forms."""

    uplink_ns: Duration = Field(alias="uplink")
    """Delay from device to base station."""
    downlink_ns: Duration = Field(alias="downlink")
    """Delay from base station to device."""


class Radio(Model):
    """How devices reach their base stations: exactly one of `trace`, `quantiles`, `nr` or `fixed`, and the cells."""

    trace: TraceRadio | None = None
    """Replay a measured trace; the cell changes in it are handovers."""
    quantiles: QuantileRadio | None = None
    """Draw delays from measured quantiles."""
    nr: NrRadio | None = None
    """Reckon delays from the parameters of a 5G New Radio link."""
    fixed: FixedRadio | None = None
    """Constant delays."""
    cells: dict[str, Name] = Field(min_length=1)
    """Which gnb node serves each cell. A trace needs all of its cells; else devices take the cells in turn."""
    uplink_bps: Bandwidth = Field(default=100_000_000, alias="uplink", ge=1)
    """Bandwidth of a cell from the devices. Default: 100 Mbit/s."""
    downlink_bps: Bandwidth = Field(default=500_000_000, alias="downlink", ge=1)
    """Bandwidth of a cell to the devices. Default: 500 Mbit/s."""
    slicing: bool = True
    """Whether a cell schedules slices by guarantee and priority; false: first come, first served. Default: true."""
    scheduling_interval_ns: Duration = Field(default=MS // 2, alias="scheduling_interval", gt=0)
    """Scheduling interval of a cell (a slot): the longest that a slice waits for another to pause. Default: 500 us."""
    rlc_buffer_bytes: Size = Field(default=6 * 1024**2, alias="rlc_buffer", ge=1500)
    """Bytes that may wait or be sent at a time, of each device in each slice, each way: the transmission buffer of an
    RLC entity (3GPP TS 38.322); a packet that finds something there and does not fit is dropped. The
    standard names no size; the default is about what one TCP connection may have under way. Default: 6 MiB."""
    handover_interruption_ns: Duration = Field(default=0, alias="handover_interruption")
    """Time after a cell change in which nothing passes, on top of what a trace shows. Default: 0 ms."""
    handover_changes_address: bool = False
    """Whether a device gets a new IP address at a new base station, which breaks its connections. Default: false."""

    @model_validator(mode="after")
    def _one_kind(self) -> Radio:
        kinds = [kind for kind in ("trace", "quantiles", "nr", "fixed") if getattr(self, kind) is not None]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "no source of delays"
            raise ValueError(f"the radio has {found}; expected exactly one of trace, quantiles, nr or fixed")
        return self
