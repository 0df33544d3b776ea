"""Waypoints with a place: what their sidecars go by, and how a request that they have let in is sent on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshsim.control.routing import resilience_settings
from meshsim.scenario.placed_waypoints import Ways, has_ambient, placed_waypoints
from meshsim.scenario.proxies import qualified
from meshsim.sidecar import events
from meshsim.sidecar.gate import EVERY_FIELD
from meshsim.sidecar.settings import Served
from meshsim.world.handling import Handling

if TYPE_CHECKING:
    from meshsim.sidecar.commands import Deliver
    from meshsim.sidecar.settings import SidecarSettings
    from meshsim.world.alarms import Alarm
    from meshsim.world.driver import Driver
    from meshsim.world.hosts import Host, Replica
    from meshsim.world.state import State
    from meshsim.world.workload import Workloads

GIVEN_UP = 504
"""Status of an answer that nobody waits for."""


def set_proxy_costs(state: State) -> None:
    """Have each host's proxy take the CPU time of its kind for a message."""
    if not has_ambient(state.scenario):
        return
    everybody: list[Host] = [*state.replicas, *(device for fleet in state.devices.values() for device in fleet)]
    ways = Ways(state.scenario)
    kinds = {workload: ways.proxy_of(workload) for workload in {host.workload for host in everybody}}
    for host in everybody:
        costs, kind = host.machine.costs, kinds[host.workload]
        if kind != "sidecar":
            message_ns = costs.ztunnel_message_ns if kind == "ztunnel" else costs.waypoint_message_ns
            host.request_ns = host.response_ns = message_ns + costs.tcp_message_ns


def set_cores(state: State) -> None:
    """Give waypoints the cores that they have to themselves."""
    placed = placed_waypoints(state.scenario)
    for replica in state.replicas if placed else ():
        waypoint = placed.get(replica.workload)
        if waypoint is not None and waypoint.settings.cores is not None:
            replica.cores = replica.machine.set_aside(waypoint.settings.cores)


class Waypoints:
    """All of a mesh."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._placed = placed_waypoints(state.scenario)
        self._by_service = {service: one for one in self._placed.values() for service in one.serves}

    @staticmethod
    def of(state: State) -> Waypoints | None:
        """Return those of a mesh; None if none has a place."""
        return Waypoints(state) if state.scenario.mesh.waypoints else None

    def settings(self, host: Host, own: SidecarSettings) -> SidecarSettings:
        """Return the settings of a host's sidecar: a waypoint's, those of a service behind one, or as they are."""
        waypoint = self._placed.get(host.workload)
        if waypoint is not None:
            resilience = resilience_settings(waypoint.settings.resilience)
            return msgspec.structs.replace(own, resilience=resilience, serves=self.served(host), hands_on=EVERY_FIELD)
        behind = self._by_service.get(host.workload)
        policy = self._state.policy
        if behind is None or policy is None or policy.engine.name == "istio":
            return own
        # Of all engines Istio's alone says what ztunnel would still look at.
        first = next(replica for replica in self._state.replicas if replica.workload == behind.workload)
        return msgspec.structs.replace(own, decided_by=first.spiffe_id)

    def served(self, host: Host) -> dict[str, Served]:
        """Return what a waypoint goes by at the requests for each service, as it holds policies now."""
        tokens = self._state.tokens
        services = self._state.scenario.services
        return {
            name: Served(services[name].namespace, None if tokens is None else tokens.rules_at(host, name))
            for name in self._placed[host.workload].serves
        }

    def called(self, key: str) -> str:
        """Return the workload of the waypoint that the scenario writes so."""
        name = qualified(key, "default")
        return next(one.workload for one in self._placed.values() if one.name == name)

    def is_one(self, workload: str) -> bool:
        """Say whether a workload is a waypoint."""
        return workload in self._placed

    def is_served(self, workload: str) -> bool:
        """Say whether a workload is a service behind a waypoint."""
        return workload in self._by_service


class SendingOn:
    """What waypoints do with the requests that they have let in."""

    def __init__(self, state: State, driver: Driver, workloads: Workloads) -> None:
        self._state = state
        self._driver = driver
        self._workloads = workloads

    def take(self, waypoint: Replica, command: Deliver) -> Alarm | None:
        """Send a request on by a call of the waypoint's own, which is answered as that call is.

        Of one that its caller has given up Envoy hears by a reset of its stream, and sends nothing on.
        """
        message = command.message
        account = self._state.accounts.get(message.call_id)
        if account is None or account.attempt != message.attempt:
            answer = events.ServiceAnswered(command.connection_id, message.call_id, message.attempt, GIVEN_UP)
            return self._driver.tell_last(waypoint, answer)
        assert waypoint.onward is not None, "nobody else sends on"
        handling = Handling(waypoint, account, message, command.connection_id, (), self._state.clock.now_ns)
        handling.sent_on = True
        handling.pending = 1
        template = waypoint.onward[message.template.index]
        call = self._workloads.account(template, account.request, waypoint, handling)
        return self._driver.tell_last(waypoint, events.CallStarted(call.call_id, template, command.carried))
