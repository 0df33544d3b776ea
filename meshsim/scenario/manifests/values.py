"""Reading the values of manifests: known keys, and what Go and Protobuf write as durations, percentages and numbers."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from typing import NamedTuple

from meshsim.scenario import regex, units
from meshsim.scenario.manifest_reader import Manifest, Value
from meshsim.scenario.manifests.fields import TABLE
from meshsim.scenario.words import expected, shorten, show

_GO_DURATION = re.compile(r"(?P<sign>[-+]?)(?P<parts>(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|μs|ms|s|m|h))+|0)")
_GO_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ns|us|µs|μs|ms|s|m|h)")
_GO_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_MS = 1_000_000
_LONGEST_NS = 366 * 86_400 * 10**9
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A DNS label (RFC 1123)."""


class Mark(NamedTuple):
    """What puts pods into ambient mode."""

    namespace: str
    value: Value
    """A namespace, or the label of pods."""
    injected: bool | None = None
    """Whether the pods themselves say that they have a sidecar; None if they say nothing."""


class Notes:
    """What is worth saying about manifests that are right."""

    def __init__(self) -> None:
        self.without_effect: Counter[str] = Counter()
        """Keys that were read and have no effect."""
        self.unused: Counter[str] = Counter()
        """Kinds of objects that play no part."""
        self.ignored: Counter[str] = Counter()
        """Kinds of objects that the user wants left aside."""
        self.warnings: list[str] = []
        """What is not used though it may bear on who may call whom."""
        self.texts: list[str] = []
        self.ambient: list[Mark] = []
        """What is put into the mesh without sidecars (Istio's ambient mode): namespaces, and labels of pods."""


def take(value: Value, table: str, notes: Notes, *also: str) -> dict[str, Value]:
    """The values of a mapping that are read, by the table of fields; mistakes at keys unknown or refused.

    ``also`` may stand there too.
    """
    fields = TABLE[table]
    found = value.fields(*also, *fields.all)
    for key, child in found.items():
        if key in fields.refused:
            child.wrong_key(f"{key!r} is not simulated: {fields.refused[key]}; expected no {key!r} here")
        elif key in fields.without_effect:
            notes.without_effect[key] += 1
    return {key: child for key, child in found.items() if key in fields.read}


def body(manifest: Manifest, table: str, notes: Notes) -> dict[str, Value]:
    """What an object holds beside what all kinds have."""
    return take(manifest.whole, table, notes, "apiVersion", "kind", "metadata")


def duration_ns(value: Value, least_ns: int = _MS) -> int | None:
    """A duration as Go writes it (``7s``, ``1m30s``, ``0.5s``); None with a mistake noted.

    Istio takes whole milliseconds, at least one (``ValidateDuration``).
    """
    data = value.data
    match = _GO_DURATION.fullmatch(data) if isinstance(data, str) and len(data) <= 64 else None
    if match is None:
        value.wrong(f"{value.name} is {show(data)}, which is no duration; expected one such as '7s' or '250ms'")
        return None
    total = sum(Fraction(number.rstrip(".")) * _GO_UNITS_NS[unit] for number, unit in _GO_PART.findall(match["parts"]))
    shown = show(data)
    if match["sign"] == "-":
        value.wrong(f"{shown} is negative; expected a duration of at least {units.format_duration(least_ns)}")
        return None
    if total % _MS:
        value.wrong(f"{shown} is no whole number of milliseconds; expected one, as Istio does")
        return None
    if not least_ns <= total <= _LONGEST_NS:
        value.wrong(f"{shown} is out of range; expected {units.format_duration(least_ns)} to 366 days")
        return None
    return int(total)


def number(value: Value, least: int, most: int) -> int | None:
    """A whole number in a range; None with a mistake noted."""
    data = value.data
    if isinstance(data, bool) or not isinstance(data, int):
        value.wrong(f"{value.name} is {show(data)}; expected a whole number")
        return None
    if not least <= data <= most:
        value.wrong(f"{show(data)} is out of range; expected {least} to {most}")
        return None
    return data


def percent_ppm(value: Value) -> int | None:
    """A percentage, parts per million as Envoy cuts it; None with a mistake noted."""
    data = value.data
    if isinstance(data, bool) or not isinstance(data, int | float):
        value.wrong(f"{value.name} is {show(data)}; expected a number from 0 to 100")
        return None
    if not 0 <= data <= 100:
        value.wrong(f"{show(data)} is no percentage; expected a number from 0 to 100")
        return None
    return int(Fraction(str(data)) * 10_000)


def string_match(value: Value, notes: Notes, *, presence: bool = False) -> dict[str, object] | None:
    """What a text has to be, as ``scenario/routes.py`` writes it; None with a mistake noted.

    ``presence``: a match of nothing asks that the text be there at all.
    """
    if presence and value.data == {}:
        return {"present": True}
    fields = take(value, "StringMatch", notes)
    if len(fields) != 1:
        found = " and ".join(fields) or "nothing"
        if isinstance(value.data, dict) and set(fields) == set(value.data):
            value.wrong(f"a match has {found}; expected exactly one of exact, prefix or regex")
        return None
    ((key, child),) = fields.items()
    text = child.text()
    if not isinstance(child.data, str):
        return None
    if not text and (key != "exact" or not presence):
        child.wrong(f"{key!r} is empty; expected the text that has to match")
        return None
    if key == "regex":
        problem = regex.problem(text)
        if problem is not None:
            child.wrong(f"this is no regular expression of RE2 ({shorten(problem, 70)}); expected one")
            return None
    elif len(text) > regex.MOST_CHARACTERS:
        child.wrong(f"{key!r} has {len(text)} characters; expected at most {regex.MOST_CHARACTERS}")
        return None
    return {key: text}


def labels(value: Value) -> dict[str, str]:
    """Labels by key."""
    return value.text_entries()


def label_name(value: Value, what: str) -> str:
    """A name of a subset, namespace or the like; empty with a mistake noted."""
    text = value.text()
    if text and not LABEL.fullmatch(text):
        value.wrong(f"{show(text)} is no name of {what}; expected at most 63 lower-case letters, digits, inner hyphens")
        return ""
    return text


def only(value: Value, wanted: str, why: str) -> None:
    """Note a mistake unless a list holds nothing but one word."""
    for item in value.texts():
        if item.data != wanted:
            item.wrong(f"{show(item.data)} is not simulated: {why}; expected {wanted!r} alone, or no {value.name}")


def unknown(word: str, what: str, known: list[str]) -> str:
    """The message about a name that nothing has."""
    return f"there is no {what} {show(word)}; {expected(word, known)}"
