"""What real meshes do by default, as settings of a scenario: one table, each value with its source.

A scenario takes them with ``mesh: {preset: NAME}``. They stand in place of meshsim's own defaults; whatever the author
writes wins, field by field. docs/presets.md is written from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from meshsim.scenario.preset_types import Default, Left, Preset

_RUNNING = "meshsim: a mesh that has run for long, with certificates of all ages"

_ISTIO_CA = (
    Default("identity.svid_ttl", "24 h", "istio: pkg/security, SECRET_TTL"),
    Default("identity.rotate_at", "50 %", "istio: security/pkg/nodeagent/cache, SECRET_GRACE_PERIOD_RATIO"),
    Default("identity.backdate", "2 min", "istio: security/pkg/pki/util, ClockSkewGracePeriod"),
    Default("identity.ca_ttl", "3650 d", "istio: CITADEL_SELF_SIGNED_CA_CERT_TTL"),
    Default("identity.at_start", "aged", _RUNNING),
    Default("identity.issuer.timeout", "10 s", "istio: security/pkg/nodeagent/cache, totalTimeout"),
    Default("identity.ca_key", "rsa-2048", "istio: CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE"),
    Default("tls.mode", "PERMISSIVE", "istio: PeerAuthentication without a policy"),
    Default("control.debounce", "100 ms", "istio: PILOT_DEBOUNCE_AFTER"),
    Default("control.debounce_max", "10 s", "istio: PILOT_DEBOUNCE_MAX"),
)
_ISTIO_LEFT = (
    Left("certificates of at most 90 d", "identity.svid_ttl may be anything"),
    Left("root certificate renewed with the same key when 20 % of its life is left", "beyond the length of a run"),
    Left(
        "keep-alive of the control plane's connections 30 s / 10 s",
        "control.failure_detection says how soon a loss is known",
    ),
    Left("no request timeout", "resilience.request_timeout bounds every call: 15 s unless set"),
)
_ENVOY_SESSIONS = (
    Default(
        "tls.resumption",
        {"as_envoy": True},
        "envoy: reverify_on_resume; secrets make contexts anew",
    ),
    Default("pool.session_scope", "service", "envoy: max_session_keys 1 for each upstream cluster"),
)
_ENVOY_GROUPS = Default("tls.groups", ["X25519", "P-256"], "envoy: common TLS context, ecdh_curves")
_ENVOY_CIPHERS = Default(
    "tls.ciphers",
    ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
    "BoringSSL, with AES instructions",
)

ISTIO: Final = Preset(
    name="istio",
    title="Istio with sidecars",
    source="istio at 86c9f01; Envoy documentation; 2026",
    defaults=(
        *_ISTIO_CA,
        Default("identity.rotate_jitter", "1 %", "istio: SECRET_GRACE_PERIOD_RATIO_JITTER"),
        Default("identity.issuer.retry.base", "500 ms", "istio: pkg/backoff, defaultInitialInterval"),
        Default("identity.issuer.retry.factor", 1.5, "cenkalti/backoff, DefaultMultiplier"),
        Default("identity.issuer.retry.cap", "60 s", "istio: pkg/backoff, defaultMaxInterval"),
        Default("identity.issuer.retry.jitter", "50 %", "cenkalti/backoff, DefaultRandomizationFactor"),
        Default("tls.key", "rsa-2048", "istio: WORKLOAD_RSA_KEY_SIZE, unless ECDSA is asked for"),
        Default("tls.min_version", "1.2", "istio: inbound TLS 1.2 to 1.3"),
        Default("tls.max_version", "1.3", "istio: inbound TLS 1.2 to 1.3"),
        _ENVOY_GROUPS,
        _ENVOY_CIPHERS,
        *_ENVOY_SESSIONS,
        Default("resilience.retries", 2, "istio: default retry policy, attempts"),
        Default(
            "resilience.retry_on",
            ["connect-failure"],
            "istio: connect-failure, refused-stream, unavailable, cancelled, retriable-status-codes",
        ),
        Default("resilience.backoff", "25 ms", "envoy: router, base interval"),
        Default("resilience.connect_timeout", "10 s", "istio: mesh config, connectTimeout"),
        Default("pool.idle_timeout", "1 h", "envoy: HTTP connection manager, idle_timeout"),
        Default("load_balancing.policy", "least_request", "istio: DestinationRule, LEAST_REQUEST"),
        Default("load_balancing.locality", True, "istio: locality load balancing"),
        Default("http.client_cert.from_fleets", "SANITIZE_SET", "istio: gateways, gatewayTopology"),
        Default("http.client_cert.from_services", "APPEND_FORWARD", "istio: inbound listeners of sidecars"),
        Default("http.identity_headers", [], "istio: none is removed unless a configuration says so"),
    ),
    left=(
        *_ISTIO_LEFT,
        Left("ML-KEM with COMPLIANCE_POLICY=pqc", "tls.groups can name X25519MLKEM768"),
        Left("no circuit breaker, no outlier detection", "as here; per service with mesh.destinations"),
        Left("panic threshold of 0 with outlier detection", "unhealthy replicas are never used"),
    ),
)

ZTUNNEL: Final = Preset(
    name="ztunnel",
    title="Istio ambient, ztunnel",
    source="istio/ztunnel, 2026",
    defaults=(
        Default("ambient", True, "istio: ztunnel enforces policies of TCP, waypoints those of HTTP"),
        *_ISTIO_CA,
        Default("identity.issuer.retry.base", "1 s", "ztunnel: src/identity/manager.rs, current_interval"),
        Default("identity.issuer.retry.factor", 2, "ztunnel: src/identity/manager.rs, multiplier"),
        Default("identity.issuer.retry.cap", "150 s", "ztunnel: src/identity/manager.rs, retry delay"),
        Default("identity.issuer.retry.jitter", "20 %", "ztunnel: src/identity/manager.rs, randomization_factor"),
        Default("tls.key", "ecdsa-p256", "ztunnel: src/tls/csr.rs"),
        Default("tls.min_version", "1.3", "ztunnel: TLS 1.3 only"),
        Default("tls.max_version", "1.3", "ztunnel: TLS 1.3 only"),
        Default("tls.resumption", False, "ztunnel: sessions are not resumed"),
        Default("pool.streams_per_connection", 100, "ztunnel: POOL_MAX_STREAMS_PER_CONNECTION"),
        Default("pool.idle_timeout", "5 min", "ztunnel: POOL_UNUSED_RELEASE_TIMEOUT"),
        Default("resilience.retries", 0, "ztunnel: carries connections, and retries no request"),
    ),
    left=(
        *_ISTIO_LEFT,
        Left("one proxy for all workloads of a node", "every replica has a sidecar of its own"),
        Left("ztunnel reads no HTTP, so header fields pass as they are", "forged ones are removed, as mesh.http says"),
        Left("live connections are cut when a new CRL names their peer", "certificates are not revoked by the preset"),
    ),
)

LINKERD: Final = Preset(
    name="linkerd",
    title="Linkerd",
    source="linkerd2, linkerd2-proxy, 2026",
    defaults=(
        Default("identity.svid_ttl", "24 h", "linkerd2: identity.issuer, issuanceLifetime"),
        Default("identity.rotate_at", "70 %", "linkerd2-proxy: identity-client, refresh_in"),
        Default("identity.backdate", "20 s", "linkerd2: identity.issuer, clockSkewAllowance"),
        Default("identity.ca_ttl", "365 d", "linkerd2: the anchor is the user's; its guide makes one for a year"),
        Default("identity.at_start", "aged", _RUNNING),
        Default("identity.issuer.retry.of_remaining", "70 %", "linkerd2-proxy: identity-client, refresh_in"),
        Default("identity.issuer.retry.base", "10 s", "linkerd2-proxy: DEFAULT_IDENTITY_MIN_REFRESH"),
        Default("identity.issuer.retry.cap", "24 h", "linkerd2-proxy: DEFAULT_IDENTITY_MAX_REFRESH"),
        Default("identity.issuer.retry.factor", 1, "linkerd2-proxy: without a certificate it asks at the shortest"),
        Default("identity.issuer.retry.jitter", "0 %", "linkerd2-proxy: no jitter"),
        Default("identity.ca_key", "ecdsa-p256", "linkerd2: issuer certificates are ECDSA P-256"),
        Default("tls.key", "ecdsa-p256", "linkerd2: workload keys are ECDSA P-256"),
        Default("tls.min_version", "1.3", "linkerd2-proxy: TLS 1.3 only"),
        Default("tls.max_version", "1.3", "linkerd2-proxy: TLS 1.3 only"),
        Default("tls.mode", "PERMISSIVE", "linkerd2: defaultInboundPolicy all-unauthenticated"),
        Default("tls.groups", ["X25519MLKEM768", "X25519", "P-256", "P-384"], "linkerd2-proxy: in this order"),
        Default("tls.resumption", False, "linkerd2-proxy: sessions are not resumed"),
        Default("resilience.retries", 0, "linkerd2: no route is retried unless it says so"),
        Default("resilience.connect_timeout", "1 s", "linkerd2-proxy: DEFAULT_OUTBOUND_CONNECT_TIMEOUT"),
        Default("load_balancing.locality", False, "linkerd2-proxy: all endpoints, by the latency they show"),
    ),
    left=(
        Left("retry budget of 20 % and 10/s over 10 s, where a route is retried", "retries are counted per call"),
        Left(
            "circuit breaker: 7 failures in a row, back-off 1 to 60 s with jitter 0.5",
            "per service with mesh.destinations",
        ),
        Left(
            "X-Forwarded-Client-Cert passes as it is, l5d-client-id is set",
            "forged ones are removed, as mesh.http says",
        ),
        Left("load balancing by exponentially weighted latency", "least_request: fewest requests in progress"),
        Left("fail-fast after 3 s without an endpoint", "a call without an endpoint is unreachable at once"),
        Left("HTTP/1 connections idle for 3 s are closed", "sidecars speak HTTP/2 to each other"),
        Left("connect timeout of 100 ms to the own workload", "a sidecar reaches its workload at once"),
    ),
)

SPIRE: Final = Preset(
    name="spire",
    title="SPIRE as the issuer of a mesh",
    source="spiffe/spire, 2026",
    defaults=(
        Default("identity.svid_ttl", "1 h", "spire: default_x509_svid_ttl"),
        Default("identity.rotate_at", "50 %", "spire: pkg/common/rotationutil, half of the lifetime"),
        Default("identity.rotate_jitter", "5 %", "spire: pkg/common/rotationutil, 10 % of half of the lifetime"),
        Default("identity.backdate", "10 s", "spire: NotBeforeTolerance"),
        Default("identity.ca_ttl", "24 h", "spire: ca_ttl"),
        Default("identity.ca_rotation.overlap", "full", "spire: prepared, active and old authorities"),
        Default("identity.at_start", "aged", _RUNNING),
        Default("identity.issuer.signatures_per_node", "500 /s", "spire: pkg/server, signing limit per address"),
        Default("identity.issuer.timeout", "30 s", "spire: pkg/agent/client, rpcTimeout"),
        Default("identity.issuer.retry.base", "5 s", "spire: agent, sync interval"),
        Default("identity.issuer.retry.factor", 1.5, "spire: pkg/agent/common/backoff"),
        Default("identity.issuer.retry.cap", "120 s", "spire: pkg/agent/common/backoff, 24 intervals"),
        Default("identity.issuer.retry.jitter", "10 %", "spire: pkg/agent/common/backoff"),
        Default("identity.issuer.node_attestation.time", "0 s", "spire: its plugin says how long; nothing by itself"),
        Default("identity.ca_key", "ecdsa-p256", "spire: ca_key_type ec-p256"),
        Default("tls.key", "ecdsa-p256", "spire: workload_x509_svid_key_type ec-p256"),
    ),
    left=(
        Left("agents look for news every 5 s", "trust bundles are pushed"),
        Left("JWT-SVIDs of 5 min", "not part of the preset"),
        Left("how proxies speak TLS, retry and balance", "SPIRE issues identities alone: meshsim's own defaults hold"),
    ),
)

CONSUL: Final = Preset(
    name="consul",
    title="Consul service mesh",
    source="hashicorp/consul; Envoy documentation; 2026",
    defaults=(
        Default("identity.svid_ttl", "72 h", "consul: leaf_cert_ttl"),
        Default("identity.rotate_at", "75 %", "consul: agent/leafcert, 60 to 90 % of the lifetime"),
        Default("identity.rotate_jitter", "15 %", "consul: agent/leafcert, 60 to 90 % of the lifetime"),
        Default("identity.backdate", "1 min", "consul: agent/connect/ca, effectiveNow"),
        Default("identity.ca_ttl", "8760 h", "consul: intermediate_cert_ttl"),
        Default("identity.renew_within", "30 s", "consul: agent/leafcert, caChangeJitterWindow"),
        Default("identity.at_start", "aged", _RUNNING),
        Default("identity.issuer.signatures", "50 /s", "consul: csr_max_per_second"),
        Default("identity.issuer.longest_wait", "500 ms", "consul: csrLimitWait"),
        Default("identity.issuer.retry.base", "15 s", "consul: agent/leafcert, anywhere in a window of 30 s"),
        Default("identity.issuer.retry.factor", 1, "consul: agent/leafcert, once in each window"),
        Default("identity.issuer.retry.jitter", "100 %", "consul: agent/leafcert, anywhere in a window of 30 s"),
        Default("identity.ca_key", "ecdsa-p256", "consul: private_key_type ec, private_key_bits 256"),
        Default("tls.key", "ecdsa-p256", "consul: connect.GeneratePrivateKey, P-256"),
        Default("tls.mode", "STRICT", "consul: mutualTLSMode strict"),
        Default("tls.min_version", "1.2", "envoy: TLS 1.2 to 1.3"),
        Default("tls.max_version", "1.3", "envoy: TLS 1.2 to 1.3"),
        _ENVOY_GROUPS,
        _ENVOY_CIPHERS,
        *_ENVOY_SESSIONS,
        Default("resilience.retries", 0, "envoy: off unless a route asks"),
        Default("resilience.request_timeout", "15 s", "envoy: route timeout"),
        Default("resilience.connect_timeout", "5 s", "consul: connect_timeout_ms"),
        Default("pool.idle_timeout", "1 h", "envoy: HTTP connection manager, idle_timeout"),
        Default("load_balancing.policy", "round_robin", "envoy: ROUND_ROBIN"),
        Default("load_balancing.locality", False, "consul: prioritize_by_locality is off"),
        Default("http.client_cert.from_services", "APPEND_FORWARD", "consul: public listener, unless it sanitizes"),
        Default("http.identity_headers", [], "envoy: none is removed unless a route says so"),
    ),
    left=(
        Left("passive health check with Envoy's outlier detection", "per service with mesh.destinations"),
        Left("1024 connections, pending and requests, 3 retries at a time", "per service with mesh.destinations"),
        Left("panic threshold of 50 %", "unhealthy replicas are never used"),
    ),
)

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {preset.name: preset for preset in (ISTIO, LINKERD, ZTUNNEL, SPIRE, CONSUL)}
)
"""Every preset by its name."""
