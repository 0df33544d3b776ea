"""The pods of a Deployment, or what else makes some: their labels, and the ports of their containers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from meshsim.scenario.manifest_reader import Value
from meshsim.scenario.manifests.values import Mark, Notes, labels, number, take
from meshsim.scenario.words import show

INJECT_LABEL = "sidecar.istio.io/inject"
"""Label, or annotation, by which pods have a sidecar or have none, whatever their namespace says."""
_PART = "traffic.sidecar.istio.io/"
MODE_LABEL = "istio.io/dataplane-mode"
"""Label that puts pods, or those of a namespace, into a mesh without sidecars."""
_CONTAINER_PORT = re.compile(r"[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")


def pod_labels(template: Mapping[str, Value], namespace: str, notes: Notes) -> dict[str, str]:
    """Labels of the pods; what would take them out of the mesh is noted."""
    if "metadata" not in template:
        return {}
    fields = take(template["metadata"], "Deployment.spec.template.metadata", notes)
    found = labels(fields["labels"]) if "labels" in fields else {}
    check_metadata(fields, namespace, notes)
    return found


def check_metadata(fields: Mapping[str, Value], namespace: str, notes: Notes) -> None:
    """Note labels and annotations of pods that take them, or part of their traffic, out of the mesh."""
    entries = {
        **(fields["annotations"].entries() if "annotations" in fields else {}),
        **(fields["labels"].entries() if "labels" in fields else {}),
    }
    said = {key: value.data for key, value in entries.items()}
    ambient = said.get(MODE_LABEL) == "ambient"
    for key, value in entries.items():
        leaves = (key == INJECT_LABEL and value.data == "false" and not ambient) or key.startswith(_PART)
        if leaves or (key == MODE_LABEL and value.data == "none"):
            value.wrong_key(f"{show(key)} keeps traffic out of the mesh, which is not simulated; expected it left out")
    if ambient:
        injected = {"true": True, "false": False}.get(str(said.get(INJECT_LABEL)))
        notes.ambient.append(Mark(namespace, entries[MODE_LABEL], injected))
    if "annotations" in fields:
        notes.without_effect["annotations"] += 1


def check_selector(spec: Mapping[str, Value], pod: Mapping[str, str], whole: Value, notes: Notes) -> None:
    """Note where the selector of a Deployment or the like does not match its own pods."""
    if "selector" not in spec:
        whole.wrong("'selector' is missing; expected it here: labels of the pods")
        return
    fields = take(spec["selector"], "Deployment.spec.selector", notes)
    wanted = labels(fields["matchLabels"]) if "matchLabels" in fields else {}
    for key, value in wanted.items():
        if pod.get(key) != value:
            child = fields["matchLabels"].entries()[key]
            child.wrong(f"the pods have no label {key}={value}; expected one of theirs, as Kubernetes asks")


def read_containers(value: Value | None, pod: Value | None, notes: Notes) -> tuple[dict[str, int], tuple[str, ...]]:
    """Named ports of the containers, and values of their environment variables."""
    if pod is not None and (value is None or value.data in (None, [])):
        (value or pod).wrong("the pods have no container; expected at least one, as Kubernetes asks")
    ports: dict[str, int] = {}
    environment: list[str] = []
    for container in value.items() if value is not None else ():
        fields = take(container, "Deployment.spec.template.spec.containers", notes)
        for key in ("name", "image"):
            if isinstance(container.data, dict) and not container.data.get(key):
                container.wrong(f"the container has no {key}; expected one, as Kubernetes asks")
        for port in fields["ports"].items() if "ports" in fields else ():
            inner = take(port, "Deployment.spec.template.spec.containers.ports", notes)
            count = number(inner["containerPort"], 1, 65_535) if "containerPort" in inner else None
            name = inner["name"].text() if "name" in inner else ""
            if name and not _CONTAINER_PORT.fullmatch(name):
                inner["name"].wrong(
                    f"{show(name)} is no name of a port; expected at most 15 lower-case letters, digits"
                )
            if count is None and "containerPort" not in inner:
                port.wrong("'containerPort' is missing; expected it here: its number")
            if name and count is not None:
                ports[name] = count
        entries = [entry.data for entry in fields["env"].items()] if "env" in fields else []
        values = [entry.get("value") for entry in entries if isinstance(entry, dict)]
        environment += [value for value in values if isinstance(value, str)]
    return ports, tuple(environment)
