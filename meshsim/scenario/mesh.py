"""Scenario models of the mesh: TLS, identity, policy, resilience, pools, control plane."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from meshsim.scenario.fields import MS, Duration, FromList, Model, Name, S, Size
from meshsim.scenario.identity import Identity
from meshsim.scenario.tokens import Tokens

TlsMode = Literal["STRICT", "PERMISSIVE", "DISABLE"]
TlsVersion = Literal["1.2", "1.3"]
Group = Literal["X25519MLKEM768", "X25519", "P-256", "P-384"]
Cipher = Literal["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
KeyType = Literal["ecdsa-p256"]
Groups = Annotated[tuple[Group, ...], FromList, Field(min_length=1)]
Ciphers = Annotated[tuple[Cipher, ...], FromList, Field(min_length=1)]
TrustDomain = Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]{1,255}$")]
RetriableOutcome = Literal["unreachable", "reset", "tls-refused", "timeout", "failed"]


class Tls(Model):
    """How sidecars speak TLS."""

    mode: TlsMode = "STRICT"
    """STRICT: mutual TLS only. PERMISSIVE: a listener takes plaintext too. DISABLE: no TLS at all. Default: STRICT."""
    min_version: TlsVersion = "1.3"
    """Lowest version offered and accepted. Default: 1.3."""
    max_version: TlsVersion = "1.3"
    """Highest version offered and accepted. Default: 1.3."""
    groups: Groups = ("X25519", "P-256")
    """Key exchange groups in order of preference. Default: X25519, P-256, as Envoy."""
    ciphers: Ciphers = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
    """TLS 1.3 cipher suites in order of preference. Default: AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305."""
    key: KeyType = "ecdsa-p256"
    """Key type of workload certificates. Default: ecdsa-p256."""
    resumption: bool = True
    """Whether listeners issue session tickets and clients use them. Default: true."""
    ticket_lifetime_ns: Duration = Field(default=7200 * S, alias="ticket_lifetime", gt=0)
    """How long a ticket can be used, in simulated time. Default: 2 h, as OpenSSL."""


class TlsOverride(Model):
    """Settings of one service or fleet that differ from the mesh's; what is left out is the mesh's."""

    mode: TlsMode | None = None
    """As in mesh.tls."""
    min_version: TlsVersion | None = None
    """As in mesh.tls."""
    max_version: TlsVersion | None = None
    """As in mesh.tls."""
    groups: Groups | None = None
    """As in mesh.tls."""
    ciphers: Ciphers | None = None
    """As in mesh.tls."""
    resumption: bool | None = None
    """As in mesh.tls."""


class Policy(Model):
    """Who may call whom."""

    engine: Literal["cedar"] = "cedar"
    """Policy engine. Default: cedar."""
    files: Annotated[tuple[str, ...], FromList, Field(min_length=1)]
    """Policy files, beside the scenario file."""
    default: Literal["deny", "allow"] = "deny"
    """What holds when no policy matches. Default: deny."""
    cache: bool = False
    """Whether a sidecar remembers decisions on the same question, and so saves their cost. Default: false."""


class Resilience(Model):
    """What a sidecar does about failures. Defaults: Istio's."""

    retries: int = Field(default=2, ge=0, le=10)
    """Attempts after the first. Default: 2."""
    retry_on: Annotated[tuple[RetriableOutcome, ...], FromList] = ("unreachable", "reset")
    """Outcomes of an attempt that are tried again. Default: unreachable, reset."""
    backoff_ns: Duration = Field(default=25 * MS, alias="backoff")
    """Base of the wait before retry n: uniform from 0 to base x (2^n - 1), at most 10 x base. Default: 25 ms."""
    request_timeout_ns: Duration = Field(default=15 * S, alias="request_timeout", gt=0)
    """Time for a call, all attempts together. Default: 15 s, as Envoy."""
    attempt_timeout_ns: Duration | None = Field(default=None, alias="attempt_timeout", gt=0)
    """Time for one attempt; after it the attempt has timed out and may be tried again. Default: none."""
    connect_timeout_ns: Duration = Field(default=10 * S, alias="connect_timeout", gt=0)
    """Time for TCP and TLS to be established. Default: 10 s."""


class Pool(Model):
    """Connections that a sidecar keeps to each replica of each service."""

    streams_per_connection: int = Field(default=100, ge=1)
    """Requests at the same time on one connection. Default: 100."""
    max_connections: int = Field(default=4, ge=1)
    """Connections to one replica; what comes on top waits. Default: 4."""
    idle_timeout_ns: Duration = Field(default=3600 * S, alias="idle_timeout", gt=0)
    """An unused connection is closed after this. Default: 1 h, as Envoy."""


class LoadBalancing(Model):
    """How a sidecar chooses among the replicas of a service."""

    policy: Literal["least_request", "round_robin"] = "least_request"
    """least_request: fewest requests of this sidecar in progress; round_robin: in turn. Default: least_request."""
    locality: bool = True
    """Whether only the nearest replicas (same node, same site, lowest network latency) are used. Default: true."""


class Control(Model):
    """The control plane: it discovers failures and pushes endpoints to sidecars."""

    node: Name | None = None
    """Node it runs on. Default: the first core node, else the first regional, else the first edge node."""
    failure_detection_ns: Duration = Field(default=1 * S, alias="failure_detection")
    """How long after a node fails, or returns, the control plane knows. Default: 1 s."""
    debounce_ns: Duration = Field(default=100 * MS, alias="debounce")
    """How long it waits for further changes before it pushes. Default: 100 ms, as Istio."""


class Proxy(Model):
    """What sidecars take beside CPU time."""

    memory_per_connection_bytes: Size = Field(default=34 * 1024, alias="memory_per_connection")
    """Memory of one end of a connection at a replica's sidecar. Default: 34 KiB, as OpenSSL keeps in
    buffers for an idle TLS connection by its manual (SSL_CTX_set_mode, SSL_MODE_RELEASE_BUFFERS)."""


class Mesh(Model):
    """The service mesh's settings."""

    trust_domain: TrustDomain = "mesh.example"
    """SPIFFE trust domain. Default: mesh.example."""
    tls: Tls = Tls()
    """TLS."""
    identity: Identity = Identity()
    """Certificates."""
    policy: Policy | None = None
    """Authorization policy. Default: none, so that every authenticated call is allowed and nothing is asked."""
    tokens: Tokens | None = None
    """Tokens that requests carry beside mutual TLS. Default: none."""
    resilience: Resilience = Resilience()
    """Retries and timeouts."""
    proxy: Proxy = Proxy()
    """Sidecars."""
    pool: Pool = Pool()
    """Connection pools."""
    load_balancing: LoadBalancing = LoadBalancing()
    """Choice of replicas."""
    control: Control = Control()
    """Control plane."""
