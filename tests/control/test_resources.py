"""Resources that are pushed: a real Envoy reads the bytes that are counted, and their sizes grow as they should."""

from __future__ import annotations

import base64
import http.client
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from meshsim.control import resources
from meshsim.control.protobuf import content, number, varint
from meshsim.identity.authority import Authority
from meshsim.identity.bundle import TrustBundle
from meshsim.identity.minting_revocation import mint_crl
from meshsim.identity.revocation import Crl
from meshsim.sidecar.endpoint import Endpoint
from meshsim.sidecar.tls.settings import TlsSettings
from tests.policy.envoy_server import WAIT_S, configured, envoy_binary, free_ports

Json = dict[str, Any]
S = 1_000_000_000
PLACES = (
    Endpoint(1, "front", "edge-1", "plant", "spiffe://mesh.example/ns/default/sa/front"),
    Endpoint(2, "front", "edge-1", "plant", "spiffe://mesh.example/ns/default/sa/front", "v2"),
    Endpoint(3, "front", "core-1", "city", "spiffe://mesh.example/ns/default/sa/front"),
)
SETTINGS = TlsSettings(groups=("X25519MLKEM768", "X25519"), signature_schemes=("ecdsa_secp256r1_sha256",))


def root() -> Authority:
    """An authority of its own name."""
    return Authority("mesh.example", "root", 7, "ecdsa-p256", 0, 3650 * 86_400 * S)


def pem(der: bytes, label: str) -> bytes:
    """DER in PEM."""
    text = base64.encodebytes(der).replace(b"\n", b"")
    lines = b"".join(text[start : start + 64] + b"\n" for start in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n".encode() + lines + f"-----END {label}-----\n".encode()


def test_the_wire_format() -> None:
    """Fields are as in the examples of the encoding's documentation."""
    assert varint(150) == bytes.fromhex("9601")
    assert number(1, 150) == bytes.fromhex("089601")
    assert content(2, "testing") == bytes.fromhex("120774657374696e67")
    assert content(3, number(1, 150)) == bytes.fromhex("1a03089601")


def bootstrap(folder: Path, admin: int, pushed: str) -> Json:
    """An Envoy that reads clusters or listeners from a file, and waits for what would come on a stream."""
    path = {"resource_api_version": "V3"}
    xds = {
        "name": "xds",
        "type": "STATIC",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {"cluster_name": "xds"},
    }
    eds = {
        "name": resources.cluster_name("front"),
        "type": "EDS",
        "eds_cluster_config": {"eds_config": path | {"path_config_source": {"path": str(folder / "endpoints.pb")}}},
    }
    secret = {
        "name": "ROOTCA",
        "sds_config": path | {"path_config_source": {"path": str(folder / "secrets.pb")}},
    }
    asks = {
        "name": "asks",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "asks"},
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": {"validation_context_sds_secret_config": secret},
            },
        },
    }
    return {
        "node": {"id": "proxy", "cluster": "mesh"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}},
        "static_resources": {"clusters": [xds, eds, asks]},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            },
            {"clusters": "cds_config", "listeners": "lds_config"}[pushed]: path
            | {"path_config_source": {"path": str(folder / f"{pushed}.pb")}},
        },
    }


def admin_says(port: int, kind: str, state: str) -> dict[str, Json]:
    """What Envoy says it is configured with, by the kind of it, once it says anything of one kind in this state."""
    end = time.monotonic() + WAIT_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        connection.request("GET", "/config_dump?include_eds")
        dump: Json = json.loads(connection.getresponse().read())
        connection.close()
        found = {one["@type"].rpartition(".")[2]: one for one in dump["configs"]}
        if state in found[kind]:
            return found
        assert time.monotonic() < end, f"Envoy has no {state}"
        time.sleep(0.05)


@pytest.mark.skipif(envoy_binary() is None, reason="there is no Envoy here")
def test_envoy_reads_what_is_counted(tmp_path: Path) -> None:
    """Endpoints, clusters, a listener and a secret with a root and a revocation list are what they were meant to be."""
    authority = root()
    roots = pem(authority.own().certificate.public_bytes(Encoding.DER), "CERTIFICATE")
    crl = Crl(authority.id, 1, 0, 365 * 86_400 * S, frozenset(range(1 << 126, (1 << 126) + 5)))
    revoked = pem(mint_crl(crl, authority.signer()).public_bytes(Encoding.DER), "X509 CRL")
    pushed = {
        "endpoints": (resources.ENDPOINTS, resources.endpoints_of("front", PLACES, frozenset({2}))),
        "clusters": (resources.CLUSTER, resources.cluster_of("store", SETTINGS)),
        "listeners": (resources.LISTENER, resources.listener_of(SETTINGS)),
        "secrets": (resources.SECRET, resources.secret_of("ROOTCA", roots, revoked)),
    }
    for name, (kind, resource) in pushed.items():
        (tmp_path / f"{name}.pb").write_bytes(resources.response(kind, (resource,), 3))
    found = {}
    for name, kind, state in (
        ("listeners", "ListenersConfigDump", "dynamic_listeners"),
        ("clusters", "ClustersConfigDump", "dynamic_warming_clusters"),
    ):
        (port,) = free_ports(1)
        with configured(bootstrap(tmp_path, port, name), tmp_path, (port,)):
            found = admin_says(port, kind, state) | {one: found[one] for one in found if one.startswith("Listeners")}
    (assignment,) = [
        one["endpoint_config"]
        for one in found["EndpointsConfigDump"]["static_endpoint_configs"]
        if one["endpoint_config"]["cluster_name"] == resources.cluster_name("front")
    ]
    places = sorted(assignment["endpoints"], key=lambda one: str(one["locality"]["sub_zone"]), reverse=True)
    localities = [(one["locality"], len(one["lb_endpoints"])) for one in places]
    assert localities == [({"zone": "plant", "sub_zone": "edge-1"}, 2), ({"zone": "city", "sub_zone": "core-1"}, 1)]
    health = [end["health_status"] for place in places for end in place["lb_endpoints"]]
    assert health == ["HEALTHY", "UNHEALTHY", "HEALTHY"]  # one that drains is no place for new requests
    address = places[0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    assert address == {"address": "10.244.0.1", "port_value": 8080}
    (cluster,) = found["ClustersConfigDump"]["dynamic_warming_clusters"]
    context = cluster["cluster"]["transport_socket"]["typed_config"]
    assert cluster["version_info"] == "3"
    assert context["sni"] == resources.cluster_name("store")
    assert context["common_tls_context"]["tls_params"] == {
        "tls_minimum_protocol_version": "TLSv1_3",
        "tls_maximum_protocol_version": "TLSv1_3",
        "ecdh_curves": ["X25519MLKEM768", "X25519"],
        "signature_algorithms": ["ecdsa_secp256r1_sha256"],
    }
    (listener,) = found["ListenersConfigDump"]["dynamic_listeners"]
    (chain,) = listener["warming_state"]["listener"]["filter_chains"]
    asks = chain["transport_socket"]["typed_config"]
    assert asks["require_client_certificate"] is True
    assert asks["common_tls_context"]["tls_params"] == context["common_tls_context"]["tls_params"]
    (secret,) = [one["secret"] for one in found["SecretsConfigDump"]["dynamic_active_secrets"]]
    checks = secret["validation_context"]
    assert base64.b64decode(checks["trusted_ca"]["inline_bytes"]) == roots
    assert base64.b64decode(checks["crl"]["inline_bytes"]) == revoked


def test_nominal_trust_is_as_large_as_real_trust() -> None:
    """The size of a push of trust is that of real certificates and lists, but for the slack of ECDSA signatures."""
    authority = root()
    roots = pem(authority.own().certificate.public_bytes(Encoding.DER), "CERTIFICATE")
    for count in (0, 1, 70, 1_000):
        serials = frozenset(range(1 << 126, (1 << 126) + count))
        crl = Crl(authority.id, 1, 0, 365 * 86_400 * S, serials)
        revoked = pem(mint_crl(crl, authority.signer()).public_bytes(Encoding.DER), "X509 CRL") if count else b""
        secret = resources.secret_of("ROOTCA", roots, revoked)
        real = resources.sent_size_bytes(len(resources.response(resources.SECRET, (secret,), 2)))
        bundle = TrustBundle("mesh.example", frozenset({authority.id}), serials)
        nominal = resources.trust_size_bytes((bundle,), {authority.id: authority}, "mesh.example", 2)
        assert abs(nominal - real) <= 2 * 8


def test_a_deny_list_grows_with_its_entries() -> None:
    """Each serial number is an entry of a revocation list: 35 bytes of DER, a third more in PEM, and ends of lines."""
    sizes = [
        resources.denied_size_bytes(frozenset(range(1 << 126, (1 << 126) + count)), "ecdsa-p256")
        for count in (1_000, 2_000, 3_000)
    ]
    # A sequence of an integer of 16 bytes and a time (RFC 5280, section 5.1).
    entry = 2 + (2 + 16) + (2 + 13)
    assert sizes[1] - sizes[0] == pytest.approx(1_000 * entry * 4 / 3 * 65 / 64, abs=8)
    assert sizes[2] - sizes[1] == pytest.approx(sizes[1] - sizes[0], abs=8)


def test_what_is_pushed_in_more_than_one_record() -> None:
    """A message has its prefix, and each 16 KiB of it a frame of HTTP/2 and a record of TLS."""
    assert resources.sent_size_bytes(100) == 100 + 5 + 9 + 22
    assert resources.sent_size_bytes(40_000) == 40_000 + 5 + 3 * 9 + 3 * 22


def test_policies_are_their_text() -> None:
    """A push of policies has the bytes of their files, UTF-8, and some more for their names."""
    small = resources.texts_size_bytes((("a.cedar", "permit (principal, action, resource);"),), 2)
    large = resources.texts_size_bytes((("a.cedar", "permit (principal, action, resource);" + "ä" * 500),), 2)
    assert 1_000 <= large - small <= 1_006


def test_plaintext_needs_no_context() -> None:
    """A cluster and a listener for plaintext have no settings of TLS."""
    plain = msgspec.structs.replace(SETTINGS, mode="DISABLE")
    assert b"tls" not in resources.cluster_of("store", plain) + resources.listener_of(plain)
    lax = msgspec.structs.replace(SETTINGS, mutual=False)
    assert len(resources.listener_of(SETTINGS)) - len(resources.listener_of(lax)) == 4
