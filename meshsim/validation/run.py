"""Carries out the validation, or some of its sections."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from meshsim.scenario.errors import UsageError
from meshsim.scenario.words import expected
from meshsim.validation.claims import SEED, Claim
from meshsim.validation.section import Section
from meshsim.validation.sections import SECTIONS

SECOND_DRAW = 1_000_000
"""What is added to the seed for a second draw."""

Progress = Callable[[int, int], None]


class Result(msgspec.Struct, frozen=True):
    """The sections that were carried out, by name."""

    sections: dict[str, Section]

    @property
    def passed(self) -> bool:
        """Whether every criterion of every section holds."""
        return all(section.passed for section in self.sections.values())


def run_validation(only: Sequence[str] = (), progress: Progress | None = None, seed: int = SEED) -> Result:
    """Carry out all sections, or ``only`` those named; ``progress`` is called with the sections done and all of them.

    Raises UsageError for a name that is no section's, and where the measurements are missing: they are in the project's
    own folder, not in the installed package.
    """
    for name in only:
        if name not in SECTIONS:
            raise UsageError(f"there is no section {name!r}; {expected(name, list(SECTIONS))}")
    names = [name for name in SECTIONS if not only or name in only]
    sections = {}
    for number, name in enumerate(names):
        if progress is not None:
            progress(number, len(names))
        try:
            sections[name] = _carry_out(name, seed)
        except FileNotFoundError as error:
            hint = "expected meshsim to run from its project's folder"
            raise UsageError(f"section {name!r} needs {error.filename}, which is not there; {hint}") from error
    if progress is not None:
        progress(len(names), len(names))
    return Result(sections)


def _carry_out(name: str, seed: int) -> Section:
    """Make a section; one that misses confidence intervals alone is drawn a second time, which then decides.

    Among dozens of true claims at 99 % some miss. A second, independent draw that must hold as a whole tells chance
    from error; it is told in the section that there was one, and why.
    """
    first = SECTIONS[name](seed)
    missed = [criterion for criterion in first.criteria if not criterion.passed]
    if not missed or not all(isinstance(criterion, Claim) and criterion.by_chance for criterion in missed):
        return first
    second = SECTIONS[name](seed + SECOND_DRAW)
    told = "; ".join(f"{criterion.text}: {criterion.found}" for criterion in missed)
    about = (
        f"{second.about.strip()}\n\nThis is the second draw (seed {seed + SECOND_DRAW}); seed {seed} missed: {told}."
    )
    return msgspec.structs.replace(second, about=about)
