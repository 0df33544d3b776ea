"""Settings of TCP, which all hosts share. The defaults are Linux's."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from meshsim.scenario.fields import MS, Duration, Model, S

LONGEST_TICK_NS = 100 * MS
"""What Linux can be built with at most is 10 ms (``CONFIG_HZ=100``)."""


class Tcp(Model):
    """How the hosts' TCP is set, by the names in brackets: the defaults are Linux's.

    Nothing is paced: data leaves when an acknowledgement lets it, as without the queueing discipline `fq`. A window is
    opened and reduced by CUBIC or Reno; losses are found by RACK and repaired at PRR's pace under either.
    Acknowledgements on their own take time, and 52 bytes each while a connection is carried by segments; where nothing
    is lost, late or able to overflow a queue they take no bandwidth: a long transfer's would take 1.7 % of what it
    takes, the other way.
    """

    linear_syn_timeouts: int = Field(default=0, ge=0, le=127)
    """Repetitions of a SYN, 1 s apart, before its timeout begins to double (tcp_syn_linear_timeouts): 4 in Linux 6.5
    and later, 0 before, which is the schedule of RFC 6298. Default: 0."""
    syn_retries: int = Field(default=6, ge=1, le=127)
    """Repetitions of a SYN before the client gives up (tcp_syn_retries), beside the linear ones. Default: 6."""
    synack_retries: int = Field(default=5, ge=1, le=127)
    """Repetitions of a SYN-ACK before the server forgets the request (tcp_synack_retries). Default: 5."""
    data_retries: int = Field(default=15, ge=1, le=127)
    """Timeouts in a row before an end gives a connection up (tcp_retries2). Default: 15."""
    initial_rto_ns: Duration = Field(default=1 * S, alias="initial_rto", gt=0)
    """Time to the first repetition of a SYN or SYN-ACK. Default: 1 s."""
    minimum_rto_ns: Duration = Field(default=200 * MS, alias="minimum_rto", gt=0)
    """What the retransmission timeout is longer than the round trip at least (rto_min of a route). Default: 200 ms."""
    maximum_rto_ns: Duration = Field(default=120 * S, alias="maximum_rto", gt=0)
    """Longest retransmission timeout. Default: 120 s."""
    initial_window: int = Field(default=10, ge=1, le=1_000)
    """Segments that may be sent before the first acknowledgement (initcwnd of a route, RFC 6928). Default: 10."""
    maximum_window: int = Field(default=4096, ge=1, le=1_000_000)
    """Segments that may be under way at most, about 6 MB: what receivers have room for (tcp_rmem). Default: 4096."""
    congestion_control: Literal["cubic", "reno"] = "cubic"
    """How windows grow and shrink (tcp_congestion_control): `cubic`, with HyStart, or `reno`. Default: cubic."""
    slow_start_after_idle: bool = True
    """Whether an idle time longer than the retransmission timeout halves the window, once for each timeout, down to the
    initial one (tcp_slow_start_after_idle). Default: true."""
    delayed_ack_ns: Duration = Field(default=40 * MS, alias="delayed_ack")
    """How long an acknowledgement waits for something to ride on. Default: 40 ms."""
    quick_acks: int = Field(default=16, ge=0, le=1_000)
    """Acknowledgements that do not wait, at the start of a connection and after reordering. Default: 16."""
    remember_destinations: bool = True
    """Whether a closed connection leaves its round trip to the next one between the same hosts, for an hour
    (tcp_no_metrics_save=0). Default: true."""
    tick_ns: Duration = Field(default=4 * MS, alias="tick", gt=0, le=LONGEST_TICK_NS)
    """The kernel's timer tick (CONFIG_HZ); timers go off on ticks, the longer the coarser: on multiples of 8 ticks from
    63 on, of 64 from 504 on. Default: 4 ms."""

    @model_validator(mode="after")
    def _ordered(self) -> Tcp:
        for name, time_ns in (("initial_rto", self.initial_rto_ns), ("minimum_rto", self.minimum_rto_ns)):
            if time_ns > self.maximum_rto_ns:
                raise ValueError(f"{name} is more than maximum_rto; expected at most that")
        if self.initial_window > self.maximum_window:
            raise ValueError("initial_window is more than maximum_window; expected at most that")
        return self
