"""Scenario models of TLS: the mesh's settings, and what services, fleets and ports have of their own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from meshsim.scenario.fields import Duration, FromList, Model, S
from meshsim.scenario.identity import KeyType

TlsMode = Literal["STRICT", "PERMISSIVE", "DISABLE"]
TlsVersion = Literal["1.2", "1.3"]
Group = Literal["X25519MLKEM768", "X25519", "P-256", "P-384"]
Cipher = Literal["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
SignatureScheme = Literal[
    "ecdsa_secp256r1_sha256",
    "ecdsa_secp384r1_sha384",
    "ed25519",
    "rsa_pss_rsae_sha256",
    "rsa_pss_rsae_sha384",
    "rsa_pss_rsae_sha512",
    "mldsa44",
    "mldsa65",
]


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ValueError(f"{name} is listed twice; expected each once, in order of preference")
    return names


_EachOnce = AfterValidator(_each_once)
Groups = Annotated[tuple[Group, ...], FromList, Field(min_length=1), _EachOnce]
Ciphers = Annotated[tuple[Cipher, ...], FromList, Field(min_length=1), _EachOnce]
SignatureSchemes = Annotated[tuple[SignatureScheme, ...], FromList, Field(min_length=1), _EachOnce]

RSA_SCHEMES: Final = ("rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512")
SCHEMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ecdsa-p256": ("ecdsa_secp256r1_sha256",),
        "ecdsa-p384": ("ecdsa_secp384r1_sha384",),
        "ed25519": ("ed25519",),
        "rsa-2048": RSA_SCHEMES,
        "rsa-3072": RSA_SCHEMES,
        "ml-dsa-44": ("mldsa44",),
        "ml-dsa-65": ("mldsa65",),
    }
)
"""Signature schemes that TLS 1.3 has for each key type (RFC 8446, section 4.2.3; draft-ietf-tls-mldsa)."""


class Resumption(Model):
    """Resumption of sessions, and what it rests on."""

    bound_to_certificate: bool = False
    """Whether a session is resumed only as long as both certificates that it began with would be accepted anew: neither
    has ended nor been revoked, as far as either end knows, and a server's tickets go with its certificate. OpenSSL
    looks at none of that. Default: false."""
    as_envoy: bool = False
    """Whether sessions end as in Envoy: a client looks at the server's certificate anew before it resumes, and the
    sessions of either end go when it has a new certificate or trust bundle of its own. No server looks at the client's
    certificate again. Default: false."""


def _resumption_kind(value: Any) -> str:
    return "more" if isinstance(value, dict | Resumption) else "plain"


Resumes = Annotated[
    Annotated[bool, Tag("plain")] | Annotated[Resumption, Tag("more")],
    Discriminator(_resumption_kind),
]
"""false: no tickets. true: tickets. A mapping: tickets, with more to be said about them."""


class Tls(Model):
    """How sidecars speak TLS."""

    mode: TlsMode = "STRICT"
    """STRICT: mutual TLS only. PERMISSIVE: a listener takes plaintext too. DISABLE: no TLS at all. Default: STRICT."""
    min_version: TlsVersion = "1.3"
    """Lowest version offered and accepted. Default: 1.3."""
    max_version: TlsVersion = "1.3"
    """Highest version offered and accepted. Default: 1.3."""
    groups: Groups = ("X25519", "P-256")
    """Key exchange groups in order of preference. Default: X25519, P-256, as Envoy."""
    ciphers: Ciphers = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
    """TLS 1.3 cipher suites in order of preference. Default: AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305."""
    signature_schemes: SignatureSchemes | None = None
    """Signature schemes that are accepted of a peer's key and used for one's own, by their names in TLS 1.3.
    Default: all of OpenSSL's, which has one for every key type."""
    key: KeyType = "ecdsa-p256"
    """Key type of workloads' certificates: ecdsa-p256, ecdsa-p384, ed25519, rsa-2048, rsa-3072, ml-dsa-44 or ml-dsa-65.
    Default: ecdsa-p256."""
    resumption: Resumes = True
    """Whether listeners issue session tickets and clients use them: true, false, or a mapping such as
    {bound_to_certificate: true}. Default: true."""
    ticket_lifetime_ns: Duration = Field(default=7200 * S, alias="ticket_lifetime", gt=0)
    """How long a ticket can be used, in simulated time. Default: 2 h, as OpenSSL."""


class PortTls(Model):
    """Settings of a listener that differ from its service's; what is left out is the service's."""

    mode: TlsMode | None = None
    """As in mesh.tls."""
    min_version: TlsVersion | None = None
    """As in mesh.tls."""
    max_version: TlsVersion | None = None
    """As in mesh.tls."""
    groups: Groups | None = None
    """As in mesh.tls."""
    ciphers: Ciphers | None = None
    """As in mesh.tls."""
    signature_schemes: SignatureSchemes | None = None
    """As in mesh.tls."""
    resumption: Resumes | None = None
    """As in mesh.tls."""


class TlsOverride(PortTls):
    """Settings of one service or fleet that differ from the mesh's; what is left out is the mesh's."""

    key: KeyType | None = None
    """As in mesh.tls."""


def tls_of(mesh: Tls, *overrides: PortTls | None) -> Tls:
    """The TLS settings of a service, fleet or port: the mesh's, but for what overrides set, the last one first."""
    changes = {
        name: value for override in overrides if override is not None for name, value in override if value is not None
    }
    return mesh.model_copy(update=changes) if changes else mesh
