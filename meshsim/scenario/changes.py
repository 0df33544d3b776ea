"""Scenario models of changes: policies, TLS settings and terms of certificates that are others from some instant on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from meshsim.scenario.fields import Duration, FromList, Model, Name, S, Share
from meshsim.scenario.identity import Identity
from meshsim.scenario.policy import TrustDomain
from meshsim.scenario.tls import TlsOverride


class PolicyChange(Model):
    """Policies that take the place of those before, for the same engine."""

    files: Annotated[tuple[str, ...], FromList, Field(min_length=1)]
    """Policy files, beside the scenario file."""
    default: Literal["deny", "allow"] | None = None
    """What holds when no policy matches. Default: as before."""


class IdentityChange(Model):
    """Other terms of the certificates of a trust domain."""

    svid_ttl_ns: Duration | None = Field(default=None, alias="svid_ttl", ge=S)
    """As in mesh.identity; of certificates that are issued from then on. Default: as before."""
    backdate_ns: Duration | None = Field(default=None, alias="backdate")
    """As in mesh.identity; of certificates that are issued from then on. Default: as before."""
    rotate_at_ppm: Share | None = Field(default=None, alias="rotate_at", gt=0)
    """As in mesh.identity; for each workload from when it has the change, also for the certificate that it has.
    Default: as before."""
    rotate_jitter_ppm: Share | None = Field(default=None, alias="rotate_jitter", le=500_000)
    """As in mesh.identity; for each workload from when it has the change, also for the certificate that it has.
    Default: as before."""
    renew: Literal["at-once", "when-due"] | None = None
    """What becomes of the certificates that are out. at-once: each workload asks for another when it has the change.
    when-due: they run on until they are to be replaced. Default: at-once for workloads that get another type of key,
    when-due for all others."""

    @property
    def terms(self) -> dict[str, int]:
        """What is other than before, by the names of the fields of Identity."""
        return {name: value for name, value in self if name != "renew" and value is not None}


class DomainChange(Model):
    """What becomes other in one trust domain of mesh.federation."""

    identity: IdentityChange
    """Other terms of its certificates."""


def identity_after(before: Identity, change: IdentityChange | None) -> Identity:
    """The settings of certificates after a change: those before, but for what it sets."""
    return before if change is None else before.model_copy(update=change.terms)


class Change(Model):
    """One change of configuration: control planes have it at an instant, sidecars when it has reached them."""

    name: Name | None = None
    """Name in tables and expectations. Default: change, numbered from 2 if there are more."""
    at_ns: Duration = Field(alias="at")
    """When the control plane has it, of each trust domain that it concerns."""
    policy: PolicyChange | None = None
    """Other policies. Default: as before."""
    tls: TlsOverride | None = None
    """Other TLS settings of the whole mesh, where a service or fleet has none of its own. Default: as before."""
    workloads: dict[Name, TlsOverride] = {}
    """Other TLS settings of single services and fleets, in place of those that they had of their own."""

    identity: IdentityChange | None = None
    """Other terms of the certificates of the mesh's own trust domain. Default: as before."""

    domains: dict[TrustDomain, DomainChange] = {}
    """The same of other trust domains of mesh.federation, such as {x.example: {identity: {svid_ttl: 1 h}}}. Default: as
    before."""

    @model_validator(mode="after")
    def _changes_something(self) -> Change:
        if not any((self.policy, self.tls, self.workloads, self.identity, self.domains)):
            raise ValueError("nothing is changed; expected policy, tls, workloads, identity or domains")
        return self

    def identities(self, own: str) -> dict[str, IdentityChange]:
        """Other terms of certificates by trust domain, of which the mesh's own is ``own``."""
        mesh = {} if self.identity is None else {own: self.identity}
        return mesh | {name: domain.identity for name, domain in self.domains.items()}
