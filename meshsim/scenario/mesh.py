"""Scenario models of the mesh: TLS, identity, policy, resilience, pools, control plane."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from meshsim.scenario.destinations import Destination
from meshsim.scenario.federation import BundleEndpoint, Federation, identity_of
from meshsim.scenario.fields import MS, Duration, FromList, Model, Name, S, Size
from meshsim.scenario.http import Http
from meshsim.scenario.identity import Identity
from meshsim.scenario.policy import Policy, TrustDomain
from meshsim.scenario.ports import ObjectName
from meshsim.scenario.routes import RetriableOutcome, Route
from meshsim.scenario.services import Replicas
from meshsim.scenario.tls import Tls, TlsOverride
from meshsim.scenario.tokens import Tokens

Kind = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]{0,62}$")]
"""Kind of a Kubernetes object."""


class Resilience(Model):
    """What a sidecar does about failures. Defaults: those of Istio, but for `retry_on`."""

    retries: int = Field(default=2, ge=0, le=10)
    """Attempts after the first. Default: 2."""
    retry_on: Annotated[tuple[RetriableOutcome, ...], FromList] = ("unreachable", "reset")
    """Outcomes of an attempt that are tried again. `connect-failure`: what ended before its request was sent, for want
    of a connection, TCP or TLS. Default: unreachable, reset."""
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
    session_scope: Literal["replica", "service"] = "replica"
    """What a sidecar keeps one TLS session of: replica, or service, as Envoy (one of each upstream cluster). Each
    replica seals tickets with a key of its own: one of N resumes what is kept of a service. Default: replica."""


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
    debounce_max_ns: Duration | None = Field(default=None, alias="debounce_max")
    """Each further change has it wait once more, until this long after the first. Default: none, it waits once."""
    concurrent_pushes: int | None = Field(default=None, ge=1, le=100_000)
    """Proxies that a change of configuration is pushed to at a time, each until it has acknowledged; who comes
    back takes no turn. Default: 15, and 5 more for each core of the control plane's node, at most 100, as Istio."""
    on_reject: Literal["keep", "roll_back"] = "keep"
    """What happens when a proxy rejects a change: keep (it alone stays with what it has) or roll_back (all others go
    back to what they had, too). Default: keep."""


class Proxy(Model):
    """What sidecars take beside CPU time."""

    memory_per_connection_bytes: Size = Field(default=34 * 1024, alias="memory_per_connection")
    """Memory of one end of a connection at a replica's sidecar. Default: 34 KiB, as OpenSSL keeps in
    buffers for an idle TLS connection by its manual (SSL_CTX_set_mode, SSL_MODE_RELEASE_BUFFERS)."""


class Waypoint(Model):
    """A waypoint with a place: an Envoy that requests to the services it serves really go through."""

    replicas: Replicas
    """How many replicas on which node."""
    cores: int | None = Field(default=None, ge=1, le=1024)
    """Cores of its node that each replica has to itself, and nobody else has, as Kubernetes' static CPU manager gives
    them to containers with whole CPUs. Default: none, it works on those that all share who run on its node."""
    resilience: Resilience = Resilience()
    """What it does about failures of the services. Default: Istio's, whatever the mesh's sidecars do."""


class Mesh(Model):
    """The service mesh's settings."""

    preset: Literal["istio", "linkerd", "ztunnel", "spire", "consul"] | None = None
    """Real defaults of this mesh in place of those below (presets.md); what the file says wins, key by key, and null
    takes one back. Default: none; with `manifests` istio, or ztunnel in ambient mode, and null for none."""
    manifests: Annotated[tuple[str, ...], FromList] = ()
    """Kubernetes and Istio manifests, files or folders beside the scenario file, that say what the scenario leaves
    open: services, versions, routes, destinations, modes, policies. Default: none."""
    ignored_kinds: Annotated[tuple[Kind, ...], FromList] = ()
    """Kinds of objects in manifests that are left aside, though they may bear on calls or policies, such as
    NetworkPolicy. Default: none."""
    ambient: bool = False
    """Whether it is in Istio's ambient mode: policies of the engine istio are ztunnel's, which sees TCP alone, or those
    of waypoints (`services.*.waypoint`), and without a waypoint nobody retries or routes requests. `dataplane` of
    services and fleets differs from it. Default: false, every replica has a sidecar that reads HTTP."""
    waypoints: dict[ObjectName, Waypoint] = {}
    """Where the waypoints of services run, by [NAMESPACE/]NAME as in `services.*.waypoint`; without a namespace that of
    a service in `default`. Default: none, so that a waypoint decides and takes no time."""
    trust_domain: TrustDomain = "mesh.example"
    """SPIFFE trust domain. Default: mesh.example."""
    tls: Tls = Tls()
    """TLS."""
    identity: Identity = Identity()
    """Certificates."""
    policy: Policy | None = None
    """Authorization policy. Default: none, so that every authenticated call is allowed and nothing is asked."""
    http: Http = Http()
    """Header fields that are not taken from everybody."""
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
    routes: Annotated[tuple[Route, ...], FromList] = ()
    """What becomes of calls to services; of the routes of one service, the first that matches holds, and a call that
    none matches ends as unrouted. Default: none, calls go to the service."""
    destinations: dict[Name, Destination] = {}
    """How callers' sidecars treat services, by the service's name. Default: as the mesh's settings say."""
    federation: Federation | None = None
    """Further trust domains, and which of them believe each other. Default: none, all workloads are in trust_domain."""

    @property
    def trust_domains(self) -> tuple[str, ...]:
        """Every trust domain, the mesh's own first."""
        others = () if self.federation is None else self.federation.domains
        return tuple(dict.fromkeys((self.trust_domain, *others)))

    def trust_domain_of(self, workload: str) -> str:
        """The trust domain that a service or fleet is in."""
        found = None if self.federation is None else self.federation.domain_of(workload)
        return self.trust_domain if found is None else found

    def domain_tls(self, workload: str) -> TlsOverride | None:
        """What the trust domain of a service or fleet has of TLS settings that are not the mesh's."""
        domain = None if self.federation is None else self.federation.domain_of(workload)
        return None if domain is None or self.federation is None else self.federation.domains[domain].tls

    def identity_of(self, trust_domain: str) -> Identity:
        """Settings of certificates in a trust domain."""
        if self.federation is None or trust_domain == self.trust_domain:
            return self.identity
        return identity_of(self.identity, self.federation.domains[trust_domain])

    def trusted_by(self, trust_domain: str) -> tuple[str, ...]:
        """Trust domains whose bundles one of them fetches."""
        if self.federation is None:
            return ()
        own = trust_domain == self.trust_domain
        return self.federation.trusts if own else self.federation.domains[trust_domain].trusts

    def endpoint_of(self, trust_domain: str) -> BundleEndpoint:
        """Bundle endpoint of a trust domain, where there is more than one."""
        assert self.federation is not None
        own = trust_domain == self.trust_domain
        return self.federation.endpoint if own else self.federation.domains[trust_domain].endpoint
