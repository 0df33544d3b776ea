"""SPIFFE bundle documents: written as the standards have it, and nothing else is read."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from meshsim.identity.authority import Authority
from meshsim.identity.bundle_document import BundleDocument, BundleDocumentError, JwtKey, read_bundle, write_bundle
from meshsim.identity.bundle_sizes import document_size_bytes, document_slack_bytes
from meshsim.identity.svid import KEY_TYPES
from meshsim.identity.tokens import KEY_TYPES as TOKEN_KEYS
from meshsim.identity.tokens import Issuer, kid_of, public_key

YEAR_NS = 31_536_000 * 10**9


def authority(name: str = "root", key_type: str = "ecdsa-p256") -> Authority:
    """An authority of a trust domain."""
    return Authority("partner.example", name, 1, key_type, 50 * YEAR_NS, 51 * YEAR_NS)


ROOT, NEXT = authority(), authority("root-2")
LEAF = ROOT.material(ROOT.issue("spiffe://partner.example/a", "ecdsa-p256", 50 * YEAR_NS, 51 * YEAR_NS, 0))


def entry(**changes: Any) -> dict[str, Any]:
    """The entry of the root in a bundle, changed; None takes a member away."""
    (key,) = json.loads(write_bundle(BundleDocument((ROOT.own().certificate,))))["keys"]
    return {name: value for name, value in {**key, **changes}.items() if value is not None}


def text_of(*keys: Any, **members: Any) -> bytes:
    """A document with these keys."""
    return json.dumps({"keys": list(keys), **members}).encode()


def der(certificate: Any) -> str:
    """A certificate as x5c has it."""
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_what_is_written_is_read(key_type: str) -> None:
    """Authorities of every key type, sequence number and refresh hint come through."""
    certificates = tuple(authority(name, key_type).own().certificate for name in ("root", "root-2"))
    document = BundleDocument(certificates, 7, 300)
    assert read_bundle(write_bundle(document)) == document


def test_written_by_the_standard() -> None:
    """Each authority is one entry with kty, use x509-svid and one certificate in x5c, and without kid."""
    content = json.loads(write_bundle(BundleDocument((ROOT.own().certificate, NEXT.own().certificate), 12, 60)))
    assert set(content) == {"keys", "spiffe_sequence", "spiffe_refresh_hint"}
    assert (content["spiffe_sequence"], content["spiffe_refresh_hint"]) == (12, 60)
    for key in content["keys"]:
        assert set(key) == {"kty", "use", "x5c", "crv", "x", "y"}
        assert (key["kty"], key["use"], key["crv"], len(key["x5c"])) == ("EC", "x509-svid", "P-256", 1)
        assert len(base64.urlsafe_b64decode(key["x"] + "=")) == 32


def test_another_reads_it() -> None:
    """The SPIFFE library reads what is written, and finds the same authorities."""
    from spiffe import TrustDomain
    from spiffe.bundle.x509_bundle.x509_bundle import X509Bundle

    content = json.loads(write_bundle(BundleDocument((ROOT.own().certificate,))))
    raw = base64.b64decode(content["keys"][0]["x5c"][0])
    assert X509Bundle.parse_raw(TrustDomain("partner.example"), raw).x509_authorities == {ROOT.own().certificate}


@pytest.mark.parametrize(
    ("text", "authorities"),
    [
        (text_of(), 0),
        (text_of(entry()), 1),
        (text_of(entry(), entry()), 1),  # a union: the same authority twice is one
        (text_of(entry(use="jwt-svid", kid="1", x5c=None)), 0),
        (text_of(entry(use="X509-SVID")), 0),  # values are case-sensitive, and unknown uses ignored
        (text_of(entry(use="sig")), 0),
        (text_of({"kty": "oct", "use": "x509-svid", "x5c": ["?"]}), 0),  # unknown types are ignored, whatever they hold
        (text_of({"kty": "EC", "use": "other", "x5c": 5}), 0),
        (text_of(entry(x5c=None)), 0),  # without certificate it is ignored
        (text_of(entry(x5c=[])), 0),
        (text_of(entry(x5c=[der(ROOT.own().certificate), "not one"])), 1),  # all but the first are ignored
        (text_of(entry(x=None, y=None, crv=None)), 1),
        (text_of(entry(kid="a")), 1),
        (text_of(entry(), more={"of": "others"}), 1),  # members of others are no matter
        (b'  {"keys" : [ ] }\n', 0),
    ],
)
def test_read(text: bytes, authorities: int) -> None:
    """What is a bundle is read, and what is to be ignored in it is ignored."""
    assert len(read_bundle(text).certificates) == authorities


@pytest.mark.parametrize(
    ("members", "sequence", "hint_s"),
    [
        ({}, None, None),
        ({"spiffe_sequence": 0}, 0, None),
        ({"spiffe_sequence": 2**64 - 1, "spiffe_refresh_hint": 0}, 2**64 - 1, 0),
        ({"spiffe_refresh_hint": 2_419_200}, None, 2_419_200),
    ],
)
def test_numbers(members: dict[str, int], sequence: int | None, hint_s: int | None) -> None:
    """Sequence number and refresh hint are read in 64 bits, and may be left out."""
    document = read_bundle(text_of(**members))
    assert (document.sequence, document.refresh_hint_s) == (sequence, hint_s)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "the document is no JSON"),
        (b"{", "the document is no JSON"),
        (b"\xff", "the document is no UTF-8"),
        (b"\xef\xbb\xbf{}", "the document is no JSON"),
        (b'{"keys":[]} x', "the document is no JSON"),
        (b'{"keys":[],}', "the document is no JSON"),
        (b"[" * 100_000, "the document is nested too deeply"),
        (b'{"keys":[],"spiffe_sequence":' + b"9" * 5_000 + b"}", "the document is no JSON"),
        (b"x" * 1_048_577, "the document has more than 1048576 bytes"),
        (b"[]", "the document is no JSON object"),
        (b"null", "the document is no JSON object"),
        (b"{}", "'keys' is missing"),
        (b'{"keys":null}', "'keys' is no list"),
        (b'{"keys":{}}', "'keys' is no list"),
        (b'{"keys":[],"keys":[]}', "a name stands twice in one object"),
        (b'{"keys":[{"kty":"EC","kty":"EC","use":"x509-svid"}]}', "a name stands twice in one object"),
        (b'{"keys":[],"spiffe_sequence":NaN}', "NaN is no JSON"),
        (text_of(spiffe_sequence="1"), "'spiffe_sequence' is no whole number"),
        (text_of(spiffe_sequence=1.0), "'spiffe_sequence' is no whole number"),
        (text_of(spiffe_sequence=True), "'spiffe_sequence' is no whole number"),
        (text_of(spiffe_sequence=None), "'spiffe_sequence' is no whole number"),
        (text_of(spiffe_sequence=-1), "'spiffe_sequence' is out of range"),
        (text_of(spiffe_sequence=2**64), "'spiffe_sequence' is out of range"),
        (text_of(spiffe_refresh_hint="5 min"), "'spiffe_refresh_hint' is no whole number"),
        (text_of(spiffe_refresh_hint=-300), "'spiffe_refresh_hint' is out of range"),
        (text_of("key"), "keys[0] is no JSON object"),
        (text_of(entry(), entry(use=None)), "keys[1]: 'use' is missing"),
        (text_of(entry(kty=None)), "keys[0]: 'kty' is missing"),
        (text_of(entry(use=1)), "keys[0]: 'use' is no text"),
        (text_of(entry(kty=["EC"])), "keys[0]: 'kty' is no text"),
        (text_of(entry(x5c="text")), "keys[0]: 'x5c' is no list"),
        (text_of(entry(x5c=[5])), "keys[0]: a certificate is no text"),
        (text_of(entry(x5c=["%%%"])), "keys[0]: 'x5c' holds no certificate in base64"),
        (text_of(entry(x5c=["AAAA"])), "keys[0]: 'x5c' holds no certificate in base64"),
        (text_of(entry(x5c=[der(LEAF.certificate)])), "keys[0]: the certificate is not that of an authority"),
        (text_of(entry(x5c=[der(NEXT.own().certificate)])), "keys[0]: the key is not that of its certificate"),
        (text_of(entry(kty="RSA")), "keys[0]: the key is not that of its certificate"),
    ],
)
def test_refused(text: bytes, why: str) -> None:
    """What is no bundle is refused with the reason."""
    with pytest.raises(BundleDocumentError) as error:
        read_bundle(text)
    assert str(error.value) == why


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
KEYS = st.fixed_dictionaries(
    {},
    optional={
        "kty": st.sampled_from(["EC", "RSA", "oct"]) | JSON,
        "use": st.sampled_from(["x509-svid", "jwt-svid"]) | JSON,
        "x5c": st.lists(st.text() | st.binary().map(lambda data: base64.b64encode(data).decode()), max_size=2) | JSON,
        "x": JSON,
    },
)


@given(st.binary() | st.fixed_dictionaries({"keys": st.lists(KEYS, max_size=3)}).map(lambda c: json.dumps(c).encode()))
def test_nothing_crashes_the_reader(text: bytes) -> None:
    """Whatever is fetched is a bundle or is refused."""
    with contextlib.suppress(BundleDocumentError):
        assert isinstance(read_bundle(text), BundleDocument)


@given(st.data())
def test_damage_is_survived(data: st.DataObject) -> None:
    """A real document with some bytes changed is a bundle or is refused."""
    text = bytearray(write_bundle(BundleDocument((ROOT.own().certificate, NEXT.own().certificate), 3, 60)))
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BundleDocumentError):
        assert isinstance(read_bundle(bytes(text)), BundleDocument)


def signer(algorithm: str = "ES256", key: str = "partner.example/root") -> Issuer:
    """A token issuer of the trust domain."""
    return Issuer("desk", "https://desk.partner.example", algorithm, 1, trust_domain="partner.example", key=key)


def jwt_key(issuer: Issuer) -> JwtKey:
    """Its key as bundles have it."""
    return JwtKey(kid_of(issuer), public_key(issuer))


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "RS256"])
def test_keys_of_tokens_come_through(algorithm: str) -> None:
    """Keys that sign tokens stand beside the authorities, with use jwt-svid and a key id, and are read as they were."""
    signing = [signer(algorithm, f"partner.example/{name}") for name in ("root", "root-2")]
    document = BundleDocument((ROOT.own().certificate,), 3, 60, tuple(map(jwt_key, signing)))
    written = write_bundle(document)
    entries = json.loads(written)["keys"][1:]
    assert [(key["use"], key["kid"]) for key in entries] == [("jwt-svid", kid_of(one)) for one in signing]
    assert all("x5c" not in key for key in entries)
    read = read_bundle(written)
    assert read.certificates == document.certificates
    assert [key.kid for key in read.jwt_keys] == [kid_of(one) for one in signing]
    for key, one in zip(read.jwt_keys, signing, strict=True):
        assert key.public_key.public_numbers() == public_key(one).public_numbers()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kid": None}, "'kid' is missing"),
        ({"kid": ""}, "'kid' is no text"),
        ({"kid": 7}, "'kid' is no text"),
        ({"x": "!"}, "the key can't be read"),
        ({"crv": "P-1"}, "the key can't be read"),
        ({"d": "AAEC"}, "the key can't be read"),
    ],
)
def test_keys_of_tokens_that_are_none(changes: dict[str, Any], reason: str) -> None:
    """A key that signs tokens has an id, is one, and is public."""
    (key,) = json.loads(write_bundle(BundleDocument((), jwt_keys=(jwt_key(signer()),))))["keys"]
    broken = {name: value for name, value in {**key, **changes}.items() if value is not None}
    with pytest.raises(BundleDocumentError) as caught:
        read_bundle(text_of(broken))
    assert reason in str(caught.value)


def test_two_keys_of_one_id() -> None:
    """A key id names one key."""
    (key,) = json.loads(write_bundle(BundleDocument((), jwt_keys=(jwt_key(signer()),))))["keys"]
    with pytest.raises(BundleDocumentError, match="another key has this 'kid'"):
        read_bundle(text_of(key, key))


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "RS256"])
def test_nominal_size_of_documents(key_type: str, algorithm: str) -> None:
    """The size that is told without minting is that of the real document, but for what ECDSA varies by."""
    roots = [authority(name, key_type) for name in ("root", "root-2")]
    keys = tuple(jwt_key(signer(algorithm, root.id)) for root in roots)
    document = BundleDocument(tuple(root.own().certificate for root in roots), 12, 300, keys)
    facts = [root.issuers[0] for root in roots]
    told = document_size_bytes(facts, [TOKEN_KEYS[algorithm]] * 2, 12, 300)
    varies = document_slack_bytes(facts) if key_type.startswith("ecdsa") else 0
    assert abs(len(write_bundle(document)) - told) <= varies
