"""Scenario models of the network: nodes, links, slices, and all together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, StringConstraints, Tag, WithJsonSchema, model_validator

from meshsim.scenario import units
from meshsim.scenario.fields import MS, Bandwidth, Duration, FromList, Model, Name, Share, SignedDuration, Size
from meshsim.scenario.fiveqi import FIVE_QI, FiveQi
from meshsim.scenario.qos import CustomFiveQi, FiveQiKey
from meshsim.scenario.radios import Radio
from meshsim.scenario.tcp import Tcp


class Node(Model):
    """A machine that carries services, or a base station."""

    kind: Literal["gnb", "router", "edge", "regional", "core"]
    """Its tier: gnb (base station), router (of the transport network), edge, regional or core."""
    site: Name | None = None
    """Where it stands; nodes of one site are near each other when replicas are chosen. Default: its own name."""
    cpu: str = "xeon-6242r"
    """CPU by its name in the cost profile. Default: xeon-6242r."""
    cores: int = Field(default=4, ge=1, le=1024)
    """Cores that run services and sidecars, first come, first served: each operation of a sidecar and each piece of a
    service's work is a job of its own and waits on its own. Default: 4."""
    hardware_crypto: bool | None = None
    """Whether its AES instructions are used; false: AES in software. Default: if its CPU has them."""
    memory_bytes: Size = Field(default=8 * 1024**3, alias="memory")
    """Memory; services and sidecars placed here must fit. Default: 8 GiB."""
    clock_skew_ns: SignedDuration = Field(default=0, alias="clock_skew")
    """How far its clock is ahead of true time; negative if behind. Default: 0 ms."""


class NormalDelay(Model):
    """Normally distributed delay; what would be less than zero is zero."""

    mean_ns: Duration = Field(alias="mean")
    """Mean."""
    standard_deviation_ns: Duration = Field(alias="standard_deviation", gt=0)
    """Standard deviation."""


class LognormalDelay(Model):
    """Lognormal delay, by two of its quantiles."""

    median_ns: Duration = Field(alias="median", gt=0)
    """Half of the trains take less."""
    p99_ns: Duration = Field(alias="p99", gt=0)
    """99 of 100 trains take less."""

    @model_validator(mode="after")
    def _ordered(self) -> LognormalDelay:
        if self.p99_ns < self.median_ns:
            raise ValueError("p99 is less than the median; expected it to be more")
        return self


class EmpiricalDelay(Model):
    """Delays as they were measured."""

    file: str
    """CSV beside the scenario file with a column delay_ms: samples, each as likely as the others; or, with a column
    quantile_percent that grows, quantiles, with straight lines between them and flat outside."""


class ExtraDelay(Model):
    """One-way delay on top of a link's latency, drawn anew for each packet train: exactly one distribution."""

    uniform_ns: Annotated[tuple[Duration, Duration], FromList] | None = Field(default=None, alias="uniform")
    """Uniform between two bounds."""
    normal: NormalDelay | None = None
    """Normal, by mean and standard deviation."""
    lognormal: LognormalDelay | None = None
    """Lognormal, by median and p99."""
    empirical: EmpiricalDelay | None = None
    """Drawn from measured samples or quantiles."""

    @model_validator(mode="after")
    def _one_kind(self) -> ExtraDelay:
        fields = ExtraDelay.model_fields.items()
        given = [field.alias or name for name, field in fields if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "no distribution"
            raise ValueError(f"delay has {found}; expected exactly one of uniform, normal, lognormal or empirical")
        if self.uniform_ns is not None and self.uniform_ns[0] > self.uniform_ns[1]:
            raise ValueError("the lower bound of the delay is more than the upper; expected [lower, upper]")
        return self

    @property
    def is_constant(self) -> bool:
        """Whether its parameters leave only one delay."""
        if self.uniform_ns is not None:
            return self.uniform_ns[0] == self.uniform_ns[1]
        return self.lognormal is not None and self.lognormal.median_ns == self.lognormal.p99_ns


def _parse_mean_burst(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 1_000_000:
        raise ValueError("this is no mean length of bursts; expected a number of packets from 1 to 1000000, such as 4")
    return float(value)


BurstLength = Annotated[
    float,
    BeforeValidator(_parse_mean_burst),
    WithJsonSchema({"type": "number", "minimum": 1, "maximum": 1_000_000, "examples": [4]}),
]


class GilbertElliott(Model):
    """Loss in bursts of geometric length (Gilbert 1960): within a burst every packet is lost, between bursts none.

    Bursts last packets and not a time, which strikes sparse connections for seconds (radio.md).
    """

    average_ppm: Share = Field(alias="average", gt=0, lt=1_000_000)
    """Share of all packets that is lost."""
    mean_burst: BurstLength
    """Mean length of a burst in packets, 1 or more."""

    @model_validator(mode="after")
    def _possible(self) -> GilbertElliott:
        if self.average_ppm * (1 + 1 / self.mean_burst) > 1_000_000:
            most = units.format_share(int(1_000_000 / (1 + 1 / self.mean_burst)))
            raise ValueError(f"bursts this short cannot lose so much; expected an average of at most {most}")
        return self


class BurstLoss(Model):
    """Loss that is not independent."""

    gilbert_elliott: GilbertElliott
    """The Gilbert-Elliott model."""


def _loss_kind(value: Any) -> str:
    return "bursts" if isinstance(value, dict | BurstLoss) else "share"


Loss = Annotated[
    Annotated[Share, Field(lt=1_000_000), Tag("share")] | Annotated[BurstLoss, Tag("bursts")],
    Discriminator(_loss_kind),
]


class Link(Model):
    """A wired link, the same both ways."""

    name: Name | None = None
    """Name for faults and tables. Default: both ends joined by two hyphens, `a--b`."""
    between: Annotated[tuple[Name, Name], FromList]
    """The two nodes it joins."""
    latency_ns: Duration = Field(alias="latency")
    """One-way propagation delay."""
    bandwidth_bps: Bandwidth = Field(default=1_000_000_000, alias="bandwidth", ge=1)
    """Bandwidth each way. Default: 1 Gbit/s."""
    jitter_ns: Duration = Field(default=0, alias="jitter")
    """Extra delay, uniform between 0 and this, drawn anew for each packet train; order is kept. Default: 0 ms."""
    delay: ExtraDelay | None = None
    """Distribution of a further delay, besides jitter; order is kept. Default: none."""
    reorder_ppm: Share = Field(default=0, alias="reorder")
    """Share of packet trains that may overtake what jitter or delay holds back before them; TCP takes some of it for
    loss, until duplicate selective acknowledgements have widened its reordering window (RFC 8985). Default: 0 %."""
    loss: Loss = 0
    """Loss each way: a share, of packets that are lost independently, or `{gilbert_elliott: {...}}`. Default: 0 %."""
    duplicate_ppm: Share = Field(default=0, alias="duplicate")
    """Share of packets sent twice: the copy takes bandwidth from here to the receiver, which drops it. Default: 0 %."""
    corrupt_ppm: Share = Field(default=0, alias="corrupt")
    """Share of packets that reach their receiver with damage, which checksums below TLS have missed. A TLS connection
    dies of it (bad_record_mac); plaintext is taken as it is. Default: 0 %."""
    mtu_bytes: Size = Field(default=1500, alias="mtu", ge=576, le=65_535)
    """Largest IP packet, 576 B to 65,535 B; connections keep to the smallest on their way, and to 1500 B by radio.
    Default: 1500 B."""
    queue_bytes: Size = Field(default=4 * 1024**2, alias="queue")
    """Bytes that may wait or be sent at a time, 0 B or more, with slicing of each slice; a packet that finds the link
    busy and does not fit is dropped, one that finds it free never. Default: 4 MiB."""
    slicing: bool = False
    """Whether it schedules slices by guarantee and priority, as cells do. Default: false, first come, first served."""
    scheduling_interval_ns: Duration | None = Field(default=None, alias="scheduling_interval", gt=0)
    """Scheduling interval, only with slicing. Default: 100 us."""

    @property
    def key(self) -> str:
        """The name that faults and tables use."""
        return self.name or f"{self.between[0]}--{self.between[1]}"

    @property
    def interval_ns(self) -> int:
        """The scheduling interval, with slicing."""
        return MS // 10 if self.scheduling_interval_ns is None else self.scheduling_interval_ns

    @property
    def loss_ppm(self) -> int:
        """The share of packets that is lost on average, independently or in bursts."""
        return self.loss.gilbert_elliott.average_ppm if isinstance(self.loss, BurstLoss) else self.loss


class Slice(Model):
    """A network slice, identified by its S-NSSAI (3GPP TS 23.003) and carried with one 5QI (TS 23.501)."""

    sst: int = Field(ge=0, le=255)
    """Slice/service type: 1 eMBB, 2 URLLC, 3 MIoT, 4 V2X."""
    sd: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{6}$")] | None = None
    """Slice differentiator, six hexadecimal digits. Default: none."""
    five_qi: int
    """5QI of its flows: a standardised value, or one of `five_qis`."""
    share_ppm: Share | None = Field(default=None, alias="share", gt=0)
    """Its guaranteed part of every cell and sliced link; slices borrow from each other what is left over.
    Default: an equal part of what the other slices leave."""
    guaranteed_bps: Bandwidth | None = Field(default=None, alias="guaranteed", gt=0)
    """Its guarantee as a bit rate instead of a share; promises over 100 % are refused. Default: none."""
    priority: int | None = Field(default=None, ge=1, le=127)
    """Priority level, the lowest number first, among slices that want more than their guarantee; equals take turns.
    Default: its 5QI's."""
    latency_budget_ns: Duration | None = Field(default=None, alias="latency_budget", gt=0)
    """End-to-end budget of a request in it. Default: the packet delay budget of its 5QI."""
    discard_late: bool = False
    """Whether the radio drops a packet that is later than the radio part of its delay budget (PDCP's discard timer,
    TS 38.323), which TCP then sends again. Default: false, it arrives late and is counted."""


class Network(Model):
    """Nodes, links, slices, radios and TCP."""

    nodes: dict[Name, Node] = Field(min_length=1)
    """Machines and base stations by name."""
    links: Annotated[tuple[Link, ...], FromList] = ()
    """Wired links."""
    slices: dict[Name, Slice] = Field(min_length=1)
    """Network slices by name."""
    five_qis: dict[FiveQiKey, CustomFiveQi] = {}
    """5QIs of the operator's own, 128 to 254, by their value in quotes. Default: none."""
    radios: dict[Name, Radio] = {}
    """Radio access by name. Default: none."""
    tcp: Tcp = Tcp()
    """TCP of all hosts. Default: as Linux has it."""
    reroute_after_ns: Duration = Field(default=50 * MS, alias="reroute_after")
    """How long after a link or node fails, or returns, routes take it into account. Default: 50 ms."""

    def characteristics(self, five_qi: int) -> FiveQi:
        """The quality-of-service characteristics of a 5QI, standardised or one of ``five_qis``."""
        custom = self.five_qis.get(str(five_qi))
        return FIVE_QI[five_qi] if custom is None else custom.characteristics(five_qi)
