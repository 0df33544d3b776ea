"""The reference of presets: ``python -m meshsim.scenario.preset_reference > docs/presets.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from meshsim.scenario.preset_types import Preset
from meshsim.scenario.presets import PRESETS

_HEAD = """\
# Presets: what real meshes do by default

<!-- Written by `python -m meshsim.scenario.preset_reference`; edit meshsim/scenario/presets.py instead. -->

`mesh: {preset: istio}` puts the defaults of a real mesh in place of meshsim's own. What a scenario says itself wins,
key by key; `null` takes a value of the preset back. `meshsim check --resolved FILE` shows what came of it, and so does
`scenario.yaml` in the run folder. Beside `mesh.manifests` the preset is `istio`, or `ztunnel` in ambient mode, if none
is named ([manifests](manifests.md#what-comes-from-where)); `preset: null` is none.

```yaml
mesh:
  preset: istio
  identity: {svid_ttl: 1 h}      # all else as Istio has it
```

Each preset brings an issuer (`mesh.identity.issuer`), so that certificates are asked for, and lets the run begin as in
a mesh that has run for long (`at_start: aged`): every certificate is on its way to its rotation, each at another place.
What a mesh does by default and a preset does not say stands below each table, with what holds here instead. Values that
no table has are meshsim's own ([every key](scenario.md)).
"""


def reference_text() -> str:
    """The text of docs/presets.md."""
    return "\n".join([_HEAD, *(line for preset in PRESETS.values() for line in _section(preset))])


def _section(preset: Preset) -> Iterator[str]:
    yield f"## `{preset.name}`: {preset.title}\n"
    yield f"Read from: {preset.source}.\n"
    yield "| Below `mesh` | Value | Source |"
    yield "|---|---|---|"
    for default in preset.defaults:
        yield f"| `{default.path}` | {_shown(default.value)} | {default.source} |"
    yield "\nNot in the preset:\n"
    yield "| By default there | Here |"
    yield "|---|---|"
    for left in preset.left:
        yield f"| {left.what} | {left.instead} |"
    yield ""


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(each)}" for key, each in value.items()) + "}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    sys.stdout.write(reference_text())
