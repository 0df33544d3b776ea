"""Scenario models of revocation: how peers hear that a certificate is not to be believed any more."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from meshsim.scenario.fields import Duration, Model, Name, S


class RevocationLists(Model):
    """Certificate revocation lists (CRLs), which proxies fetch."""

    every_ns: Duration = Field(default=60 * S, alias="every", gt=0)
    """How often each authority publishes a list. Default: 60 s."""
    valid_ns: Duration = Field(default=600 * S, alias="valid", ge=S)
    """How long a list can be used, whole seconds: its nextUpdate is that long after it was made. Default: 600 s."""
    fetch_ns: Duration = Field(default=60 * S, alias="fetch", gt=0)
    """How often a proxy fetches the newest lists, each from an instant of its own on. Default: 60 s."""
    stale: Literal["refuse", "accept"] = "refuse"
    """What a proxy makes of a list that has ended. refuse: it refuses every peer that the list is about, as OpenSSL and
    Envoy. accept: it goes on by what the list said, as rustls. Default: refuse."""


class Ocsp(Model):
    """OCSP responses, which servers fetch about their own certificates and send along (stapling)."""

    staple: Literal["lenient", "strict", "must_staple"] = "lenient"
    """What a server does without a response that is in date, as Envoy has it. lenient: it sends none. strict,
    must_staple: it refuses handshakes. With must_staple clients refuse a server that sends none, too, unless
    ``client`` has it otherwise. Default: lenient."""
    client: Literal["soft_fail", "lenient", "hard_fail"] | None = None
    """What a client makes of a server that does not prove that it is not revoked. soft_fail: it refuses only who sends
    a response in date that says revoked. lenient: who sends one that has ended, has not begun or says unknown, too;
    none is accepted. hard_fail: who sends none, too. Default: hard_fail with must_staple, else lenient."""
    valid_ns: Duration = Field(default=600 * S, alias="valid", ge=S)
    """How long a response can be used, whole seconds. Default: 600 s."""
    fetch_ns: Duration = Field(default=60 * S, alias="fetch", gt=0)
    """How often a server fetches a new one. A certificate comes with its first. Default: 60 s."""


class Revocation(Model):
    """How word of revoked certificates spreads. Whatever is chosen, a revoked workload is issued nothing more."""

    crl: RevocationLists | None = None
    """Revocation lists that proxies fetch. Default: none."""
    ocsp: Ocsp | None = None
    """OCSP responses that servers staple; they say nothing about clients. Default: none."""
    deny_list: bool = False
    """Whether the control plane pushes serial numbers to every proxy as soon as it knows them. Default: false."""
    live: Literal["keep", "cut"] = "keep"
    """What becomes of connections that are open when a proxy hears that the certificate of their peer was revoked.
    keep: they stay, and new ones are refused. cut: it closes them, as ztunnel. Default: keep."""
    node: Name | None = None
    """Node that lists and responses are fetched from. Default: the issuer's, or else the control plane's."""
