"""Scenario models of certificates: how long they live, when they are replaced, who issues them."""

from __future__ import annotations

from pydantic import Field

from meshsim.scenario.fields import Duration, Model, S, Share


class Identity(Model):
    """Certificates of workloads (X.509-SVIDs)."""

    svid_ttl_ns: Duration = Field(default=3600 * S, alias="svid_ttl", ge=S)
    """Lifetime of a workload's certificate, whole seconds. Default: 1 h, as SPIRE."""
    rotate_at_ppm: Share = Field(default=500_000, alias="rotate_at", gt=0)
    """Part of its lifetime after which a certificate is replaced; 100 % lets it expire. Default: 50 %."""
    rotate_jitter_ppm: Share = Field(default=0, alias="rotate_jitter", le=500_000)
    """Largest part of its lifetime by which a certificate is replaced earlier or later than that, drawn for each.
    Default: 0 %."""
    backdate_ns: Duration = Field(default=10 * S, alias="backdate")
    """How far not-before lies before the instant of issue. Default: 10 s, as SPIRE."""
    ca_ttl_ns: Duration = Field(default=31_536_000 * S, alias="ca_ttl", ge=S)
    """Lifetime of the certificate authority's own certificate. Default: 365 d."""
