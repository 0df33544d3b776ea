"""Sessions as Envoy keeps them, by the model and OpenSSL, and by a real Envoy: clients look again, servers do not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from meshsim.sidecar.tls import outcome
from meshsim.sidecar.tls.outcome import Refused
from tests.policy.envoy_server import Client, Identities, envoy_binary, free_ports, http_manager, running

Json = dict[str, Any]
SECOND = 10**9
LIFE_S = 8
ENDS = ("client", "server")
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
replace = msgspec.structs.replace


def short_lived(mesh: Any, end: str, **changes: Any) -> tuple[Any, int]:
    """Return a case with the ticket of a session, and when the certificate of one end of it has ended."""
    base = mesh.case()
    svid = mesh.svid(getattr(base, end).svid.spiffe_id, ttl=700 * SECOND)
    case = mesh.case(**{f"{end}__svid": svid}, **changes)
    ticket = mesh.play(case, real=True).ticket
    return replace(case, ticket=ticket), svid.not_after_ns + 1


def answered_after_its_end(mesh: Any, end: str, **changes: Any) -> Any:
    """Play the handshake that offers that ticket when the certificate of one end has ended."""
    case, late_ns = short_lived(mesh, end, **changes)
    assert mesh.proven(case).client_established.resumed
    return mesh.proven(replace(case, client_clock_ns=late_ns, server_clock_ns=late_ns))


def test_an_envoy_client_looks_at_the_servers_certificate_again(mesh: Any) -> None:
    """It does not resume with a server whose certificate has ended, where OpenSSL does."""
    late = answered_after_its_end(mesh, "server", client__as_envoy=True, server__as_envoy=True)
    assert late.refused == Refused(alert="certificate_expired", by="client", reason=outcome.EXPIRED, sent=True)
    assert answered_after_its_end(mesh, "server").client_established.resumed


def test_an_envoy_server_does_not_look_at_the_clients_certificate_again(mesh: Any) -> None:
    """It resumes with a client whose certificate has ended, as OpenSSL does."""
    late = answered_after_its_end(mesh, "client", client__as_envoy=True, server__as_envoy=True)
    assert late.client_established.resumed


def _address(port: int) -> Json:
    return {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}


def _short_certificate(folder: Path, name: str, ca: Path) -> Path:
    """Write a certificate that ends in a few seconds."""
    authority = x509.load_pem_x509_certificate(ca.read_bytes())
    signer = serialization.load_pem_private_key(ca.read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://mesh.example/{name}")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(seconds=LIFE_S))
        .add_extension(names, critical=True)
        .sign(signer, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*private))
    return path


def _tls(kind: str, certificate: Path, ca: Path, **more: Any) -> Json:
    shown = {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(certificate)}}
    common = {
        "tls_certificates": [shown],
        "validation_context": {"trusted_ca": {"filename": str(ca)}},
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
    }
    return {"name": "tls", "typed_config": {"@type": f"{TLS}{kind}", "common_tls_context": common, **more}}


def _cluster(name: str, port: int, tls: Json) -> Json:
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    each_its_own = {
        "@type": f"type.googleapis.com/{options}",
        "common_http_protocol_options": {"max_requests_per_connection": 1},
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": _address(port)}]}]},
        "typed_extension_protocol_options": {options: each_its_own},
        "transport_socket": tls,
    }


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A function that has an Envoy ask an Envoy, on a new connection, where the certificate of one end ends soon."""
    folder = tmp_path_factory.mktemp("envoy")
    lasting = Identities(folder, ("spiffe://mesh.example/lasting",))
    port, *servers = free_ports(3)
    listeners, clusters, routes = [], [], []
    for end, server in zip(ENDS, servers, strict=True):
        short = _short_certificate(folder, end, lasting.ca)
        long = lasting.clients["spiffe://mesh.example/lasting"]
        shown = {each: short if each == end else long for each in ENDS}
        below = _tls("DownstreamTlsContext", shown["server"], lasting.ca, require_client_certificate=True)
        below["typed_config"]["common_tls_context"]["alpn_protocols"] = ["h2"]
        chain = {"filters": [http_manager([], {}, {})], "transport_socket": below}
        listeners.append({"name": end, **_address(server), "filter_chains": [chain]})
        clusters.append(_cluster(end, server, _tls("UpstreamTlsContext", shown["client"], lasting.ca)))
        routes.append({"match": {"path": f"/{end}"}, "route": {"cluster": end}})
    options = {"route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}}
    front = {"filters": [http_manager([], options, {"flags": "%RESPONSE_FLAGS%"})]}
    listeners.append({"name": "front", **_address(port), "filter_chains": [front]})
    client = Client(lasting)
    with running(listeners, clusters, folder, [port, *servers]):
        yield lambda end: client.request(("127.0.0.1", port), "GET", f"/{end}", [("host", "service")])
    client.close()


@pytest.mark.skipif(envoy_binary() is None, reason="envoy is not installed")
def test_envoy_resumes_with_expired_clients_and_not_with_expired_servers(asked: Any) -> None:
    """After the end of a certificate Envoy refuses the server's session, and answers the client's."""
    end_s = time.monotonic() + LIFE_S
    for end in ENDS:
        for _ in range(2):
            assert asked(end)[0] == 200
    time.sleep(max(0.0, end_s + 1.1 - time.monotonic()))  # certificates count whole seconds
    assert asked("client")[0] == 200
    status, body = asked("server")
    assert (status, body["flags"]) == (503, "UF")
