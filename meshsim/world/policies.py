"""The policy engine as the world sees it: answers, what they cost, and the decision caches of sidecars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from meshsim.policy.engine import Delegating
from meshsim.policy.memo import MOST_REMEMBERED, Asked
from meshsim.policy.question import TIMED
from meshsim.world.unanswered import differs, unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshsim.policy.engine import PolicyEngine
    from meshsim.policy.question import Decision, Question
    from meshsim.world.hosts import Host, Machine

CACHE_HIT_NS = 1_000
"""Looking a decision up in a sidecar's cache: one hash of a short key, charged flat."""
ENGINE = "engine"
"""Whose decisions a fault slows down that is for no certain extension provider."""
MOST_CACHED = 10_000
"""Decisions in a sidecar's cache where policies read a clock; then it starts anew, for old ones are of no use."""


class Decider(Protocol):
    """Who made a decision, as its row tells it."""

    @property
    def name(self) -> str:
        """As in ``mesh.policy.engine``, or ``jwt`` for a request's token."""
        ...

    @property
    def version(self) -> str:
        """Hash of its policies."""
        ...


class Ruling(msgspec.Struct, frozen=True, gc=False):
    """One decision of a sidecar, and what there is to say of it."""

    decision: Decision
    cost_ns: int
    """On the host's CPU, policies on trial included."""
    cached: bool
    """Whether the sidecar's own cache had it."""
    engine: Decider
    """With the policies that the sidecar held."""
    shadow: str = ""
    """``allowed`` or ``denied``, where the policies on trial would decide otherwise."""
    failure: str = ""
    """Why no policy decided it; empty if one did."""
    wrongly: str = ""
    """Of such a one: ``allowed`` or ``denied``, where the newest policies would have decided otherwise."""


class Place(Protocol):
    """Where an engine runs: in a host's proxy, or in a process of its own."""

    @property
    def name(self) -> str:
        """By which it holds policies."""

    @property
    def machine(self) -> Machine:
        """On which decisions cost CPU time."""


class Slowed(Protocol):
    """What counts decisions that took longer."""

    decisions: int


class Version:
    """One set of policies: asked once for each question, and remembered by each sidecar if it has a cache."""

    def __init__(self, engine: PolicyEngine, *, cache: bool, real: bool) -> None:
        self.engine = engine
        self._asked = Asked(engine, every_time=real)
        self._cache = cache
        self._seen: dict[str, set[Question]] = {}
        self._timed = not engine.reads.isdisjoint(TIMED)
        self._costs_ns: dict[str, int] = {}
        self._rulings: dict[str, dict[Question, Ruling]] = {}
        """By kind of CPU and question, where nothing else matters: no cache, and no engine that is asked every time."""
        self._settled = not cache and not real
        self.delegating: Delegating | None = engine if isinstance(engine, Delegating) else None
        """The engine, if it decides in proxies and only asks somebody outside about some questions."""

    def confirm(self) -> None:
        """Have the engine asked about what was answered from memory and is yet to be compared, at fidelity real."""
        self._asked.confirm()

    def answer(self, question: Question) -> Decision:
        """Return the decision, at no cost."""
        return self._asked.decide(question)

    def decide(self, host: Host, question: Question) -> Ruling:
        """Return the decision of a host, with its cost."""
        if self._settled:
            rulings = self._rulings.get(host.machine.costs.name)
            if rulings is None:
                rulings = self._rulings[host.machine.costs.name] = {}
            ruling = rulings.get(question)
            if ruling is None:
                if len(rulings) >= MOST_REMEMBERED:
                    rulings.clear()
                ruling = rulings[question] = self._decide(host, question)
            return ruling
        return self._decide(host, question)

    def _decide(self, host: Host, question: Question) -> Ruling:
        decision = self._asked.decide(question)
        if self._cache:
            if self.has(host, question):
                return Ruling(decision, CACHE_HIT_NS, True, self.engine)
            self.remember(host, question)
        return Ruling(decision, self.cost_ns(host), False, self.engine)

    def has(self, host: Host, question: Question) -> bool:
        """Say whether a sidecar's cache has the decision on a question."""
        return self._cache and question in self._seen.get(host.name, ())

    def remember(self, host: Host, question: Question) -> None:
        """Put a decision into a sidecar's cache, if it has one."""
        if self._cache:
            seen = self._seen.setdefault(host.name, set())
            if self._timed and len(seen) >= MOST_CACHED:
                seen.clear()
            seen.add(question)

    def cost_ns(self, host: Place) -> int:
        """Return what a decision costs on a host's CPU."""
        costs = host.machine.costs
        cost_ns = self._costs_ns.get(costs.name)
        if cost_ns is None:
            cost_ns = self._costs_ns[costs.name] = costs.policy_decision_ns(self.engine.name, self.engine.size)
        return cost_ns

    def outside_ns(self, place: Place, question: Question) -> int:
        """Return what a decision costs outside of the proxies: of the whole engine, or of whom it asks."""
        if self.delegating is None:
            return self.cost_ns(place)
        found = self.delegating.provider(question)
        provider = None if found is None else found[1]
        name, size = getattr(provider, "name", None), getattr(provider, "size", 0)
        return 0 if name is None else place.machine.costs.policy_decision_ns(name, size)

    def forget(self, host: Host) -> None:
        """Empty a sidecar's cache."""
        self._seen.pop(host.name, None)


class Policies:
    """The policies of each sidecar: those that it holds decide, and those on trial are asked beside them."""

    def __init__(
        self, engines: Sequence[PolicyEngine], shadow: PolicyEngine | None, *, cache: bool, real: bool
    ) -> None:
        """``engines``: the one at the start, then that of each change in the order in which they come."""
        self.versions = [Version(engine, cache=cache, real=real) for engine in engines]
        self._shadow = None if shadow is None else Version(shadow, cache=False, real=real)
        self._held: dict[str, Version] = {}
        """What hosts hold that have heard of a change, by name."""
        self.newest = self.versions[0]
        """What ought to hold."""
        asked = [*engines, *([] if shadow is None else [shadow])]
        self.reads = frozenset[str]().union(*(engine.reads for engine in asked))
        """Attributes that any of the policies depends on."""
        self._slow: list[tuple[int, Slowed, str]] = []
        """How many times as much CPU time decisions take, what counts them, and whose they are, of each fault."""
        self.outside: Callable[[str], bool] = lambda _provider: True
        """Whether an extension provider runs outside of the proxies; asked where any authorizer is."""

    @property
    def engine(self) -> PolicyEngine:
        """The engine at the start."""
        return self.versions[0].engine

    def decide(self, host: Host, question: Question) -> Ruling:
        """Return the decision of a host by what it holds."""
        version = self._held.get(host.name, self.versions[0]) if self._held else self.versions[0]
        ruling = version.decide(host, question)
        if self._shadow is None and not self._slow:
            return ruling
        cost_ns = ruling.cost_ns if ruling.cached else self._slowed_ns(ruling.cost_ns)
        if self._shadow is not None:
            cost_ns += self._shadow.cost_ns(host)
        return Ruling(ruling.decision, cost_ns, ruling.cached, ruling.engine, self._on_trial(question, ruling.decision))

    def inside(self, host: Host, question: Question) -> Ruling | None:
        """Return the decision of a proxy that has an authorizer, if it needs no answer from there; else None.

        It needs none where its cache has it, or where its engine asks others about some questions only, but not this.
        """
        version = self._version(host)
        if version.delegating is not None:
            provider = self.provider_name(host, question)
            if not provider or not self.outside(provider):
                return self.decide(host, question)
        if not version.has(host, question):
            return None
        decision = version.answer(question)
        return Ruling(decision, CACHE_HIT_NS, True, version.engine, self._on_trial(question, decision))

    def provider_name(self, host: Host, question: Question) -> str:
        """The extension provider that a proxy brings a question before; empty if it is for no certain one."""
        delegating = self._version(host).delegating
        found = None if delegating is None else delegating.provider(question)
        return "" if found is None else found[0]

    def asking_ns(self, host: Host) -> int:
        """Return what a proxy does before it asks: nothing, unless its own engine has to say whether to."""
        version = self._version(host)
        return 0 if version.delegating is None else version.cost_ns(host)

    def consult(self, place: Place, host: Host, question: Question) -> Ruling:
        """Return the decision on a question of a host by an engine outside of the proxies, which remembers nothing."""
        own = self._version(host)
        version = self._version(place) if own.delegating is None else own
        decision = version.answer(question)
        provider = self.provider_name(host, question) if self._slow else ""
        cost_ns = self._slowed_ns(version.outside_ns(place, question), provider)
        if self._shadow is not None:
            cost_ns += self._shadow.cost_ns(place)
        return Ruling(decision, cost_ns, False, version.engine, self._on_trial(question, decision))

    def unanswered(self, host: Host, question: Question, failure: Decision) -> Decision:
        """Return what holds for a question that nobody outside answered: ``failure``, if no other rule denies it."""
        return unanswered(self._version(host).delegating, question, failure)

    def unanswered_on_trial(self, host: Host, question: Question, failure: Decision, decision: Decision) -> str:
        """Say what the policies on trial would make of that, as for ``shadow`` of a ruling.

        Those that the failed authorizer itself would ask have no answer either, and change nothing.
        """
        shadow = self._shadow
        if shadow is None or shadow.delegating is None:
            return ""
        found = shadow.delegating.provider(question)
        if found is None or found[0] != self.provider_name(host, question):
            return self._on_trial(question, decision)
        return differs(unanswered(shadow.delegating, question, failure), decision)

    def remember(self, host: Host, question: Question) -> None:
        """Have a sidecar's cache, if it has one, know the decision on a question that came from outside."""
        self._version(host).remember(host, question)

    def _version(self, place: Place) -> Version:
        return self._held.get(place.name, self.versions[0])

    def _on_trial(self, question: Question, decision: Decision) -> str:
        if self._shadow is None:
            return ""
        return differs(self._shadow.answer(question), decision)

    def _slowed_ns(self, cost_ns: int, provider: str = "") -> int:
        """Return what a decision costs while faults slow the engine down, and count it for each of them."""
        for factor, effects, target in self._slow:
            if target in (ENGINE, provider):
                cost_ns *= factor
                effects.decisions += 1
        return cost_ns

    def slow(self, factor: int, effects: Slowed, target: str = ENGINE) -> None:
        """Have decisions of the engine, or of one extension provider, take so many times their CPU time."""
        self._slow.append((factor, effects, target))

    def ease(self, effects: Slowed) -> None:
        """Undo that."""
        self._slow = [each for each in self._slow if each[1] is not effects]

    def wrongly(self, question: Question, decision: Decision) -> str:
        """Say whether the newest policies decide otherwise: ``allowed`` or ``denied`` is what was wrong; else empty."""
        return "" if len(self.versions) == 1 else differs(decision, self.newest.answer(question))

    def confirm(self) -> None:
        """Have engines asked about all that is yet to be compared; raises InvariantViolation where one differs."""
        for version in self.versions if self._shadow is None else [*self.versions, self._shadow]:
            version.confirm()

    def hold(self, host: Place, version: int) -> None:
        """Have a place decide by the policies of this number from now on."""
        self._held[host.name] = self.versions[version]

    def forget(self, host: Host) -> None:
        """Empty a sidecar's cache, as a restart does."""
        for version in self.versions:
            version.forget(host)
