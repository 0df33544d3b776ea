"""Names of the CPU operations that a TLS endpoint carries out, which a cost profile prices for each CPU.

A name is ``<primitive>.<operation>`` for one cryptographic primitive, or ``tls13.<step>`` for the work that the
protocol itself costs in one step: parsing, building messages, transcript hashes, the key schedule, allocations.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

Operations = tuple[tuple[str, int], ...]
"""Operation names with how often each is carried out in one step."""

CLIENT_HELLO: Final = "tls13.client_hello"
HELLO_RETRY_REQUEST: Final = "tls13.hello_retry_request"
SERVER_FLIGHT: Final = "tls13.server_flight"
CLIENT_FINISH: Final = "tls13.client_finish"
SERVER_FINISH: Final = "tls13.server_finish"
PSK_BINDER: Final = "tls13.psk_binder"
SESSION_TICKET: Final = "tls13.session_ticket"
SESSION_TICKET_STORE: Final = "tls13.session_ticket_store"
ALERT: Final = "tls13.alert"
CERTIFICATE_MESSAGES: Final = "tls13.certificate_messages"
CERTIFICATE_CHECK: Final = "x509.check"

DESCRIPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "x25519.keygen": "make an X25519 key pair",
        "x25519.derive": "derive an X25519 shared secret",
        "p256.keygen": "make an ECDH key pair on P-256",
        "p256.derive": "derive an ECDH shared secret on P-256",
        "p384.keygen": "make an ECDH key pair on P-384",
        "p384.derive": "derive an ECDH shared secret on P-384",
        "ml-kem-768.keygen": "make an ML-KEM-768 key pair",
        "ml-kem-768.parse": "read an ML-KEM-768 public key and expand its matrix",
        "ml-kem-768.encap": "encapsulate a secret to an ML-KEM-768 public key",
        "ml-kem-768.decap": "decapsulate an ML-KEM-768 ciphertext",
        "ml-kem-768.read": "read an ML-KEM-768 ciphertext and put both secrets of the exchange together",
        "ecdsa-p256.sign": "sign a hash with ECDSA on P-256",
        "ecdsa-p256.verify": "verify one ECDSA signature on P-256",
        "ecdsa-p384.sign": "sign a hash with ECDSA on P-384",
        "ecdsa-p384.verify": "verify one ECDSA signature on P-384",
        "ed25519.sign": "sign with Ed25519",
        "ed25519.verify": "verify one Ed25519 signature",
        "rsa-2048.sign": "sign a hash with a 2048-bit RSA key",
        "rsa-2048.verify": "verify one signature of a 2048-bit RSA key",
        "rsa-3072.sign": "sign a hash with a 3072-bit RSA key",
        "rsa-3072.verify": "verify one signature of a 3072-bit RSA key",
        "ml-dsa-44.sign": "sign with ML-DSA-44",
        "ml-dsa-44.verify": "verify one ML-DSA-44 signature",
        "ml-dsa-65.sign": "sign with ML-DSA-65",
        "ml-dsa-65.verify": "verify one ML-DSA-65 signature",
        CLIENT_HELLO: "build and write a ClientHello, without its key shares (client)",
        HELLO_RETRY_REQUEST: "read a ClientHello, to refuse it or ask again (server)",
        SERVER_FLIGHT: "read a ClientHello, write ServerHello to Finished, without signing or key exchange (server)",
        CLIENT_FINISH: "read the server's flight, write the client's last, without signatures or key exchange (client)",
        SERVER_FINISH: "read the client's last flight, without signatures (server)",
        PSK_BINDER: "compute or check the binder of an offered session ticket (either end)",
        SESSION_TICKET: "encode, seal and write one NewSessionTicket (server)",
        SESSION_TICKET_STORE: "read one NewSessionTicket and keep its session (client)",
        ALERT: "write or read a fatal alert (either end)",
        CERTIFICATE_MESSAGES: "read what stands around a server's certificate in a full handshake (client)",
        CERTIFICATE_CHECK: "parse a peer's certificate and judge path and identity, without signatures (either end)",
    }
)
"""Every operation that a step may name, with what it covers."""

OPERATIONS: Final[tuple[str, ...]] = tuple(DESCRIPTIONS)
"""The complete list of names: a cost profile prices each of them for each CPU."""

CLIENT_SHARE: Final[Mapping[str, Operations]] = MappingProxyType(
    {
        "X25519": (("x25519.keygen", 1),),
        "P-256": (("p256.keygen", 1),),
        "P-384": (("p384.keygen", 1),),
        "X25519MLKEM768": (("ml-kem-768.keygen", 1), ("x25519.keygen", 1)),
    }
)
"""What a client does to send a key share, by group."""

CLIENT_SECRET: Final[Mapping[str, Operations]] = MappingProxyType(
    {
        "X25519": (("x25519.derive", 1),),
        "P-256": (("p256.derive", 1),),
        "P-384": (("p384.derive", 1),),
        "X25519MLKEM768": (("ml-kem-768.decap", 1), ("ml-kem-768.read", 1), ("x25519.derive", 1)),
    }
)
"""What a client does with the server's key share, by group."""

SERVER_SECRET: Final[Mapping[str, Operations]] = MappingProxyType(
    {
        "X25519": (("x25519.keygen", 1), ("x25519.derive", 1)),
        "P-256": (("p256.keygen", 1), ("p256.derive", 1)),
        "P-384": (("p384.keygen", 1), ("p384.derive", 1)),
        "X25519MLKEM768": (
            ("ml-kem-768.parse", 1),
            ("ml-kem-768.encap", 1),
            ("x25519.keygen", 1),
            ("x25519.derive", 1),
        ),
    }
)
"""What a server does to answer a client's key share, by group."""
