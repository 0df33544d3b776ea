"""Carries out faults, and counts what they touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshsim.faults.interventions import (
    AcceptPushes,
    AddLatency,
    CrashNode,
    CutLink,
    EaseEngine,
    Intervention,
    Planned,
    RejectPushes,
    RestartNode,
    RestoreLink,
    SlowEngine,
    StartAuthorizer,
    StartWaypoint,
    StopAuthorizer,
    StopWaypoint,
)
from meshsim.sidecar import events
from meshsim.telemetry.rows import FaultRow
from meshsim.world.blaming import Blaming, Effects

if TYPE_CHECKING:
    from meshsim.network.link import LinkDirection
    from meshsim.world.announcing import Announcing
    from meshsim.world.authorizers import Authorizers
    from meshsim.world.driver import Driver
    from meshsim.world.hosts import Replica
    from meshsim.world.identity_faults import IdentityFaults
    from meshsim.world.issuers import Issuers
    from meshsim.world.killing import Killing
    from meshsim.world.state import State


class Striking:
    """Schedules interventions and carries them out."""

    def __init__(
        self,
        state: State,
        driver: Driver,
        announcing: Announcing,
        killing: Killing,
        issuers: Issuers,
        identity_faults: IdentityFaults,
    ) -> None:
        self._state = state
        self._clock = state.clock
        self._driver = driver
        self._announcing = announcing
        self._killing = killing
        self._issuers = issuers
        self._reroute_after_ns = state.scenario.network.reroute_after_ns
        self.authorizers: Authorizers | None = None
        """Asks for decisions outside of the proxies; None where they are made inside."""
        self._stopped: set[str] = set()
        """Waypoints that do not start with their nodes."""
        self.effects: list[Effects] = []
        self.blaming = Blaming(state, self.effects)
        self._carry_out: dict[type, Callable[[Any, Effects], None]] = {
            CutLink: self._cut_link,
            RestoreLink: self._restore_link,
            CrashNode: self._crash_node,
            RestartNode: self._restart_node,
            AddLatency: self._add_latency,
            RejectPushes: self._reject_pushes,
            AcceptPushes: self._accept_pushes,
            StopAuthorizer: self._stop_authorizer,
            StartAuthorizer: self._start_authorizer,
            SlowEngine: self._slow_engine,
            EaseEngine: self._ease_engine,
            StopWaypoint: self._stop_waypoint,
            StartWaypoint: self._start_waypoint,
            **identity_faults.carry_out,
        }

    def schedule(self, planned: tuple[Planned, ...]) -> None:
        """Set the faults of a scenario."""
        for fault in planned:
            effects = Effects(fault)
            self.effects.append(effects)
            self._clock.at(fault.begin_ns, self._strike, (fault.begin, effects))
            self._clock.at(fault.end_ns, self._strike, (fault.end, effects))

    def _strike(self, blow: tuple[Intervention, Effects]) -> None:
        intervention, effects = blow
        self._carry_out[type(intervention)](intervention, effects)

    def record(self) -> None:
        """Write a row for each fault, at the end of the run."""
        record = self._state.recorder.appender("faults")
        for effects in self.effects:
            fault = effects.planned
            record(
                FaultRow(
                    fault.fault_id,
                    fault.kind,
                    fault.target,
                    fault.begin_ns,
                    fault.end_ns,
                    effects.total,
                    effects.packets,
                    effects.connections,
                    effects.requests,
                    effects.certificates,
                    effects.configurations,
                    effects.decisions,
                    effects.tokens,
                )
            )

    # Links

    def _cut_link(self, intervention: CutLink, effects: Effects) -> None:
        for direction in self._state.links[intervention.link]:
            direction.cut()
            direction.touched = 0
        self._state.transport.cut(self._state.links[intervention.link])
        self._reroute(lambda: self._state.topology.set_link(intervention.link, up=False))

    def _restore_link(self, intervention: RestoreLink, effects: Effects) -> None:
        for direction in self._state.links[intervention.link]:
            effects.packets += direction.touched
            if self._ends_up(direction):
                direction.restore(self._clock.now_ns)
        self._reroute(lambda: self._state.topology.set_link(intervention.link, up=True))

    def _ends_up(self, direction: LinkDirection) -> bool:
        machines = self._state.machines
        return machines[direction.source].up and machines[direction.destination].up

    def _add_latency(self, intervention: AddLatency, effects: Effects) -> None:
        for direction in self._state.links[intervention.link]:
            if intervention.add_ns > 0:
                direction.touched = 0
            else:
                effects.packets += direction.touched
            direction.surge_ns += intervention.add_ns

    def _reroute(self, change: Callable[[], None]) -> None:
        """Have routes take a change into account after a while, and the control plane after another."""
        self._clock.at(self._clock.now_ns + self._reroute_after_ns, self._rerouted, change)
        self._announcing.changed()

    def _rerouted(self, change: Callable[[], None]) -> None:
        change()
        for host in self._state.hosts():
            if host.up:
                self._driver.tell(host, events.LocationChanged(host.node, host.site))

    # Nodes

    def _adjacent(self, node: str) -> list[LinkDirection]:
        return [
            direction
            for pair in self._state.links.values()
            for direction in pair
            if node in (direction.source, direction.destination)
        ]

    def _crash_node(self, intervention: CrashNode, effects: Effects) -> None:
        state = self._state
        machine = state.machines[intervention.node]
        machine.up = False
        machine.cores.reset(self._clock.now_ns)
        adjacent = self._adjacent(intervention.node)
        for direction in adjacent:
            direction.cut()
            direction.touched = 0
        state.transport.cut(adjacent)
        self._issuers.crashed(intervention.node)
        if state.token_fetching is not None:
            state.token_fetching.crashed(intervention.node)
        if self.authorizers is not None:
            self.authorizers.crashed(intervention.node)
        # One that had run out of memory is dead already.
        connections, requests = self._killing.kill(
            [host for host in state.hosts() if host.machine is machine and host.up]
        )
        self._issuers.forget(intervention.node)
        effects.connections += connections
        effects.requests += requests
        self._reroute(lambda: state.topology.set_node(intervention.node, up=False))

    def _restart_node(self, intervention: RestartNode, effects: Effects) -> None:
        state = self._state
        machine = state.machines[intervention.node]
        machine.up = True
        machine.cores.reset(self._clock.now_ns)
        for direction in self._adjacent(intervention.node):
            effects.packets += direction.touched
            if self._ends_up(direction) and not self._is_cut(direction):
                direction.restore(self._clock.now_ns)
        for host in state.hosts():
            if host.machine is machine and host.workload not in self._stopped:
                self._killing.start(host)
        if self.authorizers is not None:
            self.authorizers.restarted(intervention.node)
        self._reroute(lambda: state.topology.set_node(intervention.node, up=True))

    # Waypoints

    def _stop_waypoint(self, intervention: StopWaypoint, effects: Effects) -> None:
        replicas = self._of_waypoint(intervention.waypoint)
        self._stopped |= {replica.workload for replica in replicas}
        connections, requests = self._killing.kill([one for one in replicas if one.up], "waypoint outage")
        effects.connections += connections
        effects.requests += requests
        for replica in replicas:
            replica.epoch += 1  # what would have started one that was gone already
            self._announcing.starts(replica)

    def _start_waypoint(self, intervention: StartWaypoint, effects: Effects) -> None:
        replicas = self._of_waypoint(intervention.waypoint)
        self._stopped -= {replica.workload for replica in replicas}
        for replica in replicas:
            if replica.machine.up:
                self._killing.start(replica)
            if replica.configured:
                self._announcing.ready(replica, lambda: None)

    def _of_waypoint(self, key: str) -> list[Replica]:
        waypoints = self._state.waypoints
        assert waypoints is not None, "scenarios with this fault have waypoints with a place"
        workload = waypoints.called(key)
        return [replica for replica in self._state.replicas if replica.workload == workload]

    # Configuration

    def _reject_pushes(self, intervention: RejectPushes, effects: Effects) -> None:
        self._state.rejecting.reject(intervention.workload, effects)

    def _accept_pushes(self, intervention: AcceptPushes, effects: Effects) -> None:
        self._state.rejecting.accept(intervention.workload)

    # Policy

    def _stop_authorizer(self, intervention: StopAuthorizer, effects: Effects) -> None:
        assert self.authorizers is not None, "scenarios with this fault have an authorizer"
        self.authorizers.stop(intervention.target)

    def _start_authorizer(self, intervention: StartAuthorizer, effects: Effects) -> None:
        assert self.authorizers is not None, "scenarios with this fault have an authorizer"
        self.authorizers.start(intervention.target)

    def _slow_engine(self, intervention: SlowEngine, effects: Effects) -> None:
        assert self._state.policy is not None, "scenarios with this fault have policies"
        self._state.policy.slow(intervention.factor, effects, intervention.target)

    def _ease_engine(self, intervention: EaseEngine, effects: Effects) -> None:
        assert self._state.policy is not None, "scenarios with this fault have policies"
        self._state.policy.ease(effects)

    def _is_cut(self, direction: LinkDirection) -> bool:
        """Say whether a link-down fault holds a link right now."""
        now_ns = self._clock.now_ns
        return any(
            isinstance(effects.planned.begin, CutLink)
            and effects.planned.target == direction.link
            and effects.planned.begin_ns <= now_ns < effects.planned.end_ns
            for effects in self.effects
        )
