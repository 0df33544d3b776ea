"""Regions in words: which requests are allowed, as somebody would say it who has read the policies."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from meshsim.inquiry.checks import METHODS
from meshsim.inquiry.dimension import AS_IT_IS, MISSING, NO_CLAIM, OWN, TOKEN_AT, Dimension, Value
from meshsim.inquiry.patterns import OTHER
from meshsim.inquiry.regions import Box, Region

_NUMBERS = ("certificate_age_s", "time_s")
_NAMES = {"certificate_age_s": "certificate age", "time_s": "time"}


def _or(words: Sequence[str]) -> str:
    """``a, b or c``, all of them: a region in words leaves nothing out."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def region_words(region: Region, dimensions: Sequence[Dimension]) -> list[str]:
    """Each box of a region in words: method and path first, then what has to hold beside."""
    by_name = {dimension.name: dimension for dimension in dimensions}
    return [_box(box, by_name) for box in region.boxes]


def _box(box: Box, dimensions: dict[str, Dimension]) -> str:
    if not box:
        return "everything"
    said = {name: _values(dimensions[name], frozenset(shown)) for name, shown in box.items()}
    if any(name.startswith("claim ") and NO_CLAIM not in each for name, each in box.items()):
        said.pop(_field_of_token(box), "")
    bare = _without_token(box)
    for name in bare:
        del said[name]
    method, path = said.pop("method", ""), said.pop("path", "")
    head = f"{method or 'any method'}{',' if ' ' in method or (path and not method) else ''} {path or 'any path'}"
    if not path and not method:
        head = "any request"
    if bare:
        head += " without a token"
    return f"{head} when {' and '.join(said.values())}" if said else head


def _without_token(box: Box) -> list[str]:
    """The claims of a box that says of none but that they are missing, ``iss`` too: every token has that one."""
    claims = {name: shown for name, shown in box.items() if name.startswith("claim ")}
    missing = all(tuple(shown) == (NO_CLAIM,) for shown in claims.values())
    return list(claims) if missing and "claim iss" in claims else []


def _field_of_token(box: Box) -> str:
    """The header field of which nothing is left to say where the token is in it; empty if there is none.

    The token stands in place of what else a field of its own says, and beside all other cookies.
    """
    fields = {"cookie" if shown.startswith("cookie ") else shown for shown in box.get(TOKEN_AT, ())}
    if fields == {"cookie"}:
        return "header cookie" if box.get("header cookie") == (MISSING,) else ""
    return fields.pop().partition(" after ")[0] if len(fields) == 1 else ""


def _values(dimension: Dimension, shown: frozenset[str]) -> str:
    """A part of a dimension in words, that is neither all of it nor nothing."""
    inside = [value for value in dimension.values if value.shown in shown]
    outside = [value for value in dimension.values if value.shown not in shown]
    kind, _, name = dimension.name.partition(" ")
    if any(value.witness == OWN for value in dimension.values):
        return _left_out(dimension, shown)
    if kind == "method":
        return _methods(inside, outside)
    if kind == "path":
        return _texts(inside, outside, "path")
    if kind in _NUMBERS:
        return f"{_NAMES[kind]} is {_numbers(dimension.values, shown)}"
    if kind == "claim":
        return _claim(name, inside, outside)
    if kind == TOKEN_AT:
        return f"the token is in {_or([value.shown for value in inside])}"
    if kind == "header":
        return _header(name, inside, outside)
    noun = dimension.name.replace("_", " ")
    return f"{noun} is {_texts(inside, outside, noun)}"


def _left_out(dimension: Dimension, shown: frozenset[str]) -> str:
    """A part of a dimension that requests may leave out, so that each side has its own value there."""
    said = tuple(value for value in dimension.values if value.witness != OWN)
    named = shown - {AS_IT_IS}
    noun = _NAMES.get(dimension.name, dimension.name.replace("_", " "))
    if len(named) == len(said):
        words = f"{noun} is any that a request names"
    else:
        words = _values(msgspec.structs.replace(dimension, values=said), named) if named else ""
    return _or([*filter(None, [words]), *([f"{noun} is {AS_IT_IS}"] if AS_IT_IS in shown else [])])


def _methods(inside: Sequence[Value], outside: Sequence[Value]) -> str:
    """Methods by their names; the few that are not meant, where they are fewer."""
    listed, others = (
        [one for one in METHODS if one in {name for value in part for name in value.shown.split(", ")}]
        for part in (inside, outside)
    )
    return f"any method but {_or(others)}" if len(others) < len(listed) else _or(listed)


def _texts(inside: Sequence[Value], outside: Sequence[Value], noun: str) -> str:
    if any(value.shown == OTHER for value in inside):
        return f"any {noun} but {_union(outside, inside)}" if outside else f"any {noun}"
    return _union(inside, outside)


def _union(part: Sequence[Value], rest: Sequence[Value]) -> str:
    """The texts of some classes: by patterns of which every class is among them, and else class by class."""
    patterns = dict.fromkeys(pattern for value in part for pattern in value.matched)
    whole = [one for one in patterns if not any(one in value.matched for value in rest)]
    whole.sort(key=lambda one: -sum(one in value.matched for value in part))
    found: list[str] = []
    covered: set[str] = set()
    for pattern in whole:
        new = {value.shown for value in part if pattern in value.matched} - covered
        if new:
            found.append(pattern)
            covered |= new
    for value in part:
        if value.shown not in covered:
            near = [one for other in rest if set(value.matched) < set(other.matched) for one in other.matched]
            but = [one for one in dict.fromkeys(near) if one not in value.matched]
            narrow = " and ".join(_narrowest(value, (*part, *rest)))
            found.append(f"{narrow} but not {_or(but)}" if but else narrow)
    return _or(found)


def _narrowest(value: Value, every: Sequence[Value]) -> list[str]:
    """The patterns of a class of which the others follow."""
    of = {pattern: frozenset(one.shown for one in every if pattern in one.matched) for pattern in value.matched}
    kept = [one for one in of if not any(of[other] < of[one] for other in of)]
    return kept or [value.shown]


def _numbers(values: Sequence[Value], shown: frozenset[str]) -> str:
    """Runs of numbers: those between two that are told apart are alike."""
    ordered = sorted(values, key=lambda value: int(value.witness))
    runs: list[list[int]] = []
    for index, value in enumerate(ordered):
        if value.shown in shown:
            if runs and runs[-1][-1] == index - 1:
                runs[-1].append(index)
            else:
                runs.append([index])
    found = []
    for run in runs:
        first, last = ordered[run[0]].shown, ordered[run[-1]].shown
        if run[0] == 0:
            found.append(f"at most {last}")
        elif run[-1] == len(ordered) - 1:
            found.append(f"at least {first}")
        else:
            found.append(first if first == last else f"{first} to {last}")
    return _or(found)


def _claim(name: str, inside: Sequence[Value], outside: Sequence[Value]) -> str:
    missing = [value for value in inside if value.witness is None]
    there = [value for value in inside if value.witness is not None]
    parts = [f"there is no claim {name}"] if missing else []
    if there and not any(value.witness is not None for value in outside):
        parts.append(f"there is a claim {name}")
    elif there:
        lists = [value for value in (*inside, *outside) if isinstance(value.witness, list)]
        entries = dict.fromkeys(entry for value in there if isinstance(value.witness, list) for entry in value.witness)
        common = next((one for one in entries if [v for v in lists if one in v.witness] == there), None)
        single = [value for value in there if not isinstance(value.witness, list)]
        if common is not None and not single:
            parts.append(f"claim {name} holds {json.dumps(common)}")
        else:
            parts.append(f"claim {name} is {_or([value.shown for value in there])}")
    return " or ".join(parts)


def _header(name: str, inside: Sequence[Value], outside: Sequence[Value]) -> str:
    there = [value for value in inside if value.witness is not None]
    others = [value for value in outside if value.witness is not None]
    parts = [f"there is no header {name}"] if len(there) < len(inside) else []
    if there and not others:
        parts.append(f"there is a header {name}")
    elif there:
        parts.append(f"header {name} is {_texts(there, others, 'text')}")
    return " or ".join(parts)
