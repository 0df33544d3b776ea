"""SPIFFE IDs: the names of workloads (SPIFFE-ID standard, section 2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

SCHEME: Final = "spiffe://"
MAX_ID_BYTES: Final = 2048
"""Longest SPIFFE ID that implementations have to accept (SPIFFE-ID, section 2.3)."""


def check_spiffe_id(spiffe_id: str) -> str | None:
    """Say what is wrong with the SPIFFE ID of a workload, or ``None`` when nothing is.

    The rules are those of the ``spiffe`` library; beyond them a workload needs a path, in canonical (lower) case of
    scheme and trust domain.
    """
    # The library's package pulls in its Workload API client (0.3 s): imported when a scenario is checked, not before.
    from spiffe import SpiffeId
    from spiffe.spiffe_id.spiffe_id import SpiffeIdError

    if len(spiffe_id.encode()) > MAX_ID_BYTES:
        return f"longer than {MAX_ID_BYTES} bytes"
    try:
        parsed = SpiffeId(spiffe_id)
    except SpiffeIdError as error:
        return str(error)
    if not parsed.path:
        return "a workload's SPIFFE ID needs a path; the bare trust domain names its authority"
    if str(parsed) != spiffe_id:
        return f"not in canonical form; write {parsed}"
    return None


def check_trust_domain(name: str) -> str | None:
    """Say what is wrong with the name of a trust domain, or ``None`` when nothing is."""
    from spiffe import TrustDomain
    from spiffe.spiffe_id.spiffe_id import TrustDomainError

    try:
        parsed = TrustDomain(name)
    except TrustDomainError as error:
        return str(error)
    return None if str(parsed) == name else f"not in canonical form; write {parsed}"


@lru_cache(maxsize=4096)
def trust_domain_of(spiffe_id: str) -> str:
    """Return the trust domain of a valid SPIFFE ID."""
    assert spiffe_id.startswith(SCHEME), spiffe_id
    return spiffe_id[len(SCHEME) :].partition("/")[0]


def service_spiffe_id(trust_domain: str, namespace: str, service_account: str) -> str:
    """Return the SPIFFE ID that Istio gives a workload: ``spiffe://<domain>/ns/<namespace>/sa/<account>``."""
    return f"{SCHEME}{trust_domain}/ns/{namespace}/sa/{service_account}"
