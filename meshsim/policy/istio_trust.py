"""Trust domain aliases: a principal in one of a mesh's trust domains stands for the same principal in all of them.

As Istio does it while trust domains migrate (pilot/pkg/security/trustdomain): principals of another form than
``trust-domain/ns/namespace/sa/account``, of any trust domain (``*/…``) or of a foreign one stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

LOCAL = "cluster.local"
"""Stands for a mesh's own trust domain and its aliases, whatever they are called."""

_PARTS = 5


def with_aliases(principals: Sequence[str], trust_domains: Sequence[str]) -> list[str]:
    """Principals, and those that they stand for in the mesh's own trust domains (its own first, then aliases)."""
    found: list[str] = []
    for principal in principals:
        written, *rest = principal.split("/")
        known = written == LOCAL or any(_meet(written, domain) for domain in trust_domains)
        if len(rest) != _PARTS - 1 or written == "*" or not known:
            found.append(principal)
            continue
        for domain in trust_domains:
            # A trust domain with a star in front stays as it is where it fits.
            fits = written.startswith("*") and domain.endswith(written[1:])
            replaced = principal if fits else "/".join((domain, *rest))
            if replaced not in found:
                found.append(replaced)
    return found


def _meet(one: str, other: str) -> bool:
    """Whether two trust domains, each of which may have a star at one end, can be the same."""
    return one == other or "*" in (one, other) or _is_like(one, other) or _is_like(other, one)


def _is_like(text: str, pattern: str) -> bool:
    begins = pattern.endswith("*") and text.startswith(pattern[:-1])
    return begins or (pattern.startswith("*") and text.endswith(pattern[1:]))
