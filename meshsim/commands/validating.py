"""``meshsim validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meshsim.commands.answer import EXIT_FAILED, EXIT_PASSED, Answer
from meshsim.commands.files import replace
from meshsim.commands.progress import Bar
from meshsim.scenario.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from meshsim.validation.run import Result

DOCUMENT = Path("docs", "validation.md")


def validate_model(only: list[str], seed: int | None, cost_profile: str | None, *, write: bool, quiet: bool) -> Answer:
    """Carry out the validation; it fails if a criterion does not hold."""
    from meshsim.scenario.cost_profile import load_cost_profile
    from meshsim.validation.claims import SEED
    from meshsim.validation.document import render_document
    from meshsim.validation.run import COMPUTING, run_validation

    if write and (only or seed is not None):
        raise UsageError("--write is for all sections and the document's seed; expected no --only and no --seed")
    if cost_profile is not None:
        if write or (only and COMPUTING not in only):
            raise UsageError(f"--cost-profile is for the section {COMPUTING}; expected that, and no --write")
        load_cost_profile(cost_profile)  # its mistakes are told before anything is carried out
    if write and not DOCUMENT.parent.is_dir():
        raise UsageError(f"there is no folder {DOCUMENT.parent} here; expected to run in the project's folder")
    with Bar("Validating", "Summing up", quiet=quiet) as bar:
        result = run_validation(only, bar, SEED if seed is None else seed, cost_profile or "default")
    if write:
        replace(DOCUMENT, render_document(result))

    def draw(console: Console) -> None:
        _draw(console, result, quiet=quiet)
        if write:
            console.print(f"wrote {DOCUMENT}", soft_wrap=True)

    document = {
        "passed": result.passed,
        "sections": [
            {"name": name, "passed": section.passed, **msgspec.to_builtins(section)}
            for name, section in result.sections.items()
        ],
        "path": str(DOCUMENT.absolute()) if write else None,
    }
    return Answer(document, draw, EXIT_PASSED if result.passed else EXIT_FAILED)


def _draw(console: Console, result: Result, *, quiet: bool) -> None:
    from rich.text import Text

    from meshsim.commands.drawing import MARKS, STYLES
    from meshsim.validation.document import chance_line

    for name, section in result.sections.items():
        word = "pass" if section.passed else "fail"
        console.print(Text.assemble((MARKS[word], STYLES[word]), f" {name}: {section.title}"), soft_wrap=True)
        for criterion in section.criteria:
            if criterion.passed and quiet:
                continue
            mark = MARKS["pass" if criterion.passed else "fail"]
            console.print(f"  {mark} {criterion.text}: {criterion.found}", soft_wrap=True)
    criteria = [criterion for section in result.sections.values() for criterion in section.criteria]
    failed = sum(not criterion.passed for criterion in criteria)
    word = "pass" if result.passed else "fail"
    if result.compared:
        console.print(chance_line(result), soft_wrap=True)
    console.print(Text(f"{MARKS[word]} {len(criteria) - failed} of {len(criteria)} criteria hold", STYLES[word]))
