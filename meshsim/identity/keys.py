"""Keys of every type that a certificate may have, each from its seed alone; signatures that follow from key and text.

The same seed gives the same key in any process: elliptic-curve keys are scalars reduced from it, Ed25519 and ML-DSA
keys are what their standards make of a seed, and RSA primes are the first ones after numbers hashed from it. Signatures
are RFC 6979 for ECDSA, PKCS #1 v1.5 for RSA, and the deterministic variant of FIPS 204 (section 5.2) for ML-DSA, which
OpenSSL does not offer: there it is computed in Python.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import (
        MLDSA44PrivateKey,
        MLDSA44PublicKey,
        MLDSA65PrivateKey,
        MLDSA65PublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384

    PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey | MLDSA44PrivateKey | MLDSA65PrivateKey
    PublicKey = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey | MLDSA44PublicKey | MLDSA65PublicKey

SEED_BYTES: Final = 64
"""Entropy that a key is made from."""
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of the P-256 base point (SEC 2, section 2.4.2)."""
P384_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
"""Order of the P-384 base point (SEC 2, section 2.5.1)."""
RSA_EXPONENT: Final = 65_537


ALGORITHMS: Final[Mapping[str, bytes]] = MappingProxyType(
    {
        "ecdsa-p256": bytes.fromhex("300a06082a8648ce3d040302"),
        "ecdsa-p384": bytes.fromhex("300a06082a8648ce3d040303"),
        "ed25519": bytes.fromhex("300506032b6570"),
        "rsa-2048": bytes.fromhex("300d06092a864886f70d01010b0500"),
        "rsa-3072": bytes.fromhex("300d06092a864886f70d01010b0500"),
        "ml-dsa-44": bytes.fromhex("300b0609608648016503040311"),
        "ml-dsa-65": bytes.fromhex("300b0609608648016503040312"),
    }
)
"""AlgorithmIdentifier of the signatures that ``sign`` makes, in DER."""


def private_key(key_type: str, seed: bytes) -> PrivateKey:
    """Return the key of a type that a seed of ``SEED_BYTES`` gives."""
    assert len(seed) == SEED_BYTES, len(seed)
    return _MAKERS[key_type](seed)


def _p256(seed: bytes) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    scalar = int.from_bytes(seed, "big") % (P256_ORDER - 1) + 1  # 512 bits reduced: no bias worth the name
    return ec.derive_private_key(scalar, ec.SECP256R1())


def _p384(seed: bytes) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    scalar = int.from_bytes(seed, "big") % (P384_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP384R1())


def _ed25519(seed: bytes) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519.Ed25519PrivateKey.from_private_bytes(seed[:32])


def _ml_dsa_44(seed: bytes) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import mldsa

    return mldsa.MLDSA44PrivateKey.from_seed_bytes(seed[:32])


def _ml_dsa_65(seed: bytes) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import mldsa

    return mldsa.MLDSA65PrivateKey.from_seed_bytes(seed[:32])


@lru_cache(maxsize=4096)
def _rsa(bits: int, seed: bytes) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import rsa

    p, q = sorted((_prime(bits // 2, seed, "p"), _prime(bits // 2, seed, "q")), reverse=True)
    assert p != q, "two draws of over a thousand bits"
    exponent = pow(RSA_EXPONENT, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=exponent,
        dmp1=rsa.rsa_crt_dmp1(exponent, p),
        dmq1=rsa.rsa_crt_dmq1(exponent, q),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(RSA_EXPONENT, p * q),
    )
    # The check would test both primes again, which takes longer than finding them.
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def _prime(bits: int, seed: bytes, name: str) -> int:
    """Return the first prime from a number hashed from a seed on that RSA can use with its exponent.

    The two top bits are set, so that the product of two has twice as many bits (FIPS 186-5, appendix A.1.3). Primality
    is GMP's test: Baillie-PSW and Miller-Rabin.
    """
    import gmpy2

    number = int.from_bytes(hashlib.shake_256(b"meshsim RSA " + name.encode() + seed).digest(bits // 8), "big")
    candidate = number >> 2 | 3 << (bits - 2)
    while True:
        candidate = int(gmpy2.next_prime(candidate))
        if (candidate - 1) % RSA_EXPONENT:
            assert candidate.bit_length() == bits, "a run of composites up to a power of two"
            return candidate


_MAKERS: Final[Mapping[str, Callable[[bytes], PrivateKey]]] = MappingProxyType(
    {
        "ecdsa-p256": _p256,
        "ecdsa-p384": _p384,
        "ed25519": _ed25519,
        "rsa-2048": lambda seed: _rsa(2_048, seed),
        "rsa-3072": lambda seed: _rsa(3_072, seed),
        "ml-dsa-44": _ml_dsa_44,
        "ml-dsa-65": _ml_dsa_65,
    }
)


def hash_for(key_type: str) -> SHA256 | SHA384 | None:
    """Return the hash that a key of a type signs certificates with; None where the scheme has its own."""
    from cryptography.hazmat.primitives import hashes

    if key_type == "ecdsa-p384":
        return hashes.SHA384()
    return hashes.SHA256() if key_type.startswith(("ecdsa", "rsa")) else None


def sign(key_type: str, key: PrivateKey, text: bytes) -> bytes:
    """Return the one signature that a key gives a text, as certificates hold it."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm = hash_for(key_type)
        assert algorithm is not None
        return key.sign(text, ec.ECDSA(algorithm, deterministic_signing=True))
    if isinstance(key, rsa.RSAPrivateKey):
        algorithm = hash_for(key_type)
        assert algorithm is not None
        return key.sign(text, padding.PKCS1v15(), algorithm)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(text)
    return _sign_ml_dsa(key_type, key.private_bytes_raw(), text)


def _sign_ml_dsa(key_type: str, seed: bytes, text: bytes) -> bytes:
    from dilithium_py.ml_dsa import ML_DSA_44, ML_DSA_65

    scheme = ML_DSA_44 if key_type == "ml-dsa-44" else ML_DSA_65
    _public, secret = scheme.key_derive(seed)
    return bytes(scheme.sign(secret, text, deterministic=True))
