"""The plan of a workload: the rules that hold for it, in the order in which Istio's sidecar looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from meshsim.policy.engine import Directory, Provider
from meshsim.policy.istio_authentication import Tokens
from meshsim.policy.istio_conditions import Claims, Setting
from meshsim.policy.istio_path import Normalization, normalized
from meshsim.policy.istio_rules import Applied, applied
from meshsim.policy.istio_scope import is_for
from meshsim.policy.istio_types import AuthorizationPolicy, Policies, RequestAuthentication, Rule
from meshsim.policy.istio_waypoints import ZTUNNEL_ACTIONS, Passing, at_ztunnel, is_behind_ztunnel, passing
from meshsim.policy.question import DEFAULT_ALLOW, DEFAULT_DENY, Decision, Question
from meshsim.scenario.policy import IstioPolicy
from meshsim.scenario.ports import HTTP

Held = tuple[AuthorizationPolicy, tuple[Applied, ...]]
"""A policy and its rules."""
Apply = Callable[[AuthorizationPolicy, Rule, int, Setting], Applied]


class Fixed:
    """A provider that always answers the same."""

    reads: frozenset[str] = frozenset()

    def __init__(self, *, allowed: bool) -> None:
        self._decision = Decision(True, DEFAULT_ALLOW) if allowed else Decision(False, DEFAULT_DENY)

    def decide(self, _question: Question) -> Decision:
        """Answer as always."""
        return self._decision


class Asking(msgspec.Struct, frozen=True):
    """A provider and the CUSTOM rules that ask it."""

    name: str
    provider: Provider
    rules: tuple[Applied, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The rules for one workload on ports of one kind; a rule on trial (dry-run) decides nothing."""

    http: bool
    tokens: Tokens
    normalization: Normalization
    custom: tuple[Asking, ...]
    audit: tuple[Applied, ...]
    deny: tuple[Applied, ...]
    allow: tuple[Applied, ...]
    only_allowed: bool
    """Whether what no ALLOW rule matches is denied: there is an ALLOW policy, though it may have no rule."""
    deny_on_trial: tuple[Applied, ...]
    allow_on_trial: tuple[Applied, ...]
    only_allowed_on_trial: bool
    passing: Passing | None = None
    """How requests come here, if this is the plan of a waypoint."""
    ztunnel: Plan | None = None
    """What is looked at behind that waypoint."""

    @property
    def rules(self) -> tuple[Applied, ...]:
        """Every rule."""
        asking = tuple(rule for one in self.custom for rule in one.rules)
        return asking + self.audit + self.deny + self.allow + self.deny_on_trial + self.allow_on_trial

    @property
    def reads(self) -> frozenset[str]:
        """Attributes of questions that decisions depend on."""
        found: set[str] = {"claims"} if self.http and self.tokens.names else set()
        for rule in self.rules:
            found |= rule.reads
        for one in self.custom:
            found |= one.provider.reads
        if self.passing is not None and "port" in found:
            found.add("service_port")
        return frozenset(found) | (self.ztunnel.reads if self.ztunnel is not None else frozenset())

    def seen(self, question: Question) -> Question:
        """The question as the first proxy sees it: a waypoint has the service's port, whatever port that leads to.

        Its requests come to the address of the service (istio: pilot/pkg/networking/core/listener_waypoint.go,
        buildWaypointInternal), and no pod is chosen yet.
        """
        if self.passing is None or not question.service_port:
            return question
        return msgspec.structs.replace(question, port=question.service_port)

    def asked(self, question: Question, claims: Claims) -> tuple[str, Provider] | None:
        """Whom a question is brought before, with the name; None without a CUSTOM rule that matches it."""
        found = ((one.name, one.provider) for one in self.custom if _matching(one.rules, question, claims))
        return next(found, None)

    def decide(self, question: Question, claims: Claims, *, ask: bool = True) -> Decision:
        """Answer a question that carries no bad token and no refused path; without CUSTOM rules if none may ask."""
        errors: tuple[str, ...] = ()
        for asking in self.custom if ask else ():
            if asked := _matching(asking.rules, question, claims):
                answer = asking.provider.decide(self._sent(question))
                errors += answer.errors
                if not answer.allowed:
                    reasons = (*asked, *(f"{asking.name}: {rule}" for rule in answer.reasons or (answer.rule,)))
                    return Decision(False, asked[0], reasons, errors)
        audited = _matching(self.audit, question, claims) if self.audit else ()
        if denied := _matching(self.deny, question, claims):
            return Decision(False, denied[0], denied, errors, audited)
        allowed = _matching(self.allow, question, claims)
        if not allowed and self.only_allowed:
            return Decision(False, DEFAULT_DENY, (), errors, audited)
        dry_run = self._dry_run(question, claims, allowed=bool(allowed))
        return Decision(True, allowed[0] if allowed else DEFAULT_ALLOW, allowed, errors, audited, dry_run)

    def _sent(self, question: Question) -> Question:
        """The question as a provider is asked it: with the normalised path."""
        path = normalized(question.path, self.normalization) if self.http else question.path
        return question if path == question.path else msgspec.structs.replace(question, path=path)

    def _dry_run(self, question: Question, claims: Claims, *, allowed: bool) -> str:
        """The rule by which an allowed request would be denied if all policies on trial were in force."""
        if denied := _matching(self.deny_on_trial, question, claims):
            return denied[0]
        if allowed or not self.only_allowed_on_trial or _matching(self.allow_on_trial, question, claims):
            return ""
        return DEFAULT_DENY


def _matching(rules: tuple[Applied, ...], question: Question, claims: Claims) -> tuple[str, ...]:
    return tuple([rule.name for rule in rules if rule.matches(question, claims)]) if rules else ()


class Workload(msgspec.Struct, frozen=True):
    """The plans of one service, by what the ports speak that its replicas listen on."""

    by_request: Plan
    by_connection: Plan
    ports: Mapping[int, str]

    def plan(self, port: int) -> Plan:
        """The plan for a port; of a service of whose ports nothing is known, each is taken for HTTP."""
        only = self.only
        if only is not None:
            return only
        assert port in self.ports, f"asked about port {port}, where nobody listens; expected one of {[*self.ports]}"
        return self.by_request if self.ports[port] in HTTP else self.by_connection

    @property
    def only(self) -> Plan | None:
        """The plan for every port, if there is one."""
        spoken = {protocol in HTTP for protocol in self.ports.values()} or {True}
        return None if len(spoken) > 1 else self.by_request if spoken == {True} else self.by_connection

    @property
    def reads(self) -> frozenset[str]:
        """Attributes of questions that decisions depend on."""
        only = self.only
        return self.by_request.reads | self.by_connection.reads | {"port"} if only is None else only.reads


class Planner:
    """Makes the plans of workloads; rules are compiled once for all of them."""

    def __init__(
        self,
        policies: Policies,
        directory: Directory,
        settings: IstioPolicy,
        providers: Mapping[str, Provider],
        *,
        allow_nothing: bool,
    ) -> None:
        self._policies = policies
        self._directory = directory
        self._settings = settings
        self._providers = providers
        self._allow_nothing = allow_nothing
        self._applied = {http: list(self._apply(applied, http=http)) for http in (True, False)}
        self._at_ztunnel = [
            one
            for one in (self._apply(at_ztunnel, http=False) if directory.ambient else ())
            if one[0].action in ZTUNNEL_ACTIONS and not one[0].scope.targets
        ]

    def _apply(self, apply: Apply, *, http: bool) -> Iterable[Held]:
        number = 0
        settings = self._settings
        for policy in self._policies.authorization:
            setting = Setting(
                namespace=policy.scope.namespace,
                trust_domains=(self._directory.trust_domain, *settings.trust_domain_aliases),
                http=http,
                normalization=settings.path_normalization,
                metadata=settings.filter_metadata,
            )
            yield policy, tuple(apply(policy, rule, number + n, setting) for n, rule in enumerate(policy.rules))
            number += len(policy.rules)

    def workload(self, service: str, version: str = "") -> Workload:
        """The plans of a service, or of one of its versions."""
        ports = self._directory.ports.get(service, {})
        return Workload(self._plan(service, version, http=True), self._plan(service, version, http=False), ports)

    def _plan(self, service: str, version: str, *, http: bool) -> Plan:
        directory = self._directory
        here = [one for one in self._applied[http] if is_for(one[0].scope, service, directory, version)]
        tokens = [one for one in self._policies.authentication if is_for(one.scope, service, directory, version)]
        if not is_behind_ztunnel(service, directory):
            return self._plan_of(here, tokens, http=http, only_allowed=self._allow_nothing)
        behind = [one for one in self._at_ztunnel if is_for(one[0].scope, service, directory, version)]
        if service not in directory.waypoints:
            return self._plan_of(behind, [], http=False, only_allowed=self._allow_nothing)
        plan = self._plan_of(
            [one for one in here if one[0].scope.targets],
            [one for one in tokens if one.scope.targets],
            http=http,
            only_allowed=self._allow_nothing,
        )
        return msgspec.structs.replace(
            plan,
            passing=passing(service, directory),
            ztunnel=self._plan_of(behind, [], http=False, only_allowed=False),
        )

    def _plan_of(
        self, here: Sequence[Held], tokens: Sequence[RequestAuthentication], *, http: bool, only_allowed: bool
    ) -> Plan:
        return Plan(
            http=http,
            tokens=Tokens(tokens),
            normalization=self._settings.path_normalization,
            custom=self._custom(here, http=http),
            audit=_rules(here, "AUDIT"),
            deny=_rules(here, "DENY"),
            allow=_rules(here, "ALLOW"),
            only_allowed=only_allowed or _any(here, dry_run=False),
            deny_on_trial=_rules(here, "DENY", dry_run=True),
            allow_on_trial=_rules(here, "ALLOW", dry_run=True),
            only_allowed_on_trial=_any(here, dry_run=True),
        )

    def _custom(self, here: Sequence[Held], *, http: bool) -> tuple[Asking, ...]:
        """Who is asked by CUSTOM policies; a provider that is asked by HTTP is not asked about connections."""
        asking: dict[str, list[Applied]] = {}
        for policy, rules in here:
            if policy.action == "CUSTOM":
                asking.setdefault(policy.provider, []).extend(rules)
        declared = self._settings.extension_providers
        return tuple(
            Asking(name, self._providers[name], tuple(rules))
            for name, rules in asking.items()
            if http or declared[name].protocol == "grpc"
        )


def _rules(here: Sequence[Held], action: str, *, dry_run: bool = False) -> tuple[Applied, ...]:
    return tuple(
        rule for policy, rules in here if policy.action == action and policy.dry_run == dry_run for rule in rules
    )


def _any(here: Sequence[Held], *, dry_run: bool) -> bool:
    return any(policy.action == "ALLOW" and policy.dry_run == dry_run for policy, _ in here)
