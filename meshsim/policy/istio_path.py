"""Paths of requests as Envoy normalises them before policies see them.

Istio's ``pathNormalization`` chooses how much is done (istio.io, "Authorization Policy Normalization"). What each step
does is Envoy's: ``normalize_path`` is Chromium's canonicalisation of paths, ``merge_slashes`` joins what slashes
separate, ``path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD`` decodes slashes first. Policies match the
normalised path, and the workload is sent it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Normalization = Literal["NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"]

BAD_CHARACTER = re.compile(r"[^!-~]|#")
"""What no HTTP/1.1 or HTTP/2 path may hold: Envoy answers 400, whatever the policies."""
_SETTLED = re.compile(r"(?:/(?!\.)[A-Za-z0-9_~!$&'()*+,;:=@\[\].-]*)+")
"""Paths in which nothing is to be done but merging slashes."""
UNESCAPED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""Characters that are never left percent-encoded (RFC 3986, section 2.3: unreserved)."""
ESCAPED = frozenset('"<>^`{|}')
"""Printable characters that are percent-encoded."""
_SLASH = re.compile("%2f", re.IGNORECASE)
_BACKSLASH = re.compile("%5c", re.IGNORECASE)
_DOT = re.compile(r"\.|%2e", re.IGNORECASE)
_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_PARAMETERS = re.compile(r"(?<=/)(\.\.?);[^/]*")
"""Parameters of a dot segment, as in ``/..;x/``."""
_NUL = "\0"


@lru_cache(maxsize=4096)
def normalized(path: str, mode: Normalization) -> str | None:
    """The path (without query) that policies see; None if Envoy refuses the request with status 400."""
    if not path.startswith("/") or BAD_CHARACTER.search(path):
        return None
    if mode == "NONE":
        return path
    if mode == "DECODE_AND_MERGE_SLASHES":
        path = _BACKSLASH.sub(r"\\", _SLASH.sub("/", path))
    canonical = path if _SETTLED.fullmatch(path) else _canonical(path)
    if canonical is None or mode == "BASE" or "//" not in canonical:
        return canonical
    segments = [segment for segment in canonical.split("/") if segment]
    # As Envoy does it: a path of nothing but slashes keeps two of them.
    return f"/{'/'.join(segments)}{'/' if canonical.endswith('/') else ''}"


def _canonical(path: str) -> str | None:
    """Dot segments removed, backslashes turned, escapes as few as may be; None for an escaped NUL."""
    path = _PARAMETERS.sub(r"\1", path)
    written: list[str] = []
    percent = -9  # where, in what is written, the last percent sign stands that began no escape
    at, end = 0, len(path)
    while at < end:
        character = path[at]
        dot = _DOT.match(path, at)
        if dot is not None:
            at = _dot(path, dot.end(), written)
        elif character == "%":
            escape = _ESCAPE.match(path, at)
            if escape is None:
                percent = len(written)
                written.append("%")
                at += 1
                continue
            at += 3
            meant = chr(int(escape[1], 16))
            if meant == _NUL:
                return None
            written += [meant] if meant in UNESCAPED else escape[0]
            if meant in UNESCAPED and percent >= len(written) - 3:
                _encode_nested(path[at : at + 1], percent, written)
        else:
            at += 1
            if character in ESCAPED:
                written += f"%{ord(character):02X}"
            else:
                written.append("/" if character == "\\" else character)
    return "".join(written)


def _encode_nested(following: str, percent: int, written: list[str]) -> None:
    """Encode a percent sign that would begin an escape with what was just decoded, or with that and what follows."""
    behind = written[percent + 1 :]
    # Where the sign was taken back with its segment, what stands there now is none.
    escape = "".join(written[percent:]) + (following if len(behind) == 1 else "")
    if _ESCAPE.fullmatch(escape):
        written[percent:] = ["%", "2", "5", *behind]


def _dot(path: str, after: int, written: list[str]) -> int:
    """Take a dot that ends before ``after``; returns where to go on."""
    if written[-1:] != ["/"]:
        written.append(".")
        return after
    second = _DOT.match(path, after)
    stop = second.end() if second is not None else after
    if stop < len(path) and path[stop] not in "/\\":
        written.append(".")
        return after
    if second is not None and len(written) > 1:  # back to the slash before the last segment
        written.pop()
        while written[-1] != "/":
            written.pop()
    return min(stop + 1, len(path))
