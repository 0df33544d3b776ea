"""What the parts of a world share."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from meshsim.world.alarms import Alarms
from meshsim.world.clock import Clock
from meshsim.world.memory import Memory
from meshsim.world.rejecting import Rejecting
from meshsim.world.streams import Streams

if TYPE_CHECKING:
    from meshsim.control.routing import Routes
    from meshsim.network.link import LinkDirection
    from meshsim.network.medium import SharedMedium
    from meshsim.network.routing import Topology
    from meshsim.scenario.model import Scenario
    from meshsim.telemetry.recorder import Recorder
    from meshsim.world.accounts import Account
    from meshsim.world.addresses import Addresses
    from meshsim.world.connection import Connection
    from meshsim.world.hosts import Device, Host, Machine, Records, Replica
    from meshsim.world.issuers import Issuers
    from meshsim.world.policies import Policies
    from meshsim.world.token_fetching import TokenFetching
    from meshsim.world.tokens import Tokens
    from meshsim.world.transport import Transport
    from meshsim.world.waypoints import Waypoints


class State:
    """One run: its clock, its machines and hosts, and what is in progress."""

    transport: Transport
    topology: Topology
    policy: Policies | None = None
    addresses: Addresses | None = None
    """None unless policies read addresses."""
    tokens: Tokens | None = None
    """None unless the mesh has tokens."""
    waypoints: Waypoints | None = None
    """None unless the mesh has waypoints with a place."""
    token_fetching: TokenFetching | None = None
    """Fetches tokens; None where no issuer of tokens has an endpoint."""
    issuers: Issuers | None = None
    """Who signs; set when the world is assembled."""

    def __init__(self, scenario: Scenario, recorder: Recorder) -> None:
        self.scenario = scenario
        self.recorder = recorder
        self.clock: Alarms = Clock()
        self.streams = Streams(scenario.seed)
        self.memory = Memory(self)
        self.rejecting = Rejecting()
        self.real = scenario.fidelity == "real"
        self.links_sliced = any(link.slicing for link in scenario.network.links)
        """Whether slices share the bandwidth of a link, so that each needs connections of its own."""
        self.machines: dict[str, Machine] = {}
        """Nodes by name; a device with a radio has a machine of its own, which is not here."""
        self.records_ns: dict[str, Records] = {}
        """By kind of CPU: machines of one kind share them."""
        self.replicas: list[Replica] = []
        """By endpoint id, which counts from 1: replica 0 of the list has id 1."""
        self.devices: dict[str, list[Device]] = {}
        """By fleet."""
        self.links: dict[str, tuple[LinkDirection, LinkDirection]] = {}
        """Both ways of each link, by its name."""
        self.cells: dict[tuple[str, str], tuple[SharedMedium, SharedMedium]] = {}
        """Air of each cell, up and down, by radio and cell."""
        self.connections: dict[int, Connection] = {}
        self.accounts: dict[int, Account] = {}
        """Calls in progress."""
        self.routes: dict[tuple[str, str], Routes] = {}
        """How calls are routed, by the caller's workload and version; only where any are."""
        self.connection_ids = count(1)
        self.call_ids = count(1)
        self.issuance_ids = count(1)
        self.sources_open = 0
        """Flows that will still send."""

    @property
    def over(self) -> bool:
        """Whether every request that will ever be has its outcome, and nobody works on one any more."""
        return self.sources_open == 0 and not self.accounts

    def hosts(self) -> list[Host]:
        """Every host that runs, replicas first."""
        running = [replica for replica in self.replicas if replica.active]
        return [*running, *(device for fleet in self.devices.values() for device in fleet)]
