"""``meshsim run``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim.analysis.report import overall
from meshsim.analysis.run import Run, open_run
from meshsim.commands.answer import EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_PASSED, Answer, shown_path
from meshsim.commands.progress import Bar
from meshsim.experiment import load, run_folder
from meshsim.inquiry.odd import odd_in

if TYPE_CHECKING:
    from rich.console import Console

EXIT_BY_VERDICT = {
    "pass": EXIT_PASSED,
    "none": EXIT_PASSED,
    "fail": EXIT_FAILED,
    "inconclusive": EXIT_INCONCLUSIVE,
}


def run_file(
    file: Path, seed: int | None, fidelity: str | None, settings: Sequence[str], out: Path | None, *, quiet: bool
) -> Answer:
    """Run a scenario file; the exit code is the verdict on its expectations."""
    loaded = load(file, seed, fidelity, settings)
    with Bar(f"Simulating {loaded.scenario.scenario}", "Judging and drawing", quiet=quiet) as bar:
        run = open_run(run_folder(loaded, out=out, progress=bar))

    warnings = odd_in(loaded)

    def draw(console: Console) -> None:
        for note in () if quiet else loaded.notes:
            console.print(f"note: {note}", soft_wrap=True)
        for warning in () if quiet else warnings:
            console.print(f"warning: {warning}", soft_wrap=True, style="yellow")
        if quiet:
            console.print(shown_path(run.path), soft_wrap=True)
            return
        from meshsim.commands.drawing import draw_run

        draw_run(console, run)

    told = {"notes": list(loaded.notes), "warnings": list(warnings)}
    return Answer(run_document(run) | told, draw, EXIT_BY_VERDICT[overall(run.summary)])


def run_document(run: Run) -> dict[str, Any]:
    """What is said about a run in JSON."""
    manifest, summary = run.manifest, run.summary
    return {
        "run_dir": str(run.path),
        "report": str(run.report_path),
        "scenario": manifest.scenario,
        "seed": manifest.seed,
        "fidelity": manifest.fidelity,
        "digest": manifest.digest,
        "verdict": overall(summary),
        "expectations": summary["expectations"],
        "slices": summary["slices"],
        "faults": summary["faults"],
        "totals": summary["totals"],
    }
