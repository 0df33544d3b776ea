"""Scenario models of what sidecars do with header fields that others may have forged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from meshsim.scenario.fields import FromList, Model

ClientCertMode = Literal["SANITIZE", "SANITIZE_SET", "FORWARD_ONLY", "APPEND_FORWARD", "ALWAYS_FORWARD_ONLY"]
CertificateField = Literal["By", "Hash", "Subject", "URI"]
FieldPattern = Annotated[str, StringConstraints(pattern=r"^[!#$%&'+.^_`|~0-9a-z-]{1,127}\*?$")]


class ClientCert(Model):
    """X-Forwarded-Client-Cert, in which a sidecar tells its workload who has called; modes as Envoy names them."""

    from_fleets: ClientCertMode = "SANITIZE_SET"
    """What becomes of it in requests of fleets. Default: SANITIZE_SET, as Istio's gateways."""
    from_services: ClientCertMode = "APPEND_FORWARD"
    """What becomes of it in requests of services. Default: APPEND_FORWARD, as Istio's sidecars."""
    fields: Annotated[tuple[CertificateField, ...], FromList, Field(min_length=1)] = ("By", "Hash", "Subject", "URI")
    """What is said of the caller's certificate. Default: By, Hash, Subject, URI, as Istio's sidecars."""


class Http(Model):
    """Header fields that are not taken from everybody."""

    client_cert: ClientCert = ClientCert()
    """X-Forwarded-Client-Cert."""
    identity_headers: Annotated[tuple[FieldPattern, ...], FromList] = ()
    """Names of fields, in lower case, that are removed from requests of fleets; a star at the end stands for any rest,
    as in x-user-*. Default: none."""
