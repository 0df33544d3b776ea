"""What getting a certificate, and joining the mesh with it, costs in CPU operations: at who asks and at who answers.

The names are those of ``sidecar.tls.operations``, which the cost profile prices for each CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from meshsim.sidecar.tls import operations
from meshsim.sidecar.tls.operations import Operations

KEY_GENERATION: Final[Mapping[str, Operations]] = MappingProxyType(
    {
        "ecdsa-p256": (("p256.keygen", 1),),
        "ecdsa-p384": (("p384.keygen", 1),),
        # The same multiplication of the base point.
        "ed25519": (("ed25519.sign", 1),),
        # Finding primes, in times of a signature: medians of 60 keys by OpenSSL 4.0.3 on an AMD EPYC (31 and 112 ms).
        "rsa-2048": (("rsa-2048.sign", 145),),
        "rsa-3072": (("rsa-3072.sign", 180),),
        # The same expansion of the matrix and transforms: within 11 % of each other where both were measured.
        "ml-dsa-44": (("ml-dsa-44.verify", 1),),
        "ml-dsa-65": (("ml-dsa-65.verify", 1),),
    }
)
"""What making a key pair costs, by key type of the certificate."""

SETUP_ROUND_TRIPS: Final = 2
"""Round trips before the first request on a new connection: TCP, then TLS 1.3."""


def request_operations(key_type: str) -> Operations:
    """Return what a workload does to ask: it makes a key pair and signs the request with it (RFC 2986, section 3)."""
    return (*KEY_GENERATION[key_type], (f"{key_type}.sign", 1))


def signature_operations(key_type: str, issuer_key_type: str) -> Operations:
    """Return what an issuer does for a request: check its signature and content, and sign a certificate."""
    return (
        (f"{key_type}.verify", 1),
        (operations.CERTIFICATE_CHECK, 1),
        (f"{issuer_key_type}.sign", 1),
    )


def connection_operations(key_type: str | None, issuer_key_type: str) -> tuple[Operations, Operations]:
    """Return what a full TLS 1.3 handshake with the control plane costs its client and its server (X25519).

    ``key_type`` is that of the client's certificate; None for a client that has none yet. The control plane's own key
    is of the authority's type, and the root itself signed its certificate.
    """
    client: Operations = (
        (operations.CLIENT_HELLO, 1),
        *operations.CLIENT_SHARE["X25519"],
        (operations.CLIENT_FINISH, 1),
        *operations.CLIENT_SECRET["X25519"],
        (operations.CERTIFICATE_CHECK, 1),
        (f"{issuer_key_type}.verify", 2),
    )
    server: Operations = (
        (operations.SERVER_FLIGHT, 1),
        *operations.SERVER_SECRET["X25519"],
        (f"{issuer_key_type}.sign", 1),
        (operations.SERVER_FINISH, 1),
    )
    if key_type is not None:
        client += ((f"{key_type}.sign", 1),)
        server += ((operations.CERTIFICATE_CHECK, 1), (f"{issuer_key_type}.verify", 1), (f"{key_type}.verify", 1))
    return client, server
