"""From what a model refuses to a place in the file and a sentence about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from meshsim.scenario import units
from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.identity import Identity
from meshsim.scenario.pattern_words import PATTERNS, refused_text
from meshsim.scenario.positions import Path, Positions
from meshsim.scenario.shape import ROOT, Spot, child, choices, has, kinds, known_keys, spot_at, step
from meshsim.scenario.words import expected, one_of, shorten, show

MOST_KEPT = 1000
"""Mistakes of one kind in one file that are put into words."""
MOST_SHOWN = 100
"""Mistakes that are printed."""

_IDENTITY = Spot(Identity)
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def format_diagnostics(diagnostics: Iterable[Diagnostic], most: int = MOST_SHOWN) -> str:
    """One line for each of the first ``most`` diagnostics, and a line with the number of the others."""
    lines = [str(diagnostic) for diagnostic in diagnostics]
    if len(lines) > most:
        lines[most:] = [f"and {len(lines) - most} more"]
    return "\n".join(lines)


def from_validation(
    details: list[ErrorDetails], data: Any, positions: Positions, in_file: Callable[[Path], Path] = lambda path: path
) -> list[Diagnostic]:
    """Every mistake that the models found in ``data``, in the words of someone who edits the file.

    ``in_file`` says where the file has what stands at a path of ``data``.
    """
    found = []
    for detail in details[:MOST_KEPT]:
        path, at_key = error_path(detail, data)
        place = positions.key(in_file(path)) if at_key else positions.value(in_file(path))
        found.append(place.diagnostic(_message(detail, path, data)))
    if len(details) > MOST_KEPT:
        last = max(positions.values.values(), key=lambda place: place.line)
        found.append(
            last.diagnostic(f"and {len(details) - MOST_KEPT} more mistakes; expected those above mended first")
        )
    return found


def error_path(detail: ErrorDetails, data: Any) -> tuple[Path, bool]:
    """The path of a refused value in ``data``, and whether its key is what is wrong.

    A location of pydantic's also names the members of unions it tried, which are no keys of the file, though one may
    read like a key of it.
    """
    path: list[str | int] = []
    at_key = detail["type"] == "extra_forbidden"
    root, at_member = data, False
    for part in detail["loc"]:
        at_member = not at_member and (spot := spot_at(tuple(path), root)) is not None and part in kinds(spot)
        if part == "[key]":
            at_key = True
        elif at_member:
            continue
        elif has(data, part):
            path.append(part)
            data = step(data, part)
    if detail["type"] == "union_tag_invalid" and has(data, "kind"):
        path.append("kind")
    return tuple(path), at_key


def _message(detail: ErrorDetails, path: Path, data: Any) -> str:
    value = data
    for key in path:
        value = step(value, key)
    kind = detail["type"]
    spot = spot_at(path[:-1] if kind == "union_tag_invalid" else path, data) or ROOT
    if kind == "extra_forbidden":
        return _unknown_key(path, data)
    if kind == "missing":
        return _missing(str(detail["loc"][-1]), spot, value, path)
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if detail["loc"][-1:] == ("[key]",):
        return _key_message(detail, path)
    if kind in _BOUNDS:
        limit, words = _BOUNDS[kind]
        return f"{show(value)} is out of range; expected {words} {_limit(detail['ctx'][limit], value)}"
    speak = _SPEAKERS.get(kind, _other)
    return speak(detail, value, spot, path)


def _unknown_key(path: Path, data: Any) -> str:
    parent: Any = data
    for key in path[:-1]:
        parent = step(parent, key)
    spot = spot_at(path[:-1], data) or ROOT
    known = known_keys(spot, parent)
    if path[:1] == ("changes",) and path[2:-1] == ("identity",) and path[-1] in known_keys(_IDENTITY, {}):
        return f"{path[-1]!r} cannot change while a run goes on; expected {one_of(known)}"
    if len(known) == 1 and known[0] in parent:
        only = child(spot, known[0], parent)
        inside = only is not None and path[-1] in known_keys(only)
        right = f"{show(path[-1])} inside it" if inside else f"no {show(path[-1])} beside it"
        return f"{known[0]!r} stands alone; expected {right}"
    return f"unknown key {show(path[-1])}; {expected(path[-1], known)}"


def _missing(key: str, spot: Spot, value: Any, path: Path) -> str:
    if isinstance(value, list):
        return f"{_name(path)} has {len(value)} of its two entries; expected [one, other]"
    inner = child(spot, key, value)
    about = inner.field.description if inner and inner.field and inner.field.description else None
    return f"{key!r} is missing; expected it here" + (f": {_first_sentence(about)}" if about else "")


def _first_sentence(text: str) -> str:
    sentence = re.split(r"(?<=[.:;])\s", text.replace("\n", " "), maxsplit=1)[0].rstrip(".:;")
    return shorten(sentence[:1].lower() + sentence[1:] if not sentence[:2].isupper() else sentence, 80)


def _key_message(detail: ErrorDetails, path: Path) -> str:
    pattern = str(detail.get("ctx", {}).get("pattern", ""))
    return refused_text(path[-1], pattern)


def _limit(limit: Any, value: Any) -> str:
    """A bound in the unit family of the refused value."""
    unit = value.strip().lstrip("+-0123456789. ") if isinstance(value, str) else ""
    families: tuple[tuple[Mapping[str, Any], Callable[[int], str]], ...] = (
        (units.DURATION_NS, units.format_duration),
        (units.SIZE_BYTES, units.format_size),
        (units.BANDWIDTH_BPS, units.format_bandwidth),
        (units.SHARE_PPM, units.format_share),
        (units.LENGTH_MM, units.format_length),
        (units.SPEED_MM_PER_H, units.format_speed),
    )
    for family, formatted in families:
        if unit in family:
            return formatted(int(limit))
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _name(path: Path) -> str:
    names = [key for key in path if isinstance(key, str)]
    if not names:
        return "the file"
    return f"an entry of {names[-1]!r}" if isinstance(path[-1], int) else repr(names[-1])


def _literal(_detail: ErrorDetails, value: Any, spot: Spot, path: Path) -> str:
    known = choices(spot)
    if str(value) in known and not isinstance(value, str):
        return f"{_name(path)} is the number {show(value)}; expected text, in quotes: '{value}'"
    return f"{_name(path)} is {show(value)}, which is not known; {expected(value, known)}"


def _union_tag(detail: ErrorDetails, value: Any, spot: Spot, path: Path) -> str:
    known = kinds(spot)
    if detail["type"] == "union_tag_invalid":
        return f"'kind' is {show(value)}, which is not known; {expected(value, known)}"
    if not isinstance(value, dict):
        return f"{_name(path)} is {_empty(value)}; expected a mapping with 'kind'"
    return f"'kind' is missing; expected {one_of(known)}"


_OF_ONE_QUANTITY = ("at_most", "constant", "poisson")
"""First keys of mappings in which a bare quantity may have been meant: bounds, work, arrivals."""
_QUANTITY = re.compile(r"[0-9.]+\s*[^\s0-9]*")


def _mapping(_detail: ErrorDetails, value: Any, spot: Spot, path: Path) -> str:
    keys = known_keys(spot, value)
    what = f"a mapping with {', '.join(keys[:4])}{' …' if len(keys) > 4 else ''}" if keys else "a mapping of names"
    if keys and keys[0] in _OF_ONE_QUANTITY and isinstance(value, str | int) and _QUANTITY.fullmatch(str(value)):
        # a bare quantity says how much, and not what of it; a share is mostly one that is wanted
        key = "at_least" if keys[0] == "at_most" and str(value).endswith("%") else keys[0]
        what += f", such as {{{key}: {shorten(str(value), 40)}}}"
    if path[-1:] == ("replicas",):
        what = "a mapping from nodes to numbers, such as {edge-1: 2}"
    return f"{_name(path)} is {_empty(value)}; expected {what}"


def _list(_detail: ErrorDetails, value: Any, _spot: Spot, path: Path) -> str:
    return f"{_name(path)} is {_empty(value)}; expected a list, such as [one, other]"


def _text(_detail: ErrorDetails, value: Any, spot: Spot, path: Path) -> str:
    if spot.pattern is not None and spot.pattern.strip("^$") in PATTERNS:
        return f"{_name(path)} is {_empty(value)}; expected {PATTERNS[spot.pattern.strip('^$')][1]}"
    quoted = f", in quotes: '{show(value)}'" if isinstance(value, int | float) else ""
    return f"{_name(path)} is {_empty(value)}; expected text{quoted}"


def _integer(_detail: ErrorDetails, value: Any, _spot: Spot, path: Path) -> str:
    unquoted = ", without quotes" if isinstance(value, str) and value.strip().isdecimal() else ""
    return f"{_name(path)} is {_empty(value)}; expected a whole number{unquoted}"


def _number(_detail: ErrorDetails, value: Any, _spot: Spot, path: Path) -> str:
    return f"{_name(path)} is {_empty(value)}; expected a number"


def _boolean(_detail: ErrorDetails, value: Any, _spot: Spot, path: Path) -> str:
    return f"{_name(path)} is {_empty(value)}; expected true or false"


def _empty(value: Any) -> str:
    return "empty" if value is None else show(value)


def _too_short(detail: ErrorDetails, value: Any, _spot: Spot, path: Path) -> str:
    least = detail["ctx"]["min_length"]
    found = f"has {len(value)} entry" if value else "is empty"
    return f"{_name(path)} {found}; expected at least {least}"


def _too_long(detail: ErrorDetails, value: Any, _spot: Spot, path: Path) -> str:
    return f"{_name(path)} has {len(value)} entries; expected at most {detail['ctx']['max_length']}"


def _long_text(detail: ErrorDetails, value: Any, _spot: Spot, path: Path) -> str:
    return f"{_name(path)} has {len(value)} characters; expected at most {detail['ctx']['max_length']}"


def _short_text(_detail: ErrorDetails, _value: Any, _spot: Spot, path: Path) -> str:
    return f"{_name(path)} is an empty text; expected some, or no such key"


def _pattern(detail: ErrorDetails, value: Any, _spot: Spot, _path: Path) -> str:
    return refused_text(value, detail["ctx"]["pattern"])


def _other(detail: ErrorDetails, value: Any, _spot: Spot, path: Path) -> str:
    return f"{_name(path)} is {_empty(value)}, which is not accepted; {shorten(detail['msg'], 80)}"


_SPEAKERS: dict[str, Callable[[ErrorDetails, Any, Spot, Path], str]] = {
    "literal_error": _literal,
    "union_tag_invalid": _union_tag,
    "union_tag_not_found": _union_tag,
    "model_type": _mapping,
    "model_attributes_type": _mapping,
    "dict_type": _mapping,
    "tuple_type": _list,
    "string_type": _text,
    "int_type": _integer,
    "float_type": _number,
    "bool_type": _boolean,
    "too_short": _too_short,
    "too_long": _too_long,
    "string_too_long": _long_text,
    "string_too_short": _short_text,
    "string_pattern_mismatch": _pattern,
}
