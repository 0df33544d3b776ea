"""SPIFFE bundle documents: a trust domain's authorities as a JWK set, as bundle endpoints serve them.

Written and read by SPIFFE Trust Domain and Bundle, section 4, X509-SVID, section 6, and JWT-SVID. A document says
nothing of whose it is: who fetches it knows that from where it was fetched.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from meshsim.identity.bundle_words import JWT_USE, REFRESH_HINT, SEQUENCE, X509_USE

KEY_TYPES: Final = ("EC", "RSA", "OKP", "AKP")
"""Key types of JWKs that are known here (RFC 7518, section 6.1; RFC 8037; AKP is that of ML-DSA). Keys of any other are
ignored."""
MOST_BYTES: Final = 1_048_576
"""Largest document that is read: room for some hundred authorities with ML-DSA keys."""
LARGEST: Final = (1 << 64) - 1
"""Largest sequence number and refresh hint: 64 bits, as section 4.1.1 asks for at least."""


class BundleDocumentError(ValueError):
    """A document that is no SPIFFE bundle; its text says why."""


class JwtKey(msgspec.Struct, frozen=True):
    """A key that signs tokens."""

    kid: str
    """Its key id, by which tokens name it."""
    public_key: Any


class BundleDocument(msgspec.Struct, frozen=True):
    """What a bundle document says."""

    certificates: tuple[x509.Certificate, ...]
    """Authorities in the order of the document, each once. None: nobody of the trust domain is to be believed."""
    sequence: int | None = None
    """``spiffe_sequence``: grows with each change of the content; None where the document has none."""
    refresh_hint_s: int | None = None
    """``spiffe_refresh_hint``: how often to look for changes, seconds; None where the document has none."""
    jwt_keys: tuple[JwtKey, ...] = ()
    """Keys that sign tokens, in the order of the document."""


def write_bundle(document: BundleDocument) -> bytes:
    """Return a document as an endpoint serves it: UTF-8 JSON, with a key for each authority and each signer of tokens.

    Those of authorities have no ``kid``.
    """
    keys = [_jwk(certificate) for certificate in document.certificates]
    keys += [{"use": JWT_USE, "kid": key.kid} | _members(key.public_key) for key in document.jwt_keys]
    content: dict[str, Any] = {"keys": keys}
    if document.sequence is not None:
        content[SEQUENCE] = document.sequence
    if document.refresh_hint_s is not None:
        content[REFRESH_HINT] = document.refresh_hint_s
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()


def read_bundle(text: bytes) -> BundleDocument:
    """Return what a document says. Raises BundleDocumentError, and nothing else, when it is not one.

    Keys of unknown type or use are ignored, and so is one for X.509-SVIDs without a certificate; of several
    certificates of a key the first counts. What the standard demands of a publisher is demanded: a list of keys, each
    with its type and use, numbers that are whole, each name once, certificates of authorities, whose keys are those
    that the entry gives, and a key id of its own for each key that signs tokens.
    """
    if len(text) > MOST_BYTES:
        raise BundleDocumentError(f"the document has more than {MOST_BYTES} bytes")
    content = _decode(text)
    if not isinstance(content, dict):
        raise BundleDocumentError("the document is no JSON object")
    keys = content.get("keys")
    if not isinstance(keys, list):
        raise BundleDocumentError("'keys' is missing" if "keys" not in content else "'keys' is no list")
    found: dict[x509.Certificate, None] = {}
    signing: dict[str, JwtKey] = {}
    for number, key in enumerate(keys):
        place = f"keys[{number}]"
        certificate = _authority(key, place)
        if certificate is not None:
            found.setdefault(certificate)
        elif key["use"] == JWT_USE and key["kty"] in KEY_TYPES:
            jwt_key = _jwt_key(key, place)
            if signing.setdefault(jwt_key.kid, jwt_key) is not jwt_key:
                raise BundleDocumentError(f"{place}: another key has this 'kid'")
    sequence, hint_s = (_whole(content, name) for name in (SEQUENCE, REFRESH_HINT))
    return BundleDocument(tuple(found), sequence, hint_s, tuple(signing.values()))


def _decode(text: bytes) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            raise BundleDocumentError("a name stands twice in one object")
        return members

    def no_number(name: str) -> None:
        raise BundleDocumentError(f"{name} is no JSON")

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=once, parse_constant=no_number)
    except BundleDocumentError:
        raise
    except UnicodeDecodeError:
        raise BundleDocumentError("the document is no UTF-8") from None
    except RecursionError:
        raise BundleDocumentError("the document is nested too deeply") from None
    except ValueError:  # also an integer of thousands of digits
        raise BundleDocumentError("the document is no JSON") from None


def _whole(content: dict[str, Any], name: str) -> int | None:
    if name not in content:
        return None
    value = content[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise BundleDocumentError(f"{name!r} is no whole number")
    if not 0 <= value <= LARGEST:
        raise BundleDocumentError(f"{name!r} is out of range")
    return value


def _authority(key: Any, place: str) -> x509.Certificate | None:
    """Return the certificate of one key; None for one that is to be ignored."""
    if not isinstance(key, dict):
        raise BundleDocumentError(f"{place} is no JSON object")
    for name in ("kty", "use"):
        if not isinstance(key.get(name), str):
            raise BundleDocumentError(f"{place}: {name!r} is {'no text' if name in key else 'missing'}")
    if key["use"] != X509_USE or key["kty"] not in KEY_TYPES or "x5c" not in key:
        return None
    chain = key["x5c"]
    if not isinstance(chain, list):
        raise BundleDocumentError(f"{place}: 'x5c' is no list")
    if not chain:
        return None
    certificate = _certificate(chain[0], place)
    own = _jwk(certificate)
    if any(key[name] != value for name, value in own.items() if name in key and name != "x5c"):
        raise BundleDocumentError(f"{place}: the key is not that of its certificate")
    return certificate


def _jwt_key(key: dict[str, Any], place: str) -> JwtKey:
    """Return a key that signs tokens: JWT-SVID asks for its id."""
    import jwt

    kid = key.get("kid")
    if not isinstance(kid, str) or not kid:
        raise BundleDocumentError(f"{place}: 'kid' is {'no text' if 'kid' in key else 'missing'}")
    try:
        public = jwt.PyJWK({name: value for name, value in key.items() if name not in ("use", "kid", "x5c")}).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        raise BundleDocumentError(f"{place}: the key can't be read") from None
    if hasattr(public, "private_numbers") or hasattr(public, "private_bytes"):
        raise BundleDocumentError(f"{place}: the key is not a public one")
    return JwtKey(kid, public)


def _certificate(text: Any, place: str) -> x509.Certificate:
    if not isinstance(text, str):
        raise BundleDocumentError(f"{place}: a certificate is no text")
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.public_key()
    except (binascii.Error, ValueError):
        raise BundleDocumentError(f"{place}: 'x5c' holds no certificate in base64") from None
    except x509.ExtensionNotFound:
        raise BundleDocumentError(f"{place}: the certificate is not that of an authority") from None
    except (UnsupportedAlgorithm, x509.UnsupportedGeneralNameType, x509.InvalidVersion, x509.DuplicateExtension):
        raise BundleDocumentError(f"{place}: the certificate can't be read") from None
    if not constraints.ca:
        raise BundleDocumentError(f"{place}: the certificate is not that of an authority")
    return certificate


def _jwk(certificate: x509.Certificate) -> dict[str, Any]:
    """Return the entry of an authority."""
    der = certificate.public_bytes(Encoding.DER)
    return {"use": X509_USE, "x5c": [base64.b64encode(der).decode()]} | _members(certificate.public_key())


def _members(key: Any) -> dict[str, Any]:
    """Return the members of a JWK that say what key it is (RFC 7518, section 6; RFC 8037, section 2)."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        numbers, size = key.public_numbers(), (key.curve.key_size + 7) // 8
        curve = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}.get(key.curve.name, key.curve.name)
        return {"kty": "EC", "crv": curve, "x": _number(numbers.x, size), "y": _number(numbers.y, size)}
    if isinstance(key, rsa.RSAPublicKey):
        of_rsa = key.public_numbers()
        n, e = ((value, (value.bit_length() + 7) // 8) for value in (of_rsa.n, of_rsa.e))
        return {"kty": "RSA", "n": _number(*n), "e": _number(*e)}
    if isinstance(key, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": _text(key.public_bytes_raw())}
    for kind, name in ((mldsa.MLDSA44PublicKey, "ML-DSA-44"), (mldsa.MLDSA65PublicKey, "ML-DSA-65")):
        if isinstance(key, kind):
            return {"kty": "AKP", "alg": name, "pub": _text(key.public_bytes_raw())}
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    raise BundleDocumentError(f"a key of {len(der)} bytes is of a type that is not known here")


def _number(value: int, size: int) -> str:
    return _text(value.to_bytes(size, "big"))


def _text(data: bytes) -> str:
    """Base64 for addresses without its padding, as JWKs have it (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
