"""``meshsim import``: a scenario around a user's manifests, with what they do not say assumed and marked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from meshsim.scenario.check_network import SIDECAR_MEMORY_BYTES
from meshsim.scenario.errors import Diagnostic, InfrastructureError, ScenarioError, UsageError
from meshsim.scenario.loader import LoadedScenario, load_text
from meshsim.scenario.manifests.callers import Evidence, evidence
from meshsim.scenario.manifests.documents import names_of
from meshsim.scenario.manifests.expand import ROOT_NAMESPACE, Mesh, read_mesh
from meshsim.scenario.manifests.kinds import HANDED_ON
from meshsim.scenario.manifests.values import Notes
from meshsim.scenario.reading import Folder
from meshsim.scenario.services import Service
from meshsim.scenario.words import shorten

SERVICE_MEMORY_BYTES = int(Service.model_fields["memory_bytes"].default)
_GIB = 1024**3


class Imported(msgspec.Struct, frozen=True):
    """A scenario that was made from manifests."""

    file: Path
    text: str
    services: tuple[str, ...]
    assumed: tuple[str, ...]
    """What no manifest says, in sentences."""
    notes: tuple[str, ...]


def import_manifests(source: Path, target: Path, *, force: bool) -> Imported:
    """Write a scenario around the manifests in ``source`` to ``target``.

    Raises UsageError if ``target`` is there already and may not be overwritten, or ``source`` does not lie beside or
    below it; ScenarioError with every mistake in the manifests; InfrastructureError if it cannot be written. Then
    nothing is written.
    """
    if os.path.lexists(target) and not force:
        raise UsageError(f"{target} is there already; expected a name that is free, or --force")
    starter = _starter(source, Folder(target.parent), _inside(source, target))
    loaded = load_text(starter.text, target)
    _write(target, starter.text)
    services = tuple(loaded.scenario.services)
    return Imported(target, starter.text, services, tuple(_assumed(starter.calls)), loaded.notes)


def load_manifests(source: Path, overrides: Sequence[str] = ()) -> LoadedScenario:
    """Read manifests alone: the scenario that ``meshsim import`` would write around them, which is not written.

    Raises UsageError if there is no ``source``, and ScenarioError with every mistake in the manifests.
    """
    if not source.exists():
        raise UsageError(f"there is no {source}; expected a folder with manifests, or one of them")
    home, inside = (source, ".") if source.is_dir() else (source.parent, source.name)
    starter = _starter(source, Folder(home), inside)
    nowhere = home / "scenario.yaml"
    try:
        return load_text(starter.text, nowhere, overrides)
    except ScenarioError as error:
        raise ScenarioError([_told_of(source, nowhere, one) for one in error.diagnostics]) from None


def _told_of(source: Path, nowhere: Path, mistake: Diagnostic) -> Diagnostic:
    """A mistake without the place in a text that is written nowhere."""
    return Diagnostic(str(source), 0, 0, mistake.message) if mistake.file == str(nowhere) else mistake


class _Starter(msgspec.Struct, frozen=True):
    text: str
    calls: list[Evidence]


def _starter(source: Path, folder: Folder, inside: str) -> _Starter:
    try:
        names = names_of(folder, inside)
    except ValueError as error:
        raise ScenarioError([Diagnostic(str(source), 0, 0, str(error))]) from None
    mesh = read_mesh(folder, names, ROOT_NAMESPACE, Notes())
    if mesh.objects.mistakes:
        raise ScenarioError(mesh.objects.mistakes)
    if not any(service.deployments for service in mesh.cluster.services.values()):
        raise ScenarioError([Diagnostic(str(source), 0, 0, "no Service with a Deployment; expected at least one")])
    calls = evidence(mesh.cluster, [one for one in mesh.objects.manifests if one.kind in HANDED_ON])
    return _Starter("\n".join(_lines(_scenario_name(source), inside, mesh, calls)) + "\n", calls)


def _inside(source: Path, target: Path) -> str:
    """The name of ``source`` as a scenario at ``target`` would use it."""
    if not source.exists():
        raise UsageError(f"there is no {source}; expected a folder with manifests, or one of them")
    home = target.parent.resolve()
    found = source.resolve()
    if not found.is_relative_to(home) or found == home:
        better = found.parent / "scenario.yaml"
        raise UsageError(
            f"{source} does not lie below {target.parent}, where the scenario would be; expected --out {better}"
        )
    return found.relative_to(home).as_posix()


def _scenario_name(source: Path) -> str:
    name = re.sub("[^a-z0-9]+", "-", source.resolve().stem.lower()).strip("-")
    return name[:63].strip("-") or "imported"


def _assumed(calls: list[Evidence]) -> Iterator[str]:
    yield "certificates, retries and all that manifests do not set are as Istio has them by itself (preset: istio)"
    yield "one edge node with room for all replicas, a core node, and a link of 5 ms between them"
    yield "each request takes a service 2 ms of CPU time on average"
    for one in calls:
        yield f"{one.caller} calls {one.callee}: {one.why}"
    yield "users on the core node send 20 requests/s to every service that no other seems to call"


def _lines(name: str, inside: str, mesh: Mesh, calls: list[Evidence]) -> Iterator[str]:
    services = {key: service for key, service in mesh.cluster.services.items() if service.deployments}
    calls = [one for one in calls if {one.caller, one.callee} <= services.keys()]
    replicas = sum(one.count for service in services.values() for one in service.deployments)
    memory = -(-2 * max(replicas, 4) * (SERVICE_MEMORY_BYTES + SIDECAR_MEMORY_BYTES) // _GIB)
    yield f"# Made by `meshsim import {shorten(inside, 60)}`. The manifests say which services there are, how calls are"
    yield "# routed and who is let in. What is marked as assumed they cannot say: put your own figures there."
    yield f"scenario: {name}"
    yield "duration: 60 s"
    yield "network:"
    yield "  nodes:  # assumed"
    yield f"    edge-1: {{kind: edge, cores: {max(8, 2 * len(services))}, memory: {memory} GiB}}"
    yield "    core-1: {kind: core, cores: 8}"
    yield "  links:"
    yield "    - {between: [edge-1, core-1], latency: 5 ms, bandwidth: 1 Gbit/s}  # assumed"
    yield "  slices:"
    yield "    default: {sst: 1, five_qi: 9}  # assumed"
    yield "services:"
    for key, service in services.items():
        ports = ", ".join(f"{port.number} {port.protocol}" for port in service.ports)
        versions = ", ".join(f"{version} x {one.count}" for version, one in service.versions().items())
        yield f"  {key}:  # {service.namespace}/{service.name}: {versions}; {ports}"
        yield "    placement: [edge-1]  # assumed"
        yield "    work: {exponential: 2 ms}  # assumed"
        own = [one for one in calls if one.caller == key]
        if own:
            yield "    calls:"
            for one in own:
                yield f"      - {{to: {one.callee}}}  # assumed: {one.why}"
    yield "fleets:"
    yield "  users: {node: core-1}  # assumed"
    yield "mesh:"
    yield "  preset: istio  # assumed: certificates, retries and the rest as Istio has them by itself"
    yield f"  manifests: [{_quoted(inside)}]"
    yield "traffic:  # assumed: users call every service that no other seems to call"
    for key in services:
        if key not in {one.callee for one in calls}:
            flow = (
                f"name: {key}-users, from: users, to: {key}"
                if len(key) < 58
                else f"name: {key}, from: users, to: {key}"
            )
            yield f"  - {{{flow}, slice: default, arrivals: {{poisson: 20 /s}}}}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _write(target: Path, text: str) -> None:
    """Write the file aside and rename it, so that it never appears half written."""
    aside = target.with_name(f".{target.name[:100]}.{os.getpid()}.partial")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(target)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise InfrastructureError(f"{target} cannot be written: {error.strerror}") from None
