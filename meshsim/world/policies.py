"""The policy engine as the world sees it: answers, what they cost, and the decision caches of sidecars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.policy.memo import Asked
from meshsim.policy.question import TIMED

if TYPE_CHECKING:
    from meshsim.policy.engine import PolicyEngine
    from meshsim.policy.question import Decision, Question
    from meshsim.world.hosts import Host

CACHE_HIT_NS = 1_000
"""Looking a decision up in a sidecar's cache: one hash of a short key, charged flat."""
MOST_CACHED = 10_000
"""Decisions in a sidecar's cache where policies read a clock; then it starts anew, for old ones are of no use."""


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
