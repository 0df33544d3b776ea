"""Conditions that Istio has not: ``when`` keys ``meshsim.*`` for what only a simulated mesh on a 5G network has.

Texts (slice, site, node, TLS) match as everywhere in Istio: exactly, by prefix, by suffix, or ``*`` for any that is not
empty. Ages are compared with a duration, times with an instant or a part of the day.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from meshsim.policy.question import Question
from meshsim.scenario.fields import parse_instant
from meshsim.scenario.units import NS_PER_S, parse_duration_ns
from meshsim.scenario.words import show

AGE, TIME = "meshsim.certificate.age", "meshsim.time"

OWN_TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "meshsim.slice": "slice",
        "meshsim.site": "site",
        "meshsim.node": "node",
        "meshsim.source.node": "source_node",
        "meshsim.tls.version": "tls_version",
        "meshsim.tls.cipher": "cipher",
        "meshsim.tls.group": "group",
    }
)
"""Key → attribute of a question that holds text."""

OWN_COMPARED: Mapping[str, str] = MappingProxyType({AGE: "certificate_age_s", TIME: "time_s"})
"""Key → attribute of a question that is compared."""

OWN_KEYS = (*OWN_TEXTS, *OWN_COMPARED)

_S_PER_DAY = 86_400
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
)
_COMPARISON = re.compile(r"\s*(<=|>=|<|>)\s*(\S.*)")
_DAYTIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")


def own_problem(key: str, text: str) -> str:
    """What is wrong with a value of one of these keys; empty if nothing is."""
    if key in OWN_TEXTS:
        return "" if text else "a value is empty; expected text, or '*' for any that is not empty"
    try:
        own_match(key, text)
    except ValueError as error:
        return str(error)
    return ""


def own_match(key: str, text: str) -> Callable[[Question], bool]:
    """What decides on a value of ``meshsim.certificate.age`` or ``meshsim.time``. Raises ValueError on a bad value."""
    compared = _COMPARISON.fullmatch(text)
    if key == AGE:
        if compared is None:
            raise ValueError(f"{show(text)} is no comparison of an age; expected one such as '< 12 h'")
        limit_ns, holds = parse_duration_ns(compared[2]), _COMPARED[compared[1]]
        return lambda question: (
            question.certificate_age_s >= 0 and holds(question.certificate_age_s * NS_PER_S, limit_ns)
        )
    if compared is not None:
        instant_ns, holds = parse_instant(compared[2]), _COMPARED[compared[1]]
        return lambda question: holds(question.time_s * NS_PER_S, instant_ns)
    begin_s, end_s = _part_of_day(text)
    if begin_s < end_s:
        return lambda question: begin_s <= question.time_s % _S_PER_DAY < end_s
    return lambda question: not end_s <= question.time_s % _S_PER_DAY < begin_s


def _part_of_day(text: str) -> tuple[int, int]:
    """Begin and end of a part of the day, in seconds since midnight; raises ValueError if it is none."""
    found = _DAYTIME.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{show(text)} is no time; expected a part of the day in UTC such as '08:00-18:00', or a comparison "
            "such as '>= 2026-01-01T00:00:00Z'"
        )
    begin_s = int(found[1]) * 3600 + int(found[2]) * 60
    end_s = int(found[3]) * 3600 + int(found[4]) * 60 if found[3] else _S_PER_DAY
    if begin_s == end_s:
        raise ValueError(f"{show(text)} begins when it ends; expected two times, the second of which is not part of it")
    return begin_s, end_s


def is_part_of_day(text: str) -> bool:
    """Whether a value of ``meshsim.time`` comes again each day."""
    return _COMPARISON.fullmatch(text) is None


def bounds_s(key: str, text: str) -> tuple[int, ...]:
    """The seconds at which a value of one of these keys begins or ceases to match, a part of the day on the first."""
    compared = _COMPARISON.fullmatch(text)
    if compared is None:
        return _part_of_day(text)
    parse = parse_duration_ns if key == AGE else parse_instant
    return (parse(compared[2]) // NS_PER_S,)
