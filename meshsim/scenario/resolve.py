"""A scenario as canonical YAML: everything said, defaults included, always in the same bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from meshsim.scenario.model import Scenario
from meshsim.scenario.preset_use import mark_unset
from meshsim.scenario.yaml_text import resolve_plain

_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9 ._/%+()-]*[A-Za-z0-9._/%+()-]|[A-Za-z0-9/]")


def resolved_text(scenario: Scenario) -> str:
    """The scenario as YAML with every default filled in; reading it gives an equal scenario.

    The text depends on the scenario alone, so that its SHA-256 stands for what was run. A setting whose default is made
    from others (a slice's budget, a link's name) and that is not set stays unset.
    """
    data = scenario.model_dump(mode="json", by_alias=True, exclude_none=True)
    if scenario.mesh.preset is not None:
        mark_unset(data["mesh"], scenario.mesh.preset)  # lest the preset set it anew
    return "".join(f"{line}\n" for line in _lines(data))


def _lines(value: Any, indent: str = "") -> Iterator[str]:
    entries = value.items() if isinstance(value, dict) else ((None, entry) for entry in value)
    for key, entry in entries:
        head = f"{indent}-" if key is None else f"{indent}{_scalar(key)}:"
        if isinstance(entry, dict | list) and entry:
            inner = f"{indent}  "
            lines = _lines(entry, inner)
            if key is None:  # the first key of an entry stands beside its dash
                yield f"{head} {next(lines)[len(inner) :]}"
            else:
                yield head
            yield from lines
        else:
            yield f"{head} {_scalar(entry)}"


def _scalar(value: Any) -> str:
    return _text(value) if isinstance(value, str) else json.dumps(value)


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
