"""Scenario models of services: replicas, work and calls."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from meshsim.scenario.fields import Duration, FromList, Model, Name, Share, Size
from meshsim.scenario.headers import VALUE, Authority, HeaderName, Headers
from meshsim.scenario.http import ProxyHeaders
from meshsim.scenario.ports import DEFAULT_PORT, Labels, ObjectName, Port, PortKey, PortNumber, VersionTls
from meshsim.scenario.tls import TlsOverride
from meshsim.scenario.tokens import HeldToken, Presented, TokenCheck

HTTP_PATH: Final = r'^/[!"$-~]{0,1023}$'
HttpPath = Annotated[str, StringConstraints(pattern=HTTP_PATH)]
Dataplane = Literal["sidecar", "ambient"]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Replicas = Annotated[dict[Name, Annotated[int, Field(ge=1, le=1000)]], Field(min_length=1)]
Count = Annotated[int, Field(ge=0, le=1000)]
Placement = Annotated[tuple[Name, ...], FromList, Field(min_length=1, max_length=1000)]


class LognormalWork(Model):
    """Lognormal work, by two of its quantiles."""

    median_ns: Duration = Field(alias="median", gt=0)
    """Half of the requests need less."""
    p99_ns: Duration = Field(alias="p99", gt=0)
    """99 of 100 requests need less."""

    @model_validator(mode="after")
    def _ordered(self) -> LognormalWork:
        if self.p99_ns < self.median_ns:
            raise ValueError("p99 is less than the median; expected it to be more")
        return self


class Work(Model):
    """CPU time of one request on one core of the node it runs on: exactly one distribution."""

    constant_ns: Duration | None = Field(default=None, alias="constant")
    """Always the same."""
    exponential_ns: Duration | None = Field(default=None, alias="exponential", gt=0)
    """Exponential, by its mean."""
    uniform_ns: Annotated[tuple[Duration, Duration], FromList] | None = Field(default=None, alias="uniform")
    """Uniform between two bounds."""
    lognormal: LognormalWork | None = None
    """Lognormal, by median and p99."""

    @model_validator(mode="after")
    def _one_kind(self) -> Work:
        given = [field.alias or name for name, field in Work.model_fields.items() if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "nothing"
            raise ValueError(f"work has {found}; expected exactly one of constant, exponential, uniform or lognormal")
        if self.uniform_ns is not None and self.uniform_ns[0] > self.uniform_ns[1]:
            raise ValueError("the lower bound of uniform work is more than the upper; expected [lower, upper]")
        return self


class Call(Model):
    """One call from a service to another."""

    to: Name
    """Service that is called."""
    probability_ppm: Share = Field(default=1_000_000, alias="probability", gt=0)
    """How often it is made; in `one_of`, relative to the others. Default: 100 %."""
    method: Method = "GET"
    """HTTP method. Default: GET."""
    path: HttpPath = "/"
    """HTTP path. Default: /."""
    authority: Authority | None = None
    """Authority (`Host`), such as shop.example.com. Default: the
    service's name."""
    headers: Headers = {}
    """Header fields of the request by name, such as {x-tenant: blue}. Default: none."""
    token: Presented = "own"
    """Token on its requests: own (if the caller has one), none, somebody else's ({stolen_from: NAME}), its own with a
    flaw (forged, expired, early, unsigned, confused, other-audience, other-issuer). Default: own."""
    request_bytes: Size = Field(default=512, alias="request")
    """Body of the request. Default: 512 B."""
    response_bytes: Size = Field(default=1024, alias="response")
    """Body of the response; to HEAD it is none. Default: 1 KiB."""
    port: PortNumber | None = None
    """Port of the service. Default: its first one."""
    timeout_ns: Duration | None = Field(default=None, alias="timeout", gt=0)
    """Time for all attempts together. Default: the mesh's request_timeout."""
    optional: bool = False
    """Whether the caller can answer without it. Default: false, so that its failure fails the caller."""


class Parallel(Model):
    """Calls made at the same time; the caller goes on when all have ended."""

    parallel: Annotated[tuple[Call, ...], FromList, Field(min_length=2)]
    """The calls."""


class OneOf(Model):
    """Calls of which exactly one is made, as a gateway sends each request on to one service."""

    one_of: Annotated[tuple[Call, ...], FromList, Field(min_length=2)]
    """The calls. Their probabilities are relative to each other: without any, all are made equally often."""


def _step_kind(value: Any) -> str:
    if isinstance(value, Parallel) or (isinstance(value, dict) and "parallel" in value):
        return "parallel"
    return "one_of" if isinstance(value, OneOf) or (isinstance(value, dict) and "one_of" in value) else "call"


Step = Annotated[
    Annotated[Call, Tag("call")] | Annotated[Parallel, Tag("parallel")] | Annotated[OneOf, Tag("one_of")],
    Discriminator(_step_kind),
]


def calls_in(step: Step) -> tuple[str, tuple[Call, ...]]:
    """The calls of a step, and the key that they stand under; no key where the step is a call itself."""
    if isinstance(step, Parallel):
        return "parallel", step.parallel
    return ("one_of", step.one_of) if isinstance(step, OneOf) else ("", (step,))


class Follow(Model):
    """How a service follows its users: replicas move to nodes nearer to a fleet, as many as bring some of it nearer."""

    fleet: Name
    """Fleet that it follows; one with a radio."""
    among: Annotated[tuple[Name, ...], FromList, Field(min_length=2, max_length=8)]
    """Nodes it may run on; those of `replicas` among them."""
    every_ns: Duration = Field(default=5_000_000_000, alias="every", gt=0)
    """How often the control plane looks where the fleet is. Default: 5 s."""
    start_up_ns: Duration = Field(default=500_000_000, alias="start_up")
    """How long a replica takes to start at its new node; the old one serves until then. Default: 500 ms."""


class Version(Model):
    """Replicas of a service that run one version of it; what is left out is the service's."""

    replicas: Replicas | None = None
    """How many replicas on which node."""
    count: Count | None = None
    """How many replicas, shared out among the nodes of `placement`. Default: 1, without `replicas`."""
    placement: Placement | None = None
    """Nodes that `count` replicas are dealt out to in turn. Default: the service's."""
    labels: Labels = {}
    """Labels of its replicas, beside the service's. Default: none."""
    service_account: Name | None = None
    """Service account, part of its SPIFFE ID. Default: the service's."""
    tls: VersionTls | None = None
    """How its listeners take mutual TLS. Default: as the service's."""
    work: Work | None = None
    """CPU time of one request, before its calls. Default: the service's."""
    calls: Annotated[tuple[Step, ...] | None, FromList] = None
    """What it calls, in order. Default: the service's calls."""

    @model_validator(mode="after")
    def _one_placement(self) -> Version:
        if self.replicas is not None and (self.count is not None or self.placement is not None):
            raise ValueError("replicas stands beside count or placement; expected replicas alone, or the other two")
        return self


class Service(Model):
    """A microservice with a sidecar at every replica."""

    replicas: Replicas | None = None
    """How many replicas on which node. Default: none, where `count`, `placement` or `versions` say it."""
    count: Count | None = None
    """How many replicas, shared out among the nodes of `placement`. Default: 1, with `placement`."""
    placement: Placement | None = None
    """Nodes that `count` replicas, or those of `versions`, are dealt out to in turn. Default: none."""
    versions: dict[Name, Version] = Field(default={}, max_length=100)
    """Groups of replicas that differ, as the Deployments behind one Kubernetes Service; instead of replicas and
    count. Default: none."""
    work: Work
    """CPU time of one request, before its calls."""
    calls: Annotated[tuple[Step, ...], FromList] = ()
    """What it calls, in order; `{parallel: [...]}` for calls at the same time, `{one_of: [...]}` for exactly one of
    several. Default: nothing."""
    forward_headers: Annotated[tuple[HeaderName, ...], FromList] = ()
    """Header fields of a request that its calls hand on, as services do with who the user is. Default: none."""
    namespace: Name = "default"
    """Namespace, part of its SPIFFE ID. Default: default."""
    service_account: Name | None = None
    """Service account, part of its SPIFFE ID. Default: the service's name."""
    labels: Labels = {}
    """Labels of its replicas. Default: none."""
    dataplane: Dataplane | None = None
    """What its replicas have of the mesh: sidecar, or ambient for a ztunnel that sees TCP alone and retries nothing, as
    Istio's labels say for pods. Default: as `mesh.ambient` has it."""
    waypoint: ObjectName | None = None
    """Waypoint that serves it (Istio's ambient mode), [NAMESPACE/]NAME: `targetRefs` hold there. Default: none."""
    waypoint_for_gateways: bool = False
    """Whether gateways too go through the waypoint (the label istio.io/ingress-use-waypoint). Default: false."""
    gateways: Annotated[tuple[ObjectName, ...], FromList] = ()
    """Gateways of networking.istio.io whose workload it is, [NAMESPACE/]NAME. Default: none."""
    ports: dict[PortKey, Port] = Field(default={str(DEFAULT_PORT): Port()}, min_length=1, max_length=64)
    """Ports that it listens on, by number; calls that name none go to the first. Default: 8080, http."""
    memory_bytes: Size = Field(default=128 * 1024**2, alias="memory")
    """Memory of one replica. Default: 128 MiB."""
    memory_per_request_bytes: Size = Field(default=0, alias="memory_per_request")
    """What a request takes on top, from the moment a replica has it until it answers. Default: 0 B."""
    restart_after_ns: Duration = Field(default=5_000_000_000, alias="restart_after", gt=0)
    """How long a replica that ran out of memory is gone before it runs again; work that it had begun still takes its
    core. Default: 5 s."""
    tls: TlsOverride | None = None
    """Settings that differ from the mesh's. Default: none."""
    token: HeldToken | None = None
    """Token that it has, and puts on its requests. Default: none."""
    request_authentication: TokenCheck | None = None
    """Which tokens it accepts of its callers. Default: it looks at none."""
    proxy_headers: ProxyHeaders | None = None
    """What its sidecars add to answers. Default: as the mesh's `http` has it."""
    server: Annotated[str, StringConstraints(pattern=VALUE, min_length=1, max_length=128)] | None = None
    """What it says in the field `server` of its answers, such as gunicorn/20.1. Default: nothing."""
    follow: Follow | None = None
    """Whether it moves with its users while the run goes on. Default: none: it stays."""

    @property
    def first_port(self) -> int:
        """The port that calls go to which name none."""
        return int(next(iter(self.ports)))

    def target_port(self, port: int) -> int:
        """The port on which its replicas listen for one of its own."""
        return self.ports[str(port)].target or port

    @property
    def listeners(self) -> dict[int, str]:
        """What is spoken on each port that its replicas listen on: the ports that policies speak of."""
        return {self.target_port(number): protocol for number, protocol in self.protocols.items()}

    @property
    def port_modes(self) -> dict[int, str]:
        """The TLS mode of each listener that has one of its own, by the port that it listens on."""
        modes = ((int(number), port) for number, port in self.ports.items() if port.tls is not None)
        return {port.target or number: port.tls.mode for number, port in modes if port.tls and port.tls.mode}

    @property
    def protocols(self) -> dict[int, str]:
        """What is spoken on each port."""
        return {int(number): port.protocol for number, port in self.ports.items()}

    @model_validator(mode="after")
    def _one_placement(self) -> Service:
        if self.waypoint_for_gateways and self.waypoint is None:
            raise ValueError("waypoint_for_gateways stands without a waypoint; expected one, or it left out")
        if self.versions:
            if self.replicas is not None or self.count is not None:
                raise ValueError("replicas or count stands beside versions; expected it in each of them")
            for name, version in self.versions.items():
                if version.replicas is None and version.placement is None and self.placement is None:
                    raise ValueError(
                        f"version {name!r} says not where it runs; expected replicas, or a placement here or in it"
                    )
            if all(version.count == 0 for version in self.versions.values()):
                raise ValueError("no version has a replica; expected at least one")
        elif self.count == 0:
            raise ValueError("the service has no replica; expected a count of at least 1")
        elif self.replicas is None and self.placement is None:
            raise ValueError("'replicas' is missing; expected it here: how many replicas on which node")
        elif self.replicas is not None and (self.count is not None or self.placement is not None):
            raise ValueError("replicas stands beside count or placement; expected replicas alone, or the other two")
        return self
