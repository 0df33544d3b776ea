"""Memory of nodes: what requests and connections take on top of replicas, and what happens when it runs out.

As with a container that exceeds its node's memory, the replica that asks for more than there is gets killed: its
connections are closed by the operating system, its requests end for their callers as resets, and it starts again with
empty memory after a while. The CPU work that it had queued is still done, for nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.scenario.check_network import SIDECAR_MEMORY_BYTES
from meshsim.world.hosts import Replica

if TYPE_CHECKING:
    from meshsim.world.hosts import Host
    from meshsim.world.killing import Killing
    from meshsim.world.state import State


class Memory:
    """Keeps the account of every node's memory. What devices and clients take is theirs, and not looked at."""

    killing: Killing
    """Kills and starts replicas; set when the world is assembled."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._clock = state.clock
        self._connection_bytes = state.scenario.mesh.proxy.memory_per_connection_bytes

    # Replicas

    def place(self, replica: Replica) -> None:
        """Have a replica, and its sidecar, take memory of its node while it is up."""
        replica.base_bytes = replica.service.memory_bytes + SIDECAR_MEMORY_BYTES
        if replica.up:
            self.started(replica)

    def withdraw(self, replica: Replica) -> None:
        """Take back what ``place`` gave, when a replica drains; its last requests and connections still count."""
        if replica.up:
            replica.machine.memory_bytes -= replica.base_bytes
        replica.base_bytes = 0

    def started(self, replica: Replica) -> None:
        """Take note that a replica runs."""
        self._take(replica, replica.base_bytes)

    def lost(self, replica: Replica) -> None:
        """Take note that a replica was killed, after its connections were closed: nothing is left of it."""
        replica.machine.memory_bytes -= replica.base_bytes + replica.grown_bytes
        replica.grown_bytes = 0

    # What replicas take on top

    def connected(self, host: Host) -> None:
        """Take memory for one end of a connection."""
        if isinstance(host, Replica):
            self.grow(host, self._connection_bytes)

    def disconnected(self, host: Host) -> None:
        """Give back the memory of one end of a connection."""
        if isinstance(host, Replica):
            self.shrink(host, self._connection_bytes)

    def grow(self, replica: Replica, size_bytes: int) -> None:
        """Take memory for what a replica has in progress."""
        replica.grown_bytes += size_bytes
        self._take(replica, size_bytes)

    def shrink(self, replica: Replica, size_bytes: int) -> None:
        """Give memory back."""
        replica.grown_bytes -= size_bytes
        replica.machine.memory_bytes -= size_bytes

    def _take(self, replica: Replica, size_bytes: int) -> None:
        machine = replica.machine
        machine.memory_bytes += size_bytes
        if machine.memory_bytes > machine.memory_limit_bytes:
            # Not at once: its sidecar may be in the middle of something.
            self._clock.at(self._clock.now_ns, self._exceeded, (replica, replica.epoch))

    def _exceeded(self, asked: tuple[Replica, int]) -> None:
        replica, epoch = asked
        machine = replica.machine
        if replica.epoch != epoch or machine.memory_bytes <= machine.memory_limit_bytes:
            return
        machine.oom_kills += 1
        self.killing.kill([replica], "out of memory")
        self._clock.at(self._clock.now_ns + replica.service.restart_after_ns, self._restart, (replica, replica.epoch))

    def _restart(self, killed: tuple[Replica, int]) -> None:
        replica, epoch = killed
        if replica.epoch == epoch and not replica.up and replica.machine.up and not self._state.over:
            self.killing.start(replica)
