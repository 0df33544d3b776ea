"""How Istio's values match texts, addresses and paths, exactly as the Envoy configuration that Istio generates does.

Envoy's regular expressions are RE2's and have to match a whole text. Those here are made of names, dots and stars alone
(:mod:`meshsim.policy.istio_values` refuses anything else), in which Python's expressions mean the same.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from string import ascii_letters, digits

from meshsim.policy.istio_values import ANY_SEGMENTS, ONE_SEGMENT, is_template

Texts = Callable[[str], bool]
"""Whether a text matches any of some values."""

SPIFFE = "spiffe://"

_ANYTHING = re.compile(".+")
"""What ``*`` stands for: text that is not empty."""
TEMPLATE_CHARACTERS = frozenset(f"{ascii_letters}{digits}-._~%!$&'()*+,;:=@")
"""Characters of a segment that an operator of a template takes (Envoy's ``uri_template_lib``)."""
_SEGMENT = re.escape("".join(sorted(TEMPLATE_CHARACTERS)))
_ONE, _ANY = f"[{_SEGMENT}]+", f"[{_SEGMENT}/]*"


def texts(values: Sequence[str], prefix: str = "") -> Texts:
    """Exact, ``prefix*``, ``*suffix`` and ``*``; of texts that begin with ``prefix``, which the values leave out.

    Behind a prefix, Istio takes what follows a leading star into a regular expression as it is.
    """
    exact: set[str] = set()
    begins: list[str] = []
    ends: list[str] = []
    expressions: list[re.Pattern[str]] = []
    for value in values:
        if value == "*":
            expressions.append(_ANYTHING)
        elif value.startswith("*") and prefix:
            expressions.append(re.compile(f"{prefix}.*{value[1:]}"))
        elif value.startswith("*"):
            ends.append(value[1:])
        elif value.endswith("*"):
            begins.append(prefix + value[:-1])
        else:
            exact.add(prefix + value)
    return any_of(frozenset(exact), tuple(begins), tuple(ends), tuple(expressions))


def any_of(
    exact: frozenset[str],
    begins: tuple[str, ...] = (),
    ends: tuple[str, ...] = (),
    expressions: tuple[re.Pattern[str], ...] = (),
) -> Texts:
    """Whether a text is one of some, begins or ends with one of some, or matches one of some expressions as a whole."""
    if not (begins or ends or expressions):
        return exact.__contains__
    if not (ends or expressions):
        return lambda text: text in exact or text.startswith(begins)

    def matches(text: str) -> bool:
        return (
            text in exact
            or text.startswith(begins)
            or text.endswith(ends)
            or any(expression.fullmatch(text) for expression in expressions)
        )

    return matches


def hosts(values: Sequence[str]) -> Texts:
    """As :func:`texts`, whatever the case of letters (of ASCII, as host names are); ``*`` for any host at all."""
    if "*" in values:
        return lambda _host: True
    matches = texts([lowered(value) for value in values])
    return lambda host: matches(lowered(host))


@lru_cache(maxsize=4096)
def lowered(text: str) -> str:
    """A text with the letters of ASCII in lower case."""
    return text.lower() if text.isascii() else "".join(c.lower() if c.isascii() else c for c in text)


def header_values(values: Sequence[str]) -> Texts:
    """As :func:`texts`, but that ``*`` is any value of a field that is there, an empty one too."""
    return (lambda _value: True) if "*" in values else texts(values)


def paths(values: Sequence[str]) -> Texts:
    """As :func:`texts`, and templates with ``{*}`` for one segment and ``{**}`` for any number."""
    plain = texts([value for value in values if not is_template(value)])
    templates = [re.compile(_expression(value)) for value in values if is_template(value)]
    if not templates:
        return plain
    return lambda path: plain(path) or any(template.fullmatch(path) for template in templates)


def _expression(template: str) -> str:
    written = {ONE_SEGMENT: _ONE, ANY_SEGMENTS: _ANY}
    return "/".join(written.get(segment, re.escape(segment)) for segment in template.split("/"))


def namespaces(values: Sequence[str]) -> Texts:
    """SPIFFE IDs of workloads in namespaces."""
    return any_of(frozenset(), (), (), tuple(re.compile(f".*/ns/{value.replace('*', '.*')}/.*") for value in values))


def service_accounts(values: Sequence[str], namespace: str) -> Texts:
    """SPIFFE IDs of service accounts, written ``name`` (of the policy's own namespace) or ``namespace/name``."""
    expressions = []
    for value in values:
        owner, slash, name = value.partition("/")
        owner, name = (owner, name) if slash else (namespace, value)
        expressions.append(re.compile(f"spiffe://.+/ns/{owner}/(.+/|)sa/{name}(/.+)?"))
    return any_of(frozenset(), (), (), tuple(expressions))


def trust_domains(values: Sequence[str]) -> Texts:
    """SPIFFE IDs in trust domains."""
    expressions = (re.compile(f"spiffe://{value.replace('*', '[^/]*')}/.*") for value in values)
    return any_of(frozenset(), (), (), tuple(expressions))


def addresses(values: Sequence[str]) -> Texts:
    """IP addresses in blocks, a single address being a block of one; what is no address is in none."""
    blocks = [ipaddress.ip_network(value, strict=False) for value in values]
    ranges = [(block.version, int(block.network_address), int(block.broadcast_address)) for block in blocks]

    def matches(text: str) -> bool:
        version, number = _address(text)
        return any(version == of and first <= number <= last for of, first, last in ranges)

    return matches


@lru_cache(maxsize=4096)
def _address(text: str) -> tuple[int, int]:
    """Version and number of an IP address; version 0 of a text that is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return 0, 0
    return address.version, int(address)


def forwarded_for(value: str, peer: str) -> str:
    """The client's address by ``X-Forwarded-For``: the last in it, or the peer's if there is none.

    A sidecar trusts no hop more than its peer (Envoy: ``use_remote_address: false``, ``xff_num_trusted_hops: 0``).
    """
    last = value.rpartition(",")[2].strip(" ")
    return last if _address(last)[0] else peer


def request_principals(values: Sequence[str]) -> Callable[[str, str], bool]:
    """Issuers and subjects of tokens, written ``issuer/subject``; a star stands at one end of the whole.

    The last slash separates the two, because issuers are URLs.
    """
    pairs = tuple(map(_issuer_and_subject, values))
    return lambda issuer, subject: any(one(issuer) and other(subject) for one, other in pairs)


def _issuer_and_subject(value: str) -> tuple[Texts, Texts]:
    anything = any_of(frozenset(), (), (), (_ANYTHING,))
    issuer, slash, subject = value.rpartition("/")
    if value == "*":
        return anything, anything
    if value.startswith("*"):
        if not slash:
            return anything, any_of(frozenset(), (), (value[1:],))
        begun = anything if issuer == "*" else any_of(frozenset(), (), (issuer[1:],))
        return begun, any_of(frozenset((subject,)))
    if value.endswith("*"):
        if not slash:
            return any_of(frozenset(), (value[:-1],)), anything
        ended = anything if subject == "*" else any_of(frozenset(), (subject[:-1],))
        return any_of(frozenset((issuer,))), ended
    if not slash:
        issuer, subject = value, ""
    return any_of(frozenset((issuer,))), any_of(frozenset((subject,)))
