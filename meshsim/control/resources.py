"""What is pushed to proxies, as resources of xDS: how many bytes each push has on a stream of gRPC over TLS.

The messages are the ones that Envoy reads (envoy.service.discovery.v3 and what its API has resources of): endpoints of
services, clusters and a listener with their TLS settings, secrets with roots and revocation lists, and policies as
configurations of an extension. Names are those that Istio gives them. What the simulation has no use for is left out of
them: telemetry, routes, filters. What has no resource there, the terms of certificates, is JSON in an extension.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from meshsim.control.protobuf import content, every, number, typed
from meshsim.identity.revocation import Crl
from meshsim.identity.sizes import crl_size_bytes, root_size_bytes
from meshsim.sidecar.http_sizes import FRAME_HEADER_BYTES, MAX_FRAME_BYTES
from meshsim.sidecar.tls.records import sealed_size_bytes

if TYPE_CHECKING:
    from meshsim.identity.authority import Authority
    from meshsim.identity.bundle import TrustBundle
    from meshsim.sidecar.endpoint import Endpoint
    from meshsim.sidecar.tls.settings import TlsSettings

ENDPOINTS: Final = "envoy.config.endpoint.v3.ClusterLoadAssignment"
CLUSTER: Final = "envoy.config.cluster.v3.Cluster"
LISTENER: Final = "envoy.config.listener.v3.Listener"
SECRET: Final = "envoy.extensions.transport_sockets.tls.v3.Secret"
EXTENSION: Final = "envoy.config.core.v3.TypedExtensionConfig"
_TLS: Final = "envoy.extensions.transport_sockets.tls.v3"
_STRING: Final = "google.protobuf.StringValue"

GRPC_PREFIX_BYTES: Final = 5
"""A message's flag and length (gRPC over HTTP/2)."""
_HEALTHY: Final = 1
_DRAINING: Final = 3
_EDS: Final = 3
_VERSIONS: Final = {"1.2": 3, "1.3": 4}
_ADS: Final = content(3, b"") + number(6, 2)
"""A ``ConfigSource``: the stream that it came on, with the third version of the API."""
_PORT: Final = 8080

Texts = tuple[tuple[str, str], ...]
"""Policy files: names and texts."""


def response(kind: str, resources: Iterable[bytes], version: int) -> bytes:
    """Return a ``DiscoveryResponse``."""
    packed = b"".join(content(2, typed(kind, resource)) for resource in resources)
    told = content(1, str(version))
    return told + packed + content(4, f"type.googleapis.com/{kind}") + content(5, str(version))


def sent_size_bytes(message_bytes: int) -> int:
    """Return how many bytes of TCP a message of gRPC takes: in frames of HTTP/2, in records of TLS."""
    framed_bytes = GRPC_PREFIX_BYTES + message_bytes
    return sealed_size_bytes(framed_bytes + -(-framed_bytes // MAX_FRAME_BYTES) * FRAME_HEADER_BYTES)


# Endpoints


def cluster_name(service: str) -> str:
    """Return what Istio calls a service's cluster at its callers."""
    return f"outbound|{_PORT}||{service}.default.svc.cluster.local"


def _text_of(key: str, value: str) -> bytes:
    """Return a field of a ``Struct``."""
    return content(1, content(1, key) + content(2, content(3, value)))


def _endpoint(endpoint: Endpoint, *, draining: bool) -> bytes:
    # An address as pods have them, of about the length of those that policies see.
    pod = f"10.244.{endpoint.endpoint_id >> 8 & 255}.{endpoint.endpoint_id & 255}"
    address = content(1, content(2, pod) + number(3, _PORT))
    workload = f"{endpoint.service};default;{endpoint.service};{endpoint.version or 'latest'};Kubernetes"
    known = (("istio", _text_of("workload", workload)), ("envoy.transport_socket_match", _text_of("tlsMode", "istio")))
    metadata = b"".join(content(1, content(1, key) + content(2, value)) for key, value in known)
    health = number(2, _DRAINING if draining else _HEALTHY)
    return content(1, content(1, address)) + health + content(3, metadata) + content(4, number(1, 1))


def endpoints_of(service: str, endpoints: Iterable[Endpoint], draining: frozenset[int] = frozenset()) -> bytes:
    """Return a ``ClusterLoadAssignment``: the endpoints of a service by site and node."""
    places: dict[tuple[str, str], list[Endpoint]] = {}
    for endpoint in endpoints:
        places.setdefault((endpoint.site, endpoint.node), []).append(endpoint)
    assignment = content(1, cluster_name(service))
    for (site, node), found in places.items():
        one = content(1, content(2, site) + content(3, node))
        for endpoint in found:
            one += content(2, _endpoint(endpoint, draining=endpoint.endpoint_id in draining))
        assignment += content(2, one + content(3, number(1, len(found))))
    return assignment


# TLS settings


def _common(settings: TlsSettings) -> bytes:
    versions = number(1, _VERSIONS[settings.min_version]) + number(2, _VERSIONS[settings.max_version])
    # Suites of TLS 1.3 are no part of it: Envoy takes those of its library.
    parameters = versions + every(4, settings.groups) + every(5, settings.signature_schemes)
    secrets = [content(1, name) + content(2, _ADS) for name in ("default", "ROOTCA")]
    return content(1, parameters) + content(4, "h2") + content(6, secrets[0]) + content(7, secrets[1])


def _socket(side: str, context: bytes) -> bytes:
    return content(1, "envoy.transport_sockets.tls") + content(3, typed(f"{_TLS}.{side}", context))


def cluster_of(service: str, settings: TlsSettings) -> bytes:
    """Return a ``Cluster``: how a caller speaks to a service."""
    upstream = content(1, _common(settings)) + content(2, cluster_name(service))
    plain = content(1, cluster_name(service)) + number(2, _EDS) + content(3, content(1, _ADS))
    plain += content(4, number(1, 10))  # connect_timeout
    return plain if settings.mode == "DISABLE" else plain + content(24, _socket("UpstreamTlsContext", upstream))


def listener_of(settings: TlsSettings) -> bytes:
    """Return a ``Listener``: how a proxy is spoken to."""
    address = content(1, content(2, "0.0.0.0") + number(3, 15006))
    chain = b""
    if settings.mode != "DISABLE":
        asks = content(2, number(1, 1)) if settings.mutual else b""
        chain = content(6, _socket("DownstreamTlsContext", content(1, _common(settings)) + asks))
    return content(1, "virtualInbound") + content(2, address) + content(3, chain)


# Trust


def pem_size_bytes(der_bytes: int, label: str) -> int:
    """Return the size of so much DER in PEM (RFC 7468): lines of 64 characters between two of the label's."""
    characters = (der_bytes + 2) // 3 * 4
    return characters + -(-characters // 64) + len(f"-----BEGIN {label}-----\n-----END {label}-----\n")


def secret_of(name: str, roots: bytes, revoked: bytes) -> bytes:
    """Return a ``Secret`` by which peers are checked: roots, and a revocation list if there is one, as PEM."""
    lists = content(7, content(2, revoked)) if revoked else b""
    return content(1, name) + content(4, content(1, content(2, roots)) + lists)


def trust_size_bytes(bundles: Iterable[TrustBundle], by_id: Mapping[str, Authority], own: str, version: int) -> int:
    """Return the size of a push of bundles: of a trust domain's ``own``, or of others.

    What is refused although an authority vouches for it is a revocation list there, as Envoy takes it.
    """
    told = []
    for bundle in bundles:
        roots = [by_id[name].issuers[0] for name in sorted(bundle.authorities)]
        roots_bytes = sum(pem_size_bytes(root_size_bytes(facts), "CERTIFICATE") for facts in roots)
        key_type = roots[0].key_type if roots else "ecdsa-p256"
        revoked_bytes = denied_size_bytes(bundle.revoked_serials, key_type) if bundle.revoked_serials else 0
        name = "ROOTCA" if bundle.trust_domain == own else f"spiffe://{bundle.trust_domain}"
        told.append(secret_of(name, bytes(roots_bytes), bytes(revoked_bytes)))
    return sent_size_bytes(len(response(SECRET, told, version)))


def denied_size_bytes(serials: frozenset[int], key_type: str) -> int:
    """Return the size of serial numbers that are not to be believed, as a revocation list in PEM."""
    return pem_size_bytes(crl_size_bytes(Crl("", 1, 0, 0, serials), key_type), "X509 CRL")


# Pushes


@lru_cache(maxsize=256)
def settings_size_bytes(settings: TlsSettings, services: tuple[str, ...], version: int) -> int:
    """Return the size of a push of TLS settings: a cluster of each service, and the listener."""
    clusters = response(CLUSTER, (cluster_of(service, settings) for service in services), version)
    listeners = response(LISTENER, (listener_of(settings),), version)
    return sent_size_bytes(len(clusters)) + sent_size_bytes(len(listeners))


@lru_cache(maxsize=256)
def texts_size_bytes(texts: Texts, version: int) -> int:
    """Return the size of a push of texts: policies as they stand in their files, whole."""
    extensions = (content(1, name) + content(2, typed(_STRING, content(1, text))) for name, text in texts)
    return sent_size_bytes(len(response(EXTENSION, extensions, version)))


def terms_text(terms: Mapping[str, int | str]) -> Texts:
    """Return terms of certificates as a text to push."""
    return (("certificates", json.dumps(terms, separators=(",", ":"))),)


def endpoints_size_bytes(
    endpoints: Mapping[str, tuple[Endpoint, ...]], draining: frozenset[int], services: Iterable[str], version: int
) -> int:
    """Return the size of a push of where some services are."""
    found = (endpoints_of(service, endpoints[service], draining) for service in services)
    return sent_size_bytes(len(response(ENDPOINTS, found, version)))
