"""Services that follow their users: replicas are started where the fleet is, announced there, and stopped behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from meshsim.control.following import best_placement, moves
from meshsim.world.build import endpoint_of

if TYPE_CHECKING:
    from meshsim.scenario.services import Follow
    from meshsim.world.announcing import Announcing
    from meshsim.world.hosts import Host, Replica
    from meshsim.world.state import State


class Migration:
    """Looks where a fleet is, every so often, and moves the replicas that serve it.

    A move takes ``start_up``; then the new replica is announced and the old one drained: it ends what it has, and is
    given nothing new by sidecars that have heard.
    """

    def __init__(self, state: State, announcing: Announcing, start: Callable[[Host], None]) -> None:
        self._state = state
        self._clock = state.clock
        self._announcing = announcing
        self._start = start
        self._serving: dict[str, list[Replica]] = {}
        """The replicas that serve, or are about to, by service."""
        self._pending: dict[int, Replica] = {}
        """Replicas that serve until another is ready, which has to get a certificate first; by the other's endpoint."""

    def begin(self) -> None:
        """Set the first look of every service that follows."""
        for name, service in self._state.scenario.services.items():
            if service.follow is not None:
                self._serving[name] = [r for r in self._state.replicas if r.workload == name and r.active]
                self._clock.at(service.follow.every_ns, self._look, (name, service.follow))

    def _look(self, job: tuple[str, Follow]) -> None:
        name, follow = job
        if self._state.over:
            return
        self._clock.at(self._clock.now_ns + follow.every_ns, self._look, job)
        topology = self._state.topology
        usable = [node for node in follow.among if self._state.machines[node].up]
        if not usable:
            return
        distances_ns = [
            {node: topology.latency_ns(device.node, node) for node in usable}
            for device in self._state.devices[follow.fleet]
        ]
        serving = self._serving[name]
        current = [replica.machine.name for replica in serving]
        for old_node, new_node in moves(current, best_placement(distances_ns, usable, current)):
            old = next(replica for replica in serving if replica.machine.name == old_node)
            new = self._spare(name, new_node)
            serving[serving.index(old)] = new
            self._clock.at(self._clock.now_ns + follow.start_up_ns, self._started, (name, old, new))

    def _spare(self, name: str, node: str) -> Replica:
        """Return a replica at a node that does not serve: one that drained there, or one that never ran."""
        serving = self._serving[name]
        return next(
            replica
            for replica in self._state.replicas
            if replica.workload == name and replica.machine.name == node and replica not in serving
        )

    def _started(self, job: tuple[str, Replica, Replica]) -> None:
        name, old, new = job
        if not (new.machine.up and new.up):
            # The node crashed, or memory ran out, while the replica was starting: the old one goes on, and the next
            # look decides anew.
            serving = self._serving[name]
            serving[serving.index(new)] = old
            return
        self._state.memory.place(new)
        if not new.active:
            new.active = True
            self._start(new)
        # One that was still to take over has another to take over in its place.
        waiting = self._pending.pop(old.endpoint_id, None)
        if waiting is not None:
            self._state.memory.withdraw(old)
            old = waiting
        if new.configured:
            self._take_over(old, new)
        else:
            self._pending[new.endpoint_id] = old

    def ready(self, new: Replica) -> None:
        """Take note that a replica has all that it needs: it takes over if that is what it was started for."""
        old = self._pending.pop(new.endpoint_id, None)
        if old is not None:
            self._take_over(old, new)

    def _take_over(self, old: Replica, new: Replica) -> None:
        self._state.memory.withdraw(old)
        self._announcing.moved(new.workload, endpoint_of(old), endpoint_of(new))
