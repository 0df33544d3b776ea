"""Data beside Rego policies: JSON that the engine takes as it is, with every mistake at its place."""

from __future__ import annotations

import json
import re
from typing import Any

from meshsim.policy.engine import PolicyFile
from meshsim.policy.rego_tokens import out_of_range
from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.words import show

DEEPEST = 500
"""Levels of a data file: Python's reader ends somewhere between a thousand and a hundred thousand, by its version."""
_NESTING = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_LONE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
"""Half of a surrogate pair as it may be written."""


class _WrongError(ValueError):
    """What JSON's grammar allows or Python's reader does, and no engine takes."""


def read_data(file: PolicyFile, documents: dict[str, Any]) -> list[Diagnostic]:
    """Merge the data of a JSON file into ``documents``; its mistakes."""
    deepest = _too_deep(file.text)
    if deepest is not None:
        return [_at(file, deepest, f"this JSON nests too deep; expected at most {DEEPEST} levels")]
    try:
        found = json.loads(
            file.text, object_pairs_hook=_mapping, parse_constant=_no_number, parse_float=_number, parse_int=int
        )
        json.dumps(found, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        message = f"this is no JSON: {error.msg}; expected an object such as {{...}}"
        return [Diagnostic(file.place, error.lineno, error.colno, message)]
    except UnicodeEncodeError:
        return [_at(file, _LONE.search(file.text), "half of a surrogate pair is no character; expected text")]
    except _WrongError as error:
        words, message = error.args
        *_, last = [None, *re.finditer(words, file.text)]
        return [_at(file, last, message)]
    except ValueError:  # Python refuses whole numbers of thousands of digits
        return [Diagnostic(file.place, 1, 1, "this JSON has too long a number; expected fewer digits")]
    if not isinstance(found, dict):
        return [Diagnostic(file.place, 1, 1, "the data of policies is an object; expected {...}")]
    taken = [name for name in found if name in documents]
    documents.update(found)
    return [Diagnostic(file.place, 1, 1, f"{name!r} is in an earlier data file too") for name in taken]


def _too_deep(text: str) -> re.Match[str] | None:
    """Return the bracket that opens one level too many, if any does."""
    depth = 0
    for bracket in _NESTING.finditer(text):
        if bracket[0] in ("[", "{"):
            depth += 1
            if depth > DEEPEST:
                return bracket
        elif bracket[0] in ("]", "}"):
            depth -= 1
    return None


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            message = f"the key {show(key)} stands twice in one object; expected each key once"
            raise _WrongError(rf"{re.escape(json.dumps(key, ensure_ascii=False))}\s*:", message)
        found[key] = value
    return found


def _no_number(text: str) -> float:
    raise _WrongError(re.escape(text), f"{text} is no number in JSON; expected a finite one")


def _number(text: str) -> float:
    if said := out_of_range(text):
        raise _WrongError(re.escape(text), said)
    return float(text)


def _at(file: PolicyFile, match: re.Match[str] | None, message: str) -> Diagnostic:
    before = file.text[: 0 if match is None else match.start()]
    return Diagnostic(file.place, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1, message)
