"""Cryptographic primitives, called as directly as the library allows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from meshsim.calibrate_probes.timing import Probe, Stopwatch, call
from meshsim.scenario.cost_profile import BLOCK_BYTES

Named = tuple[str, Callable[[], object]]

_MESSAGE = b"m" * 64


def primitive_probes(watch: Stopwatch) -> list[Probe]:
    """Key exchanges, key encapsulations and signatures; AEADs on one block (``/block``) and on one byte (``/byte``)."""
    return [call(watch, name, function) for name, function in (*_asymmetric(), *_aeads())]


def _asymmetric() -> Iterator[Named]:
    ours, theirs = x25519.X25519PrivateKey.generate(), x25519.X25519PrivateKey.generate().public_key()
    yield "x25519.keygen", x25519.X25519PrivateKey.generate
    yield "x25519.derive", lambda: ours.exchange(theirs)
    edwards = ed25519.Ed25519PrivateKey.generate()
    edwards_signature, edwards_public = edwards.sign(_MESSAGE), edwards.public_key()
    yield "ed25519.sign", lambda: edwards.sign(_MESSAGE)
    yield "ed25519.verify", lambda: edwards_public.verify(edwards_signature, _MESSAGE)
    yield from _curve("p256", ec.SECP256R1(), ec.ECDSA(hashes.SHA256()))
    yield from _curve("p384", ec.SECP384R1(), ec.ECDSA(hashes.SHA384()))
    yield from _curve("p521", ec.SECP521R1(), ec.ECDSA(hashes.SHA512()))
    yield from _rsa("rsa-2048", 2_048)
    yield from _rsa("rsa-3072", 3_072)
    yield from _kem("ml-kem-768", mlkem.MLKEM768PrivateKey)
    yield from _kem("ml-kem-1024", mlkem.MLKEM1024PrivateKey)
    yield from _lattice_signature("ml-dsa-44", mldsa.MLDSA44PrivateKey)
    yield from _lattice_signature("ml-dsa-65", mldsa.MLDSA65PrivateKey)
    yield from _lattice_signature("ml-dsa-87", mldsa.MLDSA87PrivateKey)


def _curve(name: str, curve: ec.EllipticCurve, algorithm: ec.ECDSA) -> Iterator[Named]:
    ours, theirs = ec.generate_private_key(curve), ec.generate_private_key(curve).public_key()
    public, signature = ours.public_key(), ours.sign(_MESSAGE, algorithm)
    yield f"{name}.keygen", lambda: ec.generate_private_key(curve)
    yield f"{name}.derive", lambda: ours.exchange(ec.ECDH(), theirs)
    yield f"ecdsa-{name}.sign", lambda: ours.sign(_MESSAGE, algorithm)
    yield f"ecdsa-{name}.verify", lambda: public.verify(signature, _MESSAGE, algorithm)


def _rsa(name: str, bits: int) -> Iterator[Named]:
    private = rsa.generate_private_key(65_537, bits)
    # As TLS 1.3 has it: a salt as long as the hash (RFC 8446, section 4.2.3).
    pss, algorithm = padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()
    public, signature = private.public_key(), private.sign(_MESSAGE, pss, algorithm)
    yield f"{name}.sign", lambda: private.sign(_MESSAGE, pss, algorithm)
    yield f"{name}.verify", lambda: public.verify(signature, _MESSAGE, pss, algorithm)


def _kem(name: str, kind: type[mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey]) -> Iterator[Named]:
    private = kind.generate()
    public = private.public_key()
    _secret, ciphertext = public.encapsulate()
    yield f"{name}.keygen", kind.generate
    yield f"{name}.encap", public.encapsulate
    yield f"{name}.decap", lambda: private.decapsulate(ciphertext)


def _lattice_signature(
    name: str, kind: type[mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey]
) -> Iterator[Named]:
    private = kind.generate()
    public, signature = private.public_key(), private.sign(_MESSAGE)
    yield f"{name}.sign", lambda: private.sign(_MESSAGE)
    yield f"{name}.verify", lambda: public.verify(signature, _MESSAGE)


def _aeads() -> Iterator[Named]:
    block, one, nonce = os.urandom(BLOCK_BYTES), b"x", os.urandom(12)
    for name, aead in (
        ("aes-128-gcm", AESGCM(os.urandom(16))),
        ("aes-256-gcm", AESGCM(os.urandom(32))),
        ("chacha20-poly1305", ChaCha20Poly1305(os.urandom(32))),
    ):
        for size, message in (("block", block), ("byte", one)):
            sealed = aead.encrypt(nonce, message, None)
            yield f"{name}.seal/{size}", partial(aead.encrypt, nonce, message, None)
            yield f"{name}.open/{size}", partial(aead.decrypt, nonce, sealed, None)
