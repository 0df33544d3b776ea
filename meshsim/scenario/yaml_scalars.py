"""What unquoted scalars of YAML stand for: in scenarios by YAML 1.2, in manifests as kubectl has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_LONGEST_NUMBER = 20
_BOOLEANS: Mapping[str, bool] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
}
"""Words that are no text without quotes in YAML 1.1, beside true and false."""
_NUMBER_1_1 = re.compile(r"[-+]?[0-9](?:b[01_]+|[0-9_]*)")
_OCTAL = re.compile(r"[-+]?0[0-7]+")
_BINARY = re.compile(r"[-+]?0b[01]+")


def resolve_plain(text: str) -> Any:
    """The value of an unquoted scalar by the core schema of YAML 1.2 (section 10.3.2).

    Raises ValueError for an integer with more than 20 digits.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > _LONGEST_NUMBER:
            raise ValueError(f"a number of {len(text)} digits is too large; expected at most 64 bits")
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text.replace(".inf", "inf").replace(".nan", "nan")) if text.islower() else float(_lower(text))
    return text


def _lower(text: str) -> str:
    return text.lower().replace(".inf", "inf").replace(".nan", "nan")


def resolve_manifest(text: str) -> Any:
    """The value of an unquoted scalar as kubectl has it, whose reader keeps to YAML 1.1 in booleans and numbers."""
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _NUMBER_1_1.fullmatch(text):
        digits = text.replace("_", "")
        octal, binary = _OCTAL.fullmatch(digits), _BINARY.fullmatch(digits)
        if len(digits) <= _LONGEST_NUMBER and (octal or binary):
            return int(digits.replace("0b", ""), 2 if binary else 8)
        return resolve_plain(digits)
    return resolve_plain(text)
