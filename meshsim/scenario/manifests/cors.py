"""``corsPolicy`` of a route: without effect on calls of services, and still checked as Istio checks it."""

from __future__ import annotations

import re

from meshsim.scenario.manifest_reader import Value
from meshsim.scenario.manifests.values import Notes, duration_ns, string_match, take
from meshsim.scenario.words import expected, show

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*")
_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_SECOND_NS = 10**9


def check_cors(value: Value, notes: Notes) -> None:
    """Note what Istio's validation would refuse (``validateCORSPolicy``)."""
    notes.without_effect[value.name.strip("'")] += 1
    fields = take(value, "corsPolicy", notes)
    for item in fields["allowOrigins"].items() if "allowOrigins" in fields else ():
        string_match(item, notes)
    for item in fields["allowMethods"].texts() if "allowMethods" in fields else ():
        if item.data not in _METHODS:
            item.wrong(f"{show(item.data)} is no method of HTTP; {expected(item.data, _METHODS)}")
    for key in ("allowHeaders", "exposeHeaders"):
        for item in fields[key].texts() if key in fields else ():
            if not _FIELD.fullmatch(str(item.data)):
                item.wrong(f"{show(item.data)} is no name of a header field; expected one such as 'end-user'")
    if "maxAge" in fields:
        length_ns = duration_ns(fields["maxAge"], 0)
        if length_ns is not None and length_ns % _SECOND_NS:
            fields["maxAge"].wrong(f"{show(fields['maxAge'].data)} is no whole number of seconds; expected one")
    if "allowCredentials" in fields:
        fields["allowCredentials"].flag()
    if "unmatchedPreflights" in fields:
        fields["unmatchedPreflights"].choice(("UNSPECIFIED", "FORWARD", "IGNORE"))
