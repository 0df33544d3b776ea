"""``meshsim check``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from meshsim.commands.answer import EXIT_PASSED, EXIT_USAGE, Answer
from meshsim.experiment import load
from meshsim.inquiry.odd import odd_in
from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.metric_expectations import MetricExpectation
from meshsim.telemetry.recorder import Recorder
from meshsim.world.world import World

if TYPE_CHECKING:
    from rich.console import Console

    from meshsim.scenario.loader import LoadedScenario


class _Nowhere:
    """Takes the rows of a world that never runs."""

    def write(self, table: str, rows: list[msgspec.Struct]) -> None:
        """Forget one batch."""


def check_files(
    files: Sequence[Path],
    seed: int | None,
    fidelity: str | None,
    settings: Sequence[str],
    *,
    resolved: bool = False,
    quiet: bool,
) -> Answer:
    """Load each file and put its world together, as a run would; every mistake in any of them is an error.

    ``resolved`` shows the scenarios with overrides, presets and the defaults that no other field computes.
    """
    errors: list[Diagnostic] = []
    sound: list[tuple[Path, LoadedScenario]] = []
    for file in files:
        try:
            loaded = load(file, seed, fidelity, settings)
            World(loaded, Recorder(_Nowhere()))  # reads the policies, which loading leaves as text
            sound.append((file, loaded))
        except ScenarioError as error:
            errors += error.diagnostics
    errors = sorted(set(errors))

    def draw(console: Console) -> None:
        for file, loaded in [] if quiet else sound:
            if resolved:
                console.print(loaded.resolved, end="", markup=False, highlight=False, soft_wrap=True)
                continue
            console.print(f"\N{HEAVY CHECK MARK} {file}: {_content(loaded)}", soft_wrap=True)
            for note in loaded.notes:
                console.print(f"  note: {note}", soft_wrap=True)
            for warning in odd_in(loaded):
                console.print(f"  warning: {warning}", soft_wrap=True, style="yellow")
        if errors:
            number = len(errors)
            console.print(
                f"\N{HEAVY MULTIPLICATION X} {number} {'mistake' if number == 1 else 'mistakes'} "
                f"in {len(files) - len(sound)} of {len(files)} {'file' if len(files) == 1 else 'files'}"
            )

    document: dict[str, Any] = {
        "scenarios": [
            {
                "file": str(file),
                "scenario": loaded.scenario.scenario,
                "sha256": loaded.sha256,
                "notes": list(loaded.notes),
                "warnings": list(odd_in(loaded)),
            }
            | ({"resolved": loaded.resolved} if resolved else {})
            for file, loaded in sound
        ]
    }
    return Answer(document, draw, EXIT_USAGE if errors else EXIT_PASSED, tuple(errors))


def _content(loaded: LoadedScenario) -> str:
    """What a scenario holds, in one line."""
    scenario = loaded.scenario
    numbers = {
        "slice": len(scenario.network.slices),
        "node": len(scenario.network.nodes),
        "service": len(scenario.services),
        "waypoint": len(scenario.mesh.waypoints),
        "flow": len(scenario.traffic),
        "fault": len(scenario.faults),
        # One that bounds several metrics gets a verdict for each.
        "expectation": sum(len(one.metrics()) if isinstance(one, MetricExpectation) else 1 for one in scenario.expect),
    }
    return f"{scenario.scenario} ({', '.join(_counted(number, noun) for noun, number in numbers.items() if number)})"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
