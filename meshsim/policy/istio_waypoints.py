"""Services that a waypoint serves (Istio's ambient mode): two proxies look at a request, one after the other.

The waypoint is asked first, with the policies that are attached by ``targetRefs``. What it lets through it sends on by
its own identity to ztunnel at the destination, which looks at all other policies, and at TCP alone: it drops HTTP from
DENY rules and leaves out ALLOW rules with HTTP (istio: pilot/pkg/serviceregistry/kube/controller/ambient). Callers
without an identity are not in the mesh and go past the waypoint; so do gateways, unless the service has them not do so.
"""

from __future__ import annotations

import msgspec

from meshsim.policy.engine import Directory
from meshsim.policy.istio_attachment import is_gateway, waypoint_identity
from meshsim.policy.istio_conditions import Setting
from meshsim.policy.istio_rules import Applied, applied, left_out
from meshsim.policy.istio_types import AuthorizationPolicy, Clause, Rule
from meshsim.policy.question import DEFAULT_ALLOW, Decision, Question

_SEEN = frozenset(
    {
        *("source.ip", "source.namespace", "source.principal", "source.serviceAccount", "source.trustDomain"),
        *("destination.ip", "destination.port"),
    }
)
"""Attributes that ztunnel sees."""
_SEEN_OF_SOURCES = ("source.serviceAccount",)
"""Those of them that count in ``from`` and not in ``when`` (authorization.go, l4WhenAttributes)."""
_OWN = "meshsim."
"""What the attributes begin with that Istio has not."""
ZTUNNEL_ACTIONS = ("ALLOW", "DENY")
STATUS_CLOSED = 503
"""How an Envoy that calls by HTTP tells that its connection was closed: a waypoint, a sidecar or a gateway."""


class Passing(msgspec.Struct, frozen=True):
    """How requests come to the waypoint of a service, and on from it."""

    principal: str
    """SPIFFE ID by which the waypoint speaks to ztunnel."""
    address: str
    """From which it does; empty where it has no place, so that nobody knows."""
    past: frozenset[str]
    """SPIFFE IDs of callers that go past it: gateways, and waypoints themselves."""
    sidecars: frozenset[str]
    """SPIFFE IDs of callers with sidecars, which go past it too."""
    place: tuple[str, str] | None = None
    """Its site and node; None where it has none, and then those of callers stand for them."""

    def takes(self, question: Question) -> bool:
        """Whether a request goes through the waypoint."""
        return not self.detour(question)

    def detour(self, question: Question) -> str:
        """Why a request goes past the waypoint; empty if it does not."""
        if not question.principal:
            return "the caller proves no identity, so it is not in the mesh and goes past the waypoint"
        if question.principal in self.past:
            return "the caller is a gateway or a waypoint, and these go past the waypoint of this service"
        if question.principal in self.sidecars:
            return "the caller has a sidecar, and these go past waypoints"
        return ""

    def onward(self, question: Question) -> Question:
        """What ztunnel is asked: the waypoint is the caller."""
        if not self.takes(question):
            return question
        onward = msgspec.structs.replace(question, principal=self.principal, source_ip=self.address)
        if self.place is None:
            return onward
        return msgspec.structs.replace(onward, site=self.place[0], source_node=self.place[1])


def is_behind_ztunnel(service: str, directory: Directory) -> bool:
    """Whether ztunnel is the last to look at what arrives at a service: in ambient mode, but for gateways."""
    return directory.ambient and service not in directory.sidecars and not is_gateway(service, directory)


def passing(service: str, directory: Directory) -> Passing:
    """The way to a service that a waypoint serves."""
    gateways = (
        frozenset(identity for identity, name in directory.workloads.items() if is_gateway(name, directory))
        if service not in directory.open_to_gateways
        else frozenset()
    )
    waypoints = {waypoint_identity(one, directory) for one in directory.waypoints.values()}
    sidecars = frozenset(
        identity
        for identity, name in directory.workloads.items()
        if name in directory.sidecars and not is_gateway(name, directory)
    )
    own = directory.waypoints[service]
    address = directory.waypoint_addresses.get(own, "")
    return Passing(
        waypoint_identity(own, directory), address, gateways | waypoints, sidecars, directory.waypoint_places.get(own)
    )


def both(waypoint: Decision, ztunnel: Decision) -> Decision:
    """One decision of two proxies, of which the first has allowed the request."""
    errors, audited = (*waypoint.errors, *ztunnel.errors), waypoint.audited
    if not ztunnel.allowed:
        return Decision(False, ztunnel.rule, ztunnel.reasons, errors, audited)
    rule = ztunnel.rule if waypoint.rule == DEFAULT_ALLOW else waypoint.rule
    reasons = (*waypoint.reasons, *ztunnel.reasons)
    return Decision(True, rule, reasons, errors, audited, waypoint.dry_run or ztunnel.dry_run)


def behind(ztunnel: Decision) -> Decision:
    """The decision of ztunnel, as the caller of a waypoint hears of it.

    ztunnel refuses the tunnel (ztunnel: src/proxy/inbound.rs, serve_connect), the waypoint's Envoy has a request on a
    connection that ends, and tells its caller that.
    """
    return ztunnel if ztunnel.allowed else msgspec.structs.replace(closing(ztunnel), behind=True)


def closing(decision: Decision) -> Decision:
    """A decision by connection: who may not call has it closed, by ztunnel as by a sidecar on a port without HTTP.

    So Envoy's filters for TCP do, for RBAC and for questions to providers.
    """
    return decision if decision.allowed else msgspec.structs.replace(decision, status=STATUS_CLOSED, closes=True)


def unseen(rule: Rule) -> list[str]:
    """What a rule names that ztunnel does not see: fields and keys as they are written."""
    return [
        clause.field if clause.values or _is_condition(clause) else clause.not_field
        for either in (*rule.sources, *rule.operations, rule.conditions)
        for clause in either
        if not _is_seen(clause)
    ]


def _is_seen(clause: Clause) -> bool:
    unknown = _is_condition(clause) and clause.attribute in _SEEN_OF_SOURCES
    return (clause.attribute in _SEEN and not unknown) or clause.attribute.startswith(_OWN)


def _is_condition(clause: Clause) -> bool:
    return clause.field == clause.attribute


def at_ztunnel(policy: AuthorizationPolicy, rule: Rule, number: int, setting: Setting) -> Applied:
    """A rule as ztunnel applies it."""
    hidden = unseen(rule)
    if hidden and policy.action == "ALLOW":
        return left_out(number, rule.name, f"{hidden[0]} needs HTTP, which ztunnel does not see: it allows nothing")
    plain = msgspec.structs.replace(
        rule,
        sources=tuple(_seen(one) for one in rule.sources),
        operations=tuple(_seen(one) for one in rule.operations),
        conditions=_seen(rule.conditions),
    )
    return applied(policy, plain, number, setting)


def _seen(clauses: tuple[Clause, ...]) -> tuple[Clause, ...]:
    return tuple(clause for clause in clauses if _is_seen(clause))
