"""Policies of other files, put in place of those that a subject has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from meshsim.inquiry.odd import odd_in_files
from meshsim.inquiry.presented import by_its_engine
from meshsim.inquiry.subject import Subject, needs_policy, unenforced_by, with_engine
from meshsim.policy.engine import PolicyFile
from meshsim.scenario.errors import ScenarioError, UsageError
from meshsim.scenario.manifest_reader import read_manifests
from meshsim.scenario.manifests.kinds import ALL_KINDS, HANDED_ON
from meshsim.scenario.reading import bad_byte_message, decode, read_bounded


def holds_scenario(path: Path) -> bool:
    """Whether a YAML file is a scenario, and no policy: it has a key ``scenario`` at its top."""
    return any(line.startswith("scenario:") for line in _read(path).splitlines())


def subject_of_files(subject: Subject, paths: Sequence[Path]) -> Subject:
    """The names of ``subject`` around the policies of other files, by the same engine with the same settings.

    Raises UsageError for files that cannot be read, and ScenarioError with every mistake in them.
    """
    if subject.rebuild is None:
        raise UsageError(f"{subject.name} has no policies; expected mesh.policy with its files")
    files = tuple(PolicyFile(path.name, _read(path), str(path)) for path in paths)
    engine = needs_policy(subject).name
    if engine == "istio":
        _check_kinds(files)
    other = by_its_engine(with_engine(subject, ", ".join(map(str, paths)), subject.rebuild(files), files))
    return msgspec.structs.replace(other, warnings=(*odd_in_files(engine, files), *unenforced_by(other)))


def _check_kinds(files: Sequence[PolicyFile]) -> None:
    """Raise ScenarioError for what is known to Kubernetes or Istio, and no policy."""
    mistakes = []
    for file in files:
        for manifest in read_manifests(file.text, file.place, ALL_KINDS)[0]:
            if manifest.kind not in HANDED_ON:
                message = f"a {manifest.kind} stands among policies; expected {' or '.join(HANDED_ON)} alone in a file"
                place = manifest.whole.child("kind", manifest.kind).place
                mistakes.append(place.diagnostic(f"{message} (a folder of manifests may hold all kinds)"))
    if mistakes:
        raise ScenarioError(mistakes)


def _read(path: Path) -> str:
    try:
        content = read_bounded(path)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
    text, bad = decode(content, str(path))
    if bad is not None:
        raise ScenarioError([bad.diagnostic(bad_byte_message(content))])
    return text
