"""AuthorizationPolicies and RequestAuthentications, handed on to the engine of Istio's semantics as they stand."""

from __future__ import annotations

from typing import Any

from meshsim.scenario.manifest_reader import Manifest
from meshsim.scenario.manifests.documents import Objects
from meshsim.scenario.manifests.kinds import HANDED_ON
from meshsim.scenario.positions import Path, Positions
from meshsim.scenario.reading import Folder
from meshsim.scenario.shape import step

AT: Path = ("mesh", "policy")
ROOT_NAMESPACE = "istio-system"
"""Namespace whose PeerAuthentication holds for the mesh, as Istio is installed by itself."""


def hand_on(data: Any, positions: Positions, objects: Objects, folder: Folder, *, everything: bool) -> None:
    """Have the scenario's policy engine read the policies among the manifests, in the files that they stand in.

    All else in these files is blank to the engine, line by line, so that places stay. ``everything``: all services of
    the manifests take part, so that a policy for none of them is a mistake. Mistakes are noted at the policies.
    """
    policies = [manifest for manifest in objects.manifests if manifest.kind in HANDED_ON]
    if not policies:
        _spare(step(data, "mesh"))
        return
    first = policies[0]
    own = step(step(data, "mesh"), "policy")
    engine = step(own, "engine") or ("cedar" if step(own, "files") else "istio")
    if engine != "istio":
        message = f"the scenario's policy engine is {engine}, which does not read it"
        first.whole.wrong(f"{message}; expected 'engine: istio', or no {first.kind} among the manifests")
        return
    files = _by_file(objects)
    for manifest in policies:
        if manifest.whole.name != "the document" and _mixed(manifest, objects):
            manifest.whole.wrong("the List holds other kinds too; expected policies in documents of their own")
    for name, manifests in files.items():
        folder.files[name] = _only(objects.files[name], manifests).encode()
    if not isinstance(own, dict):
        own = data["mesh"]["policy"] = {}
        positions.values[AT] = positions.keys[AT] = first.whole.place
    for key, value in (("engine", "istio"), ("files", [])):
        if own.get(key) is None:
            own[key] = value
            positions.values[*AT, key] = positions.keys[*AT, key] = first.whole.place
    if isinstance(own["files"], list):
        for name, manifests in files.items():
            if name not in own["files"]:
                positions.values[*AT, "files", len(own["files"])] = manifests[0].whole.place
                own["files"].append(name)
    if not everything and isinstance(own.setdefault("istio", {}), dict):
        own["istio"].setdefault("unmatched", "ignore")


def said_of_istio(own: Any) -> tuple[str, bool]:
    """The root namespace by ``mesh.policy.istio``, and whether what is for nothing there is no mistake."""
    istio = step(step(own, "policy"), "istio")
    root = step(istio, "root_namespace")
    return root if isinstance(root, str) else ROOT_NAMESPACE, step(istio, "unmatched") == "ignore"


def _spare(own: Any) -> None:
    """Take out settings of policies that were for PeerAuthentications alone: there is no policy beside them."""
    policy = step(own, "policy")
    istio = step(policy, "istio")
    if not isinstance(policy, dict) or set(policy) != {"istio"} or not isinstance(istio, dict) or not istio:
        return
    root, unmatched = istio.get("root_namespace", ROOT_NAMESPACE), istio.get("unmatched", "ignore")
    if not set(istio) - {"root_namespace", "unmatched"} and isinstance(root, str) and unmatched in ("error", "ignore"):
        del own["policy"]


def policy_texts(objects: Objects) -> tuple[tuple[str, str], ...]:
    """(name, text) of each file that holds policies, all else in it blank."""
    return tuple((name, _only(objects.files[name], manifests)) for name, manifests in _by_file(objects).items())


def _by_file(objects: Objects) -> dict[str, list[Manifest]]:
    files: dict[str, list[Manifest]] = {}
    for manifest in objects.manifests:
        if manifest.kind in HANDED_ON:
            files.setdefault(objects.of_file[id(manifest)], []).append(manifest)
    return files


def _mixed(policy: Manifest, objects: Objects) -> bool:
    """Whether a List in the policy's file has an object that is no policy."""
    name = objects.of_file[id(policy)]
    others = (one for one in objects.manifests if objects.of_file[id(one)] == name and one.kind not in HANDED_ON)
    return any(one.whole.name != "the document" for one in others)


def _only(text: str, manifests: list[Manifest]) -> str:
    """The text with the documents of these manifests, all other lines empty."""
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines, 1) if line.rstrip() == "---" or line.startswith("--- ")]
    kept: set[int] = set()
    for manifest in manifests:
        line = manifest.whole.place.line
        begin = max((start for start in starts if start <= line), default=0)
        end = min((start for start in starts if start > line), default=len(lines) + 1)
        kept.update(range(begin, end))
    return "\n".join(line if number in kept else "" for number, line in enumerate(lines, 1))
