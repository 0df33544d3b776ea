"""Quality of service beyond the standard's table: 5QIs of an operator's own, and bit rates guaranteed to flows."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from meshsim.scenario.fields import MS, Bandwidth, Duration, ErrorRate, Model, S, Size
from meshsim.scenario.fiveqi import FiveQi, ResourceType

OPERATOR_SPECIFIC = range(128, 255)
"""5QI values left to operators (3GPP TS 24.501, table 9.11.4.12.1)."""

FiveQiKey = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}$")]
"""A 5QI as a key: digits in quotes."""


class FlowGuarantee(Model):
    """Guaranteed flow bit rate (GFBR) of each device in a flow; what it sends within it has air reserved for it."""

    uplink_bps: Bandwidth | None = Field(default=None, alias="uplink", gt=0)
    """From the device. Default: none."""
    downlink_bps: Bandwidth | None = Field(default=None, alias="downlink", gt=0)
    """To the device. Default: none."""

    @model_validator(mode="after")
    def _guarantees(self) -> FlowGuarantee:
        if self.uplink_bps is None and self.downlink_bps is None:
            raise ValueError("nothing is guaranteed; expected uplink, downlink or both, such as {uplink: 1 Mbit/s}")
        return self

    @property
    def both_bps(self) -> tuple[int, int]:
        """Uplink and downlink, 0 where nothing is guaranteed."""
        return self.uplink_bps or 0, self.downlink_bps or 0


class CustomFiveQi(Model):
    """Characteristics behind a 5QI of the operator's own (3GPP TS 23.501, clauses 5.7.2.1 and 5.7.3)."""

    resource_type: ResourceType
    """GBR, Non-GBR, or Delay-critical GBR (for which a packet later than its budget counts as lost)."""
    priority: int = Field(ge=1, le=127)
    """Priority level; the lowest number is served first."""
    packet_delay_budget_ns: Duration = Field(alias="packet_delay_budget", gt=0)
    """Upper bound between device and the core's user-plane function, held by 98 % of packets."""
    packet_error_rate: ErrorRate
    """Upper bound of the share of packets that the radio side may fail to deliver, such as 1e-5."""
    max_burst_bytes: Size | None = Field(default=None, alias="max_burst", gt=0, le=2_000_000)
    """Most data to be served within one delay budget; Delay-critical GBR needs it, the others have none."""
    averaging_window_ns: Duration | None = Field(default=None, alias="averaging_window", gt=0)
    """Window over which a guaranteed bit rate is reckoned; only of the GBR types. Default: 2 s for these."""
    core_network_delay_ns: Duration = Field(default=20 * MS, alias="core_network_delay")
    """The part of the delay budget that the core network takes (TS 23.501, 5.7.3.4). Default: 20 ms."""
    description: str = Field(default="", max_length=200)
    """A service that it is made for. Default: empty."""

    def characteristics(self, value: int) -> FiveQi:
        """The row that stands for this 5QI beside those of the standard's table."""
        window_ns = self.averaging_window_ns
        if window_ns is None and self.resource_type != "Non-GBR":
            window_ns = 2 * S
        return FiveQi(
            value=value,
            resource_type=self.resource_type,
            priority=self.priority,
            packet_delay_budget_ns=self.packet_delay_budget_ns,
            packet_error_rate=self.packet_error_rate,
            max_burst_bytes=self.max_burst_bytes,
            averaging_window_ns=window_ns,
            core_network_delay_ns=self.core_network_delay_ns,
            example=self.description,
        )
