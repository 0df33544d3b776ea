"""What makes replicas that are alike: Deployments, StatefulSets, DaemonSets, ReplicaSets and Pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from meshsim.scenario.manifest_reader import Manifest, Value
from meshsim.scenario.manifests.kinds import WORKLOADS
from meshsim.scenario.manifests.pods import check_metadata, check_selector, pod_labels, read_containers
from meshsim.scenario.manifests.values import Notes, body, label_name, number, take
from meshsim.scenario.positions import Place
from meshsim.scenario.words import expected, show


class Deployment(msgspec.Struct, frozen=True):
    """A Deployment, or what else makes replicas that are alike."""

    name: str
    namespace: str
    count: int
    count_place: Place
    labels: Mapping[str, str]
    """Of its pods."""
    labels_place: Place
    service_account: str
    account_place: Place
    ports: Mapping[str, int]
    """Named ports of its containers."""
    environment: tuple[str, ...]
    """Values of its containers' environment variables."""
    whole: Value

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.whole.place


def read_workloads(manifests: Iterable[Manifest], accounts: set[tuple[str, str]], notes: Notes) -> list[Deployment]:
    """Everything that makes replicas; mistakes are noted at their places.

    What another object has made, as a cluster shows it (the Pods of a ReplicaSet of a Deployment), is counted with
    that one. ``accounts``: namespace and name of each ServiceAccount.
    """
    found = []
    for manifest in manifests:
        if manifest.kind in WORKLOADS and not _is_made(manifest):
            one = _pod(manifest, notes) if manifest.kind == "Pod" else _template(manifest, notes)
            _check_account(one, accounts)
            found.append(one)
            if manifest.kind == "DaemonSet":
                notes.texts.append(
                    f"the DaemonSet {manifest.namespace}/{manifest.name} runs on every node of a cluster, here once "
                    "unless the scenario says `replicas`"
                )
    return found


def _is_made(manifest: Manifest) -> bool:
    owners = manifest.whole.data["metadata"].get("ownerReferences")
    return isinstance(owners, list) and any(isinstance(one, dict) and one.get("kind") in WORKLOADS for one in owners)


def _template(manifest: Manifest, notes: Notes) -> Deployment:
    """What has a template of its pods."""
    kind = manifest.kind
    fields = body(manifest, kind, notes)
    spec_value = fields.get("spec", manifest.spec)
    spec = take(spec_value, f"{kind}.spec", notes)
    template = take(spec["template"], "Deployment.spec.template", notes) if "template" in spec else {}
    if "template" not in spec:
        spec_value.wrong("'template' is missing; expected it here: the pods")
    pod = pod_labels(template, manifest.namespace, notes)
    inner = take(template["spec"], "Deployment.spec.template.spec", notes) if "spec" in template else {}
    if "template" in spec and "spec" not in template:
        spec["template"].wrong("'spec' is missing; expected it here: what runs in the pods")
    check_selector(spec, pod, spec_value, notes)
    count = number(spec["replicas"], 0, 1000) if "replicas" in spec else 1
    return _deployment(
        manifest,
        (1 if count is None else count, spec["replicas"].place if "replicas" in spec else manifest.whole.place),
        (pod, spec.get("template", manifest.whole).place),
        inner,
        template.get("spec"),
        notes,
    )


def _pod(manifest: Manifest, notes: Notes) -> Deployment:
    """A Pod by itself: one replica."""
    fields = body(manifest, "Pod", notes)
    metadata = manifest.whole.child("metadata", manifest.whole.data["metadata"])
    inside = {
        key: metadata.child(key, metadata.data[key])
        for key in ("labels", "annotations")
        if isinstance(metadata.data, dict) and metadata.data.get(key) is not None
    }
    inner = take(fields["spec"], "Deployment.spec.template.spec", notes) if "spec" in fields else {}
    if "spec" not in fields:
        manifest.whole.wrong("'spec' is missing; expected it here: what runs in the pod")
    check_metadata(inside, manifest.namespace, notes)
    place = manifest.whole.place
    return _deployment(manifest, (1, place), (manifest.labels, place), inner, fields.get("spec"), notes)


def _deployment(
    manifest: Manifest,
    count: tuple[int, Place],
    pod: tuple[Mapping[str, str], Place],
    inner: Mapping[str, Value],
    whole: Value | None,
    notes: Notes,
) -> Deployment:
    named = inner.get("serviceAccountName", inner.get("serviceAccount"))
    account = label_name(named, "a service account") if named is not None else ""
    ports, environment = read_containers(inner.get("containers"), whole, notes)
    return Deployment(
        name=manifest.name,
        namespace=manifest.namespace,
        count=count[0],
        count_place=count[1],
        labels=pod[0],
        labels_place=pod[1],
        service_account=account or "default",
        account_place=named.place if named is not None else manifest.whole.place,
        ports=ports,
        environment=environment,
        whole=manifest.whole,
    )


def _check_account(one: Deployment, accounts: set[tuple[str, str]]) -> None:
    name = one.service_account
    if name != "default" and (one.namespace, name) not in accounts:
        known = sorted(account for namespace, account in accounts if namespace == one.namespace)
        elsewhere = sorted(namespace for namespace, account in accounts if account == name)
        nothing = f"expected one of that name there{f', as in {elsewhere[0]}' if elsewhere else ''}"
        right = nothing if elsewhere else expected(name, known, nothing)
        one.whole.note(one.account_place, f"there is no ServiceAccount {show(name)} in {one.namespace}; {right}")
