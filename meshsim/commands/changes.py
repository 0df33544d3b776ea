"""What was asked of one run and not of another: fields of the scenario, files, seed, cost profile."""

from __future__ import annotations

from typing import Any

from meshsim.results.folder import SCENARIO
from meshsim.results.stored import StoredRun
from meshsim.scenario.differences import Change, differences
from meshsim.scenario.errors import ScenarioError, UsageError
from meshsim.scenario.yaml_text import parse_yaml

_APART = ("fidelity",)
"""Fields that never change a result."""


def changes_between(a: StoredRun, b: StoredRun) -> list[Change]:
    """What differs between what the two were asked for, in the order of the scenario; fidelity is left out.

    Raises UsageError if the scenario of either cannot be read.
    """
    found = list(differences(_plain(a), _plain(b)))
    files = {**a.manifest.inputs, **b.manifest.inputs}
    for name in files:
        one, other = a.manifest.inputs.get(name), b.manifest.inputs.get(name)
        if one != other:
            found.append(Change(f"the file {name}", _digits(one), _digits(other)))
    if a.manifest.cost_profile_sha256 != b.manifest.cost_profile_sha256:
        names = (a.manifest.cost_profile, b.manifest.cost_profile)
        if names[0] == names[1]:
            names = (str(_digits(a.manifest.cost_profile_sha256)), str(_digits(b.manifest.cost_profile_sha256)))
        found.append(Change("the cost profile", *names))
    return found


def _plain(run: StoredRun) -> dict[str, Any]:
    try:
        plain, _ = parse_yaml(run.scenario_text(), SCENARIO)
    except (OSError, UnicodeDecodeError, ScenarioError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"the scenario in {run.path} cannot be read ({first}); the run is damaged") from error
    if not isinstance(plain, dict):
        raise UsageError(f"the scenario in {run.path} is no scenario; the run is damaged")
    return {key: value for key, value in plain.items() if key not in _APART}


def _digits(sha256: str | None) -> str | None:
    return None if sha256 is None else f"sha256 {sha256[:12]}"
