"""Ports, labels and names of services, as Kubernetes has them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from meshsim.scenario.fields import Model
from meshsim.scenario.tls import PortTls, TlsMode

PortNumber = Annotated[int, Field(ge=1, le=65_535)]
PortKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$"
    ),
]
"""A port number as the key of a mapping."""
LabelKey = Annotated[
    str, StringConstraints(pattern=r"^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$")
]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$")]
Labels = dict[LabelKey, LabelValue]
"""Labels as Kubernetes has them."""
ObjectName = Annotated[
    str,
    StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/)?[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"),
]
"""Name of a Kubernetes object, with its namespace and a slash in front if it is in another."""
Protocol = Literal["http", "http2", "grpc", "grpc-web", "https", "tls", "tcp"]

HTTP = frozenset({"http", "http2", "grpc", "grpc-web"})
"""Protocols of ports in which a sidecar sees requests, with method, path and header fields; of all others it sees
connections alone."""
DEFAULT_PORT = 8080
"""Port of a service that says nothing of ports."""


class Port(Model):
    """One port of a service."""

    protocol: Protocol = "http"
    """What is spoken on it, as in a Kubernetes Service. Default: http."""
    tls: PortTls | None = None
    """Settings of its listener that differ from the service's. Default: none."""
    target: PortNumber | None = None
    """Port on which the replicas listen. Default: the same."""


class VersionTls(Model):
    """How the listeners of one version of a service take mutual TLS, whatever changes say of the service."""

    mode: TlsMode | None = None
    """As in mesh.tls. Default: the service's."""
    ports: dict[PortKey, TlsMode] = Field(default={}, max_length=64)
    """Mode of single ports of the service. Default: as the port says, else as `mode` does."""
