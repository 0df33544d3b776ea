"""How an end speaks TLS: its part of a scenario as sidecars take it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from meshsim.scenario.tls import Resumption
from meshsim.sidecar.tls.settings import OcspPolicy, TlsSettings

if TYPE_CHECKING:
    from meshsim.scenario.revocation import Ocsp, Revocation
    from meshsim.scenario.tls import Tls

OCSP: Final[Mapping[str, OcspPolicy]] = MappingProxyType(
    {"soft_fail": "soft", "lenient": "lenient", "hard_fail": "required"}
)
"""What clients make of OCSP staples, by its name in scenarios."""


def _policy(ocsp: Ocsp | None) -> OcspPolicy:
    if ocsp is None:
        return "off"
    return OCSP[ocsp.client or ("hard_fail" if ocsp.staple == "must_staple" else "lenient")]


def tls_settings(tls: Tls, revocation: Revocation | None = None) -> TlsSettings:
    """Return the settings of an end as its sidecar takes them, and what it makes of the ways to hear of revocation."""
    crl, ocsp = (None, None) if revocation is None else (revocation.crl, revocation.ocsp)
    return TlsSettings(
        mode=tls.mode,
        min_version=tls.min_version,
        max_version=tls.max_version,
        groups=tls.groups,
        ciphers=tls.ciphers,
        signature_schemes=tls.signature_schemes or (),
        mutual=True,
        resumption=tls.resumption is not False,
        bound=isinstance(tls.resumption, Resumption) and tls.resumption.bound_to_certificate,
        as_envoy=isinstance(tls.resumption, Resumption) and tls.resumption.as_envoy,
        ocsp=_policy(ocsp),
        stale_crls="refuse" if crl is None else crl.stale,
        ticket_lifetime_ns=tls.ticket_lifetime_ns,
    )
