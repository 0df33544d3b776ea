"""Rows about the air: what became of delay budgets there, and which flows were admitted."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class RadioRow(msgspec.Struct, frozen=True, gc=False):
    """Packets of one slice over the air of one cell, one way, in one sampling interval; none where nothing was sent."""

    t_ns: Annotated[int, Meta(description="End of the interval.")]
    cell: Annotated[str, Meta(description="`radio/cell`.")]
    slice: Annotated[str, Meta(description="Slice.")]
    direction: Annotated[str, Meta(description="up or down.")]
    packets: Annotated[int, Meta(description="Packets that were sent over the air, of handshakes too.")]
    late: Annotated[
        int, Meta(description="Of these, those that took longer than the radio part of their delay budget.")
    ]
    beyond: Annotated[
        int,
        Meta(description="Of all, those beyond burst volume or guaranteed bit rate: nothing is promised for them."),
    ]
    late_beyond: Annotated[int, Meta(description="Those that are both.")]
    lost: Annotated[
        int,
        Meta(
            description="Counted as lost, of those not beyond: late ones of Delay-critical GBR, those dropped for it "
            "(`discard_late`), and those that did not get through (`rlc: unacknowledged`)."
        ),
    ]
    longest_ns: Annotated[int, Meta(description="The longest that a packet took over the air.")]


class AdmissionRow(msgspec.Struct, frozen=True, gc=False):
    """One answer of a cell to a device that asked it to guarantee a flow's bit rate."""

    t_ns: Annotated[int, Meta(description="When.")]
    source: Annotated[str, Meta(description="Flow, as in `requests`.")]
    client: Annotated[str, Meta(description="The device.")]
    slice: Annotated[str, Meta(description="Slice of the flow.")]
    cell: Annotated[str, Meta(description="`radio/cell` that was asked.")]
    cause: Annotated[str, Meta(description="start (of the flow) or handover.")]
    admitted: Annotated[bool, Meta(description="The answer.")]
    uplink_bps: Annotated[int, Meta(description="Bit rate asked for from the device; 0 if none.")]
    downlink_bps: Annotated[int, Meta(description="Bit rate asked for to the device; 0 if none.")]
    uplink_free_bps: Annotated[int, Meta(description="What was left of the slice's guarantee before the answer.")]
    downlink_free_bps: Annotated[int, Meta(description="The same on the downlink.")]
    reason: Annotated[str, Meta(description="Why it was refused; empty if admitted.")]
