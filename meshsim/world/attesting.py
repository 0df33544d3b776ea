"""Nodes that have to be attested before a workload on them is issued anything."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from meshsim.control.signing import SETUP_ROUND_TRIPS, connection_operations, request_operations
from meshsim.world.issuing import SigningRequest

if TYPE_CHECKING:
    from meshsim.scenario.identity import Attestation
    from meshsim.world.enrolment import Enrolment
    from meshsim.world.hosts import Host, Machine
    from meshsim.world.issuing import IssuerProcess
    from meshsim.world.state import State

FAILED = "attestation failed"


class _Node:
    """What is known of one machine."""

    def __init__(self, *, attested: bool) -> None:
        self.attested = attested
        self.epoch = 0
        """Counts how often it lost its memory."""
        self.waiting: list[Enrolment] = []
        """Workloads that wait for it to be attested; the first of them set that off."""


class NodeAttestation:
    """Attests each machine once after each of its starts, for all workloads on it together."""

    def __init__(
        self,
        state: State,
        settings: Attestation | None,
        issuer: IssuerProcess,
        ended: Callable[[Enrolment, str], None],
        *,
        warm: bool,
    ) -> None:
        self._state = state
        self._clock = state.clock
        self._settings = settings
        self._issuer = issuer
        self._ended = ended
        self._warm = warm
        self._nodes: dict[str, _Node] = {}
        self._randoms: dict[str, Random] = {}

    def attest(self, enrolment: Enrolment) -> None:
        """Have a workload go on once its machine has been attested; ``ended`` is told, with a reason if it failed."""
        machine = enrolment.host.machine
        node = self._node(machine)
        if self._settings is None or node.attested:
            self._ended(enrolment, "")
            return
        node.waiting.append(enrolment)
        if len(node.waiting) > 1:
            return
        key_type = self._issuer.key_type
        operations = (*connection_operations(None, key_type)[0], *request_operations(key_type))
        costs = machine.costs
        work_ns = sum(costs.operations[name] * times for name, times in operations)
        work_ns += 2 * costs.tcp_message_ns + self._settings.work_ns
        done_ns = machine.cores.submit(self._clock.now_ns, work_ns) + work_ns + self._settings.time_ns
        if done_ns < self._state.scenario.duration_ns:
            self._clock.at(done_ns, self._vouched, (enrolment.host, node, node.epoch))

    def fails(self, name: str, failure_ppm: int) -> bool:
        """Draw whether an attestation fails; each node and workload has draws of its own."""
        if not failure_ppm:
            return False
        random = self._randoms.get(name)
        if random is None:
            random = self._randoms[name] = self._state.streams.stream("attestation", name)
        return random.random() * 1_000_000 < failure_ppm

    def forget(self, machine: Machine) -> None:
        """Take note that a machine lost its memory."""
        node = self._node(machine)
        node.attested = False
        node.epoch += 1
        node.waiting.clear()

    def _node(self, machine: Machine) -> _Node:
        node = self._nodes.get(machine.name)
        if node is None:
            node = self._nodes[machine.name] = _Node(attested=self._warm)
        return node

    def _vouched(self, job: tuple[Host, _Node, int]) -> None:
        host, node, epoch = job
        if node.epoch != epoch:
            return
        assert self._settings is not None
        if self.fails(f"node {host.machine.name}", self._settings.failure_ppm):
            self._tell(node, FAILED)
            return

        def answered(request: SigningRequest, reason: str) -> None:
            if node.epoch == epoch:
                node.attested = not reason
                self._tell(node, reason)

        self._issuer.ask(SigningRequest(host, host.key_type, 1 + SETUP_ROUND_TRIPS, None, answered))

    def _tell(self, node: _Node, reason: str) -> None:
        waiting, node.waiting = node.waiting, []
        for enrolment in waiting:
            self._ended(enrolment, reason)
