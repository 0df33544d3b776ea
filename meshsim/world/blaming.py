"""What faults have touched, and which of them were in the way of something that did not come about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from meshsim.faults.interventions import (
    AddLatency,
    CrashNode,
    CutLink,
    Planned,
    StopAuthorizer,
    StopIssuer,
    StopTokenEndpoint,
)
from meshsim.world.authorizer_process import OVERLOADED

if TYPE_CHECKING:
    from meshsim.network.routing import Topology
    from meshsim.world.authorizer_process import Check
    from meshsim.world.state import State


class Effects:
    """What one fault has touched so far."""

    def __init__(self, planned: Planned) -> None:
        self.planned = planned
        self.packets = 0
        self.connections = 0
        self.requests = 0
        self.certificates = 0
        self.configurations = 0
        self.decisions = 0
        self.tokens = 0
        self.replaced: frozenset[int] = frozenset()
        """Numbers of the authorities that it replaced."""

    @property
    def total(self) -> int:
        """All that it touched."""
        requested = self.requests + self.certificates + self.configurations + self.decisions + self.tokens
        return self.packets + self.connections + requested


class Blaming:
    """Counts for each fault what failed for it, where it is not the fault itself that touches it."""

    def __init__(self, state: State, effects: Sequence[Effects]) -> None:
        """``effects``: of every fault, filled in when they are scheduled."""
        self._state = state
        self._effects = effects
        self.issuer_nodes: Mapping[str, str] = {}
        """Node of each trust domain's issuer, where there is one."""
        self._own = state.scenario.mesh.trust_domain
        self._reroute_after_ns = state.scenario.network.reroute_after_ns
        self._calm: Topology | None = None
        """Routes as they are without any fault; made when first asked for."""

    def blame(self, trust_domain: str, node: str, goal: str, since_ns: int) -> None:
        """Count a request from ``node`` that ``goal`` did not answer for each fault that was in the way since.

        In the way are an outage of the trust domain's issuer, and links and nodes on the route that there is without
        any fault.
        """
        of_issuer = goal == self.issuer_nodes.get(trust_domain)
        for effects in self._since(since_ns):
            begin = effects.planned.begin
            if of_issuer and isinstance(begin, StopIssuer) and (begin.trust_domain or self._own) == trust_domain:
                effects.certificates += 1
        for effects in self._in_the_way(node, goal, since_ns):
            effects.certificates += 1

    def blame_for_token(self, issuer: str, node: str, goal: str, since_ns: int) -> None:
        """Count a request for a token from ``node`` that the issuer's endpoint on ``goal`` did not answer, likewise."""
        for effects in self._since(since_ns):
            begin = effects.planned.begin
            if isinstance(begin, StopTokenEndpoint) and begin.issuer == issuer:
                effects.tokens += 1
        for effects in self._in_the_way(node, goal, since_ns):
            effects.tokens += 1

    def blame_for_push(self, control_node: str, node: str) -> None:
        """Count a change of configuration that did not get from the control plane to ``node``, likewise."""
        for effects in self._in_the_way(control_node, node, self._state.clock.now_ns):
            effects.configurations += 1

    def blame_for_fetch(self, node: str, goal: str, since_ns: int) -> None:
        """Count a bundle that ``node`` did not get from the endpoint on ``goal``, likewise."""
        for effects in self._in_the_way(node, goal, since_ns):
            effects.configurations += 1

    def blame_for_decision(self, check: Check, why: str) -> None:
        """Count a question that no authorizer answered for the outage, and for each fault in the way since it went."""
        if why == OVERLOADED:
            return  # it was there, and reached
        for effects in self._since(check.t_ns):
            begin = effects.planned.begin
            is_it = isinstance(begin, StopAuthorizer) and begin.target == check.authorizer
            if is_it and effects.planned.end_ns > check.t_ns:
                effects.decisions += 1
        for effects in self._in_the_way(check.host.node, check.process.node, check.t_ns, AddLatency):
            effects.decisions += 1

    def _since(self, since_ns: int) -> Iterator[Effects]:
        """Faults that have begun, and whose end has not been noticed for longer; routes come back some time after."""
        for effects in self._effects:
            planned = effects.planned
            if planned.begin_ns <= self._state.clock.now_ns and since_ns < planned.end_ns + self._reroute_after_ns:
                yield effects

    def _in_the_way(
        self, source: str, destination: str, since_ns: int, also: type[CutLink | AddLatency] = CutLink
    ) -> Iterator[Effects]:
        """Faults of links and nodes on the route that there is without any fault, and ``also`` of another kind."""
        if self._calm is None:
            self._calm = self._state.topology.undisturbed()
        route = self._calm.route(source, destination) or ()
        nodes = {source, *(direction.destination for direction in route)}
        links = {direction.link for direction in route}
        for effects in self._since(since_ns):
            begin = effects.planned.begin
            if (isinstance(begin, (CutLink, also)) and begin.link in links) or (
                isinstance(begin, CrashNode) and begin.node in nodes
            ):
                yield effects
