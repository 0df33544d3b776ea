"""Scenario models of certificates: how long they live, when they are replaced, who issues them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshsim.scenario.fields import Duration, Model, Name, Rate, S, Share
from meshsim.scenario.revocation import Revocation
from meshsim.scenario.units import PPM

PREPARE_CAP_NS = 30 * 86_400 * S
ACTIVATE_CAP_NS = 7 * 86_400 * S
"""Longest times before an authority's end at which its successor is made and signs, unless set: SPIRE's."""


KeyType = Literal["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072", "ml-dsa-44", "ml-dsa-65"]


class Attestation(Model):
    """A check of who somebody is, before anything is signed for it."""

    time_ns: Duration = Field(default=0, alias="time")
    """How long whoever vouches takes to answer (a cloud, a kubelet), beside network and CPU. Default: 0 s."""
    work_ns: Duration = Field(default=0, alias="work")
    """CPU time that it takes on the node of who is attested. Default: 0 s."""
    failure_ppm: Share = Field(default=0, alias="failure")
    """Share of attempts that fail; each is drawn by itself. Default: 0 %."""


class Retry(Model):
    """When a workload that got no certificate asks again: after a wait that grows with each failure, up to a cap."""

    base_ns: Duration = Field(default=1 * S, alias="base", gt=0)
    """The first wait. Default: 1 s, as ztunnel."""
    factor: Annotated[float, Field(ge=1, le=10)] = 2.0
    """By which each further wait is longer. Default: 2, as ztunnel."""
    cap_ns: Duration = Field(default=150 * S, alias="cap", gt=0)
    """Longest wait, before jitter. Default: 150 s, as ztunnel."""
    jitter_ppm: Share = Field(default=200_000, alias="jitter")
    """Largest part by which a wait is shorter or longer, drawn for each. Default: 20 %, as ztunnel."""
    of_remaining_ppm: Share | None = Field(default=None, alias="of_remaining", gt=0)
    """Instead of growing, a wait is this share of what is left of the certificate's life, from base to cap, as Linkerd
    has it. Without a certificate that is still valid it grows as above. Default: none."""


class Signing(Model):
    """A process on a node that signs, reached over the network, with a queue and limits."""

    node: Name | None = None
    """Node it runs on. Default: the control plane's."""
    cores: int | None = Field(default=None, ge=1)
    """Signatures that it makes at the same time. Default: as many as its node has cores."""
    signatures_uhz: Rate | None = Field(default=None, alias="signatures")
    """Most requests that it takes on per second, with bursts of one second's worth. Default: no limit."""
    signatures_per_node_uhz: Rate | None = Field(default=None, alias="signatures_per_node")
    """The same for requests from one node or device. Default: no limit."""
    longest_wait_ns: Duration | None = Field(default=None, alias="longest_wait")
    """A request that the limits would hold up for longer is refused at once. Default: none is."""
    queue: int = Field(default=10_000, ge=0)
    """Requests that may wait for it; any more are refused. Default: 10000."""


class Issuer(Signing):
    """Who signs certificates: a process on a node, reached over the network, with a queue and limits."""

    timeout_ns: Duration = Field(default=10 * S, alias="timeout", gt=0)
    """How long a workload waits for an answer, of the issuer or the control plane. Default: 10 s, as Istio."""
    retry: Retry = Retry()
    """When a workload asks again."""
    node_attestation: Attestation | None = None
    """Check of a node (or of a device with a radio) after each start, before any workload on it is issued anything: an
    exchange with the issuer, which signs a certificate for the node. Default: none."""
    workload_attestation: Attestation = Attestation()
    """Check of a workload when it starts, on its own node."""


class CaRotation(Model):
    """How authorities take each other's place before they end. A certificate never outlives its authority."""

    prepare_ns: Duration | None = Field(default=None, alias="prepare", gt=0)
    """How long before its end the next authority is made; from then on both are trusted, by whoever has heard of it.
    Default: half of ca_ttl, at most 30 d, as SPIRE."""
    activate_ns: Duration | None = Field(default=None, alias="activate", gt=0)
    """How long before its end the next one signs in its place. Default: a sixth of ca_ttl, at most 7 d, as SPIRE."""
    overlap: Literal["full", "none"] = "full"
    """full: the next one is trusted before it signs, and the old one until it ends. none: the next one is made, signs
    and is the only one to be trusted at one instant. Default: full."""


class Identity(Model):
    """Certificates of workloads (X.509-SVIDs)."""

    svid_ttl_ns: Duration = Field(default=3600 * S, alias="svid_ttl", ge=S)
    """Lifetime of a workload's certificate from the instant of issue, whole seconds. Default: 1 h, as SPIRE."""
    rotate_at_ppm: Share = Field(default=500_000, alias="rotate_at", gt=0)
    """Part of its lifetime after which a certificate is replaced; 100 % lets it expire. Default: 50 %."""
    rotate_jitter_ppm: Share = Field(default=0, alias="rotate_jitter", le=500_000)
    """Largest part of its lifetime by which a certificate is replaced earlier or later than that, drawn for each.
    Default: 0 %."""
    backdate_ns: Duration = Field(default=10 * S, alias="backdate")
    """How far not-before lies before the instant of issue, whatever the lifetime. Default: 10 s, as SPIRE."""
    hierarchy: Literal["root", "per-site"] = "root"
    """Who signs workloads' certificates. root: the root itself. per-site: an intermediate authority of the site where
    the workload is; its certificate is sent along in every full handshake. Default: root."""
    ca_key: KeyType = "ecdsa-p256"
    """Key type of authorities. Default: ecdsa-p256."""
    intermediate_ttl_ns: Duration | None = Field(default=None, alias="intermediate_ttl", ge=S)
    """Lifetime of an intermediate authority's certificate, whole seconds; the next one signs in its place from half of
    it on. Default: none, it ends with the root."""
    ca_ttl_ns: Duration = Field(default=31_536_000 * S, alias="ca_ttl", ge=S)
    """Lifetime of the certificate authority's own certificate. Default: 365 d."""
    ca_age_ns: Duration | None = Field(default=None, alias="ca_age")
    """How old the authority is when the run begins. Default: as old as the oldest certificate (at_start)."""
    ca_rotation: CaRotation | None = None
    """How authorities replace each other. Default: none, so that nobody is issued anything once the authority ends."""
    renew_within_ns: Duration | None = Field(default=None, alias="renew_within")
    """A workload that hears that another authority signs replaces its certificate within this time, at an instant that
    is drawn. Default: none, it waits for its rotation."""
    at_start: Literal["issued", "aged", "onboarding"] = "issued"
    """What workloads hold when the run begins. issued: a new certificate each. aged: one that is on its way to its
    rotation, each of another age, as in a mesh that has run for long. onboarding: nothing, so that each has to be
    attested and issued first. Default: issued."""
    issuer: Issuer | None = None
    """Who signs. Default: none, so that every certificate is there the instant it is asked for, at no cost."""
    revocation: Revocation | None = None
    """How word of revoked certificates (the fault revoke) spreads. Default: it does not, and peers believe a
    certificate until it ends."""

    @property
    def oldest_ns(self) -> int:
        """The age that a workload's certificate can have when the run begins."""
        if self.at_start != "aged":
            return 0
        return self.svid_ttl_ns * min(self.rotate_at_ppm + self.rotate_jitter_ppm, PPM) // PPM

    @property
    def authority_age_ns(self) -> int:
        """The age of the authority when the run begins."""
        return self.oldest_ns if self.ca_age_ns is None else self.ca_age_ns

    @property
    def prepare_ns(self) -> int:
        """How long before its end an authority's successor is made."""
        given_ns = None if self.ca_rotation is None else self.ca_rotation.prepare_ns
        return min(self.ca_ttl_ns // 2, PREPARE_CAP_NS) if given_ns is None else given_ns

    @property
    def activate_ns(self) -> int:
        """How long before its end an authority's successor signs."""
        given_ns = None if self.ca_rotation is None else self.ca_rotation.activate_ns
        return min(self.ca_ttl_ns // 6, ACTIVATE_CAP_NS) if given_ns is None else given_ns
