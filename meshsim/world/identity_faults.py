"""Carries out the faults of certificates: issuers, authorities, bundle endpoints, revocation and who answers for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from meshsim.faults.interventions import (
    DisturbEndpoint,
    DisturbResponder,
    ForgetAuthorities,
    ReinstateWorkload,
    ReplaceAuthority,
    RestoreEndpoint,
    RestoreResponder,
    RevokeWorkload,
    StartIssuer,
    StartTokenEndpoint,
    StopIssuer,
    StopTokenEndpoint,
)

if TYPE_CHECKING:
    from meshsim.world.authorities import Authorities
    from meshsim.world.blaming import Effects
    from meshsim.world.domains import Domains
    from meshsim.world.endpoints import Endpoint
    from meshsim.world.identities import Identities
    from meshsim.world.issuers import Issuers
    from meshsim.world.issuing import IssuerProcess
    from meshsim.world.revoking import Revoking
    from meshsim.world.stapling import Stapling
    from meshsim.world.token_endpoints import TokenProcess
    from meshsim.world.token_fetching import TokenFetching


class IdentityFaults:
    """What is done at the beginning and the end of each of them."""

    def __init__(self, issuers: Issuers, domains: Domains, identities: Identities) -> None:
        self._issuers = issuers
        self._domains = domains
        self._identities = identities
        self.endpoints: Mapping[str, Endpoint] = {}
        """Bundle endpoints by trust domain."""
        self.fetching: TokenFetching | None = None
        """Fetches tokens; None where no issuer of tokens has an endpoint."""
        self.revoking: Revoking | None = None
        """Knows what is revoked; None where nothing is and no word of it could spread."""
        self.carry_out: dict[type, Callable[[Any, Effects], None]] = {
            StopIssuer: self._stop_issuer,
            StartIssuer: self._start_issuer,
            ReplaceAuthority: self._replace_authority,
            ForgetAuthorities: self._forget_authorities,
            DisturbEndpoint: self._disturb_endpoint,
            RestoreEndpoint: self._restore_endpoint,
            RevokeWorkload: self._revoke_workload,
            ReinstateWorkload: self._reinstate_workload,
            DisturbResponder: self._disturb_responder,
            RestoreResponder: self._restore_responder,
            StopTokenEndpoint: self._stop_token_endpoint,
            StartTokenEndpoint: self._start_token_endpoint,
        }

    def _issuer(self, trust_domain: str) -> IssuerProcess:
        return self._issuers.processes[trust_domain or self._domains.own.trust_domain]

    def _authorities(self, trust_domain: str) -> Authorities:
        return self._domains.all[trust_domain] if trust_domain else self._domains.own

    def _stop_issuer(self, intervention: StopIssuer, effects: Effects) -> None:
        self._issuer(intervention.trust_domain).stop()

    def _start_issuer(self, intervention: StartIssuer, effects: Effects) -> None:
        self._issuer(intervention.trust_domain).start()

    def _token_process(self, issuer: str) -> TokenProcess:
        assert self.fetching is not None, "scenarios with this fault have an endpoint"
        return self.fetching.processes[issuer]

    def _stop_token_endpoint(self, intervention: StopTokenEndpoint, effects: Effects) -> None:
        self._token_process(intervention.issuer).stop()

    def _start_token_endpoint(self, intervention: StartTokenEndpoint, effects: Effects) -> None:
        self._token_process(intervention.issuer).start()

    def _replace_authority(self, intervention: ReplaceAuthority, effects: Effects) -> None:
        authorities = self._authorities(intervention.trust_domain)
        effects.replaced = authorities.replace(overlap=intervention.overlap)
        effects.certificates += self._identities.superseded(authorities)

    def _forget_authorities(self, intervention: ForgetAuthorities, effects: Effects) -> None:
        self._authorities(intervention.trust_domain).forget(effects.replaced)

    def _disturb_endpoint(self, intervention: DisturbEndpoint, effects: Effects) -> None:
        def touched() -> None:
            effects.configurations += 1

        self.endpoints[intervention.trust_domain].begin(intervention.serves, touched)

    def _restore_endpoint(self, intervention: RestoreEndpoint, effects: Effects) -> None:
        self.endpoints[intervention.trust_domain].end(intervention.serves)

    def _revoke_workload(self, intervention: RevokeWorkload, effects: Effects) -> None:
        assert self.revoking is not None, "scenarios with this fault have a register"
        found = self.revoking.revoke(effects.planned.fault_id, intervention.target, holds_back=intervention.holds_back)
        effects.certificates += found

    def _reinstate_workload(self, intervention: ReinstateWorkload, effects: Effects) -> None:
        assert self.revoking is not None, "scenarios with this fault have a register"
        self.revoking.reinstate(intervention.target)

    def _stapling(self) -> Stapling:
        assert self.revoking is not None and self.revoking.stapling is not None, "scenarios with this fault staple"
        return self.revoking.stapling

    def _disturb_responder(self, intervention: DisturbResponder, effects: Effects) -> None:
        self._stapling().disturb(intervention.serves, effects)

    def _restore_responder(self, intervention: RestoreResponder, effects: Effects) -> None:
        self._stapling().restore(effects)
