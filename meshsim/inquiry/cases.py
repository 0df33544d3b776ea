"""Test cases for policies, read from YAML into frozen requests with the answers that their author wants."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from meshsim.inquiry.placing import TokenPlace, place_of
from meshsim.inquiry.request import Request, age_s, instant_s
from meshsim.scenario.errors import Diagnostic, ScenarioError, UsageError
from meshsim.scenario.positions import Place, Positions
from meshsim.scenario.reading import bad_byte_message, decode, read_bounded
from meshsim.scenario.words import expected, show
from meshsim.scenario.yaml_text import parse_yaml

TOP_KEYS = ("scenario", "manifests", "defaults", "cases")
EXPECTED_KEYS = ("name", "expect", "rule")
ANSWERS = ("allow", "deny")


class Case(msgspec.Struct, frozen=True):
    """One request, and what must come of it."""

    name: str
    place: Place
    request: Request
    allowed: bool
    rule: str | None
    """The rule that must decide; None: any."""
    rule_place: Place
    """Where it stands; where the case does, if it names none."""
    places: Mapping[str, Place] = {}
    """Where what it asks stands, in the case or the defaults, by field of the request."""


class CaseFile(msgspec.Struct, frozen=True):
    """The cases of one file."""

    path: Path
    scenario: Path | None
    """The scenario that the file names, looked up beside it."""
    manifests: Path | None
    """The folder of manifests that it names in place of a scenario."""
    cases: tuple[Case, ...]


def read_cases(path: Path) -> CaseFile:
    """Read a file of cases; raises ScenarioError with every mistake in it."""
    try:
        content = read_bounded(path)
    except ValueError as error:
        raise ScenarioError([Diagnostic(str(path), 0, 0, str(error))]) from None
    text, bad = decode(content, str(path))
    if bad is not None:
        raise ScenarioError([bad.diagnostic(bad_byte_message(content))])
    data, positions = parse_yaml(text, str(path))
    reader = _Reader(path, positions)
    found = reader.read(data)
    if reader.mistakes:
        raise ScenarioError(reader.mistakes)
    assert found is not None
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{show(value)} is no text; expected some{_quoted(value)}")
    return value


def _quoted(value: Any) -> str:
    return f", in quotes: '{value}'" if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{show(value)} is no whole number; expected one")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{show(value)} is neither true nor false; expected one of them")
    return value


def _header_fields(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise ValueError("header fields are a mapping from names to texts; expected one such as {x-tenant: blue}")
    return tuple((str(name), one) for name, one in value.items())


def _claims(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("claims are a mapping; expected one such as {sub: alice, groups: [admins]}")
    return value


def _token_at(value: Any) -> TokenPlace:
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"{show(value)} is no place of a token; expected one such as {{header: x-jwt}}")
    ((kind, name),) = value.items()
    return place_of(str(kind), _text(name), "token_at")


def _age(value: Any) -> int:
    return age_s(_text(value), "certificate_age")


def _instant(value: Any) -> int:
    return instant_s(str(value), "time")


FIELDS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    **{
        name: (name, _text)
        for name in (
            *("source", "destination", "method", "path", "host", "slice", "site", "node", "source_node", "source_ip"),
            *("tls_version", "cipher", "group"),
        )
    },
    "port": ("port", _number),
    "headers": ("headers", _header_fields),
    "claims": ("claims", _claims),
    "token_at": ("token_at", _token_at),
    "certificate_age": ("certificate_age_s", _age),
    "time": ("time_s", _instant),
    "plaintext": ("plaintext", _truth),
}
"""Key of a case → field of a request, and what reads its value."""


class _Reader:
    def __init__(self, path: Path, positions: Positions) -> None:
        self._path = path
        self._positions = positions
        self.mistakes: list[Diagnostic] = []

    def _wrong(self, at: tuple[str | int, ...], message: str, *, key: bool = False) -> None:
        place = self._positions.key(at) if key else self._positions.value(at)
        self.mistakes.append(place.diagnostic(message))

    def read(self, data: Any) -> CaseFile | None:
        """Read the whole file."""
        if not isinstance(data, dict):
            self._wrong((), "the file is no mapping; expected the key cases, with a list of requests")
            return None
        self._unknown((), data, TOP_KEYS)
        defaults = data.get("defaults") or {}
        if not isinstance(defaults, dict):
            self._wrong(("defaults",), "the defaults are no mapping; expected keys such as {method: GET}")
            defaults = {}
        usual = dict(self._fields(("defaults",), defaults))
        self._unknown(("defaults",), defaults, tuple(FIELDS))
        cases = data.get("cases")
        if not isinstance(cases, list) or not cases:
            self._wrong(("cases",), "there are no cases; expected a list of requests, each with expect: allow or deny")
            cases = []
        scenario = self._beside(data, "scenario", "file")
        manifests = self._beside(data, "manifests", "folder of manifests")
        if scenario is not None and manifests is not None:
            self._wrong(("manifests",), "manifests stand beside a scenario; expected one of them alone", key=True)
        found = [self._case(index, one, usual) for index, one in enumerate(cases)]
        return CaseFile(self._path, scenario, manifests, tuple(one for one in found if one is not None))

    def _beside(self, data: dict[Any, Any], key: str, what: str) -> Path | None:
        """A file or folder that the file names, relative to its own folder."""
        name = data.get(key)
        if name is None:
            return None
        if not isinstance(name, str) or not name:
            self._wrong((key,), f"{show(name)} is no {what}; expected one, relative to this file's folder")
            return None
        return Path(os.path.normpath(self._path.parent / name))

    def _unknown(self, at: tuple[str | int, ...], data: dict[Any, Any], known: tuple[str, ...]) -> None:
        for key in data:
            if key not in known:
                self._wrong((*at, key), f"unknown key {show(key)}; {expected(key, known)}", key=True)

    def _fields(self, at: tuple[str | int, ...], data: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
        for key, value in data.items():
            if key in FIELDS:
                field, parse = FIELDS[key]
                try:
                    yield field, parse(value)
                except (ValueError, UsageError) as error:
                    self._wrong((*at, key), str(error))

    def _case(self, index: int, data: Any, usual: dict[str, Any]) -> Case | None:
        at = ("cases", index)
        if not isinstance(data, dict):
            self._wrong(at, "a case is a mapping; expected keys such as {source: a, destination: b, expect: allow}")
            return None
        self._unknown(at, data, (*EXPECTED_KEYS, *FIELDS))
        before = len(self.mistakes)
        fields = {**usual, **dict(self._fields(at, data))}
        for key in ("source", "destination"):
            if key not in fields and key not in data:
                self._wrong(at, f"the case has no {key}; expected one, here or in the defaults")
        answer = data.get("expect")
        if answer not in ANSWERS:
            where = at if "expect" not in data else (*at, "expect")
            said = "the case expects nothing" if answer is None else f"{show(answer)} is no answer"
            self._wrong(where, f"{said}; expected expect: allow or deny")
        rule, name = data.get("rule"), data.get("name")
        for key, value in (("rule", rule), ("name", name)):
            if value is not None and (not isinstance(value, str) or not value):
                self._wrong((*at, key), f"{show(value)} is no {key}; expected some text")
        if len(self.mistakes) > before:
            return None
        request = Request(**fields)
        shown = name or f"{request.source} \N{RIGHTWARDS ARROW} {request.destination}: {request.method} {request.path}"
        places = {
            field: self._positions.value((*at, key) if key in data else ("defaults", key))
            for key, (field, _) in FIELDS.items()
            if field in fields
        }
        rule_place = self._positions.value(at if rule is None else (*at, "rule"))
        return Case(shown, self._positions.value(at), request, answer == "allow", rule, rule_place, places)
