"""A preset put under what the author of a scenario wrote."""

from __future__ import annotations

import copy
from typing import Any

from meshsim.scenario.presets import PRESETS
from meshsim.scenario.shape import step

Data = dict[str, Any]


def apply_preset(data: Data) -> None:
    """Fill the plain data of a scenario with the values of the preset that it names; what is written there stays.

    A preset that does not exist, or stands where no name can, is left to the models to refuse.
    """
    mesh = step(data, "mesh")
    name = step(mesh, "preset")
    if isinstance(mesh, dict) and isinstance(name, str) and name in PRESETS:
        _fill(mesh, settings(name), frozenset(default.path for default in PRESETS[name].defaults))


def settings(name: str) -> Data:
    """Return the values of a preset as they would stand below ``mesh``."""
    whole: Data = {}
    for default in PRESETS[name].defaults:
        *parents, key = default.path.split(".")
        holder = whole
        for parent in parents:
            holder = holder.setdefault(parent, {})
        holder[key] = copy.deepcopy(default.value)
    return whole


def _fill(written: Data, values: Data, paths: frozenset[str], above: str = "") -> None:
    """Fill in values, each whole: those at ``paths``, which may be mappings themselves."""
    for key, value in values.items():
        path = f"{above}{key}"
        if key not in written:
            written[key] = value
        elif path in paths:
            if written[key] is None:
                del written[key]  # taken back: meshsim's own default holds
        elif isinstance(written[key], dict):
            _fill(written[key], value, paths, f"{path}.")


def mark_unset(mesh: Data, name: str) -> None:
    """Write down, in the plain data of a resolved mesh, which settings of its preset the author set to nothing."""
    for default in PRESETS[name].defaults:
        holder = mesh
        for key in default.path.split("."):
            if key not in holder:
                holder[key] = None
            if holder[key] is None:
                break
            holder = holder[key]
