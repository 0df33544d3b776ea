"""Trust domains: the authorities of each, and what its workloads are told of the others'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from meshsim.identity.bundle import TrustBundle, by_trust_domain
from meshsim.identity.spiffe import trust_domain_of
from meshsim.world.authorities import Authorities

if TYPE_CHECKING:
    from meshsim.identity.authority import Authority
    from meshsim.world.authorities import Trust
    from meshsim.world.hosts import Host
    from meshsim.world.state import State


class Foreign(msgspec.Struct, frozen=True):
    """What a trust domain's workloads are told of others at one time."""

    sequence: int
    """Counts from 1; a higher one takes the place of a lower."""
    bundles: tuple[TrustBundle, ...]
    """One of each trust domain that is believed; never pooled."""


class Domains:
    """Every trust domain of a run."""

    def __init__(self, state: State, home: str) -> None:
        """``home``: the node of the mesh's control plane, which is that of its own trust domain too."""
        mesh = state.scenario.mesh
        issuer = mesh.identity.issuer
        own_node = None if issuer is None else issuer.node or home
        self.by_id: dict[str, Authority] = {}
        """Every authority, by its id."""
        self.own = Authorities(state, mesh.trust_domain, own_node, self.by_id)
        """The authorities of the mesh's own trust domain."""
        self.nodes = {mesh.trust_domain: home}
        """Node of each domain's control plane."""
        self.issuer_nodes = {mesh.trust_domain: own_node or home}
        """Node of who signs in each domain: its issuer, or else its control plane."""
        self.all = {mesh.trust_domain: self.own}
        """The authorities of each trust domain, the mesh's own first."""
        for name, domain in mesh.federation.domains.items() if mesh.federation is not None else ():
            self.nodes[name] = domain.node
            issuer = domain.identity.issuer
            self.issuer_nodes[name] = domain.node if issuer is None else issuer.node or domain.node
            self.all[name] = Authorities(state, name, self.issuer_nodes[name], self.by_id)
        self.told: dict[str, Foreign] = {}
        """What the control plane of a domain has of others; none that fetches nothing is here."""
        self._merged: dict[tuple[str, int, int], Mapping[str, TrustBundle]] = {}

    def of(self, host: Host) -> Authorities:
        """Return the authorities of a host's own trust domain."""
        return self.own if len(self.all) == 1 else self.all[trust_domain_of(host.spiffe_id)]

    def foreign(self, host: Host) -> Foreign | None:
        """Return what a host can be told of other trust domains now; None where its own fetches nothing."""
        return self.told.get(trust_domain_of(host.spiffe_id)) if self.told else None

    def bundles(self, host: Host, trust: Trust, foreign: Foreign | None) -> Mapping[str, TrustBundle]:
        """Return the bundles of a host by trust domain: its own, and those that it was told of."""
        if foreign is None or not foreign.bundles:
            return trust.bundles
        key = trust_domain_of(host.spiffe_id), trust.sequence, foreign.sequence
        merged = self._merged.get(key)
        if merged is None:
            merged = self._merged[key] = by_trust_domain([*trust.bundles.values(), *foreign.bundles])
        return merged
