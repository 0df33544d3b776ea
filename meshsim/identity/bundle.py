"""Trust bundles: whom a verifier believes about one trust domain (SPIFFE Trust Domain and Bundle, section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec


class TrustBundle(msgspec.Struct, frozen=True):
    """The authorities of one trust domain that a verifier believes, less what has been revoked.

    A peer is checked against the bundle of its own trust domain and no other: an authority of a federated domain
    can't vouch for a workload of this one. The real roots of a bundle are the certificates of the authorities that
    it names, found by ``Authority.id`` in the register that a TLS engine is given.
    """

    trust_domain: str
    authorities: frozenset[str]
    """``Authority.id`` of each trusted authority; two during a rotation of the root."""
    revoked_serials: frozenset[int] = frozenset()
    """Serial numbers that are refused although their certificates are otherwise valid."""


def by_trust_domain(bundles: Iterable[TrustBundle]) -> Mapping[str, TrustBundle]:
    """Return a verifier's bundles by trust domain, its own and those of federated domains."""
    table: dict[str, TrustBundle] = {}
    for bundle in bundles:
        assert bundle.trust_domain not in table, f"two bundles for {bundle.trust_domain}"
        table[bundle.trust_domain] = bundle
    return MappingProxyType(table)
