"""Values set on the command line, in place of what the scenario file says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.positions import Path, Positions
from meshsim.scenario.shape import ROOT, Spot, child, known_keys
from meshsim.scenario.words import expected, show
from meshsim.scenario.yaml_text import parse_yaml

_BEFORE_MANIFESTS = (
    ("mesh", "manifests"),
    ("mesh", "ignored_kinds"),
    ("mesh", "policy", "istio", "root_namespace"),
    ("mesh", "policy", "istio", "unmatched"),
    ("mesh", "preset"),
    ("mesh", "ambient"),
)
"""What has to be known before manifests are read."""


def apply_overrides(data: Any, positions: Positions, overrides: Sequence[str]) -> list[Diagnostic]:
    """Set each ``path=value`` in the plain data of a scenario, and note it as the place of its value.

    A path is keys and list indices joined by dots (``network.links.0.latency``), keys of the file with dots of their
    own among them; a value is YAML (``5 ms``, ``true``, ``[a, b]``). Mappings that the file leaves to their defaults
    are made on the way. ``data`` itself is changed.
    Returns what is wrong with the overrides that cannot be applied.
    """
    diagnostics: list[Diagnostic] = []
    for override in overrides:
        try:
            _apply(data, positions, override)
        except ScenarioError as error:
            diagnostics += error.diagnostics
    return diagnostics


def _apply(data: Any, positions: Positions, override: str) -> None:
    origin = f"--set {override}"
    dotted, equals, text = override.partition("=")
    keys = [key.strip() for key in dotted.split(".")]
    if not equals or not all(keys):
        raise _refused(origin, f"{show(override)} sets nothing; expected path=value, such as mesh.tls.mode=PERMISSIVE")
    try:
        value, _ = parse_yaml(text, origin)
    except ScenarioError as error:
        raise ScenarioError([Diagnostic(origin, 0, 0, found.message) for found in error.diagnostics]) from None
    holder, spot = data, ROOT
    path: Path = ()
    while keys:
        step = _step(holder, spot, _first(keys, holder), path, origin)
        path = (*path, step)
        if not keys:
            holder[step] = value
            break
        below = child(spot, step, holder)
        if isinstance(holder, dict) and holder.get(step) is None:
            _check_default(spot, below, holder, step, path, origin)
            holder[step] = {}
            positions.replace(path, origin)
        holder, spot = holder[step], below or spot
    positions.replace(path, origin)


def _first(keys: list[str], holder: Any) -> str:
    """Take the next key off ``keys``; one that is in the file may have dots itself, as names of trust domains do."""
    count = 1
    if isinstance(holder, dict) and keys[0] not in holder:
        count = next((n for n in range(len(keys), 1, -1) if ".".join(keys[:n]) in holder), 1)
    key = ".".join(keys[:count])
    del keys[:count]
    return key


def _step(holder: Any, spot: Spot, key: str, path: Path, origin: str) -> str | int:
    """The key or index that ``key`` means in ``holder``."""
    if isinstance(holder, dict):
        return key
    where = _dotted(path)
    if isinstance(holder, list):
        if not (key.isascii() and key.isdigit() and int(key[:9]) < len(holder)):
            raise _refused(origin, f"{where} has no entry {show(key)}; expected 0 to {len(holder) - 1}")
        return int(key)
    raise _refused(origin, f"{where} is {show(holder)}, without keys; expected the path to end there")


def _check_default(
    spot: Spot, below: Spot | None, holder: dict[str, Any], key: str | int, path: Path, origin: str
) -> None:
    """Refuse to make a mapping under a key that neither the file nor the models know."""
    keys = known_keys(spot, holder)
    if below is None or (below.field is None and not keys):
        known = keys or [str(name) for name in holder]
        raise _refused(origin, f"{_dotted(path)} leads nowhere; {expected(key, known)}")
    if not known_keys(below):
        raise _refused(origin, f"{_dotted(path)} is not in the file; expected the path to end there, or another one")


def _dotted(path: Path) -> str:
    return ".".join(map(str, path)) or "the scenario"


def _refused(origin: str, message: str) -> ScenarioError:
    return ScenarioError([Diagnostic(origin, 0, 0, message)])


def before_manifests(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide ``path=value`` of the command line: what says which manifests are read, and how, goes first.

    All others set what the scenario says with its manifests. What comes before a whole mapping that says something of
    that (``mesh``, ``mesh.policy``) goes with it, as the mapping takes its place.
    """
    paths = [tuple(key.strip() for key in one.partition("=")[0].split(".")) for one in overrides]
    wholes = [index for index, path in enumerate(paths) if _is_whole(path, overrides[index])]
    parts: tuple[list[str], list[str]] = ([], [])
    for index, path in enumerate(paths):
        first = any(path[: len(one)] == one for one in _BEFORE_MANIFESTS)
        first |= any(index <= whole and path[: len(paths[whole])] == paths[whole] for whole in wholes)
        parts[0 if first else 1].append(overrides[index])
    return parts


def _is_whole(path: tuple[str, ...], override: str) -> bool:
    """Whether a mapping is set as a whole in which something stands that has to be known before manifests are read."""
    if not any(one[: len(path)] == path and one != path for one in _BEFORE_MANIFESTS):
        return False
    try:
        value, _ = parse_yaml(override.partition("=")[2], override)
    except ScenarioError:
        return False  # told where it is applied
    return path == ("mesh",) or isinstance(value, dict)
