"""Istio's AuthorizationPolicy (istio.io, "Authorization Policy"), as its sidecars enforce it.

For each workload, the policies of its namespace and of the root namespace that select it decide, in this order:
CUSTOM policies that match ask their provider, and what it denies is denied; DENY policies that match deny; without any
ALLOW policy the rest is allowed; with some, what one of them matches is allowed and the rest denied. AUDIT policies
only mark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from meshsim.policy.engine import Default, Directory, PolicyEngine, PolicyFile, Provider
from meshsim.policy.istio_check import check
from meshsim.policy.istio_conditions import Claims
from meshsim.policy.istio_path import normalized
from meshsim.policy.istio_plans import Fixed, Plan, Planner
from meshsim.policy.istio_read import read_policies
from meshsim.policy.istio_scope import outside, told_apart, workloads
from meshsim.policy.istio_types import JwtRule, Policies
from meshsim.policy.istio_unenforced import unenforced_in
from meshsim.policy.istio_waypoints import behind, both, closing, is_behind_ztunnel
from meshsim.policy.question import DEFAULT_DENY, Decision, Question, RuleAccount
from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.policy import IstioPolicy

REFUSED_PATH = "refused-path"
"""The rule of a decision on a path that Envoy answers with status 400, whatever the policies."""

_EFFECTS = {"ALLOW": "allow", "DENY": "deny", "AUDIT": "audit", "CUSTOM": "custom"}
_NO_CLAIMS: Claims = MappingProxyType({})


class IstioEngine:
    """Policies, compiled once for every workload they hold for. Build it with :meth:`from_sources`."""

    name = "istio"

    def __init__(
        self,
        policies: Policies,
        directory: Directory,
        default: Default,
        settings: IstioPolicy,
        providers: Mapping[str, PolicyEngine],
        version: str,
        provider_files: Mapping[str, tuple[str, Sequence[PolicyFile]]],
    ) -> None:
        self.policies = policies
        self.size = sum(len(policy.rules) for policy in policies.authorization)
        self.version = version
        self._directory = directory
        self._default = default
        self.normalization = settings.path_normalization
        """How paths are normalised before policies see them."""
        self.trust_domains = (directory.trust_domain, *settings.trust_domain_aliases)
        """The mesh's own, and its aliases."""
        self.provider_files = provider_files
        """Of each extension provider that is an engine: its name as an engine, and its files."""
        asked: dict[str, Provider] = {
            name: Fixed(allowed=provider.verdict == "allow") if provider.verdict else providers[name]
            for name, provider in settings.extension_providers.items()
        }
        self._planner = Planner(policies, directory, settings, asked, allow_nothing=default == "deny")
        scopes = [*(one.scope for one in policies.authorization), *(one.scope for one in policies.authentication)]
        self.versioned = told_apart(scopes, directory)
        """Services of which some policy holds for some versions alone."""
        kinds = dict.fromkeys((name, self._kind(name, version)) for name, version in workloads(directory))
        self._workloads = {kind: self._planner.workload(*kind) for kind in kinds}
        self._plans = {name: workload.only for (name, version), workload in self._workloads.items() if not version}
        read = frozenset(name for workload in self._workloads.values() for name in workload.reads)
        self.reads = read | {"version"} if self.versioned else read

    @classmethod
    def from_sources(
        cls,
        files: Sequence[PolicyFile],
        directory: Directory,
        default: Default = "allow",
        settings: IstioPolicy | None = None,
        providers: Mapping[str, PolicyEngine] = MappingProxyType({}),
        mistakes: Sequence[Diagnostic] = (),
        provider_files: Mapping[str, tuple[str, Sequence[PolicyFile]]] = MappingProxyType({}),
    ) -> IstioEngine:
        """Read and check policy files; raises :class:`ScenarioError` with every mistake in them.

        ``providers`` holds the engine of each extension provider that has one, ``mistakes`` what is wrong with them.
        The default ``deny`` is as one more policy in the root namespace that allows nothing.
        """
        settings = settings or IstioPolicy()
        policies, wrong = read_policies(files)
        wrong += [*check(policies, directory, settings), *mistakes]
        if wrong:
            raise ScenarioError(wrong)
        version = _version(files, default, settings, providers)
        return cls(policies, directory, default, settings, providers, version, provider_files)

    def unenforced(self) -> tuple[str, ...]:
        """What stands in the policies, and nobody enforces."""
        return tuple(str(one) for one in unenforced_in(self.policies, self._directory))

    def decide(self, question: Question) -> Decision:
        """Answer one question."""
        return self._decide(question, ask=True)

    def decide_unasked(self, question: Question) -> Decision:
        """Answer one question as if every provider of a CUSTOM policy allowed it."""
        return self._decide(question, ask=False)

    def closes(self, question: Question) -> bool:
        """Whether what is denied has its connection closed in place of an answer, where requests first come to."""
        return not (self._plans.get(question.destination) or self._plan(question)).http

    def provider(self, question: Question) -> tuple[str, Provider] | None:
        """Whom a CUSTOM policy brings a question before, with its name; None if none does."""
        plan = self._plans.get(question.destination) or self._plan(question)
        if plan.passing is not None and not plan.passing.takes(question):
            return None
        question = plan.seen(question)
        if not plan.http:
            return plan.asked(question, _NO_CLAIMS)
        claims = plan.tokens.seen(question.claims)
        if isinstance(claims, Decision) or normalized(question.path, self.normalization) is None:
            return None
        return plan.asked(question, claims)

    def _decide(self, question: Question, *, ask: bool) -> Decision:
        plan = self._plans.get(question.destination) or self._plan(question)
        if plan.passing is None or plan.ztunnel is None:
            return self._decide_at(plan, question, ask=ask)
        waypoint = None
        if question.at_waypoint or plan.passing.takes(question):
            waypoint = self._decide_at(plan, plan.seen(question), ask=ask)
            if question.at_waypoint or not waypoint.allowed:
                return waypoint
        ztunnel = plan.ztunnel.decide(plan.passing.onward(question), _NO_CLAIMS)
        if waypoint is not None:
            return behind(both(waypoint, ztunnel))
        if question.principal == plan.passing.principal:
            return behind(ztunnel)  # its own waypoint has decided, by the default too
        said_nothing = ztunnel.allowed and not ztunnel.reasons
        return closing(Decision(False, DEFAULT_DENY) if said_nothing and self._default == "deny" else ztunnel)

    def _decide_at(self, plan: Plan, question: Question, *, ask: bool) -> Decision:
        if not plan.http:
            return closing(plan.decide(question, _NO_CLAIMS, ask=ask))
        if normalized(question.path, self.normalization) is None:
            return Decision(False, REFUSED_PATH, (REFUSED_PATH,))
        claims = plan.tokens.seen(question.claims)
        if isinstance(claims, Decision):
            return claims
        return plan.decide(question, claims, ask=ask)

    def _plan(self, question: Question) -> Plan:
        """The plan for the port of a question; services from outside of the directory get one too."""
        kind = self._kind_asked(question)
        workload = self._workloads.get(kind)
        if workload is None:
            name = question.destination
            assert name not in self.versioned, f"{name} has no version {question.version!r}, and its policies differ"
            workload = self._workloads[kind] = self._planner.workload(name)
        return workload.plan(question.port)

    def _kind(self, service: str, version: str) -> str:
        """The version of a service where policies tell its versions apart; else empty."""
        return version if service in self.versioned else ""

    def _kind_asked(self, question: Question) -> tuple[str, str]:
        """Whose plan answers a question: at a waypoint that of any version, since what is attached is for all."""
        name = question.destination
        if question.at_waypoint and name in self.versioned:
            return next(kind for kind in self._workloads if kind[0] == name and kind[1])
        return name, self._kind(name, question.version)

    def looks_at_tokens(self, service: str, version: str = "") -> bool:
        """Whether a RequestAuthentication with rules holds there, or for some version; else policies see no claims."""
        return any(
            workload.by_request.tokens.has_rules
            for (name, kind), workload in self._workloads.items()
            if name == service and (not version or kind == self._kind(service, version))
        )

    def looks_at_paths(self, service: str, version: str, port: int) -> Literal["all", "some", ""]:
        """Of which requests to a port of replicas the path is looked at, which some paths are refused by."""
        plan = self._workloads[service, self._kind(service, version)].plan(port)
        return "" if not plan.http else "all" if plan.passing is None else "some"

    def reads_behind_waypoint(self, service: str, version: str = "") -> frozenset[str]:
        """Attributes of questions that ztunnel's decisions depend on behind the waypoint of a service."""
        workload = self._workloads.get((service, self._kind(service, version)))
        plans = () if workload is None else (workload.by_request.ztunnel, workload.by_connection.ztunnel)
        return frozenset().union(*(plan.reads for plan in plans if plan is not None))

    def token_rules(self, service: str, version: str = "") -> tuple[JwtRule, ...]:
        """The rules for tokens that hold there, in the order in which they are tried."""
        workload = self._workloads.get((service, self._kind(service, version)))
        return () if workload is None else workload.by_request.tokens.rules

    def explain(self, question: Question) -> tuple[RuleAccount, ...]:
        """Say of every rule whether it matches the question, and if not, why."""
        plan = self._plans.get(question.destination) or self._plan(question)
        early, claims = "", _NO_CLAIMS
        detour = plan.passing.detour(question) if plan.passing is not None else ""
        if plan.http and not detour:
            seen = plan.tokens.seen(question.claims)
            claims = _NO_CLAIMS if isinstance(seen, Decision) else seen
            if normalized(question.path, self.normalization) is None:
                early = "the path is refused with status 400 before any policy is looked at"
            elif isinstance(seen, Decision):
                early = f"the token is refused by {seen.refused_by} before any policy is looked at"
        here = {rule.number: (rule, plan.seen(question)) for rule in plan.rules}
        if plan.passing is not None and plan.ztunnel is not None:
            here |= {rule.number: (rule, plan.passing.onward(question)) for rule in plan.ztunnel.rules}
        version = self._kind(question.destination, question.version)
        accounts: list[RuleAccount] = []
        for policy in self.policies.authorization:
            away = early or outside(policy.scope, question.destination, self._directory, version)
            if policy.scope.targets:
                away = away or detour
            unseen = f"its provider {policy.provider} is asked about HTTP alone, which is not spoken on this port"
            if is_behind_ztunnel(question.destination, self._directory) and not policy.scope.targets:
                unseen = f"in ambient mode ztunnel looks at it, which knows no {policy.action} policy"
            for rule in policy.rules:
                rule_here, asked = here.get(len(accounts), (None, question))
                why = away or (unseen if rule_here is None else rule_here.why(asked, claims))
                place = f"{rule.place.file}:{rule.place.line}:{rule.place.column}"
                account = RuleAccount(rule.name, place, _EFFECTS[policy.action], not why, why, policy.dry_run)
                accounts.append(account)
        return tuple(accounts)


def _version(
    files: Sequence[PolicyFile], default: Default, settings: IstioPolicy, providers: Mapping[str, PolicyEngine]
) -> str:
    """Hash of all that the decisions depend on, each part preceded by its length."""
    digest = hashlib.sha256()
    asked = (f"{name}={engine.version}" for name, engine in sorted(providers.items()))
    named = (part for file in files for part in (file.name, file.text))
    for part in ("istio", default, settings.model_dump_json(), *asked, *named):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]
