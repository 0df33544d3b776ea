"""Which tokens are accepted: the settings of a scenario and Istio's rules, as what judges tokens goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.identity.token_check import Accepted, Lookup, TokenRules
from meshsim.identity.token_places import places_of
from meshsim.scenario.ports import HTTP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshsim.identity.tokens import Issuer
    from meshsim.policy.istio_types import JwtRule
    from meshsim.scenario.model import Scenario
    from meshsim.scenario.tokens import TokenCheck, TokenIssuer


def iss_of(name: str, issuer: TokenIssuer, scenario: Scenario) -> str:
    """Return what the tokens of an issuer of the mesh say in the claim ``iss``."""
    return issuer.issuer or f"https://{name}.{issuer.trust_domain or scenario.mesh.trust_domain}"


def lookups_of(rules: Sequence[JwtRule], issuers: Sequence[Issuer]) -> tuple[Lookup, ...]:
    """Return what rules of RequestAuthentications come to, with the keys of these issuers."""
    return tuple(
        Lookup(
            accepted=tuple(Accepted(one, rule.audiences) for one in issuers if rule.issuer in ("", one.iss)),
            places=places_of(rule.from_headers, rule.from_params, rule.from_cookies),
            forward=rule.forward,
            payload_header=rule.output_payload_to_header,
            claim_headers=rule.output_claims_to_headers,
            issuer=rule.issuer,
            audiences=rule.audiences,
            name=rule.name,
        )
        for rule in rules
    )


def istio_rules(
    rules: Sequence[JwtRule], issuers: Sequence[Issuer], leeway_s: int, listeners: Mapping[int, str]
) -> TokenRules | None:
    """Return what RequestAuthentications come to at replicas with these ports; None without any rule.

    The keys of an issuer are those of the scenario's issuer with that ``iss``; tokens of others do not exist here.
    """
    lookups = lookups_of(rules, issuers)
    accepted = tuple(each for lookup in lookups for each in lookup.accepted)
    blind = frozenset(port for port, protocol in listeners.items() if protocol not in HTTP)
    return TokenRules(accepted, False, "ignored", leeway_s, lookups, blind) if rules else None


def own_lookups(check: TokenCheck, accepted: tuple[Accepted, ...]) -> tuple[Lookup, ...]:
    """Return how a service looks for tokens by its own settings; nothing where that is as usual."""
    payload_header = check.output_payload_to_header or ""
    lookup = Lookup(
        accepted,
        places_of(((one.name, one.prefix) for one in check.from_headers), check.from_params, check.from_cookies),
        check.forward_original_token,
        payload_header.lower(),
        tuple((one.header.lower(), one.claim) for one in check.output_claims_to_headers),
    )
    return () if lookup.is_usual else (lookup,)
