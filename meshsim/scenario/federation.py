"""Scenario models of federation: further trust domains, who is in them, and whose bundles each of them fetches."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshsim.scenario.fields import Duration, FromList, Model, Name, S, Share
from meshsim.scenario.identity import CaRotation, Identity, Issuer, KeyType
from meshsim.scenario.policy import TrustDomain
from meshsim.scenario.tls import TlsOverride

DEFAULT_REFRESH_NS = 300 * S
"""How often a bundle without a refresh hint is fetched (SPIFFE Federation, section 4.1)."""


class BundleEndpoint(Model):
    """Where other trust domains fetch the bundle of one, and how."""

    node: Name | None = None
    """Node that serves it. Default: the trust domain's node."""
    profile: Literal["https_spiffe", "https_web"] = "https_spiffe"
    """How who fetches knows the endpoint. https_spiffe: by an X.509-SVID of the trust domain itself, checked with the
    bundle that was fetched last. https_web: by a certificate of the public Web PKI. Default: https_spiffe."""
    refresh_hint_ns: Duration | None = Field(default=None, alias="refresh_hint", ge=S)
    """spiffe_refresh_hint: how often others are to fetch it, whole seconds. Default: none, they do every 5 min."""
    sequence: bool = True
    """Whether the bundle carries spiffe_sequence, so that an older one is told from a newer one. Default: true."""


class Polls(Model):
    """When bundles are fetched."""

    per_hint: int = Field(default=1, ge=1, le=100)
    """How many fetches fall into the time of a refresh hint; without hint it is 5 min from one to the next. SPIRE
    makes 4. Default: 1, as the standard has it."""
    jitter_ppm: Share = Field(default=0, alias="jitter", le=500_000)
    """Largest part by which the time to the next fetch is shorter or longer, drawn for each. Default: 0 %, as SPIRE."""


class DomainIdentity(Model):
    """Certificates of a trust domain that are not as mesh.identity has them."""

    svid_ttl_ns: Duration | None = Field(default=None, alias="svid_ttl", ge=S)
    """Lifetime of a workload's certificate, whole seconds. Default: mesh.identity's."""
    ca_key: KeyType | None = None
    """Key type of its authorities. Default: mesh.identity's."""
    ca_ttl_ns: Duration | None = Field(default=None, alias="ca_ttl", ge=S)
    """Lifetime of its authority's certificate. Default: mesh.identity's."""
    ca_age_ns: Duration | None = Field(default=None, alias="ca_age")
    """How old its authority is when the run begins. Default: mesh.identity's."""
    ca_rotation: CaRotation | None = None
    """How its authorities replace each other. Default: as mesh.identity has it."""
    renew_within_ns: Duration | None = Field(default=None, alias="renew_within")
    """Time within which a workload replaces its certificate when it hears of another authority. Default:
    mesh.identity's."""
    at_start: Literal["issued", "aged", "onboarding"] | None = None
    """What its workloads hold when the run begins; onboarding asks for an issuer here. Default: mesh.identity's."""
    issuer: Issuer | None = None
    """Who signs for its workloads: an issuer of its own, by default on the trust domain's node. Default: none, so that
    every certificate is there the instant it is asked for, whoever issues those of the mesh's own trust domain."""


class FederatedDomain(Model):
    """A trust domain beside the mesh's own, with an authority of its own."""

    node: Name
    """Node of its authority and of its control plane: it serves the bundle, fetches those of others, pushes
    authorities, deny lists and the changes that concern its proxies, and hands out configuration at the start. Which
    endpoints there are comes from mesh.control's node."""
    services: Annotated[tuple[Name, ...], FromList] = ()
    """Services whose workloads are in it. Default: none."""
    fleets: Annotated[tuple[Name, ...], FromList] = ()
    """Fleets whose devices are in it. Default: none."""
    trusts: Annotated[tuple[TrustDomain, ...], FromList] = ()
    """Trust domains whose bundles it fetches, so that its workloads believe theirs. Default: none, only its own."""
    endpoint: BundleEndpoint = BundleEndpoint()
    """Its bundle endpoint."""
    tls: TlsOverride | None = None
    """How its workloads speak TLS, where that differs from mesh.tls. Services, fleets and ports may differ from it."""
    identity: DomainIdentity = DomainIdentity()
    """Certificates of its workloads and authorities, and who issues them."""


class Federation(Model):
    """Several trust domains in one scenario: a peer is checked with the bundle of its own, and refused without one."""

    domains: dict[TrustDomain, FederatedDomain] = Field(min_length=1, max_length=100)
    """Trust domains beside the mesh's own, by name."""
    trusts: Annotated[tuple[TrustDomain, ...], FromList] = ()
    """Trust domains whose bundles the mesh's own one fetches. Default: none."""
    endpoint: BundleEndpoint = BundleEndpoint()
    """Bundle endpoint of the mesh's own trust domain."""
    polls: Polls = Polls()
    """How often bundles are fetched, and how evenly."""
    stale_after_polls: int = Field(default=3, ge=1, le=1000)
    """A bundle is stale when so many fetches in a row have brought nothing. Default: 3."""
    when_stale: Literal["keep", "refuse"] = "keep"
    """What becomes of a stale bundle. keep: it holds on, as the standard has it. refuse: peers of its trust domain are
    refused until it is fetched again. Default: keep."""

    def domain_of(self, workload: str) -> str | None:
        """The trust domain that a service or fleet is in; None for the mesh's own."""
        for name, domain in self.domains.items():
            if workload in domain.services or workload in domain.fleets:
                return name
        return None


_NEED_NOT_BE = frozenset(name for name, field in Identity.model_fields.items() if field.default is None)


def identity_of(mesh: Identity, domain: FederatedDomain) -> Identity:
    """The settings of certificates in a trust domain beside the mesh's own."""
    own = domain.identity
    written = {name: getattr(own, name) for name in own.model_fields_set}
    # null takes away what there need not be; of what there has to be, the mesh's holds.
    given = {name: value for name, value in written.items() if value is not None or name in _NEED_NOT_BE}
    if own.issuer is None and own.at_start is None and mesh.at_start == "onboarding":
        given["at_start"] = "issued"  # nobody is there to be asked
    return mesh.model_copy(update={"issuer": None, **given})
