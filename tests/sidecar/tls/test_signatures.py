"""Signature schemes: which key types two ends can use with each other, and what happens if none."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshsim.identity.svid import KEY_TYPES
from meshsim.sidecar.tls import outcome
from meshsim.sidecar.tls.outcome import Refused

P256 = ("ecdsa_secp256r1_sha256",)
MODERN = ("mldsa44", "ed25519")


def with_keys(mesh: Any, client: str, server: str, **changes: Any) -> Any:
    """Return a case with these key types, below P-256 authorities."""
    base = mesh.case()
    for end, key_type in (("client", client), ("server", server)):
        changes[f"{end}__svid"] = mesh.svid(getattr(base, end).svid.spiffe_id, key_type=key_type)
    return mesh.case(**changes)


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_one_scheme_is_enough(mesh: Any, key_type: str) -> None:
    """Ends that accept a key type's scheme and nothing else get along; authorities may sign as they like."""
    schemes = KEY_TYPES[key_type].schemes[:1]
    changes = {f"{end}__signature_schemes": schemes for end in ("client", "server")}
    prediction = mesh.proven(with_keys(mesh, key_type, key_type, **changes))
    assert prediction.established
    assert prediction.client_established.mutual


@pytest.mark.parametrize("retry", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_server_key_without_common_scheme(mesh: Any, both: bool, retry: bool) -> None:
    """A client that does not know the server's key type is refused at once, even if it would have to ask again."""
    changes: dict[str, Any] = {"client__signature_schemes": MODERN}
    if both:
        changes["server__signature_schemes"] = P256
    if retry:
        changes |= {"client__groups": ("X25519", "P-256"), "server__groups": ("P-256",)}
    prediction = mesh.proven(with_keys(mesh, "ed25519", "ecdsa-p256", **changes))
    expected = Refused(alert="handshake_failure", by="server", reason=outcome.NO_COMMON_SIGNATURE, sent=True)
    assert prediction.refused == expected
    assert len(prediction.flights) == 2


@pytest.mark.parametrize("by", ["client", "server"])
def test_client_key_without_common_scheme(mesh: Any, by: str) -> None:
    """A client whose key has no scheme that both ends accept shows no certificate, and is missed."""
    changes = {f"{by}__signature_schemes": P256}
    prediction = mesh.proven(with_keys(mesh, "ed25519", "ecdsa-p256", **changes))
    assert prediction.refused.reason == outcome.NO_CLIENT_CERTIFICATE


def test_server_that_cannot_use_its_own_key(mesh: Any) -> None:
    """A server whose settings have no scheme for its own key is as good as one without a certificate."""
    prediction = mesh.proven(with_keys(mesh, "ed25519", "ecdsa-p256", server__signature_schemes=MODERN))
    assert prediction.refused.reason == outcome.NO_SERVER_CERTIFICATE


@pytest.mark.parametrize("key_type", ["ed25519", "rsa-2048", "ml-dsa-44"])
def test_server_that_cannot_use_its_own_key_but_does_not_know(mesh: Any, key_type: str) -> None:
    """Of keys that are not on a curve of ECDSA, OpenSSL finds that out when it has to sign."""
    prediction = mesh.proven(with_keys(mesh, "ecdsa-p256", key_type, server__signature_schemes=P256))
    assert prediction.refused.reason == outcome.NO_COMMON_SIGNATURE


def test_resumption_needs_no_signature(mesh: Any) -> None:
    """A session is resumed by a client that would not accept the server's key any more."""
    ticket = mesh.play(mesh.case(), real=True).ticket
    case = mesh.case(client__signature_schemes=MODERN)
    assert mesh.proven(case).refused.reason == outcome.NO_COMMON_SIGNATURE
    assert mesh.proven(msgspec.structs.replace(case, ticket=ticket)).client_established.resumed
