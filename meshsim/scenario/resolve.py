"""A scenario as canonical YAML: everything said, defaults included, always in the same bytes."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from meshsim.scenario.model import Scenario
from meshsim.scenario.preset_use import mark_unset
from meshsim.scenario.yaml_scalars import resolve_plain

_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9 ._/%+()-]*[A-Za-z0-9._/%+()-]|[A-Za-z0-9/]")


def resolved_text(scenario: Scenario) -> str:
    """The scenario as YAML with every default filled in; reading it gives an equal scenario.

    The text depends on the scenario alone, so that its SHA-256 stands for what was run. A setting whose default is made
    from others (a slice's budget, a link's name) and that is not set stays unset.
    """
    data = scenario.model_dump(mode="json", by_alias=True, exclude_none=True)
    if scenario.mesh.preset is not None:
        mark_unset(data["mesh"], scenario.mesh.preset)  # lest the preset set it anew
    lines: list[str] = []
    _add_lines(lines, data, "")
    lines.append("")
    return "\n".join(lines)


def _add_lines(lines: list[str], value: Any, indent: str) -> None:
    """Add the lines of a mapping or a list, the first of an entry of a list beside its dash."""
    inner = f"{indent}  "
    if isinstance(value, dict):
        for key, entry in value.items():
            if isinstance(entry, str):
                lines.append(f"{indent}{_text(key)}: {_text(entry)}")
            elif entry and isinstance(entry, dict | list):
                lines.append(f"{indent}{_text(key)}:")
                _add_lines(lines, entry, inner)
            else:
                lines.append(f"{indent}{_text(key)}: {json.dumps(entry)}")
        return
    for entry in value:
        if isinstance(entry, str):
            lines.append(f"{indent}- {_text(entry)}")
        elif entry and isinstance(entry, dict | list):
            first = len(lines)
            _add_lines(lines, entry, inner)
            lines[first] = f"{indent}- {lines[first][len(inner) :]}"
        else:
            lines.append(f"{indent}- {json.dumps(entry)}")


@lru_cache(maxsize=4096)  # keys and units come over and over
def _text(value: str) -> str:
    return value if _PLAIN.fullmatch(value) and isinstance(_plain(value), str) else _quoted(value)


def _quoted(text: str) -> str:
    """A double-quoted scalar (YAML 1.2, section 7.3.1), everything but plain printable text escaped."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable() and character != "\ufeff":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _plain(text: str) -> Any:
    try:
        return resolve_plain(text)
    except ValueError:
        return None
