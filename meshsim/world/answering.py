"""What the sidecars of a scenario add to answers."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING

from meshsim.scenario.variants import variants
from meshsim.sidecar.answers import PEER_METADATA, PEER_METADATA_ID, AnswerRules, Fields
from meshsim.world.hosts import Replica

if TYPE_CHECKING:
    from meshsim.scenario.http import ProxyHeaders
    from meshsim.scenario.model import Scenario
    from meshsim.scenario.services import Service
    from meshsim.world.hosts import Host


ISTIOS_SERVER = "istio-envoy"
"""The field ``server`` as Istio's sidecars write it, if nothing else is said."""


def reads_addresses(scenario: Scenario) -> bool:
    """Whether answers tell the address of who gives them."""
    every = (_said(scenario, service) for service in scenario.services.values())
    return any(said is not None and said.peer_metadata for said in every)


def answer_rules(scenario: Scenario, host: Host, address: str) -> AnswerRules | None:
    """What the sidecar of a host says in answers; None where nothing is said."""
    if not isinstance(host, Replica):
        return None
    said = _said(scenario, host.service)
    own = host.service.server or ""
    if said is None:
        return AnswerRules("", own, service_time=False, metadata=()) if own else None
    return AnswerRules(
        "" if said.server.disabled else said.server.value or ISTIOS_SERVER,
        own,
        service_time=not said.envoy_debug_headers.disabled,
        metadata=_metadata(host, address) if said.peer_metadata else (),
    )


def _said(scenario: Scenario, service: Service) -> ProxyHeaders | None:
    return service.proxy_headers or scenario.mesh.http.proxy_headers


def _metadata(host: Replica, address: str) -> Fields:
    """What Istio's sidecars exchange of each other: an id, and base64 of a Protobuf Struct."""
    service = host.service
    variant = next(one for one in variants(host.workload, service) if one.version == host.version)
    namespace, pod = service.namespace, host.name.replace("/", "-")
    labels = _struct(dict(sorted({**service.labels, **variant.labels}.items())))
    told = {
        "CLUSTER_ID": _text("Kubernetes"),
        "INSTANCE_IPS": _text(address),
        "LABELS": _field(5, labels),
        "NAME": _text(pod),
        "NAMESPACE": _text(namespace),
        "SERVICE_ACCOUNT": _text(host.spiffe_id.rpartition("/")[2]),
        "WORKLOAD_NAME": _text(host.workload),
    }
    identity = f"sidecar~{address}~{pod}.{namespace}~{namespace}.svc.cluster.local"
    whole = b"".join(_entry(name, value) for name, value in told.items())
    return ((PEER_METADATA, b64encode(whole).decode()), (PEER_METADATA_ID, identity))


def _struct(texts: Mapping[str, str]) -> bytes:
    """google.protobuf.Struct with text values: field 1 is a map from names to Values."""
    return b"".join(_entry(name, _text(text)) for name, text in texts.items())


def _entry(name: str, value: bytes) -> bytes:
    return _field(1, _field(1, name.encode()) + _field(2, value))


def _text(text: str) -> bytes:
    """google.protobuf.Value with ``string_value``."""
    return _field(3, text.encode())


def _field(number: int, data: bytes) -> bytes:
    """A field with bytes in it: its tag, its length, the bytes."""
    length, size = b"", len(data)
    while size >= 128:
        length += bytes([size % 128 + 128])
        size //= 128
    return bytes([number * 8 + 2]) + length + bytes([size]) + data
