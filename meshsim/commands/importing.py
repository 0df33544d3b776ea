"""``meshsim import``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from meshsim.commands.answer import Answer
from meshsim.inquiry.ways import survey
from meshsim.policy.mistakes import with_policies
from meshsim.scenario.manifests.starter import import_manifests
from meshsim.scenario.policy_sources import RefusedScenario

if TYPE_CHECKING:
    from rich.console import Console


def import_folder(source: Path, target: Path, settings: Sequence[str] = (), *, force: bool, quiet: bool) -> Answer:
    """Write a scenario around manifests; the mistakes are those that ``meshsim check`` would find in it."""
    try:
        made = import_manifests(source, target, settings, force=force, survey=survey)
    except RefusedScenario as error:
        raise with_policies(error, target.parent) from None

    def draw(console: Console) -> None:
        if quiet:
            console.print(str(made.file), soft_wrap=True)
            return
        count = f"{len(made.services)} service{'' if len(made.services) == 1 else 's'}"
        console.print(f"wrote {made.file}: {count} ({', '.join(made.services)})", soft_wrap=True)
        console.print("assumed, since no manifest says it:")
        for text in made.assumed:
            console.print(f"  {text}", soft_wrap=True)
        for note in made.notes:
            console.print(f"note: {note}", soft_wrap=True)
        console.print(f"next  meshsim run {made.file}", soft_wrap=True)

    document = {
        "file": str(made.file),
        "services": list(made.services),
        "assumed": list(made.assumed),
        "notes": list(made.notes),
    }
    return Answer(document, draw)
