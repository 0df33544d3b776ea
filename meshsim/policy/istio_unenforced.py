"""What stands in Istio's policies and nobody enforces, though each is right by itself."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.policy.engine import Directory
from meshsim.policy.istio_attachment import unenforced
from meshsim.policy.istio_scope import is_for, workloads
from meshsim.policy.istio_types import AuthorizationPolicy, Policies, Scope
from meshsim.policy.istio_waypoints import ZTUNNEL_ACTIONS, is_behind_ztunnel, unseen
from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.words import one_of


def unenforced_in(policies: Policies, directory: Directory) -> Iterator[Diagnostic]:
    """Every policy, or part of one, that holds nowhere or not as it is written, by its name."""
    for either in (policies.authorization, policies.authentication):
        for one in either:
            yield from unenforced(one.name, one.scope, directory)
    for authentication in policies.authentication:
        if services := _behind_ztunnel(authentication.scope, directory):
            said = f"{authentication.name} is for {services}: in ambient mode ztunnel looks at no token, so"
            yield authentication.scope.place.diagnostic(f"{said} nothing enforces it; {_EXPECTED}")
    for policy in policies.authorization:
        if services := _behind_ztunnel(policy.scope, directory):
            yield from _at_ztunnel(policy, services)


_EXPECTED = "expected targetRefs to a service that a waypoint serves"


def _behind_ztunnel(scope: Scope, directory: Directory) -> str:
    """The services behind ztunnel that an object without ``targetRefs`` is for; empty if there is none."""
    if scope.targets:
        return ""
    each = workloads(directory)
    names = [
        name for name, version in each if is_behind_ztunnel(name, directory) and is_for(scope, name, directory, version)
    ]
    return one_of(list(dict.fromkeys(names))) if names else ""


def _at_ztunnel(policy: AuthorizationPolicy, services: str) -> Iterator[Diagnostic]:
    begin = f"{policy.name} is for {services}: in ambient mode ztunnel"
    if policy.action not in ZTUNNEL_ACTIONS:
        said = f"{begin} knows no {policy.action} policy, so nothing enforces it; {_EXPECTED}"
        yield policy.scope.place.diagnostic(said)
        return
    for rule in policy.rules:
        if hidden := unseen(rule):
            sees = f"{begin} sees no {one_of(list(dict.fromkeys(hidden)))}, so"
            then = "the rule allows nothing" if policy.action == "ALLOW" else "the rule denies whatever they are"
            yield rule.place.diagnostic(f"{sees} {then}; {_EXPECTED}")
