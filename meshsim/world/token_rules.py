"""Which tokens are accepted: the settings of a scenario and Istio's rules, as what judges tokens goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.identity.token_check import Accepted, Lookup, TokenRules
from meshsim.identity.token_places import places_of
from meshsim.identity.tokens import Issuer
from meshsim.policy.istio_waypoints import passing
from meshsim.scenario.ports import HTTP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meshsim.policy.engine import Directory
    from meshsim.policy.istio_types import JwtRule
    from meshsim.scenario.model import Scenario
    from meshsim.scenario.tokens import TokenCheck, TokenIssuer


def iss_of(name: str, issuer: TokenIssuer, scenario: Scenario) -> str:
    """Return what the tokens of an issuer of the mesh say in the claim ``iss``."""
    return issuer.issuer or f"https://{name}.{issuer.trust_domain or scenario.mesh.trust_domain}"


def lookups_of(
    rules: Sequence[JwtRule], issuers: Sequence[Issuer], in_jwks: frozenset[str] = frozenset()
) -> tuple[Lookup, ...]:
    """Return what rules of RequestAuthentications come to, with the keys of these issuers.

    ``in_jwks``: names of those whose key counts as one of the key set that a rule brings.
    """
    return tuple(
        Lookup(
            accepted=tuple(_accepted(rule, issuers, in_jwks)),
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


def _accepted(rule: JwtRule, issuers: Sequence[Issuer], in_jwks: frozenset[str]) -> Iterator[Accepted]:
    """Whose tokens a rule accepts: scenario's issuers, and one of which nothing is known but the rule's key set.

    Without a key set the keys of a scenario's issuer are what its address, or its discovery, would give.
    """
    known = [one for one in issuers if rule.issuer in ("", one.iss)]
    for one in known:
        yield Accepted(one, rule.audiences, rule.jwks, not rule.jwks or one.name in in_jwks)
    if not rule.issuer or not known:
        yield Accepted(Issuer(name="", iss=rule.issuer, algorithm="", seed=0), rule.audiences, rule.jwks, has_key=False)


def istio_rules(
    rules: Sequence[JwtRule],
    issuers: Sequence[Issuer],
    in_jwks: frozenset[str],
    leeway_s: int,
    listeners: Mapping[int, str],
) -> TokenRules | None:
    """Return what RequestAuthentications come to at replicas with these ports; None without any rule."""
    lookups = lookups_of(rules, issuers, in_jwks)
    accepted = tuple(each for lookup in lookups for each in lookup.accepted)
    blind = frozenset(port for port, protocol in listeners.items() if protocol not in HTTP)
    return TokenRules(accepted, False, "ignored", leeway_s, lookups, blind) if rules else None


def past_waypoint(service: str, directory: Directory) -> frozenset[str]:
    """Return whose requests go past the waypoint of a service, and so past who looks at tokens; nobody's without one.

    The empty SPIFFE ID stands for callers that prove none.
    """
    if service not in directory.waypoints:
        return frozenset()
    way = passing(service, directory)
    return frozenset({"", *way.past, *way.sidecars})


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
