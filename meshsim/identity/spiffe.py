"""SPIFFE IDs: the names of workloads (SPIFFE-ID standard, section 2)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

SCHEME: Final = "spiffe://"
MAX_ID_BYTES: Final = 2048
"""Longest SPIFFE ID that implementations have to accept (SPIFFE-ID, section 2.3)."""


MAX_TRUST_DOMAIN_BYTES: Final = 255
"""Longest name of a trust domain (SPIFFE-ID, section 2.3)."""

_WORKLOAD_ID: Final = re.compile(r"spiffe://[a-z0-9._-]{1,255}(?:/(?!\.{1,2}(?:/|\Z))[a-zA-Z0-9._-]+)+")


@lru_cache(maxsize=65_536)
def is_workload_id(spiffe_id: str) -> bool:
    """Say whether this is the SPIFFE ID of a workload, to the letter (SPIFFE-ID, section 2; X.509-SVID, section 5.2).

    Scheme and trust domain are in lower case, there is no port, user, query, fragment or percent sign, and the path has
    at least one segment, none of which is empty, ``.`` or ``..``. No case is folded: verifiers compare bytes.
    """
    return len(spiffe_id) <= MAX_ID_BYTES and _WORKLOAD_ID.fullmatch(spiffe_id) is not None


def check_spiffe_id(spiffe_id: str) -> str | None:
    """Say what is wrong with the SPIFFE ID of a workload, or ``None`` when nothing is.

    The rules are those of the ``spiffe`` library; beyond them a workload needs a path, in canonical (lower) case of
    scheme and trust domain.
    """
    # The library's package pulls in its Workload API client (0.3 s): imported when a scenario is checked, not before.
    from spiffe import SpiffeId
    from spiffe.spiffe_id.spiffe_id import SpiffeIdError

    if len(spiffe_id.encode(errors="surrogatepass")) > MAX_ID_BYTES:
        return f"longer than {MAX_ID_BYTES} bytes"
    try:
        parsed = SpiffeId(spiffe_id)
    except SpiffeIdError as error:
        return str(error)
    if not parsed.path:
        return "a workload's SPIFFE ID needs a path; the bare trust domain names its authority"
    if str(parsed) != spiffe_id:
        return f"not in canonical form; write {parsed}"
    if not is_workload_id(spiffe_id):
        return f"has a trust domain of more than {MAX_TRUST_DOMAIN_BYTES} bytes, or ends in a line break"
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
