"""``meshsim import``: a scenario around a user's manifests, with what they do not say assumed and marked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from meshsim.scenario.errors import Diagnostic, InfrastructureError, ScenarioError, UsageError
from meshsim.scenario.loader import LoadedScenario, load_text
from meshsim.scenario.manifests.callers import Evidence, evidence, from_gateways
from meshsim.scenario.manifests.documents import names_of
from meshsim.scenario.manifests.expand import read_mesh
from meshsim.scenario.manifests.kinds import HANDED_ON
from meshsim.scenario.manifests.policies import policy_texts, said_of_istio
from meshsim.scenario.manifests.same_pods import left_out
from meshsim.scenario.manifests.starter_text import USERS, Starter, Way, Ways, assumed, starter_text, with_overrides
from meshsim.scenario.manifests.values import Notes
from meshsim.scenario.manifests.waypoints import said_ambient
from meshsim.scenario.overrides import apply_overrides
from meshsim.scenario.policy_sources import RefusedScenario, nameless
from meshsim.scenario.reading import Folder
from meshsim.scenario.shape import step
from meshsim.scenario.yaml_text import parse_yaml

FindWay = Callable[[str, tuple[str, ...], str, tuple[str, ...]], Way | None]
"""Caller, its versions (none: all), callee, authorities (none: any) → a request that is let through; None if there is
none."""
Survey = Callable[[LoadedScenario], FindWay]
"""Reads the policies of a scenario; raises ScenarioError with every mistake in them."""


class Imported(msgspec.Struct, frozen=True):
    """A scenario that was made from manifests."""

    file: Path
    text: str
    services: tuple[str, ...]
    assumed: tuple[str, ...]
    """What no manifest says, in sentences."""
    notes: tuple[str, ...]


def import_manifests(
    source: Path, target: Path, overrides: Sequence[str] = (), *, force: bool, survey: Survey | None = None
) -> Imported:
    """Write a scenario around the manifests in ``source`` to ``target``, with ``path=value`` overrides in it.

    Of each call and flow that is assumed, ``survey`` tells a request that mutual TLS and policies let through.

    Raises UsageError if ``target`` is there already and may not be overwritten, or ``source`` does not lie beside or
    below it; ScenarioError with every mistake in the manifests or their policies; InfrastructureError if it cannot be
    written. Then nothing is written.
    """
    if not source.exists():
        raise UsageError(_nothing_at(source))
    if os.path.lexists(target) and not force:
        raise UsageError(f"{target} is there already; expected a name that is free, or --force")
    starter, mistakes = _starter(source, Folder(target.parent), _inside(source, target), overrides)
    loaded = _load(starter, mistakes, target, overrides)
    ways: Ways = {}
    if survey is not None:
        find = survey(loaded)
        ways = {
            (one.caller, one.callee): find(one.caller, one.versions, one.callee, one.hosts) for one in starter.calls
        }
        ways |= {(USERS, key): find(USERS, (), key, starter.hosts_at(key)) for key in starter.called_by_users}
    text = with_overrides(starter_text(starter, ways), overrides)
    _write(target, text)
    return Imported(target, text, tuple(loaded.scenario.services), tuple(assumed(starter, ways)), loaded.notes)


def load_manifests(source: Path, overrides: Sequence[str] = ()) -> LoadedScenario:
    """Read manifests alone: the scenario that ``meshsim import`` would write around them, which is not written.

    Raises UsageError if there is no ``source``, and ScenarioError with every mistake in the manifests.
    """
    if not source.exists():
        raise UsageError(_nothing_at(source))
    home, inside = (source, ".") if source.is_dir() else (source.parent, source.name)
    starter, mistakes = _starter(source, Folder(home), inside, overrides)
    nowhere = home / "scenario.yaml"
    try:
        return _load(starter, mistakes, nowhere, overrides)
    except RefusedScenario as error:
        told = [_told_of(source, nowhere, one) for one in error.diagnostics]
        raise RefusedScenario(told, error.policies) from None
    except ScenarioError as error:
        raise ScenarioError([_told_of(source, nowhere, one) for one in error.diagnostics]) from None


def _load(starter: Starter, mistakes: list[Diagnostic], path: Path, overrides: Sequence[str]) -> LoadedScenario:
    """Load the scenario around manifests; raises ScenarioError with their mistakes, too.

    Then nothing is told of the scenario's own text, which rests on what could be read of them.
    """
    try:
        loaded = load_text(starter_text(starter, {}), path, overrides)
    except ScenarioError as error:
        if not mistakes:
            raise
        policies = error.policies if isinstance(error, RefusedScenario) else None
        told = [one for one in error.diagnostics if one.file != str(path)]
        raise RefusedScenario([*mistakes, *told], policies) from None
    assert not mistakes, "the manifests are read in the same way"
    return loaded


def _told_of(source: Path, nowhere: Path, mistake: Diagnostic) -> Diagnostic:
    """A mistake without the place in a text that is written nowhere."""
    return Diagnostic(str(source), 0, 0, mistake.message) if mistake.file == str(nowhere) else mistake


def _starter(source: Path, folder: Folder, inside: str, overrides: Sequence[str]) -> tuple[Starter, list[Diagnostic]]:
    """What a scenario around manifests says, as far as they can be read, and the mistakes in them."""
    try:
        names = names_of(folder, inside)
    except ValueError as error:
        raise ScenarioError([Diagnostic(str(source), 0, 0, str(error))]) from None
    settings, positions = parse_yaml("mesh: {}", "")
    # What is wrong with an override is told when the whole scenario is read.
    apply_overrides(settings, positions, [one for one in overrides if one.strip().startswith("mesh.")])
    own = step(settings, "mesh")
    ignored = step(own, "ignored_kinds")
    names_given = [kind for kind in ignored if isinstance(kind, str)] if isinstance(ignored, list) else []
    mesh = read_mesh(folder, names, said_of_istio(own), Notes(), names_given, said_ambient(own))
    everybody = mesh.cluster.services
    services = {key: service for key, service in everybody.items() if service.deployments and not service.main}
    if not services:
        none = Diagnostic(str(source), 0, 0, "no Service with a Deployment or the like; expected at least one")
        raise RefusedScenario(mesh.objects.mistakes or [none], nameless(policy_texts(mesh.objects)))
    policies = [one for one in mesh.objects.manifests if one.kind in HANDED_ON]
    found = [*from_gateways(mesh.gateways), *evidence(mesh.cluster, policies)]
    known: dict[tuple[str, str], Evidence] = {}
    mains = {key: service.main for key, service in everybody.items() if service.main}
    for one in found:
        ends = (mains.get(one.caller, one.caller), mains.get(one.callee, one.callee))
        if services.keys() >= set(ends) and (ends[0] != ends[1] or one.caller == one.callee):
            known.setdefault(ends, msgspec.structs.replace(one, caller=ends[0], callee=ends[1]))
    calls = list(known.values())
    starter = Starter(source.resolve().stem, inside, services, calls, mesh.ambient, tuple(left_out(everybody)))
    return starter, mesh.objects.mistakes


def _nothing_at(source: Path) -> str:
    return f"there is no {source}; expected a folder with manifests, or one of them"


def _inside(source: Path, target: Path) -> str:
    """The name of ``source`` as a scenario at ``target`` would use it."""
    home = target.parent.resolve()
    found = source.resolve()
    if not found.is_relative_to(home) or found == home:
        better = found.parent / "scenario.yaml"
        raise UsageError(
            f"{source} does not lie below {target.parent}, where the scenario would be; expected --out {better}"
        )
    return found.relative_to(home).as_posix()


def _write(target: Path, text: str) -> None:
    """Write the file aside and rename it, so that it never appears half written."""
    aside = target.with_name(f".{target.name[:100]}.{os.getpid()}.partial")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(target)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise InfrastructureError(f"{target} cannot be written: {error.strerror}") from None
