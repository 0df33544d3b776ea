"""Where sidecars and workloads run: machines, and on them replicas of services and devices of fleets."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from meshsim.scenario.variants import settings_key
from meshsim.world.compute import Cores

if TYPE_CHECKING:
    from meshsim.network.access import RadioAccess
    from meshsim.network.radio import RadioModel
    from meshsim.scenario.cost_profile import CpuCosts
    from meshsim.scenario.services import Service
    from meshsim.scenario.variants import Variant
    from meshsim.sidecar.messages import CallTemplate
    from meshsim.sidecar.proxy import Sidecar


class RecordSizes(dict[int, int]):
    """CPU time of sealing or opening a message of one cipher suite, by size; remembered, since sizes are few."""

    __slots__ = ("_cipher", "_costs")

    def __init__(self, costs: CpuCosts, cipher: str) -> None:
        super().__init__()
        self._costs = costs
        self._cipher = cipher

    def __missing__(self, size_bytes: int) -> int:
        self[size_bytes] = record_ns = self._costs.record_ns(self._cipher, size_bytes)
        return record_ns


class Records(dict[str, RecordSizes]):
    """The same of one kind of CPU, by cipher suite."""

    __slots__ = ("_costs",)

    def __init__(self, costs: CpuCosts) -> None:
        super().__init__()
        self._costs = costs

    def __missing__(self, cipher: str) -> RecordSizes:
        self[cipher] = sizes = RecordSizes(self._costs, cipher)
        return sizes


class Machine:
    """A node with cores and memory, or the computer in a device, whose memory nobody watches."""

    __slots__ = (
        "all_cores",
        "cores",
        "costs",
        "memory_bytes",
        "memory_limit_bytes",
        "name",
        "oom_kills",
        "records_ns",
        "request_ns",
        "response_ns",
        "site",
        "skew_ns",
        "up",
        "worked_ns",
    )

    def __init__(self, name: str, site: str, cores: int, costs: CpuCosts, skew_ns: int, records_ns: Records) -> None:
        self.name = name
        self.site = site
        self.cores = Cores(cores)
        """Those that all share who run here."""
        self.all_cores = [self.cores]
        """With those that somebody has alone."""
        self.costs = costs
        self.request_ns = costs.proxy_request_ns + costs.tcp_message_ns
        """CPU time of a sidecar to send or receive a request, its encryption not included."""
        self.response_ns = costs.proxy_response_ns + costs.tcp_message_ns
        """The same for a response."""
        self.records_ns = records_ns
        """CPU time of sealing or opening a message, by cipher suite and size."""
        self.skew_ns = skew_ns
        self.up = True
        self.memory_bytes = 0
        """Memory of its replicas and their sidecars, requests and connections included."""
        self.memory_limit_bytes = 0
        """Memory that it has; of a node."""
        self.oom_kills = 0
        """Replicas that were killed because memory ran out, up to now."""
        self.worked_ns = 0
        """CPU time used up to the last sample."""

    def set_aside(self, count: int) -> Cores:
        """Return so many cores that nobody else uses from now on; nothing has been worked yet."""
        self.cores.count -= count
        own = Cores(count)
        self.all_cores.append(own)
        return own

    def worked_by_ns(self, now_ns: int) -> int:
        """CPU time used so far, on all cores."""
        return sum(cores.worked_ns(now_ns) for cores in self.all_cores)


class Host:
    """A sidecar with its workload.

    ``epoch`` counts how often it was killed, with its machine or alone: what was begun in an earlier one never ends.
    """

    __slots__ = (
        "configured",
        "cores",
        "epoch",
        "generation",
        "key_type",
        "machine",
        "moves",
        "name",
        "request_ns",
        "response_ns",
        "sidecar",
        "spiffe_id",
        "starts",
        "up",
        "workload",
    )

    sidecar: Sidecar

    def __init__(self, name: str, workload: str, machine: Machine, spiffe_id: str) -> None:
        self.name = name
        self.workload = workload
        self.machine = machine
        self.cores = machine.cores
        """On which its proxy works."""
        self.spiffe_id = spiffe_id
        self.request_ns: int = machine.request_ns
        """CPU time of its proxy to send or receive a request, encryption not included."""
        self.response_ns: int = machine.response_ns
        """The same for a response."""
        self.key_type = "ecdsa-p256"
        """Key type of its certificates."""
        self.generation = 0
        """Generation of its certificate."""
        self.starts = 0
        """How often it was started: names its ticket key."""
        self.up = True
        """False from when it is killed until it starts again."""
        self.configured = True
        """Whether it has what a sidecar needs to do anything: false until it has a certificate and its configuration,
        where an issuer has to be asked for one."""
        self.epoch = 0
        self.moves = 0
        """How often the serving gnb changed: never for a replica."""

    @property
    def node(self) -> str:
        """Node from which it reaches the network."""
        return self.machine.name

    @property
    def site(self) -> str:
        """Site at which it is."""
        return self.machine.site

    @property
    def settings_key(self) -> str:
        """Under which its TLS settings are kept."""
        return self.workload


class Replica(Host):
    """One replica of a service."""

    __slots__ = (
        "active",
        "base_bytes",
        "call_random",
        "draw_work_ns",
        "endpoint_id",
        "grown_bytes",
        "onward",
        "request_bytes",
        "service",
        "steps",
        "version",
    )

    def __init__(
        self,
        name: str,
        workload: str,
        machine: Machine,
        spiffe_id: str,
        endpoint_id: int,
        service: Service,
        variant: Variant,
        draw_work_ns: Callable[[], int],
        call_random: Random,
    ) -> None:
        super().__init__(name, workload, machine, spiffe_id)
        self.endpoint_id = endpoint_id
        self.service = service
        self.version = variant.version
        """Name of its version; empty if the service has none."""
        self.steps = variant.calls
        self.draw_work_ns = draw_work_ns
        self.call_random = call_random
        self.onward: dict[int, CallTemplate] | None = None
        """What it sends on, by the index of what comes to it; None unless it is a waypoint."""
        self.active = False
        """Whether it runs; one that does not has no sidecar."""
        self.base_bytes = 0
        """Memory that it takes of its node while it is up, its sidecar included."""
        self.request_bytes = service.memory_per_request_bytes
        """Memory that a request takes while it is here: read for each."""
        self.grown_bytes = 0
        """What its requests and connections take on top now."""

    @property
    def settings_key(self) -> str:
        """Under which its TLS settings are kept: the service's name, or its version's."""
        return settings_key(self.workload, self.service, self.version)


class Device(Host):
    """One device of a fleet. With a radio it is a machine of its own, attached to the gnb of its serving cell."""

    __slots__ = ("access", "gnb", "gnb_site", "radio", "radio_name")

    def __init__(self, name: str, workload: str, machine: Machine, spiffe_id: str) -> None:
        super().__init__(name, workload, machine, spiffe_id)
        self.radio: RadioModel | None = None
        self.radio_name = ""
        self.gnb = machine.name
        self.gnb_site = machine.site
        self.access: dict[str, tuple[RadioAccess, RadioAccess]] = {}
        """Uplink and downlink by slice."""

    @property
    def node(self) -> str:
        """Node from which it reaches the network: its serving gnb."""
        return self.gnb

    @property
    def site(self) -> str:
        """Site at which it is: that of its serving gnb."""
        return self.gnb_site
