"""The reference of scenario files: every section and key with its type, default and meaning, from the models."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from meshsim.scenario.model import Scenario
from meshsim.scenario.schema import SCHEMA_FILE, scenario_schema, schema_text
from meshsim.scenario.shape import models_below
from meshsim.scenario.yaml_patterns import MAX_DEPTH, MAX_VALUES

REFERENCE_FILE = "scenario.md"
_HEAD = f"""\
# Scenario files: every key

Generated from the models in `meshsim/scenario` by `python -m meshsim.scenario.field_reference docs`; edit those.

A scenario is one YAML 1.2 file in UTF-8. A key that is not listed here is an error, and so is a thing that is declared
and never used. `meshsim check FILE` tells all mistakes at once, with line and column, those in the files that it names
among them; only what is no YAML is told by itself. Some things show once all else is right: that a thing is never used,
that a policy names an identity that no workload has, and, when a service, node, link, fleet or flow is beyond reading,
what cannot be reached without it. `meshsim init DIR` writes a commented scenario to begin with. For completion in an
editor, name the schema in the file's first line:

```yaml
# yaml-language-server: $schema={SCHEMA_FILE}
```

**Quantities** are text with a unit. Durations: `ns`, `us`, `ms`, `s`, `min`, `h`, `d`. Sizes: `B`, `kB`, `MB`, `GB`,
`KiB`, `MiB`, `GiB`. Bandwidths: `bit/s`, `kbit/s`, `Mbit/s`, `Gbit/s`. Shares: `%`, `ppm`, never above 100 %. Rates:
`/s`, `/min`, `/h`. Lengths: `m`, `km`. Speeds: `km/h`, `m/s`. They are converted exactly; what is finer than a
nanosecond, byte, bit/s, ppm or millimetre is an error.

**Names** are DNS labels (RFC 1123): at most 63 lower-case letters, digits and inner hyphens.

**Files** that a scenario names are relative to the scenario file and lie, symbolic links followed, in its folder or
below; absolute names and names that lead out of it are errors. A file has at most 10 MB. CSV files have a first line
that names the columns; empty lines and lines that begin with `#` are skipped.

**Limits**: {MAX_VALUES} keys and values, nested {MAX_DEPTH} deep, aliases counted as what they stand for; no tags, no
merge keys, one document.

**On the command line**, `--set path=value` replaces any value: `--set mesh.tls.mode=PERMISSIVE`,
`--set network.links.0.latency='5 ms'`. A path is keys and list indices from the root, joined by dots; a value is YAML.
"""


def reference_text() -> str:
    """The reference as the text of docs/scenario.md."""
    schema = scenario_schema()
    sections = [_HEAD]
    for model in models_below(Scenario):
        part = schema if model is Scenario else schema["$defs"][model.__name__]
        sections.append(_section(model.__name__, part))
    return "\n".join(sections)


def _section(name: str, part: dict[str, Any]) -> str:
    rows = [
        f"## {name}",
        "",
        _one_line(part.get("description", "")),
        "",
        "| Key | Type | Default | Meaning |",
        "|---|---|---|---|",
    ]
    required = part.get("required", [])
    for key, content in part["properties"].items():
        meaning, default = _split_default(_one_line(content.get("description", "")))
        if key in required:
            default = "**required**"
        elif not default:
            default = "as there" if "$ref" in content else _value(content.get("default", []))
        rows.append(f"| `{key}` | {_type(content)} | {_cell(default)} | {_cell(meaning)} |")
    return "\n".join([*rows, ""])


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _split_default(text: str) -> tuple[str, str]:
    """A field's meaning and what its description says of its default."""
    meaning, marker, default = text.partition(" Default: ")
    return (meaning, default.rstrip(".")) if marker else (text, "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _value(value: Any) -> str:
    if isinstance(value, list | dict):
        return f"`{', '.join(map(str, value))}`" if value else "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(part: dict[str, Any] | bool) -> str:
    """The type of a property, in words."""
    if isinstance(part, bool) or not part:
        return "any value"
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    options = part.get("anyOf") or part.get("oneOf")
    if options:
        return " or ".join(_type(option) for option in options if option.get("type") != "null")
    if "enum" in part or "const" in part:
        choices = part.get("enum", [part.get("const")])
        return ", ".join(f"`{choice}`" for choice in choices) if len(choices) < 12 else f"one of {len(choices)} values"
    if part["type"] == "array":
        if "prefixItems" in part:
            return f"[{', '.join(_type(entry) for entry in part['prefixItems'])}]"
        return f"list of {_type(part['items'])}"
    if part["type"] == "object":
        entry = next(iter(part.get("patternProperties", {}).values()), None) or part["additionalProperties"]
        return f"name: {_type(entry)}"
    return _scalar_type(part)


def _scalar_type(part: dict[str, Any]) -> str:
    if part["type"] == "integer":
        least, most = part.get("minimum"), part.get("maximum")
        bounds = f", {least} to {most}" if most is not None else f", {least} or more" if least is not None else ""
        return f"integer{bounds}"
    if part["type"] == "number":
        if "examples" in part:
            return f"number (`{part['examples'][0]:g}`)"
        return f"number, {part['minimum']:g} to {part['maximum']:g}"
    if part["type"] == "boolean":
        return "boolean"
    if "examples" in part:
        return f"{_QUANTITIES[part['examples'][0]]} (`{part['examples'][0]}`)"
    return _TEXTS.get(part.get("pattern", ""), "text")


_QUANTITIES = {
    "10 ms": "duration",
    "-30 s": "duration, with sign",
    "8 KiB": "size",
    "1 Gbit/s": "bandwidth",
    "20 %": "share",
    "200 /s": "rate",
    "300 m": "length",
    "50 km/h": "speed",
    "2026-01-01T00:00:00Z": "instant",
}
_TEXTS = {
    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$": "name",
    '^/[!"$-~]{0,1023}$': "HTTP path",
    "^[0-9A-Fa-f]{6}$": "six hexadecimal digits",
}


def write_reference(folder: Path) -> list[Path]:
    """Write the schema and the reference into ``folder``; returns their paths."""
    texts = {folder / SCHEMA_FILE: schema_text(), folder / REFERENCE_FILE: reference_text()}
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return list(texts)


if __name__ == "__main__":
    for written in write_reference(Path(sys.argv[1])):
        print(written)
