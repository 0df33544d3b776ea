"""What a scenario declares that questions may speak of: issuers and audiences of tokens, authorities of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.scenario.call_graph import calls_of
from meshsim.world.token_rules import iss_of

if TYPE_CHECKING:
    from meshsim.scenario.model import Scenario


def issuers_of(scenario: Scenario) -> dict[str, str]:
    """Name of an issuer of tokens → what they say in ``iss``."""
    tokens = scenario.mesh.tokens
    return {} if tokens is None else {name: iss_of(name, one, scenario) for name, one in tokens.issuers.items()}


def audiences_of(scenario: Scenario) -> tuple[str, ...]:
    """The audiences that tokens are made for, or accepted for."""
    services = scenario.services.values()
    held = [*(one.token for one in scenario.fleets.values()), *(one.token for one in services)]
    checks = [one.request_authentication for one in services]
    return tuple(dict.fromkeys(name for one in (*held, *checks) if one is not None for name in one.audiences))


def authorities_of(scenario: Scenario, workload: str) -> dict[str, str]:
    """Authority of the first request that a workload sends to a service, by the service, where one is said."""
    sent = [(flow.to, flow.authority) for flow in scenario.traffic if flow.source == workload]
    if workload in scenario.services:
        sent += [(call.to, call.authority) for _, call in calls_of(scenario, workload)]
    first: dict[str, str | None] = {}
    for to, authority in sent:
        first.setdefault(to, authority)
    return {to: authority for to, authority in first.items() if authority is not None}
