"""Identities: names, SVIDs as facts, certificates as bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.identity import keys
from meshsim.identity.authority import Authority
from meshsim.identity.bundle import TrustBundle, by_trust_domain
from meshsim.identity.sizes import certificate_size_bytes, chain_sizes_bytes
from meshsim.identity.spiffe import (
    check_spiffe_id,
    check_trust_domain,
    is_workload_id,
    service_spiffe_id,
    trust_domain_of,
)
from meshsim.identity.svid import KEY_TYPES, Profile, Svid

SECOND = 10**9
START = 1_790_000_000 * SECOND
YEAR = 365 * 86_400 * SECOND
ID = "spiffe://plant.example/ns/default/sa/vision"


def authority(seed: int = 1, name: str = "root", key_type: str = "ecdsa-p256") -> Authority:
    return Authority("plant.example", name, seed, key_type, START, START + YEAR)


def issue(
    ca: Authority, spiffe_id: str = ID, generation: int = 0, holder: str = "", key_type: str = "ecdsa-p256"
) -> Svid:
    return ca.issue(spiffe_id, key_type, START, START + 3600 * SECOND, generation, holder)


def der(ca: Authority, svid: Svid) -> bytes:
    return ca.material(svid).certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("spiffe_id", "complaint"),
    [
        (ID, None),
        ("spiffe://plant.example", "needs a path"),
        ("https://plant.example/x", "does not start with"),
        ("spiffe://PLANT.example/x", "canonical"),
        ("spiffe://plant.example/a//b", "empty segments"),
        ("spiffe://plant.example/../b", "not allowed"),
        ("spiffe://plant.example/ä", "invalid character"),
        ("", "empty"),
        ("spiffe://plant.example/" + "x" * 2048, "longer than"),
    ],
)
def test_spiffe_ids(spiffe_id: str, complaint: str | None) -> None:
    """Bad SPIFFE IDs are told what is wrong with them, good ones pass."""
    answer = check_spiffe_id(spiffe_id)
    assert (answer is None) if complaint is None else (complaint in str(answer))


ANY_TEXT = st.text(st.characters(), max_size=40) | st.text("aA0.-_~/:@?#%&\u00e4\n", max_size=30)
"""Texts, with what is no character (lone surrogates) among them, as a command line can hold it."""


@given(ANY_TEXT | ANY_TEXT.map("spiffe://".__add__) | ANY_TEXT.map("spiffe://td.example/".__add__))
def test_any_text_is_a_spiffe_id_or_told(text: str) -> None:
    """No text breaks the two parsers, and they agree on which are SPIFFE IDs of workloads."""
    complaint = check_spiffe_id(text)
    assert complaint is None or complaint
    assert is_workload_id(text) == (complaint is None)
    if complaint is None:
        assert check_trust_domain(trust_domain_of(text)) is None


@given(ANY_TEXT)
def test_any_text_is_a_trust_domain_or_told(text: str) -> None:
    """What is accepted as the name of a trust domain makes a SPIFFE ID of a workload, if it is not too long."""
    if check_trust_domain(text) is None:
        assert is_workload_id(f"spiffe://{text}/a")


def test_trust_domains_and_service_names() -> None:
    """A service's SPIFFE ID is Istio's, and valid in its trust domain."""
    made = service_spiffe_id("plant.example", "default", "vision")
    assert made == ID
    assert check_spiffe_id(made) is None
    assert trust_domain_of(made) == "plant.example"
    assert check_trust_domain("plant.example") is None
    assert check_trust_domain("Plant.example") is not None
    assert check_trust_domain("a b") is not None


def test_svid_profile() -> None:
    """The certificate follows the X.509-SVID profile and says what the facts say."""
    ca = authority()
    svid = issue(ca)
    certificate = ca.material(svid).certificate
    extensions = certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(names.value) == [x509.UniformResourceIdentifier(ID)]
    assert names.critical
    assert len(certificate.subject.rdns) == 0
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert not usage.value.crl_sign
    purposes = set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert purposes == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert certificate.serial_number == svid.serial
    assert int(certificate.not_valid_before_utc.timestamp()) * SECOND == svid.not_before_ns
    assert int(certificate.not_valid_after_utc.timestamp()) * SECOND == svid.not_after_ns
    root = ca.root().certificate
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    certificate.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)


def test_certificates_follow_from_the_seed() -> None:
    """The same seed gives the same bytes; another seed, holder or generation another key and serial."""
    ca, same, other = authority(), authority(), authority(seed=2)
    svid = issue(ca)
    assert der(ca, svid) == der(same, issue(same))
    assert ca.root().certificate == same.root().certificate
    variants = [svid, issue(ca, generation=1), issue(ca, holder="vision/1"), issue(ca, ID + "-b")]
    assert len({variant.serial for variant in variants}) == len(variants)
    keys = {public_key(ca, variant) for variant in variants} | {public_key(other, issue(other))}
    assert len(keys) == len(variants) + 1


def public_key(ca: Authority, svid: Svid) -> tuple[int, int]:
    key = ca.material(svid).private_key.public_key().public_numbers()
    return key.x, key.y


def test_certificates_are_the_same_in_another_process() -> None:
    """Neither the process nor PYTHONHASHSEED reaches the bytes of a certificate."""
    ca = authority()
    code = (
        "import sys\n"
        "from cryptography.hazmat.primitives.serialization import Encoding\n"
        "from meshsim.identity.authority import Authority\n"
        f"ca = Authority('plant.example', 'root', 1, 'ecdsa-p256', {START}, {START + YEAR})\n"
        f"svid = ca.issue({ID!r}, 'ecdsa-p256', {START}, {START + 3600 * SECOND}, 0)\n"
        "sys.stdout.write(ca.material(svid).certificate.public_bytes(Encoding.DER).hex())\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True, text=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs == [der(ca, issue(ca)).hex()] * 2


def test_signing_key_belongs_to_the_certificate() -> None:
    """What the private key signs, the certificate's key verifies."""
    ca = authority()
    material = ca.material(issue(ca))
    signature = material.private_key.sign(b"x", ec.ECDSA(hashes.SHA256()))
    key = material.certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, b"x", ec.ECDSA(hashes.SHA256()))


def test_issuing_does_no_cryptography() -> None:
    """Issuing and describing SVIDs does not even import the cryptography library."""
    code = (
        "import sys\n"
        "from meshsim.identity.authority import Authority\n"
        f"ca = Authority('a.example', 'r', 1, 'ecdsa-p256', 0, {START})\n"
        "ca.issue('spiffe://a.example/x', 'ecdsa-p256', 0, 9, 0)\n"
        "assert 'cryptography' not in sys.modules and 'spiffe' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_validity_is_in_whole_seconds_and_within_the_authority() -> None:
    """Times are rounded down to seconds, and no SVID outlives its authority."""
    ca = authority()
    svid = ca.issue(ID, "ecdsa-p256", START + 1_500_000_000, START + 2 * YEAR, 0)
    assert svid.not_before_ns == START + SECOND
    assert svid.not_after_ns == ca.not_after_ns


def test_material_is_minted_once_and_by_its_issuer_only() -> None:
    """Material is remembered, and an authority does not mint for another's SVIDs."""
    ca = authority()
    svid = issue(ca)
    assert ca.material(svid) is ca.material(issue(ca))
    with pytest.raises(AssertionError):
        authority(name="other").material(svid)


@settings(max_examples=60, deadline=None)
@given(path=st.text("abcXYZ019._-", min_size=1, max_size=600), generation=st.integers(0, 9))
def test_nominal_certificate_size(path: str, generation: int) -> None:
    """The nominal size of a certificate differs from the real one by its signature's DER alone."""
    ca = authority()
    svid = issue(ca, f"spiffe://plant.example/{path}", generation)
    real = der(ca, svid)
    signature = len(ca.material(svid).certificate.signature)
    key = KEY_TYPES["ecdsa-p256"]
    assert len(real) - signature == certificate_size_bytes(svid) - key.signature_size_bytes
    assert -key.signature_slack_bytes <= signature - key.signature_size_bytes <= key.signature_excess_bytes


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_every_key_type_follows_from_the_seed(key_type: str) -> None:
    """Keys and signatures of each type are the same when made anew, verify, and differ with the seed."""
    ca, same, other = (authority(seed, key_type=key_type) for seed in (1, 1, 2))
    svid = issue(ca, key_type=key_type)
    keys._rsa.cache_clear()
    assert der(ca, svid) == der(same, svid)
    ca.material(svid).certificate.verify_directly_issued_by(ca.root().certificate)
    others = other.material(issue(other, key_type=key_type))
    assert others.certificate.public_key() != ca.material(svid).certificate.public_key()
    plain = serialization.NoEncryption()
    encoded = others.private_key.private_bytes(Encoding.DER, serialization.PrivateFormat.PKCS8, plain)
    again: Any = serialization.load_der_private_key(encoded, None)  # which checks it: RSA primes among others
    assert again.public_key() == others.certificate.public_key()


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_nominal_sizes_of_chains(key_type: str) -> None:
    """Certificates of every key type, signed by authorities of every other, are as long as the model says."""
    root = authority(key_type=key_type)
    for signer in KEY_TYPES:
        site = Authority("plant.example", f"root/{signer}", 1, signer, START, START + YEAR, root)
        svid = issue(site, key_type=key_type)
        real = [der(site, svid), *(each.public_bytes(Encoding.DER) for each in site.sent_along())]
        slack = [KEY_TYPES[signer], KEY_TYPES[key_type]]
        for one, nominal, key in zip(real, chain_sizes_bytes(svid), slack, strict=True):
            assert -key.signature_slack_bytes <= len(one) - nominal <= key.signature_excess_bytes


PROFILES = [
    Profile(uris=()),
    Profile(uris=(ID, "spiffe://plant.example/b")),
    Profile(dns_names=("vision.default.svc", "b.example")),
    Profile(ca=True, usages=frozenset({"key_cert_sign", "digital_signature"})),
    Profile(usages=None, purposes=()),
    Profile(purposes=("code_signing",)),
]


@pytest.mark.parametrize("profile", PROFILES)
def test_certificates_against_the_standard(profile: Profile) -> None:
    """An authority can mint what no authority should, and its size is known to the byte of a signature."""
    ca = authority()
    svid = ca.issue(ID, "ed25519", START, START + YEAR, 0, profile=profile)
    certificate = ca.material(svid).certificate
    nominal = certificate_size_bytes(svid) - KEY_TYPES["ecdsa-p256"].signature_size_bytes
    assert len(certificate.public_bytes(Encoding.DER)) - len(certificate.signature) == nominal


def test_intermediates() -> None:
    """An intermediate ends with its parent at the latest, knows its path to the root, and has what SPIRE gives it."""
    root = authority()
    site = Authority("plant.example", "root/edge", 1, "ecdsa-p384", START, START + 2 * YEAR, root)
    svid = issue(site)
    assert site.not_after_ns == root.not_after_ns
    assert (svid.issuer, svid.root.authority) == (site.id, root.id)
    assert [issuer.authority for issuer in svid.chain] == [site.id]
    assert site.root() is root.own()
    (sent,) = site.sent_along()
    sent.verify_directly_issued_by(root.own().certificate)
    site.material(svid).certificate.verify_directly_issued_by(sent)
    constraints = sent.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, None)
    with pytest.raises(x509.ExtensionNotFound):
        sent.extensions.get_extension_for_class(x509.NameConstraints)
    names = sent.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier("spiffe://plant.example")]


def test_bundles_by_trust_domain() -> None:
    """Bundles are found by their trust domain, of which each may be given once."""
    own: Any = TrustBundle("plant.example", frozenset({"plant.example/root"}))
    partner = TrustBundle("partner.example", frozenset())
    assert by_trust_domain([own, partner])["partner.example"] is partner
    with pytest.raises(AssertionError):
        by_trust_domain([own, own])


def test_sizes_in_the_documents() -> None:
    """docs/keys.md tells the sizes of every key type as the model has them."""
    text = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    for name, key in KEY_TYPES.items():
        size = certificate_size_bytes(issue(authority(key_type=name), ID[:42], key_type=name))
        row = (
            f"| {name} | {key.public_key_size_bytes} | {key.signature_size_bytes} | {size} | {', '.join(key.schemes)} |"
        )
        assert row in text
