"""Scenario models of destinations: how callers' sidecars treat a service, a subset of its replicas, or one port."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from meshsim.scenario.fields import Duration, Model, Name, S, Share
from meshsim.scenario.ports import Labels, PortKey

Limit = Annotated[int, Field(ge=1, le=2**32)]


class DestinationPool(Model):
    """Connections of one sidecar to a destination; what is left out is as in `mesh.pool`, and without limits."""

    streams_per_connection: Limit | None = None
    """Requests at the same time on one connection. Default: the mesh's."""
    connections_per_replica: Limit | None = None
    """Connections to one replica; what comes on top waits. Default: the mesh's `max_connections`."""
    max_connections: Limit | None = None
    """Connections to all its replicas together; a replica without one may always have one. Default: no limit."""
    max_requests: Limit | None = None
    """Requests in progress at the same time; one more ends as an overflow. Default: no limit."""
    max_pending: Limit | None = None
    """Requests that wait for a connection at the same time; one more ends as an overflow. Default: no limit."""
    requests_per_connection: Limit | None = None
    """Requests after which a connection is closed. Default: no limit."""
    connect_timeout_ns: Duration | None = Field(default=None, alias="connect_timeout", gt=0)
    """Time for TCP and TLS to be established. Default: the mesh's."""
    idle_timeout_ns: Duration | None = Field(default=None, alias="idle_timeout", gt=0)
    """An unused connection is closed after this. Default: the mesh's."""


class DestinationBalancing(Model):
    """How a sidecar chooses among the replicas of a destination; what is left out is the mesh's."""

    policy: Literal["least_request", "round_robin", "random"] | None = None
    """least_request: fewest requests of this sidecar in progress; round_robin: in turn; random. Default: the mesh's."""
    locality: bool | None = None
    """Whether only the nearest replicas are used. Default: the mesh's."""


class OutlierDetection(Model):
    """When a sidecar leaves a replica out for a while because its calls there keep failing. Defaults: Envoy's."""

    consecutive_5xx: int = Field(default=5, ge=0)
    """Failures in a row, answers or none, after which it is left out; 0: never for that. Default: 5."""
    consecutive_gateway_errors: int = Field(default=0, ge=0)
    """The same for failures with status 502, 503 or 504. Default: 0."""
    consecutive_local_origin: int = Field(default=5, ge=0)
    """With `split_local_origin`: failures in a row to get an answer at all. Default: 5."""
    split_local_origin: bool = False
    """Whether failures to get an answer count apart from answers with an error. Default: false."""
    interval_ns: Duration = Field(default=10 * S, alias="interval", gt=0)
    """How often the sidecar looks who may come back. Default: 10 s."""
    base_ejection_ns: Duration = Field(default=30 * S, alias="base_ejection", gt=0)
    """How long the first time; the n-th time in a row n times as long. Default: 30 s."""
    max_ejection_ns: Duration = Field(default=300 * S, alias="max_ejection", gt=0)
    """How long at most. Default: 300 s."""
    max_ejected_ppm: Share = Field(default=100_000, alias="max_ejected")
    """Part of the replicas that may be left out at the same time. Default: 10 %."""
    min_healthy_ppm: Share = Field(default=0, alias="min_healthy")
    """With a smaller part than this left, all replicas are used. Default: 0 %."""

    @model_validator(mode="after")
    def _ordered(self) -> OutlierDetection:
        if self.max_ejection_ns < self.base_ejection_ns:
            raise ValueError("max_ejection is less than base_ejection; expected it to be at least that")
        return self


class DestinationSettings(Model):
    """How callers treat a destination on one of its ports."""

    tls: Literal["own", "auto", "mutual", "plaintext"] | None = None
    """own: as the caller's mode says; auto: mutual TLS, but plaintext to a listener with mode DISABLE; mutual: mutual
    TLS; plaintext: none. Default: own."""
    load_balancing: DestinationBalancing | None = None
    """Choice of replicas. Default: the mesh's."""
    pool: DestinationPool | None = None
    """Connections and limits. Default: the mesh's, without limits."""
    outlier_detection: OutlierDetection | None = None
    """Whether replicas to which calls fail are left out. Default: none."""


class Subset(DestinationSettings):
    """Some of the replicas of a service, by their labels; what is left out is the destination's."""

    labels: Labels = Field(min_length=1)
    """Labels that a replica has."""
    ports: dict[PortKey, DestinationSettings] = {}
    """Settings of one port, in place of all others of it. Default: none."""


class CallersDestination(DestinationSettings):
    """How the callers of one namespace treat a service."""

    subsets: dict[Name, Subset] = {}
    """Subsets of its replicas, for routes. Default: none."""
    ports: dict[PortKey, DestinationSettings] = {}
    """Settings of one port, in place of all others here. Default: none."""


class Destination(CallersDestination):
    """How callers treat a service."""

    callers_in: dict[Name, CallersDestination] = {}
    """Namespaces whose services treat it otherwise, in place of all else here; a route whose subset is not there leads
    them nowhere; `check` notes those of which no service calls it. Default: none."""

    def to(self, namespace: str) -> CallersDestination:
        """What holds for callers of a namespace; of the empty one, for fleets."""
        return self.callers_in.get(namespace, self)

    @property
    def all_subsets(self) -> list[str]:
        """The names of subsets for any callers."""
        return list(dict.fromkeys(name for one in (self, *self.callers_in.values()) for name in one.subsets))
