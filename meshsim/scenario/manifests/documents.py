"""The files that ``mesh.manifests`` names, and the objects in them."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import msgspec

from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.manifest_reader import Manifest, Value, read_manifests
from meshsim.scenario.manifests.kinds import ALL_KINDS, GATEWAY_API, READ, REFUSED, is_of_another_mesh, is_unused
from meshsim.scenario.manifests.values import Notes
from meshsim.scenario.proxies import WAYPOINT_CLASS
from meshsim.scenario.reading import Folder, bad_byte_message, decode
from meshsim.scenario.words import show

ENDINGS = (".yaml", ".yml", ".json")
"""What names of manifests end in; other files of a folder are passed over, as kubectl does."""
MOST_FILES = 1000
MOST_BYTES = 30_000_000
"""Size of all manifests together."""

_MESH_CONFIGS = ("istio", "istio-sidecar-injector")
"""ConfigMaps in which Istio keeps its own settings."""


class Objects(msgspec.Struct):
    """The objects that hold, and where they stand."""

    manifests: list[Manifest] = []
    """Of kinds that are read, in the order in which they are applied."""
    files: dict[str, str] = {}
    """The text of each file, by the name that the scenario would use."""
    of_file: dict[int, str] = {}
    """The file of each manifest, by the manifest's ``id``."""
    noted: list[list[Diagnostic]] = []
    """Where the mistakes of each file are noted, those that are found later too."""

    @property
    def mistakes(self) -> list[Diagnostic]:
        """Every mistake that was noted so far."""
        return [mistake for noted in self.noted for mistake in noted]


def names_of(folder: Folder, name: str) -> list[str]:
    """The manifests that an entry of ``mesh.manifests`` means: a file, or all in a folder and below, by name.

    Raises ValueError that says what is wrong.
    """
    target = folder.path / name
    if not _is_inside(folder, name):
        raise ValueError(f"{show(name)} leads out of the scenario's folder; expected a file or folder in it or below")
    if not target.is_dir():
        return [name]
    found: list[str] = []
    for parent, folders, files in os.walk(target):
        folders.sort()
        inside = Path(parent).relative_to(folder.path)
        found += [(inside / file).as_posix() for file in sorted(files) if file.endswith(ENDINGS)]
        if len(found) > MOST_FILES:
            raise ValueError(f"{show(name)} holds more than {MOST_FILES} manifests; expected fewer")
    if not found:
        where = "the folder" if name == "." else show(name)
        raise ValueError(f"{where} holds no manifest; expected files that end in .yaml, .yml or .json")
    return sorted(found)


def _is_inside(folder: Folder, name: str) -> bool:
    if not name or "\0" in name or "\\" in name or Path(name).is_absolute():
        return False
    try:
        return (folder.path / name).resolve().is_relative_to(folder.path.resolve())
    except (OSError, RuntimeError):
        return False


def read_objects(folder: Folder, names: list[str], notes: Notes, ignored: Collection[str] = ()) -> Objects:
    """Read manifests in their order; of two objects with one name, the one that is applied last holds.

    ``ignored``: kinds that the user wants left aside, though they may bear on what is simulated.
    """
    objects = Objects([], {}, {}, [[]])
    held: dict[tuple[str, str, str], Manifest] = {}
    total = 0
    aside = _Aside(notes, ignored)
    for name in names:
        text = _text(folder, name, objects)
        total += len(text)
        if total > MOST_BYTES:
            message = f"the manifests have more than {MOST_BYTES // 10**6} MB together; expected less"
            objects.noted[0].append(Diagnostic(folder.shown(name), 0, 0, message))
            break
        objects.files[name] = text
        manifests, mistakes = read_manifests(text, folder.shown(name), ALL_KINDS, aside.take)
        objects.noted.append(mistakes)
        own: set[tuple[str, str, str]] = set()
        for manifest in manifests:
            kind = "waypoint" if manifest.api_version in GATEWAY_API else manifest.kind
            key = (kind, manifest.namespace if manifest.kind != "Namespace" else "", manifest.name)
            if manifest.kind in READ:
                _hold(manifest, key, held, own, notes)
                objects.of_file[id(manifest)] = name
            else:
                _refuse(manifest.whole, manifest.kind, REFUSED[manifest.kind][1])
    objects.manifests = list(held.values())
    return objects


class _Aside:
    """Takes the objects that are not read."""

    def __init__(self, notes: Notes, ignored: Collection[str]) -> None:
        self._notes = notes
        self._ignored = ignored

    def take(self, whole: Value, kind: str, version: str) -> bool:
        """Whether an object is not read; what is worth saying of it is noted."""
        if kind in self._ignored:
            self._notes.ignored[kind] += 1
        elif kind == "Gateway" and version in GATEWAY_API and not is_waypoint(whole):
            _refuse(whole, kind, "of gateways, Istio's own are read (networking.istio.io), and waypoints")
        elif is_unused(kind, version):
            self._notes.unused[kind] += 1
            metadata = whole.data.get("metadata")
            if kind == "ConfigMap" and isinstance(metadata, dict) and str(metadata.get("name")) in _MESH_CONFIGS:
                place = whole.place
                self._notes.warnings.append(
                    f"the ConfigMap {metadata['name']} at {place.file}:{place.line} sets Istio up and is not read: "
                    "mesh.trust_domain and mesh.policy.istio say the same in a scenario"
                )
        elif is_of_another_mesh(version) and kind not in ALL_KINDS:
            _refuse(whole, kind, "the policies of another mesh are not known")
        else:
            return False
        return True


def is_waypoint(whole: Value) -> bool:
    """Whether a Gateway of the Gateway API is a waypoint."""
    spec = whole.data.get("spec")
    return isinstance(spec, dict) and spec.get("gatewayClassName") == WAYPOINT_CLASS


def _refuse(whole: Value, kind: str, why: str) -> None:
    at = whole.child("kind", kind)
    article = "an" if kind[0] in "AEIOU" else "a"
    at.wrong(f"{article} {kind} is not simulated: {why}; expected it elsewhere, or mesh.ignored_kinds: [{kind}]")


def _text(folder: Folder, name: str, objects: Objects) -> str:
    try:
        content = folder.read(name)
    except ValueError as error:
        objects.noted[0].append(Diagnostic(folder.shown(name), 0, 0, str(error)))
        return ""
    text, bad = decode(content, folder.shown(name))
    if bad is not None:
        objects.noted[0].append(bad.diagnostic(bad_byte_message(content)))
    return text


def _hold(
    manifest: Manifest,
    key: tuple[str, str, str],
    held: dict[tuple[str, str, str], Manifest],
    own: set[tuple[str, str, str]],
    notes: Notes,
) -> None:
    place = manifest.whole.place
    before = held.pop(key, None)
    if before is not None:
        at = before.whole.place
        if key in own:
            message = f"the {manifest.kind} {manifest.namespace}/{manifest.name} stands in this file already, at line "
            manifest.whole.wrong(f"{message}{at.line}; expected it once, or in another file")
        else:
            notes.texts.append(
                f"the {manifest.kind} {manifest.namespace}/{manifest.name} at {place.file}:{place.line} replaces the "
                f"one at {at.file}:{at.line}, as when it is applied after it"
            )
    own.add(key)
    held[key] = manifest
