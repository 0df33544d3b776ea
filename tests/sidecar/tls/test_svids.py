"""What makes a certificate an X.509-SVID: cases written from the standards, predicted and minted for real.

Sources: SPIFFE-ID, section 2 (scheme, trust domain, path, length); X.509-SVID, sections 2 (one URI name), 3.1 (a path),
4.1 (cA), 4.3 (key usage), 4.4 (extended key usage) and 5.2 (validation).
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spiffe import SpiffeId
from spiffe.spiffe_id.spiffe_id import SpiffeIdError

from meshsim.identity.spiffe import check_spiffe_id, is_workload_id
from meshsim.identity.svid import Profile
from meshsim.sidecar.tls import outcome
from meshsim.sidecar.tls.outcome import Refused

DOMAIN = "plant.example"
GOOD = [
    "spiffe://plant.example/ns/default/sa/vision",
    "spiffe://plant.example/a",
    "spiffe://plant.example/A.b-c_9",
    "spiffe://plant.example/...",
    "spiffe://plant.example/..a/.b",
    "spiffe://plant.example/" + "x" * (2048 - len("spiffe://plant.example/")),
]
BAD = [
    "",
    "plant.example/a",
    "spiffe:/plant.example/a",
    "spiffe:///a",
    "https://plant.example/a",
    "SPIFFE://plant.example/a",
    "Spiffe://plant.example/a",
    "spiffe://Plant.example/a",
    "spiffe://plant.example",
    "spiffe://plant.example/",
    "spiffe://plant.example/a/",
    "spiffe://plant.example//a",
    "spiffe://plant.example/a//b",
    "spiffe://plant.example/.",
    "spiffe://plant.example/..",
    "spiffe://plant.example/a/./b",
    "spiffe://plant.example/a/../b",
    "spiffe://plant.example/a/..",
    "spiffe://plant.example:443/a",
    "spiffe://user@plant.example/a",
    "spiffe://plant.example/a?b=c",
    "spiffe://plant.example/a#b",
    "spiffe://plant.example/a%20b",
    "spiffe://plant.example/%2e%2e",
    "spiffe://plant.example/a b",
    "spiffe://plant%2eexample/a",
    "spiffe://plant.example/a~b",
    "spiffe://plant.example/a:b",
    " spiffe://plant.example/a",
    "spiffe://plant.example/a\n",
    "spiffe://plant.example/" + "x" * (2049 - len("spiffe://plant.example/")),
    "spiffe://" + "d" * 256 + "/a",
]


@pytest.mark.parametrize("spiffe_id", GOOD)
def test_good_ids(mesh: Any, spiffe_id: str) -> None:
    """IDs that the standard allows, up to its bounds, are accepted as peers."""
    assert check_spiffe_id(spiffe_id) is None
    assert mesh.proven(mesh.case(client__svid=mesh.svid(spiffe_id))).established


@pytest.mark.parametrize("spiffe_id", BAD)
def test_bad_ids(mesh: Any, spiffe_id: str) -> None:
    """A certificate with an ID against the standard is refused, whoever vouches for it."""
    assert check_spiffe_id(spiffe_id) is not None
    prediction = mesh.proven(mesh.case(client__svid=mesh.svid(spiffe_id)))
    assert prediction.refused == Refused(
        alert="bad_certificate", by="server", reason=outcome.INVALID_SPIFFE_ID, sent=True
    )


USUAL = frozenset({"digital_signature"})
BOTH = ("server_auth", "client_auth")
FLAWED = [
    (Profile(uris=()), outcome.NOT_ONE_URI),
    (Profile(uris=(), dns_names=("vision.plant.example",)), outcome.NOT_ONE_URI),
    (Profile(uris=("ID", "spiffe://plant.example/b")), outcome.NOT_ONE_URI),
    (Profile(uris=("ID", "ID")), outcome.NOT_ONE_URI),
    (Profile(uris=("ID", "https://plant.example/")), outcome.NOT_ONE_URI),
    (Profile(ca=True), outcome.SIGNING_CERTIFICATE),
    (Profile(ca=True, usages=USUAL | {"key_cert_sign", "crl_sign"}), outcome.SIGNING_CERTIFICATE),
    (Profile(usages=USUAL | {"key_cert_sign"}), outcome.SIGNING_CERTIFICATE),
    (Profile(usages=USUAL | {"crl_sign"}), outcome.SIGNING_CERTIFICATE),
    (Profile(usages=None), outcome.WRONG_KEY_USAGE),
    (Profile(usages=frozenset({"key_agreement"})), outcome.WRONG_KEY_USAGE),
    (Profile(usages=frozenset({"key_encipherment"})), outcome.WRONG_KEY_USAGE),
    (Profile(purposes=("server_auth",)), outcome.WRONG_KEY_USAGE),
    (Profile(purposes=("client_auth",)), outcome.WRONG_KEY_USAGE),
    (Profile(purposes=("code_signing",)), outcome.WRONG_KEY_USAGE),
]
SOUND = [
    Profile(dns_names=("vision.default.svc", "vision")),
    Profile(usages=USUAL | {"key_encipherment", "key_agreement"}),
    Profile(purposes=()),
    Profile(purposes=(*BOTH, "code_signing")),
]


def profiled(mesh: Any, by: str, profile: Profile) -> Any:
    """Return a case in which the end opposite ``by`` shows a certificate with this profile."""
    base = mesh.case()
    end = "server" if by == "client" else "client"
    spiffe_id = getattr(base, end).svid.spiffe_id
    if profile.uris is not None:
        profile = Profile(uris=tuple(uri.replace("ID", spiffe_id) for uri in profile.uris), dns_names=profile.dns_names)
    return mesh.case(**{f"{end}__svid": mesh.svid(spiffe_id, profile=profile)})


@pytest.mark.parametrize("by", ["client", "server"])
@pytest.mark.parametrize(("profile", "reason"), FLAWED)
def test_flawed_certificates(mesh: Any, profile: Profile, reason: str, by: str) -> None:
    """A certificate that breaks the X.509-SVID standard is refused by either end, and for the right reason."""
    alert = "unsupported_certificate" if reason == outcome.WRONG_KEY_USAGE else "bad_certificate"
    prediction = mesh.proven(profiled(mesh, by, profile))
    assert prediction.refused == Refused(alert=alert, by=by, reason=reason, sent=True)


@pytest.mark.parametrize("by", ["client", "server"])
@pytest.mark.parametrize("profile", SOUND)
def test_unusual_certificates(mesh: Any, profile: Profile, by: str) -> None:
    """What the standard leaves open is accepted: DNS names, key agreement, no extended key usage, or more of them."""
    assert mesh.proven(profiled(mesh, by, profile)).established


def test_a_flaw_is_found_before_trust(mesh: Any) -> None:
    """A certificate that is no SVID is refused as such, though nobody trusts who signed it."""
    svid = mesh.svid("spiffe://plant.example", mesh.rogue)
    assert mesh.proven(mesh.case(client__svid=svid)).refused.reason == outcome.INVALID_SPIFFE_ID


PIECES = ["spiffe://", "SPIFFE://", "plant.example", "Plant", "/", "//", ".", "..", "a", "Z", "-", "_", "%2e", ":1"]


@settings(max_examples=600, deadline=None)
@given(text=st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=7).map("".join)))
def test_ids_agree_with_the_library(text: str) -> None:
    """The verifier's parser and the ``spiffe`` library agree, but for case, and for a newline at the end."""
    try:
        parsed = SpiffeId(text)
        good = bool(parsed.path) and str(parsed) == text and not text.endswith("\n")
    except SpiffeIdError:
        good = False
    assert is_workload_id(text) == good
