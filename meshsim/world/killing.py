"""The end of sidecars and workloads, with their machine or alone, and their new beginning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from meshsim.sidecar.timers import NEVER
from meshsim.world.connection import DOWN, UP
from meshsim.world.hosts import Replica

if TYPE_CHECKING:
    from meshsim.world.connections import Connections
    from meshsim.world.driver import Driver
    from meshsim.world.hosts import Host
    from meshsim.world.memory import Memory
    from meshsim.world.state import State
    from meshsim.world.workload import Workloads


class Killing:
    """Kills hosts and starts them again."""

    def __init__(
        self,
        state: State,
        driver: Driver,
        connections: Connections,
        workloads: Workloads,
        memory: Memory,
        restart: Callable[[Host], None],
    ) -> None:
        self._state = state
        self._driver = driver
        self._connections = connections
        self._workloads = workloads
        self._memory = memory
        self._restart = restart

    def kill(self, hosts: Sequence[Host], reason: str | None = None) -> tuple[int, int]:
        """Kill hosts; return how many ends of connections and how many of their calls went with them.

        With a ``reason`` the operating system survives, and closes their connections for it; without, nobody tells the
        other ends anything.
        """
        dead = set(hosts)
        for host in hosts:
            host.up = False
            host.epoch += 1
            host.sidecar.timers.armed_ns = NEVER
            if host.cores is not host.machine.cores:
                host.cores.reset(self._state.clock.now_ns)
            if self._state.issuers is not None:
                self._state.issuers.killed(host)
            if self._state.token_fetching is not None:
                self._state.token_fetching.killed(host)
        ends = calls = 0
        for connection in list(self._state.connections.values()):
            for direction in (UP, DOWN):
                if connection.sender(direction) in dead and connection.open_ends[direction]:
                    ends += 1
                    if reason is None:
                        self._connections.crashed(connection, direction)
                    else:
                        self._connections.close(connection, direction, reason)
        for account in list(self._state.accounts.values()):
            if account.caller in dead and account.attempt:
                calls += 1
                self._workloads.kill(account)
        for host in hosts:
            if isinstance(host, Replica):
                self._memory.lost(host)
        return ends, calls

    def start(self, host: Host) -> None:
        """Start a host that was killed, with empty memory."""
        host.up = True
        self._restart(host)
        if isinstance(host, Replica):
            self._memory.started(host)
