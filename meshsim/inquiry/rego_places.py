"""Places in the input of Rego policies, by what can be told of what is read there."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, get_args

from meshsim.inquiry.patterns import SEGMENT
from meshsim.scenario.tls import Cipher, Group, TlsVersion

Path = tuple[str, ...]

HTTP: Final = ("input", "attributes", "request", "http")
MESHSIM: Final = ("input", "meshsim")
TEXTS: Final[Mapping[Path, str]] = MappingProxyType(
    {
        (*HTTP, "path"): "path",
        (*HTTP, "headers", ":path"): "path",
        ("input", "parsed_path"): "path",
        ("input", "parsed_query"): "query",
        (*HTTP, "host"): "host",
        (*HTTP, "headers", ":authority"): "host",
        **{(*MESHSIM, "tls", name): name for name in ("cipher", "group")},
        (*MESHSIM, "tls", "version"): "tls_version",
    }
)
"""Place in the input → text attribute of the question; what lies below it, too."""
SOURCE: Final = (*MESHSIM, "source")
CALLED: Final = (*MESHSIM, "destination")
PEER: Final = ("input", "attributes", "source")
TARGET: Final = ((*HTTP, "path"), (*HTTP, "headers", ":path"))
"""Path and query in one text."""
LISTED: Final = ((*MESHSIM, "slice"), (*SOURCE, "site"), (*SOURCE, "node"), (*CALLED, "node"))
"""Names, of which there are few."""
KNOWN: Final[Mapping[Path, tuple[str, ...]]] = MappingProxyType(
    {
        (*MESHSIM, "tls", name): get_args(kind)
        for name, kind in (("version", TlsVersion), ("cipher", Cipher), ("group", Group))
    }
)
ADDRESSES: Final = (
    *((*peer, "ip") for peer in (SOURCE, CALLED)),
    *(("input", "attributes", peer, "address", "socketAddress", "address") for peer in ("source", "destination")),
)
IDENTITY: Final[Mapping[Path, tuple[tuple[str, ...], tuple[str, ...]]]] = MappingProxyType(
    {
        (*PEER, "principal"): ((), ()),
        (*SOURCE, "namespace"): ((*"spiffe://", SEGMENT, *"/ns/"), (*"/sa/", SEGMENT)),
        (*SOURCE, "service_account"): ((*"spiffe://", SEGMENT, *"/ns/", SEGMENT, *"/sa/"), ()),
    }
)
"""Place of what is part of a SPIFFE ID → what stands before it there, and behind it."""
SETTLED: Final = (
    *((*CALLED, name) for name in ("service", "namespace", "labels", "port")),
    *((*SOURCE, name) for name in ("service", "labels", "trust_domain")),
    *(
        ("input", "attributes", "destination", *rest)
        for rest in (("principal",), ("address", "socketAddress", "portValue"))
    ),
    *((*HTTP, name) for name in ("scheme", "protocol", "id", "query", "fragment", "size", "body")),
    *(("input", name) for name in ("version", "truncated_body", "parsed_body")),
    (*MESHSIM, "mutual"),
    ("input", "attributes", "tlsSession"),
)
"""Places of what is known of a caller and of a port that is called, whatever else is asked."""
METHOD: Final = ((*HTTP, "method"), (*HTTP, "headers", ":method"))
NUMBERS: Final[Mapping[Path, tuple[str, int]]] = MappingProxyType(
    {(*MESHSIM, "certificate_age_s"): ("certificate_age_s", 1), (*MESHSIM, "time_ns"): ("time_s", 10**9)}
)
