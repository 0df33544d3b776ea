"""HTTP messages as they travel between two sidecars."""

from __future__ import annotations

from typing import Final

import msgspec

from meshsim.identity.token_places import BEARER, Fields, Place, put
from meshsim.identity.tokens import Token

TOO_LARGE: Final = 431
"""Request Header Fields Too Large (RFC 6585, section 5)."""
MOST_HEADER_BYTES: Final = 60 * 1024
"""Names and values of a request's fields that Envoy takes (``max_request_headers_kb``)."""
MOST_HEADERS: Final = 100
"""Fields that it takes (``max_headers_count``)."""
OWN_FIELDS: Final = (":method", ":scheme", ":path", ":authority", "x-request-id", "traceparent")
"""What the ends themselves send with a request."""
_OWN_BYTES: Final = sum(map(len, (*OWN_FIELDS, "POST", "https"))) + 36 + 55
"""Of those, with the two ids, whose lengths are always the same."""


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
    token: str = ""
    """What the caller's wallet knows the token by that its requests carry; empty for none."""
    headers: tuple[tuple[str, str], ...] = ()
    """Header fields that the workload adds, names in lower case, ``cookie`` last (as HTTP/2 ends hand it on)."""
    patient: bool = True
    """Whether the workload waits as long as its sidecar: ``timeout_ns`` is the mesh's, and a route may change it."""
    target_port: int = 0
    """Port on which the replicas listen; 0 where it is ``port``."""
    other_authority: str = ""
    """Authority that the call has, or a route gives it, in place of the service's name; empty where none does."""
    outside: bool = False
    """Whether a fleet sends them."""
    malformed: str = ""
    """Shape of requests in HTTP/1.1 that are not well-formed, as ``malformed`` has them; empty for others."""
    http1: bool = False
    """Whether requests are well-formed ones in HTTP/1.1; False for HTTP/2."""
    token_place: Place = BEARER
    """Where requests carry their token."""
    through: str = ""
    """Workload of the waypoint that requests go to, which sends them on; empty where they go to the destination."""
    carried_by_ztunnel: bool = False
    """Whether the caller's proxy is a ztunnel, which tries no request again and knows no routes."""
    as_tcp: bool = False
    """Whether the caller's proxy carries connections to this port, on which no HTTP is spoken: a gateway's does not."""

    @property
    def by_connection(self) -> bool:
        """Whether the caller's proxy knows connections alone: it tries no request again, and answers none itself."""
        return self.as_tcp or self.carried_by_ztunnel

    @property
    def closes(self) -> bool:
        """Whether who is denied sees its connection closed: no proxy on the way makes an answer of that."""
        return self.as_tcp or (self.carried_by_ztunnel and not self.through)

    @property
    def authority(self) -> str:
        """What stands in ``Host``, or ``:authority``."""
        return self.other_authority or self.destination


class Carried(msgspec.Struct, frozen=True):
    """What a workload hands on of a request beside what its kind of request has: what tokens brought, or took away."""

    fields: Fields
    without: Fields = ()
    """Fields of the kind of request that its sidecar has taken off."""
    tokens: tuple[Token, ...] = ()
    """The tokens among the fields."""


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
    token: Token | None = None
    carried: Carried | None = None
    """What the workload hands on of the request that it handles; None for nothing but what the template has."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Header fields of the workload, those that it hands on, and its token."""
        return sent(self.template, self.token, self.carried)[0]

    @property
    def path(self) -> str:
        """Path and query, with the token if that is where it is."""
        return sent(self.template, self.token, self.carried)[1]

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens in it of which facts are known."""
        handed_on = () if self.carried is None else self.carried.tokens
        return handed_on if self.token is None else (self.token, *handed_on)


def sent(template: CallTemplate, token: Token | None, carried: Carried | None) -> tuple[Fields, str]:
    """Return the header fields and the target of a request with a token, and with what is handed on."""
    headers = template.headers
    if carried is not None:
        kept = [field for field in headers if field not in carried.without]
        own = {name for name, _ in kept}  # what the call brings itself stands in place of what is handed on
        if token is not None and template.token_place.kind == "header":
            own.add(template.token_place.name)
        handed_on = [field for field in carried.fields if field[0] not in own]
        headers = tuple(sorted([*handed_on, *kept], key=lambda field: field[0] == "cookie"))
    return (headers, template.path) if token is None else put(template.token_place, token.text, headers, template.path)


def is_too_large(template: CallTemplate, token: Token | None, carried: Carried) -> bool:
    """Say whether a workload's own sidecar refuses its request, for what the workload has handed on.

    What a scenario writes itself stays below that. A proxy that writes claims into fields is not held to it.
    """
    headers, path = sent(template, token, carried)
    taken = sum(len(name) + len(value) for name, value in headers) + len(path) + len(template.authority)
    return taken + _OWN_BYTES > MOST_HEADER_BYTES or len(headers) + len(OWN_FIELDS) > MOST_HEADERS


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
