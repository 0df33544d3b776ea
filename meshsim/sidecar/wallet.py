"""Tokens that a workload can present, and the certificates that they may be bound to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from meshsim.identity.svid import Svid
from meshsim.identity.token_flaws import flawed
from meshsim.identity.tokens import Grant, Token

S = 1_000_000_000
OWN = "own"

Thumbprint = Callable[[Svid | None], str]
"""The thumbprint of a certificate (RFC 8705, section 3.1); empty for none."""


class Entry(msgspec.Struct, frozen=True):
    """One token of a wallet."""

    grant: Grant
    flaw: str = ""
    """What is wrong with it, as ``token_flaws`` names it; empty for nothing."""
    bound_to: Callable[[], str] | None = None
    """Thumbprint of the certificate that a stolen one is bound to now; None for the one that the connection shows."""
    key_at: Callable[[int], str] | None = None
    """Which key its issuer signed with at an instant, in seconds since the Unix epoch; None if it has but one."""
    at_hand_s: Callable[[str], int | None] | None = None
    """When the token that its holder has fetched was issued, by the thumbprint that it is bound to: seconds since the
    Unix epoch, or None while it has none that is good. None: nobody has to fetch it."""
    needed: bool = False
    """Whether nothing is sent without it."""
    waited_for: bool = False
    """Whether the workload waits for it where it has none."""


class Wallet:
    """The tokens of one workload."""

    def __init__(self, entries: Mapping[str, Entry], leeway_s: int, thumbprint: Thumbprint) -> None:
        self._entries = entries
        self._leeway_s = leeway_s
        self._thumbprint = thumbprint

    def present(self, key: str, clock_ns: int, svid: Svid | None) -> Token | None:
        """Return the token known by ``key`` on a connection that shows the certificate ``svid``; None if none is there.

        A token that is bound is bound to that certificate, as its holder has one for each: so a certificate that is
        replaced does not turn the tokens on connections that began before into stolen ones.
        """
        entry = self._entries[key]
        grant = entry.grant
        thumbprint = ""
        if grant.bound:
            thumbprint = self._thumbprint(svid) if entry.bound_to is None else entry.bound_to()
        fetched_s = None
        if entry.at_hand_s is not None:
            fetched_s = entry.at_hand_s(thumbprint)
            if fetched_s is None:
                return None
        if entry.key_at is not None:
            grant = grant.signed_with(entry.key_at(grant.issued_s(clock_ns // S) if fetched_s is None else fetched_s))
        if fetched_s is not None:
            return grant.made(fetched_s, thumbprint)
        if entry.flaw:
            return flawed(grant, entry.flaw, clock_ns // S, self._leeway_s, thumbprint)
        return grant.token(clock_ns // S, thumbprint)

    def waits(self, key: str) -> bool:
        """Say whether calls that should carry this token wait until it has been fetched."""
        return self._entries[key].waited_for

    def needs(self, key: str) -> bool:
        """Say whether a request that should carry this token is not sent without it."""
        return self._entries[key].needed
