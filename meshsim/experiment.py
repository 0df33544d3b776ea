"""One run, from a scenario file to a finished run folder."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim import __version__, compiled
from meshsim.policy.mistakes import with_policies
from meshsim.results.folder import RESULTS_ROOT, RunFolder
from meshsim.results.manifest import RunFacts
from meshsim.scenario.errors import ScenarioError, UsageError
from meshsim.scenario.loader import LoadedScenario, load_scenario
from meshsim.scenario.policy_sources import RefusedScenario
from meshsim.telemetry.recorder import Recorder

if TYPE_CHECKING:
    from meshsim.analysis.run import Run
    from meshsim.world.world import Outcome

Progress = Callable[[int, int], None]
Overrides = str | Sequence[str] | Mapping[str, Any]


def run(
    scenario: str | Path,
    *,
    seed: int | None = None,
    fidelity: str | None = None,
    overrides: Overrides = (),
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Run:
    """Run a scenario file and return the finished run.

    ``overrides`` are ``path=value`` texts as for ``--set``, or one of them, or a mapping of paths to plain values
    (``{"mesh.tls.groups": ["X25519"]}``). The folder is ``results/<scenario>/<run id>``; or ``out``, where an earlier
    run is replaced. Raises UsageError for overrides that are none of these or an ``out`` that is no place for a run,
    ScenarioError for mistakes in the scenario (a fault that touched nothing is one), InvariantViolation when
    prediction and OpenSSL disagree or an account does not close, InfrastructureError when the folder cannot be written.
    """
    from meshsim.analysis.run import open_run

    return open_run(run_folder(load(scenario, seed, fidelity, overrides), out=out, progress=progress))


def load(
    scenario: str | Path, seed: int | None = None, fidelity: str | None = None, overrides: Overrides = ()
) -> LoadedScenario:
    """Load a scenario with the options that every command shares.

    Raises ScenarioError with every mistake in it; if there is one, with those in its policies, too.
    """
    settings = _settings(overrides)
    if seed is not None:
        settings.append(f"seed={seed}")
    if fidelity is not None:
        settings.append(f"fidelity={fidelity}")
    try:
        return load_scenario(scenario, settings)
    except RefusedScenario as error:
        raise with_policies(error, Path(scenario).parent) from None


def _settings(overrides: Overrides) -> list[str]:
    """The overrides as ``path=value`` texts. UsageError for what is no override."""
    if isinstance(overrides, str):
        return [overrides]
    if isinstance(overrides, Mapping):
        try:
            # A value is read as YAML, of which JSON is a part: a text stays a text, whatever it looks like.
            return [f"{path}={json.dumps(value, ensure_ascii=False)}" for path, value in overrides.items()]
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"overrides: {error}; expected texts, numbers, booleans, None, and lists and mappings of them"
            ) from None
    settings = list(overrides)
    for setting in settings:
        if not isinstance(setting, str):
            raise UsageError(
                f"overrides: {setting!r} is no text; expected 'path=value', or a mapping of paths to values"
            )
    return settings


def run_folder(
    loaded: LoadedScenario,
    *,
    out: str | Path | None = None,
    results_root: Path = RESULTS_ROOT,
    progress: Progress | None = None,
) -> Path:
    """Run a loaded scenario; return the folder of the finished run. Nothing is left behind if it cannot be finished."""
    from meshsim.analysis.conclude import conclude
    from meshsim.world.world import World

    scenario = loaded.scenario
    began_s = time.perf_counter()
    with RunFolder.create(Path(out) if out is not None else None, scenario.scenario, results_root) as folder:
        outcome = World(loaded, Recorder(folder.sink)).run(progress)
        _check_faults(loaded, outcome)
        facts = RunFacts(
            scenario=scenario.scenario,
            seed=scenario.seed,
            fidelity=scenario.fidelity,
            cost_profile=loaded.cost_profile.name,
            cost_profile_sha256=loaded.cost_profile.sha256,
            versions=versions(),
            inputs={name: hashlib.sha256(content).hexdigest() for name, content in loaded.files.items()},
            host={
                "platform": platform.platform(),
                "machine": platform.machine(),
                "wall_s": round(time.perf_counter() - began_s, 3),
                "compared_handshakes": outcome.compared_handshakes,
                "compiled": compiled.in_use(),
            },
        )
        for name, content in loaded.files.items():
            folder.add_input(name, content)
        manifest = folder.seal(facts, loaded.resolved)
        conclusion = conclude(folder.path, scenario, manifest)
        return folder.finish(conclusion.summary, conclusion.report)


def versions() -> dict[str, str]:
    """Return the versions of everything that can decide an outcome."""
    from cryptography.hazmat.backends.openssl import backend

    return {
        "meshsim": __version__,
        "python": platform.python_version(),
        "openssl": backend.openssl_version_text(),
        "cryptography": version("cryptography"),
        "pyopenssl": version("pyopenssl"),
        "ngh2": version("ngh2"),
        "cedarpy": version("cedarpy"),
        "regopy": version("regopy"),
        "simpy": version("simpy"),
        "implementation": sys.implementation.name,
    }


def _check_faults(loaded: LoadedScenario, outcome: Outcome) -> None:
    """Refuse a scenario with a fault that touched nothing: it tests something else than its author thinks."""
    diagnostics = []
    for effects in outcome.effects:
        if effects.total == 0:
            fault = effects.planned
            diagnostics.append(
                loaded.positions.value(("faults", fault.index)).diagnostic(
                    f"fault {fault.fault_id!r} touched nothing: nothing used {fault.target} while it lasted; "
                    "expected a target and a time at which there is traffic"
                )
            )
    if diagnostics:
        raise ScenarioError(diagnostics)
