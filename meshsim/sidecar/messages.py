"""HTTP messages as they travel between two sidecars."""

from __future__ import annotations

import msgspec


class CallTemplate(msgspec.Struct, frozen=True, gc=False):
    """What calls of one kind have in common."""

    index: int
    """Unique among the templates of a run: a cheap key."""
    destination: str
    method: str
    path: str
    request_bytes: int
    """Body."""
    response_bytes: int
    """Body of an answer with status 200."""
    slice: str
    timeout_ns: int
    """For all attempts together."""
    optional: bool = False
    """Whether the caller can do without an answer."""
    port: int = 8080
    """Port of the service."""
    headers: tuple[tuple[str, str], ...] = ()
    """Header fields that the workload adds, names in lower case, ``cookie`` last (as HTTP/2 ends hand it on)."""
    patient: bool = True
    """Whether the workload waits as long as its sidecar: ``timeout_ns`` is the mesh's, and a route may change it."""
    target_port: int = 0
    """Port on which the replicas listen; 0 where it is ``port``."""
    rewritten_authority: str = ""
    """Authority that a route puts in place of the service's name; empty where none does."""

    @property
    def authority(self) -> str:
        """What stands in ``Host``, or ``:authority``."""
        return self.rewritten_authority or self.destination


class RequestMessage(msgspec.Struct, frozen=True, gc=False):
    """A request on the wire."""

    call_id: int
    attempt: int
    """Counts from 1."""
    template: CallTemplate
    source: str
    """Calling service or fleet."""
    site: str
    """Site of the caller."""
    node: str
    """Node from which the caller reaches the network: of a device, its base station."""
    size_bytes: int
    """Nominal: HTTP/2 frames, and TLS records when encrypted."""
    encrypted: bool
    wire: bytes | None = None
    """The very bytes, at fidelity real."""


class ResponseMessage(msgspec.Struct, frozen=True, gc=False):
    """A response on the wire."""

    call_id: int
    attempt: int
    template: CallTemplate
    status: int
    body_bytes: int
    size_bytes: int
    encrypted: bool
    wire: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """Header fields with which a policy refuses, names in lower case."""


Message = RequestMessage | ResponseMessage

REFUSAL_BODY_BYTES = 19
"""Body of a response that a sidecar or workload makes up itself: ``RBAC: access denied``, as Envoy sends it."""
