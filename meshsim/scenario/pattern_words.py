"""What is wrong with a text that a pattern refuses, and what would be right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from meshsim.scenario.words import shorten, show

PATTERNS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?": (
            "is not a name",
            "at most 63 lower-case letters, digits and inner hyphens",
        ),
        "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(/[0-9]{1,9})?": (
            "is no workload",
            "a service or fleet, or one of its replicas or devices, such as 'planner/0'",
        ),
        '/[!"$-~]{0,1023}': (
            "is not an HTTP path",
            "one that begins with a slash, without spaces and '#', such as '/plans'",
        ),
        "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}": ("is no name of a header field", "one such as 'x-tenant'"),
        "([!-~]([ \\t!-~]{0,4094}[!-~])?)?": (
            "is no value of a header field",
            "up to 4096 visible ASCII characters, no space at either end",
        ),
        r"data(\.[A-Za-z_][A-Za-z0-9_]{0,99}){1,20}": (
            "is no rule of a Rego policy",
            "the full path of one, such as 'data.envoy.authz.allow'",
        ),
        "[0-9A-Fa-f]{6}": ("is not a slice differentiator", "six hexadecimal digits in quotes, such as '000001'"),
        "[0-9]{1,3}": ("is not a 5QI", "one of your own in quotes, '128' to '254'"),
        "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])": (
            "is not a port",
            "a number from 1 to 65535",
        ),
        "([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?": (
            "is not a label's key",
            "at most 63 letters, digits, '-', '_' and '.', after a domain and '/' if need be",
        ),
        "([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?": (
            "is not a label's value",
            "at most 63 letters, digits, '-', '_' and '.', in quotes if it reads as a number",
        ),
        "[a-z0-9._-]{1,255}": (
            "is not a trust domain",
            "lower-case letters, digits, '.', '_' and '-', such as 'mesh.example'",
        ),
        "[!#$%&'+.^_`|~0-9a-z-]{1,127}\\*?": (
            "stands for no header fields",
            "a name in lower case, or its beginning and a star, such as 'x-user-*'",
        ),
        "([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/)?[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?": (
            "is no name of an object",
            "one in lower case, perhaps with its namespace, such as 'shop/waypoint'",
        ),
        "[A-Za-z0-9._:-]{1,253}": ("is no authority", "a host, and perhaps a port, such as 'reviews:9080'"),
        "[A-Z][A-Za-z0-9]{0,62}": ("is no kind of object", "one as manifests have it, such as 'NetworkPolicy'"),
        "[!-~]{1,255}": ("cannot stand in a token", "1 to 255 visible ASCII characters, without spaces"),
        "[A-Za-z0-9._~-]{1,64}": ("is no name of a parameter", "1 to 64 letters, digits, '.', '_', '~' and '-'"),
        "[A-Za-z0-9!#$&'*+.^_|~-]{1,64}": ("is no name of a cookie", "1 to 64 letters, digits and signs such as '-'"),
        "([!-~][ !-~]{0,63})?": ("is no prefix", "up to 64 visible ASCII characters, such as 'Bearer '"),
        "[!-~]{1,128}": ("is no claim's name", "1 to 128 visible ASCII characters, without spaces"),
    }
)
"""By pattern, without what marks its ends: what such a text is not, and what is expected."""


def refused_text(value: Any, pattern: str) -> str:
    """A sentence about a text that a pattern refuses."""
    problem, right = PATTERNS.get(pattern.strip("^$"), ("is not allowed here", "another text"))
    if problem == "is not a name":
        slug = re.sub("[^a-z0-9]+", "-", str(value).lower()).strip("-")[:63].strip("-") or "edge-1"
        right = f"{right}, such as {shorten(slug, 24)!r}"
    return f"{show(value)} {problem}; expected {right}"
