"""The policy engine as the world sees it: answers, what they cost, and the decision caches of sidecars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.policy.engine import Directory
from meshsim.policy.engines import build_engine
from meshsim.policy.memo import Asked
from meshsim.policy.question import TIMED
from meshsim.scenario.policy import root_namespace_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.policy.engine import PolicyEngine, PolicyFile
    from meshsim.policy.question import Decision, Question
    from meshsim.scenario.policy import Policy
    from meshsim.world.hosts import Host
    from meshsim.world.state import State

CACHE_HIT_NS = 1_000
"""Looking a decision up in a sidecar's cache: one hash of a short key, charged flat."""
MOST_CACHED = 10_000
"""Decisions in a sidecar's cache where policies read a clock; then it starts anew, for old ones are of no use."""


def directory_of(state: State) -> Directory:
    """Return the names that policies may speak of."""
    scenario = state.scenario
    return Directory(
        services=frozenset(scenario.services),
        fleets=frozenset(scenario.fleets),
        slices=frozenset(scenario.network.slices),
        nodes=frozenset(state.machines),
        sites=frozenset(machine.site for machine in state.machines.values()),
        trust_domains=frozenset((scenario.mesh.trust_domain,)),
        trust_domain=scenario.mesh.trust_domain,
        root_namespace=root_namespace_of(scenario.mesh.policy),
        workloads={host.spiffe_id: host.workload for host in state.hosts()},
        namespaces={name: service.namespace for name, service in scenario.services.items()},
        labels={name: service.labels for name, service in scenario.services.items() if service.labels},
        ports={name: service.protocols for name, service in scenario.services.items()},
    )


def engine_of(state: State, policy: Policy, files: Sequence[PolicyFile]) -> PolicyEngine:
    """Return the engine that a mesh's policy settings and these files make; raises ScenarioError."""
    return build_engine(policy.engine, files, directory_of(state), policy.default, policy)


class Policies:
    """Asks the engine; pure memory saves asking it twice, a simulated cache saves the *charged* cost."""

    def __init__(self, engine: PolicyEngine, *, cache: bool, real: bool) -> None:
        self.engine = engine
        self._asked = Asked(engine, every_time=real)
        self._cache = cache
        self._seen: dict[str, set[Question]] = {}
        self._timed = not engine.reads.isdisjoint(TIMED)
        self._costs_ns: dict[str, int] = {}

    def decide(self, host: Host, question: Question) -> tuple[Decision, int, bool]:
        """Return the decision, its cost on the host's CPU, and whether the sidecar's own cache had it."""
        decision = self._asked.decide(question)
        if self._cache:
            seen = self._seen.setdefault(host.name, set())
            if question in seen:
                return decision, CACHE_HIT_NS, True
            if self._timed and len(seen) >= MOST_CACHED:
                seen.clear()
            seen.add(question)
        costs = host.machine.costs
        cost_ns = self._costs_ns.get(costs.name)
        if cost_ns is None:
            cost_ns = self._costs_ns[costs.name] = costs.policy_decision_ns(self.engine.name, self.engine.size)
        return decision, cost_ns, False

    def forget(self, host: Host) -> None:
        """Empty a sidecar's cache, as a restart does."""
        self._seen.pop(host.name, None)
