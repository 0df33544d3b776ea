"""What one end of a connection is configured to speak, and what it holds when a handshake starts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from meshsim.identity.bundle import TrustBundle
from meshsim.identity.revocation import Crl, OcspStaple
from meshsim.identity.svid import KEY_TYPES, Svid

Mode = Literal["STRICT", "PERMISSIVE", "DISABLE"]

OcspPolicy = Literal["off", "soft", "lenient", "required"]

StaleCrls = Literal["refuse", "accept"]

VERSIONS: Final = ("1.2", "1.3")
"""TLS versions that can be offered, oldest first. Only 1.3 can be carried out; 1.2 is offered or refused."""

GROUPS: Final = ("X25519", "P-256", "P-384", "X25519MLKEM768")
"""Key exchange groups that can be negotiated."""

CIPHERS: Final = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")
"""TLS 1.3 cipher suites in OpenSSL's default order."""

SIGNATURE_SCHEMES: Final = frozenset(scheme for key in KEY_TYPES.values() for scheme in key.schemes)
"""Signature schemes for all key types."""

HASH_SIZE_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {"TLS_AES_256_GCM_SHA384": 48, "TLS_CHACHA20_POLY1305_SHA256": 32, "TLS_AES_128_GCM_SHA256": 32}
)
"""Output of each cipher suite's hash; a session can only be resumed under a suite with the same hash."""

TICKET_LIFETIME_NS: Final = 7_200 * 1_000_000_000
"""Default ticket lifetime: OpenSSL's for TLS 1.3."""


class TlsSettings(msgspec.Struct, frozen=True, cache_hash=True):
    """What one end of a connection speaks; a listener's or an upstream's."""

    mode: Mode = "STRICT"
    """STRICT: TLS only; PERMISSIVE: a listener accepts plaintext too; DISABLE: plaintext only. Default STRICT."""
    min_version: str = "1.3"
    """Oldest TLS version accepted. Default 1.3."""
    max_version: str = "1.3"
    """Newest TLS version offered. Default 1.3."""
    groups: tuple[str, ...] = ("X25519MLKEM768", "X25519")
    """Key exchange groups, the preferred one first; a client sends a key share for the first only."""
    ciphers: tuple[str, ...] = CIPHERS
    """TLS 1.3 cipher suites, the preferred one first."""
    signature_schemes: tuple[str, ...] = ()
    """Signature schemes that are accepted of a peer and used for one's own key, by their names in RFC 8446, section
    4.2.3; none given: all that OpenSSL has by default, which knows every key type here. Needs min_version 1.3."""
    ocsp: OcspPolicy = "off"
    """What a client makes of OCSP staples. off: it asks for none. soft: it asks, and refuses for one that is in date
    and says revoked. lenient: for any but one in date that says good. required: for none, too. Default off."""
    mutual: bool = True
    """A server demands a client certificate; a client presents its own when asked. Default true."""
    resumption: bool = True
    """A server issues usable session tickets; a client keeps and offers them. Default true."""
    bound: bool = False
    """Whether a session is resumed only while the certificates behind it would be accepted anew. Default false: OpenSSL
    shows none and checks none."""
    as_envoy: bool = False
    """Whether a client looks at the server's certificate anew before it resumes (BoringSSL's reverify on resume), and
    an end's sessions go with what it holds: a client's too have ``TlsSide.ticket_key``. Default false."""
    stale_crls: StaleCrls = "refuse"
    """What becomes of peers of an authority whose revocation list has ended. refuse: they are refused. accept: the list
    counts as if it had not. Default refuse."""
    ticket_lifetime_ns: int = TICKET_LIFETIME_NS
    """How long after it was received a client may offer a ticket, in nanoseconds. Default 7200 s."""

    def __post_init__(self) -> None:
        assert self.ocsp in ("off", "soft", "lenient", "required"), self.ocsp
        assert self.mode in ("STRICT", "PERMISSIVE", "DISABLE"), self.mode
        assert {self.min_version, self.max_version} <= set(VERSIONS), (self.min_version, self.max_version)
        assert self.min_version <= self.max_version, (self.min_version, self.max_version)
        for chosen, known in ((self.groups, GROUPS), (self.ciphers, CIPHERS)):
            assert chosen, "at least one is needed"
            assert set(chosen) <= set(known), chosen
            assert len(set(chosen)) == len(chosen), chosen
        assert set(self.signature_schemes) <= SIGNATURE_SCHEMES, self.signature_schemes
        assert len(set(self.signature_schemes)) == len(self.signature_schemes), self.signature_schemes
        assert not self.signature_schemes or self.min_version == "1.3", (
            "what TLS 1.2 would make of them is not modelled"
        )
        assert self.ticket_lifetime_ns >= 0, self.ticket_lifetime_ns


class TlsSide(msgspec.Struct, frozen=True):
    """All that one end brings to a handshake at one moment; a pure function of it decides what the end does."""

    settings: TlsSettings
    svid: Svid | None
    """The end's own certificate; ``None`` for a client (or broken server) without one."""
    bundles: Mapping[str, TrustBundle]
    """Trust bundles by trust domain: the end's own and those it federates with."""
    ticket_key: str = ""
    """Names the key that a listener seals session tickets with; a new one declines every older ticket. Where sessions
    go as Envoy's do, a client forgets its own with a new one."""
    crls: frozenset[Crl] = frozenset()
    """Revocation lists that the end has, one of an authority at most. Where there is one of any authority above a peer,
    there has to be one of each (as Envoy has it), in date by the end's clock."""
    ocsp_staple: OcspStaple | None = None
    """What a server's authority says of its certificate, to send along to clients that ask. One of another certificate,
    perhaps of the one before it, is kept back, as OpenSSL does."""
    serves: bool = True
    """Whether it may show its certificate as a server; Envoy's does not without a staple in date, if that is a must."""
