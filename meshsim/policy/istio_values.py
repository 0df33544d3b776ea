"""What the values of each attribute in an AuthorizationPolicy may be, as Istio's validation has it, and more strictly.

Istio takes some texts as they are into regular expressions, and some that its validation accepts make Envoy refuse the
whole configuration. Such texts are mistakes here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from meshsim.policy.istio_own import OWN_KEYS, own_problem
from meshsim.scenario.words import expected, show

Problem = Callable[[str], str]
"""What is wrong with a value and what would be right; empty if nothing is."""

HEADERS = "request.headers"
CLAIMS = "request.auth.claims"
METADATA = "experimental.envoy.filters."

ONE_SEGMENT, ANY_SEGMENTS = "{*}", "{**}"
"""Operators of path templates."""

MOST_SERVICE_ACCOUNTS = 16
"""Istio takes no more in one list."""

_NOT_LITERAL = re.compile(r"[+?()\[\]{}|^$\\]")
"""What has a meaning in regular expressions, dots and stars apart, which names and patterns are made of."""
_LITERAL = re.compile(r"[a-zA-Z0-9\-._~%!$&'()+,;:@=]+")
"""A segment of a path template in Envoy."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A field name (RFC 9110, section 5.1)."""
_PSEUDO = (":authority", ":method", ":path")
_PREFIX_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}")


def _any_text(text: str) -> str:
    return "" if text else "a value is empty; expected text, or '*' for any that is not empty"


def _address(text: str) -> str:
    address, slash, length = text.partition("/")
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return f"{show(text)} is no IP address; expected one such as '10.1.2.3', or a block such as '10.1.0.0/16'"
    if slash and (getattr(parsed, "scope_id", None) or not _PREFIX_LENGTH.fullmatch(length)):
        return f"{show(text)} is no block of IP addresses; expected one such as '10.1.0.0/16'"
    if slash and int(length) > parsed.max_prefixlen:
        return f"{show(text)} has a prefix length of {length}; expected at most {parsed.max_prefixlen}"
    return ""


def _port(text: str) -> str:
    if re.fullmatch("[0-9]+", text) and len(text) < 20 and int(text) <= 65535:
        return ""
    return f"{show(text)} is no port; expected a number from 0 to 65535"


def _in_expression(text: str) -> str:
    """What is wrong with a text that Istio puts into a regular expression as it is."""
    if found := _NOT_LITERAL.search(text):
        return (
            f"{show(text)} holds {found[0]!r}, which Istio would take for part of a regular expression; "
            "expected a name, '*' for any text"
        )
    if "**" in text:
        return f"{show(text)} holds '**', which Envoy refuses; expected '*' for any text"
    return _any_text(text)


def _principal(text: str) -> str:
    if text.startswith("spiffe://"):
        return f"{show(text)} begins with the scheme, which Istio adds itself; expected {show(text[9:])}"
    return _in_expression(text) if text.startswith("*") and text != "*" else _any_text(text)


def _service_account(text: str) -> str:
    if "*" in text:
        return f"{show(text)} holds '*'; expected a service account or namespace/service-account, without wildcards"
    if not all(text.split("/")) or text.count("/") > 1:
        return f"{show(text)} is no service account; expected its name, or namespace/name"
    if len(text) > 320:
        return f"{show(text)} has {len(text)} characters; expected at most 320"
    return _in_expression(text)


def is_template(path: str) -> bool:
    """Whether a path is a template rather than a text with a star at one end."""
    return ONE_SEGMENT in path or ANY_SEGMENTS in path


def _path(text: str) -> str:
    if not is_template(text):
        if "{" in text or "}" in text:
            return (
                f"{show(text)} holds a brace; expected {ONE_SEGMENT} for one segment or {ANY_SEGMENTS} for any number"
            )
        return _any_text(text)
    if not text.startswith("/"):
        return f"the path template {show(text)} does not begin with a slash; expected one that does"
    segments = text.removesuffix("/")[1:].split("/")
    ended = False
    for segment in segments:
        if segment in (ONE_SEGMENT, ANY_SEGMENTS):
            if ended:
                return f"{show(text)} has an operator after {ANY_SEGMENTS}; expected {ANY_SEGMENTS} to be the last one"
            ended = segment == ANY_SEGMENTS
        elif not _LITERAL.fullmatch(segment):
            return (
                f"the path template {show(text)} has the segment {show(segment)}; expected {ONE_SEGMENT}, "
                f"{ANY_SEGMENTS}, or letters, digits and -._~%!$&'()+,;:@="
            )
    return ""


_PROBLEMS: Mapping[str, Problem] = MappingProxyType(
    {
        "source.principal": _principal,
        "request.auth.principal": _any_text,
        "source.namespace": _in_expression,
        "source.serviceAccount": _service_account,
        "source.trustDomain": _in_expression,
        "source.ip": _address,
        "remote.ip": _address,
        ":authority": _any_text,
        "destination.port": _port,
        ":method": _any_text,
        ":path": _path,
        "request.auth.audiences": _any_text,
        "request.auth.presenter": _any_text,
        "destination.ip": _address,
        "connection.sni": _any_text,
    }
)
_CONDITIONS = tuple(key for key in _PROBLEMS if not key.startswith(":") and key != "source.trustDomain")
_NAMED = (f"{HEADERS}[NAME]", f"{CLAIMS}[NAME]", f"{METADATA}FILTER[KEY]")
_REPLACED = {
    "destination.namespace": "policies hold for the namespace in metadata.namespace",
    "destination.name": "policies choose workloads by a selector",
    "destination.user": "policies choose workloads by a selector",
    "destination.labels": "policies choose workloads by a selector",
}


def value_problem(attribute: str, text: str) -> str:
    """What is wrong with a value of an attribute that may be named; empty if nothing is."""
    if attribute in OWN_KEYS:
        return own_problem(attribute, text)
    return _PROBLEMS.get(attribute, _any_text)(text)


def key_problem(key: str) -> str:
    """What is wrong with the key of a condition; empty if nothing is."""
    if key in _CONDITIONS or key in OWN_KEYS:
        return ""
    base, bracket, _ = key.partition("[")
    if base in _REPLACED:
        return f"{show(key)} is not known to this version of the API; expected none: {_REPLACED[base]}"
    if base == HEADERS and (name := in_brackets(key)):
        if name.startswith(":") and name.lower() not in _PSEUDO:
            return f"{show(key)} names a pseudo-header that policies do not see; {expected(name, _PSEUDO)}"
        if not name.startswith(":") and not _TOKEN.fullmatch(name):
            return f"{show(key)} names no header field; expected its name in brackets, without quotes"
        return ""
    if base == CLAIMS and claim_path(key):
        return ""
    if base.startswith(METADATA) and in_brackets(key) and len(base) > len(METADATA):
        return ""
    if base in (HEADERS, CLAIMS) or base.startswith(METADATA):
        named = next(name for name in _NAMED if name.startswith((base, METADATA)))
        return f"{show(key)} has no name in brackets; expected {named}"
    if bracket and base in _CONDITIONS:
        return f"{show(key)} has brackets; expected {base!r} alone"
    return f"unknown condition {show(key)}; {expected(key, [*_CONDITIONS, *_NAMED, *OWN_KEYS])}"


def in_brackets(key: str) -> str:
    """The name at the end of ``key[name]``; empty if there is none."""
    _, bracket, rest = key.partition("[")
    return rest[:-1] if bracket and rest.endswith("]") else ""


def claim_path(key: str) -> tuple[str, ...]:
    """The names of ``request.auth.claims[a][b]``, from the outermost; empty if there are none.

    As in Istio, brackets that do not alternate are part of one name: ``[a[b]c]`` is the claim ``a[b]c``.
    """
    written = key.removeprefix(CLAIMS)
    if re.fullmatch(r"(\[[^\[\]]*\])+", written):
        names = re.findall(r"\[([^\[\]]*)\]", written)
        return tuple(names) if all(names) else ()
    return (written[1:-1],) if len(written) > 2 and written[0] == "[" and written[-1] == "]" else ()
