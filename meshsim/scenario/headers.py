"""Header fields that a scenario adds to requests (RFC 9110, section 5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal

from pydantic import StringConstraints

from meshsim.scenario.findings import Finding
from meshsim.scenario.positions import Path

MOST_BYTES: Final = 4096
"""Names and values of one request together: in HTTP/2 they never outgrow one frame."""
MOST_FIELDS: Final = 90
"""Fields that a scenario gives a request: Envoy takes 100 (``max_headers_count``), and the mesh adds up to ten."""

ABOUT_ONE_HOP: Final = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te")
"""Fields that a sender of HTTP/2 leaves out (RFC 9113, section 8.2.2)."""
_OF_THE_MESH: Final[Mapping[str, str]] = {
    **dict.fromkeys(ABOUT_ONE_HOP, "is about one connection and is not sent in HTTP/2"),
    "content-length": "follows from the size of the body",
    "host": "is the request's authority",
    "x-request-id": "is set by the sidecar",
    "traceparent": "is set by the sidecar",
}
"""Names that a scenario cannot set, and why (RFC 9113, section 8.2.2, for the first)."""

FIELDS_OF_THE_MESH: Final = frozenset(_OF_THE_MESH)
NAME: Final = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$"
VALUE: Final = r"^([!-~]([ \t!-~]{0,4094}[!-~])?)?$"

HeaderName = Annotated[str, StringConstraints(pattern=NAME)]
"""A token (RFC 9110, section 5.1), in any case; on the wire in lower case, as HTTP/2 demands."""
HeaderValue = Annotated[str, StringConstraints(pattern=VALUE)]
"""Visible ASCII with spaces and tabs inside (RFC 9110, section 5.5)."""
Headers = dict[HeaderName, HeaderValue]
AUTHORITY: Final = r"^[A-Za-z0-9._:-]{1,253}$"
Authority = Annotated[str, StringConstraints(pattern=AUTHORITY)]
"""What stands in ``:authority``, or ``Host``."""
Malformed = Literal[
    "two-lengths",
    "length-and-chunked",
    "bad-length",
    "hidden-chunked",
    "bad-chunk",
    "folded-field",
    "bare-line-feed",
    "bare-carriage-return",
    "space-before-colon",
]
"""Shapes of requests that recipients may read differently (RFC 9112, section 11.2)."""


def check_headers(headers: Mapping[str, str], path: Path, *, http1: bool = False) -> Iterator[Finding]:
    """Fields that a request cannot carry (in HTTP/2, if not ``http1``), stated twice, or too much together."""
    seen: dict[str, str] = {}
    for name in headers:
        folded = name.lower()
        if folded in ABOUT_ONE_HOP and http1:
            yield from _check_hop(folded, headers[name], (*path, name))
        elif folded in _OF_THE_MESH:
            other = "another field, or a flow with http_version: '1.1'" if folded in ABOUT_ONE_HOP else "another field"
            other = "'authority' beside the headers" if folded == "host" else other
            message = f"{name!r} {_OF_THE_MESH[folded]}; expected {other}"
            involved = ((*path[:-1], "http_version"),) if folded in ABOUT_ONE_HOP else ()
            yield Finding((*path, name), message, at_key=True, involved=involved)
        elif folded in seen:
            message = f"{name!r} and {seen[folded]!r} are one field; expected it once, its values joined by commas"
            yield Finding((*path, name), message, at_key=True)
        seen[folded] = name
    if len(headers) > MOST_FIELDS:
        yield Finding(path, f"there are {len(headers)} header fields; expected at most {MOST_FIELDS}")
    total = sum(len(name) + len(value) for name, value in headers.items())
    if total > MOST_BYTES:
        yield Finding(path, f"the header fields have {total} characters; expected at most {MOST_BYTES}")


def check_handed_on(names: Sequence[str], path: Path) -> Iterator[Finding]:
    """Fields that cannot be handed on, as no request of a scenario can set them, or that are named twice."""
    seen: dict[str, str] = {}
    for index, name in enumerate(names):
        folded = name.lower()
        if folded in _OF_THE_MESH:
            message = f"{name!r} {_OF_THE_MESH[folded]}; expected another field"
            yield Finding((*path, index), message)
        elif folded in seen:
            yield Finding((*path, index), f"{name!r} and {seen[folded]!r} are one field; expected it once")
        seen[folded] = name


def _check_hop(name: str, value: str, path: Path) -> Iterator[Finding]:
    """What of one hop is not simulated."""
    words = [word.strip().lower() for word in value.split(",")]
    if name == "transfer-encoding" and words != ["chunked"]:
        yield Finding(path, f"bodies are not sent as {value!r}; expected chunked, or 'malformed' beside it")
    elif name == "connection" and "upgrade" in words:
        yield Finding(path, "'upgrade' asks for another protocol, which is not simulated; expected another word")


def on_the_wire(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Header fields as HTTP/2 carries them: in lower case, ``cookie`` last, where receivers put it."""
    fields = [(name.lower(), value) for name, value in headers.items()]
    return tuple(sorted(fields, key=lambda field: field[0] == "cookie"))
