"""Carries out the validation, or some of its sections."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from meshsim.scenario.errors import UsageError
from meshsim.scenario.words import expected
from meshsim.validation.claims import LEAST_CHANCE, SEED, chance_of
from meshsim.validation.section import Section
from meshsim.validation.sections import SECTIONS
from meshsim.validation.tls_handshakes import tls_computing

Progress = Callable[[int, int], None]
COMPUTING = "tls-computing"
"""The section that measures this host, and so may be held against a profile of its own."""


class Result(msgspec.Struct, frozen=True):
    """The sections that were carried out, by name."""

    sections: dict[str, Section]

    @property
    def passed(self) -> bool:
        """Whether every criterion of every section holds, and not too many numbers are out of the ordinary."""
        chance = chance_of(self.outside, self.compared)
        return all(section.passed for section in self.sections.values()) and chance >= LEAST_CHANCE

    @property
    def compared(self) -> int:
        """Numbers in which chance has a part."""
        return sum(criterion.compared for section in self.sections.values() for criterion in section.criteria)

    @property
    def outside(self) -> int:
        """How many of these lie outside of their own 99 % interval."""
        return sum(criterion.outside for section in self.sections.values() for criterion in section.criteria)


def run_validation(
    only: Sequence[str] = (), progress: Progress | None = None, seed: int = SEED, cost_profile: str = "default"
) -> Result:
    """Carry out all sections, or ``only`` those named; ``progress`` is called with the sections done and all of them.

    ``cost_profile`` is what this host's CPU time is held against.
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
            if name == COMPUTING and cost_profile != "default":
                sections[name] = tls_computing(seed, cost_profile)
            else:
                sections[name] = SECTIONS[name](seed)
        except FileNotFoundError as error:
            hint = "expected meshsim to run from its project's folder"
            raise UsageError(f"section {name!r} needs {error.filename}, which is not there; {hint}") from error
    if progress is not None:
        progress(len(names), len(names))
    return Result(sections)
