"""Scenario models of what sidecars do with header fields that others may have forged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from meshsim.scenario.fields import FromList, Model
from meshsim.scenario.headers import VALUE

ClientCertMode = Literal["SANITIZE", "SANITIZE_SET", "FORWARD_ONLY", "APPEND_FORWARD", "ALWAYS_FORWARD_ONLY"]
CertificateField = Literal["By", "Hash", "Subject", "URI"]
FieldPattern = Annotated[str, StringConstraints(pattern=r"^[!#$%&'+.^_`|~0-9a-z-]{1,127}\*?$")]

IDENTITY_HEADERS = (
    "l5d-client-id",
    "remote-user",
    "x-auth-request-*",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    "x-remote-extra-*",
    "x-remote-group",
    "x-remote-user",
)
"""In which Linkerd, web servers, oauth2-proxy and Kubernetes' authenticating proxies tell who is calling."""


class ClientCert(Model):
    """X-Forwarded-Client-Cert, in which a sidecar tells its workload who has called; modes as Envoy names them."""

    from_fleets: ClientCertMode = "SANITIZE"
    """What becomes of it in requests of fleets: SANITIZE removes it. The preset istio has SANITIZE_SET, as its
    gateways. Default: SANITIZE."""
    from_services: ClientCertMode = "SANITIZE"
    """What becomes of it in requests of services. The preset istio has APPEND_FORWARD, as its sidecars.
    Default: SANITIZE."""
    fields: Annotated[tuple[CertificateField, ...], FromList, Field(min_length=1)] = ("By", "Hash", "Subject", "URI")
    """What is said of the caller's certificate. Default: By, Hash, Subject, URI, as Istio's sidecars."""


class ServerHeader(Model):
    """The field ``server`` of answers."""

    disabled: bool = False
    """Whether it is left as the workload wrote it. Default: false."""
    value: Annotated[str, StringConstraints(pattern=VALUE, min_length=1, max_length=128)] | None = None
    """What the called sidecar puts in its place. Default: istio-envoy, as Istio."""

    @model_validator(mode="after")
    def _one_way(self) -> ServerHeader:
        if self.disabled and self.value is not None:
            raise ValueError("the field is left as it is and has a value; expected disabled or value")
        return self


class DebugHeaders(Model):
    """Fields X-Envoy-* of answers."""

    disabled: bool = False
    """Whether none is added. Default: false."""


class ProxyHeaders(Model):
    """What called sidecars add to answers, as ``proxyHeaders`` of Istio's ProxyConfig has it."""

    server: ServerHeader = ServerHeader()
    """The field server. Default: istio-envoy."""
    envoy_debug_headers: DebugHeaders = DebugHeaders()
    """The field x-envoy-upstream-service-time: how many milliseconds the workload took. Default: it is told."""
    peer_metadata: bool = True
    """Whether who sends x-envoy-peer-metadata and x-envoy-peer-metadata-id is told the same of the called workload:
    its pod, address, labels and service account. Default: true; Istio has no setting for it but `identity_headers`
    that remove the question, which a scenario can say too."""


class Http(Model):
    """Header fields that are not taken from everybody, and those that are not told everybody."""

    client_cert: ClientCert = ClientCert()
    """X-Forwarded-Client-Cert."""
    identity_headers: Annotated[tuple[FieldPattern, ...], FromList] = IDENTITY_HEADERS
    """Names of fields, in lower case, that are removed from requests of fleets; a star at the end stands for any rest,
    as in x-user-*. Default: those in which proxies commonly tell who is calling (docs/requests.md); none with the
    preset istio or consul."""
    proxy_headers: ProxyHeaders | None = None
    """Fields that called sidecars add to answers. Default: none are simulated."""
