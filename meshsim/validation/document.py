"""docs/validation.md: what was held against what, and what came out."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.validation.claims import SEED
from meshsim.validation.run import Result
from meshsim.validation.section import Section

_INTRODUCTION = f"""\
# Validation

<!-- Written by `meshsim validate --write`; edit meshsim/validation/ instead. -->

Why you may believe a latency that meshsim prints: its parts are held against closed forms, against what others have
measured, and against OpenSSL. Each section is carried out by the parts that simulations use, not by a copy of them.
`meshsim validate` does it all again, and `make test` checks that it comes to this document, byte for byte.

*x ± d, wanted y* is a measured value, how far from the wanted one it may be, and the wanted one. Where theory speaks of
a random quantity, d is half of the 99 % confidence interval, over 30 independent replications (Student's t) or over
independent draws; an interval wider than 3 % of the theory (15 % for the share of rare events) does not count.
Everything here is drawn from seed {SEED}. One such claim in a hundred misses by chance: a section in which one does is
drawn once more, independently, and says so; all of the second draw must hold.
"""


def render_document(result: Result) -> str:
    """The whole document, Markdown. What differs from machine to machine is left out."""
    lines = [_INTRODUCTION, "| Section | Name | Criteria | Result |", "|---|---|---|---|"]
    for name, section in result.sections.items():
        lines.append(summary_line(name, section))
    for name, section in result.sections.items():
        lines.append(render_section(name, section))
    return "\n".join(lines) + "\n"


def _anchor(title: str) -> str:
    kept = "".join(character for character in title.lower() if character.isalnum() or character in " -_")
    return kept.replace(" ", "-")


def _word(section: Section, passed: bool) -> str:
    if section.measures_host:
        return "measured where you run it"
    return "pass" if passed else "**FAIL**"


def summary_line(name: str, section: Section) -> str:
    """A section's line in the list of all."""
    link = f"[{section.title}](#{_anchor(section.title)})"
    return f"| {link} | `{name}` | {len(section.criteria)} | {_word(section, section.passed)} |"


def render_section(name: str, section: Section) -> str:
    """One section of the document."""
    return "\n".join(_lines(name, section))


def _lines(name: str, section: Section) -> Iterator[str]:
    yield f"\n## {section.title}\n\n`meshsim validate --only {name}`\n\n{section.about.strip()}\n"
    yield "| What must hold | Found | Result |"
    yield "|---|---|---|"
    for criterion in section.criteria:
        found = "" if section.measures_host else criterion.found
        yield f"| {criterion.text} | {found} | {_word(section, criterion.passed)} |"
    if section.columns and not section.measures_host:
        yield f"\n| {' | '.join(section.columns)} |"
        yield "|---" * len(section.columns) + "|"
        for row in section.rows:
            yield f"| {' | '.join(row)} |"
