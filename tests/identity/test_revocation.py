"""Revocation lists and OCSP responses as facts and as bytes."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from meshsim.identity.authority import Authority
from meshsim.identity.revocation import Crl, staple_for
from meshsim.identity.sizes import crl_size_bytes, staple_size_bytes
from meshsim.identity.svid import KEY_TYPES

SECOND = 10**9
START = 1_790_000_000 * SECOND
YEAR = 365 * 86_400 * SECOND
HOUR = 3600 * SECOND


def authority(key_type: str, seed: int = 1) -> Authority:
    return Authority("plant.example", "root", seed, key_type, START, START + YEAR)


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize("count", [0, 1, 40, 2_000])
def test_lists(key_type: str, count: int) -> None:
    """A list says what its facts say, is the same when made anew, and as long as the model says."""
    ca = authority(key_type)
    serials = frozenset((1 << 126) + number for number in range(count))
    crl = Crl(ca.id, 130 * count, START, START + HOUR, serials)
    real = ca.real_crl(crl)
    assert real is ca.real_crl(crl)
    encoded = real.public_bytes(Encoding.DER)
    assert encoded == authority(key_type).real_crl(crl).public_bytes(Encoding.DER)
    assert {revoked.serial_number for revoked in real} == serials
    assert real.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 130 * count
    assert real.next_update_utc is not None
    times = (real.last_update_utc, real.next_update_utc)
    assert [int(time.timestamp()) * SECOND for time in times] == [START, START + HOUR]
    key = KEY_TYPES[key_type]
    off = len(encoded) - crl_size_bytes(crl, key_type)
    assert -key.signature_slack_bytes <= off <= key.signature_excess_bytes


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize("status", ["good", "revoked", "unknown"])
def test_responses(key_type: str, status: Any) -> None:
    """An OCSP response is about its certificate alone, the same when made anew, and as long as the model says."""
    ca = authority(key_type)
    svid = ca.issue("spiffe://plant.example/a", "ed25519", START, START + HOUR, 0)
    staple = staple_for(svid, status, START, START + HOUR)
    encoded = ca.real_staple(staple)
    assert encoded == authority(key_type).real_staple(staple)
    told = ocsp.load_der_ocsp_response(encoded)
    asked = (
        ocsp.OCSPRequestBuilder()
        .add_certificate(ca.material(svid).certificate, ca.own().certificate, hashes.SHA1())
        .build()
    )
    for field in ("serial_number", "issuer_key_hash", "issuer_name_hash"):
        assert getattr(told, field) == getattr(asked, field)
    assert told.certificate_status.name == status.upper()
    assert told.next_update_utc is not None
    times = (told.this_update_utc, told.next_update_utc, told.produced_at_utc)
    assert [int(time.timestamp()) * SECOND for time in times] == [START, START + HOUR, START]
    key = KEY_TYPES[key_type]
    off = len(encoded) - staple_size_bytes(staple)
    assert -key.signature_slack_bytes <= off <= key.signature_excess_bytes


def test_others_lists_and_responses_are_not_signed() -> None:
    """An authority signs for its own certificates only."""
    ca, other = authority("ed25519"), Authority("plant.example", "other", 1, "ed25519", START, START + YEAR)
    svid = other.issue("spiffe://plant.example/a", "ed25519", START, START + HOUR, 0)
    with pytest.raises(AssertionError):
        ca.real_staple(staple_for(svid, "good", START, START + HOUR))
    with pytest.raises(AssertionError):
        ca.real_crl(Crl(other.id, 1, START, START + HOUR, frozenset()))
