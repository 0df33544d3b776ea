"""Scenario models of those who use services: fleets, and the flows of requests that they send."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from meshsim.scenario.fields import Duration, Model, Name, Rate, Size
from meshsim.scenario.headers import Authority, Headers, Malformed
from meshsim.scenario.mobility import Path
from meshsim.scenario.ports import PortNumber
from meshsim.scenario.qos import FlowGuarantee
from meshsim.scenario.services import Dataplane, HttpPath, Method
from meshsim.scenario.tls import TlsOverride
from meshsim.scenario.tokens import HeldToken, Presented


class Fleet(Model):
    """Devices or clients that send requests, each with its own sidecar and identity."""

    size: int = Field(default=1, ge=1, le=100_000)
    """How many. Default: 1."""
    radio: Name | None = None
    """Radio by which they reach the network."""
    node: Name | None = None
    """Node on which they run, instead of a radio."""
    path: Path | None = None
    """Way of its devices over the cells of their radio. Default: none, they stay, or go as the radio's trace says."""
    cpu: str = "cortex-a72"
    """CPU of each device (of a fleet with a radio). Default: cortex-a72."""
    cores: int = Field(default=2, ge=1, le=1024)
    """Cores of each device (of a fleet with a radio). Default: 2."""
    hardware_crypto: bool | None = None
    """Whether AES instructions of each device (of a fleet with a radio) are used. Default: if its CPU has them."""
    dataplane: Dataplane | None = None
    """What each of them has of the mesh: sidecar, or ambient, as for services. Default: as `mesh.ambient` has it."""
    tls: TlsOverride | None = None
    """Settings that differ from the mesh's. Default: none."""
    token: HeldToken | None = None
    """Token that it has, and puts on its requests. Default: none."""

    @model_validator(mode="after")
    def _one_place(self) -> Fleet:
        if (self.radio is None) == (self.node is None):
            found = "both radio and node" if self.radio else "neither radio nor node"
            raise ValueError(f"a fleet has {found}; expected exactly one of them")
        return self


class TraceArrivals(Model):
    """Arrivals read from a file."""

    file: str
    """CSV with a column time_s, beside the scenario file."""


class Arrivals(Model):
    """When requests are meant to be sent; never slowed down by slow answers. Exactly one kind."""

    poisson_uhz: Rate | None = Field(default=None, alias="poisson")
    """Poisson process of this rate over the whole fleet."""
    constant_uhz: Rate | None = Field(default=None, alias="constant")
    """Evenly spaced over the whole fleet."""
    trace: TraceArrivals | None = None
    """At the times of a file."""

    @model_validator(mode="after")
    def _one_kind(self) -> Arrivals:
        given = [
            field.alias or name for name, field in Arrivals.model_fields.items() if getattr(self, name) is not None
        ]
        if len(given) != 1:
            found = " and ".join(given) or "nothing"
            raise ValueError(f"arrivals have {found}; expected exactly one of poisson, constant or trace")
        return self


class Traffic(Model):
    """A flow of requests from a fleet to a service in a slice."""

    name: Name | None = None
    """Name of the flow in tables. Default: the fleet's name."""
    source: Name = Field(alias="from")
    """Fleet that sends."""
    to: Name
    """Service that is called."""
    slice: Name
    """Slice that carries it."""
    arrivals: Arrivals
    """When."""
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
    http_version: Literal["1.1", "2"] = "2"
    """HTTP of its requests: 2, or 1.1 as users outside of a mesh speak it, one request at a time on a connection.
    Only that has header fields about one hop (connection, te, …), and only to a port with protocol http. Default: 2."""
    malformed: Malformed | None = None
    """Send requests in HTTP/1.1 that are not well-formed, as request smuggling takes them; a strict reader refuses them
    with 400. Only to a port with protocol http. Default: none, well-formed requests in HTTP/2."""
    guaranteed: FlowGuarantee | None = None
    """Bit rate that each device asks its cell for when the flow starts, and again at each handover; requests of a
    device that is refused end as not-admitted. Only in slices with a GBR 5QI. Default: none."""
    timeout_ns: Duration | None = Field(default=None, alias="timeout", gt=0)
    """Time for all attempts together. Default: the mesh's request_timeout."""
    start_ns: Duration = Field(default=0, alias="start")
    """When it begins. Default: 0 s."""
    stop_ns: Duration | None = Field(default=None, alias="stop")
    """When it ends. Default: the scenario's duration."""

    @property
    def key(self) -> str:
        """The name that tables and expectations use."""
        return self.name or self.source
