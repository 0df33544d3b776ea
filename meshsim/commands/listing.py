"""``meshsim runs``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from meshsim.commands.answer import Answer, shown_path
from meshsim.results.folder import MANIFEST, RESULTS_ROOT
from meshsim.results.stored import StoredRun, list_runs
from meshsim.scenario.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console


class _Listed(NamedTuple):
    run: StoredRun
    verdict: str
    """pass, fail, inconclusive, or none; damaged if the summary cannot be read."""


def list_finished(scenario: str | None, folder: Path | None, *, quiet: bool) -> Answer:
    """List the runs below ``folder`` or results/, all of them or those of one scenario. None is an answer, too."""
    if folder is not None and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; expected one with run folders in it")
    below = folder or RESULTS_ROOT
    stored = [run for run in list_runs(below) if scenario is None or run.manifest.scenario == scenario]
    stored.sort(key=_finished_ns, reverse=True)
    listed = [_Listed(run, _verdict(run)) for run in stored]
    document = {"runs": [_plain(one) for one in listed]}
    return Answer(document, lambda console: _draw(console, listed, scenario, below, quiet=quiet))


def _finished_ns(run: StoredRun) -> tuple[int, str]:
    # The manifest is written last. Names of runs tell seconds only, and a folder may have been given another name.
    return (run.path / MANIFEST).stat().st_mtime_ns, str(run.path)


def _verdict(run: StoredRun) -> str:
    from meshsim.analysis.report import overall

    try:
        return overall(run.summary())
    except (UsageError, KeyError, TypeError):
        return "damaged"


def _plain(one: _Listed) -> dict[str, Any]:
    manifest = one.run.manifest
    return {
        "run_dir": str(one.run.path.absolute()),
        "scenario": manifest.scenario,
        "seed": manifest.seed,
        "fidelity": manifest.fidelity,
        "digest": manifest.digest,
        "verdict": one.verdict,
    }


def _draw(console: Console, listed: Sequence[_Listed], scenario: str | None, below: Path, *, quiet: bool) -> None:
    from rich.text import Text

    from meshsim.commands.drawing import MARKS, STYLES

    if not listed and not quiet:
        console.print(f"no finished runs{f' of {scenario}' if scenario else ''} below {below}/", soft_wrap=True)
    for run, verdict in listed:
        path = shown_path(run.path)
        if quiet:
            console.print(path, soft_wrap=True)
            continue
        mark = Text(f"{MARKS.get(verdict, '!')} {verdict:<12}  ", STYLES.get(verdict, "bold red"))
        seed = f"seed {run.manifest.seed:<4}  "
        console.print(Text.assemble(mark, seed, path), soft_wrap=True)
