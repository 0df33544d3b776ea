"""What getting a certificate, and joining the mesh with it, costs in CPU operations: at who asks and at who answers.

The names are those of ``sidecar.tls.operations``, which the cost profile prices for each CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from meshsim.sidecar.tls import operations
from meshsim.sidecar.tls.operations import Operations

KEY_GENERATION: Final[Mapping[str, str]] = MappingProxyType({"ecdsa-p256": "p256.keygen"})
"""What making a key pair costs, by key type of the certificate."""

ISSUER_KEY: Final = "ecdsa-p256"
"""Key type of authorities, and of the control plane's own certificate."""

SETUP_ROUND_TRIPS: Final = 2
"""Round trips before the first request on a new connection: TCP, then TLS 1.3."""


def request_operations(key_type: str) -> Operations:
    """Return what a workload does to ask: it makes a key pair and signs the request with it (RFC 2986, section 3)."""
    return ((KEY_GENERATION[key_type], 1), (f"{key_type}.sign", 1))


def signature_operations(key_type: str, issuer_key_type: str) -> Operations:
    """Return what an issuer does for a request: check its signature and content, and sign a certificate."""
    return (
        (f"{key_type}.verify", 1),
        (operations.CERTIFICATE_CHECK, 1),
        (f"{issuer_key_type}.sign", 1),
    )


def connection_operations(key_type: str | None) -> tuple[Operations, Operations]:
    """Return what a full TLS 1.3 handshake with the control plane costs its client and its server (X25519).

    ``key_type`` is that of the client's certificate; None for a client that has none yet.
    """
    client: Operations = (
        (operations.CLIENT_HELLO, 1),
        *operations.CLIENT_SHARE["X25519"],
        (operations.CLIENT_FINISH, 1),
        *operations.CLIENT_SECRET["X25519"],
        (operations.CERTIFICATE_CHECK, 1),
        (f"{ISSUER_KEY}.verify", 2),
    )
    server: Operations = (
        (operations.SERVER_FLIGHT, 1),
        *operations.SERVER_SECRET["X25519"],
        (f"{ISSUER_KEY}.sign", 1),
        (operations.SERVER_FINISH, 1),
    )
    if key_type is not None:
        client += ((f"{key_type}.sign", 1),)
        server += ((operations.CERTIFICATE_CHECK, 1), (f"{ISSUER_KEY}.verify", 1), (f"{key_type}.verify", 1))
    return client, server
